/* SPDX-License-Identifier: MIT */
#include "fuse/mountpoint/mountinfo.h"

#include "base/cleanup.h"
#include "fuse/mountpoint/mountpoint.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

void fuse_mountinfo_clear(struct fuse_mountinfo *m)
{
        free(m->target);
        free(m->type);
        free(m->source);
        *m = (struct fuse_mountinfo){ 0 };
}

static bool is_octal(const char *s)
{
        for (int i = 0; i < 3; i++)
                if (s[i] < '0' || s[i] > '7')
                        return false;
        return true;
}

/* Replaces, in place, the kernel's octal escapes of blanks and backslashes. */
static void unescape(char *s)
{
        char *out = s;

        while (*s) {
                if (*s == '\\' && is_octal(s + 1)) {
                        *out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
                        s += 4;
                } else {
                        *out++ = *s++;
                }
        }
        *out = '\0';
}

/* Flags of the file system, which all its mounts have. */
#define SUPER_FLAGS (MS_RDONLY | MS_SYNCHRONOUS | MS_DIRSYNC)

static unsigned long parse_flags(const char *options)
{
        static const struct {
                const char *name;
                unsigned long flag;
        } flags[] = {
                { "ro", MS_RDONLY },       { "nosuid", MS_NOSUID },     { "nodev", MS_NODEV },
                { "noexec", MS_NOEXEC },   { "sync", MS_SYNCHRONOUS },  { "dirsync", MS_DIRSYNC },
                { "noatime", MS_NOATIME }, { "relatime", MS_RELATIME },
        };
        unsigned long found = 0;

        while (*options) {
                size_t len = strcspn(options, ",");

                for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
                        if (len == strlen(flags[i].name) && memcmp(options, flags[i].name, len) == 0)
                                found |= flags[i].flag;
                options += options[len] ? len + 1 : len;
        }
        return found & (MS_NOATIME | MS_RELATIME) ? found : found | MS_STRICTATIME;
}

/* Fields of a line: id, parent, major:minor, root, target, options, tags, "-", type, source, options of
 * the file system. */
static int parse_line(char *line, struct fuse_mountinfo *ret)
{
        char *save, *word[6], *tail = strstr(line, " - "), *type, *source, *options, *user;
        unsigned device[2];

        if (!tail)
                return -EINVAL;
        *tail = '\0';
        word[0] = strtok_r(line, " \n", &save);
        for (int i = 1; i < 6; i++)
                if (!(word[i] = strtok_r(NULL, " \n", &save)))
                        return -EINVAL;
        type = strtok_r(tail + 3, " \n", &save);
        source = strtok_r(NULL, " \n", &save);
        options = strtok_r(NULL, " \n", &save);
        if (!type || !source || sscanf(word[2], "%u:%u", &device[0], &device[1]) != 2)
                return -EINVAL;
        user = options ? strstr(options, "user_id=") : NULL;
        *ret = (struct fuse_mountinfo){
                .flags = parse_flags(word[5]) | (options ? parse_flags(options) & SUPER_FLAGS : 0),
                .owner = user ? (unsigned)strtoul(user + strlen("user_id="), NULL, 10) : 0,
                .dev = makedev(device[0], device[1]),
                .target = word[4],
                .type = type,
                .source = source,
        };
        unescape(ret->target);
        unescape(ret->type);
        unescape(ret->source);
        return 0;
}

int fuse_mountinfo_each(fuse_mountinfo_fn fn, void *arg)
{
        _cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
        _cleanup_free_ char *line = NULL;
        size_t cap = 0;
        int r = 0;

        if (!f)
                return -errno;
        while (r == 0 && getline(&line, &cap, f) > 0) {
                struct fuse_mountinfo m;

                if (parse_line(line, &m) == 0)
                        r = fn(&m, arg);
        }
        return r;
}

struct lookup {
        const char *dir;
        struct fuse_mountinfo found;
};

/* The last mount at a path covers the others. */
static int match_target(const struct fuse_mountinfo *m, void *arg)
{
        struct lookup *l = arg;

        if (strcmp(m->target, l->dir) != 0)
                return 0;
        fuse_mountinfo_clear(&l->found);
        l->found = (struct fuse_mountinfo){
                .flags = m->flags,
                .owner = m->owner,
                .dev = m->dev,
                .target = strdup(m->target),
                .type = strdup(m->type),
                .source = strdup(m->source),
        };
        return l->found.target && l->found.type && l->found.source ? 0 : -ENOMEM;
}

int fuse_mountinfo_at(const char *dir, struct fuse_mountinfo *ret)
{
        struct lookup l = { .dir = dir };
        int r = fuse_mountinfo_each(match_target, &l);

        if (r == 0 && !l.found.target)
                r = -ENOENT;
        if (r < 0) {
                fuse_mountinfo_clear(&l.found);
                return r;
        }
        *ret = l.found;
        return 0;
}

bool fuse_mountinfo_is_ashlar(const struct fuse_mountinfo *m)
{
        return strcmp(m->type, FUSE_MOUNT_TYPE) == 0;
}
