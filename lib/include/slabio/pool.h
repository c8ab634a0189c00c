/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_POOL_H
#define SIO_POOL_H

/**
 * @file
 * The slab pool: fixed-size blocks, taken and given by many threads of many processes.
 *
 * A block is named by its handle, a number from 0 to the block count less one. Each thread works on
 * a shard of its own without a locked instruction; magazines of handles move between shards and the
 * depot. Any process may be killed at any instruction of any call: nobody else waits for it and no
 * block is used twice.
 *
 * Thread rules, unless a call says otherwise: any thread of any attached process may call at any
 * time. A thread gets its shard at its first take or give and returns it when it ends. No call here
 * may be used in a signal handler that interrupted another call on the same pool.
 *
 * Ownership: taken blocks are the caller's until given back. A failed take leaves nothing with the
 * caller; a give cannot fail for blocks that are the caller's.
 */

#include <stdbool.h>
#include <stdio.h>
#include <slabio/common.h>
#include <slabio/segment.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Largest number of blocks of a pool. */
#define SIO_POOL_BLOCKS_MAX (1u << 30)
/** Largest number of shards of a pool: threads beyond it work from the depot, more slowly. */
#define SIO_POOL_SHARDS_MAX 1023
/** Largest number of blocks of a contiguous take. */
#define SIO_POOL_CONTIG_MAX 65535
/** Largest number of rings that carry blocks of one exact pool at a time. */
#define SIO_POOL_RINGS_MAX 16383

/**
 * Exact: holder words say which member has each block, so that everything a dead one held can be
 * told. Its members exchange blocks by rings that carry them (<slabio/rbuff.h>) and by hand-over
 * (sio_pool_hand_over()) only, and give back what is theirs; a block given back by another member
 * is taken out of use when its magazine reaches a third one, and logged.
 */
#define SIO_POOL_EXACT 0x1u
/**
 * Lent memory that every member maps at the same address, as EAL processes do: the pool then keeps
 * addresses, and the pointer calls are at their fastest.
 */
#define SIO_POOL_SAME_MAP 0x2u
/**
 * Every block given back is checked to be of this pool; without it, only pools that keep handles
 * check. In an exact pool, also every block written to a ring that carries its blocks is checked to
 * be the writer's, which costs up to two thirds of the rate; without it, the reader checks alone.
 * That a block is written twice is not found by it.
 */
#define SIO_POOL_CHECK 0x4u
/**
 * Exact pools whose blocks must be made new when they come back from the hands of the dead: only
 * processes that called sio_pool_set_renew() bring those back; others leave them, and their dead
 * holders, to these.
 */
#define SIO_POOL_RENEW 0x8u

struct sio_pool;

/** How to create a pool. Set sz to sizeof(struct sio_pool_opts) and zero the rest. */
struct sio_pool_opts {
	size_t sz;
	const char *name;	/**< also the name of its metadata segment */
	uint32_t n_blocks;	/**< number of blocks, at least 1 */
	uint32_t block_size;	/**< bytes of a block, at least 1; informative for lent payload */
	uint32_t magazine_size; /**< handles per magazine, 2 to 1022; 0: by size, bulk and CPUs */
	uint32_t max_shards;	/**< 1 to SIO_POOL_SHARDS_MAX; 0: 160 */
	uint32_t max_rings;	/**< exact pools: 1 to SIO_POOL_RINGS_MAX, 0: 64; others: 0 */
	uint32_t flags;		/**< SIO_POOL_... */
	bool lent_payload; /**< payload comes by sio_pool_add_memory(); else a segment NAME.data is
			      made */
	enum sio_backing backing; /**< of the payload segment */
	int numa_node;		  /**< preferred node + 1; 0: none */
	/**
	 * Blocks of a run and how many such runs are set aside for sio_pool_take_contig(), which
	 * other takes do not get: 2 to SIO_POOL_CONTIG_MAX; both 0: none.
	 */
	uint32_t contig_size;
	uint32_t contig_runs;
	/**
	 * Most blocks that are usually taken at once; 0: not more than a few dozen. Magazines then
	 * are so large, where the pool allows it, that two of them have that many even half full.
	 */
	uint32_t bulk;
};

