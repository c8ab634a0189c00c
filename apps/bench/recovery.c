/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * What the recovery of a dead member costs those who work on.
 *
 * A round: a new pool; processes that take and give bursts, each with a CPU of its own; a member that
 * comes by 65 536 blocks, in its shards, in a ring and in its hands, and is killed. For ten milliseconds
 * the others note how long their bursts take while this process, a member as well, keeps its own CPU busy:
 * the control. Then it recovers, and from the beginning of that they note it for ten milliseconds again,
 * those while the recovery runs and those after it apart. Afterwards every block has to be where it belongs.
 *
 * Each burst is timed by itself: of several together the slowest would speak for all. A burst takes some
 * 20 ns, and the clocks of common CPUs move in steps of up to 10 ns. Where in a step a burst begins is
 * chance, so how many are seen to take a step more says how much more they took.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <rte_cycles.h>
#include <rte_log.h>
#include <rte_pause.h>
#include <slabio/pool.h>
#include <slabio/rbuff.h>
#include "bench.h"
#include "histogram.h"

#define HELD	      65536u /* by who is killed */
#define QUEUED	      8192u  /* of these, in a ring */
#define THREADS	      4u     /* of its, each with a shard */
#define IN_SHARD      512u   /* that each of them gives back */
#define OTHERS	      16384u /* for those who go on */
#define BLOCKS	      (HELD + OTHERS)
#define BLOCK_SIZE    64u
#define BULK	      32u
#define SWING	      2048u /* blocks that go up and down: some magazines */
#define WORKERS_MAX   8u
#define LIMIT_SECONDS 30u /* a process that takes longer hangs */
#define REST_US	      2000u
#define SETTLE	      32u		  /* bursts at the begin of a window that do not count */
#define NEAR_NS	      UINT64_C(100000000) /* for the others to see that it begins */
#define PAIRS_MORE    5u /* times as many pairs, of fewer rounds: one that was disturbed weighs less */
#define ROUNDS(ms)    (1 + (ms) / 20)
#define AGAIN	      2u /* times as many rounds in all */
#define IDLE_MAX      50u
#define WINDOW_NS     UINT64_C(10000000)
#define BAR_NS	      50e6
#define BAR_BURSTS    (1 / 1.1)

enum burst {
	GETPUT, /* takes and gives back at once: never leaves its magazine */
	SWINGS, /* takes many, gives many: magazines come from the depot and go there */
};

static const char *const burst_names[] = {[GETPUT] = "getput", [SWINGS] = "swing"};

/* What bursts count for. */
enum window {
	CONTROL, /* before the recovery */
	DURING,
	AFTER,
	WINDOWS,
	REST = WINDOWS, /* nothing */
	NEAR,		/* nothing, but that will change soon */
	READY,		/* at once */
};

/* What the processes of one round share. */
struct shared {
	_Atomic unsigned int ready;
	_Alignas(128) _Atomic unsigned int window;
	_Atomic bool stop;
	struct {
		_Alignas(128) uint64_t wall_ns; /* from near to rest */
		uint64_t cpu_ns;
		uint64_t failed;
		_Atomic unsigned int window; /* that it has seen */
		struct histogram histogram[WINDOWS];
	} worker[WORKERS_MAX];
};

struct round {
	bool exact;
	enum burst burst;
	unsigned int workers;  /* those who go on */
	struct shared *shared; /* between processes; holds afterwards what each of them noted */
	struct sio_recover_report report; /* a result */
};

/* What is compared with the control. */
enum view { IN_ALL, WHILE_RUNNING, VIEWS };

static const double parts[] = {0.5, 0.99, 0.999, 0.9999};
static const char *const part_names[] = {"p50", "p99", "p99.9", "p99.99"};
#define PARTS	 (sizeof(parts) / sizeof(parts[0]))
#define BAR_PART 2

struct job {
	struct round round;
	/* results of a run of several rounds */
	struct histogram histogram[WINDOWS];
	double control[PARTS]; /* ns */
	double part[VIEWS][PARTS];
	double ns;	 /* of one recovery */
	uint64_t failed; /* bursts that found too few blocks */
};

