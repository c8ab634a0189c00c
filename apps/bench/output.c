/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* Results for the terminal, as JSON and as CSV. */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <rte_version.h>
#include "bench.h"

struct skip {
	char what[BENCH_NAME_LEN];
	char why[128];
};

struct bench_result *bench_results;
unsigned int bench_n_results;
bool bench_conserved = true;

static struct bench_fact facts[64];
static unsigned int n_facts;
static struct skip *skips;
static unsigned int n_skips;

void
bench_error(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("slabio-bench: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* ---- terminal ---- */

static bool table_open;
static unsigned int disturbed_runs;

void
bench_heading(const char *title)
{
	printf("\n%s\n", title);
	table_open = false;
}

static void
columns(void)
{
	if (table_open)
		return;
	table_open = true;
	printf("  %-12s %2s %4s %-5s  %-14s %9s  %-18s %9s  %-21s %4s  %s\n", "pattern", "n",
		"bulk", "touch", "", "M/s or ns", "rival", "", "ratio (least-most)", "line", "bar");
}

static const char *
verdict(const struct bench_result *r, char text[32])
{
	if (r->of.bar == 0)
		return "";
	snprintf(text, 32, "%.2f %s", r->of.bar, r->ratio.median >= r->of.bar ? "met" : "MISSED");
	return text;
}

static const char *
disturbance(unsigned int runs, char text[32])
{
	text[0] = '\0';
	if (runs > 0)
		snprintf(text, 32, " ~%u", runs);
	return text;
}

void
bench_report(const struct bench_result *r)
{
	const struct bench_case *c = &r->of;
	struct bench_result *more =
		realloc(bench_results, (bench_n_results + 1) * sizeof(*bench_results));
	char bulk[16], text[32], mark[32];

	columns();
	snprintf(bulk, sizeof(bulk), "%u", c->bulk);
	printf("  %-12s %2u %4s %-5s  %-14s %9.2f  %-18s %9.2f  %5.2f (%5.2f - %5.2f)  %4.0f  "
	       "%s%s\n",
		c->pattern, c->lcores, bulk,
		strcmp(c->suite, "ring") == 0 ? (c->size == 4	       ? "4 B"
							: c->size == 8 ? "8 B"
								       : "16 B")
		: c->touch		      ? "yes"
					      : "no",
		c->subject, r->subject.median, c->rival, r->rival.median, r->ratio.median,
		r->ratio.min, r->ratio.max, r->line.median, verdict(r, text),
		disturbance(r->disturbed, mark));
	disturbed_runs += r->disturbed;
	fflush(stdout);
	if (more == NULL) {
		bench_error("no memory to remember this result");
		return;
	}
	bench_results = more;
	bench_results[bench_n_results] = *r;
	/* contenders are gone when it is written to a file */
	bench_results[bench_n_results].of.subject_arg = NULL;
	bench_results[bench_n_results].of.rival_arg = NULL;
	bench_n_results++;
}

void
bench_report_fact(const char *suite, const char *name, const char *unit, struct bench_spread value,
	unsigned int disturbed)
{
	char text[32];

	printf("  %-40s %9.2f %-4s (%.2f - %.2f)%s\n", name, value.median, unit, value.min,
		value.max, disturbance(disturbed, text));
	disturbed_runs += disturbed;
	fflush(stdout);
	if (n_facts == sizeof(facts) / sizeof(facts[0]))
		return;
	facts[n_facts] = (struct bench_fact){
		.suite = suite, .unit = unit, .value = value, .disturbed = disturbed};
	snprintf(facts[n_facts++].name, BENCH_NAME_LEN, "%s", name);
}

void
bench_report_skip(const char *what, const char *why)
{
	struct skip *more;

	/* once is enough */
	for (unsigned int i = 0; i < n_skips; i++)
		if (strcmp(skips[i].what, what) == 0 && strcmp(skips[i].why, why) == 0)
			return;
	printf("  %-10s skipped: %s\n", what, why);
	more = realloc(skips, (n_skips + 1) * sizeof(*skips));
	if (more == NULL)
		return;
	skips = more;
	snprintf(skips[n_skips].what, sizeof(skips[0].what), "%s", what);
	snprintf(skips[n_skips++].why, sizeof(skips[0].why), "%s", why);
}

void
bench_summary(void)
{
	unsigned int bars = 0, met = 0;

	for (unsigned int i = 0; i < bench_n_results; i++) {
		bars += bench_results[i].of.bar != 0;
		met += bench_results[i].of.bar != 0 &&
		       bench_results[i].ratio.median >= bench_results[i].of.bar;
	}
	printf("\n%u comparisons, medians of %u interleaved pairs of %u ms; ratio: above 1.00 the "
	       "first is better;\nline: ns for a cache line from one CPU to another and back, "
	       "meanwhile\n",
		bench_n_results, bench_options.pairs, bench_options.ms);
	if (bars > 0)
		printf("%u of %u bars met\n", met, bars);
	if (disturbed_runs > 0)
		printf("~N: in N runs other programs had a CPU for more than %.0f %% of the time, "
		       "though they were tried again\n",
			BENCH_LOST_TOLERATED * 100);
	if (bench_n_results > 0 && bench_conserved)
		printf("after every run all objects were there\n");
}

/* ---- files ---- */

static FILE *
open_file(const char *path)
{
	FILE *out = fopen(path, "w");

	if (out == NULL)
		bench_error("cannot write %s: %s", path, strerror(errno));
	return out;
}

static int
close_file(FILE *out, const char *path)
{
	bool bad = ferror(out) != 0;

	bad = fclose(out) != 0 || bad;
	if (!bad)
		return 0;
	bench_error("cannot write %s: %s", path, strerror(errno));
	return -EIO;
}

static void
json_text(FILE *out, const char *key, const char *text)
{
	fprintf(out, "\"%s\": \"", key);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		if ((unsigned char)*text >= ' ')
			fputc(*text, out);
	}
	fputc('"', out);
}

static void
json_spread(FILE *out, const char *key, struct bench_spread s)
{
	fprintf(out, "\"%s\": {\"median\": %.4f, \"min\": %.4f, \"max\": %.4f}", key, s.median,
		s.min, s.max);
}

/* The model as the kernel names it. */
static void
cpu_model(char *text, size_t len)
{
	FILE *in = fopen("/proc/cpuinfo", "r");
	char line[256], *colon;

	snprintf(text, len, "unknown");
	if (in == NULL)
		return;
	while (fgets(line, sizeof(line), in) != NULL) {
		colon = strchr(line, ':');
		if (strncmp(line, "model name", 10) != 0 || colon == NULL)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(text, len, "%s", colon + 1 + strspn(colon + 1, " "));
		break;
	}
	fclose(in);
}

static void
json_host(FILE *out)
{
	struct utsname host;
	char cpu[256], when[32];
	time_t now = time(NULL);

	cpu_model(cpu, sizeof(cpu));
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	fprintf(out, "  \"host\": {");
	json_text(out, "time", when);
	fprintf(out, ", ");
	json_text(out, "cpu", cpu);
	fprintf(out, ", ");
	json_text(out, "dpdk", rte_version());
	fprintf(out, ", ");
	json_text(out, "kernel", uname(&host) == 0 ? host.release : "unknown");
	fprintf(out, ", \"cpus\": %u, \"lcores\": %u},\n", bench_cpus, bench_lcores);
}

static void
json_result(FILE *out, const struct bench_result *r)
{
	const struct bench_case *c = &r->of;

	fprintf(out, "    {");
	json_text(out, "suite", c->suite);
	fprintf(out, ", ");
	json_text(out, "pattern", c->pattern);
	fprintf(out, ", \"lcores\": %u, \"bulk\": %u, \"size\": %u, \"touch\": %s, ", c->lcores,
		c->bulk, c->size, c->touch ? "true" : "false");
	json_text(out, "unit", c->unit == BENCH_MOPS ? "M/s" : "ns");
	fprintf(out, ", ");
	json_text(out, "subject", c->subject);
	fprintf(out, ", ");
	json_text(out, "rival", c->rival);
	fprintf(out, ", \"pairs\": %u, \"disturbed\": %u, ", r->pairs, r->disturbed);
	json_spread(out, "subject_value", r->subject);
	fprintf(out, ", ");
	json_spread(out, "rival_value", r->rival);
	fprintf(out, ", ");
	json_spread(out, "ratio", r->ratio);
	fprintf(out, ", ");
	json_spread(out, "line_ns", r->line);
	if (c->bar != 0)
		fprintf(out, ", \"bar\": %.2f, \"met\": %s", c->bar,
			r->ratio.median >= c->bar ? "true" : "false");
	fputc('}', out);
}

static void
json_facts(FILE *out, const char *suite)
{
	const char *comma = "";

	for (unsigned int i = 0; i < n_facts; i++) {
		if (strcmp(facts[i].suite, suite) != 0)
			continue;
		fprintf(out, "%s\n    {", comma);
		json_text(out, "name", facts[i].name);
		fprintf(out, ", ");
		json_text(out, "unit", facts[i].unit);
		fprintf(out, ", ");
		fprintf(out, "\"disturbed\": %u, ", facts[i].disturbed);
		json_spread(out, "value", facts[i].value);
		fputc('}', out);
		comma = ",";
	}
}

int
bench_write_json(const char *path)
{
	const struct bench_options *o = &bench_options;
	FILE *out = open_file(path);

	if (out == NULL)
		return -EIO;
	fprintf(out, "{\n  \"tool\": \"slabio-bench\",\n");
	json_host(out);
	fprintf(out,
		"  \"options\": {\"pairs\": %u, \"ms\": %u, \"objects\": %u, \"object_size\": %u, "
		"\"queue\": %u},\n  \"conserved\": %s,\n  \"machine\": [",
		o->pairs, o->ms, o->objects, o->object_size, o->queue,
		bench_conserved ? "true" : "false");
	json_facts(out, "machine");
	fprintf(out, "\n  ],\n  \"recovery\": [");
	json_facts(out, "recovery");
	fprintf(out, "\n  ],\n  \"results\": [");
	for (unsigned int i = 0; i < bench_n_results; i++) {
		fprintf(out, "%s\n", i > 0 ? "," : "");
		json_result(out, &bench_results[i]);
	}
	fprintf(out, "\n  ],\n  \"skipped\": [");
	for (unsigned int i = 0; i < n_skips; i++) {
		fprintf(out, "%s\n    {", i > 0 ? "," : "");
		json_text(out, "what", skips[i].what);
		fprintf(out, ", ");
		json_text(out, "why", skips[i].why);
		fputc('}', out);
	}
	fprintf(out, "\n  ]\n}\n");
	return close_file(out, path);
}

int
bench_write_csv(const char *path)
{
	FILE *out = open_file(path);

	if (out == NULL)
		return -EIO;
	fprintf(out, "suite,pattern,lcores,bulk,size,touch,unit,subject,rival,pairs,"
		     "subject_median,subject_min,subject_max,rival_median,rival_min,rival_max,"
		     "ratio_median,ratio_min,ratio_max,line_ns,disturbed,bar\n");
	for (unsigned int i = 0; i < n_facts; i++)
		fprintf(out, "%s,\"%s\",,,,,%s,,,%u,%.4f,%.4f,%.4f,,,,,,,,%u,\n", facts[i].suite,
			facts[i].name, facts[i].unit, bench_options.pairs, facts[i].value.median,
			facts[i].value.min, facts[i].value.max, facts[i].disturbed);
	for (unsigned int i = 0; i < bench_n_results; i++) {
		const struct bench_result *r = &bench_results[i];
		const struct bench_case *c = &r->of;

		fprintf(out,
			"%s,%s,%u,%u,%u,%d,%s,%s,%s,%u,%.4f,%.4f,%.4f,%.4f,%.4f,%.4f,%.4f,%.4f,"
			"%.4f,%.1f,%u,",
			c->suite, c->pattern, c->lcores, c->bulk, c->size, c->touch,
			c->unit == BENCH_MOPS ? "M/s" : "ns", c->subject, c->rival, r->pairs,
			r->subject.median, r->subject.min, r->subject.max, r->rival.median,
			r->rival.min, r->rival.max, r->ratio.median, r->ratio.min, r->ratio.max,
			r->line.median, r->disturbed);
		if (c->bar != 0)
			fprintf(out, "%.2f", c->bar);
		fputc('\n', out);
	}
	return close_file(out, path);
}
