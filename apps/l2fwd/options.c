/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>

#include "l2fwd.h"

#define RING_CAPACITY_MIN 64u
#define RING_CAPACITY_MAX 65536u
#define MBUF_SIZE_MIN	  256u
#define MBUF_SIZE_MAX	  65472u
#define MBUFS_MAX	  (1u << 24)
#define SECONDS_MAX	  86400u

struct config conf = {.mac_updating = true,
	.stats_period_s = 10,
	.name = "l2fwd",
	.spawn = true,
	.worker_fn = "count",
	.ring_capacity = 1024,
	/* a power of two: frames that every AF_XDP driver can have */
	.mbuf_size = 2048,
	.forward_without_workers = true,
	.wait_workers_s = 10};

enum {
	OPT_MAC_UPDATING = 256,
	OPT_NO_MAC_UPDATING,
	OPT_PORTMAP,
	OPT_NAME,
	OPT_WORKERS,
	OPT_EAL_WORKERS,
	OPT_EAL_WORKER_PATH,
	OPT_POOL_MODE,
	OPT_WORKER_FN,
	OPT_WORKER_PATH,
	OPT_NO_SPAWN,
	OPT_WAIT_WORKERS,
	OPT_NO_WORKER,
	OPT_RING_SIZE,
	OPT_BACKPRESSURE,
	OPT_MBUFS,
	OPT_MBUF_SIZE,
	OPT_EXIT_IDLE,
	OPT_EXIT_AFTER,
	OPT_STATS_FILE,
	OPT_HELP,
};

static const struct option longopts[] = {{"mac-updating", no_argument, NULL, OPT_MAC_UPDATING},
	{"no-mac-updating", no_argument, NULL, OPT_NO_MAC_UPDATING},
	{"portmap", required_argument, NULL, OPT_PORTMAP},
	{"name", required_argument, NULL, OPT_NAME},
	{"workers", required_argument, NULL, OPT_WORKERS},
	{"eal-workers", required_argument, NULL, OPT_EAL_WORKERS},
	{"eal-worker-path", required_argument, NULL, OPT_EAL_WORKER_PATH},
	{"pool-mode", required_argument, NULL, OPT_POOL_MODE},
	{"worker-fn", required_argument, NULL, OPT_WORKER_FN},
	{"worker-path", required_argument, NULL, OPT_WORKER_PATH},
	{"no-spawn", no_argument, NULL, OPT_NO_SPAWN},
	{"wait-workers", required_argument, NULL, OPT_WAIT_WORKERS},
	{"no-worker", required_argument, NULL, OPT_NO_WORKER},
	{"ring-size", required_argument, NULL, OPT_RING_SIZE},
	{"backpressure", required_argument, NULL, OPT_BACKPRESSURE},
	{"mbufs", required_argument, NULL, OPT_MBUFS},
	{"mbuf-size", required_argument, NULL, OPT_MBUF_SIZE},
	{"exit-idle", required_argument, NULL, OPT_EXIT_IDLE},
	{"exit-after", required_argument, NULL, OPT_EXIT_AFTER},
	{"stats-file", required_argument, NULL, OPT_STATS_FILE},
	{"help", no_argument, NULL, OPT_HELP}, {NULL, 0, NULL, 0}};

static void
usage(FILE *out)
{
	fprintf(out,
		"slabio-l2fwd [EAL options] -- -p PORTMASK [options]\n"
		"  -p PORTMASK             hexadecimal bitmask of the ports to use\n"
		"  -q NQ                   ports per lcore (default: 1; all with --workers)\n"
		"  -T PERIOD               seconds between statistics, 0: none (default: 10)\n"
		"  -P                      promiscuous mode\n"
		"  --[no-]mac-updating     rewrite MAC addresses as l2fwd does, or not (default: "
		"do)\n"
		"  --portmap \"(a,b)[,...]\"  which port forwards to which, both ways\n"
		"Workers:\n"
		"  --workers N             spread flows over N worker processes (default: 0)\n"
		"  --eal-workers N         and over N EAL secondaries; both together up to %u "
		"(default: 0)\n"
		"  --pool-mode MODE        exact: what a killed EAL worker has in its hands comes "
		"back;\n"
		"                          conservative: it goes to quarantine (default: exact, "
		"unless\n"
		"                          the file that SLABIO_CONFIG names says otherwise)\n"
		"  --worker-fn FUNCTION    count, macswap or filter=EXPRESSION (default: count)\n"
		"  --worker-path FILE      the slabio-worker to start (default: the one beside "
		"this)\n"
		"  --eal-worker-path FILE  the slabio-eal-worker to start (default: as above)\n"
		"  --no-spawn              start none: operators run slabio-worker --attach NAME\n"
		"  --wait-workers SECONDS  begin when all are there, or give up (default: 10, 0 "
		"with\n"
		"                          --no-spawn: do not wait)\n"
		"  --no-worker ACTION      forward or drop while no worker is there (default: "
		"forward)\n"
		"  --name NAME             of this instance (default: l2fwd)\n"
		"  --ring-size N           descriptors to each worker, a power of two (default: "
		"1024)\n"
		"  --backpressure MS       receive less while a worker that moves has no room; one "
		"that\n"
		"                          stands for so long does not count (default: 0, drop at "
		"once)\n"
		"Buffers:\n"
		"  --mbufs N               buffers in the pool (default: what is needed, at least "
		"8192)\n"
		"  --mbuf-size BYTES       of one buffer, with 128 bytes of headroom (default: "
		"2048)\n"
		"Running:\n"
		"  --exit-idle SECONDS     end when nothing has come for so long\n"
		"  --exit-after SECONDS    end after so long\n"
		"  --stats-file FILE       write the final statistics there as JSON\n",
		L2FWD_SLOTS_MAX);
}

