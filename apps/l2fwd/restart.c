/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * What is left of a killed instance that EAL minds. Its EAL workers end by themselves once they see
 * it dead, within half a second; until then they have locks on files of EAL under which a new
 * primary does not start. So these are waited for, before EAL is told anything. They do not leave
 * the control segment beside a dead primary: they are its members until they end.
 */

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "l2fwd.h"

#define LEAVE_NS (5 * NS_IN_S)
#define RETRY_US 5000
#define CLOSE_MS 200

/*
 * A process that dies closes its files in no order that is known here: EAL's locks may outlive what
 * said that the member was alive, for moments. The pid may be another's by now: no wait for long.
 */
static void
wait_for_files(int pid)
{
	struct pollfd process = {.fd = pidfd_open(pid, 0), .events = POLLIN};

	if (process.fd < 0)
		return;
	poll(&process, 1, CLOSE_MS);
	close(process.fd);
}

/* @return pid of a living EAL worker; 0: all have ended */
static int
eal_worker_left(struct sio_segment *seg, const struct l2fwd_ctl *ctl)
{
	struct sio_member_info info;

	for (unsigned int i = 0; i < L2FWD_SLOTS_MAX && i < ctl->n_slots; i++) {
		const struct l2fwd_slot *slot = &ctl->slots[i];
		sio_member_t member = l2fwd_claim_member(
			atomic_load_explicit(&slot->claim, memory_order_acquire));

		if (slot->kind != L2FWD_EAL || member == SIO_MEMBER_NONE ||
			sio_member_get(seg, SIO_MEMBER_SLOT(member), &info) != 0 ||
			info.member != member)
			continue;
		if (info.state != SIO_MEMBER_DEAD)
			return info.pid;
		wait_for_files(info.pid);
	}
	return 0;
}

int
restart_wait(const char *instance)
{
	const struct sio_segment_attach_opts opts = {.sz = sizeof(opts),
		.kind = L2FWD_CTL_KIND,
		.layout_version = L2FWD_CTL_VERSION,
		.observe = true,
		.read_only = true};
	uint64_t until = sio_now_ns() + LEAVE_NS;
	const struct l2fwd_ctl *ctl;
	struct sio_segment *seg;
	char name[SIO_NAME_LEN];
	bool said = false;
	int pid = 0, ret;

	l2fwd_ctl_name(name, instance);
	ret = sio_segment_attach(name, &opts, &seg);
	if (ret != 0)
		return 0;
	ctl = sio_segment_data(seg);
	/* the creator of a segment is its member in slot 0, generation 1; a living one is refused
	 * later */
	while (sio_segment_size(seg) >= sizeof(*ctl) &&
		sio_member_state(seg, SIO_MEMBER_NAME(0, 1)) != SIO_MEMBER_LIVE) {
		pid = eal_worker_left(seg, ctl);
		if (pid == 0 || sio_now_ns() > until)
			break;
		if (!said)
			say("waiting for EAL workers of the dead instance \"%s\" to end", instance);
		said = true;
		usleep(RETRY_US);
	}
	sio_segment_detach(seg);
	if (pid == 0)
		return 0;
	say("EAL worker (pid %d) of the dead instance \"%s\" does not end, and EAL does not start "
	    "beside it: end it, or choose another --name and --file-prefix",
		pid, instance);
	return -EBUSY;
}
