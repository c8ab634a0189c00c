/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_RBUFF_H
#define SIO_RBUFF_H

/**
 * @file
 * The ring between two processes: one producer, one consumer, elements of 4, 8 or 16 bytes.
 *
 * Positions count elements from 0 and never wrap (64 bits). Bulk calls move all or nothing, burst
 * calls as many as fit; a whole write is a bulk write that is seen at once. The data path makes no system call unless the other side sleeps, and waits
 * for nobody except in the timed forms. What one side was killed or stopped in the middle of never
 * blocks the other: it sees either all of an element or nothing of it.
 *
 * Thread rules: one producer thread and one consumer thread at a time; state, count and position
 * calls from any thread of any attached process.
 *
 * Ownership of what the elements name passes with a successful write, and only for the elements
 * written.
 *
 * A ring that carries the blocks of an exact pool passes them from the writer to the ring and from
 * the ring to the reader, each block in one element; the reader puts its name on them. A member
 * writes blocks that it has, each once. When a process dies, sio_pool_recover() frees its side of
 * the ring: what was queued stays queued and in order, what it had read but not stated as read is
 * queued again, what it had not published is free. Another process can then attach in its place.
 * Leave such rings before the pool.
 */

#include <stdbool.h>
#include <slabio/common.h>
#include <slabio/segment.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Smallest capacity of a ring in elements. */
#define SIO_RBUFF_CAPACITY_MIN 8u
/** Largest capacity of a ring in elements. */
#define SIO_RBUFF_CAPACITY_MAX (1u << 24)

/**
 * A packet, or one piece of it, as it crosses between processes without a common address map: an
 * element of 16 bytes.
 */
struct sio_desc {
	uint32_t handle;   /**< block in its pool */
	uint16_t offset;   /**< first byte of data in the block's payload */
	uint16_t length;   /**< bytes of data in this block */
	uint16_t flags;	   /**< SIO_DESC_... */
	uint16_t port;	   /**< where it came from */
	uint32_t position; /**< low 32 bits of the position in the ring it was first written to */
};

_Static_assert(sizeof(struct sio_desc) == 16, "a descriptor is one 16-byte element");

#define SIO_DESC_MORE 0x1u /**< the packet goes on in the next descriptor */
#define SIO_DESC_DROP 0x2u /**< verdict on the way back: do not forward */

/** Ring states, bits set and cleared one by one. None set: read-write. */
#define SIO_RBUFF_RDONLY 0x1u /**< writes are refused with -EROFS; reads go on */
#define SIO_RBUFF_DOWN	 0x2u /**< writes are refused with -ESHUTDOWN; reads too, once drained */
#define SIO_RBUFF_GONE \
	0x4u /**< the peer is gone: reads give -EPIPE once drained, writes still go in */

enum sio_rbuff_role {
	SIO_RBUFF_PRODUCER = 0,
	SIO_RBUFF_CONSUMER = 1,
	SIO_RBUFF_OBSERVER = 2, /**< looks only */
};

struct sio_rbuff;
struct sio_pool;

/** How to create a ring. Set sz to sizeof(struct sio_rbuff_opts) and zero the rest. */
struct sio_rbuff_opts {
	size_t sz;
	const char *name; /**< NULL: nobody attaches by name */
	uint32_t
		capacity; /**< elements, a power of two from 8 to SIO_RBUFF_CAPACITY_MAX; all are usable */
	uint32_t element_size;	  /**< bytes: 4, 8 or 16 */
	enum sio_rbuff_role role; /**< what the creator will be */
	const char *
		pool; /**< name of the pool whose handles are in the elements' first 4 bytes; or NULL */
	/**
	 * The pool whose blocks go through the ring, by handles in the elements' first 4 bytes; or
	 * NULL. If it is exact, they are followed by their holder words: see above. Needs a name, and
	 * SIO_BACKING_FILE. Sets pool.
	 */
	struct sio_pool *carries;
	const char *pair;	  /**< name of the ring that brings the same blocks back; or NULL */
	uint64_t cookie;	  /**< for the user; see sio_rbuff_info() */
	enum sio_backing backing; /**< AUTO: SIO_BACKING_FILE */
};

