/* SPDX-License-Identifier: MIT */
/* The memory that dirty blocks may take, of one inode and of all. */
#ifndef FS_WRITEBACK_BUDGET_H
#define FS_WRITEBACK_BUDGET_H

#include <stddef.h>

struct writeback_entry;

/* Takes the space of one block, and waits until there is some. 0; 1: E's lock was released in between;
 * EINTR, ERR_AWAY; or why a flush that would free space failed. */
int budget_take_locked(struct writeback_entry *e);
/* Gives the space of N blocks back. */
void budget_give_back_locked(struct writeback_entry *e, size_t n);

#endif
