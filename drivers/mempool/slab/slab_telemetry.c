/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Telemetry: what this process serves.
 *
 * The telemetry thread is no lcore and knows nothing of what the application does with its
 * mempools. What it shows is copied while the table is locked, so that no pool is closed meanwhile,
 * and written out afterwards.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_telemetry.h>

#include "slab_private.h"
#include "slabio_compat.h"

/*
 * Shards in one reply. A shard takes at most 300 characters with all its counters at their largest,
 * and a reply is at most 16 KB.
 */
#define SLAB_SHARDS_SHOWN 48

/* ---- what is asked for ---- */

struct slab_look {
	const char *mempool;
	bool found;
	uint64_t pitch;
	struct sio_pool_info info;
	/* of the shards, if there is room for them */
	struct sio_shard_info *shards;
	uint32_t n_shards;
};

static int
slab_look_one(const struct slab_served *served, const struct sio_pool *pool, void *arg)
{
	struct slab_look *look = arg;

	if (strcmp(served->mempool, look->mempool) != 0)
		return 0;
	look->found = true;
	look->pitch = served->pitch;
	if (look->shards == NULL)
		sio_pool_info(pool, &look->info);
	else
		look->n_shards = sio_pool_shards(pool, look->shards, SIO_POOL_SHARDS_MAX);
	return 1;
}

/* ---- /slab/list ---- */

static int
slab_list_one(const struct slab_served *served, const struct sio_pool *pool, void *arg)
{
	RTE_SET_USED(pool);
	/* not 0 once the array is full */
	return rte_tel_data_add_array_string(arg, served->mempool);
}

static int
slab_handle_list(const char *cmd, const char *params, struct rte_tel_data *d)
{
	RTE_SET_USED(cmd);
	RTE_SET_USED(params);
	rte_tel_data_start_array(d, RTE_TEL_STRING_VAL);
	(void)slab_table_look(slab_list_one, d);
	return 0;
}

/* ---- /slab/info ---- */

static void
slab_flags_text(uint32_t flags, char *text, size_t room)
{
	snprintf(text, room, "%s%s%s", flags & SIO_POOL_SAME_MAP ? "same_map" : "",
		flags & SIO_POOL_CHECK ? ",check" : "", flags & SIO_POOL_EXACT ? ",exact" : "");
}

static int
slab_handle_info(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct slab_look look = {.mempool = params};
	const struct sio_pool_info *info = &look.info;
	char flags[32];

	RTE_SET_USED(cmd);
	if (params == NULL || params[0] == '\0')
		return -EINVAL;
	(void)slab_table_look(slab_look_one, &look);
	if (!look.found)
		return -ENOENT;
	slab_flags_text(info->flags, flags, sizeof(flags));
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_string(d, "name", params);
	rte_tel_data_add_dict_string(d, "pool", info->name);
	rte_tel_data_add_dict_string(d, "flags", flags);
	slabio_tel_dict_uint(d, "blocks", info->n_blocks);
	slabio_tel_dict_uint(d, "populated", info->populated);
	slabio_tel_dict_uint(d, "free", info->free_blocks);
	/* blocks may move between the two counts */
	slabio_tel_dict_uint(
		d, "in_use", info->populated - RTE_MIN(info->free_blocks, info->populated));
	slabio_tel_dict_uint(d, "block_size", info->block_size);
	slabio_tel_dict_uint(d, "pitch", look.pitch);
	slabio_tel_dict_uint(d, "contig_size", info->contig_size);
	slabio_tel_dict_uint(d, "contig_runs", info->contig_runs);
	slabio_tel_dict_uint(d, "contig_ready", info->contig_ready);
	slabio_tel_dict_uint(d, "contig_free", info->contig_free);
	slabio_tel_dict_uint(d, "contig_wrong", info->contig_wrong);
	slabio_tel_dict_uint(d, "magazine_size", info->magazine_size);
	slabio_tel_dict_uint(d, "magazines", info->n_magazines);
	slabio_tel_dict_uint(d, "shards_used", info->shards_used);
	slabio_tel_dict_uint(d, "shards_max", info->max_shards);
	slabio_tel_dict_uint(d, "members", info->members);
	return 0;
}

/* ---- /slab/shards ---- */

/* slot/generation as slabioctl shows it; "" if the shard is nobody's now */
static void
slab_member_text(sio_member_t member, char *text, size_t room)
{
	if (member == SIO_MEMBER_NONE)
		text[0] = '\0';
	else
		snprintf(text, room, "%u/%u", SIO_MEMBER_SLOT(member),
			SIO_MEMBER_GENERATION(member));
}

