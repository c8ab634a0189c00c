/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* The command line of the tool itself; EAL's part is main.c's. */

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include "bench.h"
#include "options.h"

struct bench_options bench_options;

enum {
	OPT_PRESET = 256,
	OPT_PAIRS,
	OPT_MS,
	OPT_OBJECTS,
	OPT_OBJECT_SIZE,
	OPT_QUEUE,
	OPT_PATTERN,
	OPT_BULK,
	OPT_CACHE,
	OPT_TOUCH,
	OPT_SIZE,
	OPT_SUBJECT,
	OPT_RIVAL,
	OPT_JSON,
	OPT_CSV,
	OPT_PLOT,
	OPT_REALTIME,
};

static const struct option long_options[] = {
	{"preset", required_argument, NULL, OPT_PRESET},
	{"pairs", required_argument, NULL, OPT_PAIRS},
	{"ms", required_argument, NULL, OPT_MS},
	{"objects", required_argument, NULL, OPT_OBJECTS},
	{"object-size", required_argument, NULL, OPT_OBJECT_SIZE},
	{"queue", required_argument, NULL, OPT_QUEUE},
	{"pattern", required_argument, NULL, OPT_PATTERN},
	{"bulk", required_argument, NULL, OPT_BULK},
	{"cache", required_argument, NULL, OPT_CACHE},
	{"touch", required_argument, NULL, OPT_TOUCH},
	{"size", required_argument, NULL, OPT_SIZE},
	{"subject", required_argument, NULL, OPT_SUBJECT},
	{"rival", required_argument, NULL, OPT_RIVAL},
	{"json", required_argument, NULL, OPT_JSON},
	{"csv", required_argument, NULL, OPT_CSV},
	{"plot", required_argument, NULL, OPT_PLOT},
	{"realtime", no_argument, NULL, OPT_REALTIME},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

void
bench_usage(FILE *to)
{
	fprintf(to,
		"usage: slabio-bench [EAL OPTIONS --] [OPTIONS] [SUITE...]\n"
		"\n"
		"Compares mempool handlers and rings in interleaved pairs of runs (A B A B ...).\n"
		"Suites: machine mempool ring pool recovery; all of them if none is named.\n"
		"\n"
		"  --preset short|full|bars   what to run: a selection (default), everything, or "
		"the\n"
		"                             figures that the design asks for\n"
		"  --pairs N                  pairs of runs for each figure, 1 to %u (default 5)\n"
		"  --ms N                     length of one run (default 40; full 60; bars 80)\n"
		"  --subject HANDLER[+CACHE]  who is measured (default slab)\n"
		"  --rival HANDLER[+CACHE],...  against whom; without +CACHE the rival has the "
		"subject's\n"
		"                             cache\n"
		"  --pattern NAME,...         what is done:\n",
		BENCH_PAIRS_MAX);
	for (const struct bench_pattern *p = bench_patterns; p->name != NULL; p++)
		fprintf(to, "                               %-10s %s\n", p->name, p->what);
	fprintf(to,
		"  --bulk N,...               objects per call, 1 to %u\n"
		"  --cache N,...              mempool caches in front of both\n"
		"  --touch 0|1|0,1            whether the first line of each object is written and "
		"read\n"
		"  --size N,...               bytes of a ring's elements: 4, 8, 16\n"
		"  --objects N                objects of a mempool (default 14000)\n"
		"  --object-size N            their bytes (default 2304)\n"
		"  --queue N                  capacity of rings and hand-over queues (default "
		"1024)\n"
		"  --json FILE, --csv FILE    all figures\n"
		"  --plot FILE.svg            a picture of the ratios, drawn by gnuplot\n"
		"  --realtime                 runs give way to no other program of the machine "
		"(root)\n"
		"\n"
		"EAL gets two lcores for each CPU, so that the last half of them shares CPUs with "
		"the first,\n"
		"virtual addresses for IO, and hugepages of its own; name other EAL options before "
		"\"--\",\n"
		"such as: slabio-bench --no-huge -m 512 -- --preset bars\n",
		BENCH_BULK_MAX);
}

static bool
number(const char *name, const char *text, unsigned int min, unsigned int max, unsigned int *value)
{
	char *end;
	unsigned long found;

	errno = 0;
	found = strtoul(text, &end, 10);
	if (errno == 0 && *end == '\0' && end != text && text[0] != '-' && found >= min &&
		found <= max) {
		*value = (unsigned int)found;
		return true;
	}
	bench_error("--%s: found \"%s\", expected a number from %u to %u", name, text, min, max);
	return false;
}

static bool
names(const char *name, const char *text, struct bench_names *list)
{
	list->n = 0;
	while (*text != '\0') {
		size_t len = strcspn(text, ",");

		if (len == 0 || len >= BENCH_NAME_LEN || list->n == BENCH_LIST_MAX) {
			bench_error(
				"--%s: expected at most %u names of at most %d characters, with "
				"commas between them",
				name, BENCH_LIST_MAX, BENCH_NAME_LEN - 1);
			return false;
		}
		snprintf(list->at[list->n++], BENCH_NAME_LEN, "%.*s", (int)len, text);
		text += len;
		text += *text == ',';
	}
	if (list->n == 0)
		bench_error("--%s: expected at least one name", name);
	return list->n > 0;
}

static bool
numbers(const char *name, const char *text, unsigned int min, unsigned int max,
	struct bench_list *list)
{
	struct bench_names words;

	if (!names(name, text, &words))
		return false;
	list->n = 0;
	for (unsigned int i = 0; i < words.n; i++)
		if (!number(name, words.at[i], min, max, &list->at[list->n++]))
			return false;
	return true;
}

static bool
patterns(const char *text)
{
	if (!names("pattern", text, &bench_options.patterns))
		return false;
	for (unsigned int i = 0; i < bench_options.patterns.n; i++)
		if (bench_pattern_find(bench_options.patterns.at[i]) == NULL) {
			bench_error("--pattern: there is none named \"%s\", see --help",
				bench_options.patterns.at[i]);
			return false;
		}
	return true;
}

/* The suites named, or all. */
static bool
suites(int argc, char **argv)
{
	struct bench_options *o = &bench_options;
	bool *const flags[] = {&o->suite_machine, &o->suite_mempool, &o->suite_ring, &o->suite_pool,
		&o->suite_recovery};
	static const char *const known[] = {"machine", "mempool", "ring", "pool", "recovery"};
	const unsigned int n = sizeof(known) / sizeof(known[0]);

	for (unsigned int s = 0; s < n; s++)
		*flags[s] = optind >= argc;
	for (; optind < argc; optind++) {
		unsigned int s = 0;

		while (s < n && strcmp(argv[optind], known[s]) != 0)
			s++;
		if (s == n) {
			bench_error("there is no suite \"%s\": expected machine, mempool, ring, "
				    "pool or recovery",
				argv[optind]);
			return false;
		}
		*flags[s] = true;
	}
	return true;
}

/* What the preset says and no option said. */
static void
defaults(void)
{
	struct bench_options *o = &bench_options;
	const bool full = o->preset == BENCH_FULL;

	if (o->ms == 0)
		o->ms = full ? 60 : o->preset == BENCH_BARS ? 80 : 40;
	if (o->pairs == 0)
		o->pairs = 5;
	if (o->bulks.n == 0)
		(void)numbers(
			"bulk", full ? "1,8,32,64,256" : "1,32", 1, BENCH_BULK_MAX, &o->bulks);
	if (o->caches.n == 0)
		(void)numbers("cache", "0,256", 0, 512, &o->caches);
	if (o->touches.n == 0)
		(void)numbers("touch", "0,1", 0, 1, &o->touches);
	if (o->sizes.n == 0)
		(void)numbers("size", full ? "4,8,16" : "8", 4, 16, &o->sizes);
	if (o->rivals.n == 0)
		(void)names("rival",
			full ? "ring_mp_mc,ring_mt_rts,ring_mt_hts,stack,lf_stack,bucket"
			     : "ring_mp_mc,ring_mt_rts,stack",
			&o->rivals);
	if (o->patterns.n == 0)
		for (const struct bench_pattern *p = bench_patterns; p->name != NULL; p++)
			snprintf(o->patterns.at[o->patterns.n++], BENCH_NAME_LEN, "%s", p->name);
}

static bool
preset(const char *text)
{
	static const char *const known[] = {"short", "full", "bars"};

	for (unsigned int i = 0; i < 3; i++)
		if (strcmp(text, known[i]) == 0) {
			bench_options.preset = (enum bench_preset)i;
			return true;
		}
	bench_error("--preset: found \"%s\", expected short, full or bars", text);
	return false;
}

static bool
sizes_valid(void)
{
	const struct bench_list *sizes = &bench_options.sizes;

	for (unsigned int i = 0; i < sizes->n; i++)
		if (sizes->at[i] != 4 && sizes->at[i] != 8 && sizes->at[i] != 16) {
			bench_error("--size: found %u, expected 4, 8 or 16", sizes->at[i]);
			return false;
		}
	if ((bench_options.queue & (bench_options.queue - 1)) == 0)
		return true;
	bench_error("--queue: found %u, expected a power of two", bench_options.queue);
	return false;
}

static bool
one_option(int c, char *arg)
{
	struct bench_options *o = &bench_options;

	switch (c) {
	case OPT_PRESET:
		return preset(arg);
	case OPT_PAIRS:
		return number("pairs", arg, 1, BENCH_PAIRS_MAX, &o->pairs);
	case OPT_MS:
		return number("ms", arg, 1, 10000, &o->ms);
	case OPT_OBJECTS:
		return number("objects", arg, 2048, 1u << 24, &o->objects);
	case OPT_OBJECT_SIZE:
		return number("object-size", arg, 64, 1u << 16, &o->object_size);
	case OPT_QUEUE:
		return number("queue", arg, BENCH_BULK_MAX, 1u << 20, &o->queue);
	case OPT_PATTERN:
		return patterns(arg);
	case OPT_BULK:
		return numbers("bulk", arg, 1, BENCH_BULK_MAX, &o->bulks);
	case OPT_CACHE:
		return numbers("cache", arg, 0, 512, &o->caches);
	case OPT_TOUCH:
		return numbers("touch", arg, 0, 1, &o->touches);
	case OPT_SIZE:
		return numbers("size", arg, 4, 16, &o->sizes);
	case OPT_SUBJECT:
		return snprintf(o->subject, BENCH_NAME_LEN, "%s", arg) < BENCH_NAME_LEN;
	case OPT_RIVAL:
		return names("rival", arg, &o->rivals);
	case OPT_JSON:
		o->json = arg;
		return true;
	case OPT_CSV:
		o->csv = arg;
		return true;
	case OPT_PLOT:
		o->plot = arg;
		return true;
	case OPT_REALTIME:
		o->realtime = true;
		return bench_first_possible();
	case 'h':
		bench_usage(stdout);
		exit(0);
	default:
		bench_error("see --help");
		return false;
	}
}

bool
bench_options_parse(int argc, char **argv)
{
	int c;

	/* an eighth fewer than a ring has slots: ring_mt_rts needs it if it is not to lose any, see
	 * the guide */
	bench_options = (struct bench_options){
		.objects = 14000,
		.object_size = 2304,
		.queue = 1024,
		.subject = "slab",
	};
	while ((c = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
		if (!one_option(c, optarg))
			return false;
	if (!suites(argc, argv))
		return false;
	defaults();
	return sizes_valid();
}
