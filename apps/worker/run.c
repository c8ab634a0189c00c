/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker.h"

volatile sig_atomic_t worker_quit;

static int said_slot = -1;

void
worker_say(const char *format, ...)
{
	char line[512], slot[16] = "";
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	if (said_slot >= 0)
		snprintf(slot, sizeof(slot), " %d", said_slot);
	fprintf(stderr, "%s%s: %s\n", worker_program, slot, line);
}

struct options {
	const char *attach;
	const char *fn;
	int slot;
	uint64_t wait_s;
	uint64_t cost_ns;
};

static void
usage(FILE *out)
{
	fprintf(out,
		"%s %s--attach NAME [options]\n"
		"  --attach NAME      instance of slabio-l2fwd to work for\n"
		"  --slot N           its worker slot (default: the first free one)\n"
		"  --fn FUNCTION      count, macswap or filter=EXPRESSION (default: count)\n"
		"  --wait SECONDS     how long to wait for the slot to become free (default: 2)\n"
		"  --cost NS          time to spend on each packet beside the function (default: "
		"0)\n"
		"  --help\n"
		"Exit status: 0 told to go, 1 could not start, 2 usage, 3 slabio-l2fwd is gone,\n"
		"4 a descriptor or a ring broke the rules.\n",
		worker_program, worker_synopsis);
}

static int
number(const char *option, const char *text, uint64_t max, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || *value > max) {
		worker_say("--%s expects 0 to %" PRIu64 ", found \"%s\"", option, max, text);
		return -EINVAL;
	}
	return 0;
}

enum { OPT_ATTACH = 256, OPT_SLOT, OPT_FN, OPT_WAIT, OPT_COST, OPT_HELP };

/* @return 0 go on; 1 done; -EINVAL */
static int
parse(int argc, char **argv, struct options *o)
{
	static const struct option longopts[] = {{"attach", required_argument, NULL, OPT_ATTACH},
		{"slot", required_argument, NULL, OPT_SLOT},
		{"fn", required_argument, NULL, OPT_FN},
		{"wait", required_argument, NULL, OPT_WAIT},
		{"cost", required_argument, NULL, OPT_COST}, {"help", no_argument, NULL, OPT_HELP},
		{NULL, 0, NULL, 0}};
	uint64_t value;
	int opt;

	*o = (struct options){.fn = "count", .slot = -1, .wait_s = 2};
	while ((opt = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		switch (opt) {
		case OPT_ATTACH:
			o->attach = optarg;
			break;
		case OPT_SLOT:
			if (number("slot", optarg, L2FWD_SLOTS_MAX - 1, &value) != 0)
				return -EINVAL;
			o->slot = (int)value;
			break;
		case OPT_FN:
			o->fn = optarg;
			break;
		case OPT_WAIT:
			if (number("wait", optarg, 3600, &o->wait_s) != 0)
				return -EINVAL;
			break;
		case OPT_COST:
			if (number("cost", optarg, 1000000000, &o->cost_ns) != 0)
				return -EINVAL;
			break;
		case OPT_HELP:
			usage(stdout);
			return 1;
		default:
			usage(stderr);
			return -EINVAL;
		}
	}
	if (optind != argc) {
		worker_say("found \"%s\" where no argument is expected", argv[optind]);
		return -EINVAL;
	}
	if (o->attach == NULL || sio_name_check(o->attach) != 0 ||
		strlen(o->attach) >= L2FWD_INSTANCE_LEN) {
		worker_say("--attach expects an instance name of 1 to %d characters of "
			   "[A-Za-z0-9._#@:+-], found \"%s\"",
			L2FWD_INSTANCE_LEN - 1, o->attach == NULL ? "" : o->attach);
		return -EINVAL;
	}
	return 0;
}

static void
log_line(enum sio_log_level level, const char *message, void *arg)
{
	(void)level;
	(void)arg;
	worker_say("%s", message);
}

static void
on_signal(int sig)
{
	(void)sig;
	worker_quit = 1;
}

static void
catch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

int
worker_run(int argc, char **argv)
{
	struct options o;
	struct function fn;
	struct session s;
	struct worker_stats stats = {0};
	int ret;

	ret = parse(argc, argv, &o);
	if (ret != 0)
		return ret > 0 ? 0 : WORKER_EXIT_USAGE;
	if (function_parse(&fn, o.fn) != 0)
		return WORKER_EXIT_USAGE;
	sio_log_set(log_line, NULL, SIO_LOG_WARNING);
	catch_signals();
	ret = session_attach(&s, o.attach, o.slot, sio_now_ns() + o.wait_s * 1000000000u);
	if (ret != 0) {
		function_free(&fn);
		return WORKER_EXIT_START;
	}
	said_slot = (int)s.slot;
	worker_say("attached to \"%s\" (incarnation %u), --fn %s", o.attach, s.incarnation, o.fn);
	ret = loop_run(&s, &fn, o.cost_ns, &stats);
	worker_say("%" PRIu64 " packets, %" PRIu64 " bytes, %" PRIu64 " rejected; %" PRIu64
		   " bursts, %" PRIu64 " sleeps",
		stats.packets, stats.bytes, stats.dropped, stats.bursts, stats.sleeps);
	session_detach(&s);
	function_free(&fn);
	return ret;
}
