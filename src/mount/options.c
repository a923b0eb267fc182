/* SPDX-License-Identifier: MIT */
#include "mount/options.h"

#include "base/cleanup.h"
#include "mount/store_url.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#define TIMEOUT_END_S 1000000u

enum action {
        IGNORE,
        SET_FLAG, /* value: MS_* */
        CLEAR_FLAG,
        ROOT_CLEARS_FLAG, /* as CLEAR_FLAG; refused for others than root */
        ATIME,            /* value: one of MOUNT_ATIME_FLAGS */
        ALLOW_OTHER,      /* value: 0 or 1 */
        ALLOW_ROOT,
        MODE, /* value: enum mount_mode */
        TIMEOUT,
        NOXATTR,
        WRITEBACK,
        TRANSPORT,
        DEBUG,
        FORCE_UID,
        FORCE_GID,
        REMOUNT,
};

/* All options, in the order of --help. */
static const struct mount_option {
        const char *name;
        const char *value_name; /* what --help calls its value; NULL: it takes none */
        enum action action;
        unsigned long value;
        const char *help; /* NULL: the option belongs to the one before */
} options[] = {
        { "rw", NULL, CLEAR_FLAG, MS_RDONLY, "writable (default) or read-only" },
        { "ro", NULL, SET_FLAG, MS_RDONLY },
        { "relatime", NULL, ATIME, MS_RELATIME,
          "when reading sets the time of last access: if it is older\n"
          "than the last change or a day (default), never, or always" },
        { "atime", NULL, ATIME, MS_RELATIME },
        { "noatime", NULL, ATIME, MS_NOATIME },
        { "strictatime", NULL, ATIME, MS_STRICTATIME },
        { "allow_other", NULL, ALLOW_OTHER, 1, "let other users in, or not (default: only if root mounts)" },
        { "noallow_other", NULL, ALLOW_OTHER, 0 },
        { "allow_root", NULL, ALLOW_ROOT, 0, "allow access to root and the mounting user" },
        { "suid", NULL, ROOT_CLEARS_FLAG, MS_NOSUID,
          "let set-user-ID programs have an effect (root only), or not" },
        { "nosuid", NULL, SET_FLAG, MS_NOSUID },
        { "dev", NULL, ROOT_CLEARS_FLAG, MS_NODEV, "let device files have an effect (root only), or not" },
        { "nodev", NULL, SET_FLAG, MS_NODEV },
        { "exec", NULL, CLEAR_FLAG, MS_NOEXEC, "programs can be run (default), or not" },
        { "noexec", NULL, SET_FLAG, MS_NOEXEC },
        { "sync", NULL, SET_FLAG, MS_SYNCHRONOUS, "as for any file system, see mount(8)" },
        { "async", NULL, CLEAR_FLAG, MS_SYNCHRONOUS },
        { "dirsync", NULL, SET_FLAG, MS_DIRSYNC },
        { "exclusive", NULL, MODE, MOUNT_EXCLUSIVE,
          "no other mount of the store (default for stores on this\n"
          "machine)" },
        { "shared", NULL, MODE, MOUNT_SHARED,
          "other mounts of the store are allowed (default for clusters)" },
        { "timeout", "SECONDS", TIMEOUT, 0,
          "how long a request waits for a cluster that is away, before\n"
          "EIO (default: 0, no limit)" },
        { "noxattr", NULL, NOXATTR, 1, "no extended attributes: faster; or with them (default)" },
        { "xattr", NULL, NOXATTR, 0 },
        { "writeback_cache", NULL, WRITEBACK, 1, "let the kernel buffer writes, or not (default)" },
        { "nowriteback_cache", NULL, WRITEBACK, 0 },
        { "transport", "auto|uring|classic", TRANSPORT, 0,
          "how requests come from the kernel: by rings (uring, faster),\n"
          "by /dev/fuse, or by rings where available (default)" },
        { "uid", "N", FORCE_UID, 0, "show every file as this user's or group's" },
        { "gid", "N", FORCE_GID, 0 },
        { "debug", NULL, DEBUG, 0, "log each request" },
        /* For mount(8), systemd and fstab. */
        { "defaults", NULL, IGNORE, 0, "accepted, without effect here" },
        { "default_permissions", NULL, IGNORE, 0 },
        { "auto", NULL, IGNORE, 0 },
        { "noauto", NULL, IGNORE, 0 },
        { "nofail", NULL, IGNORE, 0 },
        { "_netdev", NULL, IGNORE, 0 },
        { "user", NULL, IGNORE, 0, "the same" },
        { "user", "NAME", IGNORE, 0 },
        { "users", NULL, IGNORE, 0 },
        { "nouser", NULL, IGNORE, 0 },
        { "owner", NULL, IGNORE, 0 },
        { "group", NULL, IGNORE, 0 },
        { "diratime", NULL, IGNORE, 0 },
        { "nodiratime", NULL, IGNORE, 0 },
        { "comment", "TEXT", IGNORE, 0, "the same" },
        { "user_id", "N", IGNORE, 0 },
        { "group_id", "N", IGNORE, 0 },
        { "x-*", NULL, IGNORE, 0 }, /* these two are prefixes */
        { "X-*", NULL, IGNORE, 0 },
        { "remount", NULL, REMOUNT, 0,
          "change the options of a mount: rw, ro, those for access times,\n"
          "suid, dev, exec, sync, dirsync and their opposites (root only)" },
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static bool transport_by_name(const char *name, enum fuse_transport_kind *ret)
{
        static const char *const names[] = {
                [FUSE_TRANSPORT_AUTO] = "auto",
                [FUSE_TRANSPORT_URING] = "uring",
                [FUSE_TRANSPORT_CLASSIC] = "classic",
        };

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                if (strcmp(name, names[i]) == 0) {
                        *ret = (enum fuse_transport_kind)i;
                        return true;
                }
        }
        return false;
}

