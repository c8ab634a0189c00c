/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * A capture in memory, for loop=: the packets of one queue that pass the filter, one after the
 * other as they are replayed. It belongs to the driver; of the application's pool no more is taken
 * than for packets that it is given.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "slabio_pcap.h"

#define FIRST_SIZE ((size_t)1 << 20)

static size_t
record_size(uint32_t len)
{
	return RTE_ALIGN_CEIL(sizeof(struct slabio_pcap_record) + len, 8);
}

static bool
make_room(struct slabio_pcap_store *store, size_t n)
{
	size_t size = store->room == 0 ? FIRST_SIZE : store->room;
	uint8_t *base;

	while (size - store->end < n)
		size *= 2;
	if (size == store->room)
		return true;
	base = realloc(store->base, size);
	if (base == NULL)
		return false;
	store->base = base;
	store->room = size;
	return true;
}

static bool
append(struct slabio_pcap_store *store, const struct slabio_pcap_rx *rx)
{
	struct slabio_pcap_record *r;

	if (!make_room(store, record_size(rx->len)))
		return false;
	r = (struct slabio_pcap_record *)(store->base + store->end);
	*r = (struct slabio_pcap_record){
		.mark = rx->mark, .stamp = rx->stamp, .len = rx->len, .wire_len = rx->wire_len};
	memcpy(r->data, rx->data, rx->len);
	store->end += record_size(rx->len);
	return true;
}

/* So that a file which does not fit is refused, rather than the machine brought down by it. */
static int
check_size(const struct slabio_pcap_rx *rx)
{
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	struct stat st;

	if (stat(rx->source, &st) != 0 || (uint64_t)st.st_size <= memory / 2)
		return 0;
	SLABIO_LOG(ERR,
		"%s: expected rx_pcap=%s to fit into half of the memory (%" PRIu64
		" MB) for loop=, found %" PRIu64 " MB; cut the capture, or leave out loop=",
		rx->device, rx->source, memory / 2 >> 20, (uint64_t)st.st_size >> 20);
	return -EFBIG;
}

static int
no_memory(const struct slabio_pcap_rx *rx)
{
	SLABIO_LOG(ERR, "%s: no memory to hold rx_pcap=%s for loop=", rx->device, rx->source);
	return -ENOMEM;
}

int
slabio_pcap_store_load(struct slabio_rxq *q, struct slabio_pcap_rx *rx, uint64_t rounds)
{
	struct slabio_pcap_store *store;
	unsigned int budget;
	int ret = check_size(rx);

	if (ret != 0)
		return ret;
	store = calloc(1, sizeof(*store));
	if (store == NULL)
		return no_memory(rx);
	store->rounds = rounds;
	while (!rx->ended) {
		budget = UINT_MAX;
		if (!slabio_pcap_file_next(q, rx, &budget))
			continue;
		if (!append(store, rx)) {
			slabio_pcap_store_free(store);
			return no_memory(rx);
		}
	}
	rx->ended = false;
	rx->pending = false;
	store->mark_period = slabio_pcap_walk_end(&rx->walk, rx->pace.kind);
	store->stamp_period = slabio_pcap_walk_span(&rx->walk);
	rx->store = store;
	return 0;
}

void
slabio_pcap_store_free(struct slabio_pcap_store *store)
{
	if (store == NULL)
		return;
	free(store->base);
	free(store);
}
