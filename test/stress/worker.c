/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* What one worker does. */

#include "stress.h"
#include <sys/syscall.h>
#include <time.h>

/** Most blocks of one call. */
#define BURST 32u
/** On the board: in a lane. Workers are 1 and up. */
#define IN_LANE 0x100u

/* What a worker writes into a block that it has. */
struct payload {
	uint32_t who, handle, nonce, sum;
};

struct worker {
	struct stress *s;
	struct stress_counts *counts;
	struct sio_pool *pool;
	struct sio_rbuff *lane[STRESS_LANES_MAX];
	uint32_t next[STRESS_LANES_MAX]; /* place of the next element, sent or received */
	uint32_t held[STRESS_HOLD_MAX], n_held;
	uint32_t me;
	unsigned int seed;
};

static uint32_t
pick(struct worker *w, uint32_t below)
{
	return (uint32_t)rand_r(&w->seed) % below;
}

static void
count(_Atomic uint64_t *counter, uint64_t n)
{
	/* one writer */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
		memory_order_relaxed);
}

/* ---- the board ---- */

static void
move(struct worker *w, uint32_t handle, uint32_t from, uint32_t to, const char *what)
{
	struct stress_board *board = w->s->board;
	uint32_t found = from;

	if (handle >= w->s->plan->n_blocks)
		stress_fault(board, "worker %u %s block %u of %u", w->me, what, handle,
			w->s->plan->n_blocks);
	else if (!atomic_compare_exchange_strong_explicit(&board->holder[handle], &found, to,
			 memory_order_relaxed, memory_order_relaxed))
		stress_fault(board, "worker %u %s block %u, which %#x has and not %#x", w->me, what,
			handle, found, from);
}

static void
write_payload(struct worker *w, uint32_t handle, uint32_t who, uint32_t nonce)
{
	struct payload *p = sio_pool_addr(w->pool, handle);

	if (p == NULL) {
		stress_fault(w->s->board, "worker %u: block %u has no address", w->me, handle);
		return;
	}
	*p = (struct payload){who, handle, nonce, who ^ handle ^ nonce};
}

static void
check_payload(struct worker *w, uint32_t handle, uint32_t who, uint32_t nonce)
{
	const struct payload *p = sio_pool_addr(w->pool, handle);

	if (p == NULL || p->who != who || p->handle != handle || p->nonce != nonce ||
		p->sum != (who ^ handle ^ nonce))
		stress_fault(w->s->board, "worker %u: block %u was written to by %#x, not %#x",
			w->me, handle, p != NULL ? p->who : 0, who);
}

/* ---- the pool ---- */

static bool
take(struct worker *w, uint32_t n)
{
	uint32_t *at = w->held + w->n_held;
	void *blocks[BURST];
	int r;

	if (n == 1) {
		r = sio_pool_take_one(w->pool, at);
	} else if (pick(w, 2) != 0) {
		r = sio_pool_take(w->pool, at, n);
	} else {
		r = sio_pool_take_ptr(w->pool, blocks, n);
		for (uint32_t i = 0; r == 0 && i < n; i++)
			if (sio_pool_handle(w->pool, blocks[i], &at[i]) != 0)
				at[i] = UINT32_MAX;
	}
	if (r != 0) {
		if (r != -ENOBUFS)
			stress_fault(w->s->board, "worker %u: take of %u gave %d", w->me, n, r);
		count(&w->counts->dry, 1);
		return false;
	}
	for (uint32_t i = 0; i < n; i++) {
		move(w, at[i], 0, w->me, "took");
		write_payload(w, at[i], w->me, 0);
	}
	w->n_held += n;
	count(&w->counts->taken, n);
	count(&w->counts->ops, 1);
	return true;
}

