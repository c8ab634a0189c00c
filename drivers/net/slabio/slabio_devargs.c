/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* The device arguments: which there are, which go together. Says nothing about what they name. */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_kvargs.h>
#include <rte_malloc.h>

#include "slabio_pmd.h"

#define ARG_RX_PCAP    "rx_pcap"
#define ARG_TX_PCAP    "tx_pcap"
#define ARG_PCAP_IFACE "pcap_iface"
#define ARG_IFACE      "iface"
#define ARG_MODE       "mode"
#define ARG_START      "start_queue"
#define ARG_COUNT      "queue_count"
#define ARG_BUSY_POLL  "busy_poll"
#define ARG_PROG       "xdp_prog"
#define ARG_PROG_NAME  "xdp_prog_name"
#define ARG_XSK_MAP    "xsk_map"
#define ARG_XSK_SOCKET "xsk_socket"
#define ARG_META       "xdp_meta"
#define ARG_TX_CSUM    "tx_csum"
#define ARG_MAC	       "mac"

/*
 * One line for each argument, those of a back end together: this is what messages and tools show.
 */
#define PARAMS_PCAP                                                  \
	ARG_RX_PCAP "=<file> " ARG_TX_PCAP "=<file> " ARG_PCAP_IFACE \
		    "=<interface> " SLABIO_PCAP_PARAMS " "
#define PARAMS_XDP                                                                           \
	ARG_IFACE "=<interface> " ARG_MODE "=<auto|zerocopy|copy|native|generic> " ARG_START \
		  "=<int> " ARG_COUNT "=<int> " ARG_BUSY_POLL "=<int> " ARG_PROG             \
		  "=<file> " ARG_PROG_NAME "=<name> " ARG_XSK_MAP "=<file> " ARG_XSK_SOCKET  \
		  "=<file> " ARG_META "=<on|off> " ARG_TX_CSUM "=<auto|kernel|software> "
#define PARAMS_COMMON ARG_MAC "=<xx:xx:xx:xx:xx:xx>"
#define PARAMS	      PARAMS_PCAP PARAMS_XDP PARAMS_COMMON

/* What dpdk-pmdinfo.py looks for in a driver's read-only data. */
static const char pmd_info[] __attribute__((used)) =
	"PMD_INFO_STRING= {\"name\" : \"net_slabio\", \"params\" : \"" PARAMS
	"\", \"pci_ids\" : []}";

RTE_PMD_REGISTER_PARAM_STRING(net_slabio, PARAMS);

/* A copy that secondaries can read too; NULL after a message. */
static char *
shared_string(const char *name, const char *text)
{
	size_t len = strlen(text) + 1;
	char *copy = rte_malloc("slabio_args", len, 0);

	if (copy == NULL)
		SLABIO_LOG(ERR, "%s: no memory for the device arguments", name);
	else
		memcpy(copy, text, len);
	return copy;
}

static int
add_file(const char *name, const char *key, const char *value, char **files, uint16_t *nb)
{
	if (*nb == SLABIO_MAX_QUEUES) {
		SLABIO_LOG(ERR, "%s: expected %s= at most %d times, one per queue; leave some out",
			name, key, SLABIO_MAX_QUEUES);
		return -EINVAL;
	}
	files[*nb] = shared_string(name, value);
	if (files[*nb] == NULL)
		return -ENOMEM;
	(*nb)++;
	return 0;
}

static int
set_string(const char *name, const char *key, const char *value, char **to)
{
	if (*to != NULL) {
		SLABIO_LOG(ERR, "%s: expected one %s=, found %s and %s", name, key, *to, value);
		return -EINVAL;
	}
	*to = shared_string(name, value);
	return *to == NULL ? -ENOMEM : 0;
}

static int
set_rx_pcap(const char *name, const char *key, const char *value, struct slabio_args *args)
{
	return add_file(name, key, value, args->rx_pcap, &args->nb_rx_pcap);
}

static int
set_tx_pcap(const char *name, const char *key, const char *value, struct slabio_args *args)
{
	return add_file(name, key, value, args->tx_pcap, &args->nb_tx_pcap);
}

static int
set_pcap_iface(const char *name, const char *key, const char *value, struct slabio_args *args)
{
	return set_string(name, key, value, &args->pcap_iface);
}

