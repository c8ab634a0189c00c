/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include "unit_segment.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <segment/segment_private.h>

static int
create_and_die(void *arg)
{
	struct sio_segment_opts *opts = arg;
	struct sio_segment *seg;

	if (sio_segment_create(opts, &seg) < 0)
		return 1;
	raise(SIGKILL);
	return 2;
}

static void
creator_killed_before_publishing_leaves_nothing(void **state)
{
	struct sio_segment_opts opts = seg_opts("n", SIO_BACKING_FILE, 10000);
	struct sio_segment *seg;

	(void)state;
	assert_int_equal(unit_wait(unit_fork(create_and_die, &opts)), 128 + SIGKILL);
	assert_int_equal(runtime_entries(), 0);
	assert_int_equal(seg_attach("n", &seg), -ENOENT);
	assert_int_equal(seg_make("n", SIO_BACKING_FILE, &seg), 0);
	sio_segment_unlink(seg);
	sio_segment_detach(seg);
}

/*
 * file systems without O_TMPFILE: a temporary name stays, and goes with the next creator of the
 * name
 */
static void
temporary_file_of_a_dead_creator_is_removed_by_the_next(void **state)
{
	struct sio_segment_opts opts = seg_opts("n", SIO_BACKING_FILE, 10000);
	struct sio_segment_opts longer = seg_opts("@n", SIO_BACKING_FILE, 10000);
	struct sio_segment *seg, *other, *alive;

	(void)state;
	sio__tmp_named = true;
	assert_int_equal(unit_wait(unit_fork(create_and_die, &opts)), 128 + SIGKILL);
	assert_int_equal(runtime_entries(), 1);
	assert_int_equal(seg_attach("n", &other), -ENOENT);

	/* one of another name, and one of this name that lives: both stay */
	assert_int_equal(sio_segment_create(&longer, &alive), 0);
	assert_int_equal(runtime_entries(), 2);
	assert_int_equal(sio_segment_create(&opts, &seg), 0);
	assert_int_equal(runtime_entries(), 2);
	assert_int_equal(sio_segment_create(&opts, &other), 0);
	assert_int_equal(runtime_entries(), 3);
	assert_int_equal(sio_segment_publish(seg), 0);
	assert_int_equal(sio_segment_publish(other), -EEXIST);
	assert_int_equal(sio_segment_publish(alive), 0);
	sio_segment_detach(other);
	assert_int_equal(runtime_entries(), 2);
	assert_int_equal(sio_segment_unlink(seg), 0);
	assert_int_equal(sio_segment_unlink(alive), 0);
	assert_int_equal(runtime_entries(), 0);
	sio_segment_detach(seg);
	sio_segment_detach(alive);

	/* without a name there is nothing to come back to */
	opts.name = NULL;
	assert_int_equal(sio_segment_create(&opts, &seg), 0);
	assert_int_equal(runtime_entries(), 0);
	sio_segment_detach(seg);
	sio__tmp_named = false;
}

static void
stale_is_replaced(enum sio_backing backing)
{
	struct sio_segment_opts opts = seg_opts("n", backing, 10000);
	struct sio_segment *seg;
	int status;

	status = unit_wait(unit_fork(seg_make_and_die_fn, &opts));
	if (status == 1 && backing != SIO_BACKING_FILE && backing != SIO_BACKING_MEMFD) {
		print_message("no hugepages for %s\n", sio_backing_name(backing));
		skip();
	}
	assert_int_equal(status, 128 + SIGKILL);
	assert_int_equal(runtime_entries(), 1);
	assert_int_equal(sio_segment_create(&opts, &seg), 0);
	/*
	 * gone at once, not only when the new one is published: its memory may be what the new one
	 * needs
	 */
	assert_int_equal(runtime_entries(), 0);
	assert_int_equal(((unsigned char *)sio_segment_data(seg))[0], 0);
	assert_int_equal(sio_segment_publish(seg), 0);
	assert_int_equal(sio_segment_unlink(seg), 0);
	sio_segment_detach(seg);
	assert_int_equal(runtime_entries(), 0);
}

static void
stale_file_is_replaced(void **state)
{
	(void)state;
	stale_is_replaced(SIO_BACKING_FILE);
}

static void
stale_memfd_is_replaced(void **state)
{
	(void)state;
	stale_is_replaced(SIO_BACKING_MEMFD);
}

static void
stale_hugetlbfs_file_is_replaced(void **state)
{
	(void)state;
	stale_is_replaced(SIO_BACKING_HUGETLBFS);
}