void mount_options_init(struct mount_options *o, bool helper)
{
        const char *transport = getenv("ASHLAR_TRANSPORT");
        bool root = geteuid() == 0;

        *o = (struct mount_options){
                .flags = MS_RELATIME | (helper && root ? 0 : MS_NOSUID | MS_NODEV),
                .allow_other = root,
        };
        if (transport)
                transport_by_name(transport, &o->fuse.transport);
}

enum fs_atime mount_flags_atime(unsigned long flags)
{
        if (flags & MS_NOATIME)
                return FS_NOATIME;
        return flags & MS_STRICTATIME ? FS_STRICTATIME : FS_RELATIME;
}

bool mount_options_shared(const struct mount_options *o, const char *url)
{
        return o->mode == MOUNT_BY_STORE ? !store_url_is_local(url) : o->mode == MOUNT_SHARED;
}

/* Returns the value of WORD (empty without one) if WORD is this option, else NULL. */
static const char *match(const struct mount_option *o, const char *word)
{
        size_t n = strlen(o->name);

        if (o->name[n - 1] == '*')
                return strncmp(word, o->name, n - 1) == 0 ? word + n - 1 : NULL;
        if (strncmp(word, o->name, n) != 0 || word[n] != (o->value_name ? '=' : '\0'))
                return NULL;
        return o->value_name ? word + n + 1 : word + n;
}

/* Parses a number below END. */
static int parse_number(const char *word, const char *value, unsigned long end, uint32_t *ret,
                        struct err_text *text)
{
        char *rest;
        unsigned long n;

        errno = 0;
        n = strtoul(value, &rest, 10);
        if (value[0] < '0' || value[0] > '9' || *rest || errno || n >= end)
                return err_set(text, EINVAL, "mount option '%s': the value must be a number below %lu", word,
                               end);
        *ret = (uint32_t)n;
        return 0;
}

/* The largest number means "no change" to chown(2), so no user has it. */
static int parse_id(const char *word, const char *value, uint32_t *ret, struct err_text *text)
{
        return parse_number(word, value, UINT32_MAX, ret, text);
}

