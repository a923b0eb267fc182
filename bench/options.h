/* SPDX-License-Identifier: MIT */
/* The command line of ashlar-bench. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "bench.h"

struct options {
        const char *json;                        /* file for all samples, or NULL */
        uint64_t flat_files, memory_mib, soak_s; /* 0: not asked for */
};

/* Fills O, and B's sizes, rounds, wanted rows and targets, seed and paths (paths.base: the directory that was
 * asked for). Exits for --help and --list. -EINVAL, with a line on stderr, for wrong arguments. */
int options_parse(int argc, char **argv, struct bench *b, struct options *o);

#endif
