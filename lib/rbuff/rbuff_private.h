/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_RBUFF_PRIVATE_H
#define SIO_RBUFF_PRIVATE_H

/**
 * @file
 * What the files of this folder share: a process's view of a ring.
 */

#include <stdbool.h>
#include "rbuff_layout.h"

/**
 * What a side's kind says while its handle has that role in this process. Zero after fork(), in the
 * child.
 */
enum rbuff_kind {
	RBUFF_NOBODY = 0,
	RBUFF_WRITES = 1,
	RBUFF_READS = 2,
};

/**
 * The private cursor of the producer or the consumer, on a page of its own that a forked child
 * finds zeroed. Nothing here is ever read back from shared memory, so nothing that the other side
 * writes can lead it outside of the ring.
 */
struct rbuff_side {
	uint32_t kind;
	uint32_t element_size;
	struct rbuff_line *line; /**< where position is */
	uint32_t in_line;	 /**< elements of that line that lie before position */
	uint32_t lines;
	uint64_t position;
	/**
	 * Producer: what may be written ends here. Consumer: what is known to be published ends
	 * here.
	 */
	uint64_t limit;
	struct rbuff_line *first;
	struct rbuff_line *last; /**< one after the last line */
	_Atomic uint64_t *mine;	 /**< own position in shared memory */
	struct rbuff_control *control;
	uint32_t capacity;
	/**
	 * A sleeper's barrier does not reach this process: make one at every look at the other
	 * side.
	 */
	bool fences;
	const _Atomic uint64_t *theirs; /**< the other side's position in shared memory */
	uint64_t peer_checked_ns;	/**< when its life token was last looked at */
};

struct sio_rbuff {
	struct sio_segment *seg;
	struct rbuff_layout *shared;
	struct rbuff_side *side; /**< NULL for an observer */
	enum sio_rbuff_role role;
	sio_member_t self; /**< name under which the role was taken */
	/* geometry, checked when the ring was opened and not read from shared memory again */
	uint32_t capacity;
	uint32_t element_size;
	uint32_t per_line;
	uint32_t lines;
};

static inline enum sio_rbuff_role
rbuff_other(enum sio_rbuff_role role)
{
	return role == SIO_RBUFF_PRODUCER ? SIO_RBUFF_CONSUMER : SIO_RBUFF_PRODUCER;
}

/* rbuff_wait.c */
/** Prepares this process for barriers that sleepers issue. @return whether that can be relied on */
bool sio__rbuff_barriers_register(void);
/** Wakes the side, if what it waits for is there. Called after a look said that it sleeps. */
void sio__rbuff_wake_side(struct rbuff_control *control, enum sio_rbuff_role role);
/** Wakes both sides, whatever they wait for. */
void sio__rbuff_wake_all(struct rbuff_control *control);
/** State of the member named in a role: FREE, LIVE or DEAD. */
enum sio_member_state sio__rbuff_role_state(const struct sio_rbuff *ring, enum sio_rbuff_role role);

#endif /* SIO_RBUFF_PRIVATE_H */