static void set_flags(struct mount_options *o, unsigned long mask, unsigned long value)
{
        o->flags = (o->flags & ~mask) | value;
        o->given |= mask;
}

/* Applies an option that a remount can change. Returns 1 if it is another one. */
static int apply_flag(struct mount_options *o, const struct mount_option *option, struct err_text *text)
{
        switch (option->action) {
        case IGNORE:
                return 0;
        case REMOUNT:
                o->remount = true;
                return 0;
        case SET_FLAG:
                set_flags(o, option->value, option->value);
                return 0;
        case ROOT_CLEARS_FLAG:
                if (geteuid() != 0)
                        return err_set(text, EPERM, "only root can mount with option '%s'", option->name);
                set_flags(o, option->value, 0);
                return 0;
        case CLEAR_FLAG:
                set_flags(o, option->value, 0);
                return 0;
        case ATIME:
                set_flags(o, MOUNT_ATIME_FLAGS, option->value);
                return 0;
        default:
                return 1;
        }
}

static int apply(struct mount_options *o, const struct mount_option *option, const char *word,
                 const char *value, struct err_text *text)
{
        int r = apply_flag(o, option, text);

        if (r <= 0)
                return r;
        o->fixed = option->name;
        switch (option->action) {
        case ALLOW_OTHER:
                o->allow_other = option->value;
                o->fuse.allow_root = false;
                return 0;
        case ALLOW_ROOT:
                /* The kernel gets allow_other; requests of other users are refused (proto/conn.h). */
                o->allow_other = true;
                o->fuse.allow_root = true;
                return 0;
        case MODE:
                o->mode = (enum mount_mode)option->value;
                return 0;
        case TIMEOUT:
                return parse_number(word, value, TIMEOUT_END_S, &o->timeout_s, text);
        case NOXATTR:
                o->fuse.noxattr = option->value;
                return 0;
        case WRITEBACK:
                o->fuse.writeback_cache = option->value;
                return 0;
        case TRANSPORT:
                if (!transport_by_name(value, &o->fuse.transport))
                        return err_set(text, EINVAL,
                                       "mount option '%s': the value must be auto, uring or classic", word);
                return 0;
        case DEBUG:
                o->fuse.debug = true;
                return 0;
        case FORCE_UID:
                o->fuse.force_uid = true;
                return parse_id(word, value, &o->fuse.uid, text);
        case FORCE_GID:
                o->fuse.force_gid = true;
                return parse_id(word, value, &o->fuse.gid, text);
        default:
                abort(); /* of apply_flag */
        }
}

static int parse_option(struct mount_options *o, const char *word, bool sloppy, struct err_text *text)
{
        for (size_t i = 0; i < N_OPTIONS; i++) {
                const char *value = match(&options[i], word);

                if (value)
                        return apply(o, &options[i], word, value, text);
        }
        return sloppy ? 0 : err_set(text, EINVAL, "unknown mount option '%s'", word);
}

int mount_options_parse(struct mount_options *o, const char *list, bool sloppy, struct err_text *text)
{
        _cleanup_free_ char *copy = strdup(list);
        char *save, *word;
        int r = 0;

        if (!copy)
                return err_set(text, ENOMEM, "out of memory");
        for (word = strtok_r(copy, ",", &save); word && r >= 0; word = strtok_r(NULL, ",", &save))
                r = parse_option(o, word, sloppy, text);
        return r;
}

void mount_options_describe(void (*fn)(const char *names, const char *help, void *arg), void *arg)
{
        for (size_t i = 0; i < N_OPTIONS;) {
                const char *help = options[i].help;
                char names[160];
                int n = 0;

                do {
                        const struct mount_option *o = &options[i];

                        n += snprintf(names + n, sizeof(names) - (size_t)n, "%s%s%s%s", n > 0 ? ", " : "",
                                      o->name, o->value_name ? "=" : "", o->value_name ? o->value_name : "");
                } while (++i < N_OPTIONS && !options[i].help);
                fn(names, help, arg);
        }
}