static int
set_iface(const char *name, const char *key, const char *value, struct slabio_args *args)
{
#ifdef SLABIO_HAVE_XDP
	return set_string(name, key, value, &args->iface);
#else
	RTE_SET_USED(args);
	SLABIO_LOG(ERR,
		"%s: %s=%s needs AF_XDP, without which this driver was built (no libbpf was "
		"found); " ARG_PCAP_IFACE "=%s does without",
		name, key, value, value);
	return -ENOTSUP;
#endif
}

/* Each of these may be given once, and with iface= only. */
static int
given_once(const char *name, const char *key, const char *value, struct slabio_args *args,
	enum slabio_xdp_arg which)
{
	if (args->xdp_given & which) {
		SLABIO_LOG(ERR, "%s: expected one %s=, found a second: %s", name, key, value);
		return -EINVAL;
	}
	args->xdp_given |= which;
	return 0;
}

static int
set_mode(const char *name, const char *key, const char *value, struct slabio_args *args)
{
	static const char *const modes[] = {
		[SLABIO_XDP_AUTO] = "auto",
		[SLABIO_XDP_ZEROCOPY] = "zerocopy",
		[SLABIO_XDP_COPY] = "copy",
		[SLABIO_XDP_NATIVE] = "native",
		[SLABIO_XDP_GENERIC] = "generic",
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(modes); i++)
		if (strcmp(value, modes[i]) == 0) {
			args->xdp_mode = (enum slabio_xdp_want)i;
			return given_once(name, key, value, args, SLABIO_XDP_ARG_MODE);
		}
	SLABIO_LOG(ERR, "%s: expected %s= with auto, zerocopy, copy, native or generic, found '%s'",
		name, key, value);
	return -EINVAL;
}

static int
set_number(const char *name, const char *key, const char *value, uint32_t min, uint32_t max,
	uint32_t *to)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno != 0 || *end != '\0' || !isdigit((unsigned char)value[0]) || n < min || n > max) {
		SLABIO_LOG(ERR, "%s: expected %s= with a number from %u to %u, found '%s'", name,
			key, min, max, value);
		return -EINVAL;
	}
	*to = (uint32_t)n;
	return 0;
}

static int
set_start(const char *name, const char *key, const char *value, struct slabio_args *args)
{
	int ret = set_number(name, key, value, 0, UINT16_MAX, &args->start_queue);

	return ret != 0 ? ret : given_once(name, key, value, args, SLABIO_XDP_ARG_START);
}

static int
set_count(const char *name, const char *key, const char *value, struct slabio_args *args)
{
	int ret = set_number(name, key, value, 1, SLABIO_MAX_QUEUES, &args->queue_count);

	return ret != 0 ? ret : given_once(name, key, value, args, SLABIO_XDP_ARG_COUNT);
}

static int
set_busy_poll(const char *name, const char *key, const char *value, struct slabio_args *args)
{
	int ret = set_number(name, key, value, 0, UINT16_MAX, &args->busy_poll);

	return ret != 0 ? ret : given_once(name, key, value, args, SLABIO_XDP_ARG_BUSY);
}

static int
set_prog(const char *name, const char *key, const char *value, struct slabio_args *args)
{
	args->xdp_given |= SLABIO_XDP_ARG_PROG;
	return set_string(name, key, value, &args->xdp_prog);
}

static int
set_prog_name(const char *name, const char *key, const char *value, struct slabio_args *args)
{
	args->xdp_given |= SLABIO_XDP_ARG_PROG;
	return set_string(name, key, value, &args->xdp_prog_name);
}

static int
set_xsk_map(const char *name, const char *key, const char *value, struct slabio_args *args)
{
	args->xdp_given |= SLABIO_XDP_ARG_PROG;
	return set_string(name, key, value, &args->xsk_map);
}

static int
set_xsk_socket(const char *name, const char *key, const char *value, struct slabio_args *args)
{
	args->xdp_given |= SLABIO_XDP_ARG_PROG;
	return set_string(name, key, value, &args->xsk_socket);
}

static int
set_meta(const char *name, const char *key, const char *value, struct slabio_args *args)
{
	args->xdp_meta = strcmp(value, "on") == 0;
	if (args->xdp_meta || strcmp(value, "off") == 0)
		return given_once(name, key, value, args, SLABIO_XDP_ARG_META);
	SLABIO_LOG(ERR, "%s: expected %s= with on or off, found '%s'", name, key, value);
	return -EINVAL;
}

