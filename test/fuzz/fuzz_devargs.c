/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The device arguments of net_slabio: whatever is given, it is taken or refused with a message,
 * what was taken is within its bounds, and nothing is leaked.
 */

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "slabio_pmd.h"

int slabio_logtype;
static unsigned int messages;

/* In place of EAL's, so that the sanitizer watches the memory and the log is silent. */
void *
rte_malloc(const char *type __rte_unused, size_t size, unsigned int align __rte_unused)
{
	return malloc(size);
}

void
rte_free(void *ptr)
{
	free(ptr);
}

int
rte_log(uint32_t level __rte_unused, uint32_t logtype __rte_unused, const char *format, ...)
{
	char text[4096];
	va_list ap;

	messages++;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return 0;
}

#define expect(condition)                 \
	do {                              \
		if (!(condition))         \
			__builtin_trap(); \
	} while (0)

static void
check(const struct slabio_args *args)
{
	const struct slabio_pcap_opts *o = &args->pcap;
	bool rx_file = args->nb_rx_pcap > 0, tx_file = args->nb_tx_pcap > 0;
	unsigned int i;

	expect(args->nb_rx_pcap <= SLABIO_MAX_QUEUES && args->nb_tx_pcap <= SLABIO_MAX_QUEUES);
	for (i = 0; i < args->nb_rx_pcap; i++)
		expect(args->rx_pcap[i][0] != '\0');
	for (i = 0; i < args->nb_tx_pcap; i++)
		expect(args->tx_pcap[i][0] != '\0');
	expect(!args->has_mac || rte_is_valid_assigned_ether_addr(&args->mac));
	expect(o->filter == NULL || rx_file || args->pcap_iface != NULL);
	expect(o->pacing == SLABIO_PACE_NONE || (rx_file && o->pace >= 0.001 && o->pace <= 1e12));
	expect(o->loop == 0 || rx_file);
	expect(o->loop <= 1000000000 || o->loop == SLABIO_LOOP_ENDLESS);
	expect(o->snaplen == 0 || (o->snaplen >= 14 && o->snaplen <= 65535));
	expect(o->rotate_size == 0 || (tx_file && o->rotate_size >= 1000));
	expect(o->rotate_seconds <= 2592000 && o->rotate_files <= 1000000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct slabio_args nothing;
	struct slabio_args args;
	char *text;

	text = malloc(size + 1);
	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	messages = 0;
	if (slabio_args_parse("net_slabio0", text, &args) == 0) {
		check(&args);
		slabio_args_free(&args);
	} else {
		expect(messages == 1);
	}
	expect(memcmp(&args, &nothing, sizeof(args)) == 0);
	free(text);
	return 0;
}
