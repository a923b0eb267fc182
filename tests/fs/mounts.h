/* SPDX-License-Identifier: MIT */
/* Several mounts of one store in one process, each with a session and a store handle that injects faults. */
#ifndef MOUNTS_H
#define MOUNTS_H

#include "fixture.h"
#include "fs/session/session.h"
#include "kv/testing/testing.h"
#include "maint/maint.h"
#include "record/session_table.h"

struct site {
        struct kv_store *bottom; /* shared by all mounts */
        char dir[64], url[160];  /* store that each mount opens for itself; "": they use the bottom */
        struct test_clock clock;
};

struct mount {
        struct site *site;
        struct kv_store *handle; /* a fault layer over the bottom */
        struct kv_store *store;  /* exclusive: writebehind over the handle; shared: the handle */
        struct fs_session *session;
        struct fs *fs;
};

struct mount_opts {
        bool exclusive;
        bool writeback;         /* with a write-back cache */
        const char *mountpoint; /* NULL: "/mnt" */
        uint64_t unix_pid;      /* 0: 1000. Processes from DEAD_PIDS on have ended */
        const char *boot_id;    /* NULL: "boot" */
        struct kv_fault_opts faults;
        unsigned heartbeat_ms; /* 0: an hour, so that no heartbeat occurs in a test */
        struct err_text *text; /* NULL: an error fails the test */
};

#define DEAD_PIDS 9000u

/* Makes an empty file system in the store of SPEC: "mem", "mem+remote" (reads cost round trips), or "fdb":
 * that of the cluster file in ASHLAR_TEST_CLUSTER, or over the stand-in for FoundationDB's client
 * (tests/kv/fdb), which then injects failures. */
void site_open(struct site *s, const char *spec);
/* Replaces it by a new empty file system. */
void site_format(struct site *s);
/* Runs maint_check and closes the store; all mounts must be closed. */
void site_close(struct site *s);
void site_check(struct site *s, struct maint_check_result *ret);

/* Opens a mount. Returns 0, or with opts->text the error. */
int mount_open(struct mount *m, struct site *s, const struct mount_opts *opts);
/* Closes it as umount does. Asserts success, unless the mount was evicted. */
void mount_close(struct mount *m);
/* Ends it as a crash does: no later write reaches the store, and its entry stays. */
void mount_crash(struct mount *m);

/* Sets the faults of the stand-in for FoundationDB's client; does nothing with a real client. */
void site_standin_faults(bool on);

/* Returns a hash of all pairs of the store. */
uint64_t site_sum(struct site *s);

#endif
