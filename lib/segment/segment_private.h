/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_SEGMENT_PRIVATE_H
#define SIO_SEGMENT_PRIVATE_H

/**
 * @file
 * What the files of this folder share: the process's view of a segment, and the steps it is made
 * of.
 *
 * Two mutexes of this process, never held while another process is waited for without a bound:
 *
 * - the registry mutex orders create, publish, attach, detach, unlink and list. It is what makes
 *   "stat, look into the registry, open" one step: a second descriptor of a segment's file must
 *   never be closed while this process holds a token in it, because the kernel drops all record
 *   locks of a process on a file when the process closes any descriptor of that file;
 * - the token mutex orders this process's changes of its record locks on tokens, which the kernel
 *   does not order between threads of one process. Taken inside the registry mutex, never around
 *   it.
 */

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <slabio/segment.h>
#include "log.h"
#include "segment_layout.h"

struct sio_segment {
	struct sio_segment *next; /**< in the registry */
	unsigned int refs;	  /**< attaches, of this process and inherited by fork() */
	unsigned int own_refs;	  /**< those of this process; without one it is no member */
	uint32_t own_epoch;	  /**< epoch of the process whose own_refs these are */
	dev_t dev; /**< with ino: what the registry finds it by; not for lent memory */
	ino_t ino;
	int fd;	   /**< the only descriptor of the file in this process; -1: lent */
	int dirfd; /**< runtime folder its name is in; -1: no name */
	enum sio_backing backing;
	bool writable;
	bool joins;		/**< was attached as a member, in this process or before a fork */
	uint32_t creator_epoch; /**< epoch of the process that created it here; 0: attached */
	char *tmp_path;		/**< name of the file until it is published, if it needs one */
	char *target;		/**< hugetlbfs: where publishing links it */
	unsigned char *base;
	uint64_t map_size;
	uint64_t page_size;
	uint64_t data_offset;
	uint64_t data_size;
	uint64_t uid;
	uint64_t home;
	uint64_t config_hash;
	uint32_t kind;
	uint32_t layout_version;
	struct sio_slot *slots;
	char name[SIO_NAME_LEN];
	/** epoch << 32 | member. Written under the token mutex, read by any thread. */
	_Atomic uint64_t self;
	/**
	 * slot + 1 that this process is claiming or burying, else 0: F_GETLK does not see own locks
	 */
	_Atomic uint32_t working_on;
};

/* registry.c: segments of this process, its mutexes, and telling a forked child from its parent */
int sio__registry_lock(void);
void sio__registry_unlock(void);
void sio__token_lock(void);
void sio__token_unlock(void);
void sio__registry_add(struct sio_segment *seg);
void sio__registry_remove(struct sio_segment *seg);
struct sio_segment *sio__registry_find(dev_t dev, ino_t ino);
/**
 * A number that differs between a process and its forked children; 0 in a child that called nothing
 * yet.
 */
uint32_t sio__epoch(void);
/** Numbers this process if it has no epoch yet. With the registry mutex held. */
void sio__epoch_start(void);

/** Whether this process, and not one it was forked from, created the segment. */
static inline bool
sio__segment_is_creator(const struct sio_segment *seg)
{
	return seg->creator_epoch != 0 && seg->creator_epoch == sio__epoch();
}

/* member.c */
/**
 * Takes any free slot. @return 0; -EUSERS; -EAGAIN slots are free but locked by others now; -errno
 */
int sio__member_join(struct sio_segment *seg);
/** Gives the slot back, if this process is a member. */
void sio__member_leave(struct sio_segment *seg);
/** Locks all tokens of a file. @return 0; -EAGAIN somebody lives; -errno */
int sio__tokens_lock_all(int fd);
/** Locks one token of a file. @return 0; -EAGAIN; -errno */
int sio__token_try(int fd, unsigned int slot);

/* segment_name.c: names in the runtime folder */
enum sio_name_type {
	SIO_NAME_FILE,
	SIO_NAME_HUGE,
	SIO_NAME_MEMFD,
};

