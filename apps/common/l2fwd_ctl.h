/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef L2FWD_CTL_H
#define L2FWD_CTL_H

/**
 * @file
 * What slabio-l2fwd and its workers agree upon: the names of an instance's segments and rings,
 * and the layout of its control segment.
 *
 * An instance NAME consists of
 *
 *   NAME.ctl        control segment (kind L2FW), this layout; visible last, removed first
 *   NAME.data       payload segment (kind RAW): block h is the stride bytes at h * stride
 *   NAME.wS.I.out   ring to the worker in slot S, incarnation I: elements are struct sio_desc
 *   NAME.wS.I.back  ring from that worker: every element of the out ring, in the same order
 *
 * A slot is for one kind of worker. To one without DPDK a descriptor's handle is the block in the
 * payload segment. To an EAL secondary it is the mbuf's block in the slab pool, and both rings
 * carry the blocks of that pool.
 *
 * A slot is attached to in three steps: the worker puts its member name (in the control segment)
 * into claim by compare-and-swap, attaches the two rings of the incarnation named in claim, and
 * stores that incarnation in ready. l2fwd alone begins a new incarnation: with fresh rings, and
 * after the claimant's life token dropped.
 */

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <slabio/common.h>
#include <slabio/rbuff.h>
#include <slabio/segment.h>

#define L2FWD_CTL_KIND	  SIO_KIND('L', '2', 'F', 'W')
#define L2FWD_CTL_VERSION 2u
#define L2FWD_DATA_KIND	  SIO_KIND_RAW
/** Version of the payload segment's layout. */
#define L2FWD_DATA_VERSION 1u

/** Worker slots of an instance. */
#define L2FWD_SLOTS_MAX 16u
/** Longest instance name with its end: ring names add to it. */
#define L2FWD_INSTANCE_LEN 32
/** Most descriptors one packet takes; l2fwd sends no longer chain to a worker. */
#define L2FWD_CHAIN_MAX 40u
/** A worker without traffic looks at least this often whether l2fwd still lives. */
#define L2FWD_LIFE_CHECK_NS 250000000u

/** What a slot is for. */
enum l2fwd_kind {
	L2FWD_PLAIN = 0, /**< a worker without DPDK: slabio-worker */
	L2FWD_EAL = 1,	 /**< an EAL secondary: slabio-eal-worker */
};

struct l2fwd_slot {
	/**
	 * Incarnation << 32 | member name of the worker, 0 while nobody claimed it. Written by
	 * l2fwd (release, after the rings are there), changed once by a worker (compare-and-swap,
	 * acquire-release).
	 */
	_Alignas(SIO_CACHE_LINE) _Atomic uint64_t claim;
	/** The incarnation whose rings the claimant has attached (release); l2fwd reads it
	 * (acquire). */
	_Atomic uint32_t ready;
	/** Of an EAL secondary: its name in the slab pool. Written before ready is. */
	_Atomic uint32_t pool_member;
	/** enum l2fwd_kind, written before the control segment is published. */
	uint32_t kind;
};

struct l2fwd_ctl {
	uint64_t config_hash;	 /**< of the payload segment */
	uint32_t n_slots;	 /**< at most L2FWD_SLOTS_MAX */
	uint32_t n_blocks;	 /**< blocks in the payload segment */
	uint32_t stride;	 /**< bytes from one block to the next; all of them are the block */
	uint32_t ring_capacity;	 /**< of each ring, in descriptors */
	uint64_t base;		 /**< address of the payload in EAL processes; 0: no EAL workers */
	char mempool[32];	 /**< name of the mbuf pool, for EAL workers */
	char pool[SIO_NAME_LEN]; /**< name of the slab pool below it */
	struct l2fwd_slot slots[L2FWD_SLOTS_MAX];
};

_Static_assert(sizeof(struct l2fwd_slot) == 64, "a slot is one cache line");
_Static_assert(offsetof(struct l2fwd_ctl, slots) % 64 == 0, "slots start on a cache line");

static inline uint64_t
l2fwd_claim(uint32_t incarnation, sio_member_t member)
{
	return (uint64_t)incarnation << 32 | member;
}

static inline uint32_t
l2fwd_claim_incarnation(uint64_t claim)
{
	return (uint32_t)(claim >> 32);
}

static inline sio_member_t
l2fwd_claim_member(uint64_t claim)
{
	return (sio_member_t)claim;
}

static inline void
l2fwd_ctl_name(char name[SIO_NAME_LEN], const char *instance)
{
	snprintf(name, SIO_NAME_LEN, "%.31s.ctl", instance);
}

static inline void
l2fwd_data_name(char name[SIO_NAME_LEN], const char *instance)
{
	snprintf(name, SIO_NAME_LEN, "%.31s.data", instance);
}

static inline void
l2fwd_ring_name(char name[SIO_NAME_LEN], const char *instance, unsigned int slot,
	uint32_t incarnation, const char *direction)
{
	snprintf(name, SIO_NAME_LEN, "%.31s.w%u.%u.%.4s", instance, slot % 100, incarnation,
		direction);
}

#endif /* L2FWD_CTL_H */
