/* SPDX-License-Identifier: MIT */
#include "kill_tree.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- trees -------------------------------------------------------------------------------------- */

static size_t position(const struct tree *t, const char *path)
{
        size_t i = 0;

        while (i < t->n && strcmp(t->entries[i].path, path) < 0)
                i++;
        return i;
}

static struct tree_entry *find(struct tree *t, const char *path)
{
        size_t i = position(t, path);

        return i < t->n && strcmp(t->entries[i].path, path) == 0 ? &t->entries[i] : NULL;
}

static struct tree_entry *add(struct tree *t, const char *path, mode_t mode)
{
        size_t i = position(t, path);

        assert(t->n < TREE_ENTRIES);
        memmove(&t->entries[i + 1], &t->entries[i], (t->n - i) * sizeof(t->entries[0]));
        t->n++;
        t->entries[i] = (struct tree_entry){ .mode = mode };
        strcpy(t->entries[i].path, path);
        return &t->entries[i];
}

static void drop(struct tree *t, struct tree_entry *e)
{
        free(e->data);
        t->n--;
        memmove(e, e + 1, (size_t)(&t->entries[t->n] - e) * sizeof(*e));
}

static void resize(struct tree_entry *e, size_t size)
{
        e->data = realloc(e->data, size + 1);
        assert(e->data);
        if (size > e->size)
                memset(e->data + e->size, 0, size - e->size);
        e->size = size;
        e->hash = 0;
}

void tree_clear(struct tree *t)
{
        while (t->n > 0)
                drop(t, &t->entries[t->n - 1]);
}

void tree_copy(struct tree *to, const struct tree *from)
{
        tree_clear(to);
        *to = *from;
        for (size_t i = 0; i < to->n; i++)
                if (from->entries[i].data) {
                        to->entries[i].data = malloc(from->entries[i].size + 1);
                        assert(to->entries[i].data);
                        memcpy(to->entries[i].data, from->entries[i].data, from->entries[i].size);
                }
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t len)
{
        const uint8_t *p = data;

        for (size_t i = 0; i < len; i++)
                hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
        return hash;
}

static uint64_t entry_hash(struct tree_entry *e)
{
        if (e->hash == 0)
                e->hash = hash_bytes(UINT64_C(0xcbf29ce484222325), e->data, e->size) | 1;
        return e->hash;
}

uint64_t tree_digest(struct tree *t)
{
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (size_t i = 0; i < t->n; i++) {
                struct tree_entry *e = &t->entries[i];
                uint64_t content = entry_hash(e), size = e->size;

                hash = hash_bytes(hash, e->path, strlen(e->path) + 1);
                hash = hash_bytes(hash, &e->mode, sizeof(e->mode));
                hash = hash_bytes(hash, &size, sizeof(size));
                hash = hash_bytes(hash, &content, sizeof(content));
        }
        return hash;
}

void tree_print_differences(struct tree *expected, struct tree *found)
{
        for (size_t i = 0; i < expected->n; i++) {
                struct tree_entry *e = &expected->entries[i], *f = find(found, e->path);

                if (!f)
                        fprintf(stderr, "  %s is missing\n", e->path);
                else if (f->mode != e->mode)
                        fprintf(stderr, "  %s has mode %o, not %o\n", e->path, f->mode, e->mode);
                else if (f->size != e->size)
                        fprintf(stderr, "  %s has %zu bytes, not %zu\n", e->path, f->size, e->size);
                else if (entry_hash(f) != entry_hash(e))
                        fprintf(stderr, "  %s has other bytes\n", e->path);
        }
        for (size_t i = 0; i < found->n; i++)
                if (!find(expected, found->entries[i].path))
                        fprintf(stderr, "  %s should not exist\n", found->entries[i].path);
}

/* ---- reading a directory ------------------------------------------------------------------------ */

