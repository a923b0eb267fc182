/* SPDX-License-Identifier: MIT */
#include "counts.h"

#include "fuse/proto/codec.h"

#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/utsname.h>

#include <cmocka.h>

static bool is_reference_kernel(void)
{
        struct utsname u;

        return uname(&u) == 0 && strncmp(u.release, "6.18.", 5) == 0;
}

static bool is_background(const struct mounted *m, uint32_t opcode)
{
        switch (opcode) {
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
                return true;
        case FUSE_RELEASE:
        case FUSE_RELEASEDIR:
                return m->shared;
        }
        return false;
}

static unsigned expected_of(const struct expected_count *list, uint32_t opcode)
{
        for (; list->opcode != UINT32_MAX; list++)
                if (list->opcode == opcode)
                        return list->n;
        return 0;
}

void reset_counts(struct mounted *m)
{
        for (uint32_t i = 0; i < COUNTED_OPCODES; i++)
                atomic_store(&m->counts[i], 0);
}

void expect_counts(struct mounted *m, const char *operation, const struct expected_count *list)
{
        bool exact = is_reference_kernel();

        for (uint32_t i = 0; i < COUNTED_OPCODES; i++) {
                unsigned seen = atomic_load(&m->counts[i]), expected = expected_of(list, i);

                if (is_background(m, i) || seen == expected || (!exact && seen < expected))
                        continue;
                fail_msg("%s: expected %u requests %s (opcode %u), seen %u", operation, expected,
                         fuse_opcode_name(i), i, seen);
        }
        reset_counts(m);
}
