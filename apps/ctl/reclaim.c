/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* Recovery by an operator, where no process of the application runs it; and the quarantine. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <slabio/pool.h>
#include "ctl.h"

static void
print_report(const struct sio_recover_report *report)
{
	printf("  %-38s %u\n", "dead members", report->dead_members);
	printf("  %-38s %u\n", "of these, slots free again", report->buried);
	printf("  %-38s %u\n", "shards given back", report->shards);
	printf("  blocks free again\n");
	printf("    %-36s %u, in %u magazines\n", "from shards", report->blocks_shards,
		report->magazines);
	printf("    %-36s %u\n", "from hands", report->blocks_hands);
	printf("    %-36s %u\n", "from ended rings", report->blocks_rings);
	if (report->blocks_contig != 0)
		printf("    %-36s %u\n", "from contiguous takes cut short", report->blocks_contig);
	if (report->unrenewed != 0)
		printf("    %-36s %u\n", "left to the application to renew", report->unrenewed);
	printf("  %-38s %u, %u rings closed\n", "ring sides free again", report->ring_sides,
		report->rings_closed);
	printf("    %-36s %u\n", "packets saved: queued there", report->queued);
	printf("    %-36s %u\n", "of these, taken and put back", report->requeued);
	printf("  %-38s %u\n", "in quarantine", report->quarantined);
	printf("  %-38s %u\n", "left: another process is at work", report->left);
	printf("  %-38s %.3f ms\n", "time", (double)report->ns / 1e6);
}

static int
free_quarantine(struct sio_pool *pool, const char *name)
{
	uint32_t freed;
	int ret = sio_pool_quarantine_free(pool, &freed);

	if (ret == -EBUSY) {
		fprintf(stderr,
			"slabioctl: pool %s: nothing was freed: a living process may have blocks "
			"that are in quarantine; it has to end first\n",
			name);
		return CTL_WRONG;
	}
	if (ret != 0)
		return ctl_cannot("pool", name, ret);
	printf("  %-38s %u\n", "freed from quarantine", freed);
	return CTL_OK;
}

int
ctl_reclaim(const char *name, bool quarantine)
{
	struct sio_pool_attach_opts opts = {
		.sz = sizeof(opts), .no_payload = true, .no_recover = true};
	struct sio_recover_report report;
	struct sio_pool_info info;
	struct sio_pool *pool;
	int ret = sio_pool_attach(name, &opts, &pool), status = CTL_OK;

	if (ret != 0)
		return ctl_cannot("pool", name, ret);
	ret = sio_pool_recover(pool, &report);
	if (ret != 0) {
		sio_pool_detach(pool);
		return ctl_cannot("pool", name, ret);
	}
	printf("pool %s\n", name);
	print_report(&report);
	if (quarantine)
		status = free_quarantine(pool, name);
	sio_pool_info(pool, &info);
	sio_pool_detach(pool);
	printf("  %-38s %u of %u\n", "blocks free now", info.free_blocks, info.populated);
	return status != CTL_OK ? status : report.left == 0 ? CTL_OK : CTL_WRONG;
}

/* Blocks in a row, listed after the same death. */
static uint32_t
run_length(const struct sio_quarantined *list, uint32_t n)
{
	uint32_t k = 1;

	while (k < n && list[k].handle == list[0].handle + k && list[k].dead == list[0].dead &&
		list[k].since_ns == list[0].since_ns)
		k++;
	return k;
}

static void
print_quarantine(struct sio_pool *pool, const struct sio_quarantined *list, uint32_t n)
{
	unsigned int living = 0;

	printf("pool %s: %u blocks in quarantine\n", sio_segment_name(sio_pool_segment(pool)), n);
	for (uint32_t i = 0, k; i < n; i += k) {
		k = run_length(&list[i], n - i);
		printf("  %8u to %-8u after the death of slot %u generation %u, %.0f s ago\n",
			list[i].handle, list[i].handle + k - 1, SIO_MEMBER_SLOT(list[i].dead),
			SIO_MEMBER_GENERATION(list[i].dead),
			(double)(sio_now_ns() - list[i].since_ns) / 1e9);
	}
	for (unsigned int i = 0; i < SIO_MEMBERS_MAX; i++) {
		struct sio_member_info info;

		living += sio_member_get(sio_pool_segment(pool), i, &info) == 0 &&
			  info.state != SIO_MEMBER_DEAD;
	}
	if (n > 0 && living > 0)
		printf("  some of them may be in the hands of the %u living members: they cannot "
		       "be freed while these are\n",
			living);
	else if (n > 0)
		printf("  no member lives: slabioctl reclaim --free-quarantine frees them\n");
}

int
ctl_quarantine(const char *name)
{
	struct sio_pool_attach_opts opts = {.sz = sizeof(opts), .observe = true};
	struct sio_quarantined *list = NULL;
	struct sio_pool *pool;
	uint32_t n, max = 0;
	int ret = sio_pool_attach(name, &opts, &pool);

	if (ret != 0)
		return ctl_cannot("pool", name, ret);
	/* some more than there are now: it may grow in between */
	ret = sio_pool_quarantine(pool, NULL, 0, &n);
	if (ret == 0) {
		max = n + 1024;
		list = calloc(max, sizeof(*list));
		ret = list == NULL ? -ENOMEM : sio_pool_quarantine(pool, list, max, &n);
	}
	if (ret == 0)
		print_quarantine(pool, list, n < max ? n : max);
	free(list);
	sio_pool_detach(pool);
	return ret == 0 ? CTL_OK : ctl_cannot("pool", name, ret);
}
