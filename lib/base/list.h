/* Doubly linked, circular, intrusive lists.
 *
 *     list_init(&queue);
 *     list_append(&queue, &item->link);
 *     list_for_each(struct item, item, &queue, link) { ... }     -- item may be removed in the body
 *     item = list_first(&queue, struct item, link);              -- NULL when empty
 *     item = list_pop(&queue, struct item, link);                -- the same, and it is removed
 *
 * A link that is in no list points at itself (list_init, list_remove), so list_linked tells.
 *
 * What is only collected and then taken apart can be a chain instead, by the same links; an empty one is NULL:
 *     chain_push(&chain, &item->link);
 *     while ((item = chain_pop(&chain, struct item, link)) != NULL) ...
 */
#pragma once

#include "lib/base/base.h"

struct list {
    struct list *next, *previous;
};

#define LIST_INIT(name)  \
    {                    \
        &(name), &(name) \
    }

static inline void list_init(struct list *list)
{
    list->next = list->previous = list;
}

static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

static inline bool list_linked(const struct list *link)
{
    return link->next != link;
}

static inline void list_insert_before(struct list *position, struct list *link)
{
    link->next = position;
    link->previous = position->previous;
    position->previous->next = link;
    position->previous = link;
}

static inline void list_append(struct list *list, struct list *link)
{
    list_insert_before(list, link);
}

static inline void list_prepend(struct list *list, struct list *link)
{
    list_insert_before(list->next, link);
}

/* For a link that is inserted again before anybody asks whether it is linked. */
static inline void list_unlink(struct list *link)
{
    struct list *next = link->next, *previous = link->previous;

    previous->next = next;
    next->previous = previous;
}

static inline void list_remove(struct list *link)
{
    list_unlink(link);
    list_init(link);
}

/* The first link, removed; the list must have one. */
static inline struct list *list_pop_link(struct list *list)
{
    struct list *link = list->next;

    list->next = link->next;
    link->next->previous = list;
    list_init(link);
    return link;
}

/* Everything in from goes to the end of to; from is empty afterwards. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    list_init(from);
}

static inline void chain_push(struct list **chain, struct list *link)
{
    link->next = *chain;
    *chain = link;
}

#define list_first(list, type, member) \
    (list_empty(list) ? NULL : container_of((list)->next, type, member))
#define list_last(list, type, member) \
    (list_empty(list) ? NULL : container_of((list)->previous, type, member))

#define list_pop(list, type, member) \
    (list_empty(list) ? (type *)NULL : container_of(list_pop_link(list), type, member))

#define list_for_each(type, item, list, member)                             \
    for (type *item = container_of((list)->next, type, member),             \
              *item##_next = container_of(item->member.next, type, member); \
         &item->member != (list);                                           \
         item = item##_next, item##_next = container_of(item->member.next, type, member))

/* NULL when it is empty. */
#define chain_pop(chain, type, member)                            \
    ({                                                            \
        struct list *link_ = *(chain);                            \
        if (link_)                                                \
            *(chain) = link_->next;                               \
        link_ ? container_of(link_, type, member) : (type *)NULL; \
    })
