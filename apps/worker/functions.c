/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "worker.h"

#define MAC_LEN	   6
#define SNAPLEN	   65535
#define FILTER_KEY "filter="

static int
filter_compile(struct bpf_program *program, const char *expression)
{
	pcap_t *pcap;
	int ret = 0;

	if (expression[0] == '\0') {
		worker_say("--fn filter= expects a libpcap expression, found none");
		return -EINVAL;
	}
	pcap = pcap_open_dead(DLT_EN10MB, SNAPLEN);
	if (pcap == NULL)
		return -ENOMEM;
	if (pcap_compile(pcap, program, expression, 1, PCAP_NETMASK_UNKNOWN) != 0) {
		worker_say("filter \"%s\": %s", expression, pcap_geterr(pcap));
		ret = -EINVAL;
	}
	pcap_close(pcap);
	return ret;
}

int
function_parse(struct function *fn, const char *text)
{
	memset(fn, 0, sizeof(*fn));
	if (strcmp(text, "count") == 0) {
		fn->kind = FUNCTION_COUNT;
		return 0;
	}
	if (strcmp(text, "macswap") == 0) {
		fn->kind = FUNCTION_MACSWAP;
		return 0;
	}
	if (strncmp(text, FILTER_KEY, strlen(FILTER_KEY)) == 0) {
		fn->kind = FUNCTION_FILTER;
		return filter_compile(&fn->program, text + strlen(FILTER_KEY));
	}
	worker_say("--fn expects count, macswap or filter=EXPRESSION, found \"%s\"", text);
	return -EINVAL;
}

void
function_free(struct function *fn)
{
	if (fn->kind == FUNCTION_FILTER)
		pcap_freecode(&fn->program);
}

static void
mac_swap(uint8_t *data)
{
	uint8_t mac[MAC_LEN];

	memcpy(mac, data, MAC_LEN);
	memcpy(data, data + MAC_LEN, MAC_LEN);
	memcpy(data + MAC_LEN, mac, MAC_LEN);
}

bool
function_apply(const struct function *fn, uint8_t *data, uint32_t caplen, uint32_t len)
{
	switch (fn->kind) {
	case FUNCTION_COUNT:
		return true;
	case FUNCTION_MACSWAP:
		if (caplen >= 2 * MAC_LEN)
			mac_swap(data);
		return true;
	case FUNCTION_FILTER:
		/* an instruction that reads past caplen makes the filter reject */
		return bpf_filter(fn->program.bf_insns, data, len, caplen) != 0;
	}
	return true;
}
