/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * slabio-bench-rbuff: the ring against DPDK's rte_ring (single producer, single consumer).
 *
 * One thread writes, one reads, each pinned to a processor; the reader checks every element. Rivals
 * take turns within one run, and what counts is the ratio of neighbours, since the machine may
 * change its mind about clock and placement at any time: medians, with the least and the greatest.
 */

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <slabio/rbuff.h>

#define ROUNDS_MAX 101
#define BULK_MAX   256

enum rival {
	SLABIO,
	DPDK,
	BARE, /* one cache line each way; ping-pong only */
};

static const char *const rival_names[] = {"rbuff", "rte_ring", "bare line"};

static struct {
	unsigned int rounds;
	unsigned int capacity;
	int cpus[2];
	unsigned long elements;
} config = {.rounds = 7, .capacity = 1024, .cpus = {0, 1}, .elements = 4000000};

/* one direction */
struct link {
	struct sio_rbuff *writer;
	struct sio_rbuff *reader;
	struct rte_ring *dpdk;
	_Alignas(128) _Atomic uint64_t bare;
};

static struct run {
	enum rival rival;
	unsigned int size;
	unsigned int bulk;
	uint64_t total;
	struct link there;
	struct link back;
	pthread_barrier_t start;
	double ns;
	uint64_t wrong;
} run;

static inline void
relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

static void
pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0) {
		fprintf(stderr, "slabio-bench-rbuff: no processor %d; choose others with -c\n",
			cpu);
		exit(1);
	}
}

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

/* size is a constant where these are inlined, which is what rte_ring wants as well */

static inline __attribute__((always_inline)) void
send_all(enum rival rival, unsigned int size)
{
	_Alignas(64) unsigned char elements[BULK_MAX * 16];
	unsigned int bulk = run.bulk;

	for (uint64_t i = 0; i < run.total; i += bulk) {
		fill(elements, size, i, bulk);
		if (rival == SLABIO)
			while (sio_rbuff_write_bulk(run.there.writer, elements, bulk) == 0)
				relax();
		else
			while (rte_ring_sp_enqueue_bulk_elem(
				       run.there.dpdk, elements, size, bulk, NULL) == 0)
				relax();
	}
}

static inline __attribute__((always_inline)) void
receive_all(enum rival rival, unsigned int size)
{
	_Alignas(64) unsigned char elements[BULK_MAX * 16];
	unsigned int bulk = run.bulk;
	uint64_t i = 0, wrong = 0;

	while (i < run.total) {
		int n = rival == SLABIO ? sio_rbuff_read_burst(run.there.reader, elements, bulk)
					: (int)rte_ring_sc_dequeue_burst_elem(
						  run.there.dpdk, elements, size, bulk, NULL);

		if (n <= 0) {
			relax();
			continue;
		}
		wrong += check(elements, size, i, (unsigned int)n);
		i += (unsigned int)n;
	}
	run.wrong += wrong;
}

static void *
sender(void *arg)
{
	(void)arg;
	pin(config.cpus[0]);
	pthread_barrier_wait(&run.start);
	switch (run.size) {
	case 4:
		run.rival == SLABIO ? send_all(SLABIO, 4) : send_all(DPDK, 4);
		break;
	case 8:
		run.rival == SLABIO ? send_all(SLABIO, 8) : send_all(DPDK, 8);
		break;
	default:
		run.rival == SLABIO ? send_all(SLABIO, 16) : send_all(DPDK, 16);
		break;
	}
	return NULL;
}

static void *
receiver(void *arg)
{
	uint64_t began;

	(void)arg;
	pin(config.cpus[1]);
	pthread_barrier_wait(&run.start);
	began = sio_now_ns();
	switch (run.size) {
	case 4:
		run.rival == SLABIO ? receive_all(SLABIO, 4) : receive_all(DPDK, 4);
		break;
	case 8:
		run.rival == SLABIO ? receive_all(SLABIO, 8) : receive_all(DPDK, 8);
		break;
	default:
		run.rival == SLABIO ? receive_all(SLABIO, 16) : receive_all(DPDK, 16);
		break;
	}
	run.ns = (double)(sio_now_ns() - began) / (double)run.total;
	return NULL;
}

/* ---- ping-pong, elements of 8 bytes ---- */

static inline __attribute__((always_inline)) void
put_one(enum rival rival, struct link *link, uint64_t value)
{
	if (rival == SLABIO)
		while (sio_rbuff_write_bulk(link->writer, &value, 1) == 0)
			relax();
	else if (rival == DPDK)
		while (rte_ring_sp_enqueue_bulk_elem(link->dpdk, &value, 8, 1, NULL) == 0)
			relax();
	else
		atomic_store_explicit(&link->bare, value, memory_order_release);
}

