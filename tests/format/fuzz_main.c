/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target where there is no libFuzzer: every file of a corpus as it is, then seeded mutations of
 * them.
 * usage: fuzz_TARGET CORPUS-DIRECTORY. ASHLAR_FUZZ_ROUNDS sets the number of mutations. */
#include "base/cleanup.h"
#include "fuzz.h"
#include "seed.h"

#include <dirent.h>
#include <stdbool.h>
#include <string.h>

#define INPUT_MAX 8192u

struct input {
        size_t len;
        uint8_t data[INPUT_MAX];
};

struct corpus {
        size_t count;
        struct input *inputs;
};

/* In memory of exactly its size, so that a sanitizer sees a read beyond it. */
static void run(const struct input *in)
{
        _cleanup_free_ uint8_t *copy = malloc(in->len ? in->len : 1);

        if (!copy)
                abort();
        memcpy(copy, in->data, in->len);
        LLVMFuzzerTestOneInput(copy, in->len);
}

static int is_seed(const struct dirent *d)
{
        return d->d_name[0] != '.';
}

static bool read_input(const char *directory, const char *name, struct input *ret)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_fclose_ FILE *f = NULL;

        if (asprintf(&path, "%s/%s", directory, name) < 0)
                abort();
        f = fopen(path, "re");
        if (!f)
                return false;
        ret->len = fread(ret->data, 1, sizeof(ret->data), f);
        return !ferror(f);
}

/* In order of their names, so that a seed means the same everywhere. */
static bool read_corpus(const char *directory, struct corpus *ret)
{
        struct dirent **names;
        int n = scandir(directory, &names, is_seed, alphasort);
        bool ok = n > 0;

        if (n < 0)
                return false;
        ret->count = (size_t)n;
        ret->inputs = calloc(ret->count, sizeof(*ret->inputs));
        for (int i = 0; i < n; i++) {
                ok = ok && ret->inputs && read_input(directory, names[i]->d_name, &ret->inputs[i]);
                free(names[i]);
        }
        free(names);
        return ok;
}

static void insert(struct rng *r, struct input *in)
{
        size_t at = rng_below(r, in->len + 1), n = 1 + rng_below(r, 16);

        if (n > INPUT_MAX - in->len)
                return;
        memmove(in->data + at + n, in->data + at, in->len - at);
        rng_fill(r, in->data + at, n);
        in->len += n;
}

static void cut(struct rng *r, struct input *in)
{
        size_t at = rng_below(r, in->len + 1), n = rng_below(r, in->len - at + 1);

        memmove(in->data + at, in->data + at + n, in->len - at - n);
        in->len -= n;
}

/* The rest of another input from a random position on. */
static void splice(struct rng *r, struct input *in, const struct input *other)
{
        size_t at = rng_below(r, in->len + 1), from = rng_below(r, other->len + 1), n = other->len - from;

        if (n > INPUT_MAX - at)
                n = INPUT_MAX - at;
        memcpy(in->data + at, other->data + from, n);
        in->len = at + n;
}

static void mutate(struct rng *r, struct input *in, const struct corpus *c)
{
        static const uint8_t special[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
        size_t at = in->len > 0 ? rng_below(r, in->len) : 0;

        switch (rng_below(r, 6)) {
        case 0:
                in->data[at] ^= (uint8_t)(1u << rng_below(r, 8));
                return;
        case 1:
                in->data[at] = (uint8_t)rng_next(r);
                return;
        case 2:
                in->data[at] = special[rng_below(r, sizeof(special))];
                return;
        case 3:
                insert(r, in);
                return;
        case 4:
                cut(r, in);
                return;
        case 5:
                splice(r, in, &c->inputs[rng_below(r, c->count)]);
                return;
        }
}

int main(int argc, char **argv)
{
        const char *given = getenv("ASHLAR_FUZZ_ROUNDS");
        unsigned long rounds = given ? strtoul(given, NULL, 0) : 200000;
        struct corpus c = { 0 };
        struct rng r;

        if (argc != 2 || !read_corpus(argv[1], &c)) {
                fprintf(stderr, "usage: %s CORPUS-DIRECTORY\n", argv[0]);
                return 2;
        }
        test_seed(&r, argv[0]);
        for (size_t i = 0; i < c.count; i++)
                run(&c.inputs[i]);
        for (unsigned long n = 0; n < rounds; n++) {
                struct input in = c.inputs[rng_below(&r, c.count)];

                for (uint64_t m = 1 + rng_below(&r, 4); m > 0; m--)
                        mutate(&r, &in, &c);
                run(&in);
        }
        free(c.inputs);
        return 0;
}