/* The last n that it has. */
static void
give(struct worker *w, uint32_t n)
{
	uint32_t *at = w->held + w->n_held - n;
	void *blocks[BURST];
	bool pointers = n <= BURST && pick(w, 2) != 0;
	int r;

	if (n == 0)
		return;
	for (uint32_t i = 0; i < n; i++) {
		check_payload(w, at[i], w->me, 0);
		move(w, at[i], w->me, 0, "gave");
		if (pointers)
			blocks[i] = sio_pool_addr(w->pool, at[i]);
	}
	r = pointers ? sio_pool_give_ptr(w->pool, blocks, n) : sio_pool_give(w->pool, at, n);
	if (r != 0)
		stress_fault(w->s->board, "worker %u: give of %u gave %d", w->me, n, r);
	w->n_held -= n;
	count(&w->counts->ops, 1);
}

/* A sleep, not a yield: Linux (6.18 at least) puts off who yields often for seconds. */
static void
let_others_run(void)
{
	const struct timespec t = {.tv_nsec = 1000};

	nanosleep(&t, NULL);
}

static void
roam(struct worker *w)
{
	uint32_t room = w->s->plan->hold - w->n_held;

	if (room > BURST)
		room = BURST;
	if (room > 0 && pick(w, 2) != 0) {
		if (!take(w, pick(w, 4) == 0 ? 1 : pick(w, room) + 1) && w->n_held == 0)
			let_others_run();
	} else {
		give(w, pick(w, w->n_held + 1));
	}
	if (!w->s->plan->keep_shards && pick(w, 3000) == 0)
		sio_pool_thread_end(w->pool);
}

static void
drain(struct worker *w)
{
	uint32_t hold = pick(w, w->s->plan->hold) + 1;

	while (w->n_held < hold && take(w, 1))
		;
	/* in another order than they came */
	for (uint32_t i = 1; i < w->n_held; i++) {
		uint32_t other = pick(w, i + 1), handle = w->held[i];

		w->held[i] = w->held[other];
		w->held[other] = handle;
	}
	if (pick(w, 4) == 0)
		let_others_run();
	while (w->n_held > 0)
		give(w, pick(w, w->n_held) + 1);
}

/* ---- lanes ---- */

static uint64_t
soon(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec + 500000u;
}

static void
send_some(struct worker *w, unsigned int lane)
{
	struct sio_desc desc[BURST];
	uint32_t n = w->n_held < BURST ? w->n_held : BURST;
	int r;

	n = n > 0 ? pick(w, n) + 1 : 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t handle = w->held[w->n_held - 1 - i], place = w->next[lane] + i;

		check_payload(w, handle, w->me, 0);
		write_payload(w, handle, IN_LANE + lane, place);
		move(w, handle, w->me, IN_LANE + lane, "sent");
		desc[i] = (struct sio_desc){
			.handle = handle, .length = (uint16_t)place, .position = place};
	}
	switch (pick(w, 3)) {
	case 0:
		r = sio_rbuff_write_bulk(w->lane[lane], desc, n);
		break;
	case 1:
		r = sio_rbuff_write_burst(w->lane[lane], desc, n);
		break;
	default:
		r = sio_rbuff_write_timed(w->lane[lane], desc, n, soon());
		if (r == -ETIMEDOUT)
			r = 0;
	}
	if (r < 0) {
		stress_fault(w->s->board, "worker %u: write gave %d", w->me, r);
		r = 0;
	}
	/* what did not fit is still its own, and where it was in held[] */
	for (uint32_t i = (uint32_t)r; i < n; i++) {
		move(w, desc[i].handle, IN_LANE + lane, w->me, "kept");
		write_payload(w, desc[i].handle, w->me, 0);
	}
	w->n_held -= (uint32_t)r;
	w->next[lane] += (uint32_t)r;
	if (r > 0) {
		count(&w->counts->ops, 1);
		count(&w->counts->crossed, (uint64_t)r);
	}
}

