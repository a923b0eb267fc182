/* SPDX-License-Identifier: MIT */
/* Power loss: records all changes of the store's file while transactions run, and builds states that a crash
 * can leave (powerloss_record.h). Each must open, have a sound structure, and hold exactly the state after
 * some prefix of the transactions, with all that were acknowledged as durable in it.
 *
 * ASHLAR_POWERLOSS_STATES: number of states (default 1500); ASHLAR_SEED: replays a run;
 * ASHLAR_POWERLOSS_STATE: only this one of them. The recording of the lmdb run follows from the seed; that of
 * the writebehind run also from how its threads were scheduled, so a failed state is kept as a file.
 */
#include "kv/layer/layer.h"
#include "kv/lmdb/internal.h"
#include "kv/open.h"
#include "powerloss_record.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYS      256u
#define LONG_KEYS 16u /* the last of them, all in one bucket */
#define KEY_BYTES 560u
#define VALUE_MAX 20000u

struct run {
        const char *name;
        char dir[64];
        char store[96];
        uint64_t seed;
        unsigned txns;
        bool writebehind;
        struct rng rng;
        struct kv_store *kv;
        uint64_t hash[KEYS]; /* of each pair; 0: absent */
        uint64_t *digests;   /* [n]: of the state after transaction n */
        uint64_t committed, durable;
};

/* Printed by die. */
static char replay_line[256];

static void on_crash(int sig)
{
        static const char what[] = "crashed in: ";
        ssize_t n = write(STDERR_FILENO, what, sizeof(what) - 1);

        n = write(STDERR_FILENO, replay_line, strlen(replay_line));
        signal(sig, SIG_DFL);
        raise(n < 0 ? SIGABRT : sig);
}

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        fprintf(stderr, "\n%s", replay_line);
        exit(1);
}

/* ---- the workload ------------------------------------------------------------------------------- */

/* Sorted by I. */
static struct slice key_of(unsigned i, uint8_t buf[KEY_BYTES])
{
        size_t len;

        if (i < KEYS - LONG_KEYS)
                return slice_of(buf, (size_t)snprintf((char *)buf, KEY_BYTES, "k%03u", i));
        memset(buf, 'l', KEY_BYTES);
        len = KEY_BYTES - 16;
        return slice_of(buf, len + (size_t)snprintf((char *)buf + len, 16, "%03u", i));
}

static uint64_t hash_bytes(uint64_t h, struct slice s)
{
        h = (h ^ s.len) * 0x100000001b3u;
        for (size_t i = 0; i < s.len; i++)
                h = (h ^ s.data[i]) * 0x100000001b3u;
        return h;
}

static uint64_t hash_pair(struct slice key, struct slice value)
{
        uint64_t h = hash_bytes(hash_bytes(0xcbf29ce484222325u, key), value);

        return h ? h : 1;
}

static const struct slice number_key = { (const uint8_t *)"t", 1 };

static void must(int r, const char *what)
{
        if (r < 0)
                die("%s: %s", what, err_str(r));
}

static void random_change(struct run *u, struct kv_txn *t)
{
        static uint8_t value[VALUE_MAX];
        unsigned i = (unsigned)rng_below(&u->rng, KEYS), to;
        uint8_t buf[2][KEY_BYTES];
        struct slice key = key_of(i, buf[0]);
        size_t len;

        switch (rng_below(&u->rng, 12)) {
        case 0:
                to = i + (unsigned)rng_below(&u->rng, KEYS - i);
                must(kv_clear_range(t, key, key_of(to, buf[1])), "clear_range");
                for (; i < to; i++)
                        u->hash[i] = 0;
                break;
        case 1:
        case 2:
        case 3:
                must(kv_clear(t, key), "clear");
                u->hash[i] = 0;
                break;
        default:
                len = rng_below(&u->rng, 6) == 0 ? rng_below(&u->rng, VALUE_MAX) : rng_below(&u->rng, 300);
                rng_fill(&u->rng, value, len);
                must(kv_set(t, key, slice_of(value, len)), "set");
                u->hash[i] = hash_pair(key, slice_of(value, len));
        }
}

static void run_txn(struct run *u)
{
        uint64_t n = u->committed + 1, digest = 0;
        unsigned changes = 1 + (unsigned)rng_below(&u->rng, rng_below(&u->rng, 8) == 0 ? 60 : 6);
        struct kv_txn *t;

        must(kv_begin(u->kv, KV_WRITE, &t), "begin");
        while (changes-- > 0)
                random_change(u, t);
        must(kv_set(t, number_key, slice_of(&n, sizeof(n))), "set");
        for (unsigned i = 0; i < KEYS; i++)
                digest += u->hash[i];
        u->digests[n] = digest;
        record_note(EVENT_STARTED, n);
        must(kv_commit(t), "commit");
        kv_end(t);
        u->committed = n;
        if (u->writebehind) {
                if (rng_below(&u->rng, 10) > 0)
                        return;
                must(kv_sync(u->kv), "sync");
        }
        record_note(EVENT_DURABLE, n);
}

