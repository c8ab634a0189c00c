/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * slabioctl: looks at the pools and rings of this machine from outside, beside running and crashed
 * processes.
 */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <slabio/common.h>
#include "ctl.h"

static void
usage(FILE *out)
{
	fprintf(out,
		"usage: slabioctl [-v] COMMAND [ARGUMENT]\n"
		"\n"
		"  list                  pools, rings and other segments of this user\n"
		"  info POOL             geometry and members of a pool\n"
		"  ring RING             state, positions and members of a ring\n"
		"  audit [-r] POOL       meet every block once: in magazines, in rings, in hands;\n"
		"                        -r, --at-rest: no block may be in use\n"
		"  shards POOL           what each shard of a pool did and has\n"
		"  top [-d SECONDS] [-n COUNT] [POOL]\n"
		"                        free blocks, takes, gives, exchanges and steals per "
		"second\n"
		"  reclaim [--free-quarantine] POOL\n"
		"                        bring back what dead members of the pool held; also what "
		"is in\n"
		"                        quarantine, if no other process is a member\n"
		"  quarantine POOL       blocks that dead members may have held\n"
		"  rm NAME               remove a segment that no living process is a member of\n"
		"\n"
		"Exit status: 0 all is well, 1 something is wrong with it, 2 it cannot be looked "
		"at.\n"
		"The runtime folder is $%s or /dev/shm/slabio.UID.\n",
		SIO_RUNTIME_DIR_ENV);
}

static void
to_stderr(enum sio_log_level level, const char *message, void *arg)
{
	(void)level;
	(void)arg;
	fprintf(stderr, "slabioctl: %s\n", message);
}

static int
wrong_usage(const char *why, const char *what)
{
	fprintf(stderr, "slabioctl: %s%s; see slabioctl --help\n", why, what);
	return CTL_ERROR;
}

static int
run(const char *command, const char *name, bool at_rest, bool free_quarantine)
{
	if (strcmp(command, "shards") == 0)
		return ctl_shards(name);
	if (strcmp(command, "reclaim") == 0)
		return ctl_reclaim(name, free_quarantine);
	if (strcmp(command, "quarantine") == 0)
		return ctl_quarantine(name);
	if (strcmp(command, "info") == 0)
		return ctl_info(name);
	if (strcmp(command, "ring") == 0)
		return ctl_ring(name);
	if (strcmp(command, "rm") == 0)
		return ctl_remove(name);
	return ctl_audit(name, at_rest);
}

static bool
known(const char *command)
{
	static const char *const commands[] = {
		"info", "ring", "rm", "audit", "shards", "reclaim", "quarantine"};

	for (unsigned int i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(command, commands[i]) == 0)
			return true;
	return false;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{"verbose", no_argument, NULL, 'v'},
		{"at-rest", no_argument, NULL, 'r'},
		{"free-quarantine", no_argument, NULL, 'q'},
		{"delay", required_argument, NULL, 'd'},
		{"count", required_argument, NULL, 'n'},
		{NULL, 0, NULL, 0},
	};
	enum sio_log_level level = SIO_LOG_WARNING;
	const char *command, *name;
	bool at_rest = false, for_top = false, free_quarantine = false;
	double delay = 1;
	unsigned long count = 0;
	char *end;
	int opt;

	while ((opt = getopt_long(argc, argv, "hvrd:n:", options, NULL)) != -1) {
		switch (opt) {
		case 'h':
			usage(stdout);
			return CTL_OK;
		case 'v':
			level = SIO_LOG_DEBUG;
			break;
		case 'r':
			at_rest = true;
			break;
		case 'q':
			free_quarantine = true;
			break;
		case 'd':
			for_top = true;
			delay = strtod(optarg, &end);
			if (*end != '\0' || !(delay >= 0.01 && delay <= 86400))
				return wrong_usage(
					"--delay takes 0.01 to 86400 seconds, not ", optarg);
			break;
		case 'n':
			for_top = true;
			count = strtoul(optarg, &end, 10);
			if (*end != '\0' || *optarg < '1' || *optarg > '9' || count > 1000000)
				return wrong_usage("--count takes 1 to 1000000, not ", optarg);
			break;
		default:
			return wrong_usage("unknown option", "");
		}
	}
	sio_log_set(to_stderr, NULL, level);
	if (optind == argc)
		return wrong_usage("a command is missing", "");
	command = argv[optind++];
	name = optind < argc ? argv[optind++] : NULL;
	if (optind < argc)
		return wrong_usage("too many arguments: ", argv[optind]);
	if (at_rest && strcmp(command, "audit") != 0)
		return wrong_usage("--at-rest goes with audit, not with ", command);
	if (free_quarantine && strcmp(command, "reclaim") != 0)
		return wrong_usage("--free-quarantine goes with reclaim, not with ", command);
	if (for_top && strcmp(command, "top") != 0)
		return wrong_usage("--delay and --count go with top, not with ", command);
	if (strcmp(command, "top") == 0)
		return ctl_top(name, delay, (unsigned int)count);
	if (strcmp(command, "list") == 0)
		return name == NULL ? ctl_list() : wrong_usage("list takes no argument: ", name);
	if (!known(command))
		return wrong_usage("unknown command ", command);
	if (name == NULL)
		return wrong_usage("a name is missing after ", command);
	return run(command, name, at_rest, free_quarantine);
}
