/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The soak's driver: starts the processes of roles.c, ends and stops them at random, recovers,
 * starts them anew, and after each event lets all stand still and looks whether every block is in
 * exactly one place.
 *
 * In a conservative pool what the dead had in hands is in quarantine. When that is a quarter of all
 * blocks, all processes leave, the rings are drained, the quarantine is freed, and everything has
 * to be free; then it begins anew.
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "soak.h"

/** Longest that a process may need to stand still, or to make a round. */
#define PATIENCE_NS UINT64_C(20000000000)

enum event {
	EVENT_KILL = 0,
	EVENT_ABORT,
	EVENT_STOP,	 /**< and continue */
	EVENT_STOP_KILL, /**< killed while it stands still */
	EVENT_TWO,	 /**< two at once */
	EVENTS
};

static const char *const event_names[EVENTS] = {
	[EVENT_KILL] = "SIGKILL",
	[EVENT_ABORT] = "SIGABRT",
	[EVENT_STOP] = "SIGSTOP, SIGCONT",
	[EVENT_STOP_KILL] = "SIGSTOP, SIGKILL",
	[EVENT_TWO] = "SIGKILL to two",
};

struct soak_shared *soak;

static struct sio_pool *pool;
static struct sio_rbuff *rings[2];
static bool conservative;
static uint32_t missing, deaths; /* conservative: in quarantine since it was freed; of this event */
static pid_t pids[SOAK_ROLES];
static uint32_t lives[SOAK_ROLES];
static uint64_t seed = 1, random_state;
static struct {
	uint64_t events[EVENTS], checks, recoveries;
	uint64_t shards, hands, requeued, queued, sides;
	uint64_t recover_ns, recover_max_ns;
	uint64_t frees, freed;
	uint64_t hung, lost;
} sum;
static char first_fault[512];
static volatile sig_atomic_t interrupted;

static uint32_t
next_random(void)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33);
}

static void
note(const char *what, const char *detail)
{
	if (first_fault[0] == '\0')
		snprintf(first_fault, sizeof(first_fault), "after %llu checks: %s %s",
			(unsigned long long)sum.checks, what, detail);
}

static void
start(enum soak_role role)
{
	uint64_t s = (uint64_t)next_random() << 32 | next_random();
	pid_t parent = getpid(), pid;

	lives[role]++;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGINT, SIG_IGN);
		signal(SIGTERM, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		if (getppid() != parent)
			_exit(1);
		_exit(soak_role(role, lives[role], s));
	}
	pids[role] = pid;
}

static void
recover(void)
{
	struct sio_recover_report r;

	if (sio_pool_recover(pool, &r) != 0) {
		note("a recovery failed", "");
		return;
	}
	sum.recoveries++;
	sum.shards += r.blocks_shards;
	sum.hands += r.blocks_hands;
	sum.requeued += r.requeued;
	sum.queued += r.queued;
	sum.sides += r.ring_sides;
	sum.recover_ns += r.ns;
	if (r.ns > sum.recover_max_ns)
		sum.recover_max_ns = r.ns;
}

static void
end(enum soak_role role, int sig)
{
	deaths++;
	atomic_store(&soak->doomed[role], lives[role]);
	kill(pids[role], sig);
}

/* The process is gone: nothing is its own any more. Then what it held comes back. */
static void
bury(enum soak_role role)
{
	int status;

	while (waitpid(pids[role], &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status))
		note(soak_role_names[role], "ended by itself");
	else if (WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGABRT)
		note(soak_role_names[role], strsignal(WTERMSIG(status)));
	for (uint32_t b = 0; b < SOAK_BLOCKS; b++) {
		uint32_t is = SOAK_OWNER(role, lives[role]);

		atomic_compare_exchange_strong(&soak->owner[b], &is, 0);
	}
	if (role == SOAK_RECEIVER)
		atomic_store(&soak->queue.receiver, 0);
	atomic_store(&soak->parked[role], 0);
}

