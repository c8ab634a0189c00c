/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* Rival mempool handlers, and which cases to run. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mempool.h>
#include "bench.h"

/* Of patterns that take everything; an eighth fewer than a ring has slots, see options.c. */
#define SMALL_POOL 3500u

struct contender {
	struct rte_mempool *mp;
	char name[2 * BENCH_NAME_LEN];
	bool rival;
	const struct bench_pattern *pattern;
	unsigned int lcores;
	unsigned int bulk;
	bool touch;
};

bool
bench_handler_exists(const char *name)
{
	for (unsigned int i = 0; i < rte_mempool_ops_table.num_ops; i++)
		if (strcmp(rte_mempool_ops_table.ops[i].name, name) == 0)
			return true;
	return false;
}

/* HANDLER+CACHE in two. */
static void
split(const char *contender, char handler[BENCH_NAME_LEN], unsigned int *cache)
{
	const char *plus = strrchr(contender, '+');
	size_t len = plus != NULL ? (size_t)(plus - contender) : strlen(contender);

	snprintf(handler, BENCH_NAME_LEN, "%.*s", (int)len, contender);
	*cache = plus != NULL ? (unsigned int)strtoul(plus + 1, NULL, 10) : 0;
}

static int
contender_open(struct contender *c, const char *name, bool exact)
{
	static unsigned int number;
	char handler[BENCH_NAME_LEN], unique[RTE_MEMPOOL_NAMESIZE];
	unsigned int cache;
	unsigned int n = c->pattern->drains ? RTE_MIN(SMALL_POOL, bench_options.objects)
					    : bench_options.objects;
	int ret;

	split(name, handler, &cache);
	snprintf(unique, sizeof(unique), "%s%u", exact ? BENCH_EXACT : "bench_", number++);
	c->mp = rte_mempool_create_empty(
		unique, n, bench_options.object_size, cache, 0, SOCKET_ID_ANY, 0);
	if (c->mp == NULL) {
		ret = -rte_errno;
	} else {
		ret = rte_mempool_set_ops_byname(c->mp, handler, NULL);
		if (ret == 0)
			ret = rte_mempool_populate_default(c->mp);
		ret = ret < 0 ? ret : 0;
	}
	if (ret != 0) {
		bench_error("cannot create a mempool of %u objects of %u bytes on %s: %s", n,
			bench_options.object_size, name, strerror(-ret));
		rte_mempool_free(c->mp);
		c->mp = NULL;
	}
	return ret;
}

static int
contender_run(void *arg, double *value)
{
	struct contender *c = arg;
	int ret = c->pattern->run(c->mp, c->lcores, c->bulk, c->touch, value);

	if (ret != -ENODATA)
		return ret;
	if (!c->rival) {
		bench_conserved = false;
		return ret;
	}
	/* goes on without this case: what is left of that mempool is no rival any more */
	bench_report_skip(c->pattern->name, c->name);
	return -ECANCELED;
}

static unsigned int
lcores_of(const struct bench_pattern *pattern)
{
	if (pattern->lcores != 0)
		return pattern->lcores;
	return bench_lcores;
}

static const char *
pattern_impossible(const struct bench_pattern *pattern)
{
	if (pattern->lcores > bench_cpus)
		return "it needs two lcores with a CPU each";
	if (pattern->crowded && bench_lcores <= bench_cpus)
		return "no two lcores share a CPU: see --lcores";
	if (pattern->lcores == 0 && bench_lcores < 2)
		return "it needs two lcores";
	return NULL;
}

/* Answers whether the case can run here, and says so if not. */
static bool
possible(const struct bench_pattern *pattern, const char *subject, const char *rival)
{
	const char *const names[] = {subject, rival};
	const char *why = pattern_impossible(pattern);
	char handler[BENCH_NAME_LEN], text[128];
	unsigned int cache;

	if (why != NULL) {
		bench_report_skip(pattern->name, why);
		return false;
	}
	for (unsigned int i = 0; i < 2; i++) {
		split(names[i], handler, &cache);
		if (bench_handler_exists(handler))
			continue;
		snprintf(text, sizeof(text), "no mempool handler %s is loaded", handler);
		bench_report_skip(pattern->name, text);
		return false;
	}
	return true;
}

