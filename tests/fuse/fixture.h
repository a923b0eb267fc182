/* SPDX-License-Identifier: MIT */
/* A file system in memory, mounted at a temporary directory and served by threads of the test. Requests of
 * the kernel are counted. The test can also change the file system through `fs`, without the kernel.
 */
#ifndef TESTS_FUSE_FIXTURE_H
#define TESTS_FUSE_FIXTURE_H

#include "base/lock.h"
#include "fuse/fuse.h"

#include <pthread.h>
#include <stdatomic.h>

#define COUNTED_OPCODES 64u

struct mounted {
        char dir[64];
        bool shared;
        struct kv_store *store;
        struct fs *fs;
        struct fuse_server *server;
        pthread_t thread;
        atomic_uint counts[COUNTED_OPCODES]; /* by opcode (linux/fuse.h) */
        struct lock lock;
        pthread_cond_t counted; /* signalled with LOCK when a count has changed */
        /* Called with M for each request before it is served. NULL: none. */
        void (*_Atomic hook)(uint32_t opcode, void *m);
};

/* Ends the program with exit code 77 (skipped) and a message if FUSE is not available. */
void require_fuse(void);

/* Mount and unmount; failures are assertions. */
struct mounted *mounted_new(const struct fuse_opts *opts);
/* The same on the store URL instead of one in memory. */
struct mounted *mounted_new_over(const char *url, const struct fuse_opts *opts);
void mounted_free(struct mounted *m);

/* Waits until the kernel has sent N requests OPCODE since the last reset. */
void wait_for_count(struct mounted *m, uint32_t opcode, unsigned n);

/* Returns DIR/NAME, in static storage that is valid for the next three calls. */
const char *at(const struct mounted *m, const char *name);

#endif