/**
 * Creates a ring, empty and read-write, and publishes it.
 *
 * @return 0; -EINVAL an option is out of range (logged); -EEXIST a ring of that name is in use;
 *         another negative errno of sio_segment_create()
 */
SIO_API int sio_rbuff_create(const struct sio_rbuff_opts *opts, struct sio_rbuff **ring);

/**
 * Attaches to a ring by name.
 *
 * Who attaches in the place of a dead member goes on where that one stopped: a consumer with the
 * first element that is not stated as consumed, a producer after the last one published.
 *
 * @return 0; -ENOENT; -EPROTO no ring, damaged, or of another layout version; -EBUSY a living
 *         process (this one included) has that role already; -EINVAL; another negative errno of
 *         sio_segment_attach()
 */
SIO_API int sio_rbuff_attach(const char *name, enum sio_rbuff_role role, struct sio_rbuff **ring);

/**
 * As sio_rbuff_attach(), to a ring that carries the blocks of this pool. Recovers the pool first if
 * the role is a dead one's.
 *
 * @param pool the pool that was given when the ring was created; to a ring without holder words
 *             also one that is not exact, or NULL
 * @return also -EINVAL the ring carries blocks of another pool, or pool is NULL and it carries some;
 *         -ENOENT the ring was destroyed and waits for the other side to leave; -EBUSY also: another
 *         process recovers that side just now
 */
SIO_API int sio_rbuff_attach_blocks(
	const char *name, enum sio_rbuff_role role, struct sio_pool *pool, struct sio_rbuff **ring);

/**
 * Leaves the ring. What is queued stays queued. The other side sees SIO_MEMBER_FREE as the peer's
 * state.
 */
SIO_API void sio_rbuff_detach(struct sio_rbuff *ring);

/**
 * Detaches and removes the name.
 *
 * A ring that carries blocks loses its name when both sides have left: until then the other side
 * can use it and nobody takes a role in it any more. What is queued then goes back to the pool. Of
 * a ring that is not destroyed, and whose name is removed when nobody lives in it, what a living
 * member had written stays in its name until it leaves the pool or dies; a new ring of that name,
 * with the same pool's blocks, brings it back with the next recovery.
 */
SIO_API void sio_rbuff_destroy(struct sio_rbuff *ring);

/**
 * Writes elements in order.
 *
 * A bulk or burst write is published line by line as it is stored: a reader may find its first part
 * already, and a writer that dies in it may have published the first part only. A whole write is a
 * bulk write that is published at once: a reader, also of a writer that died in it, finds all of it
 * or nothing. A packet of several elements (SIO_DESC_MORE) goes in by one whole write, alone or
 * among others. Where all fit in what is left of a line (14 elements of 4 bytes, 7 of 8, 3 of 16)
 * the two are the same; else a reader that waits gets the first elements later.
 *
 * @param elements n elements of the ring's element size
 * @return number written: n or 0 (bulk, whole), 0 to n (burst); or, with nothing written: -EROFS or
 *         -ESHUTDOWN by state; -EINVAL n is larger than the capacity (bulk, whole); -EPERM this
 *         handle is not the producer's, or came here through fork(); -EPROTO the consumer's
 *         position makes no sense: give the ring up; -EACCES the ring carries blocks of a pool with
 *         SIO_POOL_CHECK, and one of the elements names none that this member has
 */
SIO_API int sio_rbuff_write_bulk(struct sio_rbuff *ring, const void *elements, unsigned int n);
SIO_API int sio_rbuff_write_burst(struct sio_rbuff *ring, const void *elements, unsigned int n);
SIO_API int sio_rbuff_write_whole(struct sio_rbuff *ring, const void *elements, unsigned int n);

