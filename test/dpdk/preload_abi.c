/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/* Preloaded, it makes the library look like one of another build than the driver's. */

#include <stdint.h>

extern const uint64_t sio_fast_abi;
__attribute__((visibility("default"))) const uint64_t sio_fast_abi = 1;