static void open_stack(struct run *u, unsigned flags)
{
        struct kv_open_opts opts = { .flags = flags | KV_OPEN_EXCLUSIVE };
        struct err_text text;
        struct kv_store *below;

        if (kv_lmdb_open(u->store, &opts, &below, &text) < 0)
                die("%s", text.text);
        u->kv = below;
        if (u->writebehind) {
                struct kv_writebehind_opts wb = { .batch_bytes = 65536, .age_ms = 3 };

                must(kv_writebehind_open(below, &wb, &u->kv), "writebehind");
        }
}

static struct recording record(struct run *u)
{
        struct recording r;

        record_start();
        open_stack(u, KV_OPEN_CREATE);
        record_note(EVENT_DURABLE, 0);
        for (unsigned i = 0; i < u->txns; i++) {
                if (i == u->txns / 2) {
                        must(kv_close(u->kv), "close");
                        record_note(EVENT_DURABLE, u->committed);
                        open_stack(u, 0);
                }
                run_txn(u);
        }
        must(kv_close(u->kv), "close");
        record_note(EVENT_DURABLE, u->committed);
        r = record_stop();
        return r;
}

/* ---- checking states ---------------------------------------------------------------------------- */

static void write_image(const struct run *u, const struct crash_state *c)
{
        char path[128];
        size_t done = 0;
        int fd;

        snprintf(path, sizeof(path), "%s/data.mdb", u->store);
        unlink(path);
        snprintf(path, sizeof(path), "%s/data.mdb.new", u->store);
        unlink(path);
        if (c->renamed)
                snprintf(path, sizeof(path), "%s/data.mdb", u->store);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0)
                die("%s: %s", path, err_str(errno));
        while (done < c->size) {
                ssize_t n = pwrite(fd, c->bytes + done, c->size - done, (off_t)done);

                if (n <= 0)
                        die("%s: %s", path, err_str(errno));
                done += (size_t)n;
        }
        close(fd);
}

/* Reads all pairs. Their digest must be that of the last transaction, whose number is one of them. */
static void check_contents(const struct run *u, struct kv_store *s, const struct crash_state *c)
{
        struct kv_range_opts all = { .begin = slice_of("", 0), .end = slice_of("\xff", 1) };
        uint8_t last[KEY_BYTES];
        size_t last_len = 0;
        uint64_t number = 0, digest = 0;
        struct slice key, value;
        struct kv_range range;
        struct kv_txn *t;
        int n;

        must(kv_begin(s, KV_READ, &t), "begin");
        kv_range_start(t, &range, &all);
        while ((n = kv_range_next(&range, &key, &value)) > 0) {
                if (slice_cmp(slice_of(last, last_len), key) >= 0 || key.len > sizeof(last))
                        die("keys out of order");
                memcpy(last, key.data, key.len);
                last_len = key.len;
                if (!slice_eq(key, number_key))
                        digest += hash_pair(key, value);
                else if (value.len == sizeof(number))
                        memcpy(&number, value.data, sizeof(number));
        }
        must(n, "range");
        kv_range_end(&range);
        kv_end(t);
        if (number < c->durable)
                die("transaction %llu was durable, but the last one here is %llu",
                    (unsigned long long)c->durable, (unsigned long long)number);
        if (number > c->started)
                die("transaction %llu is there, but has not begun yet", (unsigned long long)number);
        if (digest != u->digests[number])
                die("the contents are not those after transaction %llu", (unsigned long long)number);
}

static void check_structure(const struct run *u)
{
        struct err_text text;
        char path[128];
        int fd;

        snprintf(path, sizeof(path), "%s/data.mdb", u->store);
        fd = open(path, O_RDONLY);
        if (fd < 0 || lmdb_check_file(fd, path, 0, &text) < 0)
                die("%s", fd < 0 ? err_str(errno) : text.text);
        close(fd);
}

/* The store still works. */
static void check_use(const struct run *u, struct kv_store *s)
{
        struct kv_txn *t;

        for (int i = 0; i < 3; i++) {
                uint8_t value[3000] = { (uint8_t)i };

                must(kv_begin(s, KV_WRITE, &t), "begin");
                must(kv_set(t, slice_str("k1"), slice_of(value, sizeof(value))), "set");
                must(kv_clear_range(t, slice_str("k2"), slice_str("l")), "clear_range");
                must(kv_commit(t), "commit");
                kv_end(t);
        }
        check_structure(u);
}

