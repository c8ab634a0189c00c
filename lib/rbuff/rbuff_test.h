/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_RBUFF_TEST_H
#define SIO_RBUFF_TEST_H

/**
 * @file
 * Switches for tests: behave as on a kernel that lacks something. Set before a ring is opened.
 */

#include <stdbool.h>

/**
 * The process cannot register for barriers: it makes one itself at every look at the other side.
 */
extern bool sio__rbuff_no_register;
/** Barriers cannot be issued: sleeps are short. */
extern bool sio__rbuff_no_barrier;

/** Places on the way to sleep at which the other side may come in between. */
enum rbuff_sleep_step {
	RBUFF_BEFORE_ANNOUNCE, /**< found nothing; the other side does not know of it */
	RBUFF_BEFORE_SLEEP,    /**< looked again, not in the kernel yet */
};

/** Called there by the thread that goes to sleep, if set. */
extern void (*sio__rbuff_sleep_hook)(enum rbuff_sleep_step step);

#endif /* SIO_RBUFF_TEST_H */
