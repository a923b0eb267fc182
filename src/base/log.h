/* SPDX-License-Identifier: MIT */
/* Logging for programs and for background threads, which have no caller to return an error to. Library code
 * never logs an error that it returns. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* stderr is the default; syslog's daemon facility is for a mount in the background. */
enum log_target { LOG_TARGET_STDERR, LOG_TARGET_SYSLOG };

/* Call once at start-up, before threads exist. */
void log_setup(enum log_target target, enum log_level max_level);

/* Logs one line; FORMAT has no final newline. Any thread. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
