/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Sweeps over contiguous takes, gives of what they took, and the recovery of both. The pool has 24
 * blocks, half or more of them set aside for runs.
 */

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "pool/pool_private.h"
#include "pool_scene.h"

struct contig_start {
	struct pool_start pool;	   /**< n: blocks of the operation */
	unsigned int survivor_run; /**< neighbours that the survivor has all the time */
	unsigned int victim_run;   /**< neighbours that the victim takes before its window */
	unsigned int
		victim_returns; /**< and of these, the first ones, which it gives back before */
	bool singly;		/**< the operation gives one by one */
};

static const struct contig_start *
start_of(struct crash_scene *s)
{
	return s->arg;
}

/* What other takes get no part of comes in cells. */
static unsigned int
cell_of(const struct contig_start *st)
{
	unsigned int size = st->pool.contig_size;

	return size & -size;
}

static int
take_run(struct crash_scene *s, unsigned int n)
{
	uint32_t first;
	int rc = sio_pool_take_contig(view.pool, n, &first);

	for (uint32_t b = first; rc == 0 && b < first + n; b++) {
		view_own(s, b);
		view.held[view.n++] = b;
	}
	return rc;
}

/* All that can be had, of the region too. @return how many */
static unsigned int
take_everything(struct crash_scene *s)
{
	unsigned int cell = cell_of(start_of(s)), n = view_take_all(s);
	int rc;

	while ((rc = take_run(s, cell)) == 0)
		n += cell;
	if (rc != -ENOBUFS)
		crash_fault(s, CRASH_WRONG, "a take of %u neighbours gave %d", cell, rc);
	return n;
}

/* Takes and gives back in several sizes. */
static void
work(struct crash_scene *s, unsigned int rounds)
{
	const struct contig_start *st = start_of(s);

	for (unsigned int i = 0; i < rounds; i++) {
		unsigned int n = i % st->pool.contig_size + 1, before = view.n;
		int rc = take_run(s, n);

		if (rc != 0 && rc != -ENOBUFS)
			crash_fault(s, CRASH_WRONG, "a take of %u neighbours gave %d", n, rc);
		view_take(s, i % 3 + 1);
		view_give(s, view.n - before);
	}
}

/* ---- the victim ---- */

static void
setup(struct crash_scene *s)
{
	pool_scene_setup(s);
	if (start_of(s)->survivor_run != 0)
		crash_ok(s, take_run(s, start_of(s)->survivor_run));
}

/* Beside a partner that works, others may have what is wanted. */
static void
patient_run(struct crash_scene *s, unsigned int n)
{
	int rc, tries = 0;

	while ((rc = take_run(s, n)) == -ENOBUFS && s->mode == CRASH_BUSY && ++tries < 20000)
		usleep(100);
	crash_ok(s, rc);
}

static void
prepare(struct crash_scene *s)
{
	const struct contig_start *st = start_of(s);
	uint32_t last;

	pool_scene_prepare(s);
	if (st->victim_run != 0)
		patient_run(s, st->victim_run);
	for (unsigned int i = 0; i < st->victim_returns; i++) {
		/* the oldest first */
		last = view.held[view.n - 1];
		view.held[view.n - 1] = view.held[0];
		view.held[0] = last;
		view_give(s, 1);
	}
	/* the thread has its view, and the linker has done its work */
	if (st->victim_run == 0) {
		patient_run(s, 1);
		view_give(s, 1);
	}
}

static void
op_take(struct crash_scene *s)
{
	const struct pool_start *st = &start_of(s)->pool;
	int rc = take_run(s, st->n);

	if (rc != st->expect && (s->mode == CRASH_KILL || rc != -ENOBUFS))
		crash_fault(s, CRASH_WRONG, "the take gave %d, expected %d", rc, st->expect);
}

static void
op_give(struct crash_scene *s)
{
	for (unsigned int i = 0; start_of(s)->singly && i < start_of(s)->pool.n; i++)
		view_give(s, 1);
	if (!start_of(s)->singly)
		view_give(s, start_of(s)->pool.n);
}

static void
op_give_run(struct crash_scene *s)
{
	unsigned int n = start_of(s)->pool.n;

	view.n -= n;
	for (unsigned int i = 0; i < n; i++)
		view_disown(s, view.held[view.n + i]);
	crash_ok(s, sio_pool_give_contig(view.pool, view.held[view.n], n));
}

static void
finish(struct crash_scene *s)
{
	work(s, 20);
	view_give(s, view.n);
	sio_pool_detach(view.pool);
}

static void
partner(struct crash_scene *s, uint64_t round)
{
	if (round == 0)
		view_attach(s, PARTNER);
	if (round == UINT64_MAX)
		sio_pool_detach(view.pool);
	else
		work(s, 4);
}

/* ---- the survivor ---- */