/**
 * Creates a pool. With a payload of its own it is complete and published; with lent payload it is
 * empty and unpublished: add memory, then call sio_pool_publish().
 *
 * @return 0; -EINVAL an option is out of range (logged: which, found, allowed); -EEXIST a pool of
 *         that name is in use by a living process; -ENOMEM; -ENOSPC; another negative errno of
 *         sio_segment_create()
 */
SIO_API int sio_pool_create(const struct sio_pool_opts *opts, struct sio_pool **pool);

/**
 * Adds blocks at addr, addr + pitch, addr + 2 pitch, ... and puts them, free, into depot magazines.
 *
 * The memory stays the caller's and must stay mapped until the pool is destroyed. In other
 * processes pointer calls work only if they map it at the same address. Creator only, one thread,
 * before or after publishing.
 *
 * @param addr  first block
 * @param pitch bytes from one block to the next
 * @param n     number of blocks
 * @return 0; -EINVAL pitch below the block size or n is 0; -ENOSPC more than n_blocks in sum (none
 *         is added)
 */
SIO_API int sio_pool_add_memory(struct sio_pool *pool, void *addr, size_t pitch, uint32_t n);

/** Makes a pool with lent payload visible under its name. @return as sio_segment_publish() */
SIO_API int sio_pool_publish(struct sio_pool *pool);

/** How to attach. Set sz to sizeof(struct sio_pool_attach_opts) and zero the rest. */
struct sio_pool_attach_opts {
	size_t sz;
	bool observe;	 /**< no member, metadata only: audit and information calls only */
	bool no_payload; /**< do not map the payload segment */
	bool no_recover; /**< do not run sio_pool_recover() */
};

/**
 * Attaches to a pool by name as a member.
 *
 * @return 0; -ENOENT; -EPROTO no pool, or of another layout version; -EUSERS; another negative
 *         errno of sio_segment_attach()
 */
SIO_API int sio_pool_attach(
	const char *name, const struct sio_pool_attach_opts *opts, struct sio_pool **pool);

/**
 * Leaves the pool. Free blocks in the shards of this process's threads go back to the depot; no
 * other thread may be in a call on this pool any more. Blocks still in this process's hands stay
 * out (sio_pool_audit() shows them).
 */
SIO_API void sio_pool_detach(struct sio_pool *pool);

/** Detaches and removes the pool's names. Others that are attached can go on. */
SIO_API void sio_pool_destroy(struct sio_pool *pool);

/**
 * How long a thread of this process that found too few free blocks in the pool goes by that,
 * corrected by what it gives and takes itself, though others have given since. One take of that
 * time may steal, if there were enough blocks for it; those after it have what this thread has.
 * By default not at all: then a take looks again as soon as anybody has given, which may mean to
 * follow another thread's magazines block by block. To be called before other threads use the pool
 * here.
 *
 * @param us microseconds; 0: not at all
 */
SIO_API void sio_pool_set_dry_time(struct sio_pool *pool, uint32_t us);

/**
 * Takes n blocks: all or none. A take that fails has not written to the array.
 *
 * Blocks are found wherever they are free: in the caller's shard, in the depot, in other threads'
 * shards.
 *
 * @param[out] handles the blocks; of those in the own shard the most recently given ones
 * @return 0; -ENOBUFS fewer than n are free, or some of them are in another operation's hand just
 *         now, or the dry time is not over (sio_pool_set_dry_time()); -EINVAL n is larger than the pool; -ENOMEM this thread cannot be given a view of the
 *         pool: no memory, a forked child that cannot join (all member slots are taken), or
 *         attached to observe only (logged)
 */