static int
receive_some(struct worker *w, unsigned int lane, bool wait)
{
	struct sio_desc desc[BURST];
	uint32_t room = w->s->plan->hold - w->n_held, n;
	int r;

	n = pick(w, room < BURST ? room : BURST) + 1;
	switch (pick(w, wait ? 3 : 2)) {
	case 0:
		r = sio_rbuff_read_bulk(w->lane[lane], desc, n);
		break;
	case 1:
		r = sio_rbuff_read_burst(w->lane[lane], desc, n);
		break;
	default:
		r = sio_rbuff_read_timed(w->lane[lane], desc, n, soon());
		if (r == -ETIMEDOUT)
			r = 0;
	}
	for (int i = 0; i < r; i++) {
		uint32_t handle = desc[i].handle, place = w->next[lane]++;

		if (desc[i].position != place || desc[i].length != (uint16_t)place)
			stress_fault(w->s->board, "lane %u: element %u came at place %u", lane,
				desc[i].position, place);
		move(w, handle, IN_LANE + lane, w->me, "received");
		check_payload(w, handle, IN_LANE + lane, place);
		write_payload(w, handle, w->me, 0);
		w->held[w->n_held++] = handle;
	}
	if (r > 0)
		count(&w->counts->ops, 1);
	return r;
}

static unsigned int
some_lane(struct worker *w)
{
	const struct stress_part *part = &w->s->plan->part[w->me - 1];

	return part->first_lane + pick(w, part->n_lanes);
}

static void
source(struct worker *w)
{
	uint32_t room = w->s->plan->hold - w->n_held;
	bool full = room == 0;

	if (!full)
		take(w, pick(w, room < BURST ? room : BURST) + 1);
	send_some(w, some_lane(w));
	/* the lanes are full, or the pool is dry because others hold it: no lane is waited for */
	if (full)
		give(w, pick(w, w->n_held + 1));
}

static void
sink(struct worker *w)
{
	int r = w->n_held < w->s->plan->hold ? receive_some(w, some_lane(w), true) : 0;

	/* a source that ended before this worker saw that it is to end */
	if (r < 0 && (r != -ESHUTDOWN || !atomic_load(&w->s->board->stop)))
		stress_fault(w->s->board, "worker %u: read gave %d", w->me, r);
	if (r <= 0)
		roam(w);
	else
		give(w, pick(w, w->n_held + 1));
}

/* A source says that nothing follows; a sink receives all that is left. */
static void
wind_up(struct worker *w)
{
	const struct stress_part *part = &w->s->plan->part[w->me - 1];
	struct stress_board *board = w->s->board;
	uint64_t begin = stress_now();

	give(w, w->n_held);
	for (unsigned int lane = part->first_lane; lane < part->first_lane + part->n_lanes;
		lane++) {
		int r;

		if (part->role == STRESS_SOURCE) {
			sio_rbuff_state_set(w->lane[lane], SIO_RBUFF_DOWN);
			continue;
		}
		while ((r = receive_some(w, lane, false)) != -ESHUTDOWN) {
			if (r < 0 || stress_now() - begin > 10000 ||
				atomic_load(&board->faults) > 0) {
				stress_fault(board, "lane %u: read gave %d, its end was not seen",
					lane, r);
				break;
			}
			give(w, w->n_held);
		}
	}
}

/* ---- being interrupted ---- */

static struct stress_board *park_board;
static _Thread_local unsigned int park_id;

static _Thread_local timer_t interrupt_timer;
static _Thread_local struct itimerspec interrupt_after;

/*
 * Lets another worker run, and is interrupted again a while after it woke. A periodic timer does
 * not do: who comes back to a signal that waits already never gets to its work.
 */
static void
interrupted(int signal)
{
	int error = errno;

	(void)signal;
	let_others_run();
	timer_settime(interrupt_timer, 0, &interrupt_after, NULL);
	errno = error;
}

static void
parked(int signal)
{
	struct timespec t = {.tv_nsec = 100000};
	int error = errno;

	(void)signal;
	if (park_board == NULL || park_id == 0)
		return;
	atomic_store(&park_board->worker[park_id - 1].parked, true);
	while (atomic_load(&park_board->park[park_id - 1]))
		nanosleep(&t, NULL);
	atomic_store(&park_board->worker[park_id - 1].parked, false);
	errno = error;
}

