/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ring_scene.h"

struct sio_rbuff *ring;

const char *
ring_name(struct crash_scene *s)
{
	static char name[SIO_NAME_LEN];

	snprintf(name, sizeof(name), "%s.ring", s->name);
	return name;
}

int
ring_try_create(struct crash_scene *s, uint32_t size, enum sio_rbuff_role role)
{
	const struct sio_rbuff_opts opts = {
		.sz = sizeof(opts),
		.name = ring_name(s),
		.capacity = RING_CAPACITY,
		.element_size = size,
		.role = role,
		.carries = view.pool,
	};

	return sio_rbuff_create(&opts, &ring);
}

void
ring_attach(struct crash_scene *s, enum sio_rbuff_role role)
{
	crash_ok(s, sio_rbuff_attach_blocks(ring_name(s), role, view.pool, &ring));
}

static uint32_t
element_size(void)
{
	struct sio_rbuff_info info;

	sio_rbuff_info(ring, &info);
	return info.element_size;
}

static unsigned int
write_by(struct crash_scene *s, unsigned int n, bool burst,
	int (*write)(struct sio_rbuff *ring, const void *elements, unsigned int n))
{
	unsigned char elements[BLOCKS * 16] = {0};
	uint64_t at = sio_rbuff_published(ring);
	struct ring_user *u = s->user;
	uint32_t size = element_size();
	unsigned int got = 0;
	int rc;

	while (got < n && view_take(s, 1) == 0)
		got++;
	if (!burst && got < n) {
		view_give(s, got);
		return 0;
	}
	for (unsigned int i = 0; i < got; i++) {
		uint32_t handle = view.held[view.n - got + i];

		memcpy(elements + i * size, &handle, sizeof(handle));
		atomic_store(&u->written[(at + i) % RING_RECORD], handle + 1);
		view_disown(s, handle);
	}
	rc = write(ring, elements, got);
	if (rc < 0)
		crash_fault(s, CRASH_WRONG, "writing %u blocks gave %d", got, rc);
	atomic_store(&u->told, at + (unsigned int)rc);
	for (unsigned int i = (unsigned int)rc; i < got; i++)
		view_own(s, view.held[view.n - got + i]);
	memmove(&view.held[view.n - got], &view.held[view.n - got + (unsigned int)rc],
		(got - (unsigned int)rc) * sizeof(view.held[0]));
	view.n -= (unsigned int)rc;
	if (got > (unsigned int)rc)
		view_give(s, got - (unsigned int)rc);
	return (unsigned int)rc;
}

unsigned int
ring_write(struct crash_scene *s, unsigned int n, bool burst)
{
	return write_by(s, n, burst, burst ? sio_rbuff_write_burst : sio_rbuff_write_bulk);
}

unsigned int
ring_write_whole(struct crash_scene *s, unsigned int n)
{
	return write_by(s, n, false, sio_rbuff_write_whole);
}

unsigned int
ring_read(struct crash_scene *s, unsigned int n, bool burst)
{
	unsigned char elements[RING_CAPACITY * 16];
	uint64_t at = sio_rbuff_consumed(ring);
	struct ring_user *u = s->user;
	uint32_t size = element_size();
	int rc = burst ? sio_rbuff_read_burst(ring, elements, n)
		       : sio_rbuff_read_bulk(ring, elements, n);

	if (rc < 0)
		crash_fault(s, CRASH_WRONG, "reading %u blocks gave %d", n, rc);
	if (at < atomic_load(&u->delivered))
		crash_fault(s, CRASH_DOUBLED, "position %u comes again", (unsigned int)at);
	if (sio_rbuff_consumed(ring) != at + (unsigned int)rc)
		crash_fault(s, CRASH_LOST, "elements from %u on were left out", (unsigned int)at);
	for (int i = 0; i < rc; i++) {
		uint32_t handle,
			wrote = atomic_load(&u->written[(at + (unsigned int)i) % RING_RECORD]);

		memcpy(&handle, elements + (size_t)i * size, sizeof(handle));
		if (handle + 1 != wrote)
			crash_fault(s, CRASH_WRONG, "block %u at position %u, where %u was written",
				handle, (unsigned int)at + (unsigned int)i, wrote - 1);
		view_own(s, handle);
		view.held[view.n++] = handle;
	}
	atomic_store(&u->delivered, at + (unsigned int)rc);
	return (unsigned int)rc;
}

struct sio_recover_report
ring_recover(struct crash_scene *s)
{
	struct sio_recover_report report, again;

	crash_ok(s, sio_pool_recover(view.pool, &report));
	crash_check(s, report.left == 0 && report.buried == report.dead_members);
	crash_ok(s, sio_pool_recover(view.pool, &again));
	crash_check(s, again.dead_members + again.magazines + again.shards + again.blocks_hands +
				       again.ring_sides + again.blocks_rings + again.requeued +
				       again.left ==
			       0);
	return report;
}