SIO_API int sio_pool_take(struct sio_pool *pool, uint32_t *handles, unsigned int n);

/**
 * Takes n neighbours: blocks of handles *first to *first + n - 1, which lie one after the other in
 * memory at one pitch. For pools that set a region aside (contig_size, contig_runs). There are as
 * many runs of contig_size to be had as were set aside, less those of which a block is out.
 *
 * They are blocks like any others: each of them can be written, passed on and given back singly, by
 * any call that gives. Neighbours can be had again when all of up to 32 that share a word are back.
 * A run is quickest whose size is a multiple of 32, or a power of two.
 *
 * Not as quick as sio_pool_take(): a compare-and-swap per 32 blocks, and a look for them.
 *
 * @param n	     any number: of less than a run, the rest of the last 32 is out of use meanwhile
 * @param[out] first handle of the first block; untouched on failure
 * @return 0; -ENOBUFS there are not so many neighbours now; -EINVAL n is 0, above
 *         SIO_POOL_CONTIG_MAX, or above what was set aside in one piece (logged); -EOPNOTSUPP the
 *         pool has no region; -ENOMEM as sio_pool_take()
 */
SIO_API int sio_pool_take_contig(struct sio_pool *pool, unsigned int n, uint32_t *first);

/**
 * Gives n neighbours of the region back. They need not have been taken together.
 *
 * @return 0; -EINVAL n is 0 or one of first to first + n - 1 is not of the region: none was given
 *         back; -EACCES, -ENOMEM as sio_pool_give()
 */
SIO_API int sio_pool_give_contig(struct sio_pool *pool, uint32_t first, unsigned int n);

/** As sio_pool_take() of one block. */
SIO_API int sio_pool_take_one(struct sio_pool *pool, uint32_t *handle);

/**
 * Gives n blocks back. They must have been taken; the caller must not touch them afterwards.
 *
 * @return 0; -EINVAL a handle is of no block with memory: none was given back; -EACCES some are
 *         blocks of the contiguous region that were not the caller's, who gave them back before,
 *         or, in an exact pool, has passed them on: these were left alone, counted and logged, and
 *         all others were given back; -ENOMEM as for sio_pool_take(), which cannot be where this
 *         thread took blocks
 */
SIO_API int sio_pool_give(struct sio_pool *pool, const uint32_t *handles, unsigned int n);

/**
 * As sio_pool_take(), with addresses in this process. @return also -EOPNOTSUPP: the payload is not
 * mapped here
 */
SIO_API int sio_pool_take_ptr(struct sio_pool *pool, void **blocks, unsigned int n);

/**
 * As sio_pool_give(), with addresses in this process.
 *
 * @return 0; -EINVAL an address is not the start of a block of this pool: none was given back. In a
 *         pool with SIO_POOL_SAME_MAP, without SIO_POOL_CHECK and without a contiguous region
 *         addresses are taken as they are; -EACCES as sio_pool_give()
 */
SIO_API int sio_pool_give_ptr(struct sio_pool *pool, void *const *blocks, unsigned int n);

/** Address of a block in this process; NULL if out of range or its memory is not mapped here. */
SIO_API void *sio_pool_addr(const struct sio_pool *pool, uint32_t handle);

/**
 * Handle of the block that starts at addr. @return 0; -EINVAL no block of this pool starts there
 */
SIO_API int sio_pool_handle(const struct sio_pool *pool, const void *addr, uint32_t *handle);

/**
 * Gives the calling thread's shard of this pool back now: its free blocks go to the depot. Happens
 * by itself when the thread ends.
 */
SIO_API void sio_pool_thread_end(struct sio_pool *pool);

