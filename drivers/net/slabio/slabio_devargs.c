/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* The device arguments: which there are, which go together. Says nothing about what they name. */

#include <errno.h>
#include <string.h>

#include <rte_kvargs.h>
#include <rte_malloc.h>

#include "slabio_pmd.h"

#define ARG_RX_PCAP    "rx_pcap"
#define ARG_TX_PCAP    "tx_pcap"
#define ARG_PCAP_IFACE "pcap_iface"
#define ARG_MAC	       "mac"

/* One line for each argument, those of a back end together: this is what messages and tools show. */
#define PARAMS_PCAP   ARG_RX_PCAP "=<file> " ARG_TX_PCAP "=<file> " ARG_PCAP_IFACE "=<interface> "
#define PARAMS_COMMON ARG_MAC "=<xx:xx:xx:xx:xx:xx>"
#define PARAMS	      PARAMS_PCAP PARAMS_COMMON

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
	/* any back end */
	{ARG_MAC, set_mac},
};

static int
set_one(const char *name, const struct rte_kvargs_pair *pair, struct slabio_args *args)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(setters); i++) {
		if (strcmp(pair->key, setters[i].key) != 0)
			continue;
		if (pair->value == NULL || pair->value[0] == '\0') {
			SLABIO_LOG(
				ERR, "%s: expected a value after %s=, found none", name, pair->key);
			return -EINVAL;
		}
		return setters[i].set(name, pair->key, pair->value, args);
	}
	SLABIO_LOG(ERR, "%s: unknown argument '%s'; there are: %s", name, pair->key, PARAMS);
	return -EINVAL;
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
	if (!files && args->pcap_iface == NULL) {
		SLABIO_LOG(ERR,
			"%s: expected at least one of " ARG_RX_PCAP "=, " ARG_TX_PCAP
			"=, " ARG_PCAP_IFACE "=, found none",
			name);
		return -EINVAL;
	}
	return 0;
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
	memset(args, 0, sizeof(*args));
}
