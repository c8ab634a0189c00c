/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Shows that the kill harness finds what it is for, on toys that are wrong on purpose, that it
 * visits every instruction, and that it finds nothing in a toy that is right.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "harness.h"

#define TOY_BLOCKS 4u
#define TOY_NONE   UINT32_MAX

struct toy {
	_Atomic uint32_t lock;
	uint32_t count;
	uint32_t stack[TOY_BLOCKS];
	_Atomic uint32_t owner[TOY_BLOCKS]; /* of the toy that is right */
	_Atomic uint64_t written, read;	    /* of the ring */
	uint64_t ring[8];
	/* what the victim was told is its own, or has received */
	_Atomic uint32_t held[TOY_BLOCKS];
	_Atomic uint32_t delivered[8];
	/* for the tests of the stepper */
	volatile uint64_t counter;
	unsigned char bytes[8];
};

/** Survives all scenes of a sweep: which states the survivors saw. */
static _Atomic uint32_t *seen;

static struct toy *
toy_of(struct crash_scene *s)
{
	return s->user;
}

static void
toy_setup(struct crash_scene *s)
{
	struct toy *t = toy_of(s);

	t->count = TOY_BLOCKS;
	for (uint32_t i = 0; i < TOY_BLOCKS; i++)
		t->stack[i] = i;
	t->written = 4;
	for (uint32_t i = 0; i < 4; i++)
		t->ring[i] = i;
}

/* ---- a stack behind a spinlock: who dies with the lock stops everybody ---- */

static uint32_t
locked_take(struct toy *t)
{
	uint32_t block = TOY_NONE;

	while (atomic_exchange_explicit(&t->lock, 1, memory_order_acquire) != 0)
		;
	if (t->count > 0)
		block = t->stack[--t->count];
	atomic_store_explicit(&t->lock, 0, memory_order_release);
	return block;
}

static void
hold(struct toy *t, uint32_t block)
{
	if (block != TOY_NONE)
		atomic_store_explicit(&t->held[block], 1, memory_order_release);
}

static void
locked_op(struct crash_scene *s)
{
	hold(toy_of(s), locked_take(toy_of(s)));
}

static void
take_all(struct crash_scene *s, uint32_t (*take)(struct toy *))
{
	struct toy *t = toy_of(s);
	bool mine[TOY_BLOCKS] = {false};
	uint32_t block;

	while ((block = take(t)) != TOY_NONE) {
		if (block >= TOY_BLOCKS)
			crash_fault(s, CRASH_WRONG, "block %u of %u", block, TOY_BLOCKS);
		if (mine[block] || atomic_load(&t->held[block]) != 0)
			crash_fault(s, CRASH_DOUBLED, "block %u has two owners", block);
		mine[block] = true;
	}
}

static void
locked_survive(struct crash_scene *s, enum crash_how how)
{
	(void)how;
	take_all(s, locked_take);
}

/*
 * ---- the same without a lock and in the wrong order: told first, taken off the stack afterwards
 * ----
 */

static uint32_t
early_take(struct toy *t)
{
	return t->count > 0 ? t->stack[--t->count] : TOY_NONE;
}

static void
early_op(struct crash_scene *s)
{
	struct toy *t = toy_of(s);

	hold(t, t->stack[t->count - 1]);
	t->count--;
}

static void
early_survive(struct crash_scene *s, enum crash_how how)
{
	(void)how;
	take_all(s, early_take);
}

/* ---- a ring whose reader uses an element before it moves on ---- */

static bool
ring_read(struct crash_scene *s, struct toy *t)
{
	uint64_t at = atomic_load(&t->read), element;

	if (at == atomic_load(&t->written))
		return false;
	element = t->ring[at % 8];
	if (atomic_fetch_add(&t->delivered[element], 1) != 0)
		crash_fault(
			s, CRASH_DOUBLED, "element %u was delivered twice", (unsigned int)element);
	atomic_store(&t->read, at + 1);
	return true;
}

static void
ring_op(struct crash_scene *s)
{
	ring_read(s, toy_of(s));
}

static void
ring_survive(struct crash_scene *s, enum crash_how how)
{
	(void)how;
	while (ring_read(s, toy_of(s)))
		;
}

/* ---- a toy that is right: one word says who owns a block ---- */

static uint32_t
claim_take(struct toy *t)
{
	for (uint32_t i = 0; i < TOY_BLOCKS; i++) {
		uint32_t none = 0;

		if (atomic_compare_exchange_strong(&t->owner[i], &none, 1))
			return i;
	}
	return TOY_NONE;
}

