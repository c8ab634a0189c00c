/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * rbuff against rte_ring: one lcore writes, another reads and checks every element's place in the
 * sequence; or one element goes there and another comes back.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <slabio/pool.h>
#include <slabio/rbuff.h>
#include "bench.h"

#define ELEMENTS_PER_LOOK 2048u

enum kind {
	RBUFF,
	SPSC,	/* rte_ring, single producer, single consumer */
	MPMC,	/* rte_ring, many of both, though one of each is at work */
	LINE,	/* one cache line each way; round trips only */
	BLOCKS, /* rbuff with the blocks of an exact pool; one way only */
	KINDS
};

static const char *const kind_names[KINDS] = {
	"rbuff", "rte_ring_spsc", "rte_ring_mpmc", "line", "rbuff_blocks"};

/*
 * Handles go round, so that a block is written again when it was read long ago: more blocks than
 * the ring and both sides can have.
 */
#define BLOCKS_PER_ELEMENT 4u
#define HANDLE(job, i)	   ((uint32_t)(i) & ((job)->n_blocks - 1))

/* one direction */
struct link {
	struct sio_rbuff *writer;
	struct sio_rbuff *reader;
	struct rte_ring *dpdk;
	struct sio_pool *pool;
	_Alignas(128) _Atomic uint64_t line;
};

struct job {
	enum kind kind;
	unsigned int size;
	unsigned int bulk;
	uint32_t n_blocks; /* a power of two */
	bool trip;
	struct link there;
	struct link back;
	_Atomic uint64_t total; /* written in all, or UINT64_MAX: not known yet */
	_Atomic uint64_t wrong;
};

static inline __attribute__((always_inline)) void
fill(void *elements, unsigned int size, uint64_t first, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (size == 4) {
			((uint32_t *)elements)[i] = (uint32_t)(first + i);
		} else if (size == 8) {
			((uint64_t *)elements)[i] = first + i;
		} else {
			((uint64_t *)elements)[2 * i] = first + i;
			((uint64_t *)elements)[2 * i + 1] = ~(first + i);
		}
	}
}

static inline __attribute__((always_inline)) uint64_t
check(const void *elements, unsigned int size, uint64_t first, unsigned int n)
{
	uint64_t wrong = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (size == 4)
			wrong += ((const uint32_t *)elements)[i] != (uint32_t)(first + i);
		else if (size == 8)
			wrong += ((const uint64_t *)elements)[i] != first + i;
		else
			wrong += ((const uint64_t *)elements)[2 * i] != first + i ||
				 ((const uint64_t *)elements)[2 * i + 1] != ~(first + i);
	}
	return wrong;
}

/* Elements of blocks: the handle, then the place in the sequence. */
static inline __attribute__((always_inline)) void
fill_blocks(
	const struct job *job, void *elements, unsigned int size, uint64_t first, unsigned int n)
{
	uint32_t *to = elements;

	for (unsigned int i = 0; i < n; i++, to += size / 4) {
		to[0] = HANDLE(job, first + i);
		to[1] = (uint32_t)(first + i);
	}
}

static inline __attribute__((always_inline)) uint64_t
check_blocks(const struct job *job, const void *elements, unsigned int size, uint64_t first,
	unsigned int n)
{
	const uint32_t *from = elements;
	uint64_t wrong = 0;

	for (unsigned int i = 0; i < n; i++, from += size / 4)
		wrong += from[0] != HANDLE(job, first + i) || from[1] != (uint32_t)(first + i);
	return wrong;
}

/* kind and size are constants where these are inlined, which is what rte_ring wants as well */

static inline __attribute__((always_inline)) bool
put(enum kind kind, struct link *link, const void *elements, unsigned int size, unsigned int n)
{
	switch (kind) {
	case RBUFF:
	case BLOCKS:
		return sio_rbuff_write_bulk(link->writer, elements, n) != 0;
	case SPSC:
		return rte_ring_sp_enqueue_bulk_elem(link->dpdk, elements, size, n, NULL) != 0;
	default:
		return rte_ring_mp_enqueue_bulk_elem(link->dpdk, elements, size, n, NULL) != 0;
	}
}