static struct sio_audit_report
audit_now(struct crash_scene *s)
{
	struct sio_audit_report report;
	struct sio_audit *audit;

	crash_ok(s, sio_audit_begin(view.pool, &audit));
	sio_audit_end(audit, &report);
	if (report.twice != 0)
		crash_fault(s, CRASH_DOUBLED, "the audit met %u blocks twice", report.twice);
	crash_check(s, report.strange == 0 && report.holder_wrong == 0);
	return report;
}

/* Holding nothing, with nobody else there: every block can be had. */
static void
all_there(struct crash_scene *s, const char *when)
{
	struct sio_audit_report report = audit_now(s);
	struct sio_pool_info info;
	unsigned int n;

	crash_check(s, sio_audit_clean(&report));
	sio_pool_info(view.pool, &info);
	if (info.free_blocks != BLOCKS || info.contig_ready != start_of(s)->pool.contig_runs)
		crash_fault(s, CRASH_LOST, "%s %u of %u blocks and %u of %u runs are free", when,
			info.free_blocks, BLOCKS, info.contig_ready, info.contig_runs);
	crash_check(s, info.contig_wrong == 0);
	n = take_everything(s);
	if (n != BLOCKS)
		crash_fault(s, CRASH_LOST, "%s %u of %u blocks can be had", when, n, BLOCKS);
	view_give(s, n);
}

static void
survive(struct crash_scene *s, enum crash_how how)
{
	work(s, 20);
	take_everything(s);
	if (how != CRASH_FINISHED)
		crash_figure(
			s, BLOCKS - pool_scene_owned(s, SURVIVOR) - pool_scene_owned(s, VICTIM));
	view_give(s, view.n);
	sio_pool_thread_end(view.pool);
}

/*
 * Exact: all is there. Else what the victim was told to be its own is in quarantine, and with it at
 * most what its operation was about.
 */
static void
recover(struct crash_scene *s)
{
	const struct contig_start *st = start_of(s);
	struct sio_recover_report recovered, again;
	unsigned int held = pool_scene_owned(s, VICTIM);
	struct sio_audit_report report;

	crash_ok(s, sio_pool_recover(view.pool, &recovered));
	crash_check(s, recovered.left == 0 && recovered.buried == recovered.dead_members);
	crash_ok(s, sio_pool_recover(view.pool, &again));
	crash_check(s,
		again.dead_members + again.magazines + again.blocks_hands + again.blocks_contig ==
			0);
	report = audit_now(s);
	crash_check(s, sio_audit_clean(&report) && report.dead_members == 0);
	pool_scene_disown_all(s, VICTIM);
	if (st->pool.exact) {
		all_there(s, "after recovery");
		return;
	}
	crash_quarantined(s, report.quarantined);
	if (report.quarantined < held || report.quarantined > held + st->pool.n)
		crash_fault(s, CRASH_LOST, "%u blocks are in quarantine, the dead had %u to %u",
			report.quarantined, held, held + st->pool.n);
	if (sio_pool_free_count(view.pool) + report.quarantined != BLOCKS)
		crash_fault(s, CRASH_LOST, "%u of %u blocks are free and %u in quarantine",
			sio_pool_free_count(view.pool), BLOCKS, report.quarantined);
	work(s, 20);
}

static void
audit(struct crash_scene *s, enum crash_how how)
{
	if (how == CRASH_FINISHED)
		all_there(s, "with all alive");
	else
		recover(s);
	sio_pool_destroy(view.pool);
}

/* ---- a dead taker is recovered, by who is killed at it ---- */

/* Has a run in hands, had begun to take another, and had given a part of one back. */
static void
die(struct crash_scene *s)
{
	const struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .no_recover = true};
	uint32_t whole, part;
	struct sio_pool *pool;
	uint32_t low, high;

	if (sio_pool_attach(s->name, &opts, &pool) != 0 ||
		sio_pool_take_contig(pool, 6, &whole) != 0 ||
		sio_pool_take_contig(pool, 4, &part) != 0 || sio_pool_give(pool, &part, 1) != 0)
		_exit(1);
	/* what a take leaves that is killed half-way */
	for (sio_cells_bounds(pool, &low, &high); low < high; low++) {
		uint64_t word = SIO_CELL_FREE;

		if (pool->cells[low].pos == 0 &&
			atomic_compare_exchange_strong(&pool->cells[low].word, &word,
				sio_cell_taking(sio_segment_self(sio_pool_segment(pool)))))
			kill(getpid(), SIGKILL);
	}
	_exit(2);
}

static void
setup_dead(struct crash_scene *s)
{
	setup(s);
	crash_casualty(s, die);
}

static void
survive_recoverer(struct crash_scene *s, enum crash_how how)
{
	if (how == CRASH_STOPPED)
		crash_ok(s, sio_pool_recover(view.pool, NULL));
	crash_figure(s, BLOCKS - take_everything(s));
	view_give(s, view.n);
}

