/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_QUARANTINE_H
#define SIO_QUARANTINE_H

/**
 * @file
 * The step of recovery that conservative pools have in place of holder words.
 */

#include "pool/recover.h"

/**
 * Marks every block that lies in a magazine now, whatever the magazine's state, or is in nobody's
 * hands in the contiguous region.
 */
void sio__mark_free(struct sio_recovery *r);

/**
 * Conservative pools: after a death, what lies in no magazine goes on the list; what was on it and
 * lies in one goes off it. @return 0 or -ENOMEM
 */
int sio__quarantine_update(struct sio_recovery *r);

/**
 * For tests: called, if set, when a recovery has looked what is free and not changed a mark yet.
 */
extern void (*sio__quarantine_looked_hook)(void);

#endif /* SIO_QUARANTINE_H */
