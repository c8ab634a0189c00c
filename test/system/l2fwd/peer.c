/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * What slabio-l2fwd and slabio-worker must cope with: segments of other kinds, and workers that
 * break the rules.
 *
 *   peer segment NAME KIND VERSION   publishes a segment (KIND: four letters), keeps it until its
 *                                    input ends
 *   peer claim NAME                  claims slot 0 of an instance and dies at once
 *   peer FAULT NAME                  works in slot 0, returns 100 descriptors as they came, then
 *                                    one with FAULT: position, handle, length, more, short, again
 *                                    (the one before once more)
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "l2fwd_ctl.h"

#define GOOD 100u

static int
fail(const char *what, int ret)
{
	fprintf(stderr, "peer: %s: %s\n", what, strerror(-ret));
	return 1;
}

static int
keep_segment(const char *name, const char *kind, const char *version)
{
	struct sio_segment_opts opts = {.sz = sizeof(opts),
		.name = name,
		.kind = SIO_KIND(kind[0], kind[1], kind[2], kind[3]),
		.layout_version = (uint32_t)strtoul(version, NULL, 10),
		.data_size = 65536,
		.backing = SIO_BACKING_FILE};
	struct sio_segment *seg;
	char c;
	int ret;

	ret = sio_segment_create(&opts, &seg);
	if (ret == 0)
		ret = sio_segment_publish(seg);
	if (ret != 0)
		return fail("segment", ret);
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	sio_segment_unlink(seg);
	sio_segment_detach(seg);
	return 0;
}

static struct l2fwd_ctl *
claim(const char *instance, uint32_t *incarnation)
{
	struct sio_segment_attach_opts opts = {
		.sz = sizeof(opts), .kind = L2FWD_CTL_KIND, .layout_version = L2FWD_CTL_VERSION};
	char name[SIO_NAME_LEN];
	struct sio_segment *seg;
	struct l2fwd_ctl *ctl;
	uint64_t seen;
	int ret;

	l2fwd_ctl_name(name, instance);
	ret = sio_segment_attach(name, &opts, &seg);
	if (ret != 0)
		exit(fail(name, ret));
	ctl = sio_segment_data(seg);
	seen = atomic_load(&ctl->slots[0].claim);
	*incarnation = l2fwd_claim_incarnation(seen);
	if (l2fwd_claim_member(seen) != 0 ||
		!atomic_compare_exchange_strong(&ctl->slots[0].claim, &seen,
			l2fwd_claim(*incarnation, sio_segment_self(seg))))
		exit(fail("slot 0", -16));
	return ctl;
}

static void
spoil(struct sio_desc *d, const struct sio_desc *before, const char *fault)
{
	if (strcmp(fault, "position") == 0)
		d->position += 7;
	else if (strcmp(fault, "handle") == 0)
		d->handle += 1;
	else if (strcmp(fault, "length") == 0)
		d->length = UINT16_MAX;
	else if (strcmp(fault, "more") == 0)
		d->flags |= SIO_DESC_MORE;
	else if (strcmp(fault, "short") == 0)
		d->length = 1;
	else if (strcmp(fault, "again") == 0)
		*d = *before;
	else
		exit(fail(fault, -22));
}

static int
misbehave(const char *fault, const char *instance)
{
	char name[SIO_NAME_LEN];
	struct sio_rbuff *out, *back;
	struct sio_desc d, before = {0};
	uint32_t incarnation;
	struct l2fwd_ctl *ctl = claim(instance, &incarnation);
	int ret;

	l2fwd_ring_name(name, instance, 0, incarnation, "out");
	ret = sio_rbuff_attach(name, SIO_RBUFF_CONSUMER, &out);
	if (ret != 0)
		return fail(name, ret);
	l2fwd_ring_name(name, instance, 0, incarnation, "back");
	ret = sio_rbuff_attach(name, SIO_RBUFF_PRODUCER, &back);
	if (ret != 0)
		return fail(name, ret);
	atomic_store(&ctl->slots[0].ready, incarnation);
	for (unsigned int i = 0;; i++) {
		ret = sio_rbuff_read_timed(out, &d, 1, sio_now_ns() + 20000000000u);
		if (ret != 1)
			break;
		if (i == GOOD)
			spoil(&d, &before, fault);
		if (sio_rbuff_write_bulk(back, &d, 1) != 1)
			break;
		before = d;
	}
	/* told to go: it does, as a worker that l2fwd did not start */
	fprintf(stderr, "peer: %s\n", strerror(-ret));
	return 0;
}

int
main(int argc, char **argv)
{
	uint32_t incarnation;

	if (argc == 5 && strcmp(argv[1], "segment") == 0 && strlen(argv[3]) == 4)
		return keep_segment(argv[2], argv[3], argv[4]);
	if (argc == 3 && strcmp(argv[1], "claim") == 0) {
		claim(argv[2], &incarnation);
		raise(SIGKILL);
	}
	if (argc == 3)
		return misbehave(argv[1], argv[2]);
	fprintf(stderr, "peer: wrong usage\n");
	return 2;
}
