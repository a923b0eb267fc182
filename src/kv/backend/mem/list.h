/* A doubly linked list whose links lie in its elements; the head is a link too. */
#ifndef MEM_LIST_H
#define MEM_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct mem_link {
        struct mem_link *prev, *next;
};

static inline void mem_list_init(struct mem_link *head)
{
        head->prev = head->next = head;
}

static inline bool mem_list_empty(const struct mem_link *head)
{
        return head->next == head;
}

static inline void mem_list_append(struct mem_link *head, struct mem_link *l)
{
        l->prev = head->prev;
        l->next = head;
        head->prev->next = l;
        head->prev = l;
}

static inline void mem_list_remove(struct mem_link *l)
{
        l->prev->next = l->next;
        l->next->prev = l->prev;
        l->prev = l->next = l;
}

#endif
