/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef UNIT_SEGMENT_H
#define UNIT_SEGMENT_H

/**
 * @file
 * Short forms that the tests of the segment layer share.
 */

#include "unit_env.h"
#include <slabio/segment.h>

#define KIND	SIO_KIND('T', 'E', 'S', 'T')
#define VERSION 7u
#define CONFIG	UINT64_C(0x1122334455667788)

static inline struct sio_segment_opts
seg_opts(const char *name, enum sio_backing backing, uint64_t size)
{
	return (struct sio_segment_opts){.sz = sizeof(struct sio_segment_opts),
		.name = name,
		.kind = KIND,
		.layout_version = VERSION,
		.config_hash = CONFIG,
		.data_size = size,
		.backing = backing};
}

static inline struct sio_segment_attach_opts
attach_opts(void)
{
	return (struct sio_segment_attach_opts){.sz = sizeof(struct sio_segment_attach_opts),
		.kind = KIND,
		.layout_version = VERSION,
		.config_hash = CONFIG};
}

/** Creates and publishes. @return 0 or -errno */
static inline int
seg_make(const char *name, enum sio_backing backing, struct sio_segment **seg)
{
	struct sio_segment_opts opts = seg_opts(name, backing, 10000);
	int rc = sio_segment_create(&opts, seg);

	if (rc < 0)
		return rc;
	rc = sio_segment_publish(*seg);
	if (rc < 0)
		sio_segment_detach(*seg);
	return rc;
}

static inline int
seg_attach(const char *name, struct sio_segment **seg)
{
	struct sio_segment_attach_opts opts = attach_opts();

	return sio_segment_attach(name, &opts, seg);
}

static inline int
seg_observe(const char *name, struct sio_segment **seg)
{
	struct sio_segment_attach_opts opts = attach_opts();

	opts.observe = true;
	opts.read_only = true;
	return sio_segment_attach(name, &opts, seg);
}

/** Creates and publishes in a child that then dies, by SIGKILL, with its token in hand. */
static inline int
seg_make_and_die_fn(void *arg)
{
	struct sio_segment_opts *opts = arg;
	struct sio_segment *seg;

	if (sio_segment_create(opts, &seg) < 0 || sio_segment_publish(seg) < 0)
		return 1;
	raise(SIGKILL);
	return 2;
}

/** Number of entries of the runtime folder, without the lock file. */
static inline unsigned int
runtime_entries(void)
{
	struct dirent *entry;
	unsigned int n = 0;
	DIR *dir = opendir(unit_env_dir);

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		     strcmp(entry->d_name, ".lock") != 0;
	closedir(dir);
	return n;
}

#endif /* UNIT_SEGMENT_H */
