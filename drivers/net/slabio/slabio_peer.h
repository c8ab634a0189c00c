/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_PEER_H
#define SLABIO_PEER_H

/**
 * @file
 * The processes of one port: which there are, and which of them live.
 *
 * A secondary has a place among the peers of a port, and for as long as it lives a lock on that
 * place's byte in a file of the primary's. The kernel drops the lock with the process, however that
 * ends, and who asks for it learns it without waiting. Neither a process's number nor a time-out
 * says that somebody is dead.
 *
 * Secondaries are told of changes by a word that they sleep on, not by messages: to one that is
 * stopped these would pile up until the primary waits.
 */

#include <stdbool.h>
#include <stdint.h>

#include "slabio_pmd.h"

/** One process's view of them. */
struct slabio_peers {
	struct slabio_dev *dev;
	int token_fd; /* opened once, closed when the process leaves: a close drops its locks */
	uint32_t me;
	bool held; /* the primary's: somebody living has sockets of a stopped port */
};

/** The primary's; 0 or a negative errno. */
int slabio_peers_create(struct slabio_peers *peers, struct slabio_dev *dev);
/** A secondary's: takes the first place that nobody living has. -ENOSPC if there is none. */
int slabio_peers_join(struct slabio_peers *peers, struct slabio_dev *dev, int token_fd);
/** The opposite of either. A secondary touches what processes share for the last time. */
void slabio_peers_leave(struct slabio_peers *peers);

/** Whether a process has ended, or has left the port. The primary never has. */
bool slabio_peer_dead(const struct slabio_peers *peers, uint32_t id);

static inline struct slabio_peer *
slabio_peer_self(const struct slabio_peers *peers)
{
	return &peers->dev->peers[peers->me % SLABIO_PEERS];
}

/** Wakes up whoever sleeps until something changes. */
void slabio_peers_tell(struct slabio_dev *dev);
/** Sleeps until then, or so long; `seen` is what dev->changes was before all was looked at. */
void slabio_peers_sleep(struct slabio_dev *dev, uint32_t seen, unsigned int ms);
/**
 * For the primary: waits until no living secondary has any of the port's sockets, or until all have
 * left the port. Not for long.
 *
 * @return whether none has
 */
bool slabio_peers_wait(const struct slabio_peers *peers, bool left);
/** The same without waiting: whether a living secondary has any of the port's sockets. */
bool slabio_peers_hold(const struct slabio_peers *peers);

#endif /* SLABIO_PEER_H */
