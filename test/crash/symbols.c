/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Names of functions by address, static ones too: reads the symbol table of the object that the
 * address lies in, program or shared, and asks the dynamic linker where that was stripped.
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

#define OBJECTS_MAX 64

static struct object {
	uint64_t base, from, to;
	const ElfW(Sym) * symbols; /* NULL: it has none */
	size_t n_symbols;
	const char *strings;
} objects[OBJECTS_MAX];
static unsigned int n_objects;

static void
load(struct object *o, const char *path)
{
	const ElfW(Ehdr) * eh;
	const ElfW(Shdr) * sh;
	struct stat st;
	void *map;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	map = fstat(fd, &st) == 0 ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)
				  : MAP_FAILED;
	close(fd);
	if (map == MAP_FAILED)
		return;
	eh = map;
	sh = (const void *)((const char *)map + eh->e_shoff);
	for (unsigned int i = 0; i < eh->e_shnum; i++) {
		if (sh[i].sh_type != SHT_SYMTAB)
			continue;
		o->symbols = (const void *)((const char *)map + sh[i].sh_offset);
		o->n_symbols = sh[i].sh_size / sizeof(*o->symbols);
		o->strings = (const char *)map + sh[sh[i].sh_link].sh_offset;
	}
}

/* Adds the object that the address lies in. */
static int
add_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	const uint64_t address = *(const uint64_t *)arg;
	struct object *o = &objects[n_objects];

	(void)size;
	for (unsigned int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		const uint64_t from = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type != PT_LOAD || address < from || address - from >= ph->p_memsz)
			continue;
		*o = (struct object){
			.base = info->dlpi_addr, .from = from, .to = from + ph->p_memsz};
		load(o, info->dlpi_name[0] != '\0' ? info->dlpi_name : "/proc/self/exe");
		n_objects++;
		return 1;
	}
	return 0;
}

static const struct object *
object_of(uint64_t address)
{
	for (unsigned int tries = 0; tries < 2; tries++) {
		for (unsigned int i = 0; i < n_objects; i++)
			if (address >= objects[i].from && address < objects[i].to)
				return &objects[i];
		if (n_objects == OBJECTS_MAX || dl_iterate_phdr(add_object, &address) == 0)
			return NULL;
	}
	return NULL;
}

static const ElfW(Sym) * find(const struct object *o, uint64_t address)
{
	for (size_t i = 0; o != NULL && i < o->n_symbols; i++) {
		const ElfW(Sym) *s = &o->symbols[i];

		if (ELF64_ST_TYPE(s->st_info) == STT_FUNC && address - o->base >= s->st_value &&
			address - o->base < s->st_value + s->st_size)
			return s;
	}
	return NULL;
}

bool
step_function(uint64_t address, char *buf, size_t len)
{
	const struct object *o = object_of(address);
	const ElfW(Sym) *s = find(o, address);

	if (s == NULL)
		return false;
	snprintf(buf, len, "%s", o->strings + s->st_name);
	/* foo.part.0, foo.cold, foo.constprop.0 are foo */
	buf[strcspn(buf, ".")] = '\0';
	return true;
}

void
step_symbol(uint64_t address, char *buf, size_t len)
{
	const struct object *o = object_of(address);
	const ElfW(Sym) *s = find(o, address);
	Dl_info info;

	if (s != NULL)
		snprintf(buf, len, "%s+0x%lx", o->strings + s->st_name,
			(unsigned long)(address - o->base - s->st_value));
	else if (dladdr((void *)address, &info) != 0 && info.dli_fname != NULL)
		snprintf(buf, len, "%s (%s+0x%lx)", info.dli_sname ? info.dli_sname : "?",
			info.dli_fname, (unsigned long)(address - (uint64_t)info.dli_fbase));
	else
		snprintf(buf, len, "0x%lx", (unsigned long)address);
}