static inline __attribute__((always_inline)) unsigned int
get(enum kind kind, struct link *link, void *elements, unsigned int size, unsigned int n)
{
	int got;

	switch (kind) {
	case RBUFF:
	case BLOCKS:
		got = sio_rbuff_read_burst(link->reader, elements, n);
		return got > 0 ? (unsigned int)got : 0;
	case SPSC:
		return rte_ring_sc_dequeue_burst_elem(link->dpdk, elements, size, n, NULL);
	default:
		return rte_ring_mc_dequeue_burst_elem(link->dpdk, elements, size, n, NULL);
	}
}

/* ---- one way ---- */

static inline __attribute__((always_inline)) uint64_t
send(struct bench_team *team, enum kind kind, unsigned int size)
{
	unsigned char *elements = bench_buffer();
	struct job *job = team->arg;
	unsigned int bulk = job->bulk, spins = 0;
	uint64_t i = 0, look = ELEMENTS_PER_LOOK;

	for (;;) {
		if (kind == BLOCKS)
			fill_blocks(job, elements, size, i, bulk);
		else
			fill(elements, size, i, bulk);
		while (!put(kind, &job->there, elements, size, bulk))
			bench_wait(team, &spins);
		i += bulk;
		if (i < look)
			continue;
		look = i + ELEMENTS_PER_LOOK;
		if (rte_rdtsc() >= team->deadline)
			break;
	}
	/* release: partner is the acquire in receive() */
	atomic_store_explicit(&job->total, i, memory_order_release);
	return 0;
}

static inline __attribute__((always_inline)) uint64_t
receive(struct bench_team *team, enum kind kind, unsigned int size)
{
	unsigned char *elements = bench_buffer();
	struct job *job = team->arg;
	unsigned int bulk = job->bulk, spins = 0;
	uint64_t i = 0, wrong = 0;

	for (;;) {
		unsigned int n = get(kind, &job->there, elements, size, bulk);

		if (n == 0) {
			if (atomic_load_explicit(&job->total, memory_order_acquire) == i)
				break;
			bench_wait(team, &spins);
			continue;
		}
		wrong += kind == BLOCKS ? check_blocks(job, elements, size, i, n)
					: check(elements, size, i, n);
		i += n;
	}
	job->wrong += wrong;
	return i;
}

#define ONE_WAY(NAME, KIND, SIZE)                                                    \
	static uint64_t NAME(struct bench_team *team, unsigned int me)               \
	{                                                                            \
		return me == 0 ? send(team, KIND, SIZE) : receive(team, KIND, SIZE); \
	}

ONE_WAY(rbuff_4, RBUFF, 4)
ONE_WAY(rbuff_8, RBUFF, 8)
ONE_WAY(rbuff_16, RBUFF, 16)
ONE_WAY(spsc_4, SPSC, 4)
ONE_WAY(spsc_8, SPSC, 8)
ONE_WAY(spsc_16, SPSC, 16)
ONE_WAY(mpmc_4, MPMC, 4)
ONE_WAY(mpmc_8, MPMC, 8)
ONE_WAY(mpmc_16, MPMC, 16)
ONE_WAY(blocks_8, BLOCKS, 8)
ONE_WAY(blocks_16, BLOCKS, 16)

/* ---- there and back ---- */

static inline __attribute__((always_inline)) void
put_one(enum kind kind, struct link *link, uint64_t value)
{
	if (kind == LINE)
		atomic_store_explicit(&link->line, value, memory_order_release);
	else
		while (!put(kind, link, &value, 8, 1))
			rte_pause();
}

static inline __attribute__((always_inline)) uint64_t
get_one(enum kind kind, struct link *link, uint64_t before)
{
	uint64_t value = 0;

	if (kind == LINE)
		while ((value = atomic_load_explicit(&link->line, memory_order_acquire)) == before)
			rte_pause();
	else
		while (get(kind, link, &value, 8, 1) == 0)
			rte_pause();
	return value;
}

static inline __attribute__((always_inline)) uint64_t
trip(struct bench_team *team, unsigned int me, enum kind kind)
{
	struct job *job = team->arg;
	uint64_t i = 0, value, wrong = 0;

	if (me == 0) {
		do {
			put_one(kind, &job->there, ++i);
			wrong += get_one(kind, &job->back, i - 1) != i;
		} while (i % 64 != 0 || rte_rdtsc() < team->deadline);
		put_one(kind, &job->there, UINT64_MAX);
		job->wrong += wrong;
		return i;
	}
	while ((value = get_one(kind, &job->there, i)) != UINT64_MAX) {
		wrong += value != i + 1;
		i = value;
		put_one(kind, &job->back, i);
	}
	job->wrong += wrong;
	return 0;
}