/* ---- hand-over: blocks that pass between members by the application's own queues ----
 *
 * In an exact pool a block passes from one member to another by a ring that carries it
 * (<slabio/rbuff.h>) or by these calls. The giver hands over, then writes the handles into its
 * queue; the receiver reads the queue, then accepts. In between a block is nobody's. When one of
 * the two dies in between, recovery makes it free, and the receiver's accept leaves it out: it is
 * lost as a packet, not as a block. A ring keeps packets of dead writers, too.
 *
 * What is in a block is not looked at. Blocks with reference counts, such as mbufs, are handed over
 * with a single reference and their own buffer, or copied before: see crash_safety.rst.
 *
 * In a pool that is not exact these calls check ranges and change nothing, so that one application
 * runs on both.
 */

/**
 * Hands over blocks in the caller's hands, all or none. Call it before others can find the handles.
 *
 * Any thread of a member. No system call, and a compare-and-swap per block.
 *
 * @param to who may accept them, by sio_segment_self() there; SIO_MEMBER_NONE: whoever is first
 * @return 0: they are not the caller's any more, who must not touch them; else they still are:
 *         -EACCES one of them is not this member's; -EINVAL a handle is of no block; -ESRCH there
 *         is no such member; -EPERM attached to observe only
 */
SIO_API int sio_pool_hand_over(
	struct sio_pool *pool, const uint32_t *handles, unsigned int n, sio_member_t to);

/**
 * Accepts blocks that were handed over to this member, or to whoever is first. Any thread.
 *
 * @param[in,out] handles as found in a queue; afterwards those that are the caller's come first
 * @return how many are the caller's now, 0 to n. The others must not be touched: their giver or
 *         the member they were meant for is dead, somebody else accepted them, or they were never
 *         handed over. -EPERM attached to observe only
 */
SIO_API int sio_pool_accept(struct sio_pool *pool, uint32_t *handles, unsigned int n);

/**
 * Takes blocks back that this member handed over and nobody accepted, for example because the
 * queue had no room. Any thread of the member.
 *
 * @return as sio_pool_accept(): how many are the caller's again
 */
SIO_API int sio_pool_withdraw(struct sio_pool *pool, uint32_t *handles, unsigned int n);

/** Free blocks: exact while nobody takes or gives. Any thread, observers too. */
SIO_API uint32_t sio_pool_free_count(const struct sio_pool *pool);

struct sio_pool_info {
	char name[SIO_NAME_LEN];
	char payload[SIO_NAME_LEN]; /**< name of the payload segment; "" if lent */
	uint32_t flags;
	uint32_t n_blocks;  /**< as created */
	uint32_t populated; /**< blocks with memory */
	uint32_t block_size;
	uint32_t magazine_size;
	uint32_t n_magazines;
	uint32_t max_shards;
	uint32_t shards_used; /**< now */
	uint32_t members;     /**< slots not free */
	uint32_t free_blocks; /**< see sio_pool_free_count() */
	/* the contiguous region; all 0 without one */
	uint32_t contig_size;  /**< blocks of a run */
	uint32_t contig_runs;  /**< set aside, of those asked for at creation */
	uint32_t contig_ready; /**< of these, runs that can be taken now */
	uint32_t contig_free;  /**< of free_blocks, those in the region: only for neighbours */
	uint64_t contig_taken; /**< blocks, ever */
	uint64_t contig_given; /**< blocks, ever */
	uint64_t contig_wrong; /**< blocks that were given by who did not have them, ever */
};

/** Facts about a pool. Any thread, observers too. */
SIO_API void sio_pool_info(const struct sio_pool *pool, struct sio_pool_info *info);

/**
 * What a shard did and has. Counters are of all threads that ever had the shard; they only grow.
 */
struct sio_shard_info {
	uint32_t shard;
	sio_member_t member;  /**< whose thread has it; SIO_MEMBER_NONE: nobody's now */
	uint32_t free_blocks; /**< in its magazines */
	uint64_t taken;	      /**< blocks */
	uint64_t given;	      /**< blocks */
	uint64_t exchanges;   /**< magazines exchanged with the depot */
	uint64_t steals;      /**< magazines stolen from others */
	uint64_t put_back;    /**< magazines of others left to them, since they were at work */
	uint64_t lost;	      /**< magazines that others swapped out of it */
	uint64_t failures;    /**< takes that found too few blocks */
};

