/* SPDX-License-Identifier: MIT */
/* 'd' inode name -> DirectoryEntry. */
#include "format/message.h"
#include "format/type.h"

#include <assert.h>

static bool dirent_valid(const struct fmt_dirent *d)
{
        return d->ino != 0 && fmt_type_known(d->type);
}

size_t fmt_dirent_encode(const struct fmt_dirent *d, uint8_t *out)
{
        Ashlar__DirectoryEntry m = ASHLAR__DIRECTORY_ENTRY__INIT;

        assert(dirent_valid(d));
        m.inode = d->ino;
        m.type = d->type;
        return fmt_message_pack(&m.base, FMT_DIRENT_MAX, out);
}

int fmt_dirent_decode(struct slice value, struct fmt_dirent *ret)
{
        struct fmt_scratch scratch;
        const Ashlar__DirectoryEntry *m =
                fmt_message_unpack(&ashlar__directory_entry__descriptor, value, FMT_SMALL_MAX, &scratch);
        struct fmt_dirent d;

        if (!m)
                return -ERR_CORRUPT;
        d = (struct fmt_dirent){ .ino = m->inode, .type = m->type };
        if (!dirent_valid(&d))
                return -ERR_CORRUPT;
        *ret = d;
        return 0;
}
