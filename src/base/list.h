/* SPDX-License-Identifier: MIT */
/* A doubly linked list whose links lie in its elements; the head is a link too. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_link {
        struct list_link *prev, *next;
};

/* The element of TYPE whose MEMBER is the link L. */
#define list_entry(l, type, member) ((type *)((char *)(l)-offsetof(type, member)))

/* All of the list in order; E, which points to elements, may not be removed. */
#define list_each(e, head, member)                                                       \
        for (e = list_entry((head)->next, __typeof__(*e), member); &e->member != (head); \
             e = list_entry(e->member.next, __typeof__(*e), member))

static inline void list_init(struct list_link *head)
{
        head->prev = head->next = head;
}

static inline bool list_empty(const struct list_link *head)
{
        return head->next == head;
}

static inline void list_append(struct list_link *head, struct list_link *l)
{
        l->prev = head->prev;
        l->next = head;
        head->prev->next = l;
        head->prev = l;
}

static inline void list_remove(struct list_link *l)
{
        l->prev->next = l->next;
        l->next->prev = l->prev;
        l->prev = l->next = l;
}

#endif
