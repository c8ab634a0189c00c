/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* slabio-worker: packets lie in the instance's payload segment, whose block a descriptor names. */

#include "worker.h"

const char worker_program[] = "slabio-worker";
const char worker_synopsis[] = "";
const enum l2fwd_kind worker_kind = L2FWD_PLAIN;

struct place {
	uint8_t *blocks;
};

static struct place place;

int
place_open(struct session *s)
{
	place.blocks = sio_segment_data(s->data_segment);
	s->place = &place;
	return 0;
}

void
place_close(struct session *s)
{
	s->place = NULL;
}

bool
place_end(const struct session *s)
{
	(void)s;
	return true;
}

int
place_ring(struct session *s, const char *name, enum sio_rbuff_role role, struct sio_rbuff **ring)
{
	(void)s;
	return sio_rbuff_attach(name, role, ring);
}

bool
place_sound(const struct session *s, const struct sio_desc *d)
{
	return d->handle < s->n_blocks && d->length != 0 &&
	       (uint32_t)d->offset + d->length <= s->stride;
}

uint8_t *
place_data(const struct session *s, const struct sio_desc *d)
{
	return s->place->blocks + (size_t)d->handle * s->stride + d->offset;
}

int
main(int argc, char **argv)
{
	return worker_run(argc, argv);
}
