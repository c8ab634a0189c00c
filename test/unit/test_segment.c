/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include "unit_segment.h"
#include <fcntl.h>
#include <sys/mman.h>

/* hugepages are there or they are not: both are this machine's right, silence about it is not */
static bool
no_hugepages(int rc)
{
	return rc == -ENODEV || rc == -ENOSPC || rc == -ENOMEM || rc == -EACCES || rc == -EPERM;
}

static void
check_fresh(struct sio_segment *seg, enum sio_backing backing, const char *name, uint64_t size)
{
	unsigned char *data = sio_segment_data(seg);
	uint64_t i;

	assert_int_equal(sio_segment_backing(seg), backing);
	assert_string_equal(sio_segment_name(seg), name);
	assert_int_equal(sio_segment_size(seg), size);
	assert_int_equal((uintptr_t)data % 4096, 0);
	assert_true(sio_segment_page_size(seg) >= 4096);
	for (i = 0; i < size; i++)
		assert_int_equal(data[i], 0);
	memset(data, 0x5a, size);
	assert_int_equal(sio_segment_self(seg), SIO_MEMBER_NAME(0, 1));
}

static int
attach_and_answer(void *arg)
{
	struct sio_segment *seg;
	unsigned char *data;

	if (seg_attach(arg, &seg) < 0)
		return 1;
	data = sio_segment_data(seg);
	if (data[0] != 0x5a || data[sio_segment_size(seg) - 1] != 0x5a)
		return 2;
	if (sio_segment_self(seg) == SIO_MEMBER_NONE)
		return 3;
	data[1] = 0x77;
	sio_segment_detach(seg);
	return 0;
}

/* create, publish, meet another process in it, unlink */
static void
full_life(enum sio_backing backing)
{
	struct sio_segment_opts opts = seg_opts("life", backing, 10000);
	struct sio_segment *seg, *other;
	char name[] = "life";
	int rc;

	rc = sio_segment_create(&opts, &seg);
	if (rc < 0 && (backing == SIO_BACKING_HUGETLBFS || backing == SIO_BACKING_MEMFD_HUGE)) {
		assert_true(no_hugepages(rc));
		assert_int_equal(runtime_entries(), 0);
		print_message(
			"no hugepages for %s: %s\n", sio_backing_name(backing), strerror(-rc));
		skip();
	}
	assert_int_equal(rc, 0);
	check_fresh(seg, backing, "life", 10000);
	assert_int_equal(seg_attach("life", &other), -ENOENT);
	assert_int_equal(sio_segment_publish(seg), 0);
	assert_int_equal(sio_segment_publish(seg), -EALREADY);
	assert_int_equal(runtime_entries(), 1);
	assert_int_equal(unit_wait(unit_fork(attach_and_answer, name)), 0);
	assert_int_equal(((unsigned char *)sio_segment_data(seg))[1], 0x77);
	assert_int_equal(sio_segment_unlink(seg), 0);
	assert_int_equal(sio_segment_unlink(seg), -ENOENT);
	assert_int_equal(runtime_entries(), 0);
	assert_int_equal(seg_attach("life", &other), -ENOENT);
	sio_segment_detach(seg);
}

static void
file_backing_lives_a_full_life(void **state)
{
	(void)state;
	full_life(SIO_BACKING_FILE);
}

static void
memfd_backing_lives_a_full_life(void **state)
{
	(void)state;
	full_life(SIO_BACKING_MEMFD);
}

static void
hugetlbfs_backing_lives_a_full_life(void **state)
{
	(void)state;
	full_life(SIO_BACKING_HUGETLBFS);
}

static void
memfd_huge_backing_lives_a_full_life(void **state)
{
	(void)state;
	full_life(SIO_BACKING_MEMFD_HUGE);
}

static void
auto_backing_says_what_it_took(void **state)
{
	struct sio_segment_opts opts = seg_opts("auto", SIO_BACKING_AUTO, 4096);
	enum sio_backing backing;
	struct sio_segment *seg;

	(void)state;
	assert_int_equal(sio_segment_create(&opts, &seg), 0);
	backing = sio_segment_backing(seg);
	assert_true(backing == SIO_BACKING_HUGETLBFS || backing == SIO_BACKING_MEMFD_HUGE ||
		    backing == SIO_BACKING_MEMFD);
	assert_true(backing == SIO_BACKING_MEMFD || sio_segment_page_size(seg) > 4096);
	assert_int_equal(sio_segment_publish(seg), 0);
	sio_segment_unlink(seg);
	sio_segment_detach(seg);
	assert_int_equal(runtime_entries(), 0);
}

