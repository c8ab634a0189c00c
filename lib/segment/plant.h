/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef SIO_PLANT_H
#define SIO_PLANT_H

/**
 * @file
 * Faults planted on purpose, to show that the tests find them: doc/design/faults.md. The build
 * option plant_fault compiles one of them in; without it none of their code is in the library.
 *
 *     #if SIO_PLANTED(NO_BARRIER)
 */

/** The barrier of a steal is not issued. */
#define SIO_PLANT_NO_BARRIER 1
/** A magazine word's tag does not advance. */
#define SIO_PLANT_TAG_DROPPED 2
/** A magazine is claimed by a store: what was read before is believed. */
#define SIO_PLANT_HINT_TRUSTED 3
/** A magazine that is emptied goes on counting its last block. */
#define SIO_PLANT_COUNTED_TWICE 4
/** A ring's end words are published before the elements. */
#define SIO_PLANT_END_WORD_FIRST 5
/** The first line of a whole write is published first, not last. */
#define SIO_PLANT_HEAD_FIRST 6
/** Lines that a dead producer wrote and did not publish keep their end words. */
#define SIO_PLANT_TAIL_KEPT 7

#ifdef SIO_PLANT_FAULT
#define SIO_PLANTED(fault) (SIO_PLANT_FAULT == SIO_PLANT_##fault)
#else
#define SIO_PLANTED(fault) 0
#endif

#endif /* SIO_PLANT_H */
