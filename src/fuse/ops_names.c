/* Operations on names. Replies with an entry hand the kernel a reference, which FORGET gives back. */
#include "format/format.h"
#include "fuse/ops.h"

static void reply_new_entry(const struct af_req *r, int result, const struct fs_attr *attr)
{
        if (result < 0)
                af_reply_err(r, result);
        else
                af_reply_entry(r, attr);
}

void af_op_lookup(const struct af_req *r, uint64_t dir, struct slice name)
{
        struct fs_attr attr;
        int result = fs_lookup(r->core->fs, dir, name, &attr);

        if (result == -ENOENT)
                af_reply_no_entry(r);
        else
                reply_new_entry(r, result, &attr);
}

void af_op_forget(struct af_core *core, uint64_t ino, uint64_t n)
{
        fs_forget(core->fs, ino, n);
}

void af_op_mknod(const struct af_req *r, uint64_t dir, struct slice name, uint32_t mode, uint64_t rdev)
{
        struct fs_attr attr;
        int result = fs_mknod(r->core->fs, &r->cred, dir, name, mode, rdev, &attr);

        reply_new_entry(r, result, &attr);
}

void af_op_create(const struct af_req *r, uint64_t dir, struct slice name, uint32_t mode)
{
        struct fs_attr attr;
        int result = fs_mknod(r->core->fs, &r->cred, dir, name, S_IFREG | (mode & 07777), 0, &attr);

        if (result < 0)
                af_reply_err(r, result);
        else
                af_reply_created(r, &attr, 0);
}

void af_op_tmpfile(const struct af_req *r, uint64_t dir, uint32_t mode)
{
        struct fs_attr attr;
        int result = fs_tmpfile(r->core->fs, &r->cred, dir, mode, &attr);

        if (result < 0)
                af_reply_err(r, result);
        else
                af_reply_created(r, &attr, 0);
}

void af_op_mkdir(const struct af_req *r, uint64_t dir, struct slice name, uint32_t mode)
{
        struct fs_attr attr;
        int result = fs_mkdir(r->core->fs, &r->cred, dir, name, mode & 07777, &attr);

        reply_new_entry(r, result, &attr);
}

void af_op_symlink(const struct af_req *r, uint64_t dir, struct slice name, struct slice target)
{
        struct fs_attr attr;
        int result = fs_symlink(r->core->fs, &r->cred, dir, name, target, &attr);

        reply_new_entry(r, result, &attr);
}

void af_op_link(const struct af_req *r, uint64_t ino, uint64_t dir, struct slice name)
{
        struct fs_attr attr;
        int result = fs_link(r->core->fs, ino, dir, name, &attr);

        reply_new_entry(r, result, &attr);
}

void af_op_unlink(const struct af_req *r, uint64_t dir, struct slice name)
{
        af_reply_result(r, fs_unlink(r->core->fs, dir, name));
}

void af_op_rmdir(const struct af_req *r, uint64_t dir, struct slice name)
{
        af_reply_result(r, fs_rmdir(r->core->fs, dir, name));
}

void af_op_rename(const struct af_req *r, uint64_t dir, struct slice name, uint64_t new_dir,
                  struct slice new_name, unsigned flags)
{
        af_reply_result(r, fs_rename(r->core->fs, dir, name, new_dir, new_name, flags));
}

void af_op_readlink(const struct af_req *r, uint64_t ino)
{
        char target[FMT_SYMLINK_MAX + 1];
        int len = fs_readlink(r->core->fs, ino, target);

        if (len < 0)
                af_reply_err(r, len);
        else
                af_reply_data(r, target, (size_t)len);
}
