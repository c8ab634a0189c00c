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
	RBUFF_WRITES_CHECKED = 3, /**< looks at the holder words of what it writes */
	RBUFF_READS_BLOCKS = 4,	  /**< stores its name into them */
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
	/* a ring that carries an exact pool's blocks */
	_Atomic uint64_t *holders;
	uint32_t n_blocks;
	uint32_t number;
	uint64_t me; /**< this process in a holder word */
	const struct rbuff_layout *shared;
	uint64_t writer; /**< of the list of writers: whose block was read last, as a holder word */
	uint64_t skipped; /**< elements left out of a read, of which nobody was told yet */
};

struct sio_rbuff {
	struct sio_segment *seg;
	struct rbuff_layout *shared;
	struct rbuff_side *side; /**< NULL for an observer */
	enum sio_rbuff_role role;
	uint64_t self;		/**< the role word under which the role was taken */
	struct sio_pool *pool;	/**< exact pool whose blocks it carries; or NULL */
	sio_member_t pool_self; /**< this process in it */
	/* geometry, checked when the ring was opened and not read from shared memory again */
	uint32_t capacity;
	uint32_t element_size;
	uint32_t per_line;
	uint32_t lines;
	uint32_t number; /**< as constants.number and .uid */
	uint64_t uid;
};

static inline enum sio_rbuff_role
rbuff_other(enum sio_rbuff_role role)
{
	return role == SIO_RBUFF_PRODUCER ? SIO_RBUFF_CONSUMER : SIO_RBUFF_PRODUCER;
}

/* rbuff.c */
/**
 * As sio_rbuff_peek(), for a position that is below the published end by the caller's own look.
 * That end is not looked for again: it takes a walk over the lines beside a dead producer.
 */
int sio__rbuff_peek_queued(const struct sio_rbuff *ring, uint64_t position, void *element);
/** What a ring says of itself, checked by geometry_take(). */
static inline const struct rbuff_constants *
rbuff_constants(const struct sio_rbuff *ring)
{
	return &ring->shared->constants;
}

/* rbuff_roles.c */
/** Takes the role that the handle is for. @return 0; -EBUSY; -EPERM; -ENOENT the ring is ending */
int sio__rbuff_role_take(struct sio_rbuff *ring);
/** Gives it back. */
void sio__rbuff_role_leave(struct sio_rbuff *ring);
/** Frees the slots of dead members that have no role: they hold nothing. @return how many */
unsigned int sio__rbuff_bury_roleless(struct sio_rbuff *ring);

/* rbuff_blocks.c: rings that carry the blocks of an exact pool */
/** Fills in number and names of a ring that is being made. @return 0 or -errno */
int sio__rbuff_number_take(struct rbuff_constants *c, const struct sio_rbuff_opts *opts);
/** It was published, or will never be. */
void sio__rbuff_number_use(struct sio_pool *pool, uint32_t number, bool published);
/** Says whose blocks go through a ring that is being opened. @return 0 or -errno */
int sio__rbuff_pool_set(struct sio_rbuff *ring, struct sio_pool *pool);
/** The role is ours. @param empty nothing is queued */
void sio__rbuff_blocks_start(struct sio_rbuff *ring, bool empty);
/** Whether a holder word is the name of a member whose blocks may be queued in the ring. */
bool sio__rbuff_is_writer(const struct rbuff_layout *shared, uint64_t holder);
/**
 * Before a ring of that name is replaced: what is queued in it, in the name of who lives on, names
 * its position from now on, so that recovery finds it when the ring is gone.
 */
void sio__rbuff_keep_queued(struct sio_pool *pool, const char *name);
struct sio_local;
struct sio_dead;
/**
 * Takes what is queued out of a ring that this process has in CLOSING, and gives it to the pool.
 *
 * @param dead recovery: blocks of these are taken as well; else NULL
 * @return blocks
 */
uint32_t sio__rbuff_unload(
	struct sio_rbuff *ring, struct sio_local *local, const struct sio_dead *dead);
/** Roles in it are not taken any more; who leaves last closes it. */
void sio__rbuff_end(struct sio_rbuff *ring);
/** The role was given back: closes the ring if it is to end, and this was the last one. */
void sio__rbuff_blocks_leave(struct sio_rbuff *ring);

/* rbuff_look.c: what lies in the rings of a pool */
struct sio_queued;
typedef void (*rbuff_queued_fn)(void *arg, const struct sio_queued *queued);
/**
 * Opens the ring of an entry to be looked at.
 *
 * @param word the entry's word before its name is read
 * @return 0; -ENOENT no ring with that random number is under that name; -EAGAIN the entry changed;
 *         -errno
 */
int sio__rbuff_open_entry(
	struct sio_pool *pool, uint32_t number, uint64_t word, struct sio_rbuff **out);
/**
 * Calls fn for each position that is published and not consumed: for all that are so from before
 * the call until after it.
 *
 * @return false if its positions make no sense
 */
bool sio__rbuff_each_queued(struct sio_rbuff *ring, rbuff_queued_fn fn, void *arg);

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
