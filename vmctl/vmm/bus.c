// SPDX-License-Identifier: GPL-2.0
/* Port and MMIO dispatch: a short list of ranges, in no order. */
#include "vmm.h"

void bus_add(struct bus *bus, struct bus_range *r)
{
	r->next = bus->head;
	bus->head = r;
}

/**
 * bus_del() - take a range off the bus
 * @bus: bus
 * @r: range; nothing happens when it isn't on the bus
 */
void bus_del(struct bus *bus, struct bus_range *r)
{
	struct bus_range **p;

	for (p = &bus->head; *p; p = &(*p)->next) {
		if (*p == r) {
			*p = r->next;
			return;
		}
	}
}

/**
 * bus_access() - hand one access to the device that answers at an address
 * @bus: bus
 * @addr: address
 * @data: bytes
 * @len: 1 to 8
 * @write: direction
 *
 * Where no device answers, reads give all ones and writes are lost, as on a
 * PC. The smallest range wins, so that a device may sit inside another's.
 *
 * Return: whether a device answered.
 */
bool bus_access(struct bus *bus, uint64_t addr, uint8_t *data,
		unsigned int len, bool write)
{
	struct bus_range *r, *best = NULL;
	unsigned int i;

	if (!write)
		for (i = 0; i < len; i++)
			data[i] = 0xff;
	for (r = bus->head; r; r = r->next) {
		if (addr < r->base || addr - r->base >= r->size ||
		    len > r->size - (addr - r->base))
			continue;
		if (!best || r->size < best->size)
			best = r;
	}
	if (!best)
		return false;
	best->fn(best->arg, addr - best->base, data, len, write);
	return true;
}
