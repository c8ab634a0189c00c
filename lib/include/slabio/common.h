/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_COMMON_H
#define SIO_COMMON_H

/**
 * @file
 * What every slabio header shares: export marks, limits, the log hook and the runtime folder.
 *
 * Conventions of the whole library: functions that can fail return a negative errno value; a
 * pointer result comes through an output argument. Times are absolute values of CLOCK_MONOTONIC in
 * nanoseconds. The library never prints: it logs through one hook, see sio_log_set().
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Marks a function that the shared library exports. */
#define SIO_API __attribute__((visibility("default")))

/** Size of a cache line in bytes on every machine this library supports. */
#define SIO_CACHE_LINE 64

/** Longest name of a segment, pool or ring in bytes, with its end. */
#define SIO_NAME_LEN 64

/** Environment variable that names another runtime folder. */
#define SIO_RUNTIME_DIR_ENV "SLABIO_RUNTIME_DIR"

/** A time limit that never comes, for the timed calls. */
#define SIO_FOREVER UINT64_MAX

enum sio_log_level {
	SIO_LOG_ERR = 0,
	SIO_LOG_WARNING = 1,
	SIO_LOG_NOTICE = 2,
	SIO_LOG_INFO = 3,
	SIO_LOG_DEBUG = 4,
};

/** Receives one message, without a newline at its end. May be called from any thread. */
typedef void (*sio_log_fn)(enum sio_log_level level, const char *message, void *arg);

/**
 * Sets who receives the library's messages in this process.
 *
 * Until it is called, messages of level SIO_LOG_WARNING and worse are dropped like all others; the
 * library itself never writes to stderr. Call it once, before other threads use the library.
 *
 * @param fn    the hook, or NULL to drop messages
 * @param arg   given to every call of the hook
 * @param level the least important level that still reaches the hook
 */
SIO_API void sio_log_set(sio_log_fn fn, void *arg, enum sio_log_level level);

/** Now, on CLOCK_MONOTONIC, in nanoseconds. */
SIO_API uint64_t sio_now_ns(void);

/**
 * The folder in which named segments of this user live, created on first use with mode 0700.
 *
 * It is the value of SLABIO_RUNTIME_DIR, or /dev/shm/slabio.UID of the effective user.
 *
 * @param buf  where to write the path
 * @param len  its size in bytes
 * @return 0; -ENAMETOOLONG if it does not fit; -EPERM if the folder belongs to somebody else or is
 *         writable by others; another negative errno if it cannot be created
 */
SIO_API int sio_runtime_dir(char *buf, size_t len);

/**
 * Checks a segment, pool or ring name: 1 to SIO_NAME_LEN - 1 characters of [A-Za-z0-9._#@:+-], the
 * first neither '.' nor '-'.
 *
 * @return 0 or -EINVAL
 */
SIO_API int sio_name_check(const char *name);

#ifdef __cplusplus
}
#endif

#endif /* SIO_COMMON_H */
