/* SPDX-License-Identifier: GPL-2.0 */
/* Doubly linked lists by the kernel's names. */
#ifndef SIM_LIST_H
#define SIM_LIST_H

#include <linux/kernel.h>

struct list_head {
	struct list_head *next, *prev;
};

static inline void INIT_LIST_HEAD(struct list_head *list)
{
	list->next = list;
	list->prev = list;
}

static inline void list_add_tail(struct list_head *item, struct list_head *list)
{
	item->next = list;
	item->prev = list->prev;
	list->prev->next = item;
	list->prev = item;
}

static inline void list_del(struct list_head *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
}

static inline void list_del_init(struct list_head *item)
{
	list_del(item);
	INIT_LIST_HEAD(item);
}

static inline void list_move(struct list_head *item, struct list_head *list)
{
	list_del(item);
	list_add_tail(item, list->next);
}

#define list_entry(p, type, member) container_of(p, type, member)
#define list_first_entry_or_null(list, type, member)			\
	((list)->next != (list) ? list_entry((list)->next, type, member) : NULL)
#define list_for_each_entry(pos, list, member)				\
	for (pos = list_entry((list)->next, __typeof__(*pos), member);	\
	     &pos->member != (list);					\
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))

#endif