static void
lent_memory_is_used_where_it_lies(void **state)
{
	struct sio_segment_opts opts = seg_opts(NULL, SIO_BACKING_LENT, 4096);
	size_t size = 8192 + 4096;
	struct sio_segment *seg;
	void *memory;

	(void)state;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(memory != MAP_FAILED);
	memset(memory, 0xff, size);
	opts.lent_addr = memory;
	opts.lent_size = size;
	assert_int_equal(sio_segment_create(&opts, &seg), 0);
	assert_ptr_equal(sio_segment_data(seg), (char *)memory + 8192);
	check_fresh(seg, SIO_BACKING_LENT, "", 4096);
	assert_int_equal(sio_segment_fd(seg), -1);
	assert_int_equal(sio_segment_publish(seg), 0);
	assert_int_equal(sio_segment_publish(seg), -EALREADY);
	assert_int_equal(sio_segment_unlink(seg), -ENOENT);
	assert_int_equal(sio_member_state(seg, sio_segment_self(seg)), SIO_MEMBER_LIVE);
	assert_int_equal(sio_member_bury(seg, sio_segment_self(seg)), -EBUSY);
	sio_segment_detach(seg);
	/* still the lender's */
	memset(memory, 0, size);
	munmap(memory, size);
}

static void
nameless_segment_leaves_no_name(void **state)
{
	struct sio_segment_opts opts = seg_opts(NULL, SIO_BACKING_FILE, 1);
	struct sio_segment *seg;

	(void)state;
	assert_int_equal(sio_segment_create(&opts, &seg), 0);
	assert_int_equal(sio_segment_publish(seg), 0);
	assert_string_equal(sio_segment_name(seg), "");
	assert_int_equal(runtime_entries(), 0);
	assert_int_equal(sio_segment_unlink(seg), -ENOENT);
	sio_segment_detach(seg);
}

static void
bad_options_are_refused(void **state)
{
	struct sio_segment_opts opts = seg_opts("x", SIO_BACKING_FILE, 1), bad;
	static char memory[3 * 4096] __attribute__((aligned(4096)));
	struct {
		struct sio_segment_opts opts;
		uint64_t tail;
	} longer = {.opts = opts};
	struct sio_segment *seg;

	(void)state;
	assert_int_equal(sio_segment_create(NULL, &seg), -EINVAL);
	bad = opts, bad.sz = 8;
	assert_int_equal(sio_segment_create(&bad, &seg), -EINVAL);
	bad = opts, bad.name = "../x";
	assert_int_equal(sio_segment_create(&bad, &seg), -EINVAL);
	bad = opts, bad.name = "";
	assert_int_equal(sio_segment_create(&bad, &seg), -EINVAL);
	bad = opts, bad.data_size = 0;
	assert_int_equal(sio_segment_create(&bad, &seg), -EINVAL);
	bad = opts, bad.data_size = UINT64_MAX;
	assert_int_equal(sio_segment_create(&bad, &seg), -EINVAL);
	bad = opts, bad.backing = 6;
	assert_int_equal(sio_segment_create(&bad, &seg), -EINVAL);
	bad = opts, bad.mode = 01777;
	assert_int_equal(sio_segment_create(&bad, &seg), -EINVAL);

	bad = opts, bad.backing = SIO_BACKING_LENT, bad.lent_addr = memory;
	bad.lent_size = sizeof(memory);
	assert_int_equal(sio_segment_create(&bad, &seg), -EINVAL); /* it has a name */
	bad.name = NULL, bad.lent_addr = memory + 64;
	assert_int_equal(sio_segment_create(&bad, &seg), -EINVAL);
	bad.lent_addr = NULL;
	assert_int_equal(sio_segment_create(&bad, &seg), -EINVAL);
	bad.lent_addr = memory, bad.data_size = 4097;
	assert_int_equal(sio_segment_create(&bad, &seg), -EINVAL);
	bad.lent_size = 4096;
	assert_int_equal(sio_segment_create(&bad, &seg), -EINVAL);
	assert_null(seg);

	/*
	 * a caller built with a newer header: fine while it does not use what this library does not
	 * know
	 */
	longer.opts.sz = sizeof(longer);
	assert_int_equal(sio_segment_create(&longer.opts, &seg), 0);
	sio_segment_detach(seg);
	longer.tail = 1;
	assert_int_equal(sio_segment_create(&longer.opts, &seg), -EINVAL);
	assert_int_equal(runtime_entries(), 0);
}