void
stress_park_init(struct stress_board *board)
{
	struct sigaction action = {.sa_handler = parked, .sa_flags = SA_RESTART};

	park_board = board;
	sigaction(STRESS_PARK_SIGNAL, &action, NULL);
}

/*
 * A timer of this thread's own that interrupts it, at times that have nothing to do with what it
 * does.
 */
static bool
interrupt_often(unsigned int id)
{
	struct sigaction action = {.sa_handler = interrupted, .sa_flags = SA_RESTART};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2};

	interrupt_after = (struct itimerspec){.it_value.tv_nsec = 97000 + (long)id * 8311};
	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	sigaction(SIGUSR2, &action, NULL);
	return timer_create(CLOCK_MONOTONIC, &event, &interrupt_timer) == 0 &&
	       timer_settime(interrupt_timer, 0, &interrupt_after, NULL) == 0;
}

/* ---- the worker ---- */

static bool
join(struct worker *w)
{
	struct sio_pool_attach_opts opts = {.sz = sizeof(opts)};
	const struct stress_part *part = &w->s->plan->part[w->me - 1];
	enum sio_rbuff_role role =
		part->role == STRESS_SOURCE ? SIO_RBUFF_PRODUCER : SIO_RBUFF_CONSUMER;

	w->pool = w->s->pool;
	for (unsigned int lane = part->first_lane; lane < part->first_lane + part->n_lanes; lane++)
		w->lane[lane] = part->role == STRESS_SOURCE ? w->s->out[lane] : w->s->in[lane];
	if (!w->s->plan->processes)
		return true;
	if (sio_pool_attach(w->s->pool_name, &opts, &w->pool) != 0)
		return false;
	for (unsigned int lane = part->first_lane; lane < part->first_lane + part->n_lanes; lane++)
		if (sio_rbuff_attach(w->s->lane_name[lane], role, &w->lane[lane]) != 0)
			return false;
	return true;
}

static void
part_from(struct worker *w)
{
	const struct stress_part *part = &w->s->plan->part[w->me - 1];

	if (!w->s->plan->processes)
		return;
	sio_pool_detach(w->pool);
	for (unsigned int lane = part->first_lane; lane < part->first_lane + part->n_lanes; lane++)
		sio_rbuff_detach(w->lane[lane]);
}

int
stress_work(struct stress *s, unsigned int id)
{
	static void (*const step[])(struct worker *) = {
		[STRESS_ROAM] = roam,
		[STRESS_DRAIN] = drain,
		[STRESS_SOURCE] = source,
		[STRESS_SINK] = sink,
	};
	struct stress_board *board = s->board;
	struct worker w = {
		.s = s,
		.counts = &board->worker[id],
		.me = id + 1,
		.seed = s->seed + id,
	};
	bool interrupts = false;

	if (s->plan->one_cpu)
		unit_stay_on(0);
	if (!join(&w)) {
		stress_fault(board, "worker %u: cannot join: %s", w.me, stress_log_last());
		return 2;
	}
	/* a thread's first call makes its view */
	take(&w, 1);
	give(&w, w.n_held);
	park_id = w.me;
	atomic_store(&w.counts->thread, (uint32_t)syscall(SYS_gettid));
	atomic_fetch_add(&board->ready, 1);
	while (atomic_load(&board->ready) < s->plan->n_workers && !atomic_load(&board->stop))
		usleep(100);
	if (s->plan->one_cpu)
		interrupts = interrupt_often(id);
	while (!atomic_load_explicit(&board->stop, memory_order_relaxed))
		step[s->plan->part[id].role](&w);
	if (interrupts)
		timer_delete(interrupt_timer);
	wind_up(&w);
	part_from(&w);
	atomic_store(&w.counts->done, true);
	return 0;
}
