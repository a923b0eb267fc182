/* SPDX-License-Identifier: MIT */
#include "kv/testing/mem/watch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct watched_key {
        struct mem_node node;
        struct list_link watches;
        uint8_t bytes[];
};

void mem_watches_init(struct mem_watches *w, struct lock *lock, size_t max)
{
        *w = (struct mem_watches){ .lock = lock, .max = max };
        mem_tree_init(&w->keys);
        list_init(&w->queue);
        pthread_cond_init(&w->work, NULL);
        pthread_cond_init(&w->fired, NULL);
}

void mem_watches_stop(struct mem_watches *w)
{
        assert(w->allocated == 0);
        if (w->started) {
                lock_acquire(w->lock);
                w->stopping = true;
                pthread_cond_signal(&w->work);
                lock_release(w->lock);
                pthread_join(w->thread, NULL);
        }
        pthread_cond_destroy(&w->work);
        pthread_cond_destroy(&w->fired);
}

static void *fire_loop(void *arg)
{
        struct mem_watches *w = arg;
        LOCK_GUARD(w->lock);

        while (!w->stopping) {
                struct mem_watch *watch = list_pop(&w->queue, struct mem_watch, link);

                if (!watch) {
                        lock_wait(w->lock, &w->work);
                        continue;
                }
                watch->state = MEM_WATCH_FIRING;
                lock_release(w->lock);
                watch->fn(watch->err, watch->arg);
                lock_acquire(w->lock);
                watch->state = MEM_WATCH_FIRED;
                pthread_cond_broadcast(&w->fired);
        }
        return NULL;
}

static int start_thread(struct mem_watches *w)
{
        int r = w->started ? 0 : pthread_create(&w->thread, NULL, fire_loop, w);

        if (r == 0)
                w->started = true;
        return -r;
}

static bool sees_change(const struct mem_watch *watch, const struct mem_version *version)
{
        if (!version)
                return !watch->absent;
        return watch->absent || !slice_eq(watch->value, slice_of(version->data, version->len));
}

int mem_watch_new_locked(struct mem_watches *w, struct slice key, const struct mem_version *version,
                         kv_watch_fn fn, void *arg, struct list_link *pending, struct mem_watch **ret)
{
        size_t value_len = version ? version->len : 0;
        struct mem_watch *watch;
        int r;

        lock_assert_held(w->lock);
        if (w->count >= w->max)
                return -EMFILE;
        r = start_thread(w);
        if (r < 0)
                return r;
        watch = malloc(sizeof(*watch) + key.len + value_len);
        if (!watch)
                return -ENOMEM;
        *watch = (struct mem_watch){
                .state = MEM_WATCH_PENDING,
                .fn = fn,
                .arg = arg,
                .absent = !version,
                .key = slice_of(watch->bytes, key.len),
                .value = slice_of(watch->bytes + key.len, value_len),
        };
        if (key.len > 0)
                memcpy(watch->bytes, key.data, key.len);
        if (version)
                memcpy(watch->bytes + key.len, version->data, value_len);
        list_append(pending, &watch->link);
        w->count++;
        w->allocated++;
        *ret = watch;
        return 0;
}

static struct watched_key *watched_key_for(struct mem_watches *w, struct slice key)
{
        struct watched_key *k = (struct watched_key *)mem_tree_find(&w->keys, key);

        if (k)
                return k;
        k = malloc(sizeof(*k) + key.len);
        if (!k)
                return NULL;
        k->node.key = slice_of(k->bytes, key.len);
        if (key.len > 0)
                memcpy(k->bytes, key.data, key.len);
        list_init(&k->watches);
        mem_tree_insert(&w->keys, &k->node);
        return k;
}

/* Removes an armed watch from its key. */
static void disarm(struct mem_watches *w, struct mem_watch *watch)
{
        struct watched_key *k = (struct watched_key *)mem_tree_find(&w->keys, watch->key);

        list_remove(&watch->link);
        if (list_empty(&k->watches)) {
                mem_tree_remove(&w->keys, &k->node);
                free(k);
        }
}

void mem_watch_arm_locked(struct mem_watches *w, struct mem_watch *watch, const struct mem_version *version)
{
        struct watched_key *k;

        lock_assert_held(w->lock);
        assert(watch->state == MEM_WATCH_PENDING);
        k = sees_change(watch, version) ? NULL : watched_key_for(w, watch->key);
        if (!k) {
                /* The value has changed; or there is no memory, and a spurious call is allowed. */
                mem_watch_fire_locked(w, watch, 0);
                return;
        }
        list_remove(&watch->link);
        list_append(&k->watches, &watch->link);
        watch->state = MEM_WATCH_ARMED;
}

void mem_watch_fire_locked(struct mem_watches *w, struct mem_watch *watch, int err)
{
        lock_assert_held(w->lock);
        assert(watch->state == MEM_WATCH_PENDING || watch->state == MEM_WATCH_ARMED);
        if (watch->state == MEM_WATCH_ARMED)
                disarm(w, watch);
        else
                list_remove(&watch->link);
        list_append(&w->queue, &watch->link);
        watch->state = MEM_WATCH_QUEUED;
        watch->err = err;
        w->count--;
        pthread_cond_signal(&w->work);
}

void mem_watches_check_locked(struct mem_watches *w, struct slice key, const struct mem_version *version)
{
        struct watched_key *k = (struct watched_key *)mem_tree_find(&w->keys, key);
        struct list_link *l, *next;
        bool more = k != NULL;

        lock_assert_held(w->lock);
        /* Firing the last watch frees K, so the end of the list is checked before. */
        for (l = k ? k->watches.next : NULL; more; l = next) {
                next = l->next;
                more = next != &k->watches;
                if (sees_change(mem_watch_of(l), version))
                        mem_watch_fire_locked(w, mem_watch_of(l), 0);
        }
}

void mem_watch_free_locked(struct mem_watches *w, struct mem_watch *watch)
{
        lock_assert_held(w->lock);
        while (watch->state == MEM_WATCH_FIRING)
                lock_wait(w->lock, &w->fired);
        switch (watch->state) {
        case MEM_WATCH_ARMED:
                disarm(w, watch);
                w->count--;
                break;
        case MEM_WATCH_PENDING:
                w->count--;
                list_remove(&watch->link);
                break;
        case MEM_WATCH_QUEUED:
                list_remove(&watch->link);
                break;
        case MEM_WATCH_FIRING:
        case MEM_WATCH_FIRED:
                break;
        }
        w->allocated--;
        free(watch);
}