/** What a name leads to. */
struct sio_name_target {
	enum sio_name_type type;
	struct stat st;
	char path[PATH_MAX]; /**< where the link leads; "" for a file in the folder */
};

int sio__runtime_open(void);
uint64_t sio__runtime_home(int dirfd);
/** @return 0; -ENOENT no such name; -ESTALE its segment is gone; -EPROTO not a segment's; -errno */
int sio__name_resolve(int dirfd, const char *name, struct sio_name_target *target);
/** @return the descriptor; -ESTALE another file is there by now; -errno */
int sio__name_open(
	int dirfd, const char *name, const struct sio_name_target *target, int access_mode);
/**
 * Locks a name against others who create or remove it. @return descriptor to close; -EBUSY; -errno
 */
int sio__name_lock(int dirfd, const char *name);
/** Removes the name of a segment that nobody lives in, name locked. @return 0; -EEXIST; -errno */
int sio__name_clear(int dirfd, const char *name);
/** Gives the segment its name, name locked. @return 0; -EEXIST; -errno */
int sio__name_link(struct sio_segment *seg);
/**
 * Removes the name if it leads to the segment. Locks the name. @return 0; -ENOENT; -EBUSY; -errno
 */
int sio__name_remove(struct sio_segment *seg);
/** Where on a hugetlbfs mount the file of a name belongs. @return 0; -ENAMETOOLONG */
int sio__name_huge_path(char *buf, size_t len, const char *mount, int dirfd, const char *name);

/* segment_tmp.c: files without a name yet */
/** Set by tests: behave as on a file system without O_TMPFILE. */
extern bool sio__tmp_named;
/** Opens a new file without a name in a folder. @return descriptor; -EOPNOTSUPP; -errno */
int sio__tmp_open(int dir);
/**
 * Opens a new file with a temporary name. Registry mutex held, and the name locked unless it is "":
 * then the file has none.
 *
 * @param dir_path what the temporary path is to start with, "" or with a slash at its end
 * @param tag      what the temporary name is to start with
 * @return descriptor or -errno
 */
int sio__tmp_open_named(
	int dir, const char *dir_path, const char *tag, const char *name, char **path);
/** Makes the file's name final. @return 0; -EEXIST; -errno */
int sio__tmp_link(int fd, char **tmp_path, int dir, const char *final_name);

/* segment_backing.c */
/**
 * Opens, sizes, maps and populates the memory of a new segment, and enters it into the registry.
 * @return 0 or -errno, nothing left behind. Registry mutex not held.
 */
int sio__backing_make(struct sio_segment *seg, const struct sio_segment_opts *opts);
/** Undoes it, or a mapping: unmaps, removes a temporary name, closes. Registry mutex held. */
void sio__backing_drop(struct sio_segment *seg);
/** Maps an existing file whose stamp was checked. @return 0 or -errno */
int sio__backing_map(struct sio_segment *seg, bool writable);
/** Maps the pages of an attached segment before they are used. */
void sio__backing_prefault(struct sio_segment *seg);

/* segment.c */
/**
 * Whether an options structure is one this library can read: the part it does not know must be
 * zero.
 */
bool sio__opts_ok(const void *opts, size_t found, size_t known);
/** A segment structure that refers to nothing. */
struct sio_segment *sio__segment_new(void);
/** Frees the structure and what it refers to outside the backing. */
void sio__segment_free(struct sio_segment *seg);
/** Counts one more attach of this process. Registry mutex held. */
void sio__segment_ref(struct sio_segment *seg);
/** Makes the inherited attaches this process's own. Registry mutex held. */
void sio__segment_adopt(struct sio_segment *seg);
/**
 * Counts one less; the last of this process leaves, the last of all unmaps. Registry mutex held.
 */
void sio__segment_unref(struct sio_segment *seg);

/* segment_attach.c */
/** Reads a file's stamp without mapping it. @return 0; -EPROTO too short or no stamp; -errno */
int sio__stamp_read(int fd, struct sio_stamp *stamp);

#endif /* SIO_SEGMENT_PRIVATE_H */