static int
number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || *value < min ||
		*value > max) {
		say("%s expects %" PRIu64 " to %" PRIu64 ", found \"%s\"", option, min, max, text);
		return -EINVAL;
	}
	return 0;
}

/* Seconds with decimals, to milliseconds. */
static int
seconds(const char *option, const char *text, uint64_t *ms)
{
	char *end;
	double value;

	errno = 0;
	value = strtod(text, &end);
	if (errno != 0 || end == text || *end != '\0' ||
		!(value >= 0.001 && value <= SECONDS_MAX)) {
		say("%s expects 0.001 to %u seconds, found \"%s\"", option, SECONDS_MAX, text);
		return -EINVAL;
	}
	*ms = (uint64_t)(value * 1000.0);
	return 0;
}

static int
number32(const char *option, const char *text, uint32_t min, uint32_t max, uint32_t *value)
{
	uint64_t wide;

	if (number(option, text, min, max, &wide) != 0)
		return -EINVAL;
	*value = (uint32_t)wide;
	return 0;
}

static int
parse_mask(const char *text)
{
	char *end;
	unsigned long mask;

	errno = 0;
	mask = strtoul(text, &end, 16);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || mask == 0 ||
		mask > UINT32_MAX) {
		say("-p expects a hexadecimal port mask that is not 0, found \"%s\"", text);
		return -EINVAL;
	}
	conf.port_mask = (uint32_t)mask;
	return 0;
}

/* "(0,1),(2,3)" */
static int
parse_portmap(const char *text)
{
	const char *at = text;

	conf.n_pairs = 0;
	while (conf.n_pairs < RTE_MAX_ETHPORTS) {
		unsigned int a, b;
		int used = 0;

		if (sscanf(at, " ( %5u , %5u )%n", &a, &b, &used) != 2 || used == 0 ||
			a >= RTE_MAX_ETHPORTS || b >= RTE_MAX_ETHPORTS)
			break;
		conf.pairs[conf.n_pairs][0] = (uint16_t)a;
		conf.pairs[conf.n_pairs++][1] = (uint16_t)b;
		at += used;
		if (*at == '\0')
			return 0;
		if (*at++ != ',')
			break;
	}
	say("--portmap expects pairs of port numbers below %u as \"(0,1),(2,3)\", found \"%s\"",
		RTE_MAX_ETHPORTS, text);
	return -EINVAL;
}

static int
parse_name(const char *text)
{
	if (sio_name_check(text) != 0 || strlen(text) >= L2FWD_INSTANCE_LEN) {
		say("--name expects 1 to %d characters of [A-Za-z0-9._#@:+-], found \"%s\"",
			L2FWD_INSTANCE_LEN - 1, text);
		return -EINVAL;
	}
	conf.name = text;
	return 0;
}

static int
parse_ring_size(const char *text)
{
	if (number32("--ring-size", text, RING_CAPACITY_MIN, RING_CAPACITY_MAX,
		    &conf.ring_capacity) != 0)
		return -EINVAL;
	if (!rte_is_power_of_2(conf.ring_capacity)) {
		say("--ring-size expects a power of two, found \"%s\"", text);
		return -EINVAL;
	}
	return 0;
}

static int
parse_no_worker(const char *text)
{
	if (strcmp(text, "forward") != 0 && strcmp(text, "drop") != 0) {
		say("--no-worker expects forward or drop, found \"%s\"", text);
		return -EINVAL;
	}
	conf.forward_without_workers = strcmp(text, "forward") == 0;
	return 0;
}

static int
parse_pool_mode(const char *text)
{
	if (strcmp(text, "exact") != 0 && strcmp(text, "conservative") != 0) {
		say("--pool-mode expects exact or conservative, found \"%s\"", text);
		return -EINVAL;
	}
	conf.pool_mode = strcmp(text, "exact") == 0 ? POOL_MODE_EXACT : POOL_MODE_CONSERVATIVE;
	return 0;
}

