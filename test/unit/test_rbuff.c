/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include "unit_rbuff.h"
#include "ring_tail.h"

/* ---- creating and attaching ---- */

static void
create_refuses_bad_options(void **state)
{
	struct sio_rbuff_opts good = ring_opts("bad", 64, 8, SIO_RBUFF_PRODUCER), opts;
	struct sio_rbuff *ring = (void *)&good;
	const uint32_t capacities[] = {0, 1, 4, 7, 9, 63, 65, 100, SIO_RBUFF_CAPACITY_MAX + 1,
		SIO_RBUFF_CAPACITY_MAX * 2, UINT32_MAX};
	const uint32_t sizes[] = {0, 1, 2, 3, 5, 7, 12, 24, 32, UINT32_MAX};
	const char *names[] = {"", ".hidden", "a/b", "-x"};

	(void)state;
	for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
		opts = good;
		opts.capacity = capacities[i];
		assert_int_equal(sio_rbuff_create(&opts, &ring), -EINVAL);
		assert_null(ring);
		assert_non_null(strstr(unit_log_last, "power of two"));
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		opts = good;
		opts.element_size = sizes[i];
		assert_int_equal(sio_rbuff_create(&opts, &ring), -EINVAL);
		assert_non_null(strstr(unit_log_last, "4, 8 or 16"));
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		opts = good;
		opts.name = names[i];
		assert_int_equal(sio_rbuff_create(&opts, &ring), -EINVAL);
		opts = good;
		opts.pool = names[i];
		assert_int_equal(sio_rbuff_create(&opts, &ring), -EINVAL);
		opts = good;
		opts.pair = names[i];
		assert_int_equal(sio_rbuff_create(&opts, &ring), -EINVAL);
	}
	opts = good;
	opts.sz = 8;
	assert_int_equal(sio_rbuff_create(&opts, &ring), -EINVAL);
	opts = good;
	opts.role = (enum sio_rbuff_role)3;
	assert_int_equal(sio_rbuff_create(&opts, &ring), -EINVAL);
	assert_int_equal(sio_rbuff_attach("bad", SIO_RBUFF_PRODUCER, &ring), -ENOENT);
}

static void
attach_finds_what_create_made(void **state)
{
	struct sio_rbuff_opts opts = ring_opts("facts", 128, 16, SIO_RBUFF_CONSUMER);
	struct sio_rbuff *in, *out, *look;
	struct sio_rbuff_info info;

	(void)state;
	opts.pool = "some-pool";
	opts.pair = "facts.back";
	opts.cookie = UINT64_C(0xfeedfacecafe);
	assert_int_equal(sio_rbuff_create(&opts, &in), 0);
	assert_int_equal(sio_rbuff_peer(in), SIO_MEMBER_FREE);
	assert_int_equal(sio_rbuff_attach("facts", SIO_RBUFF_PRODUCER, &out), 0);
	assert_int_equal(sio_rbuff_attach("facts", SIO_RBUFF_OBSERVER, &look), 0);
	sio_rbuff_info(look, &info);
	assert_string_equal(info.name, "facts");
	assert_string_equal(info.pool, "some-pool");
	assert_string_equal(info.pair, "facts.back");
	assert_int_equal(info.capacity, 128);
	assert_int_equal(info.element_size, 16);
	assert_int_equal(info.state, 0);
	assert_int_equal(info.count, 0);
	assert_true(info.cookie == UINT64_C(0xfeedfacecafe));
	assert_int_equal(info.consumer, sio_segment_self(sio_rbuff_segment(in)));
	assert_int_equal(info.producer, sio_segment_self(sio_rbuff_segment(out)));
	assert_int_equal(sio_rbuff_peer(in), SIO_MEMBER_LIVE);
	assert_int_equal(sio_rbuff_peer(out), SIO_MEMBER_LIVE);
	assert_int_equal(sio_rbuff_peer(look), SIO_MEMBER_LIVE);
	sio_rbuff_detach(out);
	assert_int_equal(sio_rbuff_peer(in), SIO_MEMBER_FREE);
	sio_rbuff_detach(look);
	sio_rbuff_destroy(in);
	assert_int_equal(sio_rbuff_attach("facts", SIO_RBUFF_PRODUCER, &out), -ENOENT);
	assert_null(out);
	sio_rbuff_detach(NULL);
	sio_rbuff_destroy(NULL);
}

