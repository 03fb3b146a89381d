// SPDX-License-Identifier: GPL-2.0
/*
 * lhv bus/ - who answers at an address.
 *
 * A bus is an immutable table, sorted by address and published under vm->srcu.
 * Each entry also knows the highest end among the entries up to itself, so that
 * a lookup that walks down from the address knows when to stop.
 */
#include <linux/mm.h>

#include "table.h"

#define MAX_DEVS	8192

/* Takes the place of a removed device when there is no memory for a smaller table. */
static int nobody_read(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len, void *data)
{
	return -EOPNOTSUPP;
}

static int nobody_write(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len,
			const void *data)
{
	return -EOPNOTSUPP;
}

static const struct lhv_dev_ops nobody_ops = { .read = nobody_read, .write = nobody_write };
static struct lhv_dev nobody = { .ops = &nobody_ops };

static u64 dev_end(const struct lhv_dev *dev)
{
	return dev->addr + (dev->len ?: 1);
}

/* Does entry @i stand before @dev? Where one could not be taken out the device there is nobody. */
static bool before(const struct lhv_bus_table *t, int i, const struct lhv_dev *dev)
{
	return t->entry[i].addr != dev->addr ? t->entry[i].addr < dev->addr :
					       t->entry[i].dev->len > dev->len;
}

static void set_hull(struct lhv_bus_table *t)
{
	u64 end = 0;
	int i;

	for (i = 0; i < t->nr; i++) {
		end = max(end, t->entry[i].end);
		t->entry[i].hull = end;
	}
}

struct lhv_bus_table *lhv_bus_table_with(const struct lhv_bus_table *old, struct lhv_dev *dev)
{
	int nr = old ? old->nr : 0, at = 0;
	struct lhv_bus_table *t;

	if (dev_end(dev) <= dev->addr)
		return ERR_PTR(-EINVAL);
	if (nr >= MAX_DEVS)
		return ERR_PTR(-ENOSPC);
	t = kvzalloc(struct_size(t, entry, nr + 1), GFP_KERNEL_ACCOUNT);
	if (!t)
		return ERR_PTR(-ENOMEM);
	while (at < nr && before(old, at, dev))
		at++;
	if (nr) {
		memcpy(t->entry, old->entry, at * sizeof(t->entry[0]));
		memcpy(t->entry + at + 1, old->entry + at, (nr - at) * sizeof(t->entry[0]));
	}
	t->entry[at].addr = dev->addr;
	t->entry[at].end = dev_end(dev);
	t->entry[at].dev = dev;
	t->nr = nr + 1;
	set_hull(t);
	return t;
}

struct lhv_bus_table *lhv_bus_table_without(const struct lhv_bus_table *old, int at)
{
	struct lhv_bus_table *t;

	t = kvzalloc(struct_size(t, entry, old->nr - 1), GFP_KERNEL_ACCOUNT);
	if (!t)
		return ERR_PTR(-ENOMEM);
	memcpy(t->entry, old->entry, at * sizeof(t->entry[0]));
	memcpy(t->entry + at, old->entry + at + 1, (old->nr - 1 - at) * sizeof(t->entry[0]));
	t->nr = old->nr - 1;
	set_hull(t);
	return t;
}

static struct lhv_bus_table *table_of(struct lhv_vm *vm, struct lhv_bus *bus)
{
	return rcu_dereference_protected(bus->table, lockdep_is_held(&vm->lock));
}

static void publish(struct lhv_vm *vm, struct lhv_bus *bus, struct lhv_bus_table *new)
{
	struct lhv_bus_table *old = table_of(vm, bus);

	rcu_assign_pointer(bus->table, new);
	if (old) {
		synchronize_srcu_expedited(&vm->srcu);
		kvfree(old);
	}
}

int lhv_bus_add(struct lhv_vm *vm, struct lhv_bus *bus, struct lhv_dev *dev)
{
	struct lhv_bus_table *new;

	lockdep_assert_held(&vm->lock);
	new = lhv_bus_table_with(table_of(vm, bus), dev);
	if (IS_ERR(new))
		return PTR_ERR(new);
	publish(vm, bus, new);
	return 0;
}