static int
parse_long(int opt, const char *arg)
{
	switch (opt) {
	case OPT_PORTMAP:
		return parse_portmap(arg);
	case OPT_NAME:
		return parse_name(arg);
	case OPT_WORKERS:
		return number32("--workers", arg, 0, L2FWD_SLOTS_MAX, &conf.n_workers);
	case OPT_EAL_WORKERS:
		return number32("--eal-workers", arg, 0, L2FWD_SLOTS_MAX, &conf.n_eal);
	case OPT_EAL_WORKER_PATH:
		conf.eal_worker_path = arg;
		return 0;
	case OPT_POOL_MODE:
		return parse_pool_mode(arg);
	case OPT_WORKER_FN:
		conf.worker_fn = arg;
		return 0;
	case OPT_WORKER_PATH:
		conf.worker_path = arg;
		return 0;
	case OPT_WAIT_WORKERS:
		return number("--wait-workers", arg, 0, SECONDS_MAX, &conf.wait_workers_s);
	case OPT_NO_WORKER:
		return parse_no_worker(arg);
	case OPT_RING_SIZE:
		return parse_ring_size(arg);
	case OPT_BACKPRESSURE:
		return number("--backpressure", arg, 0, 60000, &conf.backpressure_ms);
	case OPT_MBUFS:
		return number32("--mbufs", arg, 1, MBUFS_MAX, &conf.n_mbufs);
	case OPT_MBUF_SIZE:
		return number32("--mbuf-size", arg, MBUF_SIZE_MIN, MBUF_SIZE_MAX, &conf.mbuf_size);
	case OPT_EXIT_IDLE:
		return seconds("--exit-idle", arg, &conf.exit_idle_ms);
	case OPT_EXIT_AFTER:
		return seconds("--exit-after", arg, &conf.exit_after_ms);
	case OPT_STATS_FILE:
		conf.stats_file = arg;
		return 0;
	}
	usage(stderr);
	return -EINVAL;
}

static int
parse_one(int opt, const char *arg)
{
	switch (opt) {
	case 'p':
		return parse_mask(arg);
	case 'q':
		return number32("-q", arg, 1, RTE_MAX_ETHPORTS, &conf.ports_per_lcore);
	case 'T':
		return number("-T", arg, 0, SECONDS_MAX, &conf.stats_period_s);
	case 'P':
		conf.promiscuous = true;
		return 0;
	case OPT_MAC_UPDATING:
	case OPT_NO_MAC_UPDATING:
		conf.mac_updating = opt == OPT_MAC_UPDATING;
		return 0;
	case OPT_NO_SPAWN:
		conf.spawn = false;
		return 0;
	default:
		return parse_long(opt, arg);
	}
}

static int
check(bool wait_given)
{
	if (conf.port_mask == 0) {
		say("-p PORTMASK is missing");
		return -EINVAL;
	}
	conf.n_slots = conf.n_workers + conf.n_eal;
	if (!conf.spawn && (conf.worker_path != NULL || conf.eal_worker_path != NULL)) {
		say("--%sworker-path and --no-spawn contradict each other",
			conf.worker_path != NULL ? "" : "eal-");
		return -EINVAL;
	}
	if (!conf.spawn && conf.n_slots == 0) {
		say("--no-spawn expects --workers N or --eal-workers N");
		return -EINVAL;
	}
	if (conf.n_slots > L2FWD_SLOTS_MAX) {
		say("--workers and --eal-workers expect up to %u together, found %u",
			L2FWD_SLOTS_MAX, conf.n_slots);
		return -EINVAL;
	}
	if (conf.n_eal == 0 && (conf.pool_mode != POOL_MODE_ANY || conf.eal_worker_path != NULL)) {
		say("--%s expects --eal-workers N",
			conf.eal_worker_path != NULL ? "eal-worker-path" : "pool-mode");
		return -EINVAL;
	}
	if (!conf.spawn && !wait_given)
		conf.wait_workers_s = 0;
	/* blocks begin on cache lines, as pools of DPDK make them */
	conf.mbuf_size = RTE_ALIGN(conf.mbuf_size, SIO_CACHE_LINE);
	return 0;
}

int
options_parse(int argc, char **argv)
{
	bool wait_given = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "p:q:T:P", longopts, NULL)) != -1) {
		if (opt == OPT_HELP) {
			usage(stdout);
			return 1;
		}
		wait_given |= opt == OPT_WAIT_WORKERS;
		if (parse_one(opt, optarg) != 0)
			return -EINVAL;
	}
	if (optind != argc) {
		say("found \"%s\" where no argument is expected", argv[optind]);
		return -EINVAL;
	}
	return check(wait_given);
}