static inline __attribute__((always_inline)) void
get_one(enum rival rival, struct link *link, uint64_t want)
{
	uint64_t value = 0;

	if (rival == SLABIO)
		while (sio_rbuff_read_burst(link->reader, &value, 1) == 0)
			relax();
	else if (rival == DPDK)
		while (rte_ring_sc_dequeue_burst_elem(link->dpdk, &value, 8, 1, NULL) == 0)
			relax();
	else
		while ((value = atomic_load_explicit(&link->bare, memory_order_acquire)) != want)
			relax();
	if (value != want)
		run.wrong++;
}

static inline __attribute__((always_inline)) void
ping_all(enum rival rival)
{
	for (uint64_t i = 1; i <= run.total; i++) {
		put_one(rival, &run.there, i);
		get_one(rival, &run.back, i);
	}
}

static inline __attribute__((always_inline)) void
pong_all(enum rival rival)
{
	for (uint64_t i = 1; i <= run.total; i++) {
		get_one(rival, &run.there, i);
		put_one(rival, &run.back, i);
	}
}

static void *
ping(void *arg)
{
	uint64_t began;

	(void)arg;
	pin(config.cpus[0]);
	pthread_barrier_wait(&run.start);
	began = sio_now_ns();
	if (run.rival == SLABIO)
		ping_all(SLABIO);
	else if (run.rival == DPDK)
		ping_all(DPDK);
	else
		ping_all(BARE);
	run.ns = (double)(sio_now_ns() - began) / (double)run.total;
	return NULL;
}

static void *
pong(void *arg)
{
	(void)arg;
	pin(config.cpus[1]);
	pthread_barrier_wait(&run.start);
	if (run.rival == SLABIO)
		pong_all(SLABIO);
	else if (run.rival == DPDK)
		pong_all(DPDK);
	else
		pong_all(BARE);
	return NULL;
}

/* ---- runs ---- */

static void
link_open(struct link *link, enum rival rival, unsigned int size, const char *name)
{
	struct sio_rbuff_opts opts = {.sz = sizeof(opts),
		.name = name,
		.capacity = config.capacity,
		.element_size = size,
		.role = SIO_RBUFF_PRODUCER};
	ssize_t bytes;
	int rc = 0;

	memset(link, 0, sizeof(*link));
	if (rival == SLABIO) {
		rc = sio_rbuff_create(&opts, &link->writer);
		if (rc == 0)
			rc = sio_rbuff_attach(name, SIO_RBUFF_CONSUMER, &link->reader);
	} else if (rival == DPDK) {
		bytes = rte_ring_get_memsize_elem(size, config.capacity);
		if (bytes > 0)
			link->dpdk = aligned_alloc(4096, ((size_t)bytes + 4095) & ~(size_t)4095);
		rc = link->dpdk == NULL ? -ENOMEM
					: rte_ring_init(link->dpdk, "bench", config.capacity,
						  RING_F_SP_ENQ | RING_F_SC_DEQ);
	}
	if (rc < 0) {
		fprintf(stderr, "slabio-bench-rbuff: cannot create %s: %s\n", rival_names[rival],
			strerror(-rc));
		exit(1);
	}
}

static void
link_close(struct link *link)
{
	sio_rbuff_detach(link->reader);
	sio_rbuff_destroy(link->writer);
	free(link->dpdk);
}

