/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "segment_private.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define HUGE_MOUNTS_MAX 8

const char *
sio_backing_name(enum sio_backing backing)
{
	switch (backing) {
	case SIO_BACKING_AUTO:
		return "auto";
	case SIO_BACKING_FILE:
		return "file";
	case SIO_BACKING_HUGETLBFS:
		return "hugetlbfs";
	case SIO_BACKING_MEMFD_HUGE:
		return "memfd-huge";
	case SIO_BACKING_MEMFD:
		return "memfd";
	case SIO_BACKING_LENT:
		return "lent";
	}
	return "unknown";
}

static bool
backing_is_huge(enum sio_backing backing)
{
	return backing == SIO_BACKING_HUGETLBFS || backing == SIO_BACKING_MEMFD_HUGE;
}

/* Opens a file that will be published as a file: in the runtime folder or on a hugetlbfs mount. */
static int
file_open(struct sio_segment *seg, int dir, const char *dir_path, const char *tag)
{
	int fd, lock;

	fd = sio__tmp_open(dir);
	if (fd != -EOPNOTSUPP)
		return fd;
	if (seg->name[0] == '\0')
		return sio__tmp_open_named(dir, dir_path, tag, "", &seg->tmp_path);
	lock = sio__name_lock(seg->dirfd, seg->name);
	if (lock < 0)
		return lock;
	fd = sio__tmp_open_named(dir, dir_path, tag, seg->name, &seg->tmp_path);
	close(lock);
	return fd;
}

static int
runtime_file_open(struct sio_segment *seg)
{
	int dir, fd;

	if (seg->dirfd >= 0)
		return file_open(seg, seg->dirfd, "", "");
	dir = sio__runtime_open();
	if (dir < 0)
		return dir;
	fd = file_open(seg, dir, "", "");
	close(dir);
	return fd;
}

static int
huge_file_open(struct sio_segment *seg, const char *mount)
{
	char prefix[PATH_MAX], path[PATH_MAX], tag[64];
	int dir, fd;

	if (seg->name[0] != '\0') {
		fd = sio__name_huge_path(path, sizeof(path), mount, seg->dirfd, seg->name);
		if (fd < 0)
			return fd;
		seg->target = strdup(path);
		if (seg->target == NULL)
			return -ENOMEM;
	}
	if (snprintf(prefix, sizeof(prefix), "%s/", mount) >= (int)sizeof(prefix))
		return -ENAMETOOLONG;
	snprintf(tag, sizeof(tag), "slabio.%u.%016llx", (unsigned int)geteuid(),
		(unsigned long long)seg->home);
	dir = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	fd = file_open(seg, dir, prefix, tag);
	close(dir);
	return fd;
}

static int
memfd_open(struct sio_segment *seg, unsigned int flags)
{
	char name[SIO_NAME_LEN + 16];
	int fd;

	/* the name shows in /proc, where attaching looks for it */
	snprintf(name, sizeof(name), "slabio.%s", seg->name);
	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
	return fd < 0 ? -errno : fd;
}

static int
any_open(struct sio_segment *seg, enum sio_backing backing, const char *mount)
{
	switch (backing) {
	case SIO_BACKING_FILE:
		return runtime_file_open(seg);
	case SIO_BACKING_HUGETLBFS:
		return huge_file_open(seg, mount);
	case SIO_BACKING_MEMFD_HUGE:
		return memfd_open(seg, MFD_HUGETLB);
	default:
		return memfd_open(seg, 0);
	}
}

/* Opens the file and enters it into the registry in one step. */
static int
backing_open(struct sio_segment *seg, enum sio_backing backing, const char *mount)
{
	struct statfs fs;
	struct stat st;
	int rc;

	rc = sio__registry_lock();
	if (rc < 0)
		return rc;
	seg->backing = backing;
	rc = any_open(seg, backing, mount);
	if (rc >= 0) {
		seg->fd = rc;
		rc = fstat(seg->fd, &st) < 0 || fstatfs(seg->fd, &fs) < 0 ? -errno : 0;
	}
	if (rc == 0) {
		seg->dev = st.st_dev;
		seg->ino = st.st_ino;
		seg->page_size = (uint64_t)fs.f_bsize;
		sio__registry_add(seg);
	} else {
		sio__backing_drop(seg);
	}
	sio__registry_unlock();
	return rc;
}

