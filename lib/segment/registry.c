/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "segment_private.h"

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t token_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct sio_segment *segments;

/*
 * The epoch lives in a page that the kernel clears in a forked child: whatever way the child was
 * made, it reads 0 there, which is no segment's epoch, and so is a member of nothing. The counter
 * is copied by fork() as usual, so the number a child takes for itself is none of those in the
 * structures it inherited.
 */
static _Atomic uint32_t *epoch_page;
static uint32_t epoch_counter;
static int init_error;

/* A child must not inherit a mutex that a thread which does not exist there holds. */
static void
fork_prepare(void)
{
	pthread_mutex_lock(&registry_mutex);
	pthread_mutex_lock(&token_mutex);
}

static void
fork_done(void)
{
	pthread_mutex_unlock(&token_mutex);
	pthread_mutex_unlock(&registry_mutex);
}

static void
registry_init(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page;
	int rc;

	page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED) {
		init_error = -errno;
		return;
	}
	if (madvise(page, size, MADV_WIPEONFORK) < 0) {
		init_error = -errno;
		SIO_ERR("the kernel cannot clear a page at fork (MADV_WIPEONFORK, Linux 4.14): %s",
			strerror(-init_error));
		munmap(page, size);
		return;
	}
	epoch_page = page;
	rc = pthread_atfork(fork_prepare, fork_done, fork_done);
	if (rc != 0)
		init_error = -rc;
}

/*
 * Before whoever uses this library registers handlers for fork(): those run first then, and take
 * the locks that are taken first.
 */
static __attribute__((constructor)) void
registry_early(void)
{
	pthread_once(&once, registry_init);
}

int
sio__registry_lock(void)
{
	pthread_once(&once, registry_init);
	if (init_error != 0)
		return init_error;
	pthread_mutex_lock(&registry_mutex);
	return 0;
}

void
sio__registry_unlock(void)
{
	pthread_mutex_unlock(&registry_mutex);
}

void
sio__token_lock(void)
{
	pthread_mutex_lock(&token_mutex);
}

void
sio__token_unlock(void)
{
	pthread_mutex_unlock(&token_mutex);
}

uint32_t
sio__epoch(void)
{
	return atomic_load_explicit(epoch_page, memory_order_relaxed);
}

void
sio__epoch_start(void)
{
	if (sio__epoch() != 0)
		return;
	if (++epoch_counter == 0)
		++epoch_counter;
	atomic_store_explicit(epoch_page, epoch_counter, memory_order_relaxed);
}

void
sio__registry_add(struct sio_segment *seg)
{
	seg->next = segments;
	segments = seg;
}

void
sio__registry_remove(struct sio_segment *seg)
{
	struct sio_segment **at;

	for (at = &segments; *at != NULL; at = &(*at)->next) {
		if (*at == seg) {
			*at = seg->next;
			return;
		}
	}
}

struct sio_segment *
sio__registry_find(dev_t dev, ino_t ino)
{
	struct sio_segment *seg;

	for (seg = segments; seg != NULL; seg = seg->next) {
		if (seg->fd >= 0 && seg->dev == dev && seg->ino == ino)
			return seg;
	}
	return NULL;
}
