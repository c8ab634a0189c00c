/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "segment_private.h"

struct found {
	char name[SIO_NAME_LEN];
	uint32_t kind;
};

struct found_list {
	struct found *items;
	size_t n, room;
};

/* What a name's segment holds, seen without attaching. @return 0 or -errno: no published segment */
static int
name_kind(int dirfd, const char *name, uint32_t *kind)
{
	struct sio_name_target target;
	struct sio_segment *seg;
	struct sio_stamp stamp;
	int fd, rc;

	rc = sio_name_check(name);
	if (rc == 0)
		rc = sio__name_resolve(dirfd, name, &target);
	if (rc < 0)
		return rc;
	/* closing another descriptor of a file of this process would drop its tokens */
	seg = sio__registry_find(target.st.st_dev, target.st.st_ino);
	if (seg != NULL) {
		*kind = seg->kind;
		return 0;
	}
	fd = sio__name_open(dirfd, name, &target, O_RDONLY);
	if (fd < 0)
		return fd;
	rc = sio__stamp_read(fd, &stamp);
	close(fd);
	if (rc == 0 && (stamp.published == 0 || strcmp(stamp.name, name) != 0))
		rc = -EPROTO;
	if (rc == 0)
		*kind = stamp.kind;
	return rc;
}

static int
found_add(struct found_list *list, const char *name, uint32_t kind)
{
	struct found *items;

	if (list->n == list->room) {
		list->room = list->room == 0 ? 16 : 2 * list->room;
		items = realloc(list->items, list->room * sizeof(*items));
		if (items == NULL)
			return -ENOMEM;
		list->items = items;
	}
	strcpy(list->items[list->n].name, name);
	list->items[list->n++].kind = kind;
	return 0;
}

/* Registry mutex held. */
static int
found_collect(struct found_list *list)
{
	struct dirent *entry;
	uint32_t kind;
	int fd, rc = 0;
	DIR *dir;

	fd = sio__runtime_open();
	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (dir == NULL) {
		rc = -errno;
		close(fd);
		return rc;
	}
	while (rc == 0 && (entry = readdir(dir)) != NULL) {
		if (name_kind(fd, entry->d_name, &kind) == 0)
			rc = found_add(list, entry->d_name, kind);
	}
	closedir(dir);
	return rc;
}

int
sio_segment_list(int (*fn)(const char *name, uint32_t kind, void *arg), void *arg)
{
	struct found_list list = {0};
	size_t i;
	int rc;

	rc = sio__registry_lock();
	if (rc < 0)
		return rc;
	rc = found_collect(&list);
	/* fn may call the library, so it is called without the mutex */
	sio__registry_unlock();
	for (i = 0; rc == 0 && i < list.n; i++)
		rc = fn(list.items[i].name, list.items[i].kind, arg);
	free(list.items);
	return rc;
}