static void
too_much_memory_is_an_error_and_leaves_nothing(void **state)
{
	struct sio_segment_opts opts = seg_opts("huge", SIO_BACKING_HUGETLBFS, UINT64_C(1) << 38);
	struct sio_segment *seg;
	int rc;

	(void)state;
	rc = sio_segment_create(&opts, &seg);
	assert_true(no_hugepages(rc));
	assert_null(seg);
	opts.backing = SIO_BACKING_MEMFD_HUGE;
	assert_int_equal(sio_segment_create(&opts, &seg), -ENOSPC);
	assert_int_equal(runtime_entries(), 0);
}

static void
mode_is_the_files(void **state)
{
	struct sio_segment_opts opts = seg_opts("mode", SIO_BACKING_FILE, 1);
	struct sio_segment *seg;
	struct stat st;

	(void)state;
	opts.mode = 0640;
	assert_int_equal(sio_segment_create(&opts, &seg), 0);
	assert_int_equal(fstat(sio_segment_fd(seg), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	sio_segment_detach(seg);
	opts.mode = 0;
	assert_int_equal(sio_segment_create(&opts, &seg), 0);
	assert_int_equal(fstat(sio_segment_fd(seg), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true((fcntl(sio_segment_fd(seg), F_GETFD) & FD_CLOEXEC) != 0);
	sio_segment_detach(seg);
}

static void
numa_node_is_preferred_or_warned_of(void **state)
{
	struct sio_segment_opts opts = seg_opts(NULL, SIO_BACKING_MEMFD, 4096);
	struct sio_segment *seg;

	(void)state;
	opts.numa_node = 1;
	unit_log_last[0] = '\0';
	assert_int_equal(sio_segment_create(&opts, &seg), 0);
	if (strstr(unit_log_last, "NUMA") != NULL)
		print_message("%s\n", unit_log_last);
	else
		assert_string_equal(unit_log_last, "");
	sio_segment_detach(seg);
	opts.numa_node = 5001;
	assert_int_equal(sio_segment_create(&opts, &seg), 0);
	assert_non_null(strstr(unit_log_last, "NUMA node 5000"));
	sio_segment_detach(seg);
}

static void
memfd_cannot_be_cut_short(void **state)
{
	struct sio_segment *seg;

	(void)state;
	assert_int_equal(seg_make("sealed", SIO_BACKING_MEMFD, &seg), 0);
	assert_int_equal(ftruncate(sio_segment_fd(seg), 0), -1);
	assert_int_equal(errno, EPERM);
	sio_segment_detach(seg);
}

static void
memfd_name_goes_with_its_creator(void **state)
{
	struct sio_segment *seg;

	(void)state;
	assert_int_equal(seg_make("gone", SIO_BACKING_MEMFD, &seg), 0);
	assert_int_equal(runtime_entries(), 1);
	sio_segment_detach(seg);
	assert_int_equal(runtime_entries(), 0);
}

static void
backings_have_names(void **state)
{
	(void)state;
	assert_string_equal(sio_backing_name(SIO_BACKING_AUTO), "auto");
	assert_string_equal(sio_backing_name(SIO_BACKING_FILE), "file");
	assert_string_equal(sio_backing_name(SIO_BACKING_HUGETLBFS), "hugetlbfs");
	assert_string_equal(sio_backing_name(SIO_BACKING_MEMFD_HUGE), "memfd-huge");
	assert_string_equal(sio_backing_name(SIO_BACKING_MEMFD), "memfd");
	assert_string_equal(sio_backing_name(SIO_BACKING_LENT), "lent");
	assert_string_equal(sio_backing_name(77), "unknown");
}

static void
detach_of_nothing_is_harmless(void **state)
{
	(void)state;
	sio_segment_detach(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_backing_lives_a_full_life),
		cmocka_unit_test(memfd_backing_lives_a_full_life),
		cmocka_unit_test(hugetlbfs_backing_lives_a_full_life),
		cmocka_unit_test(memfd_huge_backing_lives_a_full_life),
		cmocka_unit_test(auto_backing_says_what_it_took),
		cmocka_unit_test(lent_memory_is_used_where_it_lies),
		cmocka_unit_test(nameless_segment_leaves_no_name),
		cmocka_unit_test(bad_options_are_refused),
		cmocka_unit_test(too_much_memory_is_an_error_and_leaves_nothing),
		cmocka_unit_test(mode_is_the_files),
		cmocka_unit_test(numa_node_is_preferred_or_warned_of),
		cmocka_unit_test(memfd_cannot_be_cut_short),
		cmocka_unit_test(memfd_name_goes_with_its_creator),
		cmocka_unit_test(backings_have_names),
		cmocka_unit_test(detach_of_nothing_is_harmless),
	};

	unit_env_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