/* 9 in hands, whoever of the two recoverers brought them back. */
static void
audit_recovered(struct crash_scene *s, enum crash_how how)
{
	struct sio_audit_report report;

	(void)how;
	crash_ok(s, sio_pool_recover(view.pool, NULL));
	if (start_of(s)->pool.exact) {
		all_there(s, "after two recoveries");
	} else {
		report = audit_now(s);
		crash_quarantined(s, report.quarantined);
		crash_check(s, report.quarantined == 9 && sio_audit_clean(&report));
		crash_check(s, sio_pool_free_count(view.pool) == BLOCKS - 9);
		work(s, 20);
	}
	sio_pool_destroy(view.pool);
}

/* ---- states ---- */

/* two runs of one cell of eight; three runs of three cells of two */
#define ONE   .contig_size = 8, .contig_runs = 2
#define THREE .contig_size = 6, .contig_runs = 3

#define CASE(id, title, act, path, ...)                              \
	static const struct contig_start id##_start = {__VA_ARGS__}; \
	static const struct crash_case id = {.name = title,          \
		.through = path,                                     \
		.arg = &id##_start,                                  \
		.setup = setup,                                      \
		.prepare = prepare,                                  \
		.op = act,                                           \
		.finish = finish,                                    \
		.partner = partner,                                  \
		.survive = survive,                                  \
		.audit = audit}

#define TAKE "sio_pool_take_contig"
#define GIVE "sio__contig_given"

CASE(take_one, "take contig", op_take, TAKE, .pool = {ONE, .n = 8});
CASE(take_one_exact, "take contig, exact", op_take, TAKE, .pool = {ONE, .n = 8, .exact = true});
CASE(take_cells, "take contig, three cells", op_take, TAKE, .pool = {THREE, .n = 6});
CASE(take_cells_exact, "take contig, three cells, exact", op_take, TAKE,
	.pool = {THREE, .n = 6, .exact = true});
CASE(take_part, "take contig, part of a run, exact", op_take, TAKE,
	.pool = {THREE, .n = 5, .exact = true});
CASE(take_two, "take contig, two runs, one is out", op_take, TAKE,
	.pool = {THREE, .n = 12, .exact = true}, .survivor_run = 3);
CASE(take_fails, "take contig, none is left", op_take, "sio_pool_take_contig",
	.pool = {THREE, .n = 6, .expect = -ENOBUFS}, .survivor_run = 13, .victim_run = 4);
CASE(give_run, "give contig", op_give_run, GIVE, .pool = {ONE, .n = 8}, .victim_run = 8);
CASE(give_run_exact, "give contig, three cells, exact", op_give_run, GIVE,
	.pool = {THREE, .n = 6, .exact = true}, .victim_run = 6);
CASE(give_singly, "give contig, one by one", op_give, GIVE, .pool = {THREE, .n = 6},
	.victim_run = 6, .singly = true);
CASE(give_singly_exact, "give contig, one by one, exact", op_give, GIVE,
	.pool = {ONE, .n = 8, .exact = true}, .victim_run = 8, .singly = true);
CASE(give_last, "give contig, the rest of a run", op_give, GIVE,
	.pool = {ONE, .n = 3, .exact = true}, .victim_run = 8, .victim_returns = 5);
CASE(give_mixed, "give contig, with others", op_give, GIVE,
	.pool = {ONE, .n = 12, .victim_takes = 4, .exact = true}, .victim_run = 8);
CASE(give_ptr, "give contig, with others, addresses", op_give, GIVE,
	.pool = {ONE, .n = 12, .victim_takes = 4, .same_map = true}, .victim_run = 8);

#define RECOVER(id, title, ...)                                      \
	static const struct contig_start id##_start = {__VA_ARGS__}; \
	static const struct crash_case id = {.name = title,          \
		.through = "sio__contig_settle",                     \
		.arg = &id##_start,                                  \
		.setup = setup_dead,                                 \
		.prepare = recoverer_prepare,                        \
		.op = recoverer_op,                                  \
		.finish = recoverer_finish,                          \
		.survive = survive_recoverer,                        \
		.audit = audit_recovered}

RECOVER(recover_exact, "recovery of a contig taker, exact", .pool = {THREE, .exact = true});
RECOVER(recover_other, "recovery of a contig taker", .pool = {THREE});

int
main(int argc, char **argv)
{
	/* clang-format off */
	static const struct crash_row rows[] = {
		{&take_one, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&take_one_exact, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&take_cells, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&take_cells_exact, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&take_part, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&take_two, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&take_fails, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&give_run, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&give_run_exact, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&give_singly, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&give_singly_exact, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&give_last, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&give_mixed, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&give_ptr, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&recover_exact, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&recover_other, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&take_cells, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&take_cells_exact, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&take_two, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&give_run_exact, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&give_singly, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&give_mixed, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&recover_exact, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&take_cells, CRASH_BUSY, CRASH_SAMPLE, CRASH_DEEP},
		{&take_cells_exact, CRASH_BUSY, CRASH_SAMPLE, CRASH_DEEP},
		{&give_singly_exact, CRASH_BUSY, CRASH_SAMPLE, CRASH_DEEP},
	};
	/* clang-format on */

	return crash_main(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
}