/**
 * Looks at all shards that were ever used. Threads without a shard are not counted. Any thread,
 * observers too.
 *
 * @param[out] infos room for max shards
 * @return how many shards there are to look at, which may be more than max
 */
SIO_API uint32_t sio_pool_shards(
	const struct sio_pool *pool, struct sio_shard_info *infos, uint32_t max);

/** The pool's metadata segment: for members and their states. */
SIO_API struct sio_segment *sio_pool_segment(const struct sio_pool *pool);
/** The pool's own payload segment; NULL if lent or not mapped. */
SIO_API struct sio_segment *sio_pool_payload(const struct sio_pool *pool);

/* ---- recovery ---- */

/** What a recovery did. */
struct sio_recover_report {
	uint32_t dead_members;	/**< found */
	uint32_t buried;	/**< of these, slots that are free again */
	uint32_t shards;	/**< given back */
	uint32_t magazines;	/**< given to the depot */
	uint32_t blocks_shards; /**< free blocks that were in those */
	uint32_t blocks_hands;	/**< exact pools: blocks that the dead had in hands, free again */
	uint32_t unrenewed;	/**< SIO_POOL_RENEW: blocks left to a process that can renew them */
	uint32_t ring_sides;	/**< exact pools: roles in rings that the dead had, free again */
	uint32_t blocks_rings;	/**< blocks that were in ended rings: free */
	uint32_t requeued; /**< blocks that dead readers had taken and not stated as read: queued */
	uint32_t queued; /**< packets saved: blocks queued in the rings of these sides, in order */
	uint32_t rings_closed; /**< rings that nobody lives in and whose names are gone */
	/**
	 * Magazines that a stopped process may be at work on, and ring sides that another process
	 * recovers or that could not be looked at: for the next recovery.
	 */
	uint32_t left;
	uint32_t blocks_contig; /**< of the contiguous region, free again: of takes not ended */
	/** Conservative pools: blocks in quarantine after it, see sio_pool_quarantine(). */
	uint32_t quarantined;
	uint64_t ns; /**< time it took */
};

/**
 * Brings back what dead members held. Stops nobody, waits for nobody, can be killed anywhere and
 * run again, and by several at once. Without dead members it is a few system calls and one walk.
 *
 * Conservative pools: their free blocks, in shards and on the way between magazines; what they had
 * in hands stays out, in quarantine. Exact pools: everything. Blocks come back as they are, or made
 * new first, see sio_pool_set_renew().
 *
 * Runs by itself when a process attaches as a member. Any thread of a member.
 *
 * @param[out] report may be NULL
 * @return 0; -EPERM attached to observe only; -ENOMEM
 */
SIO_API int sio_pool_recover(struct sio_pool *pool, struct sio_recover_report *report);

/** Makes the block at addr as good as new; addr is in this process. */
typedef void (*sio_renew_t)(void *addr, void *arg);

/**
 * What recoveries of this process call for each block that comes back from the hands of the dead,
 * before it is free. For pools of SIO_POOL_RENEW and SIO_POOL_SAME_MAP. Before other threads use
 * the pool here, or while none of them recovers.
 *
 * @param renew must be able to begin anew on a block that another one left half done
 * @return 0; -EINVAL the pool is not of that kind
 */
SIO_API int sio_pool_set_renew(struct sio_pool *pool, sio_renew_t renew, void *arg);

/** A block in quarantine. */
struct sio_quarantined {
	uint32_t handle;
	sio_member_t dead; /**< after whose death it was listed; of several, one */
	uint64_t since_ns; /**< when, CLOCK_MONOTONIC, to the second */
};

