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
        ATIME,            /* value: enum fs_atime */
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
        REFUSE_REMOUNT,
};

/* A name that ends in '=' takes a value, one that ends in '*' is a prefix. */
static const struct option_word {
        const char *name;
        enum action action;
        unsigned long value;
} words[] = {
        { "rw", CLEAR_FLAG, MS_RDONLY },
        { "ro", SET_FLAG, MS_RDONLY },
        { "suid", ROOT_CLEARS_FLAG, MS_NOSUID },
        { "nosuid", SET_FLAG, MS_NOSUID },
        { "dev", ROOT_CLEARS_FLAG, MS_NODEV },
        { "nodev", SET_FLAG, MS_NODEV },
        { "exec", CLEAR_FLAG, MS_NOEXEC },
        { "noexec", SET_FLAG, MS_NOEXEC },
        { "async", CLEAR_FLAG, MS_SYNCHRONOUS },
        { "sync", SET_FLAG, MS_SYNCHRONOUS },
        { "dirsync", SET_FLAG, MS_DIRSYNC },
        { "relatime", ATIME, FS_RELATIME },
        { "atime", ATIME, FS_RELATIME },
        { "noatime", ATIME, FS_NOATIME },
        { "strictatime", ATIME, FS_STRICTATIME },
        { "allow_other", ALLOW_OTHER, 1 },
        { "noallow_other", ALLOW_OTHER, 0 },
        { "allow_root", ALLOW_ROOT, 0 },
        { "exclusive", MODE, MOUNT_EXCLUSIVE },
        { "shared", MODE, MOUNT_SHARED },
        { "timeout=", TIMEOUT, 0 },
        { "xattr", NOXATTR, 0 },
        { "noxattr", NOXATTR, 1 },
        { "writeback_cache", WRITEBACK, 1 },
        { "nowriteback_cache", WRITEBACK, 0 },
        { "transport=", TRANSPORT, 0 },
        { "uid=", FORCE_UID, 0 },
        { "gid=", FORCE_GID, 0 },
        { "debug", DEBUG, 0 },
        { "default_permissions", IGNORE, 0 }, /* always on */
        { "remount", REFUSE_REMOUNT, 0 },
        /* What mount(8), systemd and fstab say to one another. */
        { "defaults", IGNORE, 0 },
        { "auto", IGNORE, 0 },
        { "noauto", IGNORE, 0 },
        { "nofail", IGNORE, 0 },
        { "_netdev", IGNORE, 0 },
        { "user", IGNORE, 0 },
        { "user=", IGNORE, 0 },
        { "users", IGNORE, 0 },
        { "nouser", IGNORE, 0 },
        { "owner", IGNORE, 0 },
        { "group", IGNORE, 0 },
        { "nodiratime", IGNORE, 0 },
        { "diratime", IGNORE, 0 },
        { "comment=", IGNORE, 0 },
        { "x-*", IGNORE, 0 },
        { "X-*", IGNORE, 0 },
};

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

void mount_options_init(struct mount_options *o)
{
        const char *transport = getenv("ASHLAR_TRANSPORT");

        *o = (struct mount_options){
                .flags = MS_NOSUID | MS_NODEV,
                .allow_other = geteuid() == 0,
                .atime = FS_RELATIME,
        };
        if (transport)
                transport_by_name(transport, &o->af.transport);
}

bool mount_options_shared(const struct mount_options *o, const char *url)
{
        return o->mode == MOUNT_BY_STORE ? !store_url_is_local(url) : o->mode == MOUNT_SHARED;
}

/* Where the value of WORD begins if OPTION is such a word, else NULL. */
static const char *match(const struct option_word *option, const char *word)
{
        size_t n = strlen(option->name);
        char last = option->name[n - 1];

        if (last == '=')
                return strncmp(word, option->name, n) == 0 ? word + n : NULL;
        if (last == '*')
                return strncmp(word, option->name, n - 1) == 0 ? word + n - 1 : NULL;
        return strcmp(word, option->name) == 0 ? word + n : NULL;
}

/* A number below END. */
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

/* The largest number means "no change" to chown(2), so nobody has it. */
static int parse_id(const char *word, const char *value, uint32_t *ret, struct err_text *text)
{
        return parse_number(word, value, UINT32_MAX, ret, text);
}

static int apply(struct mount_options *o, const struct option_word *option, const char *word,
                 const char *value, struct err_text *text)
{
        switch (option->action) {
        case IGNORE:
                return 0;
        case SET_FLAG:
                o->flags |= option->value;
                return 0;
        case ROOT_CLEARS_FLAG:
                if (geteuid() != 0)
                        return err_set(text, EPERM, "only root can mount with option '%s'", word);
                o->flags &= ~option->value;
                return 0;
        case CLEAR_FLAG:
                o->flags &= ~option->value;
                return 0;
        case ATIME:
                o->atime = (enum fs_atime)option->value;
                return 0;
        case ALLOW_OTHER:
                o->allow_other = option->value;
                o->af.allow_root = false;
                return 0;
        case ALLOW_ROOT:
                /* To the kernel it is allow_other; the others are turned away when they ask. */
                o->allow_other = true;
                o->af.allow_root = true;
                return 0;
        case MODE:
                o->mode = (enum mount_mode)option->value;
                return 0;
        case TIMEOUT:
                return parse_number(word, value, TIMEOUT_END_S, &o->timeout_s, text);
        case NOXATTR:
                o->af.noxattr = option->value;
                return 0;
        case WRITEBACK:
                o->af.writeback_cache = option->value;
                return 0;
        case TRANSPORT:
                if (!transport_by_name(value, &o->af.transport))
                        return err_set(text, EINVAL,
                                       "mount option '%s': the value must be auto, uring or "
                                       "classic",
                                       word);
                return 0;
        case DEBUG:
                o->af.debug = true;
                return 0;
        case FORCE_UID:
                o->af.force_uid = true;
                return parse_id(word, value, &o->af.uid, text);
        case FORCE_GID:
                o->af.force_gid = true;
                return parse_id(word, value, &o->af.gid, text);
        case REFUSE_REMOUNT:
                return err_set(text, EINVAL, "cannot remount: unmount and mount again with other options");
        }
        abort();
}

static int parse_word(struct mount_options *o, const char *word, bool sloppy, struct err_text *text)
{
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
                const char *value = match(&words[i], word);

                if (value)
                        return apply(o, &words[i], word, value, text);
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
                r = parse_word(o, word, sloppy, text);
        return r;
}