static void
numa_prefer(struct sio_segment *seg, int node)
{
	unsigned long mask[16] = {0};
	const unsigned int bits = 8 * sizeof(mask[0]);

	if (node < 0)
		return;
	if ((unsigned int)node < bits * 16) {
		mask[(unsigned int)node / bits] = 1ul << ((unsigned int)node % bits);
		/*
		 * on a shared mapping the policy goes with the file, so it holds for what is
		 * allocated below
		 */
		if (syscall(SYS_mbind, seg->base, seg->map_size, MPOL_PREFERRED, mask,
			    (unsigned long)bits * 16, 0) == 0)
			return;
	} else {
		errno = EINVAL;
	}
	SIO_WARN("segment '%s': NUMA node %d was asked for and cannot be preferred: %s", seg->name,
		node, strerror(errno));
}

/*
 * Has the file's memory allocated now, so that lack of it is an error here and not a SIGBUS at some
 * access.
 */
static int
file_allocate(struct sio_segment *seg)
{
	int rc, tries;

	for (tries = 0; tries < 100; tries++) {
		if (fallocate(seg->fd, 0, 0, (off_t)seg->map_size) == 0)
			break;
		rc = -errno;
		if (rc == -EOPNOTSUPP)
			break; /* touching the pages does it, where the kernel says how it went */
		if (rc != -EINTR)
			return rc;
	}
	if (madvise(seg->base, seg->map_size, MADV_POPULATE_WRITE) < 0) {
		rc = -errno;
		/*
		 * not known to kernels before 5.14: the pages exist and are mapped at the first
		 * touch
		 */
		if (rc == -EINVAL && tries < 100)
			return 0;
		return rc == -EFAULT ? -ENOMEM : rc;
	}
	return 0;
}

void
sio__backing_prefault(struct sio_segment *seg)
{
	/*
	 * the pages are there: this only saves a fault at each page's first use, so not being able
	 * to is no error
	 */
	(void)madvise(seg->base, seg->map_size, MADV_POPULATE_WRITE);
}