static void
stale_memfd_huge_is_replaced(void **state)
{
	(void)state;
	stale_is_replaced(SIO_BACKING_MEMFD_HUGE);
}

static int
create_is_refused(void *arg)
{
	struct sio_segment_opts *opts = arg;
	struct sio_segment *seg;

	return sio_segment_create(opts, &seg) == -EEXIST && seg == NULL ? 0 : 1;
}

static void
live_is_refused(enum sio_backing backing)
{
	struct sio_segment_opts opts = seg_opts("n", backing, 10000);
	struct sio_segment *seg, *other;

	assert_int_equal(seg_make("n", backing, &seg), 0);
	assert_int_equal(sio_segment_create(&opts, &other), -EEXIST);
	assert_int_equal(unit_wait(unit_fork(create_is_refused, &opts)), 0);
	/* the look at it has cost it nothing */
	assert_int_equal(unit_wait(unit_fork(create_is_refused, &opts)), 0);
	assert_int_equal(sio_segment_unlink(seg), 0);
	sio_segment_detach(seg);
}

static void
living_segment_is_not_replaced(void **state)
{
	(void)state;
	live_is_refused(SIO_BACKING_FILE);
	live_is_refused(SIO_BACKING_MEMFD);
}

struct race {
	struct unit_gate ready, go, result, end;
	enum sio_backing backing;
};

static int
racer(void *arg)
{
	struct race *race = arg;
	struct sio_segment *seg = NULL;
	int rc;

	unit_gate_open(&race->ready);
	unit_gate_pass(&race->go);
	rc = seg_make("race", race->backing, &seg);
	if (write(race->result.fd[1], &rc, sizeof(rc)) != sizeof(rc))
		return 1;
	/* the winner lives until both have tried */
	unit_gate_pass(&race->end);
	return 0;
}

static void
one_of_two_racing_creators_wins(void **state)
{
	int round, i, rc, won;
	struct race race;
	char path[200];
	pid_t pid[2];

	(void)state;
	unit_gate_init(&race.ready);
	unit_gate_init(&race.go);
	unit_gate_init(&race.result);
	unit_gate_init(&race.end);
	for (round = 0; round < 60; round++) {
		race.backing = round % 4 == 3 ? SIO_BACKING_MEMFD : SIO_BACKING_FILE;
		for (i = 0; i < 2; i++)
			pid[i] = unit_fork(racer, &race);
		for (i = 0; i < 2; i++)
			assert_true(unit_gate_pass(&race.ready));
		unit_gate_open(&race.go);
		unit_gate_open(&race.go);
		for (i = 0, won = 0; i < 2; i++) {
			assert_int_equal(read(race.result.fd[0], &rc, sizeof(rc)), sizeof(rc));
			assert_true(rc == 0 || rc == -EEXIST);
			won += rc == 0;
		}
		assert_int_equal(won, 1);
		assert_int_equal(runtime_entries(), 1);
		/* ends without a detach: each round starts on what the one before has left */
		unit_gate_open(&race.end);
		unit_gate_open(&race.end);
		for (i = 0; i < 2; i++)
			assert_int_equal(unit_wait(pid[i]), 0);
	}
	snprintf(path, sizeof(path), "%s/race", unit_env_dir);
	unlink(path);
	unit_gate_close(&race.ready);
	unit_gate_close(&race.go);
	unit_gate_close(&race.result);
	unit_gate_close(&race.end);
}

struct churn {
	struct unit_gate end;
};

/* Replaces the segment again and again; each is dead as soon as it is there. */
static int
replacer(void *arg)
{
	struct churn *churn = arg;
	struct pollfd p = {.fd = churn->end.fd[0], .events = POLLIN};
	struct sio_segment *seg;
	int rc, n = 0;

	while (poll(&p, 1, 0) == 0) {
		rc = seg_make("churn", SIO_BACKING_FILE, &seg);
		if (rc == -EEXIST)
			continue; /* an attacher lives in it */
		if (rc < 0)
			return 1;
		sio_segment_detach(seg);
		n++;
	}
	return n > 0 ? 0 : 2;
}

/*
 * A member of what a name leads to stays a member of what it leads to: nobody replaces a segment
 * under a token. The look is through the file system, past the library.
 */