static void
ring_without_a_name_is_not_found(void **state)
{
	struct sio_rbuff_opts opts = ring_opts(NULL, 8, 4, SIO_RBUFF_PRODUCER);
	struct sio_rbuff *ring;
	uint32_t x = 1;

	(void)state;
	opts.backing = SIO_BACKING_MEMFD;
	assert_int_equal(sio_rbuff_create(&opts, &ring), 0);
	assert_int_equal(sio_rbuff_write_bulk(ring, &x, 1), 1);
	assert_int_equal(sio_rbuff_count(ring), 1);
	sio_rbuff_destroy(ring);
}

static void
role_of_a_living_process_is_busy(void **state)
{
	struct ring_pair p = ring_pair(16, 8);
	struct sio_rbuff_opts opts = ring_opts("pair", 16, 8, SIO_RBUFF_PRODUCER);
	struct sio_rbuff *ring;

	(void)state;
	assert_int_equal(sio_rbuff_attach("pair", SIO_RBUFF_PRODUCER, &ring), -EBUSY);
	assert_null(ring);
	assert_int_equal(sio_rbuff_attach("pair", SIO_RBUFF_CONSUMER, &ring), -EBUSY);
	assert_int_equal(sio_rbuff_attach("pair", (enum sio_rbuff_role)7, &ring), -EINVAL);
	assert_int_equal(sio_rbuff_create(&opts, &ring), -EEXIST);
	/* given back, it can be had */
	sio_rbuff_detach(p.in);
	assert_int_equal(sio_rbuff_attach("pair", SIO_RBUFF_CONSUMER, &p.in), 0);
	ring_pair_end(&p);
}

static void
attach_refuses_what_is_no_ring(void **state)
{
	struct sio_segment_opts opts = {.sz = sizeof(opts),
		.name = "noring",
		.kind = SIO_KIND_RAW,
		.layout_version = SIO_RBUFF_LAYOUT_VERSION,
		.data_size = 4096,
		.backing = SIO_BACKING_FILE};
	struct sio_rbuff *ring;
	struct sio_segment *seg;

	(void)state;
	assert_int_equal(sio_segment_create(&opts, &seg), 0);
	assert_int_equal(sio_segment_publish(seg), 0);
	assert_int_equal(sio_rbuff_attach("noring", SIO_RBUFF_CONSUMER, &ring), -EPROTO);
	sio_segment_unlink(seg);
	sio_segment_detach(seg);

	opts.name = "newer";
	opts.kind = SIO_KIND_RING;
	opts.layout_version++;
	assert_int_equal(sio_segment_create(&opts, &seg), 0);
	assert_int_equal(sio_segment_publish(seg), 0);
	assert_int_equal(sio_rbuff_attach("newer", SIO_RBUFF_CONSUMER, &ring), -EPROTO);
	sio_segment_unlink(seg);
	sio_segment_detach(seg);
}

static void
attach_refuses_a_damaged_ring(void **state)
{
	struct ring_pair p = ring_pair(16, 8);
	struct rbuff_layout *shared = p.out->shared;
	struct rbuff_constants good = shared->constants;
	struct sio_rbuff *ring;

	(void)state;
	for (int i = 0; i < 6; i++) {
		shared->constants = good;
		switch (i) {
		case 0:
			shared->constants.capacity = 17;
			break;
		case 1:
			shared->constants.capacity = SIO_RBUFF_CAPACITY_MAX;
			break;
		case 2:
			shared->constants.element_size = 0;
			break;
		case 3:
			shared->constants.per_line = 0;
			break;
		case 4:
			shared->constants.lines = UINT32_MAX;
			break;
		default:
			shared->constants.capacity = 0;
			break;
		}
		assert_int_equal(sio_rbuff_attach("pair", SIO_RBUFF_OBSERVER, &ring), -EPROTO);
		assert_non_null(strstr(unit_log_last, "damaged"));
	}
	shared->constants = good;
	/* positions that cannot be: more than the capacity between them */
	sio_rbuff_detach(p.in);
	atomic_store(&shared->positions[SIO_RBUFF_CONSUMER].value, 5);
	assert_int_equal(sio_rbuff_attach("pair", SIO_RBUFF_CONSUMER, &ring), -EPROTO);
	atomic_store(&shared->positions[SIO_RBUFF_CONSUMER].value, 0);
	assert_int_equal(sio_rbuff_attach("pair", SIO_RBUFF_CONSUMER, &p.in), 0);
	ring_pair_end(&p);
}

