/* Waiting for something under a lock, as with a condition variable, but only as long as the thread's
 * patience lasts (kv.h). Without a patience: for ever. */
#ifndef FS_WAITLIST_H
#define FS_WAITLIST_H

#include "kv/kv.h"

#include <pthread.h>
#include <stdbool.h>

struct fs_waiting;

/* Zeros: nobody waits. */
struct fs_waitlist {
        struct fs_waiting *first;
};

/* Waits, with LOCK released meanwhile. 0: woken; EINTR, ERR_AWAY: the patience is at its end. */
int fs_wait(struct fs_waitlist *l, pthread_mutex_t *lock);
/* Wakes all. Under the lock. */
void fs_wake(struct fs_waitlist *l);
/* Whether anybody waits. Under the lock. */
static inline bool fs_is_waited_for(const struct fs_waitlist *l)
{
        return l->first != NULL;
}

#endif