/* ---- those who go on ---- */

static bool
burst(struct sio_pool *pool, enum burst kind, uint32_t *handles, unsigned int *n, bool *up)
{
	if (kind == GETPUT)
		return sio_pool_take(pool, handles, BULK) == 0 &&
		       sio_pool_give(pool, handles, BULK) == 0;
	if (*n == 0)
		*up = true;
	if (*n + BULK > SWING)
		*up = false;
	if (!*up) {
		*n -= BULK;
		return sio_pool_give(pool, &handles[*n], BULK) == 0;
	}
	if (sio_pool_take(pool, &handles[*n], BULK) != 0)
		return false;
	*n += BULK;
	return true;
}

/*
 * Another window has begun. What that costs is not of the windows' bursts: system calls and page
 * faults are before the first one of a round and after the last one.
 */
static void
turn(struct shared *shared, unsigned int me, unsigned int now)
{
	struct histogram *histogram = shared->worker[me].histogram;

	if (now == NEAR) {
		bench_first(false);
		memset(histogram, 0, WINDOWS * sizeof(*histogram));
		shared->worker[me].wall_ns = sio_now_ns();
		shared->worker[me].cpu_ns = bench_cpu_ns();
	} else if (now == REST) {
		shared->worker[me].wall_ns = sio_now_ns() - shared->worker[me].wall_ns;
		shared->worker[me].cpu_ns = bench_cpu_ns() - shared->worker[me].cpu_ns;
		bench_as_others();
	}
	atomic_store_explicit(&shared->worker[me].window, now, memory_order_release);
}

static void
work(struct shared *shared, struct sio_pool *pool, unsigned int me, enum burst kind)
{
	struct histogram *histogram = shared->worker[me].histogram;
	unsigned int n = 0, window = REST, settle = 0, now;
	static uint32_t handles[SWING];
	uint64_t began, took;
	bool up = true;

	while (!atomic_load_explicit(&shared->stop, memory_order_acquire)) {
		now = atomic_load_explicit(&shared->window, memory_order_acquire);
		if (now != window) {
			turn(shared, me, now);
			window = now;
			settle = SETTLE;
		}
		began = rte_rdtsc();
		if (!burst(pool, kind, handles, &n, &up))
			shared->worker[me].failed++;
		took = rte_rdtsc() - began;
		if (settle > 0)
			settle--;
		else if (window < WINDOWS)
			histogram_add(&histogram[window], took);
	}
	if (window != REST)
		turn(shared, me, REST);
	if (n > 0)
		sio_pool_give(pool, handles, n);
}

static int
worker(struct shared *shared, const char *pool_name, unsigned int me, enum burst kind)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .no_payload = true};
	struct sio_pool *pool;

	if (bench_pin(me + 1) != 0 || sio_pool_attach(pool_name, &opts, &pool) != 0)
		return 1;
	/* release: partner is the parent's acquire */
	atomic_fetch_add_explicit(&shared->ready, 1, memory_order_release);
	work(shared, pool, me, kind);
	sio_pool_detach(pool);
	return 0;
}

/* ---- the one that dies ---- */

struct part {
	struct sio_pool *pool;
	const uint32_t *handles;
	pthread_barrier_t *met;
};

static void *
keep_some(void *arg)
{
	struct part *part = arg;

	sio_pool_give(part->pool, part->handles, IN_SHARD);
	pthread_barrier_wait(part->met);
	for (;;)
		pause();
	return NULL;
}

