/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef BENCH_H
#define BENCH_H

/*
 * slabio-bench, split by subject:
 *
 *     main.c      EAL, presets, order of the suites
 *     options.c   the command line
 *     measure.c   interleaved pairs, medians, spreads
 *     team.c      the lcores of one run: who they are, a common start and a common end
 *     machine.c   what this machine's cache lines, locked instructions and barriers cost
 *     mempool.c   rival mempool handlers, and which cases to run
 *     patterns.c  what lcores do with a mempool
 *     ring.c      rbuff against rte_ring
 *     procs.c     the libslabio pool between processes
 *     members.c   processes that are members of a mempool's pool meanwhile
 *     recovery.c  what the recovery of a dead member costs those who work on; recovery.h says how it
 *                 is split further
 *     bars.c      the figures that the design asks for
 *     output.c    terminal, JSON and CSV
 *     plot.c      gnuplot
 *
 * What counts is the ratio of two neighbouring runs, since the machine may change its mind about
 * clock and placement at any time: two contenders take turns (A B A B ...), each pair gives one
 * ratio, and what is reported is the median of the ratios with the least and the greatest.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define BENCH_BULK_MAX	 256u
#define BENCH_LCORES_MAX 128u
#define BENCH_PAIRS_MAX	 101u
#define BENCH_LIST_MAX	 16u
#define BENCH_NAME_LEN	 48

struct bench_list {
	unsigned int n;
	unsigned int at[BENCH_LIST_MAX];
};

struct bench_names {
	unsigned int n;
	char at[BENCH_LIST_MAX][BENCH_NAME_LEN];
};

enum bench_preset {
	BENCH_SHORT,
	BENCH_FULL,
	BENCH_BARS,
};

struct bench_options {
	enum bench_preset preset;
	unsigned int pairs;
	unsigned int ms; /* length of one timed run */
	unsigned int objects;
	unsigned int object_size;
	unsigned int queue; /* capacity of the hand-over queue and of the rings */
	bool suite_machine, suite_mempool, suite_ring, suite_pool, suite_recovery;
	struct bench_names patterns;
	struct bench_list bulks;
	struct bench_list caches;
	struct bench_list touches; /* 0, 1 */
	struct bench_list sizes;   /* of ring elements, bytes */
	char subject[BENCH_NAME_LEN];
	struct bench_names rivals; /* HANDLER or HANDLER+CACHE */
	const char *json, *csv, *plot;
	bool realtime; /* measured threads with a CPU each give way to no other program */
};

extern struct bench_options bench_options;

/* ---- measure.c ---- */

struct bench_spread {
	double median, min, max;
};

enum bench_unit {
	BENCH_MOPS, /* million objects per second: more is better */
	BENCH_NS,   /* nanoseconds: less is better */
};

/* One timed run. Returns 0 with a value in the case's unit, or a negative errno: said why already.
 */
typedef int (*bench_run)(void *arg, double *value);

/* Two contenders, one thing to do. */
struct bench_case {
	const char *suite;
	char pattern[BENCH_NAME_LEN];
	char subject[BENCH_NAME_LEN];
	char rival[BENCH_NAME_LEN];
	unsigned int lcores; /* threads or processes at work */
	unsigned int bulk;
	unsigned int size; /* bytes of an object or element */
	bool touch;
	enum bench_unit unit;
	bench_run run;
	void *subject_arg;
	void *rival_arg;
	double fixed; /* not 0: the rival is this figure, measured elsewhere */
	double bar;   /* not 0: the ratio that the design asks for */
};

struct bench_result {
	struct bench_case of;
	unsigned int pairs;
	unsigned int disturbed; /* runs kept although a thread lost its CPU for a while */
	struct bench_spread subject, rival;
	struct bench_spread
		line; /* ns for a line there and back, beside each pair; 0 with one CPU */
	struct bench_spread ratio; /* above 1 the subject is better, whatever the unit */
};

struct bench_spread bench_spread_of(double *values, unsigned int n);

/*
 * Runs in which a thread lost its CPU to another program say nothing about two threads that hand
 * over to each other: they are repeated, a few times, and counted if they are kept.
 */
#define BENCH_TRIES	     6u	  /* runs of which one has to go by undisturbed */
#define BENCH_LOST_TOLERATED 0.02 /* of a run's time, by any of its threads */
extern double bench_lost; /* the greatest such part in the last run; who runs threads sets it */
int bench_run_quietly(bench_run run, void *arg, double *value, unsigned int *disturbed);
/* What the calling thread has had of its CPU so far, in ns. */
uint64_t bench_cpu_ns(void);
/*
 * Before and after what is measured, by the calling thread. With --realtime it runs before all
 * others of its CPU meanwhile. Never where threads share a CPU: the first one would have it for
 * good.
 */
void bench_first(bool crowded);
void bench_as_others(void);
/* Whether this process may do that; if not, says why. */
bool bench_first_possible(void);
/* Remembers what a thread lost of a stretch of time. */
void bench_lost_add(uint64_t wall_ns, uint64_t cpu_ns);

/*
 * Where a thread keeps the objects that it has, of BENCH_BULK_MAX times 16 bytes: at another
 * distance from a page's start with each pair. Memory a multiple of 4096 bytes apart slows copying
 * down on many CPUs, and it should not depend on luck whose mempool is at such a distance.
 */
