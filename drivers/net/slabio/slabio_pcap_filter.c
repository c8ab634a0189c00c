/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The expression of filter=, compiled by libpcap. For an interface it goes to the kernel; for a
 * file it runs here, packet by packet, so that what it rejects can be counted.
 */

#include <errno.h>

#include "slabio_pcap.h"

static int
compile(pcap_t *handle, struct bpf_program *program, const char *device, const char *expression)
{
	if (pcap_compile(handle, program, expression, 1, PCAP_NETMASK_UNKNOWN) == 0)
		return 0;
	SLABIO_LOG(ERR, "%s: expected an expression as tcpdump takes it at filter=%s, found: %s",
		device, expression, pcap_geterr(handle));
	return -EINVAL;
}

int
slabio_pcap_filter_compile(struct bpf_program *program, const char *device, const char *expression)
{
	pcap_t *handle = pcap_open_dead(DLT_EN10MB, SLABIO_MAX_PKT);
	int ret;

	if (handle == NULL) {
		SLABIO_LOG(ERR, "%s: no memory for filter=%s", device, expression);
		return -ENOMEM;
	}
	ret = compile(handle, program, device, expression);
	pcap_close(handle);
	return ret;
}

int
slabio_pcap_filter_check(const char *device, const char *expression)
{
	struct bpf_program program;
	int ret = slabio_pcap_filter_compile(&program, device, expression);

	if (ret == 0)
		pcap_freecode(&program);
	return ret;
}

int
slabio_pcap_filter_live(pcap_t *handle, const char *device, const char *expression)
{
	struct bpf_program program;
	int ret = compile(handle, &program, device, expression);

	if (ret != 0)
		return ret;
	if (pcap_setfilter(handle, &program) != 0) {
		SLABIO_LOG(ERR, "%s: cannot apply filter=%s: %s", device, expression,
			pcap_geterr(handle));
		ret = -EIO;
	}
	pcap_freecode(&program);
	return ret;
}