/**
 * The quarantine of a conservative pool: the blocks that lay in no magazine, and not free in the
 * contiguous region, when a death was recovered, and have not been seen there since.
 *
 * What the dead had in hands is among them. So may be blocks that a living member has: such a pool
 * does not know. Exact pools have none. Any thread, observers too.
 *
 * @param[out] list  room for max
 * @param[out] found how many there are, which may be more than max
 * @return 0; -ENOMEM
 */
SIO_API int sio_pool_quarantine(
	struct sio_pool *pool, struct sio_quarantined *list, uint32_t max, uint32_t *found);

/**
 * Frees the blocks in quarantine, after a recovery. Only where it is certain that nobody has them:
 * no other process is a member, and this one took and gave nothing in this pool.
 *
 * A block's contents stay as they are: where blocks have to be made new (mbufs), their application
 * does that. Blocks that the kernel works on (a socket's) are not known to the pool: there are none
 * once every descriptor of the dead one's sockets is closed. Nor are those queued in its rings:
 * read these empty or remove them first.
 *
 * @param[out] freed how many
 * @return 0; -EBUSY a process is or became a member (logged: which): nothing was freed; -EPERM this
 *         process observes only, or has used the pool; -ENOMEM
 */
SIO_API int sio_pool_quarantine_free(struct sio_pool *pool, uint32_t *freed);

/* ---- audit ---- */

/** Where an audit met a block. */
enum sio_place {
	SIO_PLACE_DEPOT = 0, /**< in a magazine that nobody names */
	SIO_PLACE_SHARD,     /**< in a magazine of a shard or of a thread without one */
	SIO_PLACE_RING,	     /**< queued in a ring */
	SIO_PLACE_PORT,	     /**< in a port */
	SIO_PLACE_HELD,	     /**< named by its holder as in its hands */
	SIO_PLACE_CONTIG,    /**< free, in the contiguous region */
	SIO_PLACES
};

struct sio_audit_report {
	uint32_t populated;	  /**< blocks that must be somewhere */
	uint32_t met[SIO_PLACES]; /**< blocks met, by place of the first meeting */
	uint32_t outstanding; /**< met nowhere: in the hands of members that keep no holder words */
	uint32_t quarantined; /**< of these, in quarantine */
	uint32_t twice;	      /**< met more than once: a fault of the pool or a wrong give */
	uint32_t strange;     /**< handles outside the pool: memory was overwritten */
	/** Exact pools: blocks, free or queued, whose holder word names who has nothing to do with it. */
	uint32_t holder_wrong;
	uint32_t unsettled;    /**< magazines that changed while looked at, or in an operation */
	uint32_t dead_members; /**< members that died and are not settled */
	uint32_t dead_blocks;  /**< blocks met in shards of dead members */
};

struct sio_audit;

/**
 * Starts an audit: walks every magazine, and the contiguous region, and meets the blocks in them;
 * at its end also the rings that carry an exact pool's blocks. Works beside running and crashed
 * members.
 *
 * @return 0; -ENOMEM
 */
SIO_API int sio_audit_begin(struct sio_pool *pool, struct sio_audit **audit);
/**
 * Meets one more block, found by the caller in a port, or in a ring, but for rings that carry an
 * exact pool's blocks. A handle outside the pool counts as strange.
 */
SIO_API void sio_audit_meet(struct sio_audit *audit, uint32_t handle, enum sio_place place);
/**
 * Says that what the caller met may have moved while it looked: a block met by it and elsewhere
 * then counts as unsettled, not as met twice.
 */
SIO_API void sio_audit_moved(struct sio_audit *audit);
/** Ends the audit, frees it, and reports. */
SIO_API void sio_audit_end(struct sio_audit *audit, struct sio_audit_report *report);
/** True if nothing is wrong and nothing was unsettled; blocks may be in use. */
SIO_API bool sio_audit_clean(const struct sio_audit_report *report);
/** Writes the report for people, several lines. */
SIO_API void sio_audit_print(const struct sio_audit_report *report, FILE *out);

#ifdef __cplusplus
}
#endif

#endif /* SIO_POOL_H */