void lhv_bus_remove(struct lhv_vm *vm, struct lhv_bus *bus, struct lhv_dev *dev)
{
	struct lhv_bus_table *t = table_of(vm, bus), *new;
	int i;

	lockdep_assert_held(&vm->lock);
	for (i = 0; t && i < t->nr; i++) {
		if (t->entry[i].dev == dev)
			break;
	}
	if (!t || i == t->nr)
		return;
	new = lhv_bus_table_without(t, i);
	if (!IS_ERR(new)) {
		publish(vm, bus, new);
		return;
	}
	/* No memory: leave the place taken by nobody, which keeps the table sorted. */
	WRITE_ONCE(t->entry[i].dev, &nobody);
	synchronize_srcu_expedited(&vm->srcu);
}

struct lhv_dev *lhv_bus_find(struct lhv_bus *bus,
			     bool (*match)(struct lhv_dev *dev, const void *arg), const void *arg)
{
	struct lhv_bus_table *t = rcu_dereference_protected(bus->table, true);
	int i;

	for (i = t ? t->nr - 1 : -1; i >= 0; i--) {
		if (match(t->entry[i].dev, arg))
			return t->entry[i].dev;
	}
	return NULL;
}

void lhv_bus_destroy(struct lhv_bus *bus)
{
	struct lhv_bus_table *t = rcu_dereference_protected(bus->table, true);
	int i;

	RCU_INIT_POINTER(bus->table, NULL);
	for (i = 0; t && i < t->nr; i++) {
		struct lhv_dev *dev = t->entry[i].dev;

		if (dev->ops->destroy)
			dev->ops->destroy(dev);
	}
	kvfree(t);
}

/* The last entry that begins at or below @addr, or -1. */
int lhv_bus_table_seek(const struct lhv_bus_table *t, gpa_t addr)
{
	int low = 0, high = t->nr;

	while (low < high) {
		int mid = (low + high) / 2;

		if (t->entry[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low - 1;
}

/* The same; a guest asks the same device again and again. */
static __always_inline int seek_hinted(const struct lhv_bus_table *t, gpa_t addr,
				       unsigned int *hint)
{
	unsigned int i = *hint, nr = t->nr;

	if (likely(i < nr && t->entry[i].addr <= addr &&
		   (i + 1 == nr || t->entry[i + 1].addr > addr)))
		return i;
	return *hint = lhv_bus_table_seek(t, addr);
}

/*
 * Ask the devices that the access lies whole within, until one takes it. A device of no
 * length (an ioeventfd for any length) decides by itself.
 */
static __always_inline int first_taker(struct lhv_vcpu *vcpu, struct lhv_bus *bus, gpa_t addr,
				       int len, void *data, bool write)
{
	int i, idx = srcu_read_lock(&vcpu->vm->srcu), ret = -EOPNOTSUPP;
	struct lhv_bus_table *t = srcu_dereference(bus->table, &vcpu->vm->srcu);
	unsigned int *hint = &vcpu->pio.hint[bus == &vcpu->vm->mmio_bus];

	for (i = t ? seek_hinted(t, addr, hint) : -1; i >= 0 && t->entry[i].hull > addr; i--) {
		struct lhv_dev *dev = READ_ONCE(t->entry[i].dev);

		if (addr >= t->entry[i].end || (dev->len && addr + len > t->entry[i].end))
			continue;
		ret = write ? dev->ops->write(vcpu, dev, addr, len, data) :
			      dev->ops->read(vcpu, dev, addr, len, data);
		if (ret != -EOPNOTSUPP)
			break;
	}
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

int lhv_bus_read(struct lhv_vcpu *vcpu, struct lhv_bus *bus, gpa_t addr, int len, void *data)
{
	return first_taker(vcpu, bus, addr, len, data, false);
}

int lhv_bus_write(struct lhv_vcpu *vcpu, struct lhv_bus *bus, gpa_t addr, int len,
		  const void *data)
{
	return first_taker(vcpu, bus, addr, len, (void *)data, true);
}

int lhv_bus_init_vm(struct lhv_vm *vm)
{
	raw_spin_lock_init(&vm->coalesced.ring_lock);
	vm->coalesced.ring = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	return vm->coalesced.ring ? 0 : -ENOMEM;
}

/* No vCPU is left; callable on a VM that lhv_bus_init_vm() never saw (all zero). */
void lhv_bus_destroy_vm(struct lhv_vm *vm)
{
	lhv_bus_destroy(&vm->pio_bus);
	lhv_bus_destroy(&vm->mmio_bus);
	/* The vCPUs' mappings hold references of their own. */
	if (vm->coalesced.ring)
		put_page(vm->coalesced.ring);
	vm->coalesced.ring = NULL;
}
