/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_SEGMENT_H
#define SIO_SEGMENT_H

/**
 * @file
 * Segments: shared memory regions with a checked layout stamp, and members with life tokens.
 *
 * A segment starts with SIO_SEGMENT_HEADER_SIZE bytes of its own (the stamp and the member table);
 * what the user of the segment keeps in it starts at sio_segment_data(). A segment becomes visible
 * to others only when it is complete: its creator fills it and then publishes it
 * (sio_segment_publish()). A creator killed before that leaves nothing that the next creator of
 * that name has to delete.
 *
 * Life tokens are POSIX record locks, one byte per member slot, on a descriptor that the library
 * opens once per process and segment and does not close before detach. The kernel drops them when
 * the process ends, for whatever reason; they are not inherited by fork() and work across pid
 * namespaces. It also drops them when the process closes any other descriptor of the segment's
 * file: a member must not open and close that file by other means.
 */

#include <stdbool.h>
#include <slabio/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Where a segment's memory comes from. */
enum sio_backing {
	/**
	 * hugetlbfs where it is mounted and has free pages, else memfd on hugepages, else plain
	 * memfd
	 */
	SIO_BACKING_AUTO = 0,
	/** a file in the runtime folder (tmpfs): outlives all its users; for metadata */
	SIO_BACKING_FILE = 1,
	/** a file on a hugetlbfs mount */
	SIO_BACKING_HUGETLBFS = 2,
	/** memfd with hugepages */
	SIO_BACKING_MEMFD_HUGE = 3,
	/** memfd with normal pages */
	SIO_BACKING_MEMFD = 4,
	/**
	 * memory of the caller, for example of DPDK; known to this process only, has no name to
	 * attach by
	 */
	SIO_BACKING_LENT = 5,
};

/** What a segment holds; attaching with another kind is refused. */
#define SIO_KIND(a, b, c, d) \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
#define SIO_KIND_RAW  SIO_KIND('R', 'A', 'W', ' ')
#define SIO_KIND_POOL SIO_KIND('P', 'O', 'O', 'L')
#define SIO_KIND_RING SIO_KIND('R', 'I', 'N', 'G')

/** Bytes at the start of every segment that are the library's: stamp and member table. */
#define SIO_SEGMENT_HEADER_SIZE 8192u

/** Member slots of a segment, numbered from 0. */
#define SIO_MEMBERS_MAX 64

struct sio_segment;

/** How to create a segment. Set sz to sizeof(struct sio_segment_opts) and zero the rest. */
struct sio_segment_opts {
	size_t sz;
	const char *name;	 /**< unique per runtime folder; NULL: nobody attaches by name */
	uint32_t kind;		 /**< SIO_KIND_... */
	uint32_t layout_version; /**< version of what the user keeps in it; checked at attach */
	uint64_t config_hash; /**< of the user's configuration; checked at attach unless 0 there */
	uint64_t data_size;   /**< bytes wanted at sio_segment_data(), at least 1 */
	enum sio_backing backing; /**< the one taken in the end: sio_segment_backing() */
	int numa_node;		  /**< preferred node + 1; 0: none */
	uint32_t mode;		  /**< file permission bits; 0: 0600 */
	void *lent_addr;	  /**< SIO_BACKING_LENT: the memory, aligned to 4096 */
	uint64_t lent_size; /**< SIO_BACKING_LENT: its size, SIO_SEGMENT_HEADER_SIZE included */
};

/**
 * Creates a segment; its data is zero. The caller is its member in slot 0, generation 1.
 *
 * A segment of that name whose members are all dead is replaced.
 *
 * @param[out] seg the segment, yet unpublished: nobody else can attach
 * @return 0; -EINVAL bad option; -EEXIST a segment of that name is in use; -ENOMEM; -ENOSPC the
 *         backing has not that many pages; -EPERM the runtime folder is not ours; -EBUSY another
 *         process stopped while it created or removed that name (logged: which); another negative
 *         errno of the kernel
 */
SIO_API int sio_segment_create(const struct sio_segment_opts *opts, struct sio_segment **seg);

/**
 * Makes a created segment visible under its name. Memory of it is already populated.
 *
 * @return 0; -EEXIST somebody else published that name meanwhile; -EALREADY; -EPERM a forked child
 *         is not its creator; -EBUSY as sio_segment_create()
 */
SIO_API int sio_segment_publish(struct sio_segment *seg);

/** How to attach. Set sz to sizeof(struct sio_segment_attach_opts) and zero the rest. */
struct sio_segment_attach_opts {
	size_t sz;
	uint32_t kind;		 /**< what it must be */
	uint32_t layout_version; /**< what it must be */
	uint64_t config_hash;	 /**< what it must be; 0: any */
	bool observe;		 /**< do not become a member: map only, for audit tools */
	bool read_only;		 /**< map read-only; only with observe */
};

/**
 * Attaches to a published segment by name and takes a member slot unless told to observe only.
 *
 * Attaching twice in one process gives the same mapping and the same member, counted.
 *
 * @return 0; -ENOENT no such segment, or its creator is gone with it; -EPROTO not a segment, or of
 *         another kind, version or configuration (the log says what was expected and found);
 *         -EUSERS all member slots are taken; -EACCES; -EBUSY it is being replaced all the time;
 *         another negative errno of the kernel
 */
SIO_API int sio_segment_attach(
	const char *name, const struct sio_segment_attach_opts *opts, struct sio_segment **seg);

/**
 * As sio_segment_attach(), on a descriptor received from another process.
 *
 * The descriptor stays the caller's, but unless it only observes the caller must not close it
 * before it has detached: the kernel would drop the life token with it.
 */
