// SPDX-License-Identifier: GPL-2.0
/* KUnit: bus tables, the lookup, coalesced zones, ioeventfd checks, pieces of MMIO. */
#include <kunit/test.h>
#include <linux/mm.h>

#include "bus/table.h"

static struct lhv_vm *vm;
static struct lhv_vcpu *vcpu;

static int bus_init(struct kunit *test)
{
	vm = kunit_kzalloc(test, sizeof(*vm), GFP_KERNEL);
	vcpu = kunit_kzalloc(test, sizeof(*vcpu), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vm);
	KUNIT_ASSERT_NOT_NULL(test, vcpu);
	vcpu->vm = vm;
	vcpu->run = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vcpu->run);
	mutex_init(&vm->lock);
	KUNIT_ASSERT_EQ(test, init_srcu_struct(&vm->srcu), 0);
	KUNIT_ASSERT_EQ(test, lhv_bus_init_vm(vm), 0);
	return 0;
}

static void bus_exit(struct kunit *test)
{
	lhv_bus_destroy_vm(vm);
	cleanup_srcu_struct(&vm->srcu);
}

/* A device that answers its own number, or leaves the access to others. */
struct fake {
	struct lhv_dev dev;
	u8 number;
	bool shy;
	int writes, destroyed;
};

static int fake_read(struct lhv_vcpu *v, struct lhv_dev *dev, gpa_t addr, int len, void *data)
{
	struct fake *fake = container_of(dev, struct fake, dev);

	if (fake->shy)
		return -EOPNOTSUPP;
	memset(data, fake->number, len);
	return 0;
}

static int fake_write(struct lhv_vcpu *v, struct lhv_dev *dev, gpa_t addr, int len,
		      const void *data)
{
	struct fake *fake = container_of(dev, struct fake, dev);

	if (fake->shy)
		return -EOPNOTSUPP;
	fake->writes++;
	return 0;
}

static void fake_destroy(struct lhv_dev *dev)
{
	container_of(dev, struct fake, dev)->destroyed++;
}

static const struct lhv_dev_ops fake_ops = {
	.read = fake_read,
	.write = fake_write,
	.destroy = fake_destroy,
};

static struct fake *add(struct kunit *test, u8 number, gpa_t addr, u64 len)
{
	struct fake *fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, fake);
	fake->dev = (struct lhv_dev){ .ops = &fake_ops, .addr = addr, .len = len };
	fake->number = number;
	mutex_lock(&vm->lock);
	ret = lhv_bus_add(vm, &vm->mmio_bus, &fake->dev);
	mutex_unlock(&vm->lock);
	KUNIT_ASSERT_EQ(test, ret, 0);
	return fake;
}

static void drop(struct fake *fake)
{
	mutex_lock(&vm->lock);
	lhv_bus_remove(vm, &vm->mmio_bus, &fake->dev);
	mutex_unlock(&vm->lock);
}

/* Who answers at @addr? 0: nobody. */
static int who(gpa_t addr, int len)
{
	u64 val = 0;

	return lhv_bus_read(vcpu, &vm->mmio_bus, addr, len, &val) ? 0 : (u8)val;
}

static void lookup(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, who(0x1000, 4), 0);
	add(test, 1, 0x2000, 0x10);
	add(test, 2, 0x1000, 0x100);
	add(test, 3, 0x3000, 4);
	KUNIT_EXPECT_EQ(test, who(0xfff, 1), 0);
	KUNIT_EXPECT_EQ(test, who(0x1000, 1), 2);
	KUNIT_EXPECT_EQ(test, who(0x10fc, 4), 2);
	KUNIT_EXPECT_EQ(test, who(0x10fd, 4), 0);	/* not whole within */
	KUNIT_EXPECT_EQ(test, who(0x1100, 1), 0);
	KUNIT_EXPECT_EQ(test, who(0x200f, 1), 1);
	KUNIT_EXPECT_EQ(test, who(0x3000, 4), 3);
	KUNIT_EXPECT_EQ(test, who(0x3000, 8), 0);
	KUNIT_EXPECT_EQ(test, who(U64_MAX, 1), 0);
}

static void overlaps(struct kunit *test)
{
	struct fake *wide = add(test, 1, 0x1000, 0x1000), *inner, *same;

	inner = add(test, 2, 0x1800, 0x10);
	same = add(test, 3, 0x1800, 4);
	add(test, 4, 0x1900, 1);
	KUNIT_EXPECT_EQ(test, who(0x1800, 4), 3);
	KUNIT_EXPECT_EQ(test, who(0x1804, 4), 2);
	/* Behind narrower ones, the wide one is still found. */
	KUNIT_EXPECT_EQ(test, who(0x1f00, 4), 1);
	KUNIT_EXPECT_EQ(test, who(0x180e, 4), 1);
	same->shy = true;
	KUNIT_EXPECT_EQ(test, who(0x1800, 4), 2);
	drop(inner);
	KUNIT_EXPECT_EQ(test, who(0x1800, 4), 1);
	drop(wide);
	KUNIT_EXPECT_EQ(test, who(0x1800, 4), 0);
	KUNIT_EXPECT_EQ(test, who(0x1900, 1), 4);
	KUNIT_EXPECT_EQ(test, inner->destroyed, 0);
}