static void
attaching_against_replacing_never_joins_a_replaced_segment(void **state)
{
	uint64_t end = sio_now_ns() + UINT64_C(1500000000);
	unsigned int joined = 0, i;
	struct sio_segment *seg;
	struct stat file, name;
	struct churn churn;
	char path[200];
	pid_t pid[2];
	int rc;

	(void)state;
	snprintf(path, sizeof(path), "%s/churn", unit_env_dir);
	unit_gate_init(&churn.end);
	for (i = 0; i < 2; i++)
		pid[i] = unit_fork(replacer, &churn);
	while (sio_now_ns() < end || (joined < 20 && sio_now_ns() < end + UINT64_C(5000000000))) {
		rc = seg_attach("churn", &seg);
		if (rc == -ENOENT || rc == -EBUSY)
			continue;
		assert_int_equal(rc, 0);
		assert_int_equal(fstat(sio_segment_fd(seg), &file), 0);
		for (i = 0; i < 20; i++) {
			assert_int_equal(stat(path, &name), 0);
			assert_int_equal(name.st_ino, file.st_ino);
		}
		sio_segment_detach(seg);
		joined++;
	}
	unit_gate_open(&churn.end);
	unit_gate_open(&churn.end);
	for (i = 0; i < 2; i++)
		assert_int_equal(unit_wait(pid[i]), 0);
	assert_true(joined >= 20);
	unlink(path);
	unit_gate_close(&churn.end);
}

static int
publish_again(void *arg)
{
	struct sio_segment *seg;
	struct unit_gate *gate = arg;

	if (seg_make("n", SIO_BACKING_FILE, &seg) < 0)
		return 1;
	unit_gate_open(&gate[0]);
	return unit_gate_pass(&gate[1]) ? 0 : 2;
}

static void
unlink_spares_a_successor_of_the_name(void **state)
{
	struct unit_gate gate[2];
	struct sio_segment *seg;
	char path[200];
	pid_t pid;

	(void)state;
	unit_gate_init(&gate[0]);
	unit_gate_init(&gate[1]);
	snprintf(path, sizeof(path), "%s/n", unit_env_dir);
	assert_int_equal(seg_make("n", SIO_BACKING_FILE, &seg), 0);
	unlink(path);
	pid = unit_fork(publish_again, gate);
	assert_true(unit_gate_pass(&gate[0]));
	assert_int_equal(sio_segment_unlink(seg), -ENOENT);
	assert_int_equal(access(path, F_OK), 0);
	unit_gate_open(&gate[1]);
	assert_int_equal(unit_wait(pid), 0);
	sio_segment_detach(seg);
	unlink(path);
	unit_gate_close(&gate[0]);
	unit_gate_close(&gate[1]);
}

static void
links_that_lead_nowhere_are_no_segment(void **state)
{
	static const char *const targets[] = {
		"/proc/2147483647/fd/3", "/proc/self/fd/0", "/nowhere/slabio.0.0@n"};
	struct sio_segment *seg;
	char path[200];
	size_t i;

	(void)state;
	snprintf(path, sizeof(path), "%s/n", unit_env_dir);
	for (i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		assert_int_equal(symlink(targets[i], path), 0);
		assert_int_equal(seg_attach("n", &seg), -ENOENT);
		assert_int_equal(seg_make("n", SIO_BACKING_FILE, &seg), 0);
		assert_int_equal(sio_segment_unlink(seg), 0);
		sio_segment_detach(seg);
	}
}

/*
 * as after a pid came round: a memfd with the name of a slabio segment, but without what is in one
 */
static void
link_to_a_foreign_memfd_is_no_segment(void **state)
{
	struct sio_segment *seg;
	char path[200], link[64];
	int fd;

	(void)state;
	fd = memfd_create("slabio.n", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 16384), 0);
	snprintf(path, sizeof(path), "%s/n", unit_env_dir);
	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)getpid(), fd);
	assert_int_equal(symlink(link, path), 0);
	assert_int_equal(seg_attach("n", &seg), -ENOENT);
	assert_int_equal(seg_make("n", SIO_BACKING_FILE, &seg), 0);
	assert_int_equal(sio_segment_unlink(seg), 0);
	sio_segment_detach(seg);
	close(fd);
}

static int
lock_name(void *arg)
{
	struct unit_gate *gate = arg;
	int dirfd = sio__runtime_open();

	if (dirfd < 0 || sio__name_lock(dirfd, "n") < 0)
		return 1;
	unit_gate_open(gate);
	pause();
	return 2;
}

