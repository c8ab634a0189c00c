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

#endif /* SIO_RBUFF_TEST_H */
