/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * What slabio-l2fwd does to mbufs before they go to another process: those that somebody else has a
 * reference to, or whose buffer is another's, are copied as whole packets; others pass as they are.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "l2fwd.h"

#define ROOM   512u
#define MBUFS  63u
#define PIECES 3u

static struct rte_mempool *plain, *pinned, *other, *indirect;
static uint8_t *area;
static _Atomic uint64_t copied;

static void
fill(struct rte_mbuf *m, uint32_t len)
{
	uint8_t *data = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)len);

	assert_non_null(data);
	for (uint32_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 7 + len);
}

/* A packet of several mbufs. */
static struct rte_mbuf *
packet(struct rte_mempool *pool, unsigned int pieces)
{
	struct rte_mbuf *head = NULL;

	for (unsigned int i = 0; i < pieces; i++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

		assert_non_null(m);
		fill(m, 100 + 50 * i);
		if (head == NULL)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
	}
	return head;
}

static void
contents(const struct rte_mbuf *m, uint8_t *bytes)
{
	const void *p = rte_pktmbuf_read(m, 0, m->pkt_len, bytes);

	assert_non_null(p);
	if (p != bytes)
		memcpy(bytes, p, m->pkt_len);
}

static void
assert_alone(const struct rte_mbuf *m, const struct rte_mempool *pool)
{
	const char *reason;

	assert_int_equal(rte_mbuf_check(m, 1, &reason), 0);
	for (; m != NULL; m = m->next) {
		assert_ptr_equal(m->pool, pool);
		assert_int_equal(rte_mbuf_refcnt_read(m), 1);
		assert_false(RTE_MBUF_CLONED(m));
		assert_int_equal(!RTE_MBUF_HAS_EXTBUF(m), pool != pinned);
	}
}

static void
assert_all_back(void)
{
	assert_int_equal(rte_mempool_avail_count(plain), MBUFS);
	assert_int_equal(rte_mempool_avail_count(pinned), MBUFS);
	assert_int_equal(rte_mempool_avail_count(other), MBUFS);
	assert_int_equal(rte_mempool_avail_count(indirect), MBUFS);
}

/* Gives m, which must be copied, and compares. */
static void
expect_copy(struct rte_mbuf *m, struct rte_mempool *pool)
{
	static uint8_t before[65536], after[65536];
	uint64_t had = copied;
	uint32_t len = m->pkt_len;
	struct rte_mbuf *c;

	contents(m, before);
	c = cross_prepare(m, pool, 40, &copied);
	assert_non_null(c);
	assert_ptr_not_equal(c, m);
	assert_int_equal(copied, had + 1);
	assert_int_equal(c->pkt_len, len);
	contents(c, after);
	assert_memory_equal(before, after, len);
	assert_alone(c, pool);
	rte_pktmbuf_free(c);
}

static void
what_is_alone_passes_as_it_is(void **state)
{
	(void)state;
	for (unsigned int pieces = 1; pieces <= PIECES; pieces++) {
		struct rte_mempool *pools[] = {plain, pinned};

		for (unsigned int i = 0; i < RTE_DIM(pools); i++) {
			struct rte_mbuf *m = packet(pools[i], pieces);

			copied = 0;
			assert_ptr_equal(cross_prepare(m, pools[i], 40, &copied), m);
			assert_int_equal(copied, 0);
			rte_pktmbuf_free(m);
		}
	}
	assert_all_back();
}

static void
a_second_reference_to_any_segment_makes_a_copy_of_the_whole(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < PIECES; i++) {
		struct rte_mempool *pools[] = {plain, pinned};

		for (unsigned int p = 0; p < RTE_DIM(pools); p++) {
			struct rte_mbuf *m = packet(pools[p], PIECES), *seg = m;

			for (unsigned int k = 0; k < i; k++)
				seg = seg->next;
			rte_mbuf_refcnt_update(seg, 1);
			expect_copy(m, pools[p]);
			/* whoever had the other reference has it still */
			assert_int_equal(rte_mbuf_refcnt_read(seg), 1);
			assert_int_equal(seg->data_len, 100 + 50 * i);
			rte_pktmbuf_free_seg(seg);
		}
	}
	assert_all_back();
}

static void
a_clone_and_what_it_is_a_clone_of_are_copied(void **state)
{
	(void)state;
	struct rte_mempool *pools[] = {plain, pinned};

	for (unsigned int p = 0; p < RTE_DIM(pools); p++) {
		struct rte_mbuf *m = packet(pools[p], PIECES);
		struct rte_mbuf *clone = rte_pktmbuf_clone(m, indirect);

		assert_non_null(clone);
		/* the one that somebody else has a clone of */
		rte_mbuf_refcnt_update(m, 1);
		expect_copy(m, pools[p]);
		/* the clone, which is of another pool, too */
		expect_copy(clone, pools[p]);
		rte_pktmbuf_free(m);
	}
	assert_all_back();
}

static void
a_clone_of_the_same_pool_is_copied(void **state)
{
	struct rte_mbuf *m = packet(plain, 1), *clone = rte_pktmbuf_clone(m, plain);

	(void)state;
	assert_non_null(clone);
	assert_true(RTE_MBUF_CLONED(clone));
	rte_pktmbuf_free(m);
	expect_copy(clone, plain);
	assert_all_back();
}

static void
a_clone_elsewhere_of_a_pinned_buffer_makes_a_copy(void **state)
{
	struct rte_mbuf *m = packet(pinned, 1), *clone = rte_pktmbuf_clone(m, indirect);

	(void)state;
	assert_non_null(clone);
	/* the mbuf has one reference, its buffer two */
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	expect_copy(m, pinned);
	rte_pktmbuf_free(clone);
	assert_all_back();
}

