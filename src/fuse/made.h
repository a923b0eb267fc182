/* The files that threads have just made.
 *
 * Where the kernel may keep no attributes, open(2) asks once more for those of the file that its CREATE has
 * just made, before it returns (to check permissions). That is still the same call: what CREATE found answers
 * it, and saves the round trips. Everything that is asked later has to be read. All functions: any thread. */
#ifndef FUSE_MADE_H
#define FUSE_MADE_H

#include "fs.h"

#include <sys/types.h>

struct af_made;

/* NULL: no memory. */
struct af_made *af_made_new(void);
/* Takes NULL. */
void af_made_free(struct af_made *m);

/* Before the reply to CREATE: thread PID (0: unknown) has made ATTR->ino. M may be NULL. */
void af_made_note(struct af_made *m, pid_t pid, const struct fs_attr *attr);

/* Whether thread PID asks for INO for the first time since it made it, as its last one, a moment ago. */
bool af_made_take(struct af_made *m, pid_t pid, uint64_t ino, struct fs_attr *ret);

#endif
