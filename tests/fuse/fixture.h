/* SPDX-License-Identifier: MIT */
/* A file system in memory, mounted at a temporary directory and served by threads of the test itself,
 * with a count of the requests that the kernel sends. The store is volatile and the file system can also
 * be reached behind the kernel's back, through `fs`.
 */
#ifndef TESTS_FUSE_FIXTURE_H
#define TESTS_FUSE_FIXTURE_H

#include "fuse/fuse.h"

#include <pthread.h>
#include <stdatomic.h>

#define COUNTED_OPCODES 64u

struct mounted {
        char dir[64];
        struct kv_store *store;
        struct fs *fs;
        struct fuse_server *server;
        pthread_t thread;
        atomic_uint counts[COUNTED_OPCODES]; /* by opcode (linux/fuse.h) */
        /* Called for each request before it is served, if set; with M. */
        void (*_Atomic hook)(uint32_t opcode, void *m);
};

/* Ends the program with exit code 77 (skipped), saying so, if FUSE cannot be used here. */
void require_fuse(void);

/* Mount and unmount; failures are assertions. */
struct mounted *mounted_new(const struct fuse_opts *opts);
/* Over another store than one in memory. */
struct mounted *mounted_new_over(const char *url, const struct fuse_opts *opts);
void mounted_free(struct mounted *m);

/* DIR/NAME, in static storage that the next few calls do not touch. */
const char *at(const struct mounted *m, const char *name);

#endif
