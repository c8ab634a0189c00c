/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>
#include "segment_private.h"

#define ATTACH_TRIES	100
#define ATTACH_PAUSE_NS 1000000

int
sio__stamp_read(int fd, struct sio_stamp *stamp)
{
	ssize_t n;

	/* read, not mapped: a file that is too short answers with a count, not with SIGBUS */
	do {
		n = pread(fd, stamp, sizeof(*stamp), 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n != (ssize_t)sizeof(*stamp) || stamp->magic != SIO_STAMP_MAGIC)
		return -EPROTO;
	stamp->name[sizeof(stamp->name) - 1] = '\0';
	return 0;
}

static int
user_check(const char *name, uint32_t kind, uint32_t layout_version, uint64_t config_hash,
	const struct sio_segment_attach_opts *opts)
{
	if (kind != opts->kind) {
		SIO_ERR("segment '%s': expected kind %.4s, found %.4s", name,
			(const char *)&opts->kind, (const char *)&kind);
		return -EPROTO;
	}
	if (layout_version != opts->layout_version) {
		SIO_ERR("segment '%s': expected layout version %u, found %u; use programs of one "
			"version",
			name, opts->layout_version, layout_version);
		return -EPROTO;
	}
	if (opts->config_hash != 0 && config_hash != opts->config_hash) {
		SIO_ERR("segment '%s': expected configuration %016llx, found %016llx; start both "
			"sides "
			"with the same one",
			name, (unsigned long long)opts->config_hash,
			(unsigned long long)config_hash);
		return -EPROTO;
	}
	return 0;
}

/* Checks everything in a stamp that the library goes by. */
static int
stamp_check(const struct sio_stamp *stamp, const char *name, uint64_t file_size, uint64_t page_size)
{
	if (stamp->header_version != SIO_STAMP_VERSION || stamp->slots != SIO_MEMBERS_MAX) {
		SIO_ERR("segment '%s': expected header version %u with %u members, found %u with "
			"%u; use "
			"programs of one version",
			name, SIO_STAMP_VERSION, SIO_MEMBERS_MAX, stamp->header_version,
			stamp->slots);
		return -EPROTO;
	}
	if (stamp->published == 0) {
		SIO_ERR("segment '%s': expected a published one, found one that its creator still "
			"fills",
			name);
		return -EPROTO;
	}
	if (stamp->map_size > file_size) {
		SIO_ERR("segment '%s': expected a file of %llu bytes, found %llu: it was cut "
			"short; "
			"remove it",
			name, (unsigned long long)stamp->map_size, (unsigned long long)file_size);
		return -EPROTO;
	}
	if (stamp->data_offset < SIO_SEGMENT_HEADER_SIZE ||
		stamp->data_offset % SIO_STAMP_SIZE != 0 || stamp->data_offset > stamp->map_size ||
		stamp->data_size == 0 || stamp->data_size > stamp->map_size - stamp->data_offset ||
		page_size == 0 || stamp->map_size % page_size != 0 ||
		stamp->backing < SIO_BACKING_FILE || stamp->backing > SIO_BACKING_MEMFD) {
		SIO_ERR("segment '%s': the stamp contradicts itself (data %llu + %llu of %llu, "
			"pages of "
			"%llu, backing %u); remove it",
			name, (unsigned long long)stamp->data_offset,
			(unsigned long long)stamp->data_size, (unsigned long long)stamp->map_size,
			(unsigned long long)page_size, stamp->backing);
		return -EPROTO;
	}
	return 0;
}

/*
 * Makes a segment structure of a descriptor and enters it into the registry. The descriptor goes
 * with it.
 */
static int
segment_open(int fd, const struct sio_stamp *stamp, const char *name,
	const struct sio_segment_attach_opts *opts, struct sio_segment **out)
{
	struct sio_segment *seg;
	struct statfs fs;
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	rc = stamp_check(stamp, name, (uint64_t)st.st_size, (uint64_t)fs.f_bsize);
	if (rc == 0)
		rc = user_check(name, stamp->kind, stamp->layout_version, stamp->config_hash, opts);
	if (rc < 0)
		return rc;
	seg = sio__segment_new();
	if (seg == NULL)
		return -ENOMEM;
	seg->dev = st.st_dev;
	seg->ino = st.st_ino;
	seg->backing = (enum sio_backing)stamp->backing;
	seg->map_size = stamp->map_size;
	seg->page_size = (uint64_t)fs.f_bsize;
	seg->data_offset = stamp->data_offset;
	seg->data_size = stamp->data_size;
	seg->uid = stamp->uid;
	seg->home = stamp->home;
	seg->kind = stamp->kind;
	seg->layout_version = stamp->layout_version;
	seg->config_hash = stamp->config_hash;
	memcpy(seg->name, stamp->name, sizeof(seg->name));
	seg->fd = fd;
	rc = sio__backing_map(seg, !(opts->observe && opts->read_only));
	if (rc < 0) {
		free(seg);
		return rc;
	}
	if (!opts->observe)
		sio__backing_prefault(seg);
	seg->slots = (struct sio_slot *)(void *)(seg->base + SIO_SLOTS_OFFSET);
	sio__segment_ref(seg);
	sio__registry_add(seg);
	*out = seg;
	return 0;
}

/* Another attach to what this process has: the same structure, with the rights of both. */
static int
segment_again(struct sio_segment *seg, const struct sio_segment_attach_opts *opts)
{
	int rc;

	rc = user_check(seg->name, seg->kind, seg->layout_version, seg->config_hash, opts);
	if (rc < 0)
		return rc;
	if (!seg->writable && !(opts->observe && opts->read_only)) {
		if (mprotect(seg->base, seg->map_size, PROT_READ | PROT_WRITE) < 0) {
			rc = -errno;
			SIO_ERR("segment '%s': this process has it read-only; detach there first",
				seg->name);
			return rc;
		}
		seg->writable = true;
	}
	sio__segment_ref(seg);
	return 0;
}

/* Becomes a member unless told not to or one already. @return 0; -EUSERS; -EAGAIN; -errno */
static int
segment_join(struct sio_segment *seg, const struct sio_segment_attach_opts *opts)
{
	int rc;

	if (opts->observe || sio_segment_self(seg) != SIO_MEMBER_NONE)
		return 0;
	rc = sio__member_join(seg);
	if (rc == 0)
		seg->joins = true;
	else if (rc == -EUSERS)
		SIO_ERR("segment '%s': all %u member slots are taken; end a member, or settle and "
			"bury dead "
			"ones",
			seg->name, SIO_MEMBERS_MAX);
	return rc;
}

static int
name_open(int dirfd, const char *name, const struct sio_name_target *target,
	const struct sio_segment_attach_opts *opts)
{
	int fd = sio__name_open(dirfd, name, target, O_RDWR);

	if ((fd == -EACCES || fd == -EROFS) && opts->observe && opts->read_only)
		fd = sio__name_open(dirfd, name, target, O_RDONLY);
	return fd;
}

/* Opens what a name leads to now. @return 0; -ESTALE it leads elsewhere by now; another -errno */
static int
name_attach(int dirfd, const char *name, const struct sio_name_target *target,
	const struct sio_segment_attach_opts *opts, struct sio_segment **seg)
{
	struct sio_stamp stamp;
	int fd, rc;

	*seg = sio__registry_find(target->st.st_dev, target->st.st_ino);
	if (*seg != NULL)
		return segment_again(*seg, opts);

	fd = name_open(dirfd, name, target, opts);
	if (fd < 0)
		return fd;
	rc = sio__stamp_read(fd, &stamp);
	if (rc == 0 &&
		(strcmp(stamp.name, name) != 0 ||
			(target->type == SIO_NAME_MEMFD &&
				(stamp.home != sio__runtime_home(dirfd) || stamp.published == 0))))
		rc = -EPROTO;
	if (rc == -EPROTO && target->type == SIO_NAME_MEMFD)
		rc = -ENOENT; /* a later process of that pid has it open */
	else if (rc == -EPROTO)
		SIO_ERR("'%s': expected a segment of that name, found a file that is none", name);
	if (rc == 0)
		rc = segment_open(fd, &stamp, name, opts, seg);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	(*seg)->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
	return 0;
}

/* One try to attach by name. @return -EAGAIN: the segment is just being replaced, try again */
static int
attach_try(int dirfd, const char *name, const struct sio_segment_attach_opts *opts,
	struct sio_segment **out)
{
	struct sio_name_target target, again;
	struct sio_segment *seg;
	int rc;

	rc = sio__name_resolve(dirfd, name, &target);
	if (rc == -EPROTO)
		SIO_ERR("'%s': expected a segment, found something else in the runtime folder",
			name);
	if (rc < 0)
		return rc == -ESTALE ? -ENOENT : rc;
	rc = name_attach(dirfd, name, &target, opts, &seg);
	if (rc < 0)
		return rc == -ESTALE ? -EAGAIN : rc;
	rc = segment_join(seg, opts);
	/* with the token in hand: whoever replaces the segment from here on sees it */
	if (rc == 0 && !opts->observe &&
		(sio__name_resolve(dirfd, name, &again) < 0 || again.st.st_dev != seg->dev ||
			again.st.st_ino != seg->ino))
		rc = -EAGAIN;
	if (rc < 0) {
		sio__segment_unref(seg);
		return rc;
	}
	*out = seg;
	return 0;
}

static int
attach_opts_check(const struct sio_segment_attach_opts *opts)
{
	if (opts == NULL || !sio__opts_ok(opts, opts->sz, sizeof(*opts))) {
		SIO_ERR("segment attach options: expected sz %zu and zero in what follows, found "
			"%zu",
			sizeof(*opts), opts == NULL ? 0 : opts->sz);
		return -EINVAL;
	}
	if (opts->read_only && !opts->observe) {
		SIO_ERR("segment attach options: only an observer can map read-only");
		return -EINVAL;
	}
	return 0;
}

int
sio_segment_attach(
	const char *name, const struct sio_segment_attach_opts *opts, struct sio_segment **seg)
{
	const struct timespec pause = {.tv_nsec = ATTACH_PAUSE_NS};
	int dirfd, rc, tries;

	*seg = NULL;
	rc = attach_opts_check(opts);
	if (rc < 0)
		return rc;
	rc = sio_name_check(name);
	if (rc < 0)
		return rc;
	dirfd = sio__runtime_open();
	if (dirfd < 0)
		return dirfd;
	for (tries = 0; tries < ATTACH_TRIES; tries++) {
		rc = sio__registry_lock();
		if (rc < 0)
			break;
		rc = attach_try(dirfd, name, opts, seg);
		sio__registry_unlock();
		if (rc != -EAGAIN)
			break;
		nanosleep(&pause, NULL);
	}
	if (rc == -EAGAIN) {
		SIO_ERR("segment '%s' is being replaced all the time; try again", name);
		rc = -EBUSY;
	}
	close(dirfd);
	return rc;
}

/* Registry mutex held. */
static int
attach_fd(int fd, const struct sio_segment_attach_opts *opts, struct sio_segment **out)
{
	struct sio_segment *seg;
	struct sio_stamp stamp;
	struct stat st;
	int own, rc;

	if (fstat(fd, &st) < 0)
		return -errno;
	seg = S_ISREG(st.st_mode) ? sio__registry_find(st.st_dev, st.st_ino) : NULL;
	if (seg != NULL) {
		rc = segment_again(seg, opts);
	} else {
		rc = S_ISREG(st.st_mode) ? sio__stamp_read(fd, &stamp) : -EPROTO;
		if (rc == -EPROTO)
			SIO_ERR("descriptor %d: expected a segment, found none", fd);
		own = rc < 0 ? rc : fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (own < 0)
			return rc < 0 ? rc : -errno;
		rc = segment_open(own, &stamp, stamp.name, opts, &seg);
		if (rc < 0)
			close(own);
	}
	if (rc < 0)
		return rc;
	rc = segment_join(seg, opts);
	if (rc < 0) {
		sio__segment_unref(seg);
		return rc;
	}
	*out = seg;
	return 0;
}

int
sio_segment_attach_fd(int fd, const struct sio_segment_attach_opts *opts, struct sio_segment **seg)
{
	int rc;

	*seg = NULL;
	rc = attach_opts_check(opts);
	if (rc < 0)
		return rc;
	rc = sio__registry_lock();
	if (rc < 0)
		return rc;
	rc = attach_fd(fd, opts, seg);
	sio__registry_unlock();
	return rc == -EAGAIN ? -EBUSY : rc;
}
