/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include "unit_env.h"
#include <slabio/segment.h>

static void
log_reaches_the_hook_down_to_its_level(void **state)
{
	char dir[300];

	(void)state;
	unit_log_last[0] = '\0';
	setenv(SIO_RUNTIME_DIR_ENV, "relative", 1);
	assert_int_equal(sio_runtime_dir(dir, sizeof(dir)), -EINVAL);
	assert_non_null(strstr(unit_log_last, "relative"));

	/* errors are level 0: a hook for them gets them; no hook, nobody does */
	sio_log_set(unit_env_log, NULL, SIO_LOG_ERR);
	unit_log_last[0] = '\0';
	assert_int_equal(sio_runtime_dir(dir, sizeof(dir)), -EINVAL);
	assert_string_not_equal(unit_log_last, "");
	sio_log_set(NULL, NULL, SIO_LOG_DEBUG);
	unit_log_last[0] = '\0';
	assert_int_equal(sio_runtime_dir(dir, sizeof(dir)), -EINVAL);
	assert_string_equal(unit_log_last, "");

	sio_log_set(unit_env_log, NULL, SIO_LOG_DEBUG);
	setenv(SIO_RUNTIME_DIR_ENV, unit_env_dir, 1);
}

static void
log_below_the_level_is_dropped(void **state)
{
	struct sio_segment_opts opts = {.sz = sizeof(opts), .data_size = 1};
	struct sio_segment *seg;

	(void)state;
	opts.backing = SIO_BACKING_MEMFD;
	opts.numa_node = 5001; /* a warning */
	sio_log_set(unit_env_log, NULL, SIO_LOG_ERR);
	unit_log_last[0] = '\0';
	assert_int_equal(sio_segment_create(&opts, &seg), 0);
	assert_string_equal(unit_log_last, "");
	sio_segment_detach(seg);
	sio_log_set(unit_env_log, NULL, SIO_LOG_WARNING);
	assert_int_equal(sio_segment_create(&opts, &seg), 0);
	assert_string_not_equal(unit_log_last, "");
	sio_segment_detach(seg);
	sio_log_set(unit_env_log, NULL, SIO_LOG_DEBUG);
}

static void
now_is_monotonic_nanoseconds(void **state)
{
	uint64_t a = sio_now_ns(), b;

	(void)state;
	usleep(10000);
	b = sio_now_ns();
	assert_true(b - a >= 10000000);
	assert_true(b - a < UINT64_C(20000000000));
}

static void
names_are_checked(void **state)
{
	char longest[SIO_NAME_LEN + 1];

	(void)state;
	assert_int_equal(sio_name_check("a"), 0);
	assert_int_equal(sio_name_check("MP_mbuf.pool_0#1@x:y+z-"), 0);
	assert_int_equal(sio_name_check("_x"), 0);
	memset(longest, 'n', sizeof(longest));
	longest[SIO_NAME_LEN] = '\0';
	assert_int_equal(sio_name_check(longest), -EINVAL);
	longest[SIO_NAME_LEN - 1] = '\0';
	assert_int_equal(sio_name_check(longest), 0);
	assert_int_equal(sio_name_check(NULL), -EINVAL);
	assert_int_equal(sio_name_check(""), -EINVAL);
	assert_int_equal(sio_name_check(".x"), -EINVAL);
	assert_int_equal(sio_name_check("-x"), -EINVAL);
	assert_int_equal(sio_name_check("a/b"), -EINVAL);
	assert_int_equal(sio_name_check("a b"), -EINVAL);
	assert_int_equal(sio_name_check("a\n"), -EINVAL);
	assert_int_equal(sio_name_check("\xc3\xa4"), -EINVAL);
}

