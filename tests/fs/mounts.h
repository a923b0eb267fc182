/* SPDX-License-Identifier: MIT */
/* Several mounts of one store in one process: each with a handle of its own, which injects faults, and a
 * session. */
#ifndef MOUNTS_H
#define MOUNTS_H

#include "fixture.h"
#include "fs/session/session.h"
#include "kv/testing/testing.h"
#include "maint/maint.h"
#include "record/session_table.h"

struct site {
        struct kv_store *bottom; /* what they share */
        char dir[64], url[160];  /* of a store that each mount opens for itself; "": they use the bottom */
        struct test_clock clock;
};

struct mount {
        struct site *site;
        struct kv_store *handle; /* a fault wrapper over the bottom */
        struct kv_store *store;  /* with a writebehind over the handle, if exclusive; else the handle */
        struct fs_session *session;
        struct fs *fs;
};

struct mount_opts {
        bool exclusive;
        bool writeback;         /* writes */
        const char *mountpoint; /* NULL: "/mnt" */
        uint64_t unix_pid;      /* 0: 1000. Processes from DEAD_PIDS on are gone */
        const char *boot_id;    /* NULL: "boot" */
        struct kv_fault_opts faults;
        unsigned heartbeat_ms; /* 0: an hour, so that none comes in between */
        struct err_text *text; /* NULL: failure is a failure of the test */
};

#define DEAD_PIDS 9000u

/* An empty file system in the store of SPEC: "mem", "mem+remote" (as its limits say), or "fdb": that of
 * the cluster file in ASHLAR_TEST_CLUSTER, or over the stand-in for FoundationDB's client (tests/kv/fdb),
 * which then injects failures. */
void site_open(struct site *s, const char *spec);
/* Makes a new one in its place. */
void site_format(struct site *s);
/* Checks it and closes it; all mounts are closed. */
void site_close(struct site *s);
void site_check(struct site *s, struct maint_check_result *ret);

/* 0, or with opts->text the error. */
int mount_open(struct mount *m, struct site *s, const struct mount_opts *opts);
/* As umount does it. Asserts that it worked, unless the mount was evicted. */
void mount_close(struct mount *m);
/* As a crash: nothing of it reaches the store any more, and its entry stays. */
void mount_crash(struct mount *m);

/* Faults of the stand-in for FoundationDB's client, which the backend has loaded; a real client has none. */
void site_standin_faults(bool on);

/* A fingerprint of everything in the store. */
uint64_t site_sum(struct site *s);

#endif
