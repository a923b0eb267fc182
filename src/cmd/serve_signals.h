/* SIGTERM, SIGINT and SIGHUP unmount. If the directory is in use, it is detached, so that nobody new
 * comes in, and those who have files open get a few seconds to end; a second signal cuts them off at
 * once. Either way the store is committed before the process ends.
 */
#ifndef CMD_SERVE_SIGNALS_H
#define CMD_SERVE_SIGNALS_H

#include "af.h"

struct serve_signals;

/* For the whole process: before it has threads, which inherit the mask. */
void serve_signals_block(void);

/* Starts the thread that waits for them. The calling thread is the one that will be in af_serve(). DIR
 * and S are borrowed until serve_signals_stop. Negative errno. */
int serve_signals_start(const char *dir, struct af_server *s, struct serve_signals **ret);

/* To be called by that same thread after af_serve() returned. Takes NULL. */
void serve_signals_stop(struct serve_signals *x);

#endif
