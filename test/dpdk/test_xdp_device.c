/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* What the kernel says of devices: the question, and answers of any content. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <net/if.h>
#include <cmocka.h>

#include "slabio_xdp_device.h"

/* After the two headers of a message. */
#define HEADERS 20

static size_t
add(uint8_t *msg, size_t at, uint16_t type, uint16_t len, const void *data, size_t size)
{
	memset(msg + at, 0, 4 + (size + 3) / 4 * 4);
	memcpy(msg + at, &len, sizeof(len));
	memcpy(msg + at + 2, &type, sizeof(type));
	memcpy(msg + at + 4, data, size);
	return at + 4 + (size + 3) / 4 * 4;
}

static void
attributes_are_found_by_type_and_size(void **state)
{
	const uint64_t features = 2;
	uint8_t msg[128] = {0};
	size_t len = HEADERS;

	(void)state;
	len = add(msg, len, 1, 8, "abcd", 4);
	len = add(msg, len, 2, 4, "", 0);
	len = add(msg, len, 7, 9, "seven", 5);
	len = add(msg, len, 6, 12, &features, sizeof(features));
	assert_memory_equal(slabio_xdp_device_attr(msg, len, 1, 4), "abcd", 4);
	assert_memory_equal(slabio_xdp_device_attr(msg, len, 6, 8), &features, 8);
	assert_null(slabio_xdp_device_attr(msg, len, 6, 4));
	assert_null(slabio_xdp_device_attr(msg, len, 3, 8));
	assert_null(slabio_xdp_device_attr(msg, 0, 1, 4));
	/* cut off anywhere: none that is not there whole */
	while (--len >= HEADERS)
		assert_null(slabio_xdp_device_attr(msg, len, 6, 8));
}

static void
lengths_that_cannot_be_end_the_search(void **state)
{
	uint8_t msg[64] = {0};
	size_t len;

	(void)state;
	len = add(msg, HEADERS, 1, 0, "abcd", 4);
	assert_null(slabio_xdp_device_attr(msg, len, 1, 4));
	len = add(msg, HEADERS, 1, 3, "abcd", 4);
	assert_null(slabio_xdp_device_attr(msg, len, 1, 4));
	len = add(msg, HEADERS, 1, UINT16_MAX, "abcd", 4);
	assert_null(slabio_xdp_device_attr(msg, len, 1, UINT16_MAX - 4));
}

/*
 * The loopback interface has no zero copy and no NAPI instance; an interface that is not there has
 * no answer.
 */
static void
the_kernel_is_asked(void **state)
{
	const int lo = slabio_xdp_device_sums((int)if_nametoindex("lo"));

	uint32_t id;

	(void)state;
	if (lo < 0) {
		print_message("the kernel does not say what devices can do: %s\n", strerror(-lo));
		skip();
	}
	assert_int_equal(lo, 0);
	assert_true(slabio_xdp_device_sums(0x7ffffff0) < 0);
	assert_int_equal(slabio_xdp_device_napi((int)if_nametoindex("lo"), &id), -ENOENT);
	assert_true(slabio_xdp_device_napi(0x7ffffff0, &id) < 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attributes_are_found_by_type_and_size),
		cmocka_unit_test(lengths_that_cannot_be_end_the_search),
		cmocka_unit_test(the_kernel_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