static int
child_without_a_role(void *arg)
{
	struct ring_pair *p = arg;
	uint64_t x = 0;

	if (sio_rbuff_write_bulk(p->out, &x, 1) != -EPERM ||
		sio_rbuff_write_timed(p->out, &x, 1, 0) != -EPERM)
		return 1;
	if (sio_rbuff_read_burst(p->in, &x, 1) != -EPERM ||
		sio_rbuff_read_timed(p->in, &x, 1, 0) != -EPERM)
		return 2;
	if (sio_rbuff_count(p->in) != 3 || sio_rbuff_peek(p->in, 1, &x) != 0)
		return 3;
	sio_rbuff_detach(p->in);
	sio_rbuff_detach(p->out);
	return 0;
}

static void
forked_child_has_no_role_and_takes_none_away(void **state)
{
	struct ring_pair p = ring_pair(16, 8);
	uint64_t x[3] = {1, 2, 3};

	(void)state;
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 3), 3);
	assert_int_equal(unit_wait(unit_fork(child_without_a_role, &p)), 0);
	assert_int_equal(sio_rbuff_peer(p.in), SIO_MEMBER_LIVE);
	assert_int_equal(sio_rbuff_peer(p.out), SIO_MEMBER_LIVE);
	assert_int_equal(sio_rbuff_read_bulk(p.in, x, 3), 3);
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 3), 3);
	ring_pair_end(&p);
}

static void
each_end_does_only_its_own_work(void **state)
{
	struct ring_pair p = ring_pair(16, 8);
	struct sio_rbuff *look;
	uint64_t x = 7;

	(void)state;
	assert_int_equal(sio_rbuff_attach("pair", SIO_RBUFF_OBSERVER, &look), 0);
	assert_int_equal(sio_rbuff_write_burst(p.in, &x, 1), -EPERM);
	assert_int_equal(sio_rbuff_read_bulk(p.out, &x, 1), -EPERM);
	assert_int_equal(sio_rbuff_write_bulk(look, &x, 1), -EPERM);
	assert_int_equal(sio_rbuff_read_burst(look, &x, 1), -EPERM);
	assert_int_equal(sio_rbuff_read_timed(look, &x, 1, SIO_FOREVER), -EPERM);
	sio_rbuff_detach(look);
	ring_pair_end(&p);
}

/* ---- elements ---- */

static void
whole_capacity_is_usable(void **state)
{
	static unsigned char elements[4096 * 16];

	(void)state;
	for (uint32_t capacity = 8; capacity <= 2048; capacity *= 4)
		for (int s = 0; s < 3; s++) {
			uint32_t size = unit_element_sizes[s];
			struct ring_pair p = ring_pair(capacity, size);

			for (uint64_t round = 0; round < 3; round++) {
				uint64_t at = round * capacity;

				elements_make(elements, size, at, capacity);
				assert_int_equal(
					sio_rbuff_write_bulk(p.out, elements, capacity), capacity);
				assert_int_equal(sio_rbuff_count(p.out), capacity);
				assert_int_equal(sio_rbuff_write_bulk(p.out, elements, 1), 0);
				assert_int_equal(sio_rbuff_write_burst(p.out, elements, 9), 0);
				memset(elements, 0, sizeof(elements));
				assert_int_equal(
					sio_rbuff_read_bulk(p.in, elements, capacity), capacity);
				assert_int_equal(
					elements_right(elements, size, at, capacity), capacity);
				assert_int_equal(sio_rbuff_count(p.in), 0);
				assert_int_equal(sio_rbuff_read_burst(p.in, elements, 1), 0);
			}
			ring_pair_end(&p);
		}
}