static int
victim(struct shared *shared, const char *pool_name, const char *ring_name)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .no_payload = true};
	static uint32_t handles[HELD];
	static struct sio_desc desc[QUEUED];
	static struct part part[THREADS];
	struct sio_pool *pool;
	struct sio_rbuff *ring;
	pthread_barrier_t met;
	pthread_t thread;

	if (bench_pin(0) != 0 || sio_pool_attach(pool_name, &opts, &pool) != 0 ||
		sio_rbuff_attach_blocks(ring_name, SIO_RBUFF_PRODUCER, pool, &ring) != 0 ||
		sio_pool_take(pool, handles, HELD) != 0)
		return 1;
	/* the take left its shard with some */
	sio_pool_thread_end(pool);
	for (unsigned int i = 0; i < QUEUED; i++)
		desc[i].handle = handles[i];
	if (sio_rbuff_write_bulk(ring, desc, QUEUED) != (int)QUEUED)
		return 1;
	pthread_barrier_init(&met, NULL, THREADS + 1);
	for (unsigned int i = 0; i < THREADS; i++) {
		part[i] = (struct part){pool, &handles[QUEUED + i * IN_SHARD], &met};
		if (pthread_create(&thread, NULL, keep_some, &part[i]) != 0)
			return 1;
	}
	pthread_barrier_wait(&met);
	atomic_fetch_add_explicit(&shared->ready, 1, memory_order_release);
	for (;;)
		pause();
}

/* ---- a round ---- */

struct scene {
	struct sio_pool *pool;
	struct sio_rbuff *ring;
	char pool_name[SIO_NAME_LEN], ring_name[SIO_NAME_LEN];
	pid_t pids[WORKERS_MAX + 1]; /* not waited for yet; the last one started dies */
	unsigned int n;
};

static int
scene_open(struct scene *s, bool exact)
{
	static unsigned int number;
	const struct sio_pool_opts opts = {
		.sz = sizeof(opts),
		.name = s->pool_name,
		.n_blocks = BLOCKS,
		.block_size = BLOCK_SIZE,
		.flags = exact ? SIO_POOL_EXACT : 0,
		.backing = SIO_BACKING_FILE,
	};
	struct sio_rbuff_opts ring = {
		.sz = sizeof(ring),
		.name = s->ring_name,
		.capacity = QUEUED,
		.element_size = sizeof(struct sio_desc),
		.role = SIO_RBUFF_OBSERVER,
	};
	int ret;

	snprintf(s->pool_name, SIO_NAME_LEN, "bench-%d.v%u", (int)getpid(), number);
	snprintf(s->ring_name, SIO_NAME_LEN, "bench-%d.q%u", (int)getpid(), number++);
	ret = sio_pool_create(&opts, &s->pool);
	if (ret != 0)
		return ret;
	ring.carries = s->pool;
	return sio_rbuff_create(&ring, &s->ring);
}

/* Once waited for, its id may be another process's: it is no longer in the list. */
static void
kill_last(struct scene *s)
{
	pid_t pid = s->pids[--s->n];

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void
scene_close(struct scene *s)
{
	while (s->n > 0)
		kill_last(s);
	if (s->ring != NULL)
		sio_rbuff_destroy(s->ring);
	if (s->pool != NULL)
		sio_pool_destroy(s->pool);
}

/* Starts another one and waits until it is at work. */
static int
start(struct scene *s, const struct round *round, bool dies)
{
	const uint64_t until = sio_now_ns() + LIMIT_SECONDS * UINT64_C(1000000000);
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(LIMIT_SECONDS);
		_exit(dies ? victim(round->shared, s->pool_name, s->ring_name)
			   : worker(round->shared, s->pool_name, s->n, round->burst));
	}
	if (pid < 0)
		return -errno;
	s->pids[s->n++] = pid;
	while (atomic_load_explicit(&round->shared->ready, memory_order_acquire) < s->n) {
		if (waitpid(pid, NULL, WNOHANG) == pid) {
			s->n--;
			return -ECHILD;
		}
		if (sio_now_ns() > until)
			return -ECHILD;
		usleep(200);
	}
	return 0;
}

static int
start_all(struct scene *s, const struct round *round)
{
	int ret = 0;

	for (unsigned int i = 0; i < round->workers && ret == 0; i++)
		ret = start(s, round, false);
	return ret == 0 ? start(s, round, true) : ret;
}

static void
enter(const struct round *round, enum window window)
{
	atomic_store_explicit(&round->shared->window, window, memory_order_release);
}

static void
busy_until(uint64_t ns)
{
	while (sio_now_ns() < ns)
		rte_pause();
}

