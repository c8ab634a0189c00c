/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>

#include "l2fwd.h"
#include "l2fwd_eal.h"

#define MBUFS_MIN 8192u
#define POLL_US	  1000
/** How long an EAL worker may take to start before the next one does. */
#define EAL_START_S 10

atomic_bool force_quit;

void
say(const char *format, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	fprintf(stderr, "l2fwd: %s\n", line);
}

static void
log_line(enum sio_log_level level, const char *message, void *arg)
{
	static const uint32_t levels[] = {
		RTE_LOG_ERR, RTE_LOG_WARNING, RTE_LOG_NOTICE, RTE_LOG_INFO, RTE_LOG_DEBUG};

	(void)arg;
	rte_log(levels[RTE_MIN((size_t)level, RTE_DIM(levels) - 1)], RTE_LOGTYPE_USER1,
		"slabio: %s\n", message);
}

static void
on_signal(int sig)
{
	(void)sig;
	atomic_store(&force_quit, true);
}

static void
catch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

static int
choose_mbufs(uint32_t *n)
{
	uint32_t needed = ports_mbufs() + conf.n_slots * conf.ring_capacity;

	*n = conf.n_mbufs != 0 ? conf.n_mbufs : RTE_MAX(needed, MBUFS_MIN);
	if (*n < needed) {
		say("the pool is too small: %u ports and %u workers with rings of %u need --mbufs "
		    "%u, "
		    "found %u",
			ports_count(), conf.n_slots, conf.ring_capacity, needed, *n);
		return -EINVAL;
	}
	return 0;
}

/* Waits until so many workers are there. @return 0; -errno, with a message */
static int
wait_for_workers(unsigned int n, uint64_t seconds)
{
	uint64_t until = sio_now_ns() + seconds * NS_IN_S;

	while (workers_running() < n) {
		if (atomic_load(&force_quit))
			return -EINTR;
		if (!spawn_reap()) {
			say("a worker ended before it was ready: see its message above");
			return -ECHILD;
		}
		if (sio_now_ns() > until) {
			say("%u of %u workers are ready after %" PRIu64
			    " s (--wait-workers): giving up",
				workers_running(), conf.n_slots, seconds);
			return -ETIMEDOUT;
		}
		workers_watch(sio_now_ns());
		usleep(POLL_US);
	}
	return 0;
}

/*
 * EAL secondaries start one after the other: at the end of its start each removes what nobody has
 * locked in EAL's runtime folder, which can be what another one has just made and not locked yet.
 */
static int
spawn_all(void)
{
	uint64_t seconds = conf.wait_workers_s != 0 ? conf.wait_workers_s : EAL_START_S;
	char path[PATH_MAX];
	int ret = 0;

	for (unsigned int i = 0; ret == 0 && i < conf.n_slots; i++) {
		if (i > conf.n_workers)
			ret = wait_for_workers(i, seconds);
		if (ret == 0)
			ret = spawn_find(workers[i].eal, path, sizeof(path));
		if (ret == 0)
			ret = RTE_MIN(spawn_worker(path, i), 0);
	}
	return ret;
}

/* @return 0; or -errno, with the message printed; close_all() follows either way */
static int
open_all(void)
{
	char path[PATH_MAX];
	uint32_t n_mbufs;
	int ret;

	/* what can be wrong without having made anything is looked at first */
	if (conf.spawn && ((conf.n_workers != 0 && spawn_find(false, path, sizeof(path)) != 0) ||
				  (conf.n_eal != 0 && spawn_find(true, path, sizeof(path)) != 0)))
		return -ENOENT;
	flow_init();
	ret = share_check_eal();
	if (ret == 0)
		ret = ports_plan();
	if (ret == 0)
		ret = choose_mbufs(&n_mbufs);
	if (ret == 0)
		ret = buffers_create(n_mbufs);
	if (ret == 0)
		ret = ports_start();
	if (ret != 0 || conf.n_slots == 0)
		return ret;
	ret = buffers_publish();
	if (ret == 0)
		ret = workers_open();
	if (ret == 0 && conf.spawn)
		ret = spawn_all();
	if (ret == 0)
		ret = wait_for_workers(
			conf.wait_workers_s != 0 ? conf.n_slots : 0, conf.wait_workers_s);
	return ret;
}

static void
forward(void)
{
	say("forwarding");
	stats_begin();
	rte_eal_mp_remote_launch(forward_loop, NULL, CALL_MAIN);
	rte_eal_mp_wait_lcore();
	stats_end();
}

/* Puts everything back and says whether anything is missing. @return true if nothing is */
static bool
close_all(bool ran)
{
	bool clean = true;

	workers_close();
	for (unsigned int i = 0; i < ports_count(); i++)
		port_flush(ports_nth(i));
	ports_stop();
	if (ran) {
		stats_print(stdout, true);
		clean = stats_accounted();
	}
	if (buffers.pool != NULL)
		clean &= buffers_audit(stdout);
	fflush(stdout);
	if (ran && conf.stats_file != NULL && stats_write(conf.stats_file, clean) != 0)
		clean = false;
	for (unsigned int i = 0; i < ports_count(); i++)
		xstats_forget(ports_nth(i));
	buffers_destroy();
	return clean;
}

int
main(int argc, char **argv)
{
	bool ran = false, clean;
	int own = l2fwd_eal_own_args(argc, argv), ret;

	if (own < argc) {
		ret = options_parse(argc - own, argv + own);
		if (ret != 0)
			return ret > 0 ? 0 : 2;
		spawn_keep_args(own, argv);
		if (restart_wait(conf.name) != 0)
			return 1;
	}
	ret = rte_eal_init(argc, argv);
	if (ret < 0) {
		say("EAL cannot start: %s", rte_strerror(rte_errno));
		return 1;
	}
	if (own == argc) {
		say("-p PORTMASK is missing: expected \"--\" and this application's options after "
		    "those of EAL");
		rte_eal_cleanup();
		return 2;
	}
	sio_log_set(log_line, NULL, SIO_LOG_INFO);
	catch_signals();
	ret = open_all();
	if (ret == 0) {
		forward();
		ran = true;
	}
	clean = close_all(ran);
	/*
	 * EAL's memory is locked when it is freed, by words in that memory that die with their holder:
	 * with secondaries that may be killed at any time, it is left to the kernel.
	 */
	if (conf.n_eal == 0)
		rte_eal_cleanup();
	return ret == 0 && clean ? 0 : 1;
}