/* each size of call from 1 to the capacity, over many laps and all places in a line */
static void
order_holds_over_the_wrap(void **state)
{
	static unsigned char elements[64 * 16];

	(void)state;
	for (int s = 0; s < 3; s++) {
		uint32_t size = unit_element_sizes[s];
		struct ring_pair p = ring_pair(64, size);
		uint64_t at = 0;

		for (uint32_t n = 1; n <= 64; n++)
			for (int round = 0; round < 20; round++) {
				bool bulk = round & 1;

				elements_make(elements, size, at, n);
				assert_int_equal(bulk ? sio_rbuff_write_bulk(p.out, elements, n)
						      : sio_rbuff_write_burst(p.out, elements, n),
					n);
				memset(elements, 0, sizeof(elements));
				assert_int_equal(bulk ? sio_rbuff_read_bulk(p.in, elements, n)
						      : sio_rbuff_read_burst(p.in, elements, n),
					n);
				assert_int_equal(elements_right(elements, size, at, n), n);
				at += n;
				assert_true(sio_rbuff_published(p.in) == at);
				assert_true(sio_rbuff_consumed(p.out) == at);
			}
		ring_pair_end(&p);
	}
}

/* random sizes on both sides against a count kept beside */
static void
bulk_is_all_or_nothing_and_burst_what_fits(void **state)
{
	static unsigned char elements[300 * 16];
	uint64_t rnd = 1;

	(void)state;
	for (int s = 0; s < 3; s++) {
		uint32_t size = unit_element_sizes[s], queued = 0;
		struct ring_pair p = ring_pair(256, size);
		uint64_t written = 0, read = 0;

		for (int i = 0; i < 60000; i++) {
			uint32_t n = next_random(&rnd) % 256 + 1, what = next_random(&rnd) % 4;
			uint32_t space = 256 - queued, want;
			int r;

			if (what < 2) {
				elements_make(elements, size, written, n);
				want = what == 0 ? (n <= space ? n : 0) : (n < space ? n : space);
				r = what == 0 ? sio_rbuff_write_bulk(p.out, elements, n)
					      : sio_rbuff_write_burst(p.out, elements, n);
				assert_int_equal(r, want);
				written += want;
				queued += want;
			} else {
				want = what == 2 ? (n <= queued ? n : 0)
						 : (n < queued ? n : queued);
				r = what == 2 ? sio_rbuff_read_bulk(p.in, elements, n)
					      : sio_rbuff_read_burst(p.in, elements, n);
				assert_int_equal(r, want);
				assert_int_equal(elements_right(elements, size, read, want), want);
				read += want;
				queued -= want;
			}
			assert_int_equal(sio_rbuff_count(i & 1 ? p.in : p.out), queued);
			assert_true(sio_rbuff_published(p.in) == written);
			assert_true(sio_rbuff_consumed(p.in) == read);
		}
		ring_pair_end(&p);
	}
}

static void
impossible_sizes_are_errors_at_once(void **state)
{
	struct ring_pair p = ring_pair(8, 8);
	uint64_t x[16] = {0};

	(void)state;
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 9), -EINVAL);
	assert_int_equal(sio_rbuff_read_bulk(p.in, x, 9), -EINVAL);
	assert_int_equal(sio_rbuff_write_timed(p.out, x, 9, SIO_FOREVER), -EINVAL);
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, UINT32_MAX), -EINVAL);
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 0), 0);
	assert_int_equal(sio_rbuff_read_burst(p.in, x, 0), 0);
	assert_int_equal(sio_rbuff_write_timed(p.out, x, 0, SIO_FOREVER), 0);
	assert_int_equal(sio_rbuff_read_timed(p.in, x, 0, SIO_FOREVER), 0);
	assert_int_equal(sio_rbuff_write_burst(p.out, x, 16), 8);
	assert_int_equal(sio_rbuff_read_burst(p.in, x, 16), 8);
	ring_pair_end(&p);
}