static int
set_tx_csum(const char *name, const char *key, const char *value, struct slabio_args *args)
{
	static const char *const ways[] = {
		[SLABIO_CSUM_AUTO] = "auto",
		[SLABIO_CSUM_KERNEL] = "kernel",
		[SLABIO_CSUM_SOFTWARE] = "software",
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(ways); i++)
		if (strcmp(value, ways[i]) == 0) {
			args->tx_csum = (enum slabio_tx_csum)i;
			return given_once(name, key, value, args, SLABIO_XDP_ARG_CSUM);
		}
	SLABIO_LOG(ERR, "%s: expected %s= with auto, kernel or software, found '%s'", name, key,
		value);
	return -EINVAL;
}

static int
set_mac(const char *name, const char *key __rte_unused, const char *value, struct slabio_args *args)
{
	if (args->has_mac) {
		SLABIO_LOG(ERR, "%s: expected one " ARG_MAC "=, found a second: %s", name, value);
		return -EINVAL;
	}
	if (rte_ether_unformat_addr(value, &args->mac) != 0 ||
		!rte_is_valid_assigned_ether_addr(&args->mac)) {
		SLABIO_LOG(ERR,
			"%s: expected " ARG_MAC "= with a unicast address such as "
			"02:00:00:00:00:01, found '%s'",
			name, value);
		return -EINVAL;
	}
	args->has_mac = true;
	return 0;
}

/* Each argument and what takes its value; the setter says what is wrong with it. */
static const struct {
	const char *key;
	int (*set)(const char *name, const char *key, const char *value, struct slabio_args *args);
} setters[] = {
	/* pcap */
	{ARG_RX_PCAP, set_rx_pcap},
	{ARG_TX_PCAP, set_tx_pcap},
	{ARG_PCAP_IFACE, set_pcap_iface},
	/* AF_XDP */
	{ARG_IFACE, set_iface},
	{ARG_MODE, set_mode},
	{ARG_START, set_start},
	{ARG_COUNT, set_count},
	{ARG_BUSY_POLL, set_busy_poll},
	{ARG_PROG, set_prog},
	{ARG_PROG_NAME, set_prog_name},
	{ARG_XSK_MAP, set_xsk_map},
	{ARG_XSK_SOCKET, set_xsk_socket},
	{ARG_META, set_meta},
	{ARG_TX_CSUM, set_tx_csum},
	/* any back end */
	{ARG_MAC, set_mac},
};

static int
set_one(const char *name, const struct rte_kvargs_pair *pair, struct slabio_args *args)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(setters); i++)
		if (strcmp(pair->key, setters[i].key) == 0)
			break;
	if (i == RTE_DIM(setters) && !slabio_pcap_opt_known(pair->key)) {
		SLABIO_LOG(
			ERR, "%s: unknown argument '%s'; there are: %s", name, pair->key, PARAMS);
		return -EINVAL;
	}
	if (pair->value == NULL || pair->value[0] == '\0') {
		SLABIO_LOG(ERR, "%s: expected a value after %s=, found none", name, pair->key);
		return -EINVAL;
	}
	if (i == RTE_DIM(setters))
		return slabio_pcap_opt_set(name, pair->key, pair->value, &args->pcap);
	return setters[i].set(name, pair->key, pair->value, args);
}