/* Waits until all stand still. */
static bool
stand_still(void)
{
	uint32_t pause = atomic_fetch_add(&soak->pause, 1) + 1;
	uint64_t until = sio_now_ns() + PATIENCE_NS;

	for (int role = 0; role < SOAK_ROLES; role++) {
		while (atomic_load(&soak->parked[role]) != pause) {
			if (sio_now_ns() > until || waitpid(pids[role], NULL, WNOHANG) != 0) {
				sum.hung++;
				note(soak_role_names[role], "does not go on");
				return false;
			}
			usleep(50);
		}
	}
	return true;
}

/* Where a conservative pool's blocks are: in magazines, or known to somebody, or in quarantine. */
static bool
is_accounted(const struct sio_audit_report *report, uint32_t known)
{
	const uint32_t before = missing, free_now = report->populated - report->outstanding;

	if (!sio_audit_clean(report) || free_now + known > report->populated)
		return false;
	missing = report->outstanding - known;
	/* a block that is nobody's is marked, and only those come to it that a dead process had */
	return missing <= report->quarantined && missing >= before &&
	       missing <= before + deaths * SOAK_HOLD;
}

static bool
is_in_place(
	const struct sio_audit_report *report, uint32_t owned, uint32_t queued, uint32_t in_queue)
{
	if (conservative)
		return is_accounted(report, owned + queued + in_queue);
	/*
	 * what is in the application's own queue is offered, or was to a dead receiver and is free
	 */
	return sio_audit_clean(report) && report->outstanding == 0 &&
	       report->met[SIO_PLACE_RING] == queued && report->met[SIO_PLACE_HELD] >= owned &&
	       report->met[SIO_PLACE_HELD] <= owned + in_queue;
}

static void
check(void)
{
	struct sio_audit_report report;
	struct sio_audit *audit;
	uint32_t owned = 0, queued = 0, in_queue = 0, free_blocks;
	char detail[240];

	sum.checks++;
	for (uint32_t b = 0; b < SOAK_BLOCKS; b++)
		owned += atomic_load(&soak->owner[b]) != 0;
	for (int i = 0; i < 2; i++)
		queued += sio_rbuff_count(rings[i]);
	for (uint32_t i = 0; i < SOAK_QUEUE; i++)
		in_queue += atomic_load(&soak->queue.entry[i]) != 0;
	if (sio_audit_begin(pool, &audit) != 0)
		return;
	sio_audit_end(audit, &report);
	free_blocks = report.met[SIO_PLACE_DEPOT] + report.met[SIO_PLACE_SHARD];
	snprintf(detail, sizeof(detail),
		"(free %u, in rings %u of %u queued, held %u of %u owned and up to %u offered; "
		"twice %u, strange %u, holders %u, unsettled %u, outside %u, quarantine %u)",
		free_blocks, report.met[SIO_PLACE_RING], queued, report.met[SIO_PLACE_HELD], owned,
		in_queue, report.twice, report.strange, report.holder_wrong, report.unsettled,
		report.outstanding, report.quarantined);
	if (!is_in_place(&report, owned, queued, in_queue)) {
		sum.lost++;
		note("blocks are not where they should be", detail);
	}
}

/* All stand still, are counted, and go on. */
static void
stand_and_check(void)
{
	if (stand_still())
		check();
	atomic_fetch_add(&soak->pause, 1);
}

/* While one is stopped, the others make progress; but for who waits for what only it sends. */
static void
others_go_on(enum soak_role stopped)
{
	static const enum soak_role free_roles[] = {SOAK_TAKER, SOAK_TAKER2, SOAK_RECOVERER};
	uint64_t until = sio_now_ns() + PATIENCE_NS;

	for (unsigned int i = 0; i < sizeof(free_roles) / sizeof(free_roles[0]); i++) {
		enum soak_role role = free_roles[i];
		uint64_t rounds = atomic_load(&soak->rounds[role]);

		while (role != stopped && atomic_load(&soak->rounds[role]) < rounds + 2) {
			if (sio_now_ns() > until) {
				sum.hung++;
				note(soak_role_names[role], "waits for a stopped process");
				return;
			}
			usleep(50);
		}
	}
}

