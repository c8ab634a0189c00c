/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "member.h"
#include "segment_private.h"

/*
 * Member slots and life tokens.
 *
 * Invariant: a slot's word changes only in the hands of the process that holds the slot's token
 * (the record lock of byte SIO_TOKEN_OFFSET + slot), and within that process under its token mutex.
 * The compare-and-swaps below therefore cannot fail; they are there so that a slip would be a
 * refusal and not a second owner. A process keeps the token as long as its name is in the word; the
 * kernel drops it when the process ends.
 *
 *   word        token   meaning
 *   FREE,g      free    free; its next member has generation g
 *   FREE,g      held    somebody is about to join, has just left, or replaces the segment
 *   JOINING,g   held    a process is writing pid, time and command
 *   JOINING,g   free    it died there, with nothing in its name
 *   LIVE,g      held    a member, or its burial is under way
 *   LIVE,g      free    dead: what is in the name (slot, g) is not settled
 *
 * Who writes the word when, and what a death after the step leaves:
 *
 *   join   1. take the token                   nothing: the kernel drops it, FREE,g
 *          2. FREE,g -> JOINING,g   (acquire)  JOINING,g without token: next joiner or a burial
 *                                              makes it free
 *          3. pid, joined_ns, command          the same
 *          4. JOINING,g -> LIVE,g   (release)  dead, and has nothing in its name yet
 *   leave  1. LIVE,g -> FREE,g+1    (release)  free already, the kernel drops the token
 *          2. drop the token
 *   bury   1. take the token                   the kernel drops it: dead as before
 *          2. LIVE,g -> FREE,g+1    (release)  free already
 *          3. drop the token
 *   join on JOINING,g whose token it could take: to JOINING,g+1 in one step, then as from 2.
 *
 * The release of LIVE pairs with the acquire of whoever reads the word: it then sees pid and the
 * rest of that generation. The release of FREE pairs with the acquire in join: the new member comes
 * after all that was done in the old one's name. Generations keep a name from meaning two
 * processes.
 *
 * While a slot is buried (or an entire segment is replaced) its token is held by the one who does
 * it: a dead member can look alive for that moment, a living one never looks dead.
 */

static int
token_set(int fd, short type, off_t start, off_t len)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
	int rc;

	do {
		rc = fcntl(fd, F_SETLK, &lock);
	} while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return 0;
	return errno == EACCES || errno == EAGAIN ? -EAGAIN : -errno;
}

int
sio__tokens_lock_all(int fd)
{
	return token_set(fd, F_WRLCK, SIO_TOKEN_OFFSET, SIO_MEMBERS_MAX);
}

int
sio__token_try(int fd, unsigned int slot)
{
	return token_set(fd, F_WRLCK, SIO_TOKEN_OFFSET + slot, 1);
}

static int
token_take(struct sio_segment *seg, unsigned int slot)
{
	int rc;

	atomic_store_explicit(&seg->working_on, slot + 1, memory_order_seq_cst);
	rc = seg->fd < 0 ? 0 : sio__token_try(seg->fd, slot);
	if (rc < 0)
		atomic_store_explicit(&seg->working_on, 0, memory_order_seq_cst);
	return rc;
}

static void
token_drop(struct sio_segment *seg, unsigned int slot)
{
	if (seg->fd >= 0)
		token_set(seg->fd, F_UNLCK, SIO_TOKEN_OFFSET + slot, 1);
	atomic_store_explicit(&seg->working_on, 0, memory_order_seq_cst);
}

/* Whether another process holds the slot's token. @return 1, 0 or -errno */
static int
token_held(const struct sio_segment *seg, unsigned int slot)
{
	struct flock lock = {.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = SIO_TOKEN_OFFSET + slot,
		.l_len = 1};

	if (fcntl(seg->fd, F_GETLK, &lock) < 0)
		return -errno;
	return lock.l_type != F_UNLCK;
}

static void
slot_describe(struct sio_slot *slot)
{
	uint64_t command[2] = {0, 0};

	prctl(PR_GET_NAME, command);
	atomic_store_explicit(&slot->pid, (int32_t)getpid(), memory_order_relaxed);
	atomic_store_explicit(&slot->joined_ns, sio_now_ns(), memory_order_relaxed);
	atomic_store_explicit(&slot->command[0], command[0], memory_order_relaxed);
	atomic_store_explicit(&slot->command[1], command[1], memory_order_relaxed);
}

/*
 * Joins at one slot, token mutex held. @return 0; -EUSERS it is taken; -EAGAIN it is free but
 * locked; -errno
 */