/* The others are told, and know: each of them has a CPU just now. Or they have none for long. */
static void
tell(const struct round *round, enum window window)
{
	uint64_t until = sio_now_ns() + NEAR_NS;
	unsigned int n = 0;

	enter(round, window);
	while (n < round->workers && sio_now_ns() < until)
		if (atomic_load_explicit(&round->shared->worker[n].window, memory_order_acquire) ==
			window)
			n++;
}

/* The others take note before this one recovers, while it does, and after. */
static int
windows(struct scene *s, struct round *round)
{
	uint64_t now;
	int ret;

	kill_last(s);
	usleep(REST_US);
	tell(round, NEAR);
	bench_first(false);
	tell(round, READY);
	enter(round, CONTROL);
	busy_until(sio_now_ns() + WINDOW_NS);
	tell(round, READY);
	now = sio_now_ns();
	enter(round, DURING);
	ret = sio_pool_recover(s->pool, &round->report);
	enter(round, AFTER);
	busy_until(now + WINDOW_NS);
	enter(round, REST);
	bench_as_others();
	return ret;
}

static int
stop_all(struct scene *s, struct shared *shared)
{
	int status, ret = 0;

	atomic_store_explicit(&shared->stop, true, memory_order_release);
	for (; s->n > 0; s->n--) {
		if (waitpid(s->pids[s->n - 1], &status, 0) < 0 || status != 0)
			ret = -ECHILD;
		bench_lost_add(shared->worker[s->n - 1].wall_ns, shared->worker[s->n - 1].cpu_ns);
	}
	return ret;
}

/* What was queued arrives; all is free but what a conservative pool cannot know of. */
static int
conserved(struct scene *s, const struct round *round)
{
	const struct sio_recover_report *first = &round->report;
	static struct sio_desc desc[QUEUED];
	static uint32_t handles[QUEUED];
	struct sio_recover_report report;
	struct sio_rbuff *ring;
	uint32_t hands = HELD - QUEUED - THREADS * IN_SHARD;
	int n = 0;

	if (sio_rbuff_attach_blocks(s->ring_name, SIO_RBUFF_CONSUMER, s->pool, &ring) == 0) {
		n = sio_rbuff_read_burst(ring, desc, QUEUED);
		for (int i = 0; i < n; i++)
			handles[i] = desc[i].handle;
		if (n > 0)
			sio_pool_give(s->pool, handles, (unsigned int)n);
		sio_rbuff_detach(ring);
	}
	if (sio_pool_recover(s->pool, &report) == 0 && n == (int)QUEUED &&
		first->dead_members == 1 && first->left == 0 &&
		first->blocks_hands == (round->exact ? hands : 0) &&
		report.quarantined == (round->exact ? 0 : hands) &&
		sio_pool_free_count(s->pool) == BLOCKS - report.quarantined)
		return 0;
	bench_conserved = false;
	bench_error("recovery: %u of %u blocks are free, %u in quarantine, %d of %u in the ring, "
		    "%u came from hands, %u things left",
		sio_pool_free_count(s->pool), BLOCKS, report.quarantined, n, QUEUED,
		first->blocks_hands, first->left);
	return -EIO;
}

static int
one_round(struct round *round)
{
	struct scene s = {0};
	int ret;

	memset(round->shared, 0, sizeof(*round->shared));
	memset(&round->report, 0, sizeof(round->report));
	enter(round, REST);
	ret = scene_open(&s, round->exact);
	if (ret == 0)
		ret = start_all(&s, round);
	if (ret == 0)
		ret = windows(&s, round);
	if (ret == 0)
		ret = stop_all(&s, round->shared);
	if (ret == 0)
		ret = conserved(&s, round);
	else
		bench_error("recovery: %s", strerror(-ret));
	scene_close(&s);
	return ret;
}

/* True if all of the others had a CPU at some time of each window. */
static bool
all_worked(const struct round *round)
{
	for (unsigned int i = 0; i < round->workers; i++)
		for (unsigned int w = 0; w < WINDOWS; w++)
			if (histogram_part(&round->shared->worker[i].histogram[w], 1) == 0)
				return false;
	return true;
}

