/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Sockets that another process creates and enters into its map: slabio-xsk, which has the rights
 * that this process has not. See slabio_xsk_broker.h.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "slabio_xdp.h"
#include "slabio_xsk_broker.h"

/* It answers at once, or is not well. */
#define ANSWER_S 2

static int
reach(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const struct timeval limit = {.tv_sec = ANSWER_S};
	int fd, ret;

	if (strlen(path) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0 &&
		connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

/* 0 or a negative errno; a descriptor that came with the answer, or -1, in any case. */
static int
take_answer(int conn, int *fd)
{
	struct slabio_xsk_answer answer = {0};
	const ssize_t n = slabio_xsk_receive(conn, &answer, sizeof(answer), fd);

	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (n != sizeof(answer) || answer.magic != SLABIO_XSK_MAGIC || answer.error > 0)
		return -EPROTO;
	return answer.error;
}

static int
ask(const char *path, enum slabio_xsk_op op, int ifindex, uint32_t queue, int with, int *got)
{
	const struct slabio_xsk_request request = {
		.magic = SLABIO_XSK_MAGIC, .op = op, .ifindex = (uint32_t)ifindex, .queue = queue};
	int conn = reach(path), ret;

	*got = -1;
	if (conn < 0)
		return conn;
	ret = slabio_xsk_send(conn, &request, sizeof(request), with, 0) == sizeof(request)
		      ? take_answer(conn, got)
		      : -errno;
	close(conn);
	if (*got >= 0 && (ret != 0 || op != SLABIO_XSK_SOCKET)) {
		close(*got);
		*got = -1;
	}
	return ret;
}

/*
 * Whether a socket is of this process's network namespace: where it is not, the interface's number
 * is another one's there. Kernels before 5.14 do not tell.
 */
static bool
is_of_this_namespace(int fd)
{
	uint64_t theirs, ours;
	socklen_t len = sizeof(ours);
	int own = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool same = getsockopt(own, SOL_SOCKET, SO_NETNS_COOKIE, &ours, &len) != 0 ||
		    getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &theirs, &len) != 0 ||
		    ours == theirs;

	if (own >= 0)
		close(own);
	return same;
}

int
slabio_xdp_given_socket(const char *path, int ifindex, uint32_t queue)
{
	int domain = 0, fd, ret = ask(path, SLABIO_XSK_SOCKET, ifindex, queue, -1, &fd);
	socklen_t len = sizeof(domain);

	if (ret != 0)
		return ret;
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 || domain != AF_XDP)
		ret = -EPROTO;
	else if (!is_of_this_namespace(fd))
		ret = -EXDEV;
	if (ret == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return ret;
}

int
slabio_xdp_given_enter(const char *path, int ifindex, uint32_t queue, int fd)
{
	int none;

	return ask(path, SLABIO_XSK_ENTER, ifindex, queue, fd, &none);
}

int
slabio_xdp_given_leave(const char *path, int ifindex, uint32_t queue)
{
	int none;

	return ask(path, SLABIO_XSK_LEAVE, ifindex, queue, -1, &none);
}
