/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * A series of files in place of one: <name>-00001.<suffix>, <name>-00002.<suffix> and so on, each
 * begun when the one before has reached its size or age. The next file is opened before the last is
 * given up: if it cannot be, the queue stops with a whole file, as at any other error.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "slabio_pcap.h"

/* The name of a file of the series, in memory of its own; the number is not part of the suffix. */
static char *
numbered(const char *path, uint32_t number)
{
	const char *file = strrchr(path, '/');
	const char *dot;
	char *name;

	file = file == NULL ? path : file + 1;
	dot = strrchr(file, '.');
	/* .hidden has no suffix */
	if (dot == NULL || dot == file)
		dot = file + strlen(file);
	if (asprintf(&name, "%.*s-%05u%s", (int)(dot - path), path, number, dot) < 0)
		return NULL;
	return name;
}

char *
slabio_pcap_rotate_name(const struct slabio_pcap_opts *opts, const char *path, uint32_t number)
{
	return slabio_pcap_rotates(opts) ? numbered(path, number) : strdup(path);
}

/* Deletes the file that is one too many now. */
static void
delete_oldest(struct slabio_pcap_tx *tx)
{
	uint32_t keep = tx->opts->rotate_files;
	char *name;

	if (keep == 0 || tx->number <= keep)
		return;
	name = numbered(tx->path, tx->number - keep);
	if (name != NULL && unlink(name) != 0 && errno != ENOENT)
		SLABIO_LOG(WARNING, "%s: cannot delete %s, the oldest of %u files: %s", tx->device,
			name, keep, strerror(errno));
	free(name);
}

bool
slabio_pcap_rotate(struct slabio_txq *q, struct slabio_pcap_tx *tx)
{
	struct slabio_pcap_tx next = *tx;

	next.number++;
	if (slabio_pcap_writer_create(&next) != 0)
		return false;
	slabio_pcap_writer_finish(tx);
	*tx = next;
	slabio_count(&q->stats[SLABIO_TX_ROTATIONS], 1);
	delete_oldest(tx);
	return true;
}