static void
peek_reads_what_is_still_there(void **state)
{
	unsigned char elements[64 * 16], one[16];

	(void)state;
	for (int s = 0; s < 3; s++) {
		uint32_t size = unit_element_sizes[s];
		struct ring_pair p = ring_pair(64, size);
		uint64_t at = 0;

		assert_int_equal(sio_rbuff_peek(p.in, 0, one), -ENOENT);
		for (int round = 0; round < 50; round++) {
			elements_make(elements, size, at, 13);
			assert_int_equal(sio_rbuff_write_bulk(p.out, elements, 13), 13);
			assert_int_equal(sio_rbuff_read_bulk(p.in, elements, 13), 13);
			at += 13;
			/* consumed ones too, as far as the capacity goes back */
			for (uint64_t q = 0; q < at + 20; q++) {
				bool there = q < at && q + 64 >= at;

				assert_int_equal(sio_rbuff_peek(p.in, q, one), there ? 0 : -ENOENT);
				if (there)
					assert_int_equal(elements_right(one, size, q, 1), 1);
			}
			assert_int_equal(sio_rbuff_peek(p.in, UINT64_MAX, one), -ENOENT);
			assert_int_equal(sio_rbuff_peek(p.in, UINT64_C(1) << 63, one), -ENOENT);
		}
		ring_pair_end(&p);
	}
}

/* ---- states ---- */

static void
state_bits_go_one_by_one(void **state)
{
	struct ring_pair p = ring_pair(8, 4);

	(void)state;
	sio_rbuff_state_set(p.in, SIO_RBUFF_DOWN);
	sio_rbuff_state_set(p.out, SIO_RBUFF_GONE);
	assert_int_equal(sio_rbuff_state(p.in), SIO_RBUFF_DOWN | SIO_RBUFF_GONE);
	sio_rbuff_state_clear(p.in, SIO_RBUFF_GONE | SIO_RBUFF_RDONLY);
	assert_int_equal(sio_rbuff_state(p.out), SIO_RBUFF_DOWN);
	ring_pair_end(&p);
}

static void
read_only_refuses_writes_and_reads_go_on(void **state)
{
	struct ring_pair p = ring_pair(8, 8);
	uint64_t x[4] = {1, 2, 3, 4};

	(void)state;
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 3), 3);
	sio_rbuff_state_set(p.in, SIO_RBUFF_RDONLY);
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 1), -EROFS);
	assert_int_equal(sio_rbuff_write_burst(p.out, x, 1), -EROFS);
	assert_int_equal(sio_rbuff_write_timed(p.out, x, 1, SIO_FOREVER), -EROFS);
	assert_int_equal(sio_rbuff_read_burst(p.in, x, 4), 3);
	assert_int_equal(sio_rbuff_read_burst(p.in, x, 4), 0);
	sio_rbuff_state_clear(p.out, SIO_RBUFF_RDONLY);
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 1), 1);
	ring_pair_end(&p);
}

static void
queued_is_delivered_before_down_is_seen(void **state)
{
	struct ring_pair p = ring_pair(8, 8);
	uint64_t x[8] = {1, 2, 3, 4, 5}, y[8];

	(void)state;
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 5), 5);
	sio_rbuff_state_set(p.out, SIO_RBUFF_DOWN);
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 1), -ESHUTDOWN);
	assert_int_equal(sio_rbuff_write_timed(p.out, x, 1, SIO_FOREVER), -ESHUTDOWN);
	assert_int_equal(sio_rbuff_read_bulk(p.in, y, 6), 0); /* a rest is no drained ring */
	assert_int_equal(sio_rbuff_read_bulk(p.in, y, 2), 2);
	assert_int_equal(sio_rbuff_read_timed(p.in, y + 2, 8, 0), 3);
	assert_memory_equal(x, y, 5 * sizeof(x[0]));
	assert_int_equal(sio_rbuff_read_burst(p.in, y, 1), -ESHUTDOWN);
	assert_int_equal(sio_rbuff_read_bulk(p.in, y, 1), -ESHUTDOWN);
	assert_int_equal(sio_rbuff_read_timed(p.in, y, 1, SIO_FOREVER), -ESHUTDOWN);
	/* down goes before read-only, and before gone */
	sio_rbuff_state_set(p.in, SIO_RBUFF_RDONLY | SIO_RBUFF_GONE);
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 1), -ESHUTDOWN);
	assert_int_equal(sio_rbuff_read_burst(p.in, y, 1), -ESHUTDOWN);
	sio_rbuff_state_clear(p.in, ~0u);
	assert_int_equal(sio_rbuff_read_burst(p.in, y, 1), 0);
	ring_pair_end(&p);
}

