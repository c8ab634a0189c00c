/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The loop of workers that die in the middle of a packet: everything else is slabio-worker's, or
 * slabio-eal-worker's. HALF in the environment says where, at the first packet of several
 * descriptors after fifty packets:
 *
 *   read   one descriptor of it is read
 *   back   all of it is read, and one descriptor returned
 *   both   as back, and one descriptor of the packet behind it is read
 *
 * The last two are what a worker would leave that does not return packets by whole writes.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker.h"

#define GOOD	50u
#define WAIT_NS 20000000000u

static void
read_one(const struct session *s, struct sio_desc *d)
{
	if (sio_rbuff_read_timed(s->out, d, 1, sio_now_ns() + WAIT_NS) == 1)
		return;
	worker_say("expected a descriptor, found none for a long time");
	exit(WORKER_EXIT_PROTOCOL);
}

static void
die(const char *where, unsigned int n)
{
	worker_say("dies: %s, %u descriptors", where, n);
	fflush(NULL);
	raise(SIGKILL);
}

int
loop_run(const struct session *s, const struct function *fn, uint64_t cost_ns,
	struct worker_stats *stats)
{
	const char *where = getenv("HALF") != NULL ? getenv("HALF") : "read";
	bool dies_early = strcmp(where, "read") == 0;
	struct sio_desc d[L2FWD_CHAIN_MAX];
	unsigned int n;

	(void)fn;
	(void)cost_ns;
	for (;; stats->packets++) {
		bool now = stats->packets >= GOOD;

		n = 1;
		read_one(s, &d[0]);
		if (now && dies_early && d[0].flags & SIO_DESC_MORE)
			die(where, n);
		while (d[n - 1].flags & SIO_DESC_MORE && n < L2FWD_CHAIN_MAX)
			read_one(s, &d[n++]);
		if (now && !dies_early && n > 1) {
			sio_rbuff_write_bulk(s->back, d, 1);
			if (strcmp(where, "both") == 0)
				read_one(s, &d[0]);
			die(where, n);
		}
		if (sio_rbuff_write_bulk(s->back, d, n) != (int)n)
			return WORKER_EXIT_PROTOCOL;
	}
}
