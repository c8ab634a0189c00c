/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Busy polling where the kernel does not tie an interface's NAPI instances to its queues, as with
 * veth: there, a socket knows of none, and a receive call on it polls nothing. What the peer sends
 * is then received by the sender's CPU, in the middle of its own system call.
 *
 * io_uring polls whatever instance it is told to.
 */

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/io_uring.h>

#include "slabio_xdp.h"

/* io_uring: instances named by the user since Linux 6.13 */
#define URING_REGISTER_NAPI 27
#define URING_NAPI_STATIC   1 /* op_param of opcode 0 */
#define URING_NAPI_ADD	    1 /* opcode; op_param: the number */

struct uring_napi {
	uint32_t busy_poll_to; /* microseconds */
	uint8_t prefer_busy_poll;
	uint8_t opcode;
	uint8_t pad[2];
	uint32_t op_param;
	uint32_t resv;
};

/* A call polls at least once. More of it would keep the caller from what was received. */
#define POLL_US 2

bool
slabio_xdp_napi_known(int socket)
{
	uint32_t id = 0;
	socklen_t len = sizeof(id);

	return getsockopt(socket, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &len) == 0 && id != 0;
}

int
slabio_xdp_napi_open(uint32_t id)
{
	struct io_uring_params params = {0};
	struct uring_napi mode = {
		.busy_poll_to = POLL_US, .prefer_busy_poll = 1, .op_param = URING_NAPI_STATIC};
	struct uring_napi add = {.opcode = URING_NAPI_ADD, .op_param = id};
	int fd = (int)syscall(__NR_io_uring_setup, 1, &params);
	int ret;

	if (fd < 0)
		return -errno;
	if (syscall(__NR_io_uring_register, fd, URING_REGISTER_NAPI, &mode, 1) == 0 &&
		syscall(__NR_io_uring_register, fd, URING_REGISTER_NAPI, &add, 1) == 0)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

void
slabio_xdp_napi_poll(int fd)
{
	/* there will never be an event: it polls, and sees then that its time is over */
	const struct __kernel_timespec now = {0, 0};
	const struct io_uring_getevents_arg arg = {.ts = (uintptr_t)&now};

	(void)syscall(__NR_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
		&arg, sizeof(arg));
}