static int load_content(struct tree_entry *e, const char *full)
{
        ssize_t n;
        int fd;

        if (S_ISLNK(e->mode)) {
                char target[TREE_PATH];

                n = readlink(full, target, sizeof(target));
                if (n < 0)
                        return -errno;
                resize(e, (size_t)n);
                memcpy(e->data, target, (size_t)n);
                return 0;
        }
        fd = open(full, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        resize(e, TREE_FILE + 1);
        n = pread(fd, e->data, e->size, 0);
        if (n >= 0)
                resize(e, (size_t)n);
        n = n < 0 ? -errno : 0;
        close(fd);
        return (int)n;
}

static int load_directory(struct tree *t, const char *dir, const char *prefix, char *where)
{
        char full[400];
        struct dirent *d;
        DIR *stream;
        int r = 0;

        snprintf(full, sizeof(full), "%s/%s", dir, prefix);
        stream = opendir(full);
        if (!stream)
                return -errno;
        while (r == 0 && (d = readdir(stream))) {
                char path[TREE_PATH];
                struct tree_entry *e;
                struct stat st;

                if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
                        continue;
                snprintf(path, sizeof(path), "%s%s%.20s", prefix, *prefix ? "/" : "", d->d_name);
                snprintf(full, sizeof(full), "%s/%s", dir, path);
                snprintf(where, 512, "%s", full);
                if (t->n == TREE_ENTRIES) {
                        r = -E2BIG;
                } else if (lstat(full, &st) < 0) {
                        r = -errno;
                } else {
                        e = add(t, path, st.st_mode);
                        r = S_ISDIR(st.st_mode) ? load_directory(t, dir, path, where) : load_content(e, full);
                }
        }
        closedir(stream);
        return r;
}

int tree_load(struct tree *t, const char *dir, char *where)
{
        tree_clear(t);
        snprintf(where, 512, "%s", dir);
        return load_directory(t, dir, "", where);
}

/* ---- operations --------------------------------------------------------------------------------- */

bool op_is_fsync(const struct op *op)
{
        return op->kind == OP_FSYNC_FILE || op->kind == OP_FSYNC_DIR;
}

void op_print(const struct op *op)
{
        static const char *const names[] = {
                "create", "mkdir",  "symlink", "write", "append", "truncate",
                "chmod",  "rename", "unlink",  "rmdir", "fsync",  "fsync of directory",
        };

        fprintf(stderr, "  %s %s %s offset %llu len %zu mode %o%s\n", names[op->kind], op->path, op->to,
                (unsigned long long)op->offset, op->len, op->mode, op->acked ? "" : " (in flight)");
}

/* A random entry of TYPE; NULL: there is none. */
static const struct tree_entry *some(const struct tree *t, struct rng *rng, mode_t type)
{
        for (int i = 0; i < 30 && t->n > 0; i++) {
                const struct tree_entry *e = &t->entries[rng_below(rng, t->n)];

                if ((e->mode & S_IFMT) == type)
                        return e;
        }
        return NULL;
}

/* Writes an unused path below DIR (NULL: at the top). */
static void free_path(const struct tree *t, struct rng *rng, const struct tree_entry *dir, char *path)
{
        do
                snprintf(path, TREE_PATH, "%.30s%sn%llu", dir ? dir->path : "", dir ? "/" : "",
                         (unsigned long long)rng_below(rng, 1000));
        while (find((struct tree *)t, path));
}

/* A directory at the top, or NULL, so that no path gets longer than two names. */
static const struct tree_entry *some_place(const struct tree *t, struct rng *rng)
{
        const struct tree_entry *dir = rng_below(rng, 2) ? some(t, rng, S_IFDIR) : NULL;

        return dir && !strchr(dir->path, '/') ? dir : NULL;
}

static bool has_children(const struct tree *t, const char *path)
{
        size_t n = strlen(path);

        for (size_t i = 0; i < t->n; i++)
                if (strncmp(t->entries[i].path, path, n) == 0 && t->entries[i].path[n] == '/')
                        return true;
        return false;
}

static void choose_rename(struct op *op, const struct tree *t, struct rng *rng)
{
        const struct tree_entry *from = &t->entries[rng_below(rng, t->n)], *to = some(t, rng, S_IFREG);

        op->kind = OP_RENAME;
        strcpy(op->path, from->path);
        if (S_ISDIR(from->mode))
                free_path(t, rng, NULL, op->to); /* a directory must not move into itself */
        else if (to && rng_below(rng, 2))
                strcpy(op->to, to->path);
        else
                free_path(t, rng, some_place(t, rng), op->to);
}

static void choose_new(struct op *op, const struct tree *t, struct rng *rng)
{
        static const enum op_kind kinds[] = {
                OP_CREATE, OP_CREATE, OP_CREATE, OP_CREATE, OP_MKDIR, OP_SYMLINK
        };

        op->kind = kinds[rng_below(rng, 6)];
        op->mode = op->kind == OP_MKDIR ? 0755 : 0644;
        strcpy(op->to, "where it points");
        free_path(t, rng, some_place(t, rng), op->path);
}

static void choose_file_op(struct op *op, const struct tree_entry *file, struct rng *rng)
{
        static const enum op_kind kinds[] = { OP_WRITE,  OP_WRITE,    OP_WRITE, OP_APPEND,
                                              OP_APPEND, OP_TRUNCATE, OP_CHMOD, OP_FSYNC_FILE };

        op->kind = kinds[rng_below(rng, 8)];
        strcpy(op->path, file->path);
        op->mode = (mode_t)(0600 + rng_below(rng, 0200));
        op->seed = rng_next(rng);
        op->len = 1 + (size_t)rng_below(rng, rng_below(rng, 4) ? 3000 : 32768);
        op->offset = rng_below(rng, file->size + 5000);
        if (op->offset + op->len > TREE_FILE)
                op->offset = 0;
        if (op->kind == OP_APPEND) {
                op->offset = file->size;
                if (op->offset + op->len > TREE_FILE)
                        op->kind = OP_TRUNCATE;
        }
}

void op_choose(struct op *op, const struct tree *t, struct rng *rng)
{
        uint64_t dice = rng_below(rng, 100);
        const struct tree_entry *file = some(t, rng, S_IFREG), *dir = some(t, rng, S_IFDIR);

        *op = (struct op){ .kind = OP_FSYNC_DIR };
        if (t->n < 10 || (dice < 20 && t->n + 2 < TREE_ENTRIES)) {
                choose_new(op, t, rng);
        } else if (dice < 32 || t->n + 2 >= TREE_ENTRIES) {
                const struct tree_entry *e = &t->entries[rng_below(rng, t->n)];

                strcpy(op->path, e->path);
                if (!S_ISDIR(e->mode))
                        op->kind = OP_UNLINK;
                else if (!has_children(t, e->path))
                        op->kind = OP_RMDIR;
                else
                        choose_rename(op, t, rng);
        } else if (dice < 42) {
                choose_rename(op, t, rng);
        } else if (dice < 43 && dir) {
                strcpy(op->path, dir->path);
        } else if (file) {
                choose_file_op(op, file, rng);
        }
}

#define PAGE 4096u

size_t op_split(const struct op *op, struct op *parts)
{
        size_t n = 0, done = 0;

        if (op->kind != OP_WRITE && op->kind != OP_APPEND) {
                parts[0] = *op;
                return 1;
        }
        while (done < op->len) {
                size_t left = PAGE - (op->offset + done) % PAGE;

                assert(n < OP_PARTS);
                parts[n] = *op;
                parts[n].offset = op->offset + done;
                parts[n].skip = done;
                parts[n].len = op->len - done < left ? op->len - done : left;
                done += parts[n++].len;
        }
        return n;
}

static void fill(const struct op *op, uint8_t *data)
{
        static _Thread_local uint8_t whole[TREE_FILE];
        struct rng rng;

        rng_seed(&rng, op->seed);
        rng_fill(&rng, whole, op->skip + op->len);
        memcpy(data, whole + op->skip, op->len);
}

static void apply_rename(const struct op *op, struct tree *t)
{
        size_t n = strlen(op->path);
        struct tree_entry *over = find(t, op->to);
        struct tree old = *t;

        if (strcmp(op->path, op->to) == 0)
                return;
        if (over) {
                drop(t, over);
                old = *t;
        }
        /* Inserts all entries again under their new names. */
        t->n = 0;
        for (size_t i = 0; i < old.n; i++) {
                struct tree_entry *e = &old.entries[i], *added;
                bool moved = strncmp(e->path, op->path, n) == 0 && (e->path[n] == '\0' || e->path[n] == '/');
                char path[2 * TREE_PATH];

                snprintf(path, sizeof(path), "%s%s", moved ? op->to : e->path, moved ? e->path + n : "");
                assert(strlen(path) < TREE_PATH);
                added = add(t, path, e->mode);
                added->data = e->data;
                added->size = e->size;
                added->hash = e->hash;
        }
}

void op_apply(const struct op *op, struct tree *t)
{
        struct tree_entry *e = find(t, op->path);

        switch (op->kind) {
        case OP_CREATE:
                add(t, op->path, S_IFREG | op->mode);
                break;
        case OP_MKDIR:
                add(t, op->path, S_IFDIR | op->mode);
                break;
        case OP_SYMLINK:
                e = add(t, op->path, S_IFLNK | 0777);
                resize(e, strlen(op->to));
                memcpy(e->data, op->to, e->size);
                break;
        case OP_WRITE:
        case OP_APPEND:
                if (op->offset + op->len > e->size)
                        resize(e, op->offset + op->len);
                fill(op, e->data + op->offset);
                e->hash = 0;
                break;
        case OP_TRUNCATE:
                resize(e, op->offset);
                break;
        case OP_CHMOD:
                e->mode = (e->mode & S_IFMT) | op->mode;
                break;
        case OP_RENAME:
                apply_rename(op, t);
                break;
        case OP_UNLINK:
        case OP_RMDIR:
                drop(t, e);
                break;
        case OP_FSYNC_FILE:
        case OP_FSYNC_DIR:
                break;
        }
}

/* ---- the same on a mount ------------------------------------------------------------------------ */

static int with_fd(const struct op *op, const char *full)
{
        static _Thread_local uint8_t data[TREE_FILE];
        int flags = op->kind == OP_CREATE      ? O_WRONLY | O_CREAT | O_EXCL
                    : op->kind == OP_APPEND    ? O_WRONLY | O_APPEND
                    : op->kind == OP_FSYNC_DIR ? O_RDONLY | O_DIRECTORY
                                               : O_WRONLY;
        int fd = open(full, flags | O_CLOEXEC, op->mode), r = 0;
        ssize_t n = 0;

        if (fd < 0)
                return -errno;
        fill(op, data);
        if (op->kind == OP_WRITE)
                n = pwrite(fd, data, op->len, (off_t)op->offset);
        else if (op->kind == OP_APPEND)
                n = write(fd, data, op->len);
        else if (op_is_fsync(op))
                r = fsync(fd);
        if (n < 0 || r < 0)
                r = -errno;
        else if ((op->kind == OP_WRITE || op->kind == OP_APPEND) && n != (ssize_t)op->len)
                r = -EIO;
        close(fd);
        return r;
}

int op_perform(const struct op *op, const char *dir)
{
        char full[400], to[400];
        int r = 0;

        snprintf(full, sizeof(full), "%s/%s", dir, op->path);
        snprintf(to, sizeof(to), "%s/%s", dir, op->to);
        switch (op->kind) {
        case OP_CREATE:
        case OP_WRITE:
        case OP_APPEND:
        case OP_FSYNC_FILE:
        case OP_FSYNC_DIR:
                return with_fd(op, full);
        case OP_MKDIR:
                r = mkdir(full, op->mode);
                break;
        case OP_SYMLINK:
                r = symlink(op->to, full);
                break;
        case OP_TRUNCATE:
                r = truncate(full, (off_t)op->offset);
                break;
        case OP_CHMOD:
                r = chmod(full, op->mode);
                break;
        case OP_RENAME:
                r = rename(full, to);
                break;
        case OP_UNLINK:
                r = unlink(full);
                break;
        case OP_RMDIR:
                r = rmdir(full);
                break;
        }
        return r < 0 ? -errno : 0;
}
