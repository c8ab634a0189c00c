/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Sweeps over the life of segments and members: whatever a death leaves, the name is free or
 * complete, the next process gets on, no slot is lost but for one dead member that can be buried,
 * and no file stays behind.
 */

#include <dirent.h>
#include <errno.h>
#include <mntent.h>
#include <string.h>
#include <unistd.h>

#include <slabio/segment.h>
#include "harness.h"

#define DATA_SIZE 256u
#define PATTERN	  0xc3

static struct sio_segment *seg;

struct segment_user {
	_Atomic uint32_t dead; /* a member that died before, for the sweep of its burial */
};

struct segment_start {
	enum sio_backing backing;
	bool replaces; /* the name is that of a dead segment */
};

static const struct segment_start *
start_of(struct crash_scene *s)
{
	return s->arg;
}

static int
try_create(struct crash_scene *s)
{
	const struct sio_segment_opts opts = {
		.sz = sizeof(opts),
		.name = s->name,
		.kind = SIO_KIND_RAW,
		.data_size = DATA_SIZE,
		.backing = start_of(s)->backing,
	};
	int rc = sio_segment_create(&opts, &seg);

	if (rc == 0)
		memset(sio_segment_data(seg), PATTERN, DATA_SIZE);
	return rc;
}

static int
try_attach(struct crash_scene *s)
{
	const struct sio_segment_attach_opts opts = {.sz = sizeof(opts), .kind = SIO_KIND_RAW};

	return sio_segment_attach(s->name, &opts, &seg);
}

static void
check_data(struct crash_scene *s)
{
	const unsigned char *data = sio_segment_data(seg);

	for (unsigned int i = 0; i < DATA_SIZE; i++)
		if (data[i] != PATTERN)
			crash_fault(s, CRASH_WRONG, "an incomplete segment can be attached to");
}

/* ---- processes that come and go around the victim ---- */

static void
visit(struct crash_scene *s)
{
	crash_ok(s, try_attach(s));
	check_data(s);
	sio_segment_detach(seg);
}

/* As visit(), where there may be nothing to visit. */
static void
try_visit(struct crash_scene *s)
{
	int rc = try_attach(s);

	if (rc == -ENOENT)
		return;
	if (rc != 0)
		crash_fault(s, CRASH_WRONG, "attaching gave %d, expected 0 or %d", rc, -ENOENT);
	check_data(s);
	sio_segment_detach(seg);
}

static void
publish_and_die(struct crash_scene *s)
{
	crash_ok(s, try_create(s));
	crash_ok(s, sio_segment_publish(seg));
	_exit(0);
}

static void
attach_and_die(struct crash_scene *s)
{
	struct segment_user *u = s->user;

	crash_ok(s, try_attach(s));
	atomic_store(&u->dead, sio_segment_self(seg));
	_exit(0);
}

/* ---- creating and publishing: the victim is the creator ---- */

static void
setup_creator(struct crash_scene *s)
{
	if (start_of(s)->replaces)
		crash_successor(s, publish_and_die);
}

static void
prepare_creator(struct crash_scene *s)
{
	crash_ok(s, try_create(s));
}

static void
op_create(struct crash_scene *s)
{
	int rc = try_create(s);

	if (rc != 0 && s->mode != CRASH_STOP)
		crash_fault(s, CRASH_WRONG, "creating gave %d", rc);
}

static void
op_publish(struct crash_scene *s)
{
	int rc = sio_segment_publish(seg);

	if (rc != 0 && (s->mode != CRASH_STOP || rc != -EEXIST))
		crash_fault(s, CRASH_WRONG, "publishing gave %d", rc);
}

static void
finish_creator(struct crash_scene *s)
{
	(void)s;
	if (seg == NULL)
		return;
	sio_segment_unlink(seg);
	sio_segment_detach(seg);
}

/* The next creator of that name. */
static void
create_again(struct crash_scene *s)
{
	crash_ok(s, try_create(s));
	crash_ok(s, sio_segment_publish(seg));
	crash_successor(s, visit);
	crash_ok(s, sio_segment_unlink(seg));
	sio_segment_detach(seg);
}

/* While the first one is stopped, that may be refused, but must come to an end. */
static void
create_beside(struct crash_scene *s)
{
	int rc = try_create(s);

	if (rc == -EEXIST || rc == -EBUSY)
		return;
	crash_ok(s, rc);
	rc = sio_segment_publish(seg);
	if (rc != -EEXIST && rc != -EBUSY)
		crash_ok(s, rc);
	if (rc == 0)
		sio_segment_unlink(seg);
	sio_segment_detach(seg);
}

