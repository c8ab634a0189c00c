/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Names of functions by address, static ones too: reads the symbol table of the running program,
 * and asks the dynamic linker for everything else.
 */

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stepper.h"

static const ElfW(Sym) * symbols;
static size_t n_symbols;
static const char *strings;
static uint64_t base;

static int
first_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	*(uint64_t *)arg = info->dlpi_addr;
	return 1;
}

static void
load(void)
{
	static bool done;
	const ElfW(Ehdr) * eh;
	const ElfW(Shdr) * sh;
	struct stat st;
	void *map;
	int fd;

	if (done)
		return;
	done = true;
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &st) != 0) {
		close(fd);
		return;
	}
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return;
	eh = map;
	sh = (const void *)((const char *)map + eh->e_shoff);
	for (unsigned int i = 0; i < eh->e_shnum; i++) {
		if (sh[i].sh_type != SHT_SYMTAB)
			continue;
		symbols = (const void *)((const char *)map + sh[i].sh_offset);
		n_symbols = sh[i].sh_size / sizeof(*symbols);
		strings = (const char *)map + sh[sh[i].sh_link].sh_offset;
	}
	dl_iterate_phdr(first_object, &base);
}

static const ElfW(Sym) * find(uint64_t address)
{
	load();
	for (size_t i = 0; i < n_symbols; i++) {
		const ElfW(Sym) *s = &symbols[i];

		if (ELF64_ST_TYPE(s->st_info) == STT_FUNC && address - base >= s->st_value &&
			address - base < s->st_value + s->st_size)
			return s;
	}
	return NULL;
}

bool
step_function(uint64_t address, char *buf, size_t len)
{
	const ElfW(Sym) *s = find(address);

	if (s == NULL)
		return false;
	snprintf(buf, len, "%s", strings + s->st_name);
	/* foo.part.0, foo.cold, foo.constprop.0 are foo */
	buf[strcspn(buf, ".")] = '\0';
	return true;
}

void
step_symbol(uint64_t address, char *buf, size_t len)
{
	const ElfW(Sym) *s = find(address);
	Dl_info info;

	if (s != NULL)
		snprintf(buf, len, "%s+0x%lx", strings + s->st_name,
			(unsigned long)(address - base - s->st_value));
	else if (dladdr((void *)address, &info) != 0 && info.dli_fname != NULL)
		snprintf(buf, len, "%s (%s+0x%lx)", info.dli_sname ? info.dli_sname : "?",
			info.dli_fname, (unsigned long)(address - (uint64_t)info.dli_fbase));
	else
		snprintf(buf, len, "0x%lx", (unsigned long)address);
}
