/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* The file of options: what it means, and that each fault in it is named with its line. */

#include "slab_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_log.h>

#include "slab_config.h"
#include "slab_private.h"

int slab_logtype = RTE_LOGTYPE_USER1;

static char path[] = "/tmp/slabio-config-XXXXXX";

static void
write_bytes(const char *text, size_t len)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static struct slab_config *
load(const char *text)
{
	struct slab_config *config;

	write_bytes(text, strlen(text));
	assert_int_equal(slab_config_load(path, &config), 0);
	assert_non_null(config);
	return config;
}

static struct slab_options
options_of(const struct slab_config *config, const char *mempool)
{
	struct slab_options options;

	slab_config_find(config, mempool, &options);
	return options;
}

static void
every_entry_is_read(void **state)
{
	struct slab_config *config = load("[a]\ncheck=1\npitch=pow2\nshards=1023\nmagazine=1022\n"
					  "mode=exact\ncontig_size=65535\ncontig_runs=536870912\n"
					  "dry_us=1000000\n"
					  "[b]\ncheck=0\npitch=natural\nshards=1\nmagazine=2\n"
					  "mode=conservative\ndry_us=0\n[c]\n");
	struct slab_options options;

	(void)state;
	options = options_of(config, "a");
	assert_true(options.check && options.pow2 && options.exact);
	assert_int_equal(options.shards, 1023);
	assert_int_equal(options.magazine, 1022);
	assert_int_equal(options.contig_size, 65535);
	assert_int_equal(options.contig_runs, 536870912);
	assert_int_equal(options.dry_us, 1000000);
	options = options_of(config, "b");
	assert_int_equal(options.dry_us, 0);
	assert_false(options.check || options.pow2 || options.exact);
	assert_int_equal(options.shards, 1);
	assert_int_equal(options.magazine, 2);
	for (unsigned int i = 0; i < 2; i++) {
		options = options_of(config, i == 0 ? "c" : "d");
		assert_false(options.check || options.pow2 || options.exact);
		assert_int_equal(options.shards, 0);
		assert_int_equal(options.magazine, 0);
		assert_int_equal(options.contig_size + options.contig_runs, 0);
		assert_int_equal(options.dry_us, SLAB_DRY_DEFAULT);
	}
	slab_config_free(config);
}

static void
an_entry_is_taken_from_the_most_specific_section_that_has_it(void **state)
{
	struct slab_config *config = load("[mb_pool_1]\nmagazine=5\n"
					  "[mb_*]\nshards=3\nmagazine=3\ncheck=0\n"
					  "[default]\nshards=1\nmagazine=9\ncheck=1\n"
					  "[mb_pool*]\nshards=4\n"
					  "[*]\nshards=2\n");

	(void)state;
	assert_int_equal(options_of(config, "mb_pool_1").magazine, 5);
	assert_int_equal(options_of(config, "mb_pool_1").shards, 4);
	assert_false(options_of(config, "mb_pool_1").check);
	assert_int_equal(options_of(config, "mb_pool").shards, 4);
	assert_int_equal(options_of(config, "mb_pool_12").magazine, 3);
	assert_int_equal(options_of(config, "mb_").shards, 3);
	assert_int_equal(options_of(config, "mb").shards, 2);
	assert_int_equal(options_of(config, "mb").magazine, 9);
	assert_true(options_of(config, "other").check);
	slab_config_free(config);
}

static void
spaces_comments_and_empty_lines_are_accepted(void **state)
{
	struct slab_config *config =
		load("; a comment with = and [\n\n  \t\n [ pool ] ; why\n\tshards = 7 ; so\n"
		     "; magazine=2\nmagazine=12");

	(void)state;
	assert_int_equal(options_of(config, "pool").shards, 7);
	assert_int_equal(options_of(config, "pool").magazine, 12);
	slab_config_free(config);
	slab_config_free(load(""));
	slab_config_free(load("; nothing\n"));
}

