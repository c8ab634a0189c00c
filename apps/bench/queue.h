/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef BENCH_QUEUE_H
#define BENCH_QUEUE_H

/*
 * A cheap hand-over queue between two threads, so that the pipeline patterns measure the pool and
 * not the queue.
 *
 * Each side keeps a copy of the other's position and reads the real one only when the copy says
 * that it cannot go on; the consumer states its position once a quarter of the queue and whenever
 * it finds the queue empty. So what crosses per bulk is the pointers and one position.
 *
 * Writers: head and slots by the producer, tail by the consumer. Orders: head is stored with
 * release after the slots, loaded with acquire before them; tail is stored with release after the
 * slots were read, loaded with acquire before they are overwritten.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct queue {
	_Alignas(128) _Atomic uint64_t head; /* published by the producer */
	_Alignas(128) _Atomic uint64_t tail; /* published by the consumer */
	_Alignas(128) uint64_t next_in;	     /* the producer's own: position, copy of tail */
	uint64_t tail_seen;
	_Alignas(128)
		uint64_t next_out; /* the consumer's own: position, copy of head, stated tail */
	uint64_t head_seen;
	uint64_t stated;
	_Alignas(128) uint64_t capacity; /* power of two */
	void *slots[];
};

static inline struct queue *
queue_new(uint64_t capacity)
{
	size_t bytes = sizeof(struct queue) + capacity * sizeof(void *);
	struct queue *queue = aligned_alloc(128, (bytes + 127) / 128 * 128);

	if (queue == NULL)
		return NULL;
	__builtin_memset(queue, 0, bytes);
	queue->capacity = capacity;
	return queue;
}

/* All or nothing. */
static inline bool
queue_push(struct queue *queue, void *const *objs, unsigned int n)
{
	uint64_t mask = queue->capacity - 1, at = queue->next_in;

	if (at + n - queue->tail_seen > queue->capacity) {
		queue->tail_seen = atomic_load_explicit(&queue->tail, memory_order_acquire);
		if (at + n - queue->tail_seen > queue->capacity)
			return false;
	}
	if ((at & mask) + n <= queue->capacity) {
		void **slots = &queue->slots[at & mask];

		for (unsigned int i = 0; i < n; i++)
			slots[i] = objs[i];
	} else {
		for (unsigned int i = 0; i < n; i++)
			queue->slots[(at + i) & mask] = objs[i];
	}
	queue->next_in = at + n;
	atomic_store_explicit(&queue->head, at + n, memory_order_release);
	return true;
}

/* All or nothing. */
static inline bool
queue_pop(struct queue *queue, void **objs, unsigned int n)
{
	uint64_t mask = queue->capacity - 1, at = queue->next_out;

	if (queue->head_seen - at < n) {
		queue->head_seen = atomic_load_explicit(&queue->head, memory_order_acquire);
		if (queue->head_seen - at < n) {
			if (queue->stated != at) {
				queue->stated = at;
				atomic_store_explicit(&queue->tail, at, memory_order_release);
			}
			return false;
		}
	}
	if ((at & mask) + n <= queue->capacity) {
		void *const *slots = &queue->slots[at & mask];

		for (unsigned int i = 0; i < n; i++)
			objs[i] = slots[i];
	} else {
		for (unsigned int i = 0; i < n; i++)
			objs[i] = queue->slots[(at + i) & mask];
	}
	queue->next_out = at + n;
	if (at + n - queue->stated >= queue->capacity / 4) {
		queue->stated = at + n;
		atomic_store_explicit(&queue->tail, at + n, memory_order_release);
	}
	return true;
}

#endif /* BENCH_QUEUE_H */