/*
 * A round that is worth something: in which no other program had a CPU; else again, a few times.
 * One that says nothing at all does not count.
 */
static int
quiet_round(struct job *job, unsigned int *again, unsigned int *disturbed)
{
	struct round *round = &job->round;
	unsigned int idle = 0;
	bool worked;
	int ret;

	for (;;) {
		bench_lost = 0;
		ret = one_round(round);
		if (ret != 0)
			return ret;
		worked = all_worked(round);
		if (worked && (bench_lost <= BENCH_LOST_TOLERATED || *again == 0))
			break;
		if (!worked && ++idle == IDLE_MAX)
			return -EBUSY;
		*again -= worked;
	}
	*disturbed += bench_lost > BENCH_LOST_TOLERATED;
	for (unsigned int i = 0; i < round->workers; i++) {
		for (unsigned int w = 0; w < WINDOWS; w++)
			histogram_sum(&job->histogram[w], &round->shared->worker[i].histogram[w]);
		job->failed += round->shared->worker[i].failed;
	}
	return 0;
}

static void
parts_of(const struct histogram *h, double part[PARTS])
{
	for (unsigned int i = 0; i < PARTS; i++)
		part[i] = histogram_part(h, parts[i]) * 1e9 / (double)rte_get_tsc_hz();
}

/* Some rounds, taken together. */
static int
run(struct job *job, unsigned int rounds, unsigned int *disturbed)
{
	unsigned int again = (AGAIN - 1) * rounds;
	double ns[ROUNDS(10000)];
	int ret = 0;

	memset(job->histogram, 0, sizeof(job->histogram));
	for (unsigned int i = 0; i < rounds && ret == 0; i++) {
		ret = quiet_round(job, &again, disturbed);
		ns[i] = (double)job->round.report.ns;
	}
	if (ret != 0)
		return ret;
	parts_of(&job->histogram[CONTROL], job->control);
	parts_of(&job->histogram[DURING], job->part[WHILE_RUNNING]);
	histogram_sum(&job->histogram[DURING], &job->histogram[AFTER]);
	parts_of(&job->histogram[DURING], job->part[IN_ALL]);
	job->ns = bench_spread_of(ns, rounds).median;
	return 0;
}

/* ---- results ---- */

struct series {
	double subject[VIEWS][PARTS][BENCH_PAIRS_MAX], rival[PARTS][BENCH_PAIRS_MAX];
	double ns[BENCH_PAIRS_MAX], line[BENCH_PAIRS_MAX];
	unsigned int disturbed;
};

static unsigned int
pairs_wanted(void)
{
	return RTE_MIN(bench_options.pairs * PAIRS_MORE, BENCH_PAIRS_MAX);
}

/* Of values that are used again, as they are ordered. */
static struct bench_spread
spread_of(const double *values, unsigned int n)
{
	double copy[BENCH_PAIRS_MAX];

	memcpy(copy, values, n * sizeof(*values));
	return bench_spread_of(copy, n);
}

static const char *
kind_of(const struct job *job)
{
	return job->round.exact ? "exact" : "conservative";
}

static void
result(const struct job *job, const struct series *s, const char *pattern, const double *subject,
	const double *rival, const char *name, double bar)
{
	const unsigned int pairs = pairs_wanted();
	struct bench_result r = {
		.of = {.suite = "recovery",
			.lcores = job->round.workers,
			.bulk = BULK,
			.size = BLOCK_SIZE,
			.unit = BENCH_NS,
			.bar = bar},
		.pairs = pairs,
		.disturbed = s->disturbed,
	};
	double ratio[BENCH_PAIRS_MAX];

	snprintf(r.of.pattern, sizeof(r.of.pattern), "%s", pattern);
	snprintf(r.of.subject, sizeof(r.of.subject), "%s", kind_of(job));
	snprintf(r.of.rival, sizeof(r.of.rival), "%s", name);
	for (unsigned int i = 0; i < pairs; i++)
		ratio[i] = rival[i] / subject[i];
	r.ratio = bench_spread_of(ratio, pairs);
	r.subject = spread_of(subject, pairs);
	r.rival = spread_of(rival, pairs);
	r.line = spread_of(s->line, pairs);
	bench_report(&r);
}