static double
measure(enum rival rival, unsigned int size, unsigned int bulk, uint64_t total,
	void *(*first)(void *), void *(*second)(void *))
{
	pthread_t threads[2];
	char names[2][SIO_NAME_LEN];

	snprintf(names[0], sizeof(names[0]), "bench-%d.there", (int)getpid());
	snprintf(names[1], sizeof(names[1]), "bench-%d.back", (int)getpid());
	run.rival = rival;
	run.size = size;
	run.bulk = bulk;
	run.total = total - total % bulk;
	link_open(&run.there, rival, size, names[0]);
	link_open(&run.back, rival, size, names[1]);
	pthread_barrier_init(&run.start, NULL, 2);
	if (pthread_create(&threads[0], NULL, first, NULL) != 0 ||
		pthread_create(&threads[1], NULL, second, NULL) != 0) {
		fprintf(stderr, "slabio-bench-rbuff: cannot start a thread\n");
		exit(1);
	}
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	pthread_barrier_destroy(&run.start);
	link_close(&run.back);
	link_close(&run.there);
	return run.ns;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

struct spread {
	double least, median, greatest;
};

static struct spread
spread_of(double *values)
{
	qsort(values, config.rounds, sizeof(values[0]), compare);
	return (struct spread){values[0], values[config.rounds / 2], values[config.rounds - 1]};
}

static void
throughput(unsigned int size, unsigned int bulk)
{
	double ours[ROUNDS_MAX], theirs[ROUNDS_MAX], ratio[ROUNDS_MAX];
	uint64_t total = bulk == 1 ? config.elements / 4 : config.elements;
	struct spread o, t, r;

	for (unsigned int i = 0; i < config.rounds; i++) {
		theirs[i] = measure(DPDK, size, bulk, total, sender, receiver);
		ours[i] = measure(SLABIO, size, bulk, total, sender, receiver);
		ratio[i] = theirs[i] / ours[i];
	}
	o = spread_of(ours);
	t = spread_of(theirs);
	r = spread_of(ratio);
	printf("%4u B  bulk %-3u  %7.2f [%6.2f-%6.2f]  %7.2f [%6.2f-%6.2f]  %6.0f %6.0f  %5.2f "
	       "[%.2f-%.2f]\n",
		size, bulk, o.median, o.least, o.greatest, t.median, t.least, t.greatest,
		1e3 / o.median, 1e3 / t.median, r.median, r.least, r.greatest);
	fflush(stdout);
}

static void
round_trip(void)
{
	double ns[3][ROUNDS_MAX], ratio[3][ROUNDS_MAX];

	for (unsigned int i = 0; i < config.rounds; i++)
		for (int rival = BARE; rival >= SLABIO; rival--) {
			ns[rival][i] =
				measure((enum rival)rival, 8, 1, config.elements / 40, ping, pong);
			ratio[rival][i] = ns[rival][i] / ns[BARE][i];
		}
	printf("\nround trip, 8 B           ns                   x bare line\n");
	for (int rival = BARE; rival >= SLABIO; rival--) {
		struct spread n = spread_of(ns[rival]), r = spread_of(ratio[rival]);

		printf("%-10s  %7.0f [%6.0f-%6.0f]     %.2f [%.2f-%.2f]\n", rival_names[rival],
			n.median, n.least, n.greatest, r.median, r.least, r.greatest);
	}
}

static void
usage(FILE *to)
{
	fprintf(to,
		"usage: slabio-bench-rbuff [-r rounds] [-n elements] [-s capacity] [-c cpu,cpu]\n"
		"  -r  pairs of runs for each figure, 1 to %d (default %u)\n"
		"  -n  elements per run (default %lu; a quarter of it for bulk 1)\n"
		"  -s  capacity of the rings, a power of two from %d (default %u)\n"
		"  -c  processors of writer and reader (default 0,1)\n",
		ROUNDS_MAX, config.rounds, config.elements, BULK_MAX, config.capacity);
}

static bool
arguments(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "r:n:s:c:h")) != -1)
		switch (c) {
		case 'r':
			config.rounds = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'n':
			config.elements = strtoul(optarg, NULL, 10);
			break;
		case 's':
			config.capacity = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'c':
			if (sscanf(optarg, "%d,%d", &config.cpus[0], &config.cpus[1]) != 2)
				return false;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			return false;
		}
	return optind == argc && config.rounds >= 1 && config.rounds <= ROUNDS_MAX &&
	       config.elements >= 10000 && config.capacity >= BULK_MAX &&
	       (config.capacity & (config.capacity - 1)) == 0;
}

int
main(int argc, char **argv)
{
	static const unsigned int sizes[] = {8, 16, 4}, bulks[] = {1, 8, 32};

	if (!arguments(argc, argv)) {
		usage(stderr);
		return 2;
	}
	printf("capacity %u, processors %d and %d, %u pairs: median [least-greatest]\n",
		config.capacity, config.cpus[0], config.cpus[1], config.rounds);
	printf("                     rbuff ns/element        rte_ring ns/element     M/s    M/s  "
	       "ratio\n");
	for (unsigned int s = 0; s < 3; s++)
		for (unsigned int b = 0; b < 3; b++)
			throughput(sizes[s], bulks[b]);
	round_trip();
	if (run.wrong != 0) {
		fprintf(stderr, "slabio-bench-rbuff: %llu elements were wrong\n",
			(unsigned long long)run.wrong);
		return 1;
	}
	return 0;
}