static void
many_sections_and_entries_are_read(void **state)
{
	enum { SECTIONS = 100 };
	static char text[SECTIONS * 80];
	struct slab_config *config;
	size_t len = 0;

	(void)state;
	for (unsigned int i = 1; i <= SECTIONS; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
			"[pool_%u]\nshards=%u\nmagazine=%u\ncheck=1\n", i, i, i + 1);
	config = load(text);
	for (unsigned int i = 1; i <= SECTIONS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "pool_%u", i);
		assert_int_equal(options_of(config, name).shards, i);
		assert_int_equal(options_of(config, name).magazine, i + 1);
	}
	slab_config_free(config);
}

static const struct fault {
	const char *text, *said;
} faults[] = {
	{"check=1\n", "line 1: an entry before the first section"},
	{"[a]\n\ncheck=2\n", "line 3: [a] check=2: expected 0 or 1"},
	{"[a]\ncheck=\n", "line 2: [a] check=: expected 0 or 1"},
	{"[a]\ncheck=yes\n", "line 2: [a] check=yes: expected 0 or 1"},
	{"[a]\npitch=2048\n", "line 2: [a] pitch=2048: expected natural or pow2"},
	{"[a]\npitch=Pow2\n", "line 2: [a] pitch=Pow2: expected natural or pow2"},
	{"[a]\nmode=\n", "line 2: [a] mode=: expected conservative or exact"},
	{"[a]\nshards=0\n", "line 2: [a] shards=0: expected a number from 1 to 1023"},
	{"[a]\nshards=1024\n", "line 2: [a] shards=1024: expected a number from 1 to 1023"},
	{"[a]\nshards=-1\n", "line 2: [a] shards=-1: expected a number"},
	{"[a]\nshards=99999999999999999999999\n", "expected a number from 1 to 1023"},
	{"[a]\nshards=4 8\n", "line 2: [a] shards=4 8: expected a number"},
	{"[a]\nshards=\n", "line 2: [a] shards=: expected a number"},
	{"[a]\nmagazine=1\n", "line 2: [a] magazine=1: expected a number from 2 to 1022"},
	{"[a]\nmagazine=1023\n", "line 2: [a] magazine=1023: expected a number from 2 to 1022"},
	{"[a]\nmagazine=0x20\n", "line 2: [a] magazine=0x20: expected a number"},
	{"[a]\ncontig_size=1\n", "line 2: [a] contig_size=1: expected a number from 2 to 65535"},
	{"[a]\ncontig_size=65536\n", "line 2: [a] contig_size=65536: expected a number from 2"},
	{"[a]\ncontig_runs=0\n",
		"line 2: [a] contig_runs=0: expected a number from 1 to 536870912"},
	{"[a]\ndry_us=1000001\n",
		"line 2: [a] dry_us=1000001: expected a number from 0 to 1000000"},
	{"[b]\n[a]\nshards=2\nchecks=1\n", "line 4: [a] checks: no such entry; expected check,"},
	{"[a]\n=1\n", "line 2: [a] : no such entry"},
	{"[a]\ncheck=1\n; x\ncheck=1\n", "line 4: [a] has check already: expected it once"},
	{"[a]\n[b]\n[a]\n", "line 3: section [a] is there already"},
	{"[]\n", "line 1: section []: expected [default]"},
	{"[mb*0]\n", "line 1: section [mb*0]: expected [default]"},
	{"[**]\n", "line 1: section [**]: expected [default]"},
	{"[a]\nshards=2\n[b\n", "line 3: a section without ']'"},
	{"[a] shards=2\n", "line 1: text after ']'"},
	{"[a_name_that_no_mempool_can_have]\n", "line 1: a section for a name longer"},
	{"[a]\ncheck\n", "line 2: expected [section], entry=value or ; comment"},
	{"[a]\n# check\n", "line 2: expected [section], entry=value or ; comment"},
	{"[a]\n# check=1\n", "line 2: [a] # check: no such entry"},
};

