/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "segment_private.h"

/*
 * Names in the runtime folder.
 *
 *   backing     the name is
 *   file        the file itself
 *   hugetlbfs   a link to the file on the hugetlbfs mount
 *   memfd       a link to /proc/PID/fd/N of the process that published it; dangling when
 *               that is gone
 *
 * Publishing is exclusive by itself: link() and symlink() do not replace. What needs a lock is
 * taking away the name of a dead segment, so that nobody takes away its successor instead. That
 * lock is a record lock of one byte per name (hashed) in the file ".lock" of the folder: dropped by
 * the kernel at death, held for a few system calls. A process stopped while it holds the lock keeps
 * others from creating that name, with -EBUSY after a second, and from nothing else: attaching
 * takes no lock.
 *
 * Replacing against attaching: the replacer takes all 64 tokens of the old file, then removes the
 * name, then closes the file. An attacher takes a token, then looks whether the name still leads to
 * its file. If the attacher's token came first, the replacer finds it and refuses; if the
 * replacer's came first, the attacher gets a token only after the name is gone, sees that, and
 * starts anew.
 *
 * A death while publishing on hugetlbfs leaves, after linking the file, a file nobody's link leads
 * to: the next who publishes that name removes it, since its tokens are free. A death while
 * removing leaves, after the file, a dangling link, which counts as no segment.
 */

#define NAME_LOCK_FILE	   ".lock"
#define NAME_LOCK_TRIES	   200
#define NAME_LOCK_PAUSE_NS 5000000

static uint64_t
hash_bytes(uint64_t hash, const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len-- > 0)
		hash = (hash ^ *p++) * UINT64_C(0x100000001b3);
	return hash;
}

uint64_t
sio__runtime_home(int dirfd)
{
	uint64_t id[2], hash;
	struct stat st;

	if (fstat(dirfd, &st) < 0)
		return 0;
	/* device and inode: the same path is another folder in another mount namespace */
	id[0] = (uint64_t)st.st_dev;
	id[1] = (uint64_t)st.st_ino;
	hash = hash_bytes(UINT64_C(0xcbf29ce484222325), id, sizeof(id));
	return hash == 0 ? 1 : hash;
}

int
sio__name_huge_path(char *buf, size_t len, const char *mount, int dirfd, const char *name)
{
	int n = snprintf(buf, len, "%s/slabio.%u.%016llx@%s", mount, (unsigned int)geteuid(),
		(unsigned long long)sio__runtime_home(dirfd), name);

	return n < 0 || (size_t)n >= len ? -ENAMETOOLONG : 0;
}

/* Tells a link to a memfd of ours from one to whatever has that pid and number today. */
static int
memfd_check(const char *path, const char *name)
{
	char found[PATH_MAX], expected[SIO_NAME_LEN + 16];
	ssize_t n;

	n = readlink(path, found, sizeof(found) - 1);
	if (n < 0)
		return errno == ENOENT || errno == ESRCH || errno == ENOTDIR ? -ESTALE : -errno;
	found[n] = '\0';
	snprintf(expected, sizeof(expected), "/memfd:slabio.%s", name);
	n = (ssize_t)strlen(expected);
	if (strncmp(found, expected, (size_t)n) != 0 || (found[n] != '\0' && found[n] != ' '))
		return -ESTALE;
	return 0;
}

static int
link_resolve(int dirfd, const char *name, struct sio_name_target *target)
{
	ssize_t n;
	int rc;

	n = readlinkat(dirfd, name, target->path, sizeof(target->path) - 1);
	if (n < 0)
		return errno == EINVAL ? -ENOENT : -errno;
	target->path[n] = '\0';
	if (strncmp(target->path, "/proc/", 6) == 0) {
		target->type = SIO_NAME_MEMFD;
		rc = memfd_check(target->path, name);
		if (rc < 0)
			return rc;
	} else if (target->path[0] == '/' && strstr(target->path, "/slabio.") != NULL) {
		target->type = SIO_NAME_HUGE;
	} else {
		return -EPROTO;
	}
	/*
	 * stat, not open: what is there may be somebody else's by now, and opening can have effects
	 */
	if (stat(target->path, &target->st) < 0)
		return errno == ENOENT || errno == ESRCH || errno == ENOTDIR ? -ESTALE : -errno;
	return S_ISREG(target->st.st_mode) ? 0 : -EPROTO;
}

