/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

static const char *const mode_names[] = {
	[CRASH_KILL] = "kill",
	[CRASH_STOP] = "stop",
	[CRASH_BUSY] = "kill, partner working",
};

static const char *const depth_names[] = {
	[CRASH_EVERY] = "every",
	[CRASH_DISTINCT] = "distinct",
	[CRASH_SAMPLE] = "sample",
};

/** Ends the table's line for one sweep. Returns true if it is without fault. */
static bool
print_row(const struct crash_row *row, int rc, const struct crash_sum *sum)
{
	uint32_t faults = sum->visited - sum->verdicts[CRASH_OK];

	printf("%-40s %-21s %8u %6u %-8s %6u/%-6u %5u %5u %7u %5u %11llu %6llu %6.1f\n",
		row->c->name, mode_names[row->mode], sum->instructions, sum->states,
		depth_names[sum->depth], sum->visited, sum->points, sum->verdicts[CRASH_HUNG],
		sum->verdicts[CRASH_LOST], sum->verdicts[CRASH_DOUBLED], sum->verdicts[CRASH_WRONG],
		(unsigned long long)sum->quarantined, (unsigned long long)sum->figure,
		sum->seconds);
	if (rc != 0 || faults > 0)
		printf("  -> %s\n", sum->first);
	fflush(stdout);
	return rc == 0 && faults == 0 && sum->visited == sum->points && sum->visited > 0;
}

static int
usage(const char *program)
{
	fprintf(stderr,
		"usage: %s [-l] [-k POINT] [WORD]\n"
		"  -l        list the sweeps\n"
		"  -k POINT  this point only\n"
		"  WORD      only sweeps with WORD in their names\n"
		"SLABIO_CRASH_FULL=1 in the environment: at every instruction, of very long "
		"operations at\n"
		"every one that changed shared memory and every system call\n",
		program);
	return 2;
}

int
crash_main(int argc, char **argv, const struct crash_row *rows, size_t n)
{
	const char *env = getenv("SLABIO_CRASH_FULL"), *word = "";
	bool full = env != NULL && strcmp(env, "1") == 0, list = false;
	unsigned int bad = 0, run = 0;
	long only = -1;
	int opt;

	while ((opt = getopt(argc, argv, "lk:")) != -1) {
		if (opt == 'l')
			list = true;
		else if (opt == 'k')
			only = strtol(optarg, NULL, 10);
		else
			return usage(argv[0]);
	}
	if (optind < argc)
		word = argv[optind];
	if (!list)
		printf("%-40s %-21s %8s %6s %-8s %13s %5s %5s %7s %5s %11s %6s %6s\n", "operation",
			"mode", "instr.", "states", "points", "visited/of", "hung", "lost",
			"doubled", "wrong", "quarantined", "figure", "s");
	for (size_t i = 0; i < n; i++) {
		enum crash_depth depth = full ? rows[i].full : rows[i].compact;
		struct crash_sum sum;
		int rc;

		if (strstr(rows[i].c->name, word) == NULL || (depth == CRASH_NONE && !list))
			continue;
		if (list) {
			printf("%s (%s)\n", rows[i].c->name, mode_names[rows[i].mode]);
			continue;
		}
		run++;
		rc = crash_sweep(rows[i].c, rows[i].mode, depth, only, &sum);
		if (rc == -ENOSYS) {
			printf("skipped: stepping needs an x86-64 processor\n");
			return 77;
		}
		if (rc == -EINTR)
			return 130;
		bad += !print_row(&rows[i], rc, &sum);
	}
	if (list)
		return 0;
	if (run == 0) {
		printf("no sweep has '%s' in its name\n", word);
		return 1;
	}
	if (bad != 0)
		printf("%u of %u sweeps found faults; look at one with: %s -k POINT 'operation'\n",
			bad, run, argv[0]);
	return bad != 0;
}
