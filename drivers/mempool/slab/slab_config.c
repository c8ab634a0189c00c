/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Options of mempools from a file.
 *
 * rte_cfgfile parses it, but it passes over lines that it cannot use, cuts names that are too long,
 * and does not tell where an entry was. A walk over the lines before it refuses what it would pass
 * over; another one finds the line of an entry whose value is faulty. Both count sections and
 * entries as rte_cfgfile does.
 */

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cfgfile.h>
#include <rte_common.h>
#include <rte_string_fns.h>

#include "slab_config.h"
#include "slab_private.h"

#define SLAB_COMMENT ';'

/* What rte_cfgfile takes of one line, its end included. */
#define SLAB_LINE_MAX 320
static_assert(SLAB_LINE_MAX <= CFG_NAME_LEN + CFG_VALUE_LEN, "rte_cfgfile takes shorter lines");

/* ---- entries ---- */

enum slab_key {
	SLAB_CHECK,
	SLAB_PITCH,
	SLAB_MODE,
	SLAB_SHARDS,
	SLAB_MAGAZINE,
	SLAB_CONTIG_SIZE,
	SLAB_CONTIG_RUNS,
	SLAB_DRY_US,
	SLAB_KEYS
};

/* A value is one of two words, which mean 0 and 1, or a number in a range. */
static const struct slab_entry_rule {
	const char *name, *expected;
	const char *words[2];
	uint32_t low, high;
} slab_entry_rules[SLAB_KEYS] = {
	[SLAB_CHECK] = {.name = "check", .expected = "0 or 1", .words = {"0", "1"}},
	[SLAB_PITCH] = {.name = "pitch",
		.expected = "natural or pow2",
		.words = {"natural", "pow2"}},
	[SLAB_MODE] = {.name = "mode",
		.expected = "conservative or exact",
		.words = {"conservative", "exact"}},
	[SLAB_SHARDS] = {.name = "shards",
		.expected = "a number from 1 to " RTE_STR(SIO_POOL_SHARDS_MAX),
		.low = 1,
		.high = SIO_POOL_SHARDS_MAX},
	[SLAB_MAGAZINE] = {.name = "magazine",
		.expected = "a number from 2 to 1022",
		.low = 2,
		.high = 1022},
	[SLAB_CONTIG_SIZE] = {.name = "contig_size",
		.expected = "a number from 2 to " RTE_STR(SIO_POOL_CONTIG_MAX),
		.low = 2,
		.high = SIO_POOL_CONTIG_MAX},
	[SLAB_CONTIG_RUNS] = {.name = "contig_runs",
		.expected = "a number from 1 to 536870912",
		.low = 1,
		.high = SIO_POOL_BLOCKS_MAX / 2},
	[SLAB_DRY_US] = {.name = "dry_us",
		.expected = "a number from 0 to 1000000",
		.high = 1000000},
};

/* What a section says. */
struct slab_section {
	char name[CFG_NAME_LEN];
	/* the longer, the more specific: 0 for [default], most for a whole name */
	unsigned int specific;
	uint32_t given; /* bit per key */
	uint32_t value[SLAB_KEYS];
};

struct slab_config {
	const char *path;
	unsigned int n;
	struct slab_section sections[];
};

static bool
slab_number(const char *text, uint32_t low, uint32_t high, uint32_t *value)
{
	unsigned long long n = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (!isdigit((unsigned char)*text))
			return false;
		n = n * 10 + (unsigned int)(*text - '0');
		if (n > high)
			return false;
	}
	*value = (uint32_t)n;
	return n >= low;
}

static bool
slab_value(const struct slab_entry_rule *rule, const char *text, uint32_t *value)
{
	if (rule->words[0] == NULL)
		return slab_number(text, rule->low, rule->high, value);
	*value = strcmp(text, rule->words[1]) == 0;
	return *value == 1 || strcmp(text, rule->words[0]) == 0;
}

/* ---- lines ---- */

enum slab_line { SLAB_LINE_NOTHING, SLAB_LINE_SECTION, SLAB_LINE_ENTRY, SLAB_LINE_FAULT };

