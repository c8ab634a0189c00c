/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef WORKER_H
#define WORKER_H

/**
 * @file
 * slabio-worker and slabio-eal-worker: what their files share. They see an instance of slabio-l2fwd
 * through the segments and rings that l2fwd_ctl.h describes. slabio-worker links no DPDK; what an
 * EAL secondary does otherwise is in place.c, of which each program has one.
 */

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <pcap/pcap.h>

#include "l2fwd_ctl.h"

/** Exit status: l2fwd asked the worker to go, or a signal did. */
#define WORKER_EXIT_ASKED 0
/** Exit status: could not start, with a message that says why. */
#define WORKER_EXIT_START 1
/** Exit status: wrong usage. */
#define WORKER_EXIT_USAGE 2
/** Exit status: l2fwd is gone. */
#define WORKER_EXIT_GONE 3
/** Exit status: a descriptor or a ring broke the rules. */
#define WORKER_EXIT_PROTOCOL 4

/** Set by SIGINT and SIGTERM. */
extern volatile sig_atomic_t worker_quit;

/* ---- run.c ---- */

/** Prints one line to stderr, after the program's name and, once it has one, its slot. */
void worker_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** What the program does from its own options on. @return a WORKER_EXIT_... status */
int worker_run(int argc, char **argv);

enum function_kind {
	FUNCTION_COUNT,
	FUNCTION_MACSWAP,
	FUNCTION_FILTER,
};

/** What is done to each packet. */
struct function {
	enum function_kind kind;
	struct bpf_program program; /**< of FUNCTION_FILTER */
};

/** Parses and prepares the argument of --fn. @return 0; -EINVAL, with a message on stderr */
int function_parse(struct function *fn, const char *text);
void function_free(struct function *fn);

/**
 * Applies a function to a packet.
 *
 * @param data   first piece of the packet
 * @param caplen bytes in that piece
 * @param len    bytes of the whole packet
 * @return false: the packet is not to be forwarded
 */
bool function_apply(const struct function *fn, uint8_t *data, uint32_t caplen, uint32_t len);

struct place;

/** An attached instance. */
struct session {
	struct sio_segment *ctl_segment;
	struct sio_segment *data_segment;
	struct l2fwd_ctl *ctl;
	struct place *place; /**< what place.c has open; NULL: nothing */
	uint32_t n_blocks;
	uint32_t stride;
	sio_member_t owner; /**< l2fwd in the control segment */
	unsigned int slot;
	uint32_t incarnation;
	struct sio_rbuff *out;
	struct sio_rbuff *back;
};

/**
 * Attaches to an instance, waiting for a free slot until the deadline.
 *
 * @param slot the slot, or -1 for the first free one
 * @return 0; a negative errno, with a message on stderr; nothing stays attached then
 */
int session_attach(struct session *s, const char *instance, int slot, uint64_t deadline_ns);
void session_detach(struct session *s);
/** True while the l2fwd of this instance lives. Makes a system call. */
bool session_owner_lives(const struct session *s);

/* ---- place.c: where packets lie, for one kind of worker ---- */

extern const char worker_program[];
/** What is said in --help between the name and --attach. */
extern const char worker_synopsis[];
extern const enum l2fwd_kind worker_kind;

/** Finds the packets of s->data_segment. @return 0; a negative errno, with a message on stderr */
int place_open(struct session *s);
void place_close(struct session *s);
/**
 * What has to end before the control segment is left: by its leaving, l2fwd and a successor of it
 * take this process for ended.
 *
 * @return false: only with the process itself does that end; the kernel then leaves the segment too
 */
bool place_end(const struct session *s);
/** Attaches to a ring of the session. @return as sio_rbuff_attach() */
int place_ring(
	struct session *s, const char *name, enum sio_rbuff_role role, struct sio_rbuff **ring);
/** True if what a descriptor names is there. */
bool place_sound(const struct session *s, const struct sio_desc *d);
/** First byte of what a sound descriptor names. */
uint8_t *place_data(const struct session *s, const struct sio_desc *d);

struct worker_stats {
	uint64_t packets;
	uint64_t bytes;
	uint64_t dropped; /**< by verdict */
	uint64_t bursts;
	uint64_t sleeps;
};

/**
 * Works until told to stop.
 *
 * @param cost_ns time spent on each packet beside the function, to stand for a heavier one
 * @return a WORKER_EXIT_... status; the reason is on stderr
 */
int loop_run(const struct session *s, const struct function *fn, uint64_t cost_ns,
	struct worker_stats *stats);

#endif /* WORKER_H */