static int
slot_join(struct sio_segment *seg, unsigned int n)
{
	struct sio_slot *slot = &seg->slots[n];
	uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
	unsigned int generation;
	int rc;

	/* a look before the token is tried: a dead member's token stays free for all to see */
	if (sio__slot_state(word) == SIO_SLOT_LIVE)
		return -EUSERS;
	rc = token_take(seg, n);
	if (rc < 0)
		return rc;

	word = atomic_load_explicit(&slot->word, memory_order_acquire);
	generation = sio__slot_generation(word);
	if (sio__slot_state(word) == SIO_SLOT_JOINING || generation == 0)
		generation = sio__slot_next_generation(generation);
	if (sio__slot_state(word) == SIO_SLOT_LIVE ||
		!atomic_compare_exchange_strong_explicit(&slot->word, &word,
			sio__slot_word(SIO_SLOT_JOINING, generation), memory_order_acquire,
			memory_order_relaxed)) {
		token_drop(seg, n);
		return -EUSERS;
	}
	slot_describe(slot);
	atomic_store_explicit(&seg->self,
		(uint64_t)sio__epoch() << 32 | SIO_MEMBER_NAME(n, generation),
		memory_order_release);
	atomic_store_explicit(
		&slot->word, sio__slot_word(SIO_SLOT_LIVE, generation), memory_order_release);
	atomic_store_explicit(&seg->working_on, 0, memory_order_seq_cst);
	return 0;
}

int
sio__member_join(struct sio_segment *seg)
{
	unsigned int n, locked = 0;
	int rc = -EUSERS;

	sio__token_lock();
	sio__epoch_start();
	for (n = 0; n < SIO_MEMBERS_MAX; n++) {
		rc = slot_join(seg, n);
		if (rc == -EAGAIN) {
			/* a slot whose member is JOINING is taken, not contended */
			locked += sio__slot_state(atomic_load_explicit(&seg->slots[n].word,
					  memory_order_relaxed)) == SIO_SLOT_FREE;
			rc = -EUSERS;
		}
		if (rc != -EUSERS)
			break;
	}
	sio__token_unlock();
	return rc == -EUSERS && locked > 0 ? -EAGAIN : rc;
}

void
sio__member_leave(struct sio_segment *seg)
{
	sio_member_t self;
	struct sio_slot *slot;
	uint64_t word;

	sio__token_lock();
	self = sio_segment_self(seg);
	if (self != SIO_MEMBER_NONE) {
		slot = &seg->slots[SIO_MEMBER_SLOT(self)];
		word = sio__slot_word(SIO_SLOT_LIVE, SIO_MEMBER_GENERATION(self));
		atomic_compare_exchange_strong_explicit(&slot->word, &word,
			sio__slot_word(SIO_SLOT_FREE,
				sio__slot_next_generation(SIO_MEMBER_GENERATION(self))),
			memory_order_release, memory_order_relaxed);
		atomic_store_explicit(&seg->self, 0, memory_order_release);
		token_drop(seg, SIO_MEMBER_SLOT(self));
	}
	sio__token_unlock();
}

sio_member_t
sio_segment_self(const struct sio_segment *seg)
{
	uint64_t self = atomic_load_explicit(&seg->self, memory_order_acquire);

	return self >> 32 == sio__epoch() ? (sio_member_t)self : SIO_MEMBER_NONE;
}

int
sio_segment_rejoin(struct sio_segment *seg)
{
	int rc;

	rc = sio__registry_lock();
	if (rc < 0)
		return rc;
	if (sio_segment_self(seg) != SIO_MEMBER_NONE) {
		rc = 0;
	} else if (seg->backing == SIO_BACKING_LENT) {
		SIO_ERR("a segment in lent memory has one process; a forked child cannot join it");
		rc = -EOPNOTSUPP;
	} else if (!seg->joins) {
		SIO_ERR("segment '%s' was attached to observe only; attach as a member instead",
			seg->name);
		rc = -EPERM;
	} else {
		rc = sio__member_join(seg);
		if (rc == 0)
			sio__segment_adopt(seg);
		if (rc == -EAGAIN)
			rc = -EUSERS;
	}
	sio__registry_unlock();
	return rc;
}