/**
 * Reads elements in order. What was queued before a state was set is delivered before the state is
 * seen.
 *
 * A rest that is smaller than n is no drained ring: a bulk read then returns 0, a burst read takes
 * the rest.
 *
 * In a ring that carries blocks, an element whose block is none that a writer of this ring had (it
 * was written twice, or memory was overwritten) is consumed and left out: also a bulk read is then
 * of fewer.
 *
 * @return number read: n or 0 (bulk), 0 to n (burst); or, with nothing read: -ESHUTDOWN or -EPIPE
 *         by state, once drained; -EINVAL n is larger than the capacity (bulk); -EPERM this handle
 *         is not the consumer's, or came here through fork(); -EPROTO no producer of this ring
 *         wrote what is there: give the ring up
 */
SIO_API int sio_rbuff_read_bulk(struct sio_rbuff *ring, void *elements, unsigned int n);
SIO_API int sio_rbuff_read_burst(struct sio_rbuff *ring, void *elements, unsigned int n);

/**
 * Timed forms: sleep until n fit (bulk) or until at least one element is there (burst), the state
 * forbids it, or the time has come. SIO_FOREVER never times out but still looks at the peer's life
 * token every second.
 *
 * @param deadline_ns absolute, CLOCK_MONOTONIC Writes are bulk, reads are burst. A peer that has
 * not attached yet, or that left in order, is waited for.
 *
 * @return as the plain forms, never 0 for n > 0; -ETIMEDOUT; -EPIPE the peer is dead and nothing is
 *         left to read, or no room left to write
 */
SIO_API int sio_rbuff_write_timed(
	struct sio_rbuff *ring, const void *elements, unsigned int n, uint64_t deadline_ns);
SIO_API int sio_rbuff_read_timed(
	struct sio_rbuff *ring, void *elements, unsigned int n, uint64_t deadline_ns);

/** Sets state bits, without touching others, and wakes every sleeper. */
SIO_API void sio_rbuff_state_set(struct sio_rbuff *ring, uint32_t bits);
/** Clears state bits, without touching others, and wakes every sleeper. */
SIO_API void sio_rbuff_state_clear(struct sio_rbuff *ring, uint32_t bits);
/** The state bits now. */
SIO_API uint32_t sio_rbuff_state(const struct sio_rbuff *ring);

/** Elements queued: written and not read. Exact while neither side works. */
SIO_API uint32_t sio_rbuff_count(const struct sio_rbuff *ring);

/**
 * Position after the last element written, read from the ring itself. Any process, also beside a
 * dead producer.
 */
SIO_API uint64_t sio_rbuff_published(const struct sio_rbuff *ring);
/** Position of the next element to read, as the consumer last stated it. */
SIO_API uint64_t sio_rbuff_consumed(const struct sio_rbuff *ring);

/**
 * Copies the element at a position that is still in the ring's memory, for audits and for taking
 * back what a dead peer held. Bounded and checked; the caller must know that the producer does not
 * overwrite it meanwhile.
 *
 * @return 0; -ENOENT the position was not written yet or was overwritten
 */
SIO_API int sio_rbuff_peek(const struct sio_rbuff *ring, uint64_t position, void *element);

/**
 * State of the process on the other side: FREE while nobody has attached yet or after it left,
 * LIVE, or DEAD until somebody takes its role over. To an observer the other side is the producer.
 * Makes a system call.
 */
SIO_API enum sio_member_state sio_rbuff_peer(struct sio_rbuff *ring);

struct sio_rbuff_info {
	char name[SIO_NAME_LEN];
	char pool[SIO_NAME_LEN];
	char pair[SIO_NAME_LEN];
	uint32_t capacity;
	uint32_t element_size;
	uint32_t state;
	uint32_t count;
	uint32_t number; /**< in its pool, by which holder words name it; 0: they do not */
	uint64_t cookie;
	sio_member_t producer;
	sio_member_t consumer;
};

/** Facts about a ring. */
SIO_API void sio_rbuff_info(const struct sio_rbuff *ring, struct sio_rbuff_info *info);

/** The ring's segment. */
SIO_API struct sio_segment *sio_rbuff_segment(const struct sio_rbuff *ring);

#ifdef __cplusplus
}
#endif

#endif /* SIO_RBUFF_H */
