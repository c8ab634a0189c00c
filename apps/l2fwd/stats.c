/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "l2fwd.h"

struct port_stats port_stats[RTE_MAX_ETHPORTS];
struct drop_stats drop_stats;
_Atomic uint64_t copied_stats;

static uint64_t begin_ns, end_ns;
/* of any lcore: the last one to write wins, which is near enough for a rate */
static _Atomic uint64_t first_rx_ns, last_rx_ns;

struct totals {
	uint64_t rx;
	uint64_t tx;
	uint64_t tx_dropped;
	uint64_t dropped; /**< between ports */
};

void
stats_begin(void)
{
	begin_ns = sio_now_ns();
}

void
stats_end(void)
{
	end_ns = sio_now_ns();
}

void
stats_traffic(uint64_t now_ns)
{
	if (COUNTER(first_rx_ns) == 0)
		atomic_store_explicit(&first_rx_ns, now_ns, memory_order_relaxed);
	atomic_store_explicit(&last_rx_ns, now_ns, memory_order_relaxed);
}

uint64_t
stats_last_rx_ns(void)
{
	return COUNTER(last_rx_ns);
}

/* Seconds between the first and the last packet. */
static double
traffic_seconds(void)
{
	return (double)(COUNTER(last_rx_ns) - COUNTER(first_rx_ns)) / (double)NS_IN_S;
}

static double
seconds(void)
{
	return (double)((end_ns != 0 ? end_ns : sio_now_ns()) - begin_ns) / (double)NS_IN_S;
}

static struct totals
sum(void)
{
	struct totals t = {0};

	for (unsigned int i = 0; i < ports_count(); i++) {
		struct port_stats *st = &port_stats[ports_nth(i)];

		t.rx += COUNTER(st->rx);
		t.tx += COUNTER(st->tx);
		t.tx_dropped += COUNTER(st->tx_dropped);
	}
	t.dropped = COUNTER(drop_stats.overflow) + COUNTER(drop_stats.verdict) +
		    COUNTER(drop_stats.in_hands) + COUNTER(drop_stats.no_worker) +
		    COUNTER(drop_stats.unfit);
	return t;
}

bool
stats_accounted(void)
{
	struct totals t = sum();

	return t.rx == t.tx + t.tx_dropped + t.dropped;
}

static const char *
state_name(const struct worker *w)
{
	switch (w->state) {
	case WORKER_VACANT:
		return "vacant";
	case WORKER_RUNNING:
		return w->stalled ? "standing" : "running";
	case WORKER_BROKEN:
		return "broken";
	case WORKER_CLOSED:
		return "closed";
	}
	return "?";
}

static void
print_ports(FILE *out)
{
	double s = traffic_seconds();

	fprintf(out, "%-8s %12s %12s %12s %12s %10s\n", "port", "received", "sent", "not sent",
		"rx bytes", "rx/s");
	for (unsigned int i = 0; i < ports_count(); i++) {
		uint16_t id = ports_nth(i);
		struct port_stats *st = &port_stats[id];

		fprintf(out,
			"%-8u %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %10.0f\n", id,
			COUNTER(st->rx), COUNTER(st->tx), COUNTER(st->tx_dropped),
			COUNTER(st->rx_bytes), s > 0 ? (double)COUNTER(st->rx) / s : 0.0);
	}
}

static void
print_workers(FILE *out)
{
	fprintf(out, "%-8s %-9s %10s %10s %9s %9s %10s %9s %6s %6s %7s\n", "worker", "state",
		"sent", "returned", "rejected", "overflow", "taken back", "in hands", "joins",
		"deaths", "buckets");
	for (unsigned int i = 0; i < conf.n_slots; i++) {
		const struct worker *w = &workers[i];
		const struct worker_stats *st = &w->stats;

		fprintf(out,
			"%-8u %-9s %10" PRIu64 " %10" PRIu64 " %9" PRIu64 " %9" PRIu64 " %10" PRIu64
			" %9" PRIu64 " %6" PRIu64 " %6" PRIu64 " %7u\n",
			i, state_name(w), st->sent, st->returned, st->rejected, st->overflow,
			st->taken_back, st->in_hands, st->joins, st->deaths,
			flow_buckets_of((uint16_t)i));
	}
	fprintf(out,
		"moves of flow buckets: %" PRIu64 ", in flight: %" PRIu64
		" descriptors, packets copied: %" PRIu64 "\n",
		flow_moves(), workers_inflight(), COUNTER(copied_stats));
}