static void
play(enum event event)
{
	enum soak_role role = (enum soak_role)(next_random() % SOAK_ROLES);
	enum soak_role other =
		(enum soak_role)((role + 1 + next_random() % (SOAK_ROLES - 1)) % SOAK_ROLES);
	bool recover_first = next_random() % 2 == 0;

	deaths = 0;
	sum.events[event]++;
	if (event == EVENT_STOP || event == EVENT_STOP_KILL) {
		kill(pids[role], SIGSTOP);
		usleep(next_random() % 5000);
		others_go_on(role);
	}
	if (event == EVENT_STOP) {
		kill(pids[role], SIGCONT);
		return;
	}
	end(role, event == EVENT_ABORT ? SIGABRT : SIGKILL);
	if (event == EVENT_TWO)
		end(other, SIGKILL);
	bury(role);
	if (event == EVENT_TWO)
		bury(other);
	if (recover_first)
		recover();
	/* else who comes in its place recovers as it attaches */
	start(role);
	if (event == EVENT_TWO)
		start(other);
	recover();
}

static void
start_all(void)
{
	atomic_store(&soak->stop, 0);
	for (int role = 0; role < SOAK_ROLES; role++)
		start((enum soak_role)role);
}

static bool
make_all(void)
{
	const struct sio_pool_opts opts = {.sz = sizeof(opts),
		.name = SOAK_POOL,
		.n_blocks = SOAK_BLOCKS,
		.block_size = 64,
		.magazine_size = SOAK_MAGAZINE,
		.max_shards = SOAK_ROLES - 2, /* two work from the depot */
		.max_rings = conservative ? 0 : 2,
		.flags = conservative ? 0 : SIO_POOL_EXACT,
		.backing = SIO_BACKING_FILE};
	struct sio_rbuff_opts ring = {.sz = sizeof(ring),
		.capacity = 256,
		.element_size = sizeof(struct sio_desc),
		.role = SIO_RBUFF_OBSERVER};

	if (sio_pool_create(&opts, &pool) != 0)
		return false;
	ring.carries = pool;
	for (unsigned int i = 0; i < 2; i++) {
		ring.name = soak_ring_name(i);
		if (sio_rbuff_create(&ring, &rings[i]) != 0)
			return false;
	}
	start_all();
	return true;
}

/* Waits until it has left by itself, and ends one that does not. @return its status */
static int
await_end(enum soak_role role)
{
	uint64_t until = sio_now_ns() + PATIENCE_NS;
	int status = 0;

	while (waitpid(pids[role], &status, WNOHANG) == 0) {
		if (sio_now_ns() > until) {
			sum.hung++;
			note(soak_role_names[role], "does not leave");
			kill(pids[role], SIGKILL);
			until = UINT64_MAX;
		}
		usleep(50);
	}
	return status;
}

/* All leave in order. */
static void
stop_all(void)
{
	atomic_store(&soak->stop, 1);
	for (int role = 0; role < SOAK_ROLES; role++) {
		int status;

		kill(pids[role], SIGCONT);
		status = await_end((enum soak_role)role);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			note(soak_role_names[role], "did not end well");
		atomic_store(&soak->parked[role], 0);
	}
	atomic_store(&soak->queue.receiver, 0);
	recover();
}

static void
expect_all_free(void)
{
	char detail[64];

	if (sio_pool_free_count(pool) == SOAK_BLOCKS)
		return;
	snprintf(detail, sizeof(detail), "%u of %u", sio_pool_free_count(pool), SOAK_BLOCKS);
	sum.lost++;
	note("not all blocks are free at the end:", detail);
}

