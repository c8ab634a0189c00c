/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include <slabio/pool.h>

#include "eal_world.h"

#define SKIPPED	   77
#define RANGES_MAX 16
#define PAGE	   4096u
#define ARGS_MAX   32
/* Enough for the ports and one small pool. */
#define MEMORY "-m12"

/** A shared mapping of EAL's, and which of its pages are not empty. */
struct range {
	unsigned char *addr;
	size_t len;
	unsigned char *used; /**< by page */
};

static struct range ranges[RANGES_MAX];
static unsigned int n_ranges;
static char dir[64], prefix[32];
static pid_t sweeper;

/* the heir of this scene: what the survivor has of it */
static int heir_go = -1, heir_done = -1;

const char *
eal_world_prefix(void)
{
	return prefix;
}

const char *
eal_world_dir(void)
{
	return dir;
}

static void
remove_tree(const char *path)
{
	char name[512];
	struct dirent *e;
	DIR *d = opendir(path);

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (e->d_type == DT_DIR)
			remove_tree(name);
		else
			unlink(name);
	}
	if (d != NULL)
		closedir(d);
	rmdir(path);
}

static void __attribute__((noreturn, format(printf, 2, 3)))
give_up(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf(status == SKIPPED ? "SKIP: " : "FAIL: ");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	remove_tree(dir);
	exit(status);
}

static void
write_config(const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/mempool.cfg", dir);
	f = fopen(path, "we");
	if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
		give_up(1, "%s cannot be written: %s", path, strerror(errno));
	setenv("SLABIO_CONFIG", path, 1);
}

/*
 * EAL loads every driver that is installed, and a process with hundreds of libraries takes six
 * times as long to fork. The drivers that are needed are linked to the program; so, where that may
 * be, it looks at an empty folder in their place.
 */
static void
hide_drivers(void)
{
	if (RTE_EAL_PMD_PATH[0] == '\0' || unshare(CLONE_NEWNS) != 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return;
	mount("none", RTE_EAL_PMD_PATH, "tmpfs", MS_RDONLY, NULL);
}

static void
start_eal(const char *const *devices)
{
	static char vdevs[8][256];
	char *args[ARGS_MAX] = {"crash", "--no-pci", "--no-telemetry", "--no-huge", MEMORY, "-l0",
		"--iova-mode=va", "--log-level=*:warning", "--file-prefix", prefix};
	int n = 0, rc;

	while (args[n] != NULL)
		n++;
	for (unsigned int i = 0; devices != NULL && devices[i] != NULL; i++) {
		int len = snprintf(vdevs[i], sizeof(vdevs[i]), "--vdev=");

		/* each %s is the folder */
		for (const char *c = devices[i]; *c != '\0' && len < 200; c++) {
			if (c[0] == '%' && c[1] == 's') {
				len += snprintf(
					vdevs[i] + len, sizeof(vdevs[i]) - (size_t)len, "%s", dir);
				c++;
			} else {
				vdevs[i][len++] = *c;
				vdevs[i][len] = '\0';
			}
		}
		args[n++] = vdevs[i];
	}
	rc = rte_eal_init(n, args);
	if (rc < 0)
		give_up(1, "EAL does not start: %s", rte_strerror(rte_errno));
}

/* The shared mappings of now are EAL's: the harness has none yet. */
static void
find_ranges(void)
{
	static const unsigned char zero[PAGE];
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		struct range *r = &ranges[n_ranges];
		unsigned long from, to;
		char perm[5];

		if (sscanf(line, "%lx-%lx %4s", &from, &to, perm) != 3 || perm[1] != 'w' ||
			perm[3] != 's')
			continue;
		if (n_ranges == RANGES_MAX)
			give_up(1, "EAL has more than %d shared mappings", RANGES_MAX);
		*r = (struct range){
			(unsigned char *)from, to - from, calloc((to - from) / PAGE, 1)};
		if (r->used == NULL)
			give_up(1, "no memory");
		for (size_t i = 0; i < r->len / PAGE; i++)
			r->used[i] = memcmp(r->addr + i * PAGE, zero, PAGE) != 0;
		n_ranges++;
	}
	if (f != NULL)
		fclose(f);
	if (n_ranges == 0)
		give_up(1, "EAL shares no memory");
}

static void
on_signal(int sig)
{
	kill(sweeper, sig);
}

