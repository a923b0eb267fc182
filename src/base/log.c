/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

/* Process-wide state: set before threads exist, only read afterwards. */
static enum log_target log_to = LOG_TARGET_STDERR;
static enum log_level log_max = LOG_LEVEL_INFO;

void log_setup(enum log_target target, enum log_level max_level)
{
        log_to = target;
        log_max = max_level;
        if (target == LOG_TARGET_SYSLOG)
                openlog("ashlar", LOG_PID, LOG_DAEMON);
}

void log_line(enum log_level level, const char *format, ...)
{
        static const int priority[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
        char line[1024];
        va_list ap;

        if (level > log_max)
                return;
        va_start(ap, format);
        vsnprintf(line, sizeof(line), format, ap);
        va_end(ap);
        if (log_to == LOG_TARGET_SYSLOG)
                syslog(priority[level], "%s", line);
        else
                fprintf(stderr, "ashlar: %s\n", line);
}
