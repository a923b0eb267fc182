/* SPDX-License-Identifier: MIT */
/* Watches of a mem store: armed by commits, fired by a separate thread. The owner's lock protects them:
 * functions that end in _locked need it. */
#ifndef KV_TESTING_MEM_WATCH_H
#define KV_TESTING_MEM_WATCH_H

#include "base/list.h"
#include "base/lock.h"
#include "kv/engine.h"
#include "kv/testing/mem/versions.h"

enum mem_watch_state {
        MEM_WATCH_PENDING, /* its transaction has not committed */
        MEM_WATCH_ARMED,
        MEM_WATCH_QUEUED, /* to be fired */
        MEM_WATCH_FIRING,
        MEM_WATCH_FIRED,
};

struct mem_watch {
        struct kv_watch base;
        struct list_link link; /* in its transaction's list, its key's, or the queue */
        enum mem_watch_state state;
        kv_watch_fn fn;
        void *arg;
        int err;     /* handed to FN */
        bool absent; /* what the transaction saw: no value, or VALUE */
        struct slice key, value;
        uint8_t bytes[];
};

static inline struct mem_watch *mem_watch_of(struct list_link *l)
{
        return list_entry(l, struct mem_watch, link);
}

struct mem_watches {
        struct lock *lock;      /* the owner's */
        struct mem_tree keys;   /* of struct watched_key (watch.c) */
        struct list_link queue; /* to be fired */
        size_t count, max;      /* not fired yet */
        size_t allocated;
        pthread_cond_t work, fired;
        pthread_t thread; /* started with the first watch */
        bool started, stopping;
};

void mem_watches_init(struct mem_watches *w, struct lock *lock, size_t max);
/* Ends the thread. All watches must have been freed (asserted). Without the lock. */
void mem_watches_stop(struct mem_watches *w);

/* Makes a watch for a transaction that sees VERSION (NULL: absent) under KEY and appends it to the
 * transaction's list PENDING. EMFILE, ENOMEM, or the error of starting the thread. */
int mem_watch_new_locked(struct mem_watches *w, struct slice key, const struct mem_version *version,
                         kv_watch_fn fn, void *arg, struct list_link *pending, struct mem_watch **ret);
/* Frees the watch; waits for FN if it is running. */
void mem_watch_free_locked(struct mem_watches *w, struct mem_watch *watch);

/* After its transaction committed, when the store holds VERSION (NULL: absent): arms the watch, or fires
 * it. */
void mem_watch_arm_locked(struct mem_watches *w, struct mem_watch *watch, const struct mem_version *version);
/* Fires the watch with ERR. */
void mem_watch_fire_locked(struct mem_watches *w, struct mem_watch *watch, int err);
/* After KEY was written and holds VERSION (NULL: absent): fires its watches that saw another value. */
void mem_watches_check_locked(struct mem_watches *w, struct slice key, const struct mem_version *version);

#endif