/* Waits for the sweeping process, and removes everything. */
static void __attribute__((noreturn)) stay_behind(void)
{
	const struct sigaction action = {.sa_handler = on_signal};
	int status;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	while (waitpid(sweeper, &status, 0) < 0 && errno == EINTR)
		;
	rte_eal_cleanup();
	remove_tree(dir);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/*
 * A process that has a pool joins those whom the barrier reaches, which takes a walk over all CPUs;
 * a process that is forked from it need not.
 */
static void
join_barrier(void)
{
	const struct sio_pool_opts opts = {
		.sz = sizeof(opts), .name = "first", .n_blocks = 8, .block_size = 64};
	struct sio_pool *pool;

	setenv("SLABIO_RUNTIME_DIR", dir, 1);
	if (sio_pool_create(&opts, &pool) != 0)
		give_up(1, "no pool can be made in %s", dir);
	sio_pool_destroy(pool);
}

void
eal_world_start(
	char **argv, const char *config, const char *const *devices, void (*files)(const char *dir))
{
	cpu_set_t cpus;
	pid_t parent;

	/* symbols are resolved before, or the linker's work would be part of what is swept */
	if (getenv("LD_BIND_NOW") == NULL) {
		setenv("LD_BIND_NOW", "1", 1);
		execv("/proc/self/exe", argv);
	}
	if (geteuid() != 0)
		give_up(SKIPPED, "EAL needs root here");
	snprintf(dir, sizeof(dir), "/dev/shm/slabio-crash-eal-XXXXXX");
	if (mkdtemp(dir) == NULL)
		give_up(1, "no folder in /dev/shm: %s", strerror(errno));
	snprintf(prefix, sizeof(prefix), "crash%d", (int)getpid());
	setenv("RUNTIME_DIRECTORY", dir, 1);
	write_config(config);
	if (files != NULL)
		files(dir);
	hide_drivers();
	sched_getaffinity(0, sizeof(cpus), &cpus);
	start_eal(devices);
	/*
	 * EAL's threads stay behind here: a process forked from one with a single thread never
	 * finds a lock taken by a thread that it has not
	 */
	fflush(NULL);
	parent = getpid();
	sweeper = fork();
	if (sweeper < 0)
		give_up(1, "fork: %s", strerror(errno));
	if (sweeper > 0)
		stay_behind();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	/* EAL's lcore had one for itself; the processes of a scene have all of them */
	sched_setaffinity(0, sizeof(cpus), &cpus);
	find_ranges();
	join_barrier();
}

void
eal_world_copy(struct crash_scene *s)
{
	for (unsigned int r = 0; r < n_ranges; r++) {
		const struct range *range = &ranges[r];
		unsigned char *copy = mmap(NULL, range->len, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		crash_check(s, copy != MAP_FAILED);
		for (size_t i = 0; i < range->len / PAGE; i++)
			if (range->used[i])
				memcpy(copy + i * PAGE, range->addr + i * PAGE, PAGE);
		crash_check(s, mremap(copy, range->len, range->len, MREMAP_MAYMOVE | MREMAP_FIXED,
				       range->addr) == range->addr);
	}
}

void
eal_heir_fork(struct crash_scene *s, void (*fn)(struct crash_scene *s))
{
	pid_t parent = getpid(), pid;
	int go[2], done[2];
	char byte;

	crash_check(s, pipe2(go, O_CLOEXEC) == 0 && pipe2(done, O_CLOEXEC) == 0);
	pid = fork();
	crash_check(s, pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		close(go[1]);
		close(done[0]);
		if (read(go[0], &byte, 1) != 1)
			_exit(0);
		fn(s);
		if (write(done[1], "d", 1) != 1)
			_exit(1);
		/* until the survivor is gone, or the victim, which has the other end as well */
		while (read(go[0], &byte, 1) > 0)
			;
		_exit(0);
	}
	close(go[0]);
	close(done[1]);
	heir_go = go[1];
	heir_done = done[0];
}

void
eal_heir_call(struct crash_scene *s)
{
	char byte;

	crash_check(s, write(heir_go, "g", 1) == 1);
	/* its end without an answer is a fault of its own, which it has written down */
	if (read(heir_done, &byte, 1) != 1)
		crash_fault(s, CRASH_WRONG, "the process that came after ended");
}