static char *
slab_trim(char *text)
{
	size_t len = strlen(text);

	while (len > 0 && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

/* Cuts a line as rte_cfgfile does, and says what it is, or what is wrong with it. */
static enum slab_line
slab_line_kind(char *line, size_t len, bool in_section, const char **fault)
{
	char *comment = memchr(line, SLAB_COMMENT, len), *end;

	*fault = NULL;
	if (strlen(line) != len)
		*fault = "a zero byte: expected text";
	else if (len >= SLAB_LINE_MAX)
		*fault = "too long: expected less than " RTE_STR(SLAB_LINE_MAX) " characters";
	if (*fault != NULL)
		return SLAB_LINE_FAULT;
	if (comment != NULL && (comment == line || comment[-1] != '\\'))
		*comment = '\0';
	line = slab_trim(line);
	if (*line == '\0')
		return SLAB_LINE_NOTHING;
	if (*line == '[') {
		end = strchr(line, ']');
		if (end == NULL)
			*fault = "a section without ']': expected [default], [mempool] or [begin*]";
		else if (end[1] != '\0')
			*fault = "text after ']': expected each entry in a line of its own";
		else if ((size_t)(end - line) > RTE_MEMPOOL_NAMESIZE + 1)
			*fault = "a section for a name longer than that of any mempool";
		return *fault == NULL ? SLAB_LINE_SECTION : SLAB_LINE_FAULT;
	}
	if (strchr(line, '=') == NULL)
		*fault = "expected [section], entry=value or ; comment";
	else if (!in_section)
		*fault = "an entry before the first section: expected [default] or another one";
	return *fault == NULL ? SLAB_LINE_ENTRY : SLAB_LINE_FAULT;
}

/*
 * Walks over the lines to the given entry of the given section, or to its heading if entry is
 * negative, or to the end if there is no such section. Returns 0 and the line's number, or a
 * negative errno, which was logged.
 */
static int
slab_lines(const char *path, int section, int entry, unsigned int *line)
{
	FILE *file = fopen(path, "r");
	int sections = -1, entries = -1, ret = 0;
	char *text = NULL;
	const char *fault;
	size_t room = 0;
	ssize_t len;

	*line = 0;
	if (file == NULL) {
		ret = -errno;
		SLAB_LOG(ERR, SLAB_CONFIG_ENV "=%s: cannot open it: %s; expected a readable file",
			path, strerror(-ret));
		return ret;
	}
	while (ret == 0 && (len = getline(&text, &room, file)) >= 0) {
		const enum slab_line kind =
			slab_line_kind(text, (size_t)len, sections >= 0, &fault);

		++*line;
		if (kind == SLAB_LINE_FAULT) {
			SLAB_LOG(ERR, SLAB_CONFIG_ENV "=%s, line %u: %s", path, *line, fault);
			ret = -EINVAL;
		} else if (kind == SLAB_LINE_SECTION) {
			sections++;
			entries = -1;
		} else if (kind == SLAB_LINE_ENTRY) {
			entries++;
		}
		if (kind != SLAB_LINE_NOTHING && sections == section && entries == entry)
			break;
	}
	if (ret == 0 && ferror(file)) {
		ret = errno != 0 ? -errno : -EIO;
		SLAB_LOG(ERR, SLAB_CONFIG_ENV "=%s: cannot read it: %s; expected a readable file",
			path, strerror(-ret));
	}
	free(text);
	fclose(file);
	return ret;
}

/* ---- sections ---- */

static __rte_format_printf(4, 5) int slab_fault(
	const char *path, int section, int entry, const char *format, ...)
{
	char text[512];
	unsigned int line;
	va_list ap;
	int ret;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	ret = slab_lines(path, section, entry, &line);
	if (ret < 0)
		return ret;
	SLAB_LOG(ERR, SLAB_CONFIG_ENV "=%s, line %u: %s", path, line, text);
	return -EINVAL;
}

static int
slab_section_name(struct slab_config *config, int index)
{
	struct slab_section *section = &config->sections[index];
	const char *star = strchr(section->name, '*');
	const size_t len = strlen(section->name);

	if (len == 0 || (star != NULL && star[1] != '\0'))
		return slab_fault(config->path, index, -1,
			"section [%s]: expected [default], a mempool's name, or the beginning of "
			"names with '*' at its end",
			section->name);
	for (int i = 0; i < index; i++)
		if (strcmp(config->sections[i].name, section->name) == 0)
			return slab_fault(config->path, index, -1,
				"section [%s] is there already: expected one of each name",
				section->name);
	if (strcmp(section->name, "default") == 0)
		section->specific = 0;
	else if (star != NULL)
		section->specific = (unsigned int)len; /* 1 for [*] */
	else
		section->specific = UINT_MAX;
	return 0;
}

static int
slab_section_entry(
	struct slab_config *config, int index, int number, const struct rte_cfgfile_entry *entry)
{
	struct slab_section *section = &config->sections[index];

	for (unsigned int key = 0; key < SLAB_KEYS; key++) {
		const struct slab_entry_rule *rule = &slab_entry_rules[key];

		if (strcmp(rule->name, entry->name) != 0)
			continue;
		if (section->given & RTE_BIT32(key))
			return slab_fault(config->path, index, number,
				"[%s] has %s already: expected it once", section->name,
				entry->name);
		if (!slab_value(rule, entry->value, &section->value[key]))
			return slab_fault(config->path, index, number, "[%s] %s=%s: expected %s",
				section->name, entry->name, entry->value, rule->expected);
		section->given |= RTE_BIT32(key);
		return 0;
	}
	return slab_fault(config->path, index, number,
		"[%s] %s: no such entry; expected check, pitch, mode, shards, magazine, "
		"contig_size, contig_runs or dry_us",
		section->name, entry->name);
}

static int
slab_section_read(struct slab_config *config, struct rte_cfgfile *file, int index)
{
	struct slab_section *section = &config->sections[index];
	struct rte_cfgfile_entry *entries;
	int n, ret;

	/* the name of the section is an out parameter too, whatever its type says */
	n = rte_cfgfile_section_num_entries_by_index(file, section->name, index);
	if (n < 0)
		return -EINVAL;
	ret = slab_section_name(config, index);
	if (ret < 0 || n == 0)
		return ret;
	entries = calloc((size_t)n, sizeof(*entries));
	if (entries == NULL)
		return -ENOMEM;
	n = rte_cfgfile_section_entries_by_index(file, index, section->name, entries, n);
	for (int i = 0; i < n && ret == 0; i++)
		ret = slab_section_entry(config, index, i, &entries[i]);
	free(entries);
	return ret;
}

static int
slab_sections_read(const char *path, struct rte_cfgfile *file, struct slab_config **out)
{
	const int n = rte_cfgfile_num_sections(file, NULL, 0);
	struct slab_config *config;
	int ret = 0;

	config = calloc(1, sizeof(*config) + (size_t)RTE_MAX(n, 0) * sizeof(config->sections[0]));
	if (config == NULL)
		return -ENOMEM;
	config->path = path;
	for (int i = 0; i < n && ret == 0; i++) {
		ret = slab_section_read(config, file, i);
		config->n++;
	}
	config->path = NULL;
	if (ret < 0) {
		free(config);
		return ret;
	}
	*out = config;
	return 0;
}

int
slab_config_load(const char *path, struct slab_config **config)
{
	struct rte_cfgfile *file;
	unsigned int lines;
	int ret;

	*config = NULL;
	ret = slab_lines(path, INT_MAX, 0, &lines);
	if (ret < 0)
		return ret;
	file = rte_cfgfile_load(path, CFG_FLAG_EMPTY_VALUES);
	if (file == NULL) {
		SLAB_LOG(ERR,
			SLAB_CONFIG_ENV "=%s: rte_cfgfile refuses it, see the message above; "
					"expected sections of entries",
			path);
		return -EINVAL;
	}
	ret = slab_sections_read(path, file, config);
	rte_cfgfile_close(file);
	return ret;
}

void
slab_config_free(struct slab_config *config)
{
	free(config);
}

/* ---- mempools ---- */

static bool
slab_section_matches(const struct slab_section *section, const char *mempool)
{
	if (section->specific == 0)
		return true;
	if (section->specific == UINT_MAX)
		return strcmp(section->name, mempool) == 0;
	return strncmp(section->name, mempool, section->specific - 1) == 0;
}

void
slab_config_find(
	const struct slab_config *config, const char *mempool, struct slab_options *options)
{
	uint32_t value[SLAB_KEYS] = {[SLAB_DRY_US] = SLAB_DRY_DEFAULT};

	for (unsigned int key = 0; key < SLAB_KEYS; key++) {
		const struct slab_section *best = NULL;

		for (unsigned int i = 0; i < config->n; i++) {
			const struct slab_section *section = &config->sections[i];

			if ((section->given & RTE_BIT32(key)) != 0 &&
				slab_section_matches(section, mempool) &&
				(best == NULL || section->specific > best->specific))
				best = section;
		}
		if (best != NULL)
			value[key] = best->value[key];
	}
	*options = (struct slab_options){
		.check = value[SLAB_CHECK] != 0,
		.pow2 = value[SLAB_PITCH] != 0,
		.exact = value[SLAB_MODE] != 0,
		.shards = value[SLAB_SHARDS],
		.magazine = value[SLAB_MAGAZINE],
		.contig_size = value[SLAB_CONTIG_SIZE],
		.contig_runs = value[SLAB_CONTIG_RUNS],
		.dry_us = value[SLAB_DRY_US],
	};
}

static struct slab_config *slab_config;
static int slab_config_ret;

static void
slab_config_read(void)
{
	const char *path = getenv(SLAB_CONFIG_ENV);

	if (path != NULL && path[0] != '\0')
		slab_config_ret = slab_config_load(path, &slab_config);
}

int
slab_config_get(const char *mempool, struct slab_options *options)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, slab_config_read);
	*options = (struct slab_options){.dry_us = SLAB_DRY_DEFAULT};
	if (slab_config_ret == 0 && slab_config != NULL)
		slab_config_find(slab_config, mempool, options);
	return slab_config_ret;
}
