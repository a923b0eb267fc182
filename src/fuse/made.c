#include "made.h"

#include "clock.h"

#include <pthread.h>
#include <stdlib.h>

/* Threads that make files at the same time; of two that share a place one has to read. */
#define PLACES 256u

/* The kernel asks at once. Should one ever not ask at all, this bounds how old an answer can be. */
#define MOMENT_NS UINT64_C(20000000)

struct made {
        pid_t pid; /* 0: none */
        uint64_t at_ns;
        struct fs_attr attr;
};

struct af_made {
        pthread_mutex_t lock;
        struct made places[PLACES];
};

struct af_made *af_made_new(void)
{
        struct af_made *m = calloc(1, sizeof(*m));

        if (m)
                pthread_mutex_init(&m->lock, NULL);
        return m;
}

void af_made_free(struct af_made *m)
{
        if (!m)
                return;
        pthread_mutex_destroy(&m->lock);
        free(m);
}

static uint64_t now_ns(void)
{
        return clock_system.monotonic_ns(&clock_system);
}

void af_made_note(struct af_made *m, pid_t pid, const struct fs_attr *attr)
{
        if (!m || pid == 0)
                return;
        pthread_mutex_lock(&m->lock);
        m->places[(unsigned)pid % PLACES] = (struct made){ .pid = pid, .at_ns = now_ns(), .attr = *attr };
        pthread_mutex_unlock(&m->lock);
}

bool af_made_take(struct af_made *m, pid_t pid, uint64_t ino, struct fs_attr *ret)
{
        struct made *place;
        bool taken;

        if (!m || pid == 0)
                return false;
        place = &m->places[(unsigned)pid % PLACES];
        pthread_mutex_lock(&m->lock);
        taken = place->pid == pid && place->attr.ino == ino && now_ns() - place->at_ns < MOMENT_NS;
        if (taken)
                *ret = place->attr;
        if (place->pid == pid)
                place->pid = 0;
        pthread_mutex_unlock(&m->lock);
        return taken;
}