/* Conservative: when nobody is left, what is not free is queued, or in quarantine. */
static void
free_quarantine(void)
{
	uint32_t freed = 0;
	char detail[64];
	int status = 0;
	pid_t pid;

	fflush(NULL);
	/* who frees the quarantine must not have used the pool */
	pid = fork();
	if (pid == 0)
		_exit(soak_drain());
	if (waitpid(pid, &status, 0) != pid || status != 0)
		note("the rings could not be drained", "");
	if (sio_pool_quarantine_free(pool, &freed) != 0 || freed != missing) {
		snprintf(detail, sizeof(detail), "%u of %u", freed, missing);
		sum.lost++;
		note("the quarantine was not what is missing:", detail);
	}
	sum.frees++;
	sum.freed += freed;
	missing = 0;
	expect_all_free();
}

/* All leave: then everything is free but what is queued, and free at the rings' end. */
static void
end_all(void)
{
	uint32_t handles[SOAK_QUEUE], n = 0;

	stop_all();
	if (conservative) {
		free_quarantine();
	} else {
		for (uint32_t i = 0; i < SOAK_QUEUE; i++)
			if (atomic_load(&soak->queue.entry[i]) != 0)
				handles[n++] = atomic_load(&soak->queue.entry[i]) - 1;
		if (sio_pool_accept(pool, handles, n) != 0)
			note("an offer to a member that left", "was not recovered");
	}
	for (int i = 0; i < 2; i++)
		sio_rbuff_destroy(rings[i]);
	expect_all_free();
	sio_pool_destroy(pool);
}

static bool
report(double seconds, FILE *out)
{
	bool bad =
		sum.hung + sum.lost + atomic_load(&soak->doubled) + atomic_load(&soak->wrong) > 0 ||
		first_fault[0] != '\0';
	uint64_t events = 0;

	for (int i = 0; i < EVENTS; i++)
		events += sum.events[i];
	fprintf(out,
		"soak of a pool that is %s: %.0f s, seed %llu, %u processes, %u blocks, %llu "
		"passed "
		"on\n\n",
		conservative ? "conservative" : "exact", seconds, (unsigned long long)seed,
		SOAK_ROLES, SOAK_BLOCKS, (unsigned long long)atomic_load(&soak->passed));
	fprintf(out, "  %-44s %12s\n", "event", "times");
	for (int i = 0; i < EVENTS; i++)
		fprintf(out, "  %-44s %12llu\n", event_names[i], (unsigned long long)sum.events[i]);
	fprintf(out, "  %-44s %12llu\n\n", "all", (unsigned long long)events);
	fprintf(out, "  %-44s %12llu\n", "recoveries by the driver",
		(unsigned long long)sum.recoveries);
	fprintf(out, "  %-44s %12llu\n", "  blocks from shards", (unsigned long long)sum.shards);
	fprintf(out, "  %-44s %12llu\n", "  blocks from hands", (unsigned long long)sum.hands);
	fprintf(out, "  %-44s %12llu\n", "  ring sides freed", (unsigned long long)sum.sides);
	fprintf(out, "  %-44s %12llu\n", "  packets queued there, saved",
		(unsigned long long)sum.queued);
	fprintf(out, "  %-44s %12llu\n", "  of these put back", (unsigned long long)sum.requeued);
	fprintf(out, "  %-44s %12.3f\n", "  mean time, ms",
		sum.recoveries > 0 ? (double)sum.recover_ns / 1e6 / (double)sum.recoveries : 0);
	fprintf(out, "  %-44s %12.3f\n\n", "  longest time, ms", (double)sum.recover_max_ns / 1e6);
	if (conservative) {
		fprintf(out, "  %-44s %12llu\n", "quarantine freed, with all gone",
			(unsigned long long)sum.frees);
		fprintf(out, "  %-44s %12llu\n\n", "  blocks, which were all that was missing",
			(unsigned long long)sum.freed);
	}
	fprintf(out, "  %-44s %12llu\n", "checks with all standing still",
		(unsigned long long)sum.checks);
	fprintf(out, "  %-44s %12llu\n", "hung", (unsigned long long)sum.hung);
	fprintf(out, "  %-44s %12llu\n", "lost", (unsigned long long)sum.lost);
	fprintf(out, "  %-44s %12u\n", "doubled", atomic_load(&soak->doubled));
	fprintf(out, "  %-44s %12u\n", "wrong", atomic_load(&soak->wrong));
	if (bad)
		fprintf(out, "\n  first: %s %s\n", first_fault, soak->message);
	return !bad;
}

