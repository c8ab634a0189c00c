/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef FUZZ_EAL_H
#define FUZZ_EAL_H

/* What the targets that need mempools share. Include slabio_pmd.h first. */

#include <sched.h>
#include <stdio.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_log.h>

#define expect(condition)                                                                        \
	do {                                                                                     \
		if (!(condition)) {                                                              \
			fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition); \
			__builtin_trap();                                                        \
		}                                                                                \
	} while (0)

/* EAL in memory of this process alone, on the CPU that it is on, and a driver that says nothing. */
static inline void
fuzz_start_eal(char *program)
{
	char affinity[32];
	char *eal[] = {program, (char *)"--no-huge", (char *)"--no-shconf", (char *)"--no-pci",
		(char *)"--no-telemetry", (char *)"-m", (char *)"32", (char *)"--log-level=1",
		affinity};
	unsigned int cpu;

	/* the one this runs on, whichever it may use */
	expect(getcpu(&cpu, NULL) == 0);
	snprintf(affinity, sizeof(affinity), "--lcores=0@%u", cpu);
	expect(rte_eal_init(RTE_DIM(eal), eal) >= 0);
	slabio_logtype = rte_log_register("pmd.net.slabio");
	rte_log_set_level(slabio_logtype, RTE_LOG_EMERG);
}

#endif /* FUZZ_EAL_H */
