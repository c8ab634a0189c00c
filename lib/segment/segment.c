/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "segment_private.h"

bool
sio__opts_ok(const void *opts, size_t found, size_t known)
{
	const unsigned char *p = opts;
	size_t i;

	if (found < known || found > 4096)
		return false;
	for (i = known; i < found; i++) {
		if (p[i] != 0)
			return false;
	}
	return true;
}

static int
opts_refuse(const struct sio_segment_opts *opts, const char *what)
{
	SIO_ERR("segment '%s': %s", opts->name == NULL ? "" : opts->name, what);
	return -EINVAL;
}

static int
opts_check(const struct sio_segment_opts *opts)
{
	if (opts == NULL || !sio__opts_ok(opts, opts->sz, sizeof(*opts))) {
		SIO_ERR("segment options: expected sz %zu and zero in what follows, found %zu",
			sizeof(*opts), opts == NULL ? 0 : opts->sz);
		return -EINVAL;
	}
	if (opts->name != NULL && sio_name_check(opts->name) < 0)
		return opts_refuse(opts,
			"the name must have 1 to 63 characters of [A-Za-z0-9._#@:+-], "
			"the first neither '.' nor '-'");
	if (opts->data_size == 0 || opts->data_size > SIO_SEGMENT_SIZE_LIMIT / 2)
		return opts_refuse(opts, "the data size must be 1 byte to 512 GB");
	if ((unsigned int)opts->backing > SIO_BACKING_LENT)
		return opts_refuse(opts, "no such backing");
	if ((opts->mode & ~0777u) != 0)
		return opts_refuse(opts, "the mode must be permission bits");
	if (opts->backing != SIO_BACKING_LENT)
		return 0;
	if (opts->name != NULL)
		return opts_refuse(opts, "lent memory cannot be attached to by name; give none");
	if (opts->lent_addr == NULL || (uintptr_t)opts->lent_addr % SIO_STAMP_SIZE != 0)
		return opts_refuse(opts, "lent memory must be aligned to 4096");
	if (opts->lent_size < SIO_SEGMENT_HEADER_SIZE ||
		opts->lent_size - SIO_SEGMENT_HEADER_SIZE < opts->data_size)
		return opts_refuse(opts, "lent memory must have 8192 bytes more than the data");
	return 0;
}

struct sio_segment *
sio__segment_new(void)
{
	struct sio_segment *seg = calloc(1, sizeof(*seg));

	if (seg == NULL)
		return NULL;
	seg->fd = -1;
	seg->dirfd = -1;
	return seg;
}

void
sio__segment_free(struct sio_segment *seg)
{
	if (seg->dirfd >= 0)
		close(seg->dirfd);
	free(seg);
}

void
sio__segment_adopt(struct sio_segment *seg)
{
	sio__epoch_start();
	seg->own_epoch = sio__epoch();
	seg->own_refs = seg->refs;
}

void
sio__segment_ref(struct sio_segment *seg)
{
	sio__epoch_start();
	if (seg->own_epoch != sio__epoch()) {
		seg->own_epoch = sio__epoch();
		seg->own_refs = 0;
	}
	seg->own_refs++;
	seg->refs++;
}

void
sio__segment_unref(struct sio_segment *seg)
{
	/* a forked child that attached by itself ends that first, and with it its membership */
	if (seg->own_epoch == sio__epoch() && seg->own_refs > 0 && --seg->own_refs == 0 &&
		seg->slots != NULL)
		sio__member_leave(seg);
	if (--seg->refs > 0)
		return;
	sio__backing_drop(seg);
	sio__segment_free(seg);
}

/*
 * Opens the runtime folder and makes sure that the name is free, so that a dead one's memory is
 * free too.
 */
static int
name_prepare(struct sio_segment *seg, const char *name)
{
	int lock, rc;

	if (name == NULL)
		return 0;
	memcpy(seg->name, name, strlen(name));
	seg->dirfd = sio__runtime_open();
	if (seg->dirfd < 0)
		return seg->dirfd;
	seg->home = sio__runtime_home(seg->dirfd);
	lock = sio__name_lock(seg->dirfd, seg->name);
	if (lock < 0)
		return lock;
	rc = sio__name_clear(seg->dirfd, seg->name);
	close(lock);
	return rc;
}

static struct sio_stamp *
segment_stamp(const struct sio_segment *seg)
{
	return (struct sio_stamp *)(void *)seg->base;
}