static void
on_interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

static int
usage(const char *program)
{
	fprintf(stderr,
		"usage: %s [-c] [-t SECONDS] [-s SEED] [-o FILE]\n"
		"  -c          a conservative pool; else an exact one\n"
		"  -t SECONDS  how long; else SLABIO_SOAK_SECONDS, else 6\n"
		"  -s SEED     of the choice of victims; when they are met differs from run to "
		"run\n"
		"  -o FILE     the report goes there as well\n",
		program);
	return 2;
}

static bool
enough(uint64_t until)
{
	return interrupted || sio_now_ns() >= until || sum.hung + sum.lost > 0 ||
	       atomic_load(&soak->doubled) + atomic_load(&soak->wrong) > 0 ||
	       first_fault[0] != '\0';
}

static void
folder_make(char *dir, size_t len)
{
	snprintf(dir, len, "/dev/shm/slabio-soak-XXXXXX");
	if (mkdtemp(dir) == NULL) {
		perror(dir);
		exit(1);
	}
	setenv(SIO_RUNTIME_DIR_ENV, dir, 1);
}

/* @return whether nothing but the library's lock was left in it */
static bool
folder_remove(const char *dir)
{
	char command[256];
	bool clean = true;

	snprintf(command, sizeof(command), "test -z \"$(ls %s)\"", dir);
	if (system(command) != 0)
		clean = false;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) == 0 && clean;
}

int
main(int argc, char **argv)
{
	const char *env = getenv("SLABIO_SOAK_SECONDS"), *file = NULL;
	double seconds = env != NULL ? atof(env) : 6;
	uint64_t began, until;
	char dir[64];
	bool good;
	int opt;

	while ((opt = getopt(argc, argv, "ct:s:o:")) != -1) {
		if (opt == 'c')
			conservative = true;
		else if (opt == 't')
			seconds = atof(optarg);
		else if (opt == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (opt == 'o')
			file = optarg;
		else
			return usage(argv[0]);
	}
	if (optind < argc || seconds <= 0)
		return usage(argv[0]);
	folder_make(dir, sizeof(dir));
	signal(SIGINT, on_interrupt);
	signal(SIGTERM, on_interrupt);
	random_state = seed;
	soak = mmap(NULL, sizeof(*soak), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (soak == MAP_FAILED || !make_all()) {
		fprintf(stderr, "the soak could not be set up\n");
		folder_remove(dir);
		return 1;
	}
	began = sio_now_ns();
	until = began + (uint64_t)(seconds * 1e9);
	while (!enough(until)) {
		/*
		 * first of all they have to be at work again: what stands still is not in an
		 * operation
		 */
		usleep(300 + next_random() % 3000);
		play((enum event)(next_random() % EVENTS));
		usleep(next_random() % 2000);
		stand_and_check();
		if (missing > SOAK_BLOCKS / 4) {
			stop_all();
			free_quarantine();
			start_all();
		}
	}
	end_all();
	if (!folder_remove(dir))
		note("something was left in the runtime folder", dir);
	good = report((double)(sio_now_ns() - began) / 1e9, stdout);
	if (file != NULL) {
		FILE *out = fopen(file, "w");

		if (out == NULL) {
			perror(file);
			return 1;
		}
		report((double)(sio_now_ns() - began) / 1e9, out);
		fclose(out);
	}
	return good ? 0 : 1;
}