#define TRIP(NAME, KIND)                                               \
	static uint64_t NAME(struct bench_team *team, unsigned int me) \
	{                                                              \
		return trip(team, me, KIND);                           \
	}

TRIP(rbuff_trip, RBUFF)
TRIP(spsc_trip, SPSC)
TRIP(mpmc_trip, MPMC)
TRIP(line_trip, LINE)

static bench_work
work_of(const struct job *job)
{
	static const bench_work one_way[][3] = {
		[RBUFF] = {rbuff_4, rbuff_8, rbuff_16},
		[SPSC] = {spsc_4, spsc_8, spsc_16},
		[MPMC] = {mpmc_4, mpmc_8, mpmc_16},
		[BLOCKS] = {NULL, blocks_8, blocks_16},
	};
	static const bench_work trips[KINDS] = {rbuff_trip, spsc_trip, mpmc_trip, line_trip};

	if (job->trip)
		return trips[job->kind];
	return one_way[job->kind][job->size == 4 ? 0 : job->size == 8 ? 1 : 2];
}

/* ---- runs ---- */

/* A pool whose blocks are all in this process's hands. */
static int
pool_open(struct job *job, struct sio_pool **pool, char *name)
{
	struct sio_pool_opts opts = {
		.sz = sizeof(opts),
		.name = name,
		.n_blocks = job->n_blocks,
		.block_size = 64,
		.flags = SIO_POOL_EXACT,
		.backing = SIO_BACKING_MEMFD,
	};
	uint32_t *handles = calloc(job->n_blocks, sizeof(*handles));
	int ret = handles == NULL ? -ENOMEM : sio_pool_create(&opts, pool);

	if (ret == 0)
		ret = sio_pool_take(*pool, handles, job->n_blocks);
	free(handles);
	return ret;
}

static int
link_open(struct job *job, struct link *link)
{
	enum kind kind = job->kind;
	unsigned int size = job->size;
	static unsigned int number;
	char name[RTE_RING_NAMESIZE];
	struct sio_rbuff_opts opts = {
		.sz = sizeof(opts),
		.name = name,
		.capacity = bench_options.queue,
		.element_size = size,
		.role = SIO_RBUFF_PRODUCER,
	};
	int ret = 0;

	memset(link, 0, sizeof(*link));
	snprintf(name, sizeof(name), "bench-%d.%u", (int)getpid(), number++);
	if (kind == BLOCKS) {
		job->n_blocks = bench_options.queue * BLOCKS_PER_ELEMENT;
		ret = pool_open(job, &link->pool, name);
		opts.carries = link->pool;
		snprintf(name, sizeof(name), "bench-%d.%u", (int)getpid(), number++);
	}
	if (ret == 0 && (kind == RBUFF || kind == BLOCKS)) {
		ret = sio_rbuff_create(&opts, &link->writer);
		if (ret == 0)
			ret = sio_rbuff_attach_blocks(
				name, SIO_RBUFF_CONSUMER, link->pool, &link->reader);
	} else if (kind == SPSC || kind == MPMC) {
		/* exact: all of the capacity is usable, as in an rbuff */
		link->dpdk = rte_ring_create_elem(name, size, bench_options.queue, SOCKET_ID_ANY,
			RING_F_EXACT_SZ | (kind == SPSC ? RING_F_SP_ENQ | RING_F_SC_DEQ : 0));
		if (link->dpdk == NULL)
			ret = -rte_errno;
	}
	if (ret != 0)
		bench_error("cannot create the ring %s of %u elements of %u bytes: %s",
			kind_names[kind], bench_options.queue, size, strerror(-ret));
	return ret;
}

static void
link_close(struct link *link)
{
	if (link->reader != NULL)
		sio_rbuff_detach(link->reader);
	if (link->writer != NULL)
		sio_rbuff_destroy(link->writer);
	if (link->pool != NULL)
		sio_pool_destroy(link->pool);
	rte_ring_free(link->dpdk);
}

static int
run_team(struct job *job, double *value)
{
	struct bench_team team = {.n = 2, .work = work_of(job), .arg = job};
	int ret;

	job->total = UINT64_MAX;
	job->wrong = 0;
	ret = bench_team_run(&team);
	if (ret != 0)
		return ret;
	if (job->wrong != 0) {
		bench_error("%s: %llu elements were out of sequence", kind_names[job->kind],
			(unsigned long long)job->wrong);
		bench_conserved = false;
		return -EIO;
	}
	*value = job->trip ? team.seconds * 1e9 / (double)team.count
			   : (double)team.count / team.seconds / 1e6;
	return 0;
}

