/* SPDX-License-Identifier: MIT */
/* A doubly linked list whose links are members of its elements. The head is a link, too. The list owns
 * nothing. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_link {
        struct list_link *prev, *next;
};

/* The element of TYPE whose MEMBER is the link L. */
#define list_entry(l, type, member) ((type *)((char *)(l)-offsetof(type, member)))

/* The first element; NULL if the list is empty. */
#define list_first(head, type, member) (list_empty(head) ? NULL : list_entry((head)->next, type, member))

/* Removes the first element and returns it; NULL if the list is empty. */
#define list_pop(head, type, member)                           \
        ({                                                     \
                type *first_ = list_first(head, type, member); \
                if (first_)                                    \
                        list_remove(&first_->member);          \
                first_;                                        \
        })

/* Visits all elements in order. E points to elements; the body must not remove it. */
#define list_each(e, head, member)                                                       \
        for (e = list_entry((head)->next, __typeof__(*e), member); &e->member != (head); \
             e = list_entry(e->member.next, __typeof__(*e), member))

/* Visits all elements in order. The body may remove and free E, but not FOLLOWING, a second pointer. */
#define list_each_safe(e, following, head, member)                          \
        for (e = list_entry((head)->next, __typeof__(*e), member),          \
            following = list_entry(e->member.next, __typeof__(*e), member); \
             &e->member != (head);                                          \
             e = following, following = list_entry(e->member.next, __typeof__(*e), member))

static inline void list_init(struct list_link *head)
{
        head->prev = head->next = head;
}

static inline bool list_empty(const struct list_link *head)
{
        return head->next == head;
}

static inline void list_insert_before(struct list_link *at, struct list_link *l)
{
        l->prev = at->prev;
        l->next = at;
        at->prev->next = l;
        at->prev = l;
}

/* Adds L at the end. */
static inline void list_append(struct list_link *head, struct list_link *l)
{
        list_insert_before(head, l);
}

/* Adds L at the front. */
static inline void list_prepend(struct list_link *head, struct list_link *l)
{
        list_insert_before(head->next, l);
}

/* Removes L from its list. No effect on a link that was removed before. */
static inline void list_remove(struct list_link *l)
{
        l->prev->next = l->next;
        l->next->prev = l->prev;
        l->prev = l->next = l;
}

#endif