static void
claim_op(struct crash_scene *s)
{
	hold(toy_of(s), claim_take(toy_of(s)));
}

static void
claim_survive(struct crash_scene *s, enum crash_how how)
{
	if (how != CRASH_STOPPED)
		take_all(s, claim_take);
}

static void
claim_partner(struct crash_scene *s, uint64_t round)
{
	uint32_t block;

	if (round == UINT64_MAX)
		return;
	block = claim_take(toy_of(s));
	if (block != TOY_NONE)
		atomic_store(&toy_of(s)->owner[block], 0);
}

/* ---- operations with known numbers of instructions ---- */

static void
count_ten(struct crash_scene *s)
{
	struct toy *t = toy_of(s);

	__asm__ volatile(".rept 10\n\tincq %0\n\t.endr" : "+m"(t->counter));
}

static void
count_loop(struct crash_scene *s)
{
	struct toy *t = toy_of(s);
	uint64_t n = 12;

	__asm__ volatile("1: incq %0\n\tdecq %1\n\tjnz 1b" : "+m"(t->counter), "+r"(n));
}

static void
count_string(struct crash_scene *s)
{
	unsigned char *to = toy_of(s)->bytes;
	uint64_t n = sizeof(toy_of(s)->bytes);

	__asm__ volatile("nop\n\tnop\n\tnop\n\tnop\n\trep stosb"
			 : "+D"(to), "+c"(n)
			 : "a"(1)
			 : "memory");
}

static void
count_calls(struct crash_scene *s)
{
	toy_of(s)->counter++;
	(void)getppid();
	toy_of(s)->counter++;
}

static void
count_audit(struct crash_scene *s, enum crash_how how)
{
	uint64_t state = toy_of(s)->counter;

	(void)how;
	for (unsigned int i = 0; i < sizeof(toy_of(s)->bytes); i++)
		state += toy_of(s)->bytes[i];
	if (state >= 16)
		crash_fault(s, CRASH_WRONG, "state %u", (unsigned int)state);
	atomic_fetch_add(&seen[state], 1);
}

/* ---- the tests ---- */

static struct crash_sum
sweep(const struct crash_case *c, enum crash_mode mode, enum crash_depth depth)
{
	const struct crash_limits usual = crash_limits;
	struct crash_sum sum;
	int rc;

	/* these faults are wanted: look for them all, and do not wait long for a hang */
	crash_limits = (struct crash_limits){
		.phase_ms = 400, .faults_max = UINT32_MAX, .hung_max = UINT32_MAX};
	rc = crash_sweep(c, mode, depth, -1, &sum);
	crash_limits = usual;
	if (rc == -ENOSYS)
		skip();
	if (rc != 0)
		fail_msg("%d from the sweep: %s", rc, sum.first);
	assert_int_equal(sum.visited, sum.points);
	return sum;
}

static void
finds_a_lock_left_behind(void **state)
{
	const struct crash_case c = {
		.name = "lock", .setup = toy_setup, .op = locked_op, .survive = locked_survive};
	struct crash_sum sum;

	(void)state;
	sum = sweep(&c, CRASH_KILL, CRASH_DISTINCT);
	assert_int_not_equal(sum.verdicts[CRASH_HUNG], 0);
	/* before the lock is taken and after it is released nobody hangs */
	assert_in_range(sum.verdicts[CRASH_OK], 2, sum.visited - 1);
	assert_non_null(strstr(sum.first, "locked"));
}

static void
finds_a_lock_held_by_a_stopped_process(void **state)
{
	const struct crash_case c = {
		.name = "lock", .setup = toy_setup, .op = locked_op, .survive = locked_survive};
	struct crash_sum sum;

	(void)state;
	sum = sweep(&c, CRASH_STOP, CRASH_DISTINCT);
	assert_int_not_equal(sum.verdicts[CRASH_HUNG], 0);
}

static void
finds_a_block_with_two_owners(void **state)
{
	const struct crash_case c = {
		.name = "early", .setup = toy_setup, .op = early_op, .survive = early_survive};
	struct crash_sum sum;

	(void)state;
	sum = sweep(&c, CRASH_KILL, CRASH_EVERY);
	assert_int_not_equal(sum.verdicts[CRASH_DOUBLED], 0);
	assert_int_equal(sum.verdicts[CRASH_HUNG], 0);
	assert_int_equal(sum.verdicts[CRASH_WRONG], 0);
	assert_in_range(sum.verdicts[CRASH_OK], 2, sum.visited - 1);
}

