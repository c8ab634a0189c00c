/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* slabio-bench: mempool handlers and rings compared in interleaved pairs. EAL, presets, order of
 * the suites. */

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include "bench.h"
#include "options.h"

#define EAL_ARGS_MAX 64
#define CPUS_MAX     32

static char *eal_argv[EAL_ARGS_MAX + 1];
static int eal_argc;

static void
eal_add(const char *arg)
{
	if (eal_argc < EAL_ARGS_MAX)
		eal_argv[eal_argc++] = strdup(arg);
}

/* Whether the user's own EAL options have one of these, as "--name value", "--name=value" or
 * "-lvalue". */
static bool
eal_has(int n, char **argv, const char *const *names)
{
	for (; *names != NULL; names++) {
		size_t len = strlen(*names);

		for (int i = 0; i < n; i++)
			if (strncmp(argv[i], *names, len) == 0 &&
				((*names)[1] != '-' || argv[i][len] == '\0' || argv[i][len] == '='))
				return true;
	}
	return false;
}

/* An lcore for each CPU that this process may use, then another one for each. */
static void
eal_add_lcores(void)
{
	char text[CPUS_MAX * 2 * 16] = "";
	size_t len = 0;
	unsigned int n = 0;
	int cpus[CPUS_MAX];
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE && n < CPUS_MAX; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[n++] = cpu;
	for (unsigned int i = 0; i < 2 * n; i++)
		len += (size_t)snprintf(&text[len], sizeof(text) - len, "%s%u@%d", i > 0 ? "," : "",
			i, cpus[i % n]);
	eal_add("--lcores");
	eal_add(text);
}

/* Enough for two mempools, kept from the start so that no run waits for the kernel to clear pages.
 */
static void
eal_add_memory(void)
{
	char text[32];
	size_t pool = (size_t)bench_options.objects * (bench_options.object_size + 192);

	snprintf(text, sizeof(text), "%zu", (2 * pool >> 20) * 9 / 8 + 64);
	eal_add("-m");
	eal_add(text);
}

/* The plugin of the build tree, if this program runs from there; an installed one EAL finds itself.
 */
static void
eal_add_plugin(void)
{
#if defined(SLAB_PLUGIN) && defined(BUILD_ROOT)
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return;
	self[n] = '\0';
	if (strncmp(self, BUILD_ROOT "/", sizeof(BUILD_ROOT)) == 0) {
		eal_add("-d");
		eal_add(SLAB_PLUGIN);
	}
#endif
}

#define ANY_OF(...) ((const char *const[]){__VA_ARGS__, NULL})

static void
eal_args(const char *program, int n, char **argv)
{
	char prefix[64];

	eal_add(program);
	for (int i = 0; i < n; i++)
		eal_add(argv[i]);
	if (!eal_has(n, argv, ANY_OF("-l", "-c", "-s", "--lcores")))
		eal_add_lcores();
	if (!eal_has(n, argv, ANY_OF("-m", "--socket-mem", "--no-huge")))
		eal_add_memory();
	if (!eal_has(n, argv, ANY_OF("-d")))
		eal_add_plugin();
	if (!eal_has(n, argv, ANY_OF("--iova-mode")))
		eal_add("--iova-mode=va");
	if (!eal_has(n, argv, ANY_OF("-a", "--allow", "-b", "--block", "--no-pci")))
		eal_add("--no-pci");
	if (!eal_has(n, argv, ANY_OF("--file-prefix", "--in-memory"))) {
		snprintf(prefix, sizeof(prefix), "--file-prefix=slabio-bench-%d", (int)getpid());
		eal_add(prefix);
		/*
		 * either way nothing is left of it, but EAL refuses --in-memory without hugepages
		 */
		eal_add(eal_has(n, argv, ANY_OF("--no-huge")) ? "--no-shconf" : "--in-memory");
	}
	if (!eal_has(n, argv, ANY_OF("--log-level")))
		eal_add("--log-level=lib.eal:warning");
	if (!eal_has(n, argv, ANY_OF("--no-telemetry")))
		eal_add("--no-telemetry");
}

static bool
eal_start(void)
{
	if (rte_eal_init(eal_argc, eal_argv) >= 0)
		return true;
	bench_error("EAL did not start: %s; it was called with:", rte_strerror(rte_errno));
	for (int i = 1; i < eal_argc; i++)
		fprintf(stderr, " %s", eal_argv[i]);
	fprintf(stderr, "\nusertools/hugepages.sh sets hugepages aside; without any: slabio-bench "
			"--no-huge -m 512 --\n");
	return false;
}

static int
run_suites(void)
{
	const struct bench_options *o = &bench_options;
	int ret = 0;

	if (o->suite_machine)
		ret = bench_machine();
	if (o->preset == BENCH_BARS)
		return ret == 0 ? bench_bars() : ret;
	if (ret == 0 && o->suite_mempool)
		ret = bench_mempool();
	if (ret == 0 && o->suite_pool)
		ret = bench_pool();
	if (ret == 0 && o->suite_ring)
		ret = bench_ring();
	if (ret == 0 && o->suite_recovery)
		ret = bench_recovery();
	if (ret == 0 && o->suite_recovery)
		ret = bench_members();
	return ret;
}

static int
write_files(void)
{
	const struct bench_options *o = &bench_options;
	int ret = 0;

	if (o->json != NULL && bench_write_json(o->json) != 0)
		ret = 1;
	if (o->csv != NULL && bench_write_csv(o->csv) != 0)
		ret = 1;
	if (o->plot != NULL && bench_write_plot(o->plot) != 0)
		ret = 1;
	return ret;
}

int
main(int argc, char **argv)
{
	int sep = 0, ret;

	for (int i = 1; i < argc && sep == 0; i++)
		if (strcmp(argv[i], "--") == 0)
			sep = i;
	if (!bench_options_parse(argc - sep, argv + sep))
		return 2;
	if (bench_options.plot != NULL && !bench_plot_possible()) {
		bench_error("--plot needs gnuplot, which is not installed (Debian: gnuplot-nox); "
			    "--json and --csv need nothing");
		return 2;
	}
	eal_args(argv[0], sep > 0 ? sep - 1 : 0, argv + 1);
	if (!eal_start())
		return 1;
	bench_team_init();
	bench_members_init();
	printf("%u lcores with a CPU each, %u that share one; %u objects of %u bytes\n", bench_cpus,
		bench_lcores - bench_cpus, bench_options.objects, bench_options.object_size);
	ret = run_suites();
	bench_summary();
	ret = write_files() != 0 || ret != 0;
	(void)rte_eal_cleanup();
	/* in memory, EAL keeps no file in it */
	(void)rmdir(rte_eal_get_runtime_dir());
	return ret;
}