static void
survive_creator(struct crash_scene *s, enum crash_how how)
{
	crash_successor(s, try_visit);
	crash_successor(s, how == CRASH_STOPPED ? create_beside : create_again);
}

/* ---- members come and go: the survivor is the creator ---- */

static void
setup_member(struct crash_scene *s)
{
	crash_ok(s, try_create(s));
	crash_ok(s, sio_segment_publish(seg));
}

static void
setup_bury(struct crash_scene *s)
{
	setup_member(s);
	crash_successor(s, attach_and_die);
}

static void
prepare_member(struct crash_scene *s)
{
	crash_ok(s, try_attach(s));
}

static void
op_attach(struct crash_scene *s)
{
	crash_ok(s, try_attach(s));
}

static void
op_detach(struct crash_scene *s)
{
	(void)s;
	sio_segment_detach(seg);
	seg = NULL;
}

static void
op_unlink(struct crash_scene *s)
{
	int rc = sio_segment_unlink(seg);

	if (rc != 0 && (s->mode != CRASH_STOP || rc != -ENOENT))
		crash_fault(s, CRASH_WRONG, "unlinking gave %d", rc);
}

static void
op_rejoin(struct crash_scene *s)
{
	crash_ok(s, sio_segment_rejoin(seg));
}

static void
op_bury(struct crash_scene *s)
{
	struct segment_user *u = s->user;
	int rc = sio_member_bury(seg, atomic_load(&u->dead));

	if (rc != 0 && (s->mode != CRASH_STOP || rc != -ENOENT))
		crash_fault(s, CRASH_WRONG, "the burial gave %d", rc);
}

static void
finish_member(struct crash_scene *s)
{
	(void)s;
	if (seg != NULL)
		sio_segment_detach(seg);
}

static unsigned int
count_members(struct crash_scene *s, enum sio_member_state state)
{
	struct sio_member_info info;
	unsigned int n = 0;

	for (unsigned int i = 0; i < SIO_MEMBERS_MAX; i++) {
		int rc = sio_member_get(seg, i, &info);

		crash_check(s, rc == 0 || rc == -ENOENT);
		n += rc == 0 && info.state == state;
	}
	return n;
}

static void
bury_all(struct crash_scene *s)
{
	struct sio_member_info info;

	for (unsigned int i = 0; i < SIO_MEMBERS_MAX; i++)
		if (sio_member_get(seg, i, &info) == 0 && info.state == SIO_MEMBER_DEAD)
			crash_ok(s, sio_member_bury(seg, info.member));
}

static void
survive_member(struct crash_scene *s, enum crash_how how)
{
	const bool bury = atomic_load(&((struct segment_user *)s->user)->dead) != 0;
	const bool gone = s->c->op == op_unlink;
	unsigned int dead = count_members(s, SIO_MEMBER_DEAD);

	check_data(s);
	/* one of the victim, and one of who died before it */
	crash_check(s, dead <= (how == CRASH_KILLED) + (unsigned int)bury);
	crash_check(s, sio_member_state(seg, sio_segment_self(seg)) == SIO_MEMBER_LIVE);
	crash_successor(s, gone ? try_visit : visit);
	if (how == CRASH_STOPPED)
		return;
	crash_figure(s, dead);
	bury_all(s);
	for (unsigned int i = 0; i < SIO_MEMBERS_MAX + 1; i++) {
		struct sio_member_info info;

		crash_check(s, i == SIO_MEMBERS_MAX || sio_member_get(seg, i, &info) == -ENOENT ||
				       info.member == sio_segment_self(seg));
	}
	crash_successor(s, gone ? try_visit : visit);
}

static void
audit_member(struct crash_scene *s, enum crash_how how)
{
	int rc = sio_segment_unlink(seg);

	(void)how;
	crash_check(s, rc == 0 || (rc == -ENOENT && s->c->op == op_unlink));
	sio_segment_detach(seg);
	/* the name is free for the next one */
	crash_successor(s, create_again);
}

/* ---- files on hugetlbfs ---- */

static unsigned int
huge_entries(const char *name)
{
	FILE *mounts = setmntent("/proc/mounts", "r");
	unsigned int n = 0;
	struct mntent *m;

	if (mounts == NULL)
		return 0;
	while ((m = getmntent(mounts)) != NULL) {
		struct dirent *e;
		DIR *d = strcmp(m->mnt_type, "hugetlbfs") == 0 ? opendir(m->mnt_dir) : NULL;

		while (d != NULL && (e = readdir(d)) != NULL)
			n += strstr(e->d_name, name) != NULL;
		if (d != NULL)
			closedir(d);
	}
	endmntent(mounts);
	return n;
}

/*
 * Whether the sweeps on hugetlbfs can run here: a victim and who comes after it, with room for
 * others.
 */
