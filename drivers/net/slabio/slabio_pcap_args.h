/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIO_PCAP_ARGS_H
#define SLABIO_PCAP_ARGS_H

/**
 * @file
 * The device arguments of the pcap back end that are more than the name of a file or interface.
 */

#include <stdbool.h>
#include <stdint.h>

struct slabio_args;

enum slabio_pcap_pacing {
	SLABIO_PACE_NONE,     /* as fast as the application asks */
	SLABIO_PACE_ORIGINAL, /* as the stamps say, times a factor */
	SLABIO_PACE_PPS,      /* packets per second */
	SLABIO_PACE_BPS,      /* bits per second */
};

enum slabio_pcap_format {
	SLABIO_FORMAT_BY_SUFFIX, /* pcapng for .pcapng, else pcap */
	SLABIO_FORMAT_PCAP,
	SLABIO_FORMAT_PCAPNG,
};

#define SLABIO_LOOP_ENDLESS UINT64_MAX

struct slabio_pcap_opts {
	uint32_t given; /* a bit for each of these arguments, in the order of their table */
	char *filter;
	enum slabio_pcap_pacing pacing;
	double pace;	  /* the factor or rate */
	uint64_t loop;	  /* rounds; 0: read from the file as it goes */
	uint32_t snaplen; /* 0: whole packets */
	bool spread;
	bool eof_link_down;
	enum slabio_pcap_format format;
	uint64_t rotate_size;	 /* bytes; 0: any */
	uint32_t rotate_seconds; /* 0: any age */
	uint32_t rotate_files;	 /* so many are kept; 0: all */
};

#define SLABIO_PCAP_PARAMS                                              \
	"filter=<expression> pace=full|original|<f>x|<n>pps|<n>bps "    \
	"loop=<rounds>|endless rx_spread=flow snaplen=<bytes> "         \
	"eof=keep|link_down tx_format=pcap|pcapng rotate_size=<bytes> " \
	"rotate_time=<seconds> rotate_files=<n>"

bool slabio_pcap_opt_known(const char *key);
/** Takes one of the known arguments; 0, or a negative errno after a message. */
int slabio_pcap_opt_set(
	const char *name, const char *key, const char *value, struct slabio_pcap_opts *opts);
/** Checks that the arguments go together; 0, or a negative errno after a message. */
int slabio_pcap_opts_check(const char *name, const struct slabio_args *args);
void slabio_pcap_opts_free(struct slabio_pcap_opts *opts);

#endif /* SLABIO_PCAP_ARGS_H */
