/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The values of the pcap back end's device arguments. A table says for each what it may be; those
 * that need another argument, or exclude one, are checked when all have been read.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_malloc.h>

#include "slabio_pmd.h"

#define PACE_MIN_FACTOR 0.001
#define PACE_MAX_FACTOR 1000.0
#define PACE_MIN_PPS	1.0
#define PACE_MAX_PPS	1e9
#define PACE_MIN_BPS	1e3
#define PACE_MAX_BPS	1e12
#define LOOP_MAX	1000000000ULL

enum needs {
	NEEDS_RX = 1 << 0,	/* rx_pcap= or pcap_iface= */
	NEEDS_RX_FILE = 1 << 1, /* rx_pcap= */
	NEEDS_TX_FILE = 1 << 2, /* tx_pcap= */
	NEEDS_ANY = 1 << 3,	/* any of these */
};

struct option {
	const char *key;
	const char *expected; /* what the value has to be, for the message */
	int (*set)(struct slabio_pcap_opts *opts, const char *value);
	unsigned int needs;
};

/*
 * A number without a sign, such as 10 or 2.5, and an optional unit k, M or G for thousands,
 * millions and billions. Returns what follows it, or NULL.
 */
static const char *
number(const char *text, double *value)
{
	static const char digits[] = "0123456789";
	size_t whole = strspn(text, digits), len = whole;
	char copy[32];

	if (text[len] == '.')
		len += 1 + strspn(text + len + 1, digits);
	if (whole == 0 || text[len - 1] == '.' || len >= sizeof(copy))
		return NULL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	*value = strtod(copy, NULL);
	switch (text[len]) {
	case 'k':
		*value *= 1e3;
		return text + len + 1;
	case 'M':
		*value *= 1e6;
		return text + len + 1;
	case 'G':
		*value *= 1e9;
		return text + len + 1;
	default:
		return text + len;
	}
}

/* A whole number (with a unit perhaps) within a range, nothing after it. */
static int
whole(const char *text, double low, double high, uint64_t *value)
{
	const char *end;
	double d;

	end = number(text, &d);
	if (end == NULL || *end != '\0' || d < low || d > high || d != (double)(uint64_t)d)
		return -EINVAL;
	*value = (uint64_t)d;
	return 0;
}

static int
set_filter(struct slabio_pcap_opts *opts, const char *value)
{
	size_t len = strlen(value) + 1;

	/* read by secondaries as well */
	opts->filter = rte_malloc("slabio_args", len, 0);
	if (opts->filter == NULL)
		return -ENOMEM;
	memcpy(opts->filter, value, len);
	return 0;
}

static int
set_pace(struct slabio_pcap_opts *opts, const char *value)
{
	const char *unit;
	double d;

	opts->pace = 1;
	opts->pacing = SLABIO_PACE_NONE;
	if (strcmp(value, "full") == 0)
		return 0;
	opts->pacing = SLABIO_PACE_ORIGINAL;
	if (strcmp(value, "original") == 0)
		return 0;
	unit = number(value, &d);
	if (unit == NULL)
		return -EINVAL;
	opts->pace = d;
	if (strcmp(unit, "x") == 0)
		return d >= PACE_MIN_FACTOR && d <= PACE_MAX_FACTOR ? 0 : -ERANGE;
	opts->pacing = SLABIO_PACE_PPS;
	if (strcmp(unit, "pps") == 0)
		return d >= PACE_MIN_PPS && d <= PACE_MAX_PPS ? 0 : -ERANGE;
	opts->pacing = SLABIO_PACE_BPS;
	if (strcmp(unit, "bps") == 0)
		return d >= PACE_MIN_BPS && d <= PACE_MAX_BPS ? 0 : -ERANGE;
	return -EINVAL;
}

static int
set_loop(struct slabio_pcap_opts *opts, const char *value)
{
	if (strcmp(value, "endless") != 0)
		return whole(value, 1, LOOP_MAX, &opts->loop);
	opts->loop = SLABIO_LOOP_ENDLESS;
	return 0;
}

static int
set_spread(struct slabio_pcap_opts *opts, const char *value)
{
	opts->spread = true;
	return strcmp(value, "flow") == 0 ? 0 : -EINVAL;
}

static int
set_snaplen(struct slabio_pcap_opts *opts, const char *value)
{
	uint64_t n;
	int ret = whole(value, RTE_ETHER_HDR_LEN, SLABIO_MAX_PKT, &n);

	if (ret == 0)
		opts->snaplen = (uint32_t)n;
	return ret;
}

static int
set_eof(struct slabio_pcap_opts *opts, const char *value)
{
	opts->eof_link_down = strcmp(value, "link_down") == 0;
	return opts->eof_link_down || strcmp(value, "keep") == 0 ? 0 : -EINVAL;
}

static int
set_format(struct slabio_pcap_opts *opts, const char *value)
{
	opts->format = strcmp(value, "pcapng") == 0 ? SLABIO_FORMAT_PCAPNG : SLABIO_FORMAT_PCAP;
	return opts->format == SLABIO_FORMAT_PCAPNG || strcmp(value, "pcap") == 0 ? 0 : -EINVAL;
}

static int
set_rotate_size(struct slabio_pcap_opts *opts, const char *value)
{
	return whole(value, 1e3, 1e12, &opts->rotate_size);
}