static int
slab_shard_add(struct rte_tel_data *d, const struct sio_shard_info *shard)
{
	struct rte_tel_data *dict = rte_tel_data_alloc();
	char name[16], member[16];
	int ret;

	if (dict == NULL)
		return -ENOMEM;
	snprintf(name, sizeof(name), "%u", shard->shard);
	slab_member_text(shard->member, member, sizeof(member));
	rte_tel_data_start_dict(dict);
	rte_tel_data_add_dict_string(dict, "member", member);
	slabio_tel_dict_uint(dict, "free", shard->free_blocks);
	slabio_tel_dict_uint(dict, "taken", shard->taken);
	slabio_tel_dict_uint(dict, "given", shard->given);
	slabio_tel_dict_uint(dict, "exchanges", shard->exchanges);
	slabio_tel_dict_uint(dict, "steals", shard->steals);
	slabio_tel_dict_uint(dict, "put_back", shard->put_back);
	slabio_tel_dict_uint(dict, "lost", shard->lost);
	slabio_tel_dict_uint(dict, "failures", shard->failures);
	ret = rte_tel_data_add_dict_container(d, name, dict, 0);
	if (ret < 0)
		rte_tel_data_free(dict);
	return ret;
}

/* Cuts ",NUMBER" off the end of a parameter. Returns the number, 0 if there is none. */
static uint32_t
slab_cut_first(char *params)
{
	char *comma = strrchr(params, ',');

	if (comma == NULL || comma[1] == '\0' ||
		strspn(comma + 1, "0123456789") != strlen(comma + 1))
		return 0;
	*comma = '\0';
	return (uint32_t)RTE_MIN(strtoul(comma + 1, NULL, 10), (unsigned long)SIO_POOL_SHARDS_MAX);
}

static int
slab_shards_write(struct rte_tel_data *d, const struct slab_look *look, uint32_t first)
{
	/* the shards of a pool that another process wrote may be more than there can be */
	const uint32_t n = RTE_MIN(look->n_shards, (uint32_t)SIO_POOL_SHARDS_MAX);
	uint32_t s = first;

	rte_tel_data_start_dict(d);
	while (s < n && s - first < SLAB_SHARDS_SHOWN && slab_shard_add(d, &look->shards[s]) >= 0)
		s++;
	/* none of those was added: there is nothing of them to free */
	if (s == first && s < n)
		return -ENOMEM;
	if (s < n)
		slabio_tel_dict_uint(d, "next", s);
	return 0;
}

static int
slab_handle_shards(const char *cmd, const char *params, struct rte_tel_data *d)
{
	char mempool[RTE_MEMPOOL_NAMESIZE + sizeof(",1023")];
	struct slab_look look = {.mempool = mempool};
	uint32_t first = 0;
	int ret;

	RTE_SET_USED(cmd);
	if (params == NULL || params[0] == '\0' || strlen(params) >= sizeof(mempool))
		return -EINVAL;
	look.shards = calloc(SIO_POOL_SHARDS_MAX, sizeof(*look.shards));
	if (look.shards == NULL)
		return -ENOMEM;
	strcpy(mempool, params);
	(void)slab_table_look(slab_look_one, &look);
	/* a mempool's name may have commas itself */
	if (!look.found) {
		first = slab_cut_first(mempool);
		(void)slab_table_look(slab_look_one, &look);
	}
	ret = look.found ? slab_shards_write(d, &look, first) : -ENOENT;
	free(look.shards);
	return ret;
}

RTE_INIT(slab_telemetry_init)
{
	static const struct {
		const char *cmd;
		telemetry_cb handler;
		const char *help;
	} commands[] = {
		{"/slab/list", slab_handle_list,
			"Returns the names of the slab mempools in use by this process. No "
			"parameters"},
		{"/slab/info", slab_handle_info,
			"Returns what the pool of a slab mempool is and has. Parameters: mempool "
			"name"},
		{"/slab/shards", slab_handle_shards,
			"Returns the shards of a slab mempool. Parameters: mempool name[,first "
			"shard, "
			"see \"next\"]"},
	};

	for (unsigned int i = 0; i < RTE_DIM(commands); i++)
		if (rte_telemetry_register_cmd(
			    commands[i].cmd, commands[i].handler, commands[i].help) != 0)
			SLAB_LOG(WARNING,
				"cannot register the telemetry command %s: expected room in the "
				"table of commands",
				commands[i].cmd);
}
