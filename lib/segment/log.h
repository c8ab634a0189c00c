/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_SEGMENT_LOG_H
#define SIO_SEGMENT_LOG_H

/**
 * @file
 * The library's side of the log hook. A message says what was expected, what was found and what to
 * do.
 */

#include <slabio/common.h>

/** Formats a message and gives it to the hook, if one is set and wants that level. */
void sio__log(enum sio_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define SIO_ERR(...)	sio__log(SIO_LOG_ERR, __VA_ARGS__)
#define SIO_WARN(...)	sio__log(SIO_LOG_WARNING, __VA_ARGS__)
#define SIO_NOTICE(...) sio__log(SIO_LOG_NOTICE, __VA_ARGS__)
#define SIO_INFO(...)	sio__log(SIO_LOG_INFO, __VA_ARGS__)
#define SIO_DEBUG(...)	sio__log(SIO_LOG_DEBUG, __VA_ARGS__)

#endif /* SIO_SEGMENT_LOG_H */