static int
measure(struct bench_case *c, const struct bench_pattern *pattern, const char *subject,
	const char *rival, unsigned int members, bool exact)
{
	struct contender a = {.pattern = pattern, .bulk = c->bulk, .touch = c->touch}, b;
	struct bench_members others = {0};
	int ret;

	if (!possible(pattern, subject, rival))
		return 0;
	a.lcores = lcores_of(pattern);
	b = a;
	b.rival = true;
	snprintf(b.name, sizeof(b.name), "the rival %s lost objects", rival);
	c->lcores = a.lcores;
	c->size = bench_options.object_size;
	c->unit = pattern->unit;
	c->run = contender_run;
	c->subject_arg = &a;
	c->rival_arg = &b;
	snprintf(c->pattern, sizeof(c->pattern), "%s", pattern->name);
	snprintf(c->rival, sizeof(c->rival), "%s", rival);
	ret = contender_open(&a, subject, exact);
	if (ret == 0)
		ret = contender_open(&b, rival, false);
	if (ret == 0)
		ret = bench_members_start(&others, a.mp->name, members - 1);
	if (ret == 0)
		ret = bench_measure(c);
	bench_members_end(&others);
	rte_mempool_free(a.mp);
	rte_mempool_free(b.mp);
	return ret == -ECANCELED ? 0 : ret;
}

int
bench_mempool_case(const struct bench_pattern *pattern, const char *subject, const char *rival,
	unsigned int bulk, bool touch, double bar)
{
	struct bench_case c = {.suite = "mempool", .bulk = bulk, .touch = touch, .bar = bar};

	snprintf(c.subject, sizeof(c.subject), "%s", subject);
	return measure(&c, pattern, subject, rival, 1, false);
}

int
bench_mempool_members(const struct bench_pattern *pattern, const char *rival, unsigned int bulk,
	unsigned int members, bool exact, double bar)
{
	struct bench_case c = {.suite = "members", .bulk = bulk, .bar = bar};

	snprintf(c.subject, sizeof(c.subject), "%s/%u", exact ? "exact" : "slab", members);
	return measure(&c, pattern, "slab+0", rival, members, exact);
}

static void
with_cache(char name[BENCH_NAME_LEN], const char *contender, unsigned int cache)
{
	if (strchr(contender, '+') != NULL)
		snprintf(name, BENCH_NAME_LEN, "%s", contender);
	else
		snprintf(name, BENCH_NAME_LEN, "%.*s+%u", BENCH_NAME_LEN - 12, contender, cache);
}

/* All rivals of one pattern, bulk, touch and cache. */
static int
rivals(const struct bench_pattern *pattern, unsigned int bulk, bool touch, unsigned int cache)
{
	char subject[BENCH_NAME_LEN], rival[BENCH_NAME_LEN];
	int ret = 0;

	with_cache(subject, bench_options.subject, cache);
	for (unsigned int i = 0; i < bench_options.rivals.n && ret == 0; i++) {
		with_cache(rival, bench_options.rivals.at[i], cache);
		ret = bench_mempool_case(pattern, subject, rival, bulk, touch, 0);
	}
	return ret;
}

static int
one_pattern(const struct bench_pattern *pattern)
{
	const struct bench_options *o = &bench_options;
	int ret = 0;

	for (unsigned int t = 0; t < o->touches.n; t++)
		for (unsigned int c = 0; c < o->caches.n; c++)
			for (unsigned int b = 0; b < o->bulks.n && ret == 0; b++) {
				if (o->touches.at[t] && !pattern->touches)
					continue;
				/* the short form looks at single objects once, on one lcore */
				if (o->preset == BENCH_SHORT && o->bulks.n > 1 &&
					o->bulks.at[b] == 1 && strcmp(pattern->name, "getput") != 0)
					continue;
				ret = rivals(
					pattern, o->bulks.at[b], o->touches.at[t], o->caches.at[c]);
			}
	return ret;
}

int
bench_mempool(void)
{
	int ret = 0;

	for (unsigned int i = 0; i < bench_options.patterns.n && ret == 0; i++) {
		const struct bench_pattern *pattern =
			bench_pattern_find(bench_options.patterns.at[i]);

		bench_heading(pattern->what);
		ret = one_pattern(pattern);
	}
	return ret;
}
