#include "fs/waitlist.h"

struct fs_waiting {
        struct fs_waiting *next;
        struct kv_waiter waiter;
        bool woken;
};

int fs_wait(struct fs_waitlist *l, pthread_mutex_t *lock)
{
        struct fs_waiting w = { .next = l->first };
        int r;

        kv_waiter_init(&w.waiter);
        l->first = &w;
        pthread_mutex_unlock(lock);
        r = kv_waiter_wait(&w.waiter, KV_WAIT_CANCELLED);
        pthread_mutex_lock(lock);
        if (w.woken) {
                /* What wakes a thread must not be left for its next wait. */
                if (r < 0)
                        kv_waiter_wait(&w.waiter, KV_WAIT_NOTHING);
                return 0;
        }
        for (struct fs_waiting **at = &l->first; *at; at = &(*at)->next)
                if (*at == &w) {
                        *at = w.next;
                        break;
                }
        return r;
}

void fs_wake(struct fs_waitlist *l)
{
        struct fs_waiting *w = l->first;

        /* They stay where they are until they have the lock. */
        for (l->first = NULL; w; w = w->next) {
                w->woken = true;
                kv_waiter_wake(&w->waiter);
        }
}