static void
runtime_dir_is_made_private(void **state)
{
	char sub[200], dir[300], small[3];
	struct stat st;

	(void)state;
	snprintf(sub, sizeof(sub), "%s/sub//", unit_env_dir);
	setenv(SIO_RUNTIME_DIR_ENV, sub, 1);
	umask(0);
	assert_int_equal(sio_runtime_dir(dir, sizeof(dir)), 0);
	assert_int_equal(dir[strlen(dir) - 1], 'b');
	assert_int_equal(stat(dir, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(st.st_uid, geteuid());
	/* and is found as it is the next time */
	assert_int_equal(sio_runtime_dir(dir, sizeof(dir)), 0);

	assert_int_equal(sio_runtime_dir(small, sizeof(small)), -ENAMETOOLONG);
	assert_int_equal(sio_runtime_dir(NULL, 0), -ENAMETOOLONG);

	chmod(dir, 0770);
	assert_int_equal(sio_runtime_dir(dir, sizeof(dir)), -EPERM);
	assert_non_null(strstr(unit_log_last, "0770"));
	chmod(dir, 0755);
	assert_int_equal(sio_runtime_dir(dir, sizeof(dir)), 0);
	rmdir(dir);
	setenv(SIO_RUNTIME_DIR_ENV, unit_env_dir, 1);
}

static void
runtime_dir_that_is_not_ours_is_refused(void **state)
{
	char path[200], dir[300];

	(void)state;
	snprintf(path, sizeof(path), "%s/link", unit_env_dir);
	assert_int_equal(symlink(unit_env_dir, path), 0);
	setenv(SIO_RUNTIME_DIR_ENV, path, 1);
	assert_int_equal(sio_runtime_dir(dir, sizeof(dir)), -EPERM);
	snprintf(path, sizeof(path), "%s/link/", unit_env_dir);
	setenv(SIO_RUNTIME_DIR_ENV, path, 1);
	assert_int_equal(sio_runtime_dir(dir, sizeof(dir)), -EPERM);
	snprintf(path, sizeof(path), "%s/link", unit_env_dir);
	unlink(path);

	setenv(SIO_RUNTIME_DIR_ENV, "/dev/null", 1);
	assert_int_equal(sio_runtime_dir(dir, sizeof(dir)), -EPERM);
	snprintf(path, sizeof(path), "%s/no/such", unit_env_dir);
	setenv(SIO_RUNTIME_DIR_ENV, path, 1);
	assert_int_equal(sio_runtime_dir(dir, sizeof(dir)), -ENOENT);

	if (geteuid() == 0) {
		snprintf(path, sizeof(path), "%s/other", unit_env_dir);
		assert_int_equal(mkdir(path, 0700), 0);
		assert_int_equal(chown(path, 65534, 65534), 0);
		setenv(SIO_RUNTIME_DIR_ENV, path, 1);
		assert_int_equal(sio_runtime_dir(dir, sizeof(dir)), -EPERM);
		assert_non_null(strstr(unit_log_last, "65534"));
		rmdir(path);
	}
	setenv(SIO_RUNTIME_DIR_ENV, unit_env_dir, 1);
}

static void
runtime_dir_defaults_to_the_users_in_dev_shm(void **state)
{
	char expected[64], dir[300];
	bool was_there;

	(void)state;
	snprintf(expected, sizeof(expected), "/dev/shm/slabio.%u", (unsigned int)geteuid());
	was_there = access(expected, F_OK) == 0;
	unsetenv(SIO_RUNTIME_DIR_ENV);
	assert_int_equal(sio_runtime_dir(dir, sizeof(dir)), 0);
	assert_string_equal(dir, expected);
	setenv(SIO_RUNTIME_DIR_ENV, "", 1);
	assert_int_equal(sio_runtime_dir(dir, sizeof(dir)), 0);
	assert_string_equal(dir, expected);
	setenv(SIO_RUNTIME_DIR_ENV, unit_env_dir, 1);
	if (!was_there)
		rmdir(expected);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log_reaches_the_hook_down_to_its_level),
		cmocka_unit_test(log_below_the_level_is_dropped),
		cmocka_unit_test(now_is_monotonic_nanoseconds),
		cmocka_unit_test(names_are_checked),
		cmocka_unit_test(runtime_dir_is_made_private),
		cmocka_unit_test(runtime_dir_that_is_not_ours_is_refused),
		cmocka_unit_test(runtime_dir_defaults_to_the_users_in_dev_shm),
	};

	unit_env_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
