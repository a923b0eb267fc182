/* SPDX-License-Identifier: MIT */
/* A tree of small files: unpacked by tar, removed by rm, scanned by git. */
#include "bench.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* nftw passes its callback no argument of the caller; used while the program has one thread. */
static unsigned tree_counted;

static int count_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        tree_counted++;
        return 0;
}

int tree_load(struct bench *b, struct err_text *text)
{
        int r;

        tree_counted = 0;
        if (nftw(b->tree, count_one, 16, FTW_PHYS) < 0)
                return err_set(text, errno, "%s: %s", b->tree, strerror(errno));
        b->tree_files = tree_counted;
        b->tree_tar = memfd_create("tree.tar", MFD_CLOEXEC);
        if (b->tree_tar < 0)
                return err_set(text, errno, "memfd_create: %s", strerror(errno));
        r = bench_spawn((const char *[]){ "tar", "-C", b->tree, "-cf", "-", ".", NULL }, NULL, -1,
                        b->tree_tar);
        return r < 0 ? err_set(text, -r, "tar of %s failed", b->tree) : 0;
}

/* From memory, so that nothing but the writing is measured. */
static int unpack(struct bench *b, const char *dir)
{
        if (lseek(b->tree_tar, 0, SEEK_SET) < 0)
                return -errno;
        return bench_spawn((const char *[]){ "tar", "-xf", "-", NULL }, dir, b->tree_tar, -1);
}

int group_tree(struct pass *p)
{
        char dir[PATH_MAX + 16];
        struct cost begin;
        int r;

        snprintf(dir, sizeof(dir), "%s/tree", p->dir);
        if (mkdir(dir, 0755) < 0)
                return -errno;
        begin = pass_clock(p);
        r = unpack(p->b, dir);
        if (r < 0)
                return r;
        pass_record(p, ROW_UNTAR, p->b->tree_files, pass_clock_since(p, begin));
        r = target_settle(p->t);
        if (r < 0 || !pass_wants(p, ROW_RM))
                return r;
        begin = pass_clock(p);
        r = bench_spawn((const char *[]){ "rm", "-r", dir, NULL }, NULL, -1, -1);
        if (r == 0)
                pass_record(p, ROW_RM, p->b->tree_files, pass_clock_since(p, begin));
        return r;
}

static int git_status(const char *dir)
{
        return bench_spawn((const char *[]){ "git", "-c", "safe.directory=*", "status", "--porcelain", NULL },
                           dir, -1, -1);
}

/* A repository that stays for all rounds: making it costs more than scanning it. */
static int git_make(struct pass *p, const char *dir)
{
        static const char *const init[] = { "git", "init", "-q", NULL };
        static const char *const add[] = { "git", "-c", "core.autocrlf=false", "add", "-A", NULL };
        static const char *const commit[] = {
                "git",
                "-c",
                "user.name=bench",
                "-c",
                "user.email=bench@localhost",
                "-c",
                "gc.auto=0",
                "-c",
                "commit.gpgsign=false",
                "commit",
                "-q",
                "-m",
                "tree",
                NULL,
        };
        int r;

        if (p->b->git_ready[p->t->id])
                return 0;
        if (mkdir(dir, 0755) < 0)
                return -errno;
        r = unpack(p->b, dir);
        if (r == 0)
                r = bench_spawn(init, dir, -1, -1);
        if (r == 0)
                r = bench_spawn(add, dir, -1, -1);
        if (r == 0)
                r = bench_spawn(commit, dir, -1, -1);
        sleep(1); /* git does not trust the times of files changed within the last second */
        if (r == 0)
                r = git_status(dir);
        if (r == 0)
                p->b->git_ready[p->t->id] = true;
        return r < 0 ? r : target_settle(p->t);
}

int group_git(struct pass *p)
{
        char dir[PATH_MAX];
        _cleanup_close_ int fd = -1;
        struct cost begin;
        int r;

        if (snprintf(dir, sizeof(dir), "%s/git", p->t->dir) >= (int)sizeof(dir))
                return -ENAMETOOLONG;
        r = git_make(p, dir);
        if (r == 0 && p->b->can_drop && pass_wants(p, ROW_GIT_STATUS_COLD)) {
                fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                r = fd >= 0 ? target_make_cold(p->t, fd) : -errno;
                begin = pass_clock(p);
                if (r == 0)
                        r = git_status(dir);
                if (r == 0)
                        pass_record(p, ROW_GIT_STATUS_COLD, 1, pass_clock_since(p, begin));
        }
        if (r < 0 || !pass_wants(p, ROW_GIT_STATUS_WARM))
                return r;
        r = git_status(dir);
        begin = pass_clock(p);
        if (r == 0)
                r = git_status(dir);
        if (r == 0)
                pass_record(p, ROW_GIT_STATUS_WARM, 1, pass_clock_since(p, begin));
        return r;
}