static void
fact(const struct job *job, const char *what, double value)
{
	struct bench_spread spread = {value, value, value};
	char name[BENCH_NAME_LEN];

	snprintf(name, sizeof(name), "%s: %s", kind_of(job), what);
	bench_report_fact("recovery", name, "", spread, 0);
}

static void
report_time(const struct job *job, const struct series *s)
{
	double bar[BENCH_PAIRS_MAX];

	for (unsigned int i = 0; i < BENCH_PAIRS_MAX; i++)
		bar[i] = BAR_NS;
	result(job, s, "recover", s->ns, bar, "50 ms", 1);
	fact(job, "free blocks of its shards", job->round.report.blocks_shards);
	fact(job, "blocks in its hands, free again", job->round.report.blocks_hands);
	fact(job, "blocks queued in its ring, saved", job->round.report.queued);
	fact(job, "blocks in quarantine", job->round.report.quarantined);
	fact(job, "bursts that found no blocks", (double)job->failed);
}

static int
measure(struct shared *shared, bool exact, enum burst burst)
{
	struct job job = {.round = {.exact = exact, .burst = burst, .shared = shared}};
	static struct series s;
	char pattern[BENCH_NAME_LEN];
	int ret = 0;

	job.round.workers = RTE_MIN(bench_cpus - 1, WORKERS_MAX);
	s.disturbed = 0;
	/* one more, of one round: it warms up */
	for (unsigned int i = 0; i <= pairs_wanted() && ret == 0; i++) {
		const unsigned int rounds = i > 0 ? ROUNDS(bench_options.ms) : 1;
		const unsigned int at = i > 0 ? i - 1 : 0;

		ret = run(&job, rounds, &s.disturbed);
		if (ret == 0)
			ret = bench_line(&s.line[at]);
		if (i == 0)
			s.disturbed = 0;
		for (unsigned int p = 0; p < PARTS; p++) {
			s.subject[IN_ALL][p][at] = job.part[IN_ALL][p];
			s.subject[WHILE_RUNNING][p][at] = job.part[WHILE_RUNNING][p];
			s.rival[p][at] = job.control[p];
		}
		s.ns[at] = job.ns;
	}
	if (ret == -EBUSY) {
		bench_report_skip("recovery", "other programs have the CPUs");
		return 0;
	}
	if (ret != 0)
		return ret;
	for (unsigned int p = 0; p < PARTS; p++) {
		snprintf(pattern, sizeof(pattern), "%s %s", burst_names[burst], part_names[p]);
		result(&job, &s, pattern, s.subject[IN_ALL][p], s.rival[p], "no recovery",
			p == BAR_PART && burst == GETPUT ? BAR_BURSTS : 0);
	}
	snprintf(pattern, sizeof(pattern), "%s during", burst_names[burst]);
	result(&job, &s, pattern, s.subject[WHILE_RUNNING][BAR_PART], s.rival[BAR_PART],
		"no recovery", 0);
	if (burst == GETPUT)
		report_time(&job, &s);
	return 0;
}

int
bench_recovery(void)
{
	struct shared *shared;
	int ret = 0;

	if (bench_cpus < 2) {
		bench_report_skip("recovery", "it needs two CPUs");
		return 0;
	}
	/* it says at each recovery what came back */
	(void)rte_log_set_level_pattern("mempool.slab", RTE_LOG_WARNING);
	shared = mmap(
		NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -ENOMEM;
	for (unsigned int exact = 2; exact-- > 0 && ret == 0;) {
		bench_heading(
			exact ? "a member of an exact pool dies with 65536 blocks: bursts of the "
				"others meanwhile"
			      : "a member of a conservative pool dies with 65536 blocks");
		ret = measure(shared, exact, GETPUT);
		if (ret == 0 && (exact || bench_options.preset != BENCH_SHORT))
			ret = measure(shared, exact, SWINGS);
	}
	munmap(shared, sizeof(*shared));
	return ret;
}