static void any_length(struct kunit *test)
{
	add(test, 1, 0x1000, 0x10);
	add(test, 2, 0x1004, 0);
	KUNIT_EXPECT_EQ(test, who(0x1004, 1), 2);
	KUNIT_EXPECT_EQ(test, who(0x1004, 8), 2);
	KUNIT_EXPECT_EQ(test, who(0x1005, 1), 1);
}

static void bad_ranges(struct kunit *test)
{
	struct lhv_dev dev = { .ops = &fake_ops, .addr = U64_MAX - 1, .len = 4 };

	mutex_lock(&vm->lock);
	KUNIT_EXPECT_EQ(test, lhv_bus_add(vm, &vm->mmio_bus, &dev), -EINVAL);
	lhv_bus_remove(vm, &vm->mmio_bus, &dev);
	mutex_unlock(&vm->lock);
}

static void many(struct kunit *test)
{
	struct lhv_bus_table *t = NULL, *next;
	struct lhv_dev *dev;
	u32 i, seed = 1;
	int at;

	dev = kunit_kcalloc(test, 300, sizeof(*dev), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, dev);
	for (i = 0; i < 300; i++) {
		seed = seed * 1664525 + 1013904223;
		dev[i] = (struct lhv_dev){
			.ops = &fake_ops, .addr = seed >> 8, .len = 1 + (seed & 63),
		};
		next = lhv_bus_table_with(t, &dev[i]);
		KUNIT_ASSERT_FALSE(test, IS_ERR(next));
		kvfree(t);
		t = next;
	}
	for (i = 0; i < 200; i++) {
		next = lhv_bus_table_without(t, (i * 7) % t->nr);
		KUNIT_ASSERT_FALSE(test, IS_ERR(next));
		kvfree(t);
		t = next;
	}
	KUNIT_EXPECT_EQ(test, t->nr, 100);
	for (at = 0; at < t->nr; at++) {
		KUNIT_EXPECT_EQ(test, t->entry[at].addr, t->entry[at].dev->addr);
		KUNIT_EXPECT_GE(test, t->entry[at].hull, t->entry[at].end);
		if (at)
			KUNIT_EXPECT_LE(test, t->entry[at - 1].addr, t->entry[at].addr);
		KUNIT_EXPECT_GE(test, lhv_bus_table_seek(t, t->entry[at].addr), at);
	}
	KUNIT_EXPECT_EQ(test, lhv_bus_table_seek(t, t->entry[0].addr - 1), -1);
	kvfree(t);
}

static void coalesced(struct kunit *test)
{
	struct kvm_coalesced_mmio_ring *ring = page_address(vm->coalesced.ring);
	struct kvm_coalesced_mmio_zone zone = { .addr = 0xb8000, .size = 0x1000 };
	u32 i, val = 0x11223344;

	KUNIT_EXPECT_EQ(test, lhv_coalesced_register(vm, &zone), 0);
	zone.pio = 2;
	KUNIT_EXPECT_EQ(test, lhv_coalesced_register(vm, &zone), -EINVAL);
	zone.pio = 0;

	KUNIT_EXPECT_EQ(test, lhv_mmio_write(vcpu, 0xb8010, &val, 4), 0);
	KUNIT_EXPECT_EQ(test, ring->last, 1);
	KUNIT_EXPECT_EQ(test, ring->coalesced_mmio[0].phys_addr, 0xb8010);
	KUNIT_EXPECT_EQ(test, ring->coalesced_mmio[0].len, 4);
	KUNIT_EXPECT_EQ(test, memcmp(ring->coalesced_mmio[0].data, &val, 4), 0);

	/* Reads go to the VMM, and so do writes once the ring is full or spoilt. */
	KUNIT_EXPECT_EQ(test, lhv_mmio_read(vcpu, 0xb8010, &val, 4), -EINPROGRESS);
	lhv_mmio_cancel(vcpu);
	for (i = 1; i < KVM_COALESCED_MMIO_MAX - 1; i++)
		KUNIT_EXPECT_EQ(test, lhv_mmio_write(vcpu, 0xb8000, &val, 1), 0);
	KUNIT_EXPECT_EQ(test, lhv_mmio_write(vcpu, 0xb8000, &val, 1), -EINPROGRESS);
	KUNIT_EXPECT_EQ(test, vcpu->run->exit_reason, KVM_EXIT_MMIO);
	lhv_mmio_cancel(vcpu);
	ring->last = U32_MAX;
	KUNIT_EXPECT_EQ(test, lhv_mmio_write(vcpu, 0xb8000, &val, 1), -EINPROGRESS);
	lhv_mmio_cancel(vcpu);
	ring->last = 0;
	ring->first = U32_MAX;
	KUNIT_EXPECT_EQ(test, lhv_mmio_write(vcpu, 0xb8000, &val, 1), 0);

	zone.addr = 0xb8800;
	zone.size = 0x1000;	/* sticks out of the zone */
	lhv_coalesced_unregister(vm, &zone);
	KUNIT_EXPECT_EQ(test, lhv_mmio_write(vcpu, 0xb8000, &val, 1), 0);
	zone.size = 0x800;
	lhv_coalesced_unregister(vm, &zone);
	KUNIT_EXPECT_EQ(test, lhv_mmio_write(vcpu, 0xb8000, &val, 1), -EINPROGRESS);
}

