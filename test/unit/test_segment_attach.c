/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include "unit_segment.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <segment/segment_layout.h>

static void
attach_refuses_bad_calls(void **state)
{
	struct sio_segment_attach_opts opts = attach_opts();
	struct sio_segment *seg;

	(void)state;
	assert_int_equal(sio_segment_attach("x", NULL, &seg), -EINVAL);
	assert_int_equal(sio_segment_attach(".x", &opts, &seg), -EINVAL);
	assert_int_equal(sio_segment_attach(NULL, &opts, &seg), -EINVAL);
	assert_int_equal(sio_segment_attach("nobody", &opts, &seg), -ENOENT);
	opts.read_only = true;
	assert_int_equal(sio_segment_attach("x", &opts, &seg), -EINVAL);
	opts = attach_opts(), opts.sz--;
	assert_int_equal(sio_segment_attach("x", &opts, &seg), -EINVAL);
	assert_int_equal(sio_segment_attach_fd(0, &opts, &seg), -EINVAL);
	assert_null(seg);
}

struct expectation {
	struct sio_segment_attach_opts opts;
	int rc;
	const char *said;
};

static int
attach_expecting(void *arg)
{
	struct expectation *e = arg;
	struct sio_segment *seg;

	unit_log_last[0] = '\0';
	if (sio_segment_attach("exp", &e->opts, &seg) != e->rc)
		return 1;
	if (e->said != NULL && strstr(unit_log_last, e->said) == NULL)
		return 2;
	return 0;
}

static void
check_expectation(struct expectation *e)
{
	/* in this process, where the segment is known, and in another, where it is not */
	assert_int_equal(attach_expecting(e), 0);
	assert_int_equal(unit_wait(unit_fork(attach_expecting, e)), 0);
}

static void
attach_to_another_kind_version_or_configuration_is_refused(void **state)
{
	struct expectation kind = {.opts = attach_opts(), .rc = -EPROTO, .said = "found TEST"};
	struct expectation version = {.opts = attach_opts(), .rc = -EPROTO, .said = "found 7"};
	struct expectation config = {
		.opts = attach_opts(), .rc = -EPROTO, .said = "1122334455667788"};
	struct expectation any = {.opts = attach_opts(), .rc = 0};
	struct sio_segment *seg;

	(void)state;
	assert_int_equal(seg_make("exp", SIO_BACKING_FILE, &seg), 0);
	kind.opts.kind = SIO_KIND_POOL;
	check_expectation(&kind);
	version.opts.layout_version = 8;
	check_expectation(&version);
	config.opts.config_hash = 1;
	check_expectation(&config);
	any.opts.config_hash = 0;
	check_expectation(&any);
	sio_segment_unlink(seg);
	sio_segment_detach(seg); /* the attach of check_expectation(), */
	sio_segment_detach(seg); /* and the creation */
}

/* Makes a dead segment and leaves its file open for this test to spoil. */
static int
spoiled_open(void)
{
	struct sio_segment_opts opts = seg_opts("exp", SIO_BACKING_FILE, 10000);
	char path[200];

	assert_int_equal(unit_wait(unit_fork(seg_make_and_die_fn, &opts)), 128 + SIGKILL);
	snprintf(path, sizeof(path), "%s/exp", unit_env_dir);
	return open(path, O_RDWR | O_CLOEXEC);
}

static void
spoil(size_t offset, uint64_t value, size_t len, const char *said)
{
	struct expectation e = {.opts = attach_opts(), .rc = -EPROTO, .said = said};
	int fd = spoiled_open();

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &value, len, (off_t)offset), len);
	close(fd);
	assert_int_equal(attach_expecting(&e), 0);
}

static void
a_stamp_that_contradicts_itself_is_refused(void **state)
{
	char path[200];

	(void)state;
	spoil(offsetof(struct sio_stamp, header_version), 99, 4, "found 99");
	spoil(offsetof(struct sio_stamp, slots), 65, 4, "with 65");
	spoil(offsetof(struct sio_stamp, published), 0, 4, "published");
	spoil(offsetof(struct sio_stamp, map_size), UINT64_C(1) << 39, 8, "cut short");
	spoil(offsetof(struct sio_stamp, map_size), 8193, 8, "contradicts");
	spoil(offsetof(struct sio_stamp, data_offset), 4096, 8, "contradicts");
	spoil(offsetof(struct sio_stamp, data_offset), 8200, 8, "contradicts");
	spoil(offsetof(struct sio_stamp, data_offset), UINT64_MAX - 4095, 8, "contradicts");
	spoil(offsetof(struct sio_stamp, data_size), UINT64_MAX - 8191, 8, "contradicts");
	spoil(offsetof(struct sio_stamp, data_size), 0, 8, "contradicts");
	spoil(offsetof(struct sio_stamp, data_size), 16384, 8, "contradicts");
	spoil(offsetof(struct sio_stamp, backing), 5, 4, "contradicts");
	spoil(offsetof(struct sio_stamp, name), 'y', 1, "of that name");
	snprintf(path, sizeof(path), "%s/exp", unit_env_dir);
	unlink(path);
}