static void
freed(void *addr, void *opaque)
{
	(void)addr;
	*(unsigned int *)opaque += 1;
}

static void
a_buffer_of_somebody_elses_is_copied_and_let_go(void **state)
{
	static uint8_t buffer[1024] __rte_aligned(64);
	struct rte_mbuf *m = rte_pktmbuf_alloc(plain);
	struct rte_mbuf_ext_shared_info *info;
	uint16_t len = sizeof(buffer);
	unsigned int n_freed = 0;

	(void)state;
	assert_non_null(m);
	info = rte_pktmbuf_ext_shinfo_init_helper(buffer, &len, freed, &n_freed);
	rte_pktmbuf_attach_extbuf(m, buffer, RTE_BAD_IOVA, len, info);
	rte_pktmbuf_reset_headroom(m);
	fill(m, 600);
	expect_copy(m, plain);
	assert_int_equal(n_freed, 1);
	assert_all_back();
}

static void
another_pools_mbufs_and_empty_segments_are_copied(void **state)
{
	struct rte_mbuf *m, *empty;

	(void)state;
	expect_copy(packet(other, PIECES), pinned);
	m = packet(pinned, 1);
	empty = rte_pktmbuf_alloc(pinned);
	assert_int_equal(rte_pktmbuf_chain(m, empty), 0);
	expect_copy(m, pinned);
	assert_all_back();
}

static void
a_copy_has_what_was_known_of_the_packet(void **state)
{
	struct rte_mbuf *m = packet(other, 2), *c;

	(void)state;
	m->port = 7;
	m->vlan_tci = 0x123;
	m->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4;
	m->hash.rss = 0xabcdef;
	m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_RSS_HASH;
	c = cross_prepare(m, pinned, 40, &copied);
	assert_non_null(c);
	assert_int_equal(c->port, 7);
	assert_int_equal(c->vlan_tci, 0x123);
	assert_int_equal(c->packet_type, RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4);
	assert_int_equal(c->hash.rss, 0xabcdef);
	assert_int_equal(
		c->ol_flags, RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_RSS_HASH | RTE_MBUF_F_EXTERNAL);
	rte_pktmbuf_free(c);
	assert_all_back();
}

static void
what_cannot_cross_is_dropped_whole(void **state)
{
	struct rte_mbuf *all[MBUFS], *m;
	uint64_t had = copied;

	(void)state;
	/* more segments than allowed */
	assert_null(cross_prepare(packet(pinned, PIECES), pinned, PIECES - 1, &copied));
	/* nothing in it */
	m = rte_pktmbuf_alloc(pinned);
	assert_non_null(m);
	assert_null(cross_prepare(m, pinned, 40, &copied));
	/* a copy that there is one mbuf too few for */
	assert_int_equal(rte_pktmbuf_alloc_bulk(pinned, all, MBUFS - 1), 0);
	m = packet(other, 6);
	assert_true(m->pkt_len > ROOM);
	assert_null(cross_prepare(m, pinned, 40, &copied));
	rte_pktmbuf_free_bulk(all, MBUFS - 1);
	/* no more than a copy can be cut into */
	m = packet(other, 6);
	assert_null(cross_prepare(m, pinned, 1, &copied));
	assert_int_equal(copied, had);
	assert_all_back();
}

static int
pools_create(void)
{
	struct rte_pktmbuf_extmem ext = {.buf_iova = RTE_BAD_IOVA, .elt_size = ROOM};

	ext.buf_len = (size_t)(MBUFS + 1) * ROOM;
	area = aligned_alloc(4096, ext.buf_len);
	if (area == NULL)
		return -1;
	ext.buf_ptr = area;
	plain = rte_pktmbuf_pool_create("plain", MBUFS, 0, 0, ROOM, 0);
	other = rte_pktmbuf_pool_create("other", MBUFS, 0, 0, ROOM, 0);
	indirect = rte_pktmbuf_pool_create("indirect", MBUFS, 0, 0, 0, 0);
	pinned = rte_pktmbuf_pool_create_extbuf("pinned", MBUFS, 0, 0, ROOM, 0, &ext, 1);
	return plain == NULL || other == NULL || indirect == NULL || pinned == NULL ? -1 : 0;
}

int
main(void)
{
	char *args[] = {"test", "--no-huge", "-m", "64", "--no-pci", "--no-shconf",
		"--no-telemetry", "--log-level=lib.eal:error", "-l", "0", NULL};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_alone_passes_as_it_is),
		cmocka_unit_test(a_second_reference_to_any_segment_makes_a_copy_of_the_whole),
		cmocka_unit_test(a_clone_and_what_it_is_a_clone_of_are_copied),
		cmocka_unit_test(a_clone_of_the_same_pool_is_copied),
		cmocka_unit_test(a_clone_elsewhere_of_a_pinned_buffer_makes_a_copy),
		cmocka_unit_test(a_buffer_of_somebody_elses_is_copied_and_let_go),
		cmocka_unit_test(another_pools_mbufs_and_empty_segments_are_copied),
		cmocka_unit_test(a_copy_has_what_was_known_of_the_packet),
		cmocka_unit_test(what_cannot_cross_is_dropped_whole),
	};
	int ret;

	if (rte_eal_init((int)RTE_DIM(args) - 1, args) < 0)
		return 1;
	ret = pools_create() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
	rte_eal_cleanup();
	free(area);
	return ret;
}