static void
a_process_stopped_in_the_names_lock_is_named_and_not_waited_for(void **state)
{
	struct sio_segment_opts opts = seg_opts("n", SIO_BACKING_FILE, 1);
	struct sio_segment *seg;
	struct unit_gate gate;
	char pid_text[32];
	uint64_t start;
	pid_t pid;

	(void)state;
	unit_gate_init(&gate);
	pid = unit_fork(lock_name, &gate);
	assert_true(unit_gate_pass(&gate));
	kill(pid, SIGSTOP);
	start = sio_now_ns();
	assert_int_equal(sio_segment_create(&opts, &seg), -EBUSY);
	assert_true(sio_now_ns() - start < UINT64_C(10000000000));
	snprintf(pid_text, sizeof(pid_text), "process %d", (int)pid);
	assert_non_null(strstr(unit_log_last, pid_text));
	/* other names go on */
	opts.name = "m";
	assert_int_equal(sio_segment_create(&opts, &seg), 0);
	sio_segment_detach(seg);
	unit_kill(pid);
	opts.name = "n";
	assert_int_equal(sio_segment_create(&opts, &seg), 0);
	sio_segment_detach(seg);
	unit_gate_close(&gate);
}

/* a publisher killed between linking the file and linking the name */
static void
hugetlbfs_file_without_a_name_is_cleared_away(void **state)
{
	struct sio_segment_opts opts = seg_opts("n", SIO_BACKING_HUGETLBFS, 10000);
	char path[200], target[PATH_MAX];
	struct sio_segment *seg;
	ssize_t n;

	(void)state;
	if (unit_wait(unit_fork(seg_make_and_die_fn, &opts)) != 128 + SIGKILL) {
		print_message("no hugepages on hugetlbfs\n");
		skip();
	}
	snprintf(path, sizeof(path), "%s/n", unit_env_dir);
	n = readlink(path, target, sizeof(target) - 1);
	assert_true(n > 0);
	target[n] = '\0';
	unlink(path);
	assert_int_equal(access(target, F_OK), 0);
	assert_int_equal(seg_make("n", SIO_BACKING_HUGETLBFS, &seg), 0);
	assert_int_equal(access(target, F_OK), 0);
	assert_int_equal(sio_segment_unlink(seg), 0);
	assert_int_equal(access(target, F_OK), -1);
	sio_segment_detach(seg);
}

/* Files that a name has on a hugetlbfs mount, temporary ones too. */
static unsigned int
huge_entries(const char *mount, const char *name)
{
	char path[PATH_MAX], tag[PATH_MAX];
	int dirfd = sio__runtime_open();
	struct dirent *entry;
	unsigned int n = 0;
	DIR *dir;

	assert_int_equal(sio__name_huge_path(path, sizeof(path), "", dirfd, name), 0);
	close(dirfd);
	/* up to the name: "/slabio.UID.HOME" */
	snprintf(tag, sizeof(tag), "%s", path + 1);
	*strchr(tag, '@') = '\0';
	dir = opendir(mount);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		n += strncmp(entry->d_name, tag, strlen(tag)) == 0;
	closedir(dir);
	return n;
}

/* hugepages are scarce: a creator killed before it published must not keep them */
static void
hugetlbfs_creator_killed_before_publishing_leaves_no_pages(void **state)
{
	struct sio_segment_opts opts = seg_opts("n", SIO_BACKING_HUGETLBFS, 10000);
	char path[200], mount[PATH_MAX];
	struct sio_segment *seg;
	ssize_t n;

	(void)state;
	if (seg_make("n", SIO_BACKING_HUGETLBFS, &seg) < 0) {
		print_message("no hugepages on hugetlbfs\n");
		skip();
	}
	snprintf(path, sizeof(path), "%s/n", unit_env_dir);
	n = readlink(path, mount, sizeof(mount) - 1);
	assert_true(n > 0);
	mount[n] = '\0';
	*strrchr(mount, '/') = '\0';
	assert_int_equal(huge_entries(mount, "n"), 1);
	assert_int_equal(sio_segment_unlink(seg), 0);
	sio_segment_detach(seg);
	assert_int_equal(huge_entries(mount, "n"), 0);

	assert_int_equal(unit_wait(unit_fork(create_and_die, &opts)), 128 + SIGKILL);
	assert_int_equal(huge_entries(mount, "n"), 0);

	/* where the mount cannot do that: the next one clears it away */
	sio__tmp_named = true;
	assert_int_equal(unit_wait(unit_fork(create_and_die, &opts)), 128 + SIGKILL);
	assert_int_equal(huge_entries(mount, "n"), 1);
	assert_int_equal(seg_make("n", SIO_BACKING_HUGETLBFS, &seg), 0);
	assert_int_equal(huge_entries(mount, "n"), 1);
	assert_int_equal(sio_segment_unlink(seg), 0);
	sio_segment_detach(seg);
	assert_int_equal(huge_entries(mount, "n"), 0);
	sio__tmp_named = false;
}

struct listed {
	unsigned int n, raw, pools;
	int stop;
};