static int
run(void *arg, double *value)
{
	struct job *job = arg;
	int ret = link_open(job, &job->there);

	memset(&job->back, 0, sizeof(job->back));
	if (ret == 0 && job->trip)
		ret = link_open(job, &job->back);
	if (ret == 0)
		ret = run_team(job, value);
	link_close(&job->there);
	link_close(&job->back);
	return ret;
}

static enum kind
kind_of(const char *name)
{
	unsigned int kind = 0;

	while (kind < KINDS - 1 && strcmp(kind_names[kind], name) != 0)
		kind++;
	return (enum kind)kind;
}

static int
pair(struct job *a, struct job *b, const char *rival, double fixed, double bar)
{
	struct bench_case c = {
		.suite = "ring",
		.lcores = 2,
		.bulk = a->bulk,
		.size = a->size,
		.unit = a->trip ? BENCH_NS : BENCH_MOPS,
		.run = run,
		.subject_arg = a,
		.rival_arg = b,
		.fixed = fixed,
		.bar = bar,
	};

	snprintf(c.pattern, sizeof(c.pattern), "%s", a->trip ? "round-trip" : "one-way");
	snprintf(c.subject, sizeof(c.subject), "%s", kind_names[a->kind]);
	snprintf(c.rival, sizeof(c.rival), "%s", rival);
	if (bench_cpus < 2) {
		bench_report_skip(c.pattern, "it needs two lcores with a CPU each");
		return 0;
	}
	return bench_measure(&c);
}

int
bench_ring_case(const char *rival, unsigned int size, unsigned int bulk, double bar)
{
	static struct job a, b;

	a = (struct job){.kind = RBUFF, .size = size, .bulk = bulk};
	b = (struct job){.kind = kind_of(rival), .size = size, .bulk = bulk};
	return pair(&a, &b, rival, 0, bar);
}

int
bench_ring_fixed(unsigned int bulk, const char *rival, double figure, double bar)
{
	static struct job a;

	a = (struct job){.kind = RBUFF, .size = 8, .bulk = bulk};
	return pair(&a, NULL, rival, figure, bar);
}

int
bench_ring_blocks(unsigned int size, unsigned int bulk, double bar)
{
	static struct job a, b;

	a = (struct job){.kind = BLOCKS, .size = size, .bulk = bulk};
	b = (struct job){.kind = RBUFF, .size = size, .bulk = bulk};
	return pair(&a, &b, kind_names[RBUFF], 0, bar);
}

int
bench_ring_trip(const char *subject, const char *rival, double bar)
{
	static struct job a, b;

	a = (struct job){.kind = kind_of(subject), .size = 8, .bulk = 1, .trip = true};
	b = (struct job){.kind = kind_of(rival), .size = 8, .bulk = 1, .trip = true};
	return pair(&a, &b, rival, 0, bar);
}

int
bench_ring(void)
{
	const struct bench_options *o = &bench_options;
	int ret = 0;

	bench_heading("one lcore writes, another reads and checks every element");
	for (unsigned int s = 0; s < o->sizes.n; s++)
		for (unsigned int b = 0; b < o->bulks.n; b++) {
			if (ret == 0)
				ret = bench_ring_case(
					"rte_ring_spsc", o->sizes.at[s], o->bulks.at[b], 0);
			if (ret == 0 && o->sizes.at[s] == 8)
				ret = bench_ring_case("rte_ring_mpmc", 8, o->bulks.at[b], 0);
		}
	bench_heading("the blocks of an exact pool, holder words tracked, beside bare elements");
	for (unsigned int s = 0; s < o->sizes.n; s++)
		for (unsigned int b = 0; b < o->bulks.n; b++)
			if (ret == 0 && o->sizes.at[s] >= 8)
				ret = bench_ring_blocks(o->sizes.at[s], o->bulks.at[b], 0);
	bench_heading("one element there, one back, in ns");
	if (ret == 0)
		ret = bench_ring_trip("rbuff", "rte_ring_spsc", 0);
	if (ret == 0)
		ret = bench_ring_trip("rbuff", "line", 0);
	if (ret == 0)
		ret = bench_ring_trip("rte_ring_spsc", "line", 0);
	return ret;
}