static void
gone_ends_reads_once_drained_and_writes_go_in(void **state)
{
	struct ring_pair p = ring_pair(8, 8);
	uint64_t x[2] = {1, 2};

	(void)state;
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 1), 1);
	sio_rbuff_state_set(p.out, SIO_RBUFF_GONE);
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 1), 1);
	assert_int_equal(sio_rbuff_read_burst(p.in, x, 2), 2);
	assert_int_equal(sio_rbuff_read_burst(p.in, x, 2), -EPIPE);
	assert_int_equal(sio_rbuff_read_timed(p.in, x, 2, SIO_FOREVER), -EPIPE);
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 1), 1);
	assert_int_equal(sio_rbuff_read_burst(p.in, x, 2), 1);
	ring_pair_end(&p);
}

/* ---- nothing from the other side is believed ---- */

static void
impossible_consumer_position_overruns_nothing(void **state)
{
	struct ring_pair p = ring_pair(16, 8);
	_Atomic uint64_t *word = &p.out->shared->positions[SIO_RBUFF_CONSUMER].value;
	uint64_t x[16], y[16], good, bad[8];

	(void)state;
	elements_make(x, 8, 0, 16);
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 16), 16);
	assert_int_equal(sio_rbuff_read_bulk(p.in, y, 4), 4);
	elements_make(x, 8, 16, 4);
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 4), 4);
	good = atomic_load(word); /* 4; published 20 */
	bad[0] = 21;
	bad[1] = 3;
	bad[2] = 0;
	bad[3] = UINT64_MAX;
	bad[4] = UINT64_C(1) << 63;
	bad[5] = 20 + 16;
	bad[6] = UINT64_C(1) << 32;
	bad[7] = 20 - UINT64_C(17);
	for (int i = 0; i < 8; i++) {
		atomic_store(word, bad[i]);
		assert_int_equal(sio_rbuff_write_bulk(p.out, x, 1), -EPROTO);
		assert_int_equal(sio_rbuff_write_burst(p.out, x, 5), -EPROTO);
		assert_int_equal(sio_rbuff_write_timed(p.out, x, 1, SIO_FOREVER), -EPROTO);
		assert_true(sio_rbuff_count(p.out) <= 16);
	}
	atomic_store(word, good);
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 1), 0);
	assert_int_equal(sio_rbuff_read_bulk(p.in, y, 16), 16);
	assert_int_equal(elements_right(y, 8, 4, 16), 16);
	ring_pair_end(&p);
}

static void
impossible_end_words_are_refused(void **state)
{
	struct ring_pair p = ring_pair(16, 8);
	struct rbuff_line *lines = p.out->shared->lines;
	uint64_t x[16], y[16];
	const uint64_t bad[] = {8, 15, UINT64_C(1) << 32, INT64_MAX};

	(void)state;
	elements_make(x, 8, 0, 3);
	assert_int_equal(sio_rbuff_write_bulk(p.out, x, 3), 3);
	for (int i = 0; i < 4; i++) {
		atomic_store(&lines[0].end, bad[i]);
		assert_int_equal(sio_rbuff_read_burst(p.in, y, 3), -EPROTO);
		assert_int_equal(sio_rbuff_read_bulk(p.in, y, 3), -EPROTO);
		assert_int_equal(sio_rbuff_read_timed(p.in, y, 3, SIO_FOREVER), -EPROTO);
		assert_true(sio_rbuff_count(p.in) <= 16);
	}
	atomic_store(&lines[0].end, 3);
	assert_int_equal(sio_rbuff_read_burst(p.in, y, 14), 3);
	assert_int_equal(elements_right(y, 8, 0, 3), 3);
	ring_pair_end(&p);
}

