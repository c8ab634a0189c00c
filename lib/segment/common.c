/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <slabio/common.h>
#include "log.h"
#include "segment_private.h"

static struct {
	sio_log_fn fn;
	void *arg;
	atomic_int
		level; /* -1: nobody listens. Released by sio_log_set(), acquired by sio__log() */
} log_hook = {.level = -1};

void
sio_log_set(sio_log_fn fn, void *arg, enum sio_log_level level)
{
	atomic_store_explicit(&log_hook.level, -1, memory_order_release);
	log_hook.fn = fn;
	log_hook.arg = arg;
	if (fn != NULL)
		atomic_store_explicit(&log_hook.level, (int)level, memory_order_release);
}

void
sio__log(enum sio_log_level level, const char *fmt, ...)
{
	char message[1024];
	va_list ap;
	int saved = errno;

	if ((int)level > atomic_load_explicit(&log_hook.level, memory_order_acquire))
		return;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	log_hook.fn(level, message, log_hook.arg);
	errno = saved;
}

uint64_t
sio_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

int
sio_name_check(const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._#@:+-";
	size_t len;

	if (name == NULL || name[0] == '.' || name[0] == '-')
		return -EINVAL;
	len = strnlen(name, SIO_NAME_LEN);
	if (len == 0 || len == SIO_NAME_LEN || strspn(name, allowed) != len)
		return -EINVAL;
	return 0;
}

/*
 * Writes the folder's path, without slashes at its end: O_NOFOLLOW looks at the last component
 * only.
 */
static int
runtime_path(char *buf, size_t len)
{
	const char *env = getenv(SIO_RUNTIME_DIR_ENV);
	int n;

	if (buf == NULL || len == 0)
		return -ENAMETOOLONG;
	if (env == NULL || env[0] == '\0') {
		n = snprintf(buf, len, "/dev/shm/slabio.%u", (unsigned int)geteuid());
	} else {
		if (env[0] != '/') {
			SIO_ERR("%s must be an absolute path, found '%s'", SIO_RUNTIME_DIR_ENV,
				env);
			return -EINVAL;
		}
		n = snprintf(buf, len, "%s", env);
	}
	if (n < 0 || (size_t)n >= len)
		return -ENAMETOOLONG;
	while (n > 1 && buf[n - 1] == '/')
		buf[--n] = '\0';
	return 0;
}

/* Opens the folder, making it if it is not there, and checks that it is ours alone. */
static int
runtime_open_path(const char *path)
{
	struct stat st;
	int fd, rc;

	if (mkdir(path, 0700) < 0 && errno != EEXIST) {
		rc = -errno;
		SIO_ERR("cannot create the runtime folder %s: %s; set %s to a folder of yours",
			path, strerror(-rc), SIO_RUNTIME_DIR_ENV);
		return rc;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		rc = errno == ELOOP || errno == ENOTDIR ? -EPERM : -errno;
		SIO_ERR("cannot use %s as the runtime folder, expected a folder that is no link: "
			"%s",
			path, strerror(errno));
		return rc;
	}
	if (fstat(fd, &st) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	if (st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
		SIO_ERR("runtime folder %s: expected owner %u and no write permission for others, "
			"found "
			"owner %u, mode %04o; set %s to a folder of yours",
			path, (unsigned int)geteuid(), (unsigned int)st.st_uid,
			(unsigned int)(st.st_mode & 07777), SIO_RUNTIME_DIR_ENV);
		close(fd);
		return -EPERM;
	}
	return fd;
}

int
sio__runtime_open(void)
{
	char path[PATH_MAX];
	int rc = runtime_path(path, sizeof(path));

	return rc < 0 ? rc : runtime_open_path(path);
}

int
sio_runtime_dir(char *buf, size_t len)
{
	int rc = runtime_path(buf, len);

	if (rc < 0)
		return rc;
	rc = runtime_open_path(buf);
	if (rc < 0)
		return rc;
	close(rc);
	return 0;
}
