// SPDX-License-Identifier: GPL-2.0
/*
 * lhv bus/ - ioeventfd: a guest's write to an address signals an eventfd.
 */
#include <linux/eventfd.h>

#include "../lhv.h"

struct lhv_ioeventfd {
	struct lhv_dev dev;
	struct eventfd_ctx *eventfd;	/* I holds a reference */
	u64 datamatch;			/* I */
	bool any_data;			/* I */
};

static struct lhv_ioeventfd *to_ioeventfd(struct lhv_dev *dev)
{
	return container_of(dev, struct lhv_ioeventfd, dev);
}

static int ioeventfd_read(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len,
			  void *data)
{
	return -EOPNOTSUPP;
}

static int ioeventfd_write(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len,
			   const void *data)
{
	struct lhv_ioeventfd *p = to_ioeventfd(dev);
	u64 val = 0;

	if (addr != dev->addr || (dev->len && dev->len != len))
		return -EOPNOTSUPP;
	if (!p->any_data) {
		memcpy(&val, data, min_t(int, len, sizeof(val)));
		if (val != p->datamatch)
			return -EOPNOTSUPP;
	}
	if (vcpu->atomic && !lhv_host_wakes_in_atomic())
		return -EAGAIN;
	lhv_host_eventfd_signal(p->eventfd);
	return 0;
}

static void ioeventfd_destroy(struct lhv_dev *dev)
{
	struct lhv_ioeventfd *p = to_ioeventfd(dev);

	eventfd_ctx_put(p->eventfd);
	kfree(p);
}

static const struct lhv_dev_ops ioeventfd_ops = {
	.read = ioeventfd_read,
	.write = ioeventfd_write,
	.destroy = ioeventfd_destroy,
};

/* Would one write signal both? Then the second could never be told from the first. */
static bool collides(struct lhv_dev *dev, const void *arg)
{
	const struct lhv_ioeventfd *new = arg, *p;

	if (dev->ops != &ioeventfd_ops || dev->addr != new->dev.addr)
		return false;
	p = to_ioeventfd(dev);
	return !dev->len || !new->dev.len ||
	       (dev->len == new->dev.len &&
		(p->any_data || new->any_data || p->datamatch == new->datamatch));
}

static bool same(struct lhv_dev *dev, const void *arg)
{
	const struct lhv_ioeventfd *want = arg, *p;

	if (dev->ops != &ioeventfd_ops)
		return false;
	p = to_ioeventfd(dev);
	return dev->addr == want->dev.addr && dev->len == want->dev.len &&
	       p->eventfd == want->eventfd && p->any_data == want->any_data &&
	       (p->any_data || p->datamatch == want->datamatch);
}

static int check(const struct kvm_ioeventfd *args)
{
	u32 known = KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO |
		    KVM_IOEVENTFD_FLAG_DEASSIGN;

	switch (args->len) {
	case 0:
	case 1:
	case 2:
	case 4:
	case 8:
		break;
	default:
		return -EINVAL;
	}
	if ((args->flags & ~known) || args->addr + args->len < args->addr)
		return -EINVAL;
	/* Any length leaves no data to compare. */
	return !args->len && (args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH) ? -EINVAL : 0;
}

static int assign(struct lhv_vm *vm, struct lhv_bus *bus, const struct lhv_ioeventfd *want)
{
	struct lhv_ioeventfd *p;
	int ret;

	if (lhv_bus_find(bus, collides, want))
		return -EEXIST;
	p = kmemdup(want, sizeof(*p), GFP_KERNEL_ACCOUNT);
	if (!p)
		return -ENOMEM;
	ret = lhv_bus_add(vm, bus, &p->dev);
	if (ret)
		kfree(p);
	return ret;
}

static int deassign(struct lhv_vm *vm, struct lhv_bus *bus, const struct lhv_ioeventfd *want)
{
	struct lhv_dev *dev = lhv_bus_find(bus, same, want);

	if (!dev)
		return -ENOENT;
	lhv_bus_remove(vm, bus, dev);
	ioeventfd_destroy(dev);
	return 0;
}

/**
 * lhv_ioeventfd() - KVM_IOEVENTFD
 * @vm: the VM
 * @args: unchecked
 *
 * Context: process; takes vm->lock. Return: 0; -EINVAL; -EEXIST; -ENOENT; -ENOMEM; -ENOSPC;
 * -EBADF.
 */
int lhv_ioeventfd(struct lhv_vm *vm, const struct kvm_ioeventfd *args)
{
	struct lhv_bus *bus = args->flags & KVM_IOEVENTFD_FLAG_PIO ? &vm->pio_bus : &vm->mmio_bus;
	struct lhv_ioeventfd want = {
		.dev = { .ops = &ioeventfd_ops, .addr = args->addr, .len = args->len },
		.any_data = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH),
		.datamatch = args->datamatch,
	};
	int ret = check(args);

	if (ret)
		return ret;
	want.eventfd = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(want.eventfd))
		return PTR_ERR(want.eventfd);

	mutex_lock(&vm->lock);
	if (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
		ret = deassign(vm, bus, &want);
	else
		ret = assign(vm, bus, &want);
	mutex_unlock(&vm->lock);

	/* An assigned one keeps our reference. */
	if (ret || (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN))
		eventfd_ctx_put(want.eventfd);
	return ret;
}
