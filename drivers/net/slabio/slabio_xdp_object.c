/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * A user's own XDP program: an object file that a compiler has made, loaded through libbpf.
 *
 * What libbpf and the verifier say is kept and becomes part of one message: libbpf itself would
 * write to the standard error output of the application.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "slabio_xdp.h"
#include "slabio_xdp_object.h"

/* The verifier's reason comes last, so the end of its log is what is shown. */
#define VERIFIER_LOG  (1 << 20)
#define VERIFIER_TAIL 1536

/* libbpf has one print function for the whole process; set and read under slabio_xdp_lock. */
static char said[512];

static __rte_format_printf(2, 0) int keep_warning(
	enum libbpf_print_level level, const char *format, va_list args)
{
	size_t len = strlen(said);

	/* the first one is the cause, later ones what follows from it */
	if (level != LIBBPF_WARN || len != 0)
		return 0;
	vsnprintf(said, sizeof(said), format, args);
	len = strcspn(said, "\n");
	said[len] = '\0';
	return 0;
}

static const char *
reason(int err)
{
	return said[0] != '\0' ? said : strerror(-err);
}

/* ---- what is in the file ---- */

static bool
is_xdp(const struct bpf_program *prog)
{
	return bpf_program__type(prog) == BPF_PROG_TYPE_XDP;
}

static void
list_programs(const struct bpf_object *obj, char *text, size_t size)
{
	struct bpf_program *prog;
	size_t at = 0;

	text[0] = '\0';
	bpf_object__for_each_program(prog, obj)
	{
		int n;

		if (!is_xdp(prog))
			continue;
		n = snprintf(
			text + at, size - at, "%s%s", at != 0 ? ", " : "", bpf_program__name(prog));
		if (n < 0 || (size_t)n >= size - at)
			return;
		at += (size_t)n;
	}
}

/* The one XDP program, or the one with that name; all others in the file are not loaded. */
static struct bpf_program *
choose_program(struct bpf_object *obj, const struct slabio_xdp_prog_opts *opts)
{
	struct bpf_program *prog, *chosen = NULL;
	unsigned int count = 0;
	char names[256];

	bpf_object__for_each_program(prog, obj)
	{
		bpf_program__set_autoload(prog, false);
		if (!is_xdp(prog))
			continue;
		if (opts->name != NULL && strcmp(bpf_program__name(prog), opts->name) != 0 &&
			strcmp(bpf_program__section_name(prog), opts->name) != 0)
			continue;
		chosen = prog;
		count++;
	}
	if (count == 1) {
		bpf_program__set_autoload(chosen, true);
		return chosen;
	}
	list_programs(obj, names, sizeof(names));
	if (names[0] == '\0')
		SLABIO_LOG(ERR,
			"%s: expected an XDP program, in a section \"xdp\" or \"xdp.frags\", in "
			"xdp_prog=%s, found none",
			opts->device, opts->file);
	else if (opts->name != NULL)
		SLABIO_LOG(ERR,
			"%s: expected one XDP program of the name or section xdp_prog_name=%s in "
			"%s, found %u; there are: %s",
			opts->device, opts->name, opts->file, count, names);
	else
		SLABIO_LOG(ERR,
			"%s: expected one XDP program in xdp_prog=%s, found %u: %s; choose one "
			"with xdp_prog_name=",
			opts->device, opts->file, count, names);
	return NULL;
}

static struct bpf_map *
find_map(struct bpf_object *obj, const struct slabio_xdp_prog_opts *opts)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, SLABIO_XDP_MAP_NAME);

	if (map != NULL && bpf_map__type(map) == BPF_MAP_TYPE_XSKMAP)
		return map;
	SLABIO_LOG(ERR,
		"%s: expected a map of type BPF_MAP_TYPE_XSKMAP with the name " SLABIO_XDP_MAP_NAME
		" in xdp_prog=%s, which the program redirects packets with, found %s",
		opts->device, opts->file, map == NULL ? "no map of that name" : "another type");
	return NULL;
}

/* ---- loading ---- */

static void
log_refusal(const struct slabio_xdp_prog_opts *opts, const char *name, int err, const char *log)
{
	size_t len = strlen(log);
	const char *tail = log + (len > VERIFIER_TAIL ? len - VERIFIER_TAIL : 0);

	/* from the beginning of a line on */
	if (tail != log && strchr(tail, '\n') != NULL)
		tail = strchr(tail, '\n') + 1;
	if (len == 0)
		SLABIO_LOG(ERR, "%s: cannot load the XDP program %s of %s: %s (%s)%s", opts->device,
			name, opts->file, strerror(-err), reason(err),
			err == -EPERM ? "; run as root, or with CAP_BPF and CAP_NET_ADMIN" : "");
	else
		SLABIO_LOG(ERR,
			"%s: cannot load the XDP program %s of %s: %s; the kernel's verifier:\n%s",
			opts->device, name, opts->file, strerror(-err), tail);
}

static int
load(struct slabio_xdp_object *o, const struct slabio_xdp_prog_opts *opts, const char *log)
{
	struct bpf_program *prog = choose_program(o->obj, opts);
	struct bpf_map *map = prog != NULL ? find_map(o->obj, opts) : NULL;
	int ret;

	if (map == NULL)
		return -EINVAL;
	/* one of the user's may be larger, for programs that look further than at the queue */
	ret = bpf_map__max_entries(map) < opts->queues ? bpf_map__set_max_entries(map, opts->queues)
						       : 0;
	if (ret == 0)
		ret = bpf_object__load(o->obj);
	if (ret != 0) {
		log_refusal(opts, bpf_program__name(prog), ret, log);
		return ret;
	}
	o->prog = bpf_program__fd(prog);
	o->map = bpf_map__fd(map);
	return 0;
}

int
slabio_xdp_object_load(struct slabio_xdp_object *o, const struct slabio_xdp_prog_opts *opts)
{
	char *log = calloc(1, VERIFIER_LOG);
	LIBBPF_OPTS(
		bpf_object_open_opts, open, .kernel_log_buf = log, .kernel_log_size = VERIFIER_LOG);
	libbpf_print_fn_t before;
	long err;
	int ret;

	memset(o, 0, sizeof(*o));
	if (log == NULL) {
		SLABIO_LOG(ERR, "%s: no memory for the verifier's messages", opts->device);
		return -ENOMEM;
	}
	said[0] = '\0';
	before = libbpf_set_print(keep_warning);
	o->obj = bpf_object__open_file(opts->file, &open);
	err = libbpf_get_error(o->obj);
	if (err != 0) {
		ret = (int)err;
		o->obj = NULL;
		SLABIO_LOG(ERR,
			"%s: expected an object file with an XDP program at xdp_prog=%s, such as "
			"'clang -O2 -g -target bpf -c' makes, found: %s (%s)",
			opts->device, opts->file, strerror(-ret), reason(ret));
	} else {
		ret = load(o, opts, log);
	}
	if (ret != 0)
		slabio_xdp_object_close(o);
	libbpf_set_print(before);
	free(log);
	return ret;
}

void
slabio_xdp_object_close(struct slabio_xdp_object *o)
{
	bpf_object__close(o->obj);
	o->obj = NULL;
}
