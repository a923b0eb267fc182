/* SPDX-License-Identifier: MIT */
/* Operations on extended attributes: which names are valid (xattr(7)), and which callers see them. The kernel
 * has checked permissions, and user.* against the type of the file; it does not filter lists. */
#include "base/cleanup.h"
#include "fuse/ops/caller.h"
#include "fuse/ops/ops.h"

#include <linux/capability.h>
#include <linux/limits.h>

#define TRUSTED "trusted."

/* A name is a namespace and a non-empty rest. ACLs are not implemented, and the kernel would rely on what
 * is stored as one, so system.* is refused with what is unknown. */
static int check_name(struct slice name)
{
        static const char *const namespaces[] = { "user.", TRUSTED, "security." };

        for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++) {
                struct slice prefix = slice_str(namespaces[i]);

                if (slice_starts_with(name, prefix))
                        return name.len > prefix.len ? 0 : -EINVAL;
        }
        return -EOPNOTSUPP;
}

void fuse_op_setxattr(const struct fuse_req *r, uint64_t ino, struct slice name, struct slice value,
                      int flags)
{
        int result = check_name(name);

        if (result >= 0)
                result = fs_setxattr(fuse_fs_of(r), ino, name, value, flags);
        fuse_reply_result(r, result);
}

void fuse_op_removexattr(const struct fuse_req *r, uint64_t ino, struct slice name)
{
        int result = check_name(name);

        if (result >= 0)
                result = fs_removexattr(fuse_fs_of(r), ino, name);
        fuse_reply_result(r, result);
}

static void reply_xattr(const struct fuse_req *r, int len, const char *buf, size_t cap)
{
        if (len < 0)
                fuse_reply_err(r, len);
        else if (cap == 0)
                fuse_reply_xattr_size(r, (size_t)len);
        else
                fuse_reply_data(r, buf, (size_t)len);
}

void fuse_op_getxattr(const struct fuse_req *r, uint64_t ino, struct slice name, size_t cap)
{
        _cleanup_free_ char *buf = NULL;
        int result = check_name(name);

        if (result < 0) {
                fuse_reply_err(r, result);
                return;
        }
        cap = cap < XATTR_SIZE_MAX ? cap : XATTR_SIZE_MAX;
        buf = malloc(cap > 0 ? cap : 1);
        if (!buf)
                fuse_reply_err(r, -ENOMEM);
        else
                reply_xattr(r, fs_getxattr(fuse_fs_of(r), ino, name, buf, cap), buf, cap);
}

/* Removes the names of trusted.* from LIST, of LEN bytes, if the caller may not see them. Returns the new
 * length. */
static int hide_trusted(const struct fuse_req *r, char *list, int len)
{
        bool asked = false;
        int kept = 0;

        for (int at = 0, n; at < len; at += n) {
                n = (int)strlen(list + at) + 1;
                if (strncmp(list + at, TRUSTED, strlen(TRUSTED)) == 0) {
                        if (!asked && fuse_caller_has(r, CAP_SYS_ADMIN))
                                return len;
                        asked = true;
                        continue;
                }
                memmove(list + kept, list + at, (size_t)n);
                kept += n;
        }
        return kept;
}

void fuse_op_listxattr(const struct fuse_req *r, uint64_t ino, size_t cap)
{
        /* The whole list, also for a caller with a smaller buffer: the length to report depends on what it
         * may see. */
        _cleanup_free_ char *list = malloc(XATTR_LIST_MAX);
        int len = list ? fs_listxattr(fuse_fs_of(r), ino, list, XATTR_LIST_MAX) : -ENOMEM;

        if (len > 0)
                len = hide_trusted(r, list, len);
        if (len >= 0 && cap > 0 && (size_t)len > cap)
                len = -ERANGE;
        reply_xattr(r, len, list, cap);
}