static bool
huge_possible(void)
{
	FILE *mounts = setmntent("/proc/mounts", "r");
	FILE *memory = fopen("/proc/meminfo", "r");
	unsigned long pages = 0;
	bool mounted = false;
	struct mntent *m;
	char line[128];

	while (mounts != NULL && (m = getmntent(mounts)) != NULL)
		mounted |= strcmp(m->mnt_type, "hugetlbfs") == 0;
	if (mounts != NULL)
		endmntent(mounts);
	while (memory != NULL && fgets(line, sizeof(line), memory) != NULL)
		if (sscanf(line, "HugePages_Free: %lu", &pages) == 1)
			break;
	if (memory != NULL)
		fclose(memory);
	return mounted && pages >= 8;
}

static void
audit_creator(struct crash_scene *s, enum crash_how how)
{
	(void)how;
	if (start_of(s)->backing == SIO_BACKING_HUGETLBFS && huge_entries(s->name) != 0)
		crash_fault(
			s, CRASH_WRONG, "%u files are left on hugetlbfs", huge_entries(s->name));
}

/* ---- the table ---- */

#define CREATOR(id, title, ready, act, ...)                           \
	static const struct segment_start id##_start = {__VA_ARGS__}; \
	static const struct crash_case id = {.name = title,           \
		.arg = &id##_start,                                   \
		.setup = setup_creator,                               \
		.prepare = ready,                                     \
		.op = act,                                            \
		.finish = finish_creator,                             \
		.survive = survive_creator,                           \
		.audit = audit_creator}

#define MEMBER(id, title, begin, ready, act, late)                                    \
	static const struct segment_start id##_start = {.backing = SIO_BACKING_FILE}; \
	static const struct crash_case id = {.name = title,                           \
		.arg = &id##_start,                                                   \
		.setup = begin,                                                       \
		.prepare = ready,                                                     \
		.op = act,                                                            \
		.finish = finish_member,                                              \
		.survive = survive_member,                                            \
		.audit = audit_member,                                                \
		.fork_late = late}

CREATOR(create, "segment create", NULL, op_create, .backing = SIO_BACKING_FILE);
CREATOR(replace, "segment create over a dead one", NULL, op_create, .backing = SIO_BACKING_FILE,
	.replaces = true);
CREATOR(create_memfd, "segment create, memfd", NULL, op_create, .backing = SIO_BACKING_MEMFD);
CREATOR(create_huge, "segment create, hugetlbfs", NULL, op_create,
	.backing = SIO_BACKING_HUGETLBFS);
CREATOR(replace_huge, "segment create over, hugetlbfs", NULL, op_create,
	.backing = SIO_BACKING_HUGETLBFS, .replaces = true);
CREATOR(publish, "segment publish", prepare_creator, op_publish, .backing = SIO_BACKING_FILE);
CREATOR(publish_memfd, "segment publish, memfd", prepare_creator, op_publish,
	.backing = SIO_BACKING_MEMFD);
CREATOR(publish_huge, "segment publish, hugetlbfs", prepare_creator, op_publish,
	.backing = SIO_BACKING_HUGETLBFS);
MEMBER(attach, "segment attach", setup_member, NULL, op_attach, false);
MEMBER(detach, "segment detach", setup_member, prepare_member, op_detach, false);
MEMBER(unlink_name, "segment unlink", setup_member, prepare_member, op_unlink, false);
MEMBER(rejoin, "segment rejoin after fork", setup_member, NULL, op_rejoin, true);
MEMBER(bury, "member bury", setup_bury, prepare_member, op_bury, false);

int
main(int argc, char **argv)
{
	/* clang-format off */
	static const struct crash_row rows[] = {
		{&create, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&replace, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&create_memfd, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&publish, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&publish_memfd, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&attach, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&detach, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&unlink_name, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&rejoin, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&bury, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&create, CRASH_STOP, CRASH_DISTINCT, CRASH_DISTINCT},
		{&publish, CRASH_STOP, CRASH_DISTINCT, CRASH_DISTINCT},
		{&attach, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&detach, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&unlink_name, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&rejoin, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&bury, CRASH_STOP, CRASH_DISTINCT, CRASH_DEEP},
		{&create_huge, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
		{&replace_huge, CRASH_KILL, CRASH_NONE, CRASH_DEEP},
		{&publish_huge, CRASH_KILL, CRASH_DISTINCT, CRASH_DEEP},
	};
	/* clang-format on */
	size_t n = sizeof(rows) / sizeof(rows[0]);

	if (!huge_possible()) {
		printf("the last three sweeps are left out: no hugetlbfs with 8 free pages here\n");
		n -= 3;
	}
	return crash_main(argc, argv, rows, n);
}