static int
count_listed(const char *name, uint32_t kind, void *arg)
{
	struct listed *listed = arg;
	struct sio_segment *seg;

	listed->n++;
	listed->raw += kind == KIND && strcmp(name, "a") == 0;
	listed->pools += kind == SIO_KIND_POOL && strcmp(name, "b") == 0;
	/* the library may be called from here */
	if (kind == KIND && seg_observe(name, &seg) == 0)
		sio_segment_detach(seg);
	return listed->stop;
}

static void
list_shows_segments_and_ignores_strangers(void **state)
{
	struct sio_segment_opts pool = seg_opts("b", SIO_BACKING_FILE, 1);
	struct sio_segment_opts hidden = seg_opts("c", SIO_BACKING_FILE, 1);
	struct sio_segment *mine, *unpublished;
	struct listed listed = {0};
	char path[200];
	int fd;

	(void)state;
	assert_int_equal(sio_segment_list(count_listed, &listed), 0);
	assert_int_equal(listed.n, 0);

	assert_int_equal(seg_make("a", SIO_BACKING_MEMFD, &mine), 0);
	pool.kind = SIO_KIND_POOL;
	assert_int_equal(unit_wait(unit_fork(seg_make_and_die_fn, &pool)), 128 + SIGKILL);
	assert_int_equal(sio_segment_create(&hidden, &unpublished), 0);
	snprintf(path, sizeof(path), "%s/stranger", unit_env_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	snprintf(path, sizeof(path), "%s/dangling", unit_env_dir);
	assert_int_equal(symlink("/proc/2147483647/fd/1", path), 0);

	assert_int_equal(sio_segment_list(count_listed, &listed), 0);
	assert_int_equal(listed.n, 2);
	assert_int_equal(listed.raw, 1);
	assert_int_equal(listed.pools, 1);
	/* the list has not cost this process its token */
	assert_int_equal(unit_wait(unit_fork(
				 create_is_refused, &(struct sio_segment_opts){.sz = sizeof(pool),
							    .name = "a",
							    .data_size = 1,
							    .backing = SIO_BACKING_FILE})),
		0);

	listed = (struct listed){.stop = 5};
	assert_int_equal(sio_segment_list(count_listed, &listed), 5);
	assert_int_equal(listed.n, 1);

	unlink(path);
	snprintf(path, sizeof(path), "%s/stranger", unit_env_dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/b", unit_env_dir);
	unlink(path);
	sio_segment_unlink(mine);
	sio_segment_detach(mine);
	sio_segment_detach(unpublished);
	setenv(SIO_RUNTIME_DIR_ENV, "/dev/null", 1);
	assert_int_equal(sio_segment_list(count_listed, &listed), -EPERM);
	setenv(SIO_RUNTIME_DIR_ENV, unit_env_dir, 1);
}

static int
every_call_fails_there(void *arg)
{
	struct sio_segment *seg;

	(void)arg;
	setenv(SIO_RUNTIME_DIR_ENV, "/proc/slabio", 1);
	if (seg_make("n", SIO_BACKING_FILE, &seg) >= 0 || seg_attach("n", &seg) >= 0)
		return 1;
	return 0;
}

static void
runtime_folder_that_cannot_be_made_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(unit_wait(unit_fork(every_call_fails_there, NULL)), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(creator_killed_before_publishing_leaves_nothing),
		cmocka_unit_test(temporary_file_of_a_dead_creator_is_removed_by_the_next),
		cmocka_unit_test(stale_file_is_replaced),
		cmocka_unit_test(stale_memfd_is_replaced),
		cmocka_unit_test(stale_hugetlbfs_file_is_replaced),
		cmocka_unit_test(stale_memfd_huge_is_replaced),
		cmocka_unit_test(living_segment_is_not_replaced),
		cmocka_unit_test(one_of_two_racing_creators_wins),
		cmocka_unit_test(attaching_against_replacing_never_joins_a_replaced_segment),
		cmocka_unit_test(unlink_spares_a_successor_of_the_name),
		cmocka_unit_test(links_that_lead_nowhere_are_no_segment),
		cmocka_unit_test(link_to_a_foreign_memfd_is_no_segment),
		cmocka_unit_test(a_process_stopped_in_the_names_lock_is_named_and_not_waited_for),
		cmocka_unit_test(hugetlbfs_file_without_a_name_is_cleared_away),
		cmocka_unit_test(hugetlbfs_creator_killed_before_publishing_leaves_no_pages),
		cmocka_unit_test(list_shows_segments_and_ignores_strangers),
		cmocka_unit_test(runtime_folder_that_cannot_be_made_is_an_error),
	};

	unit_env_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
