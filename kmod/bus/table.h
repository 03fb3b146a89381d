/* SPDX-License-Identifier: GPL-2.0 */
/* lhv bus/ - the table behind a bus; for bus.c and its tests. */
#ifndef LHV_BUS_TABLE_H
#define LHV_BUS_TABLE_H

#include "../lhv.h"

/**
 * struct lhv_bus_table - devices sorted by address, longer before shorter
 * @nr: entries in @entry
 * @entry: address and end of the device's range (a device of no length has one byte), the
 *	highest end of this and all entries before it, and the device
 */
struct lhv_bus_table {
	int nr;
	struct {
		gpa_t addr;
		u64 end, hull;
		struct lhv_dev *dev;
	} entry[];
};

/* Copies. ERR_PTR: -ENOMEM, -ENOSPC, -EINVAL. */
struct lhv_bus_table *lhv_bus_table_with(const struct lhv_bus_table *old, struct lhv_dev *dev);
struct lhv_bus_table *lhv_bus_table_without(const struct lhv_bus_table *old, int at);
/* The last entry that begins at or below @addr, or -1. */
int lhv_bus_table_seek(const struct lhv_bus_table *t, gpa_t addr);

#endif
