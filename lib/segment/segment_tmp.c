/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "segment_private.h"

/*
 * Files that have no name yet. Where the file system can (O_TMPFILE), the kernel frees such a file
 * with the process; elsewhere it gets a temporary name with the final name in it, and whoever next
 * makes a file for that name removes those whose maker is dead. The maker takes its token while it
 * still holds the name's lock, so a file without a token under that lock has no living maker.
 */

bool sio__tmp_named;

/* "PREFIX.tmp.PID.N@NAME": NAME is what follows the first '@' after the prefix */
static bool
tmp_is_of(const char *entry, const char *prefix, const char *name)
{
	const char *at;

	if (strncmp(entry, prefix, strlen(prefix)) != 0)
		return false;
	at = strchr(entry + strlen(prefix), '@');
	return at != NULL && strcmp(at + 1, name) == 0;
}

static void
tmp_sweep_one(int dir, const char *entry)
{
	struct stat st, opened;
	int fd;

	/* never open and close a file that this process holds a token in */
	if (fstatat(dir, entry, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
		sio__registry_find(st.st_dev, st.st_ino) != NULL)
		return;
	fd = openat(dir, entry, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &opened) == 0 && opened.st_ino == st.st_ino &&
		sio__tokens_lock_all(fd) == 0) {
		SIO_INFO(
			"removing '%s', left by a process that died before it published it", entry);
		unlinkat(dir, entry, 0);
	}
	close(fd);
}

static void
tmp_sweep(int dir, const char *prefix, const char *name)
{
	struct dirent *entry;
	DIR *list;
	int fd;

	fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	list = fdopendir(fd);
	if (list == NULL) {
		close(fd);
		return;
	}
	while ((entry = readdir(list)) != NULL) {
		if (tmp_is_of(entry->d_name, prefix, name))
			tmp_sweep_one(dir, entry->d_name);
	}
	closedir(list);
}

int
sio__tmp_open_named(int dir, const char *dir_path, const char *tag, const char *name, char **path)
{
	static unsigned int counter;
	char prefix[64], entry[NAME_MAX + 1], full[PATH_MAX];
	int fd = -EEXIST, tries;

	*path = NULL;
	snprintf(prefix, sizeof(prefix), "%s.tmp.", tag);
	if (name[0] != '\0')
		tmp_sweep(dir, prefix, name);
	/* a name in use is another process's of this pid, from another pid namespace */
	for (tries = 0; tries < 100 && fd == -EEXIST; tries++) {
		snprintf(
			entry, sizeof(entry), "%s%d.%u@%s", prefix, (int)getpid(), counter++, name);
		fd = openat(dir, entry, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0)
			fd = -errno;
	}
	if (fd < 0)
		return fd;
	if (name[0] == '\0') {
		unlinkat(dir, entry, 0);
		return fd;
	}
	if (snprintf(full, sizeof(full), "%s%s", dir_path, entry) < (int)sizeof(full))
		*path = strdup(full);
	if (*path == NULL || sio__token_try(fd, 0) < 0) {
		unlinkat(dir, entry, 0);
		close(fd);
		free(*path);
		*path = NULL;
		return -ENOMEM;
	}
	return fd;
}

int
sio__tmp_open(int dir)
{
	int fd;

	if (sio__tmp_named)
		return -EOPNOTSUPP;
	fd = openat(dir, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	/* what file systems and kernels without O_TMPFILE say; all else is an error */
	if (errno == EISDIR || errno == ENOENT || errno == EINVAL)
		return -EOPNOTSUPP;
	return -errno;
}

int
sio__tmp_link(int fd, char **tmp_path, int dir, const char *final_name)
{
	char proc[64];

	if (*tmp_path != NULL) {
		/* a relative path is below dir; an absolute one makes dir meaningless */
		if (renameat2(dir, *tmp_path, dir, final_name, RENAME_NOREPLACE) < 0)
			return -errno;
		free(*tmp_path);
		*tmp_path = NULL;
		return 0;
	}
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, proc, dir, final_name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return 0;
}