static void ioeventfd_args(struct kunit *test)
{
	struct kvm_ioeventfd args = { .addr = 0x1000, .len = 3, .fd = -1 };

	KUNIT_EXPECT_EQ(test, lhv_ioeventfd(vm, &args), -EINVAL);
	args.len = 4;
	args.flags = KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY;
	KUNIT_EXPECT_EQ(test, lhv_ioeventfd(vm, &args), -EINVAL);
	args.flags = 0;
	args.addr = U64_MAX;
	KUNIT_EXPECT_EQ(test, lhv_ioeventfd(vm, &args), -EINVAL);
	args.addr = 0;
	args.len = 0;
	args.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
	KUNIT_EXPECT_EQ(test, lhv_ioeventfd(vm, &args), -EINVAL);
	args.flags = 0;
	KUNIT_EXPECT_EQ(test, lhv_ioeventfd(vm, &args), -EBADF);
}

static void mmio_pieces(struct kunit *test)
{
	u8 data[16], want[16];
	int i;

	/* The kernel answers the first half, the VMM the second. */
	add(test, 0x5a, 0x4000, 8);
	KUNIT_EXPECT_EQ(test, lhv_mmio_read(vcpu, 0x4000, data, 16), -EINPROGRESS);
	KUNIT_EXPECT_EQ(test, vcpu->run->mmio.phys_addr, 0x4008);
	KUNIT_EXPECT_EQ(test, vcpu->run->mmio.len, 8);
	KUNIT_EXPECT_EQ(test, vcpu->run->mmio.is_write, 0);
	vcpu->run->mmio.len = 0xffff;	/* not believed */
	for (i = 0; i < 8; i++)
		vcpu->run->mmio.data[i] = i;
	KUNIT_EXPECT_EQ(test, lhv_mmio_complete(vcpu), LHV_RESUME);
	KUNIT_EXPECT_EQ(test, lhv_mmio_read(vcpu, 0x4000, data, 16), 0);
	memset(want, 0x5a, 8);
	memcpy(want + 8, "\0\1\2\3\4\5\6\7", 8);
	KUNIT_EXPECT_EQ(test, memcmp(data, want, 16), 0);
	/* The answer is taken once. */
	KUNIT_EXPECT_EQ(test, lhv_mmio_read(vcpu, 0x4000, data, 16), -EINPROGRESS);
	lhv_mmio_cancel(vcpu);

	/* A write in two pieces, both the VMM's. */
	memcpy(data, "0123456789abcdef", 16);
	KUNIT_EXPECT_EQ(test, lhv_mmio_write(vcpu, 0x8000, data, 12), -EINPROGRESS);
	KUNIT_EXPECT_EQ(test, memcmp(vcpu->run->mmio.data, "01234567", 8), 0);
	KUNIT_EXPECT_EQ(test, lhv_mmio_complete(vcpu), LHV_EXIT_USER);
	KUNIT_EXPECT_EQ(test, vcpu->run->mmio.phys_addr, 0x8008);
	KUNIT_EXPECT_EQ(test, vcpu->run->mmio.len, 4);
	KUNIT_EXPECT_EQ(test, memcmp(vcpu->run->mmio.data, "89ab\0\0\0\0", 8), 0);
	KUNIT_EXPECT_EQ(test, lhv_mmio_complete(vcpu), LHV_RESUME);
	KUNIT_EXPECT_EQ(test, vcpu->pio.mmio.len, 0);

	/* Never across a page. */
	KUNIT_EXPECT_EQ(test, lhv_mmio_write(vcpu, 0x8ffe, data, 8), -EINPROGRESS);
	KUNIT_EXPECT_EQ(test, vcpu->run->mmio.len, 2);
	lhv_mmio_cancel(vcpu);
}

static struct kunit_case bus_cases[] = {
	KUNIT_CASE(lookup),
	KUNIT_CASE(overlaps),
	KUNIT_CASE(any_length),
	KUNIT_CASE(bad_ranges),
	KUNIT_CASE(many),
	KUNIT_CASE(coalesced),
	KUNIT_CASE(ioeventfd_args),
	KUNIT_CASE(mmio_pieces),
	{}
};

static struct kunit_suite bus_suite = {
	.name = "lhv_bus",
	.init = bus_init,
	.exit = bus_exit,
	.test_cases = bus_cases,
};

kunit_test_suite(bus_suite);