int
sio__backing_map(struct sio_segment *seg, bool writable)
{
	int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
	void *base;

	base = mmap(NULL, seg->map_size, prot, MAP_SHARED, seg->fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	seg->base = base;
	seg->writable = writable;
	return 0;
}

static int
backing_fill(struct sio_segment *seg, const struct sio_segment_opts *opts)
{
	int rc;

	seg->map_size = SIO_SEGMENT_HEADER_SIZE + opts->data_size;
	seg->map_size = (seg->map_size + seg->page_size - 1) / seg->page_size * seg->page_size;
	if (fchmod(seg->fd, opts->mode == 0 ? 0600 : (mode_t)opts->mode) < 0 ||
		ftruncate(seg->fd, (off_t)seg->map_size) < 0)
		return -errno;
	/* nobody who got the descriptor can take pages away from under the others */
	if (seg->backing == SIO_BACKING_MEMFD || seg->backing == SIO_BACKING_MEMFD_HUGE)
		fcntl(seg->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	rc = sio__backing_map(seg, true);
	if (rc == 0) {
		numa_prefer(seg, opts->numa_node - 1);
		rc = file_allocate(seg);
	}
	return rc;
}

static int
backing_make_one(struct sio_segment *seg, const struct sio_segment_opts *opts,
	enum sio_backing backing, const char *mount)
{
	int rc;

	rc = backing_open(seg, backing, mount);
	if (rc < 0)
		return rc;
	rc = backing_fill(seg, opts);
	if (rc == 0)
		return 0;
	if (sio__registry_lock() == 0) {
		sio__backing_drop(seg);
		sio__registry_unlock();
	}
	return rc == -ENOMEM && backing_is_huge(backing) ? -ENOSPC : rc;
}

struct huge_mount {
	char path[PATH_MAX];
	uint64_t page_size;
};

/* The hugetlbfs mounts this process can write to, those of small pages first. */
static unsigned int
huge_mounts_find(struct huge_mount *mounts)
{
	char line[2 * PATH_MAX];
	struct mntent entry;
	struct statfs fs;
	unsigned int n = 0, at;
	FILE *f;

	f = setmntent("/proc/self/mounts", "re");
	if (f == NULL)
		return 0;
	while (n < HUGE_MOUNTS_MAX && getmntent_r(f, &entry, line, sizeof(line)) != NULL) {
		if (strcmp(entry.mnt_type, "hugetlbfs") != 0 || strlen(entry.mnt_dir) >= PATH_MAX ||
			access(entry.mnt_dir, W_OK | X_OK) < 0 || statfs(entry.mnt_dir, &fs) < 0)
			continue;
		for (at = n; at > 0 && mounts[at - 1].page_size > (uint64_t)fs.f_bsize; at--)
			mounts[at] = mounts[at - 1];
		snprintf(mounts[at].path, sizeof(mounts[at].path), "%s", entry.mnt_dir);
		mounts[at].page_size = (uint64_t)fs.f_bsize;
		n++;
	}
	endmntent(f);
	return n;
}

static int
hugetlbfs_make(struct sio_segment *seg, const struct sio_segment_opts *opts)
{
	struct huge_mount *mounts;
	unsigned int i, n;
	int rc = -ENODEV;

	mounts = calloc(HUGE_MOUNTS_MAX, sizeof(*mounts));
	if (mounts == NULL)
		return -ENOMEM;
	n = huge_mounts_find(mounts);
	for (i = 0; i < n; i++) {
		rc = backing_make_one(seg, opts, SIO_BACKING_HUGETLBFS, mounts[i].path);
		if (rc == 0)
			break;
		SIO_INFO("segment '%s': %llu bytes on %s (pages of %llu): %s", seg->name,
			(unsigned long long)opts->data_size, mounts[i].path,
			(unsigned long long)mounts[i].page_size, strerror(-rc));
	}
	free(mounts);
	return rc;
}

static int
backing_make(struct sio_segment *seg, const struct sio_segment_opts *opts, enum sio_backing backing)
{
	if (backing == SIO_BACKING_HUGETLBFS)
		return hugetlbfs_make(seg, opts);
	return backing_make_one(seg, opts, backing, NULL);
}

static int
lent_make(struct sio_segment *seg, const struct sio_segment_opts *opts)
{
	seg->backing = SIO_BACKING_LENT;
	seg->base = opts->lent_addr;
	seg->map_size = opts->lent_size;
	seg->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	seg->writable = true;
	memset(seg->base, 0, SIO_SEGMENT_HEADER_SIZE + opts->data_size);
	return 0;
}

int
sio__backing_make(struct sio_segment *seg, const struct sio_segment_opts *opts)
{
	static const enum sio_backing order[] = {
		SIO_BACKING_HUGETLBFS, SIO_BACKING_MEMFD_HUGE, SIO_BACKING_MEMFD};
	unsigned int i;
	int rc = 0;

	if (opts->backing == SIO_BACKING_LENT)
		return lent_make(seg, opts);
	if (opts->backing != SIO_BACKING_AUTO) {
		rc = backing_make(seg, opts, opts->backing);
		if (rc < 0)
			SIO_ERR("segment '%s': cannot have %llu bytes backed by %s: %s%s",
				seg->name, (unsigned long long)opts->data_size,
				sio_backing_name(opts->backing), strerror(-rc),
				rc == -ENODEV
					? " (no writable hugetlbfs mount in /proc/self/mounts)"
					: "");
		return rc;
	}
	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		rc = backing_make(seg, opts, order[i]);
		if (rc == 0)
			return 0;
		SIO_NOTICE("segment '%s': cannot have %llu bytes backed by %s: %s", seg->name,
			(unsigned long long)opts->data_size, sio_backing_name(order[i]),
			strerror(-rc));
	}
	return rc;
}

void
sio__backing_drop(struct sio_segment *seg)
{
	sio__registry_remove(seg);
	if (seg->base != NULL && seg->backing != SIO_BACKING_LENT)
		munmap(seg->base, seg->map_size);
	seg->base = NULL;
	/* a forked child's copy of the name is not the child's to remove */
	if (seg->tmp_path != NULL && sio__segment_is_creator(seg))
		unlinkat(seg->dirfd, seg->tmp_path, 0);
	free(seg->tmp_path);
	seg->tmp_path = NULL;
	free(seg->target);
	seg->target = NULL;
	if (seg->fd >= 0)
		close(seg->fd);
	seg->fd = -1;
}