SIO_API int sio_segment_attach_fd(
	int fd, const struct sio_segment_attach_opts *opts, struct sio_segment **seg);

/**
 * Leaves the segment: gives the member slot back (its user must have given back everything held in
 * its name before), drops the life token, unmaps.
 *
 * Attaches are counted: the last detach does it. In a forked child those count that it inherited,
 * but it is no member, and its detach leaves its parent's membership alone; an attach of its own
 * ends with its own detach.
 *
 * The name stays until sio_segment_unlink(), except that a memfd vanishes with its last user and
 * its name with its creator.
 */
SIO_API void sio_segment_detach(struct sio_segment *seg);

/**
 * Removes the segment's name. Those attached go on.
 *
 * @return 0; -ENOENT it has no name or it was replaced by another segment of that name; -EBUSY as
 *         sio_segment_create()
 */
SIO_API int sio_segment_unlink(struct sio_segment *seg);

/** Start of the user's part, aligned to 4096, in this process. */
SIO_API void *sio_segment_data(const struct sio_segment *seg);
/** Size of the user's part in bytes. */
SIO_API uint64_t sio_segment_size(const struct sio_segment *seg);
/** Size of its pages in bytes. */
SIO_API uint64_t sio_segment_page_size(const struct sio_segment *seg);
/** Where its memory really comes from; never SIO_BACKING_AUTO. */
SIO_API enum sio_backing sio_segment_backing(const struct sio_segment *seg);
/** Name of a backing, for messages. */
SIO_API const char *sio_backing_name(enum sio_backing backing);
/** Its descriptor, to be passed to another process; -1 for lent memory. Never close it. */
SIO_API int sio_segment_fd(const struct sio_segment *seg);
/** Its name, "" if it has none. */
SIO_API const char *sio_segment_name(const struct sio_segment *seg);

/**
 * A member's name: slot in bits 0-5, generation in bits 6-21. 0 is nobody's (generations start at
 * 1).
 */
typedef uint32_t sio_member_t;

#define SIO_MEMBER_NONE		      0u
#define SIO_MEMBER_BITS		      22
#define SIO_MEMBER_NAME(slot, gen)    ((uint32_t)(slot) | (uint32_t)(gen) << 6)
#define SIO_MEMBER_SLOT(member)	      ((member)&63u)
#define SIO_MEMBER_GENERATION(member) (((member) >> 6) & 0xffffu)

/**
 * This process's name in the segment, SIO_MEMBER_NONE for an observer.
 *
 * After fork() the child is nobody: its name is SIO_MEMBER_NONE until it calls
 * sio_segment_rejoin().
 */
SIO_API sio_member_t sio_segment_self(const struct sio_segment *seg);

/**
 * Makes a forked child a new member with nothing. Harmless in a process that is a member already.
 *
 * @return 0; -EUSERS; -EPERM it was attached to observe only; -EOPNOTSUPP lent memory is one
 *         process's; another negative errno
 */
SIO_API int sio_segment_rejoin(struct sio_segment *seg);

enum sio_member_state {
	SIO_MEMBER_FREE = 0, /**< the slot is free, or the name is of an earlier generation of it */
	SIO_MEMBER_LIVE = 1, /**< its process holds its life token */
	SIO_MEMBER_DEAD = 2, /**< its process is gone and what it held is not settled yet */
	SIO_MEMBER_JOINING = 3 /**< between taking the slot and being there; its process lives */
};

/**
 * State of a member, by its life token. Makes a system call. Any thread.
 *
 * A living member never looks dead. A dead one can look alive for the moment in which somebody
 * buries it.
 */
SIO_API enum sio_member_state sio_member_state(struct sio_segment *seg, sio_member_t member);

/** What is known of a member. */
struct sio_member_info {
	sio_member_t member;
	enum sio_member_state state;
	int32_t pid;	    /**< as the member saw itself; only for people to read */
	uint64_t joined_ns; /**< CLOCK_MONOTONIC */
	char command[16];
};

/**
 * The member in a slot.
 *
 * @return 0; -EINVAL slot out of range; -ENOENT the slot is free: info->member tells all that were
 *         there before, whose generations are lower, from all that will come
 */
SIO_API int sio_member_get(
	struct sio_segment *seg, unsigned int slot, struct sio_member_info *info);

/**
 * Frees the slot of a dead member after everything in its name was settled. One caller wins.
 *
 * @return 0; -EBUSY it is not dead; -ENOENT that generation is gone already; -EACCES this process
 *         maps the segment read-only
 */
SIO_API int sio_member_bury(struct sio_segment *seg, sio_member_t member);

/**
 * Removes the name, and with it the memory, of a segment that no living process is a member of.
 *
 * @return 0; -ENOENT no such name; -EBUSY a living process is a member; -EEXIST the name is of
 *         something that is no segment; another negative errno of the kernel
 */
SIO_API int sio_segment_remove(const char *name);

/**
 * Calls fn for each published segment name in the runtime folder. @return 0, fn's first non-zero,
 * or -errno.
 */
SIO_API int sio_segment_list(int (*fn)(const char *name, uint32_t kind, void *arg), void *arg);

/**
 * Sleeps while *word equals value, until woken or until the time; across processes.
 *
 * @return 0 woken, or the word differs (look again); -ETIMEDOUT
 */
SIO_API int sio_wait(const uint32_t *word, uint32_t value, uint64_t deadline_ns);
/** Wakes all sleepers on the word. */
SIO_API void sio_wake(const uint32_t *word);

#ifdef __cplusplus
}
#endif

#endif /* SIO_SEGMENT_H */