void *bench_buffer(void);

/* Measures a case and reports it. Returns 0 or a negative errno. */
int bench_measure(const struct bench_case *c);

/* ---- team.c ---- */

extern unsigned int bench_cpus;	  /* lcores that have a CPU of their own: the first ones below */
extern unsigned int bench_lcores; /* all: those beyond bench_cpus share a CPU with others */

void bench_team_init(void);
/* EAL's number of an lcore of the list. */
unsigned int bench_lcore_id(unsigned int i);
/* Moves the calling thread to that lcore's CPU. Returns 0 or a negative errno. */
int bench_pin(unsigned int i);

struct bench_team;

/* What one lcore does in a run; me counts from 0. Returns the objects it counted. */
typedef uint64_t (*bench_work)(struct bench_team *team, unsigned int me);

struct bench_team {
	unsigned int n;
	bench_work work;
	void *arg;
	uint64_t us;	   /* length of the run; 0: as bench_options.ms says */
	uint64_t deadline; /* TSC; set before the first one works */
	bool crowded;	   /* more threads than CPUs: who waits lets others run */
	/* results */
	uint64_t count;
	double seconds;
	/* private */
	_Atomic unsigned int arrived;
	_Atomic bool go;
	uint64_t began;
	struct {
		_Alignas(128) uint64_t count;
		uint64_t began, ended; /* TSC */
		uint64_t cpu_ns;
	} member[BENCH_LCORES_MAX];
};

/* Runs the team on lcores 0 to n - 1 of the list, the main lcore first. Returns 0 or a negative
 * errno. */
int bench_team_run(struct bench_team *team);

/* Waits a moment; spins counts the moments so far. */
void bench_wait(const struct bench_team *team, unsigned int *spins);

/* ---- suites ---- */

int bench_machine(void);
/* A short look at how far apart the first two CPUs are now: ns for a cache line there and back. */
int bench_line(double *ns);
int bench_mempool(void);
int bench_ring(void);
int bench_pool(void);
int bench_recovery(void);
int bench_members(void);

/* ---- mempool.c, patterns.c ---- */

struct rte_mempool;

struct bench_pattern {
	const char *name;
	const char *what;
	unsigned int lcores; /* needed; 0: one for each lcore there is */
	bool crowded;	     /* wants more threads than CPUs */
	bool drains;	     /* takes the mempool dry: a small one will do */
	bool touches;	     /* there is a form that touches the payload */
	enum bench_unit unit;
	int (*run)(struct rte_mempool *mp, unsigned int lcores, unsigned int bulk, bool touch,
		double *value);
};

extern const struct bench_pattern bench_patterns[];
const struct bench_pattern *bench_pattern_find(const char *name);
bool bench_handler_exists(const char *name);

/* One mempool case; subject and rival are HANDLER+CACHE. */
int bench_mempool_case(const struct bench_pattern *pattern, const char *subject, const char *rival,
	unsigned int bulk, bool touch, double bar);

/* slab without a cache, with so many members of its pool, this process included. */
int bench_mempool_members(const struct bench_pattern *pattern, const char *rival, unsigned int bulk,
	unsigned int members, bool exact, double bar);

/* Measures the bare hand-over queue. */
int bench_queue_run(void *bulk, double *value);

/* ---- members.c ---- */

#define BENCH_MEMBERS_MAX 8u
/* Names of mempools that are exact begin so. */
#define BENCH_EXACT "bench_exact_"

struct bench_members {
	unsigned int n;
	pid_t pids[BENCH_MEMBERS_MAX];
	int stop;
};

/* Before the first mempool is made. */
void bench_members_init(void);
/* Processes that join the pool of a mempool of this one. Returns 0 or a negative errno. */
int bench_members_start(struct bench_members *members, const char *mempool, unsigned int n);
void bench_members_end(struct bench_members *members);

/* ---- ring.c, procs.c: the cases that bars.c asks for ---- */

int bench_ring_case(const char *rival, unsigned int size, unsigned int bulk, double bar);
int bench_ring_fixed(unsigned int bulk, const char *rival, double figure, double bar);
int bench_ring_blocks(unsigned int size, unsigned int bulk, double bar);
int bench_ring_trip(const char *subject, const char *rival, double bar);
int bench_pool_fixed(unsigned int bulk, const char *rival, double figure, double bar);

/* ---- bars.c ---- */

int bench_bars(void);

/* ---- output.c ---- */

struct bench_fact {
	const char *suite;
	char name[BENCH_NAME_LEN];
	const char *unit;
	struct bench_spread value;
	unsigned int disturbed;
};

extern struct bench_result *bench_results;
extern unsigned int bench_n_results;
extern bool bench_conserved;

void bench_heading(const char *title);
void bench_report(const struct bench_result *result);
void bench_report_fact(const char *suite, const char *name, const char *unit,
	struct bench_spread value, unsigned int disturbed);
/* A case that cannot run here, and why. */
void bench_report_skip(const char *what, const char *why);
void bench_summary(void);
int bench_write_json(const char *path);
int bench_write_csv(const char *path);
/* ---- plot.c ---- */
bool bench_plot_possible(void);
int bench_write_plot(const char *path);

void bench_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* BENCH_H */