static void
finds_an_element_delivered_twice(void **state)
{
	const struct crash_case c = {
		.name = "ring", .setup = toy_setup, .op = ring_op, .survive = ring_survive};
	struct crash_sum sum;

	(void)state;
	sum = sweep(&c, CRASH_KILL, CRASH_EVERY);
	assert_int_not_equal(sum.verdicts[CRASH_DOUBLED], 0);
	assert_int_equal(sum.verdicts[CRASH_HUNG], 0);
	assert_int_equal(sum.verdicts[CRASH_WRONG], 0);
}

static void
finds_nothing_in_a_structure_that_is_right(void **state)
{
	const struct crash_case c = {.name = "claim",
		.setup = toy_setup,
		.op = claim_op,
		.survive = claim_survive,
		.partner = claim_partner};
	static const enum crash_mode modes[] = {CRASH_KILL, CRASH_STOP, CRASH_BUSY};

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		struct crash_sum sum = sweep(&c, modes[i], CRASH_EVERY);

		assert_int_equal(sum.verdicts[CRASH_OK], sum.visited);
	}
}

/* Each state from 0 to n must have been seen, and with every_once the ones between exactly once. */
static void
expect_states(void (*op)(struct crash_scene *), uint32_t n, bool every_once)
{
	struct crash_case c = {.name = "count", .op = op, .audit = count_audit};
	struct crash_sum sum;

	memset((void *)(uintptr_t)seen, 0, 64 * sizeof(*seen));
	sum = sweep(&c, CRASH_KILL, CRASH_EVERY);
	assert_int_equal(sum.verdicts[CRASH_OK], sum.visited);
	assert_int_equal(sum.points, sum.instructions + 1);
	assert_in_range(sum.states, n, n + 1);
	for (uint32_t i = 0; i <= n; i++) {
		assert_int_not_equal(seen[i], 0);
		if (every_once && i > 0 && i < n)
			assert_int_equal(seen[i], 1);
	}
	assert_int_equal(seen[n + 1], 0);
	/*
	 * the distinct points are complete too, each state once; the recording is one more at the
	 * end
	 */
	memset((void *)(uintptr_t)seen, 0, 64 * sizeof(*seen));
	sweep(&c, CRASH_KILL, CRASH_DISTINCT);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(seen[i], 1);
}

static void
visits_every_instruction_once(void **state)
{
	(void)state;
	expect_states(count_ten, 10, true);
}

static void
visits_every_turn_of_a_loop(void **state)
{
	(void)state;
	expect_states(count_loop, 12, false);
}

static void
visits_every_step_of_a_string_instruction(void **state)
{
	(void)state;
	expect_states(count_string, 8, true);
}

static void
visits_the_points_around_a_system_call(void **state)
{
	const struct crash_case c = {.name = "calls", .op = count_calls, .audit = count_audit};
	struct crash_sum sum;

	(void)state;
	sum = sweep(&c, CRASH_KILL, CRASH_DISTINCT);
	/* two stores and one call */
	assert_int_equal(sum.states, 3);
	assert_int_equal(sum.verdicts[CRASH_OK], sum.visited);
}

static void
refuses_a_case_that_misses_its_path(void **state)
{
	const struct crash_case c = {.name = "lock",
		.through = "ring_read",
		.setup = toy_setup,
		.op = count_ten,
		.survive = locked_survive};
	struct crash_sum sum;
	int rc;

	(void)state;
	rc = crash_sweep(&c, CRASH_KILL, CRASH_EVERY, -1, &sum);
	if (rc == -ENOSYS)
		skip();
	assert_int_equal(rc, -EINVAL);
	assert_non_null(strstr(sum.first, "ring_read"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(visits_every_instruction_once),
		cmocka_unit_test(visits_every_turn_of_a_loop),
		cmocka_unit_test(visits_every_step_of_a_string_instruction),
		cmocka_unit_test(visits_the_points_around_a_system_call),
		cmocka_unit_test(refuses_a_case_that_misses_its_path),
		cmocka_unit_test(finds_a_lock_left_behind),
		cmocka_unit_test(finds_a_lock_held_by_a_stopped_process),
		cmocka_unit_test(finds_a_block_with_two_owners),
		cmocka_unit_test(finds_an_element_delivered_twice),
		cmocka_unit_test(finds_nothing_in_a_structure_that_is_right),
	};

	seen = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests_name("kill harness", tests, NULL, NULL);
}