void
stats_print(FILE *out, bool final)
{
	struct totals t = sum();

	/* clear and home, as l2fwd does, but only for people */
	if (!final && isatty(fileno(out)))
		fputs("\033[2J\033[1;1H", out);
	fprintf(out, "==== slabio-l2fwd %s, %s %.1f s\n", conf.name, final ? "ran" : "running for",
		seconds());
	print_ports(out);
	if (conf.n_slots != 0)
		print_workers(out);
	fprintf(out,
		"dropped: %" PRIu64 " overflow, %" PRIu64 " rejected, %" PRIu64
		" in dead hands, %" PRIu64 " without worker, %" PRIu64 " unfit, %" PRIu64
		" not sent\n",
		COUNTER(drop_stats.overflow), COUNTER(drop_stats.verdict),
		COUNTER(drop_stats.in_hands), COUNTER(drop_stats.no_worker),
		COUNTER(drop_stats.unfit), t.tx_dropped);
	fprintf(out, "received %" PRIu64 " = sent %" PRIu64 " + dropped %" PRIu64 "%s\n", t.rx,
		t.tx, t.dropped + t.tx_dropped,
		stats_accounted() ? ""
		: final		  ? ": PACKETS ARE MISSING"
				  : " + on the way");
	fflush(out);
}

static void
write_worker(FILE *f, const struct worker *w, bool last)
{
	const struct worker_stats *st = &w->stats;

	fprintf(f,
		"    {\"sent\": %" PRIu64 ", \"returned\": %" PRIu64 ", \"rejected\": %" PRIu64
		", \"overflow\": %" PRIu64 ", \"taken_back\": %" PRIu64 ", \"in_hands\": %" PRIu64
		", \"joins\": %" PRIu64 ", \"deaths\": %" PRIu64 ", \"broken\": %" PRIu64
		", \"stalls\": %" PRIu64 ", \"eal\": %s}%s\n",
		st->sent, st->returned, st->rejected, st->overflow, st->taken_back, st->in_hands,
		st->joins, st->deaths, st->broken, st->stalls, w->eal ? "true" : "false",
		last ? "" : ",");
}

static void
write_all(FILE *f, bool clean)
{
	fprintf(f, "{\n  \"seconds\": %.3f,\n  \"traffic_seconds\": %.6f,\n  \"ports\": [\n",
		seconds(), traffic_seconds());
	for (unsigned int i = 0; i < ports_count(); i++) {
		uint16_t id = ports_nth(i);
		struct port_stats *st = &port_stats[id];

		fprintf(f,
			"    {\"port\": %u, \"rx\": %" PRIu64 ", \"rx_bytes\": %" PRIu64
			", \"tx\": %" PRIu64 ", \"tx_bytes\": %" PRIu64 ", \"tx_dropped\": %" PRIu64
			",\n     \"xstats\": {%s}}%s\n",
			id, COUNTER(st->rx), COUNTER(st->rx_bytes), COUNTER(st->tx),
			COUNTER(st->tx_bytes), COUNTER(st->tx_dropped), xstats_taken(id),
			i + 1 < ports_count() ? "," : "");
	}
	fprintf(f, "  ],\n  \"workers\": [\n");
	for (unsigned int i = 0; i < conf.n_slots; i++)
		write_worker(f, &workers[i], i + 1 == conf.n_slots);
	fprintf(f,
		"  ],\n  \"dropped\": {\"overflow\": %" PRIu64 ", \"verdict\": %" PRIu64
		", \"in_hands\": %" PRIu64 ", \"no_worker\": %" PRIu64 ", \"unfit\": %" PRIu64
		"},\n  \"copied\": %" PRIu64 ",\n  \"moves\": %" PRIu64
		",\n  \"buffers\": %u,\n  \"buffers_clean\": %s,\n"
		"  \"accounted\": %s\n}\n",
		COUNTER(drop_stats.overflow), COUNTER(drop_stats.verdict),
		COUNTER(drop_stats.in_hands), COUNTER(drop_stats.no_worker),
		COUNTER(drop_stats.unfit), COUNTER(copied_stats), flow_moves(), buffers.n,
		clean ? "true" : "false", stats_accounted() ? "true" : "false");
}

int
stats_write(const char *path, bool clean)
{
	FILE *f = fopen(path, "w");
	int err;

	if (f == NULL) {
		err = -errno;
		say("--stats-file: cannot write \"%s\": %s", path, strerror(-err));
		return err;
	}
	write_all(f, clean);
	err = ferror(f) != 0 ? -EIO : 0;
	if (fclose(f) != 0)
		err = -errno;
	if (err != 0)
		say("--stats-file: \"%s\" is incomplete: %s", path, strerror(-err));
	return err;
}
