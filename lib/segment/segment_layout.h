/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_SEGMENT_LAYOUT_H
#define SIO_SEGMENT_LAYOUT_H

/**
 * @file
 * What every segment starts with, in shared memory: the stamp, then the member table, then the
 * user's data.
 *
 *     0      struct sio_stamp          who made it, what is in it, how large it is
 *     4096   struct sio_slot[64]       the members
 *     8192   the user's data
 *
 * The stamp is written by the creator before anybody else can see it, and by nobody afterwards.
 * Others read it once, check it, and work on their checked copy.
 *
 * Life tokens lie beside the memory, not in it: slot n's token is the POSIX record lock of the byte
 * SIO_TOKEN_OFFSET + n of the segment's file. Magic and token offset are the same in every version,
 * so that a newer library can tell whether an older segment is still in use.
 */

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <slabio/segment.h>

/** "SLABIO" and two bytes that no text has. */
#define SIO_STAMP_MAGIC	       UINT64_C(0xb70a4f4942414c53)
#define SIO_STAMP_VERSION      1u
#define SIO_STAMP_SIZE	       4096u
#define SIO_SLOTS_OFFSET       SIO_STAMP_SIZE
#define SIO_TOKEN_OFFSET       (INT64_C(1) << 40)
#define SIO_SEGMENT_SIZE_LIMIT (UINT64_C(1) << 40)

struct sio_stamp {
	uint64_t magic;
	uint32_t header_version; /**< of this structure and of the slots */
	uint32_t backing;	 /**< enum sio_backing, never AUTO */
	uint32_t kind;
	uint32_t layout_version; /**< of the user's data */
	uint64_t config_hash;
	uint64_t data_offset;
	uint64_t data_size;
	uint64_t map_size; /**< header and data, whole pages */
	uint64_t page_size;
	uint64_t uid;  /**< random, tells a segment from its successor of the same name */
	uint64_t home; /**< hash that identifies the runtime folder of the name, 0 without a name */
	_Atomic uint32_t published;
	uint32_t slots;
	char name[SIO_NAME_LEN];
};

static_assert(sizeof(struct sio_stamp) == 152, "the stamp's layout is fixed");
static_assert(offsetof(struct sio_stamp, published) == 80, "the stamp's layout is fixed");
static_assert(sizeof(struct sio_stamp) <= SIO_STAMP_SIZE, "the stamp fits into its page");

/**
 * A member slot. The word is state in bits 0-7, generation in bits 8-23; the rest is for people to
 * read, written by the claimer in state JOINING.
 */
struct sio_slot {
	_Atomic uint64_t word;
	_Atomic int32_t pid;
	uint32_t reserved0;
	_Atomic uint64_t joined_ns;
	_Atomic uint64_t command[2];
	uint64_t reserved1[3];
};

static_assert(sizeof(struct sio_slot) == SIO_CACHE_LINE, "one slot per cache line");
static_assert(
	SIO_SLOTS_OFFSET + SIO_MEMBERS_MAX * sizeof(struct sio_slot) == SIO_SEGMENT_HEADER_SIZE,
	"the member table ends where the data starts");
static_assert(SIO_SEGMENT_SIZE_LIMIT <= SIO_TOKEN_OFFSET, "tokens lie behind every byte of data");

#define SIO_SLOT_FREE	 0u
#define SIO_SLOT_JOINING 1u
#define SIO_SLOT_LIVE	 2u

static inline uint64_t
sio__slot_word(unsigned int state, unsigned int generation)
{
	return (uint64_t)state | (uint64_t)generation << 8;
}

static inline unsigned int
sio__slot_state(uint64_t word)
{
	return (unsigned int)(word & 0xff);
}

static inline unsigned int
sio__slot_generation(uint64_t word)
{
	return (unsigned int)(word >> 8 & 0xffff);
}

/** The generation after this one; 0 is never used, so that no member's name is 0. */
static inline unsigned int
sio__slot_next_generation(unsigned int generation)
{
	return generation >= 0xffff ? 1 : generation + 1;
}

#endif /* SIO_SEGMENT_LAYOUT_H */