static int
stamp_write(struct sio_segment *seg, const struct sio_segment_opts *opts)
{
	struct sio_stamp *stamp = segment_stamp(seg);

	if (getrandom(&seg->uid, sizeof(seg->uid), 0) != (ssize_t)sizeof(seg->uid))
		return -errno;
	seg->kind = opts->kind;
	seg->layout_version = opts->layout_version;
	seg->config_hash = opts->config_hash;
	seg->data_offset = SIO_SEGMENT_HEADER_SIZE;
	seg->data_size = opts->data_size;
	seg->slots = (struct sio_slot *)(void *)(seg->base + SIO_SLOTS_OFFSET);

	stamp->magic = SIO_STAMP_MAGIC;
	stamp->header_version = SIO_STAMP_VERSION;
	stamp->backing = (uint32_t)seg->backing;
	stamp->kind = seg->kind;
	stamp->layout_version = seg->layout_version;
	stamp->config_hash = seg->config_hash;
	stamp->data_offset = seg->data_offset;
	stamp->data_size = seg->data_size;
	stamp->map_size = seg->map_size;
	stamp->page_size = seg->page_size;
	stamp->uid = seg->uid;
	stamp->home = seg->home;
	stamp->slots = SIO_MEMBERS_MAX;
	memcpy(stamp->name, seg->name, sizeof(stamp->name));
	return 0;
}

int
sio_segment_create(const struct sio_segment_opts *opts, struct sio_segment **out)
{
	struct sio_segment *seg;
	int rc;

	*out = NULL;
	rc = opts_check(opts);
	if (rc < 0)
		return rc;
	seg = sio__segment_new();
	if (seg == NULL)
		return -ENOMEM;
	rc = sio__registry_lock();
	if (rc < 0) {
		sio__segment_free(seg);
		return rc;
	}
	sio__segment_ref(seg);
	seg->creator_epoch = sio__epoch();
	seg->joins = true;
	rc = name_prepare(seg, opts->name);
	sio__registry_unlock();
	if (rc == -EEXIST)
		SIO_ERR("segment '%s' is in use", opts->name);

	if (rc == 0)
		rc = sio__backing_make(seg, opts);
	if (rc < 0) {
		sio__segment_free(seg);
		return rc;
	}
	rc = stamp_write(seg, opts);
	if (rc == 0)
		rc = sio__member_join(seg);
	if (rc < 0) {
		sio_segment_detach(seg);
		return rc;
	}
	*out = seg;
	return 0;
}

/* Registry mutex held. */
static int
segment_publish(struct sio_segment *seg)
{
	struct sio_stamp *stamp = segment_stamp(seg);
	int lock, rc;

	if (!seg->writable)
		return -EALREADY; /* attached, to what was published */
	if (atomic_load_explicit(&stamp->published, memory_order_relaxed) != 0)
		return -EALREADY;
	if (!sio__segment_is_creator(seg))
		return -EPERM;
	if (seg->dirfd < 0) {
		atomic_store_explicit(&stamp->published, 1, memory_order_release);
		return 0;
	}
	lock = sio__name_lock(seg->dirfd, seg->name);
	if (lock < 0)
		return lock;
	rc = sio__name_clear(seg->dirfd, seg->name);
	if (rc == 0) {
		/* before the name, so that whoever finds the name finds this */
		atomic_store_explicit(&stamp->published, 1, memory_order_release);
		rc = sio__name_link(seg);
		if (rc < 0)
			atomic_store_explicit(&stamp->published, 0, memory_order_relaxed);
	}
	close(lock);
	if (rc < 0)
		SIO_ERR("cannot publish segment '%s': %s", seg->name,
			rc == -EEXIST ? "somebody else has published that name" : strerror(-rc));
	return rc;
}

int
sio_segment_publish(struct sio_segment *seg)
{
	int rc = sio__registry_lock();

	if (rc < 0)
		return rc;
	rc = segment_publish(seg);
	sio__registry_unlock();
	return rc;
}

void
sio_segment_detach(struct sio_segment *seg)
{
	bool memfd;

	if (seg == NULL || sio__registry_lock() < 0)
		return;
	/* the name of a memfd leads through its creator: with it, the name ends */
	memfd = seg->backing == SIO_BACKING_MEMFD || seg->backing == SIO_BACKING_MEMFD_HUGE;
	if (seg->refs == 1 && memfd && seg->dirfd >= 0 && sio__segment_is_creator(seg) &&
		atomic_load_explicit(&segment_stamp(seg)->published, memory_order_relaxed) != 0)
		sio__name_remove(seg);
	sio__segment_unref(seg);
	sio__registry_unlock();
}

int
sio_segment_unlink(struct sio_segment *seg)
{
	int rc = sio__registry_lock();

	if (rc < 0)
		return rc;
	rc = sio__name_remove(seg);
	sio__registry_unlock();
	return rc;
}

void *
sio_segment_data(const struct sio_segment *seg)
{
	return seg->base + seg->data_offset;
}

uint64_t
sio_segment_size(const struct sio_segment *seg)
{
	return seg->data_size;
}

uint64_t
sio_segment_page_size(const struct sio_segment *seg)
{
	return seg->page_size;
}

enum sio_backing
sio_segment_backing(const struct sio_segment *seg)
{
	return seg->backing;
}

int
sio_segment_fd(const struct sio_segment *seg)
{
	return seg->fd;
}

const char *
sio_segment_name(const struct sio_segment *seg)
{
	return seg->name;
}