static void
what_is_written_and_not_published_is_not_there(void **state)
{
	uint64_t x[40], y[40];

	(void)state;
	elements_make(x, 8, 0, 40);
	/* begun in the middle of a line, at its start, and around the end of the memory */
	for (uint32_t before = 3; before <= 31; before += 4) {
		struct ring_pair p = ring_pair(32, 8);

		assert_int_equal(sio_rbuff_write_bulk(p.out, x, before), before);
		assert_int_equal(sio_rbuff_read_bulk(p.in, y, before - 2), before - 2);
		ring_leave_tail(p.out, x, 30);
		assert_true(sio_rbuff_published(p.out) == before);
		assert_int_equal(sio_rbuff_count(p.in), 2);
		assert_int_equal(sio_rbuff_read_bulk(p.in, y, 3), 0);
		assert_int_equal(sio_rbuff_read_bulk(p.in, y, 32), 0);
		assert_int_equal(sio_rbuff_peek(p.in, before, y), -ENOENT);
		assert_int_equal(sio_rbuff_peek(p.in, before + 8, y), -ENOENT);
		assert_int_equal(sio_rbuff_read_burst(p.in, y, 32), 2);
		assert_int_equal(elements_right(y, 8, before - 2, 2), 2);
		assert_int_equal(sio_rbuff_read_burst(p.in, y, 32), 0);
		/* not even behind what the next producer writes */
		sio_rbuff_detach(p.out);
		assert_int_equal(sio_rbuff_attach("pair", SIO_RBUFF_PRODUCER, &p.out), 0);
		for (uint32_t i = 0; i < 32; i++) {
			assert_int_equal(sio_rbuff_write_bulk(p.out, &x[i], 1), 1);
			assert_true(sio_rbuff_published(p.out) == before + i + 1);
			assert_int_equal(sio_rbuff_read_bulk(p.in, y, 2), 0);
			assert_int_equal(sio_rbuff_read_burst(p.in, y, 32), 1);
			assert_int_equal(elements_right(y, 8, i, 1), 1);
		}
		ring_pair_end(&p);
	}
}

/* A reader that takes all that is there beside each write sees what each call wrote. */
static void
a_whole_write_is_seen_whole(void **state)
{
	unsigned char elements[64 * 16];
	uint64_t rnd = 3;

	(void)state;
	for (int s = 0; s < 3; s++) {
		uint32_t size = unit_element_sizes[s];
		struct ring_pair p = ring_pair(64, size);
		uint64_t at = 0;

		for (int i = 0; i < 2000; i++) {
			uint32_t n = next_random(&rnd) % 64 + 1;

			elements_make(elements, size, at, n);
			assert_int_equal(sio_rbuff_write_whole(p.out, elements, n), n);
			/* none of another, which does not fit */
			assert_int_equal(sio_rbuff_write_whole(p.out, elements, 65 - n), 0);
			assert_int_equal(sio_rbuff_write_whole(p.out, elements, 65), -EINVAL);
			assert_int_equal(sio_rbuff_count(p.in), n);
			memset(elements, 0, sizeof(elements));
			assert_int_equal(i & 1 ? sio_rbuff_read_bulk(p.in, elements, n)
					       : sio_rbuff_read_burst(p.in, elements, 64),
				n);
			assert_int_equal(elements_right(elements, size, at, n), n);
			at += n;
		}
		ring_pair_end(&p);
	}
}

