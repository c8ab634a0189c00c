/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The drivers' own statistics, for the statistics file: taken while the ports run, since that file
 * is written when there are no ports any more.
 */

#include <inttypes.h>
#include <stdlib.h>

#include <rte_ethdev.h>

#include "l2fwd.h"

static char *taken[RTE_MAX_ETHPORTS];

static void
write_values(FILE *out, uint16_t port, int n)
{
	struct rte_eth_xstat_name *names = calloc((size_t)n, sizeof(*names));
	struct rte_eth_xstat *values = calloc((size_t)n, sizeof(*values));

	if (names == NULL || values == NULL ||
		rte_eth_xstats_get_names(port, names, (unsigned int)n) != n ||
		rte_eth_xstats_get(port, values, (unsigned int)n) != n)
		n = 0;
	for (int i = 0; i < n; i++)
		fprintf(out, "%s\"%s\": %" PRIu64, i == 0 ? "" : ", ", names[values[i].id].name,
			values[i].value);
	free(names);
	free(values);
}

void
xstats_take(uint16_t port)
{
	int n = rte_eth_xstats_get_names(port, NULL, 0);
	size_t size;
	FILE *out;

	xstats_forget(port);
	out = open_memstream(&taken[port], &size);
	if (out == NULL)
		return;
	if (n > 0)
		write_values(out, port, n);
	fclose(out);
}

const char *
xstats_taken(uint16_t port)
{
	return taken[port] != NULL ? taken[port] : "";
}

void
xstats_forget(uint16_t port)
{
	free(taken[port]);
	taken[port] = NULL;
}
