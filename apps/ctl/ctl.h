/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SLABIOCTL_H
#define SLABIOCTL_H

/**
 * @file
 * The commands of slabioctl. Each returns the exit status: 0 all is well, 1 something is wrong with
 * what was looked at, 2 it could not be looked at.
 */

#include <stdbool.h>

#define CTL_OK	  0
#define CTL_WRONG 1
#define CTL_ERROR 2

/** Lists the pools, rings and other segments of this user. */
int ctl_list(void);
/** Facts about a pool and its members. */
int ctl_info(const char *name);
/** Facts about a ring. */
int ctl_ring(const char *name);
/** Meets every block of a pool; at_rest: blocks in use and unsettled ones are faults too. */
int ctl_audit(const char *name, bool at_rest);
/** What each shard of a pool did and has. */
int ctl_shards(const char *name);
/**
 * Shows all pools, or one, again and again.
 *
 * @param name   NULL: all
 * @param period seconds between two pictures
 * @param count  pictures; 0: until interrupted
 */
int ctl_top(const char *name, double period, unsigned int count);
/**
 * Brings back what dead members of a pool held, as a member for that time.
 *
 * @param quarantine frees what is in quarantine, too, if no other process is a member
 */
int ctl_reclaim(const char *name, bool quarantine);
/** What is in quarantine, and who may have it. */
int ctl_quarantine(const char *name);
/** Removes a segment that nobody lives in; of a pool, its payload too. */
int ctl_remove(const char *name);
/** Says why a thing cannot be looked at. @return CTL_ERROR */
int ctl_cannot(const char *what, const char *name, int error);

#endif /* SLABIOCTL_H */