/* whatever the other side's words say, look-ups end and stay within the ring */
static void
lookups_are_bounded_beside_garbage(void **state)
{
	struct ring_pair p = ring_pair(64, 16);
	struct rbuff_layout *shared = p.out->shared;
	uint64_t rnd = 99;
	unsigned char one[16];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		uint64_t junk = (uint64_t)next_random(&rnd) << 33 ^ next_random(&rnd);

		if (i & 1)
			junk %= 200;
		atomic_store(&shared->positions[i % 3 == 0].value, junk);
		atomic_store(&shared->lines[next_random(&rnd) % p.out->lines].end,
			junk + next_random(&rnd) % 8);
		sio_rbuff_published(p.in);
		assert_true(sio_rbuff_count(p.in) <= 64);
		sio_rbuff_peek(p.in, junk - next_random(&rnd) % 8, one);
	}
	ring_pair_end(&p);
}

/* a producer that died after a line and before its own word, and in the middle of an element */
static void
published_is_found_in_the_lines(void **state)
{
	(void)state;
	for (int s = 0; s < 3; s++) {
		uint32_t size = unit_element_sizes[s];
		struct ring_pair p = ring_pair(64, size);
		struct rbuff_layout *shared = p.out->shared;
		unsigned char elements[64 * 16];
		uint64_t at = 0;

		for (int round = 0; round < 40; round++) {
			uint32_t n = (uint32_t)round % 64 + 1;

			elements_make(elements, size, at, n);
			assert_int_equal(sio_rbuff_write_bulk(p.out, elements, n), n);
			for (uint64_t stated = at; stated <= at + n; stated++) {
				atomic_store(&shared->positions[SIO_RBUFF_PRODUCER].value, stated);
				assert_true(sio_rbuff_published(p.in) == at + n);
				assert_int_equal(sio_rbuff_count(p.in), n);
			}
			at += n;
			/*
			 * the successor of a producer that did not state its end goes on behind it
			 */
			atomic_store(&shared->positions[SIO_RBUFF_PRODUCER].value, at - n);
			sio_rbuff_detach(p.out);
			assert_int_equal(sio_rbuff_attach("pair", SIO_RBUFF_PRODUCER, &p.out), 0);
			assert_true(
				atomic_load(&shared->positions[SIO_RBUFF_PRODUCER].value) == at);
			/* and the consumer's successor with what is not consumed */
			sio_rbuff_detach(p.in);
			assert_int_equal(sio_rbuff_attach("pair", SIO_RBUFF_CONSUMER, &p.in), 0);
			assert_int_equal(sio_rbuff_read_bulk(p.in, elements, n), n);
			assert_int_equal(elements_right(elements, size, at - n, n), n);
		}
		ring_pair_end(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_refuses_bad_options),
		cmocka_unit_test(attach_finds_what_create_made),
		cmocka_unit_test(ring_without_a_name_is_not_found),
		cmocka_unit_test(role_of_a_living_process_is_busy),
		cmocka_unit_test(attach_refuses_what_is_no_ring),
		cmocka_unit_test(attach_refuses_a_damaged_ring),
		cmocka_unit_test(forked_child_has_no_role_and_takes_none_away),
		cmocka_unit_test(each_end_does_only_its_own_work),
		cmocka_unit_test(whole_capacity_is_usable),
		cmocka_unit_test(order_holds_over_the_wrap),
		cmocka_unit_test(bulk_is_all_or_nothing_and_burst_what_fits),
		cmocka_unit_test(impossible_sizes_are_errors_at_once),
		cmocka_unit_test(peek_reads_what_is_still_there),
		cmocka_unit_test(state_bits_go_one_by_one),
		cmocka_unit_test(read_only_refuses_writes_and_reads_go_on),
		cmocka_unit_test(queued_is_delivered_before_down_is_seen),
		cmocka_unit_test(gone_ends_reads_once_drained_and_writes_go_in),
		cmocka_unit_test(impossible_consumer_position_overruns_nothing),
		cmocka_unit_test(impossible_end_words_are_refused),
		cmocka_unit_test(what_is_written_and_not_published_is_not_there),
		cmocka_unit_test(a_whole_write_is_seen_whole),
		cmocka_unit_test(lookups_are_bounded_beside_garbage),
		cmocka_unit_test(published_is_found_in_the_lines),
	};

	unit_env_init();
	return cmocka_run_group_tests_name("rbuff", tests, NULL, NULL);
}
