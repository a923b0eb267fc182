/* SPDX-License-Identifier: MIT */
/* Counts of the kernel's requests, compared with what an operation must cost. */
#ifndef TESTS_FUSE_COUNTS_H
#define TESTS_FUSE_COUNTS_H

#include "fixture.h"

struct expected_count {
        uint32_t opcode; /* UINT32_MAX: end of the list */
        unsigned n;
};

void reset_counts(struct mounted *m);

/* Fails on the first opcode whose number of requests since the last reset differs from LIST, where an
 * opcode that is not in LIST has none; then resets. The numbers are those of Linux 6.18; on other kernels
 * fewer are allowed.
 *
 * Not counted, because the kernel sends them in the background: FORGET and BATCH_FORGET, and on a shared
 * mount RELEASE and RELEASEDIR. */
void expect_counts(struct mounted *m, const char *operation, const struct expected_count *list);

#define EXPECT(m, operation, ...)   \
        expect_counts(m, operation, \
                      (const struct expected_count[]){ __VA_ARGS__ __VA_OPT__(, ){ UINT32_MAX, 0 } })

#endif
