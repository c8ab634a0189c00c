/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

void bench_usage(FILE *to);
/* Fills bench_options. argv[0] is not looked at. Returns false if something was wrong: said what
 * already. */
bool bench_options_parse(int argc, char **argv);

#endif /* BENCH_OPTIONS_H */