static void
each_fault_is_named_with_file_line_and_what_is_expected(void **state)
{
	struct slab_config *config;

	(void)state;
	for (unsigned int i = 0; i < RTE_DIM(faults); i++) {
		char said[256];
		int ret;

		write_bytes(faults[i].text, strlen(faults[i].text));
		test_log_capture();
		ret = slab_config_load(path, &config);
		snprintf(said, sizeof(said), "%s", faults[i].said);
		if (!test_log_had(said) || ret != -EINVAL || config != NULL)
			fail_msg("\"%s\" gave %d and not \"%s\"", faults[i].text, ret, said);
		test_log_capture();
		assert_int_equal(slab_config_load(path, &config), -EINVAL);
		snprintf(said, sizeof(said), "SLABIO_CONFIG=%s, line ", path);
		assert_true(test_log_had(said));
	}
}

static void
a_line_that_is_too_long_or_no_text_is_refused(void **state)
{
	struct slab_config *config;
	char text[400] = "[a]\n";

	(void)state;
	memset(text + 4, ' ', sizeof(text) - 4);
	memcpy(text + 4, "check=1", 7);
	write_bytes(text, sizeof(text));
	test_log_capture();
	assert_int_equal(slab_config_load(path, &config), -EINVAL);
	assert_true(test_log_had("line 2: too long"));
	/* the longest that is not */
	text[4 + 318] = '\n';
	write_bytes(text, 4 + 319);
	assert_int_equal(slab_config_load(path, &config), 0);
	assert_true(options_of(config, "a").check);
	slab_config_free(config);
	write_bytes("[a]\ncheck=1\0\n", 13);
	test_log_capture();
	assert_int_equal(slab_config_load(path, &config), -EINVAL);
	assert_true(test_log_had("line 2: a zero byte"));
}

static void
a_file_that_cannot_be_read_is_a_fault(void **state)
{
	struct slab_config *config;

	(void)state;
	test_log_capture();
	assert_int_equal(slab_config_load("/nonexistent/slab.cfg", &config), -ENOENT);
	assert_true(test_log_had("SLABIO_CONFIG=/nonexistent/slab.cfg: cannot open it: No such"));
	test_log_capture();
	assert_int_equal(slab_config_load("/proc/self", &config), -EISDIR);
	assert_true(test_log_had("SLABIO_CONFIG=/proc/self: cannot read it: Is a directory"));
}

static void
the_example_means_what_it_says(void **state)
{
	struct slab_config *config;
	struct slab_options options;

	(void)state;
	assert_int_equal(slab_config_load(getenv("SLAB_EXAMPLE"), &config), 0);
	options = options_of(config, "mb_pool_0");
	assert_true(options.check && options.pow2 && !options.exact);
	assert_int_equal(options.shards, 8);
	assert_int_equal(options.magazine, 64);
	options = options_of(config, "mb_pool_1");
	assert_true(!options.check && options.pow2 && !options.exact);
	assert_int_equal(options.shards, 0);
	options = options_of(config, "exact_1");
	assert_true(!options.check && !options.pow2 && options.exact);
	options = options_of(config, "blocks_1");
	assert_int_equal(options.contig_size, 32);
	assert_int_equal(options.contig_runs, 256);
	options = options_of(config, "any");
	assert_false(options.check || options.pow2 || options.exact);
	assert_int_equal(options.contig_size, 0);
	slab_config_free(config);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_entry_is_read),
	cmocka_unit_test(an_entry_is_taken_from_the_most_specific_section_that_has_it),
	cmocka_unit_test(spaces_comments_and_empty_lines_are_accepted),
	cmocka_unit_test(many_sections_and_entries_are_read),
	cmocka_unit_test(each_fault_is_named_with_file_line_and_what_is_expected),
	cmocka_unit_test(a_line_that_is_too_long_or_no_text_is_refused),
	cmocka_unit_test(a_file_that_cannot_be_read_is_a_fault),
	cmocka_unit_test(the_example_means_what_it_says),
};

int
main(void)
{
	const int fd = mkstemp(path);
	int failed;

	if (fd < 0 || getenv("SLAB_EXAMPLE") == NULL) {
		fprintf(stderr, "expected a writable /tmp and the example file in SLAB_EXAMPLE\n");
		return 2;
	}
	close(fd);
	failed = cmocka_run_group_tests_name("config", tests, NULL, NULL);
	unlink(path);
	return failed;
}