/* What a slot's word and token say together. The slot's word at that time goes to *at. */
static enum sio_member_state
slot_state(struct sio_segment *seg, unsigned int n, uint64_t *at)
{
	struct sio_slot *slot = &seg->slots[n];
	uint64_t word, again;
	int held = 1, tries;
	bool ours;

	/*
	 * The token is looked at between two looks at the word: a word that named the same member
	 * before and after named it at the look at its token. Each round in which it did not is
	 * another's progress; after some of them the last word counts, with its process alive,
	 * which then was true at some time.
	 */
	word = atomic_load_explicit(&slot->word, memory_order_acquire);
	for (tries = 0; tries < 8; tries++) {
		if (sio__slot_state(word) == SIO_SLOT_FREE)
			break;
		ours = seg->fd < 0 ||
		       (sio_segment_self(seg) != SIO_MEMBER_NONE &&
			       SIO_MEMBER_SLOT(sio_segment_self(seg)) == n) ||
		       atomic_load_explicit(&seg->working_on, memory_order_seq_cst) == n + 1;
		held = ours ? 1 : token_held(seg, n);
		again = atomic_load_explicit(&slot->word, memory_order_acquire);
		if (again == word)
			break;
		word = again;
		held = 1;
	}
	*at = word;
	switch (sio__slot_state(word)) {
	case SIO_SLOT_LIVE:
		return held != 0 ? SIO_MEMBER_LIVE : SIO_MEMBER_DEAD;
	case SIO_SLOT_JOINING:
		return held != 0 ? SIO_MEMBER_JOINING : SIO_MEMBER_DEAD;
	default:
		return SIO_MEMBER_FREE;
	}
}

enum sio_member_state
sio_member_state(struct sio_segment *seg, sio_member_t member)
{
	enum sio_member_state state;
	uint64_t word;

	if (member == SIO_MEMBER_NONE || member >> SIO_MEMBER_BITS != 0)
		return SIO_MEMBER_FREE;
	state = slot_state(seg, SIO_MEMBER_SLOT(member), &word);
	return sio__slot_generation(word) == SIO_MEMBER_GENERATION(member) ? state
									   : SIO_MEMBER_FREE;
}

bool
sio__member_is_named(const struct sio_segment *seg, sio_member_t member)
{
	uint64_t word;

	if (member == SIO_MEMBER_NONE || member >> SIO_MEMBER_BITS != 0)
		return false;
	word = atomic_load_explicit(
		&seg->slots[SIO_MEMBER_SLOT(member)].word, memory_order_acquire);
	return sio__slot_state(word) == SIO_SLOT_LIVE &&
	       sio__slot_generation(word) == SIO_MEMBER_GENERATION(member);
}

int
sio_member_get(struct sio_segment *seg, unsigned int n, struct sio_member_info *info)
{
	struct sio_slot *slot;
	uint64_t word, command[2];

	if (n >= SIO_MEMBERS_MAX)
		return -EINVAL;
	slot = &seg->slots[n];
	memset(info, 0, sizeof(*info));
	info->state = slot_state(seg, n, &word);
	info->member = SIO_MEMBER_NAME(n, sio__slot_generation(word));
	if (info->state == SIO_MEMBER_FREE)
		return -ENOENT;
	info->pid = atomic_load_explicit(&slot->pid, memory_order_relaxed);
	info->joined_ns = atomic_load_explicit(&slot->joined_ns, memory_order_relaxed);
	command[0] = atomic_load_explicit(&slot->command[0], memory_order_relaxed);
	command[1] = atomic_load_explicit(&slot->command[1], memory_order_relaxed);
	memcpy(info->command, command, sizeof(info->command));
	info->command[sizeof(info->command) - 1] = '\0';
	return 0;
}

/* Token mutex held. */
static int
slot_bury(struct sio_segment *seg, sio_member_t member)
{
	unsigned int n = SIO_MEMBER_SLOT(member), generation = SIO_MEMBER_GENERATION(member);
	struct sio_slot *slot = &seg->slots[n];
	uint64_t word;
	int rc;

	word = atomic_load_explicit(&slot->word, memory_order_acquire);
	if (sio__slot_state(word) == SIO_SLOT_FREE || sio__slot_generation(word) != generation)
		return -ENOENT;
	/* the own token cannot refuse its own process */
	if (seg->fd < 0 || member == sio_segment_self(seg))
		return -EBUSY;
	rc = token_take(seg, n);
	if (rc < 0)
		return rc == -EAGAIN ? -EBUSY : rc;

	word = atomic_load_explicit(&slot->word, memory_order_acquire);
	if (sio__slot_state(word) == SIO_SLOT_FREE || sio__slot_generation(word) != generation ||
		!atomic_compare_exchange_strong_explicit(&slot->word, &word,
			sio__slot_word(SIO_SLOT_FREE, sio__slot_next_generation(generation)),
			memory_order_release, memory_order_relaxed))
		rc = -ENOENT;
	token_drop(seg, n);
	return rc;
}

int
sio_member_bury(struct sio_segment *seg, sio_member_t member)
{
	int rc;

	if (member == SIO_MEMBER_NONE || member >> SIO_MEMBER_BITS != 0)
		return -ENOENT;
	if (!seg->writable)
		return -EACCES;
	sio__token_lock();
	rc = slot_bury(seg, member);
	sio__token_unlock();
	return rc;
}