/* Of the arguments that name an XDP program. */
static int
check_program(const char *name, const struct slabio_args *args)
{
	if (args->xdp_prog_name != NULL && args->xdp_prog == NULL) {
		SLABIO_LOG(ERR, "%s: expected " ARG_PROG "= beside " ARG_PROG_NAME "=, found none",
			name);
		return -EINVAL;
	}
	if ((args->xsk_map != NULL) + (args->xsk_socket != NULL) + (args->xdp_prog != NULL) > 1) {
		SLABIO_LOG(ERR,
			"%s: expected one of " ARG_PROG "=, for a program that the port attaches, "
			"and " ARG_XSK_MAP "= or " ARG_XSK_SOCKET
			"=, for one that is there, found several",
			name);
		return -EINVAL;
	}
	if ((args->xsk_map != NULL || args->xsk_socket != NULL) &&
		(args->xdp_mode == SLABIO_XDP_NATIVE || args->xdp_mode == SLABIO_XDP_GENERIC)) {
		SLABIO_LOG(ERR,
			"%s: expected " ARG_MODE "=auto, zerocopy or copy beside %s=: how the "
			"program is attached is not the port's choice",
			name, args->xsk_map != NULL ? ARG_XSK_MAP : ARG_XSK_SOCKET);
		return -EINVAL;
	}
	if (args->xdp_meta && args->xdp_prog == NULL && args->xsk_map == NULL &&
		args->xsk_socket == NULL) {
		SLABIO_LOG(ERR,
			"%s: expected " ARG_PROG "=, " ARG_XSK_MAP "= or " ARG_XSK_SOCKET
			"= beside " ARG_META "=on: the driver's own program gives no metadata",
			name);
		return -EINVAL;
	}
	return 0;
}

static int
check_together(const char *name, const struct slabio_args *args)
{
	bool files = args->nb_rx_pcap + args->nb_tx_pcap > 0;

	if (files && args->pcap_iface != NULL) {
		SLABIO_LOG(ERR,
			"%s: expected either " ARG_PCAP_IFACE "= or " ARG_RX_PCAP
			"= and " ARG_TX_PCAP "=, found both; use two devices",
			name);
		return -EINVAL;
	}
	if (args->iface != NULL && (files || args->pcap_iface != NULL)) {
		SLABIO_LOG(ERR,
			"%s: expected " ARG_IFACE "= without " ARG_RX_PCAP "=, " ARG_TX_PCAP
			"= and " ARG_PCAP_IFACE "=, found both; use two devices",
			name);
		return -EINVAL;
	}
	if (args->iface == NULL && args->xdp_given != 0) {
		SLABIO_LOG(ERR,
			"%s: expected " ARG_IFACE "= beside " ARG_MODE "=, " ARG_START
			"=, " ARG_COUNT "=, " ARG_BUSY_POLL "=, " ARG_PROG "=, " ARG_PROG_NAME
			"=, " ARG_XSK_MAP "=, " ARG_XSK_SOCKET "=, " ARG_META "= or " ARG_TX_CSUM
			"=, found none",
			name);
		return -EINVAL;
	}
	if (!files && args->pcap_iface == NULL && args->iface == NULL) {
		SLABIO_LOG(ERR,
			"%s: expected at least one of " ARG_RX_PCAP "=, " ARG_TX_PCAP
			"=, " ARG_PCAP_IFACE "=, " ARG_IFACE "=, found none",
			name);
		return -EINVAL;
	}
	if (check_program(name, args) != 0)
		return -EINVAL;
	return slabio_pcap_opts_check(name, args);
}

int
slabio_args_parse(const char *name, const char *params, struct slabio_args *args)
{
	struct rte_kvargs *list;
	unsigned int i;
	int ret = 0;

	memset(args, 0, sizeof(*args));
	/* without a list of keys, so that the message can name the one that is unknown */
	list = rte_kvargs_parse(params == NULL ? "" : params, NULL);
	if (list == NULL) {
		SLABIO_LOG(ERR, "%s: expected arguments as key=value,key=value, found '%s'", name,
			params == NULL ? "" : params);
		return -EINVAL;
	}
	for (i = 0; i < list->count && ret == 0; i++)
		ret = set_one(name, &list->pairs[i], args);
	rte_kvargs_free(list);
	if (ret == 0)
		ret = check_together(name, args);
	if (ret != 0)
		slabio_args_free(args);
	return ret;
}

void
slabio_args_free(struct slabio_args *args)
{
	uint16_t i;

	for (i = 0; i < args->nb_rx_pcap; i++)
		rte_free(args->rx_pcap[i]);
	for (i = 0; i < args->nb_tx_pcap; i++)
		rte_free(args->tx_pcap[i]);
	rte_free(args->pcap_iface);
	rte_free(args->iface);
	rte_free(args->xdp_prog);
	rte_free(args->xdp_prog_name);
	rte_free(args->xsk_map);
	rte_free(args->xsk_socket);
	slabio_pcap_opts_free(&args->pcap);
	memset(args, 0, sizeof(*args));
}