static int
set_rotate_time(struct slabio_pcap_opts *opts, const char *value)
{
	uint64_t n;
	int ret = whole(value, 1, 86400 * 30, &n);

	if (ret == 0)
		opts->rotate_seconds = (uint32_t)n;
	return ret;
}

static int
set_rotate_files(struct slabio_pcap_opts *opts, const char *value)
{
	uint64_t n;
	int ret = whole(value, 1, 1e6, &n);

	if (ret == 0)
		opts->rotate_files = (uint32_t)n;
	return ret;
}

static const struct option options[] = {
	{"filter", "an expression as tcpdump takes it", set_filter, NEEDS_RX},
	{"pace",
		"full, original, a factor of it from 0.001x to 1000x, a rate from 1pps to 1Gpps or "
		"one from 1kbps to 1000Gbps",
		set_pace, NEEDS_RX_FILE},
	{"loop", "endless or a number of rounds from 1 to 1000000000", set_loop, NEEDS_RX_FILE},
	{"rx_spread", "flow", set_spread, NEEDS_RX},
	{"snaplen", "a number of bytes from 14 to 65535", set_snaplen, NEEDS_ANY},
	{"eof", "keep or link_down", set_eof, NEEDS_RX_FILE},
	{"tx_format", "pcap or pcapng", set_format, NEEDS_TX_FILE},
	{"rotate_size", "a number of bytes from 1k to 1000G", set_rotate_size, NEEDS_TX_FILE},
	{"rotate_time", "a number of seconds from 1 to 2592000", set_rotate_time, NEEDS_TX_FILE},
	{"rotate_files", "a number of files from 1 to 1000000", set_rotate_files, NEEDS_TX_FILE},
};

static unsigned int
find(const char *key)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(options); i++)
		if (strcmp(key, options[i].key) == 0)
			break;
	return i;
}

bool
slabio_pcap_opt_known(const char *key)
{
	return find(key) < RTE_DIM(options);
}

int
slabio_pcap_opt_set(
	const char *name, const char *key, const char *value, struct slabio_pcap_opts *opts)
{
	unsigned int i = find(key);
	int ret;

	if (opts->given & RTE_BIT32(i)) {
		SLABIO_LOG(ERR, "%s: expected one %s=, found a second: %s", name, key, value);
		return -EINVAL;
	}
	opts->given |= RTE_BIT32(i);
	ret = options[i].set(opts, value);
	if (ret == -ENOMEM)
		SLABIO_LOG(ERR, "%s: no memory for the device arguments", name);
	else if (ret != 0)
		SLABIO_LOG(ERR, "%s: expected %s= with %s, found '%s'", name, key,
			options[i].expected, value);
	return ret;
}

static int
check_needs(const char *name, const struct slabio_args *args)
{
	bool rx = args->nb_rx_pcap > 0 || args->pcap_iface != NULL;
	unsigned int i;

	for (i = 0; i < RTE_DIM(options); i++) {
		if (!(args->pcap.given & RTE_BIT32(i)))
			continue;
		if ((options[i].needs & NEEDS_RX_FILE) && args->nb_rx_pcap == 0) {
			SLABIO_LOG(ERR, "%s: expected rx_pcap= together with %s=, found %s", name,
				options[i].key,
				args->pcap_iface != NULL ? "pcap_iface=" : "no file to read");
			return -EINVAL;
		}
		if ((options[i].needs & NEEDS_TX_FILE) && args->nb_tx_pcap == 0) {
			SLABIO_LOG(ERR, "%s: expected tx_pcap= together with %s=, found %s", name,
				options[i].key,
				args->pcap_iface != NULL ? "pcap_iface=" : "no file to write");
			return -EINVAL;
		}
		if ((options[i].needs & NEEDS_ANY) && !rx && args->nb_tx_pcap == 0) {
			SLABIO_LOG(ERR,
				"%s: expected rx_pcap=, tx_pcap= or pcap_iface= together with %s=, "
				"found none",
				name, options[i].key);
			return -EINVAL;
		}
		if ((options[i].needs & NEEDS_RX) && !rx) {
			SLABIO_LOG(ERR,
				"%s: expected rx_pcap= or pcap_iface= together with %s=, found "
				"neither",
				name, options[i].key);
			return -EINVAL;
		}
	}
	return 0;
}

int
slabio_pcap_opts_check(const char *name, const struct slabio_args *args)
{
	const struct slabio_pcap_opts *opts = &args->pcap;
	int ret = check_needs(name, args);

	if (ret != 0)
		return ret;
	if (opts->spread && args->nb_rx_pcap > 1) {
		SLABIO_LOG(ERR,
			"%s: expected one rx_pcap= together with rx_spread=, found %u; leave out "
			"rx_spread= for one file per queue",
			name, args->nb_rx_pcap);
		return -EINVAL;
	}
	if (opts->eof_link_down && opts->loop == SLABIO_LOOP_ENDLESS) {
		SLABIO_LOG(ERR,
			"%s: expected either eof=link_down or loop=endless, which has no end, "
			"found both",
			name);
		return -EINVAL;
	}
	if (opts->rotate_files != 0 && opts->rotate_size == 0 && opts->rotate_seconds == 0) {
		SLABIO_LOG(ERR,
			"%s: expected rotate_size= or rotate_time= together with rotate_files=, "
			"found neither",
			name);
		return -EINVAL;
	}
	return 0;
}

void
slabio_pcap_opts_free(struct slabio_pcap_opts *opts)
{
	rte_free(opts->filter);
}