static void check_state(const struct run *u, const struct crash_state *c, struct rng *g)
{
        struct kv_open_opts opts = { .flags = KV_OPEN_EXCLUSIVE };
        struct err_text text;
        struct kv_store *s;
        int r;

        write_image(u, c);
        r = kv_lmdb_open(u->store, &opts, &s, &text);
        if (!c->renamed) {
                if (c->opened)
                        die("the store was made, but its name may be lost");
                if (r != -ENOENT)
                        die("%s instead of no store", err_str(r));
                opts.flags |= KV_OPEN_CREATE;
                r = kv_lmdb_open(u->store, &opts, &s, &text);
        }
        if (r < 0)
                die("cannot open: %s", text.text);
        check_contents(u, s, c);
        check_structure(u);
        if (rng_below(g, 16) == 0)
                check_use(u, s);
        must(kv_close(s), "close");
}

/* Checks COUNT states, numbered from FIRST, of points in time before event END, in order. */
static void check_states(const struct run *u, const struct recording *r, uint64_t first, uint64_t count,
                         size_t end)
{
        const char *only = getenv("ASHLAR_POWERLOSS_STATE");
        struct replay p = { 0 };

        for (uint64_t i = 0; i < count; i++) {
                struct crash_state c;
                struct rng g;

                if (only && strtoull(only, NULL, 0) != first + i)
                        continue;
                snprintf(replay_line, sizeof(replay_line),
                         "%s, state %llu: replay with ASHLAR_SEED=%llu "
                         "ASHLAR_POWERLOSS_STATE=%llu; the state is in %s\n",
                         u->name, (unsigned long long)(first + i), (unsigned long long)u->seed,
                         (unsigned long long)(first + i), u->store);
                rng_seed(&g, u->seed ^ (first + i + 1) * 0x9e3779b97f4a7c15u);
                replay_to(&p, r, i * (end + 1) / count);
                replay_crash(&p, &g, &c);
                check_state(u, &c, &g);
                free(c.bytes);
        }
        replay_free(&p);
}

static void remove_store(const struct run *u)
{
        static const char *const names[] = {
                "data.mdb", "data.mdb.new", "lock.mdb", "ashlar.lock", "ashlar.doorbell",
        };
        char path[128];

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                snprintf(path, sizeof(path), "%s/%s", u->store, names[i]);
                unlink(path);
        }
        rmdir(u->store);
        rmdir(u->dir);
}

static void run(const char *name, bool writebehind, unsigned txns, uint64_t states, uint64_t seed)
{
        const char *tmp = getenv("TMPDIR");
        struct run u = { .name = name, .writebehind = writebehind, .txns = txns, .seed = seed };
        struct recording r;
        size_t made = 0;

        snprintf(u.dir, sizeof(u.dir), "%s/ashlar-powerloss-XXXXXX", tmp ? tmp : "/tmp");
        if (!mkdtemp(u.dir))
                die("%s: %s", u.dir, err_str(errno));
        snprintf(u.store, sizeof(u.store), "%s/store", u.dir);
        snprintf(replay_line, sizeof(replay_line), "%s: replay with ASHLAR_SEED=%llu\n", name,
                 (unsigned long long)seed);
        u.digests = calloc(txns + 1, sizeof(*u.digests));
        assert(u.digests);
        rng_seed(&u.rng, seed);
        r = record(&u);
        while (r.events[made].kind != EVENT_DURABLE)
                made++;
        /* Making the store takes few events, so it has a separate number of states. */
        check_states(&u, &r, 0, states / 8, made);
        check_states(&u, &r, states / 8, states - states / 8, r.n);
        printf("%s: %llu states of %zu events, %u transactions: sound\n", name, (unsigned long long)states,
               r.n, txns);
        record_free(&r);
        free(u.digests);
        remove_store(&u);
}

int main(void)
{
        const char *states_env = getenv("ASHLAR_POWERLOSS_STATES"), *seed_env = getenv("ASHLAR_SEED");
        uint64_t states = states_env ? strtoull(states_env, NULL, 0) : 1500, seed;

        signal(SIGSEGV, on_crash);
        signal(SIGBUS, on_crash);
        signal(SIGABRT, on_crash);
        if (seed_env)
                seed = strtoull(seed_env, NULL, 0);
        else
                rng_system(&seed, sizeof(seed));
        printf("replay with ASHLAR_SEED=%llu\n", (unsigned long long)seed);
        run("lmdb", false, 200, states / 2, seed);
        run("writebehind", true, 1000, states - states / 2, seed);
        return 0;
}