static void
a_file_cut_short_is_refused_and_not_touched(void **state)
{
	struct expectation e = {.opts = attach_opts(), .rc = -EPROTO};
	char path[200];
	int fd;

	(void)state;
	fd = spoiled_open();
	assert_int_equal(ftruncate(fd, 16384), 0);
	e.said = "found 16384";
	assert_int_equal(attach_expecting(&e), 0);
	assert_int_equal(ftruncate(fd, 100), 0);
	e.said = "a file that is none";
	assert_int_equal(attach_expecting(&e), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(attach_expecting(&e), 0);
	close(fd);
	snprintf(path, sizeof(path), "%s/exp", unit_env_dir);
	unlink(path);
}

static void
what_is_no_segment_is_refused(void **state)
{
	struct sio_segment_opts opts = seg_opts("exp", SIO_BACKING_FILE, 1);
	struct expectation e = {.opts = attach_opts(), .rc = -EPROTO};
	struct sio_segment *seg;
	char path[200], garbage[9000];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/exp", unit_env_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	memset(garbage, 0xa5, sizeof(garbage));
	assert_int_equal(write(fd, garbage, sizeof(garbage)), sizeof(garbage));
	close(fd);
	assert_int_equal(attach_expecting(&e), 0);
	/* nor is it replaced: it is somebody's */
	assert_int_equal(sio_segment_create(&opts, &seg), -EEXIST);
	assert_non_null(strstr(unit_log_last, "in use"));
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);

	/* opening a pipe would wait for its other end */
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(attach_expecting(&e), 0);
	assert_int_equal(sio_segment_create(&opts, &seg), -EEXIST);
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(attach_expecting(&e), 0);
	rmdir(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(attach_expecting(&e), 0);
	assert_int_equal(sio_segment_create(&opts, &seg), -EEXIST);
	unlink(path);
}

static void
attaching_twice_gives_one_mapping_and_one_member(void **state)
{
	struct sio_segment *seg, *twice;
	struct sio_member_info info;
	sio_member_t self;

	(void)state;
	assert_int_equal(seg_make("twice", SIO_BACKING_FILE, &seg), 0);
	self = sio_segment_self(seg);
	assert_int_equal(seg_attach("twice", &twice), 0);
	assert_ptr_equal(seg, twice);
	assert_int_equal(sio_segment_self(twice), self);
	assert_int_equal(sio_member_get(seg, 1, &info), -ENOENT);
	sio_segment_detach(twice);
	/* still there for the first */
	assert_int_equal(sio_segment_self(seg), self);
	assert_int_equal(sio_member_state(seg, self), SIO_MEMBER_LIVE);
	sio_segment_unlink(seg);
	sio_segment_detach(seg);
}

static int
observe_then_join(void *arg)
{
	struct sio_segment *seg, *member;
	struct sio_member_info info;

	(void)arg;
	if (seg_observe("obs", &seg) < 0)
		return 1;
	if (sio_segment_self(seg) != SIO_MEMBER_NONE || sio_member_get(seg, 1, &info) != -ENOENT)
		return 2;
	if (sio_member_get(seg, 0, &info) < 0 || info.state != SIO_MEMBER_LIVE)
		return 3;
	if (sio_member_bury(seg, info.member) != -EACCES)
		return 4;
	if (sio_segment_rejoin(seg) != -EPERM)
		return 5;
	/* in one process an attach as a member makes the observer's mapping a member's */
	if (seg_attach("obs", &member) < 0 || member != seg)
		return 6;
	if (sio_segment_self(seg) != SIO_MEMBER_NAME(1, 1))
		return 7;
	memset(sio_segment_data(seg), 1, sio_segment_size(seg));
	sio_segment_detach(seg);
	sio_segment_detach(member);
	return 0;
}

static int
observe_and_write(void *arg)
{
	struct sio_segment *seg;

	(void)arg;
	if (seg_observe("obs", &seg) < 0)
		return 1;
	memset(sio_segment_data(seg), 1, 1);
	return 2;
}

static int
observe_writable(void *arg)
{
	struct sio_segment_attach_opts opts = attach_opts();
	struct sio_segment *seg;

	(void)arg;
	opts.observe = true;
	if (sio_segment_attach("obs", &opts, &seg) < 0)
		return 1;
	memset(sio_segment_data(seg), 1, 1);
	return sio_segment_self(seg) == SIO_MEMBER_NONE ? 0 : 2;
}

static void
an_observer_is_no_member(void **state)
{
	struct sio_segment_opts opts = seg_opts("obs", SIO_BACKING_FILE, 10000);

	(void)state;
	/* the segment outlives its creator, so that no child inherits it */
	assert_int_equal(unit_wait(unit_fork(seg_make_and_die_fn, &opts)), 128 + SIGKILL);
	assert_int_equal(unit_wait(unit_fork(observe_and_write, NULL)), 128 + SIGSEGV);
	assert_int_equal(unit_wait(unit_fork(observe_writable, NULL)), 0);
}

static int
holder(void *arg)
{
	struct unit_gate *gate = arg;
	struct sio_segment *seg;

	if (seg_make("obs", SIO_BACKING_FILE, &seg) < 0)
		return 1;
	unit_gate_open(&gate[0]);
	unit_gate_pass(&gate[1]);
	sio_segment_unlink(seg);
	sio_segment_detach(seg);
	return 0;
}

static void
an_observer_can_become_a_member(void **state)
{
	struct unit_gate gate[2];
	pid_t pid;

	(void)state;
	unit_gate_init(&gate[0]);
	unit_gate_init(&gate[1]);
	pid = unit_fork(holder, gate);
	assert_true(unit_gate_pass(&gate[0]));
	assert_int_equal(unit_wait(unit_fork(observe_then_join, NULL)), 0);
	unit_gate_open(&gate[1]);
	assert_int_equal(unit_wait(pid), 0);
	unit_gate_close(&gate[0]);
	unit_gate_close(&gate[1]);
}

static int
make_nameless_and_pass(void *arg)
{
	struct sio_segment_opts opts = seg_opts(NULL, SIO_BACKING_MEMFD, 10000);
	struct unit_gate *gate = arg;
	struct sio_segment *seg;
	int fd;

	if (sio_segment_create(&opts, &seg) < 0)
		return 1;
	strcpy(sio_segment_data(seg), "hello");
	if (sio_segment_publish(seg) < 0)
		return 2;
	fd = sio_segment_fd(seg);
	if (write(gate[0].fd[1], &fd, sizeof(fd)) != sizeof(fd))
		return 3;
	return unit_gate_pass(&gate[1]) ? 0 : 4;
}

static void
attach_by_descriptor_needs_no_name(void **state)
{
	struct sio_segment_attach_opts opts = attach_opts();
	struct sio_segment *seg, *twice;
	struct unit_gate gate[2];
	char path[64];
	int fd, mine;
	pid_t pid;

	(void)state;
	unit_gate_init(&gate[0]);
	unit_gate_init(&gate[1]);
	pid = unit_fork(make_nameless_and_pass, gate);
	assert_int_equal(read(gate[0].fd[0], &fd, sizeof(fd)), sizeof(fd));
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
	mine = open(path, O_RDWR | O_CLOEXEC);
	assert_true(mine >= 0);
	assert_int_equal(sio_segment_attach_fd(mine, &opts, &seg), 0);
	assert_string_equal(sio_segment_data(seg), "hello");
	assert_string_equal(sio_segment_name(seg), "");
	assert_int_equal(sio_segment_self(seg), SIO_MEMBER_NAME(1, 1));
	assert_int_equal(sio_member_state(seg, SIO_MEMBER_NAME(0, 1)), SIO_MEMBER_LIVE);
	assert_int_equal(sio_segment_attach_fd(mine, &opts, &twice), 0);
	assert_ptr_equal(seg, twice);
	assert_int_equal(sio_segment_unlink(seg), -ENOENT);
	assert_int_equal(sio_segment_publish(seg), -EALREADY);
	unit_gate_open(&gate[1]);
	assert_int_equal(unit_wait(pid), 0);
	/* its creator ended without a detach; the memory is there as long as somebody maps it */
	assert_int_equal(sio_member_state(seg, SIO_MEMBER_NAME(0, 1)), SIO_MEMBER_DEAD);
	assert_string_equal(sio_segment_data(seg), "hello");
	sio_segment_detach(twice);
	sio_segment_detach(seg);
	close(mine);
	unit_gate_close(&gate[0]);
	unit_gate_close(&gate[1]);
}

static void
attach_by_a_descriptor_of_something_else_is_refused(void **state)
{
	struct sio_segment_attach_opts opts = attach_opts();
	struct unit_gate pipe_ends;
	struct sio_segment *seg;
	int fd;

	(void)state;
	unit_gate_init(&pipe_ends);
	assert_int_equal(sio_segment_attach_fd(pipe_ends.fd[0], &opts, &seg), -EPROTO);
	unit_gate_close(&pipe_ends);
	assert_int_equal(sio_segment_attach_fd(-1, &opts, &seg), -EBADF);
	fd = memfd_create("empty", MFD_CLOEXEC);
	assert_int_equal(sio_segment_attach_fd(fd, &opts, &seg), -EPROTO);
	close(fd);
	assert_null(seg);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attach_refuses_bad_calls),
		cmocka_unit_test(attach_to_another_kind_version_or_configuration_is_refused),
		cmocka_unit_test(a_stamp_that_contradicts_itself_is_refused),
		cmocka_unit_test(a_file_cut_short_is_refused_and_not_touched),
		cmocka_unit_test(what_is_no_segment_is_refused),
		cmocka_unit_test(attaching_twice_gives_one_mapping_and_one_member),
		cmocka_unit_test(an_observer_is_no_member),
		cmocka_unit_test(an_observer_can_become_a_member),
		cmocka_unit_test(attach_by_descriptor_needs_no_name),
		cmocka_unit_test(attach_by_a_descriptor_of_something_else_is_refused),
	};

	unit_env_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
