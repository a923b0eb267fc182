/* SPDX-License-Identifier: MIT */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err_text *t, int err, const char *format, ...)
{
        if (t) {
                va_list ap;

                va_start(ap, format);
                vsnprintf(t->text, sizeof(t->text), format, ap);
                va_end(ap);
        }
        return -err;
}

const char *err_str(int err)
{
        static _Thread_local char buf[128];

        if (err < 0)
                err = -err;
        switch (err) {
        case ERR_CONFLICT:
                return "transaction conflict";
        case ERR_UNKNOWN_RESULT:
                return "outcome of the commit unknown";
        case ERR_RETRY:
                return "store temporarily unavailable";
        case ERR_CORRUPT:
                return "damaged data in the store";
        case ERR_NEWER:
                return "written by a newer version of ashlar";
        case ERR_NO_FS:
                return "not an ashlar file system";
        case ERR_FENCED:
                return "this mount was evicted from its store";
        case ERR_AWAY:
                return "the store does not answer";
        default:
                return strerror_r(err, buf, sizeof(buf));
        }
}

int err_to_errno(int err)
{
        if (err < 0)
                err = -err;
        return err >= ERR_CONFLICT ? EIO : err;
}