int
sio__name_resolve(int dirfd, const char *name, struct sio_name_target *target)
{
	target->path[0] = '\0';
	if (fstatat(dirfd, name, &target->st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISLNK(target->st.st_mode))
		return link_resolve(dirfd, name, target);
	target->type = SIO_NAME_FILE;
	return S_ISREG(target->st.st_mode) ? 0 : -EPROTO;
}

int
sio__name_open(int dirfd, const char *name, const struct sio_name_target *target, int access_mode)
{
	int flags = access_mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	struct stat st;
	int fd;

	if (target->type == SIO_NAME_FILE)
		fd = openat(dirfd, name, flags | O_NOFOLLOW);
	else
		fd = open(target->path, flags);
	if (fd < 0)
		return errno == ENOENT || errno == ESRCH ? -ESTALE : -errno;
	if (fstat(fd, &st) < 0 || st.st_dev != target->st.st_dev ||
		st.st_ino != target->st.st_ino) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

int
sio__name_lock(int dirfd, const char *name)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	const struct timespec pause = {.tv_nsec = NAME_LOCK_PAUSE_NS};
	int fd, rc, tries;

	fd = openat(dirfd, NAME_LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = -errno;
		SIO_ERR("cannot open %s in the runtime folder: %s", NAME_LOCK_FILE, strerror(-rc));
		return rc;
	}
	lock.l_start = (off_t)(hash_bytes(UINT64_C(0xcbf29ce484222325), name, strlen(name)) >> 2);
	for (tries = 0; tries < NAME_LOCK_TRIES; tries++) {
		if (fcntl(fd, F_SETLK, &lock) == 0)
			return fd;
		rc = -errno;
		if (rc != -EAGAIN && rc != -EACCES && rc != -EINTR) {
			close(fd);
			return rc;
		}
		nanosleep(&pause, NULL);
	}
	if (fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
		lock.l_pid = 0;
	SIO_ERR("the name '%s' is being created or removed by process %d for over a second: is it "
		"stopped? Continue or end it, then try again",
		name, (int)lock.l_pid);
	close(fd);
	return -EBUSY;
}

/*
 * Takes all tokens of a file unless this process or another lives in it. @return descriptor;
 * -EEXIST; -errno
 */
static int
target_bury(int dirfd, const char *name, const struct sio_name_target *target)
{
	struct sio_segment *seg = sio__registry_find(target->st.st_dev, target->st.st_ino);
	struct sio_stamp stamp;
	int fd, rc;

	/* this process's tokens do not refuse it, and closing another descriptor would drop them */
	if (seg != NULL && sio_segment_self(seg) != SIO_MEMBER_NONE)
		return -EEXIST;
	fd = sio__name_open(dirfd, name, target, O_RDWR);
	if (fd < 0)
		return fd;
	rc = sio__stamp_read(fd, &stamp);
	if (rc == 0)
		rc = sio__tokens_lock_all(fd);
	if (rc < 0) {
		close(fd);
		return rc == -EAGAIN ? -EEXIST : rc;
	}
	return fd;
}

static int
name_stranger(const char *name)
{
	SIO_ERR("'%s' exists in the runtime folder and is no segment; remove it or choose another "
		"name",
		name);
	return -EEXIST;
}

int
sio__name_clear(int dirfd, const char *name)
{
	struct sio_name_target target;
	int fd = -1, rc;

	rc = sio__name_resolve(dirfd, name, &target);
	if (rc == -ENOENT)
		return 0;
	if (rc == 0) {
		fd = target_bury(dirfd, name, &target);
		rc = fd < 0 ? fd : 0;
		/* a memfd that is no segment of that name belongs to a later process of that pid */
		if (rc == -EPROTO && target.type == SIO_NAME_MEMFD)
			rc = -ESTALE;
	}
	if (rc == -EPROTO)
		return name_stranger(name);
	if (rc == -EEXIST)
		return rc;
	if (rc < 0 && rc != -ESTALE) {
		SIO_ERR("cannot tell whether segment '%s' is in use: %s; if it is not, remove its "
			"name",
			name, strerror(-rc));
		return rc == -EACCES ? -EEXIST : rc;
	}
	SIO_INFO("removing segment '%s': nobody lives in it", name);
	if (target.type == SIO_NAME_HUGE && unlink(target.path) < 0 && errno != ENOENT)
		rc = -errno;
	else
		rc = unlinkat(dirfd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	if (fd >= 0)
		close(fd); /* and with it the tokens, after the name is gone */
	return rc;
}

/* Removes the file that a publisher killed between file and link left on the hugetlbfs mount. */
static int
huge_orphan_clear(const char *path)
{
	struct sio_name_target target = {.type = SIO_NAME_HUGE};
	int fd;

	if (stat(path, &target.st) < 0)
		return errno == ENOENT ? 0 : -errno;
	snprintf(target.path, sizeof(target.path), "%s", path);
	if (!S_ISREG(target.st.st_mode) || sio__registry_find(target.st.st_dev, target.st.st_ino))
		return -EEXIST;
	fd = target_bury(-1, path, &target);
	if (fd < 0)
		return fd == -ESTALE ? 0 : -EEXIST;
	unlink(path);
	close(fd);
	return 0;
}

static int
huge_link(struct sio_segment *seg)
{
	int rc;

	rc = huge_orphan_clear(seg->target);
	if (rc == 0)
		rc = sio__tmp_link(seg->fd, &seg->tmp_path, AT_FDCWD, seg->target);
	if (rc < 0) {
		SIO_ERR("cannot link segment '%s' as %s: %s", seg->name, seg->target,
			strerror(-rc));
		return rc;
	}
	if (symlinkat(seg->target, seg->dirfd, seg->name) < 0) {
		rc = -errno;
		unlink(seg->target);
	}
	return rc;
}

int
sio__name_link(struct sio_segment *seg)
{
	char path[64];

	switch (seg->backing) {
	case SIO_BACKING_FILE:
		return sio__tmp_link(seg->fd, &seg->tmp_path, seg->dirfd, seg->name);
	case SIO_BACKING_HUGETLBFS:
		return huge_link(seg);
	default:
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), seg->fd);
		return symlinkat(path, seg->dirfd, seg->name) < 0 ? -errno : 0;
	}
}

int
sio__name_remove(struct sio_segment *seg)
{
	struct sio_name_target target;
	int lock, rc;

	if (seg->dirfd < 0)
		return -ENOENT;
	lock = sio__name_lock(seg->dirfd, seg->name);
	if (lock < 0)
		return lock;
	rc = sio__name_resolve(seg->dirfd, seg->name, &target);
	if (rc < 0 || target.st.st_dev != seg->dev || target.st.st_ino != seg->ino)
		rc = -ENOENT;
	else if (target.type == SIO_NAME_HUGE && unlink(target.path) < 0)
		rc = -errno;
	else
		rc = unlinkat(seg->dirfd, seg->name, 0) < 0 ? -errno : 0;
	close(lock);
	return rc;
}

int
sio_segment_remove(const char *name)
{
	struct sio_name_target target;
	int dirfd, lock, rc;

	if (sio_name_check(name) != 0)
		return -ENOENT;
	rc = sio__registry_lock();
	if (rc < 0)
		return rc;
	dirfd = sio__runtime_open();
	if (dirfd < 0) {
		sio__registry_unlock();
		return dirfd;
	}
	lock = sio__name_lock(dirfd, name);
	rc = lock < 0 ? lock : sio__name_resolve(dirfd, name, &target);
	if (lock >= 0 && rc != -ENOENT) {
		bool stranger = rc == -EPROTO;

		rc = sio__name_clear(dirfd, name);
		if (rc == -EEXIST && !stranger)
			rc = -EBUSY;
	}
	if (lock >= 0)
		close(lock);
	close(dirfd);
	sio__registry_unlock();
	return rc;
}
