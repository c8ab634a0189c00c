/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/futex.h>

#include <rte_cycles.h>

#include "slabio_peer.h"

#define WAIT_MS 1000

int
slabio_peers_create(struct slabio_peers *peers, struct slabio_dev *dev)
{
	peers->dev = dev;
	peers->me = SLABIO_PRIMARY;
	peers->token_fd = memfd_create("slabio-peers", MFD_CLOEXEC);
	return peers->token_fd < 0 ? -errno : 0;
}

int
slabio_peers_join(struct slabio_peers *peers, struct slabio_dev *dev, int token_fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	uint32_t id;

	while (fcntl(token_fd, F_SETLK, &lock) != 0) {
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
		if (++lock.l_start == SLABIO_PEERS)
			return -ENOSPC;
	}
	/* relaxed: only that no two are the same matters */
	id = atomic_fetch_add_explicit(&dev->last_id, 1, memory_order_relaxed) + 1;
	*peers = (struct slabio_peers){
		.dev = dev, .token_fd = token_fd, .me = id << SLABIO_PEER_BITS | lock.l_start};
	/*
	 * release: pairs with the acquire of who asks for the place; by then its last one is dead
	 */
	atomic_store_explicit(&slabio_peer_self(peers)->mapped, 0, memory_order_release);
	atomic_store_explicit(&slabio_peer_self(peers)->id, peers->me, memory_order_release);
	return 0;
}

void
slabio_peers_leave(struct slabio_peers *peers)
{
	/* release: the primary may free it all when it finds these */
	if (peers->me != SLABIO_PRIMARY) {
		atomic_store_explicit(&slabio_peer_self(peers)->mapped, 0, memory_order_release);
		atomic_store_explicit(
			&slabio_peer_self(peers)->id, SLABIO_NOBODY, memory_order_release);
	}
	close(peers->token_fd);
	peers->token_fd = -1;
	peers->dev = NULL;
}

bool
slabio_peer_dead(const struct slabio_peers *peers, uint32_t id)
{
	const uint32_t place = id % SLABIO_PEERS;
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = place, .l_len = 1};

	/* its own lock is none to who asks */
	if (id == SLABIO_PRIMARY || id == peers->me)
		return false;
	/* acquire: pairs with the next one's release, who has the lock */
	if (atomic_load_explicit(&peers->dev->peers[place].id, memory_order_acquire) != id)
		return true;
	return fcntl(peers->token_fd, F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

void
slabio_peers_tell(struct slabio_dev *dev)
{
	/* release: pairs with the acquire of who then looks what has changed */
	atomic_fetch_add_explicit(&dev->changes, 1, memory_order_release);
	(void)syscall(SYS_futex, &dev->changes, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void
slabio_peers_sleep(struct slabio_dev *dev, uint32_t seen, unsigned int ms)
{
	const struct timespec limit = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	(void)syscall(SYS_futex, &dev->changes, FUTEX_WAIT, seen, &limit, NULL, 0);
}

static bool
any_left(const struct slabio_peers *peers, bool left)
{
	unsigned int i;

	for (i = 0; i < SLABIO_PEERS; i++) {
		struct slabio_peer *p = &peers->dev->peers[i];
		/* acquire: pairs with the release of who has let go */
		uint32_t id = atomic_load_explicit(&p->id, memory_order_acquire);
		uint32_t has = left ? id : atomic_load_explicit(&p->mapped, memory_order_acquire);

		if (id != SLABIO_NOBODY && has != 0 && !slabio_peer_dead(peers, id))
			return true;
	}
	return false;
}

bool
slabio_peers_wait(const struct slabio_peers *peers, bool left)
{
	unsigned int ms;

	for (ms = 0; any_left(peers, left); ms++) {
		if (ms == WAIT_MS)
			return false;
		rte_delay_us_sleep(1000);
	}
	return true;
}

bool
slabio_peers_hold(const struct slabio_peers *peers)
{
	return any_left(peers, false);
}
