/* SPDX-License-Identifier: MIT */
/* Whether io_uring can be used here (with_rings.sh asks): kernels, sysctls and containers may forbid it. */
#include "base/err.h"
#include "fuse/transport/ring.h"

#include <stdio.h>

int main(void)
{
        struct fuse_ring ring;
        int r = fuse_ring_init(&ring, 1);

        if (r < 0) {
                printf("%s\n", err_str(r));
                return 1;
        }
        fuse_ring_destroy(&ring);
        return 0;
}
