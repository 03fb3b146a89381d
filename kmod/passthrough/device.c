// SPDX-License-Identifier: GPL-2.0
/*
 * lhv passthrough/ - devices: bound to lhv's driver, attached to a VM, and back.
 *
 *   host's driver --bind--> lhv's --attach--> a VM's --detach--> lhv's --unbind--> host's driver
 *
 * All ways that end an attachment meet in release(): device-detach; the driver's remove(), when the
 * device is unbound or pulled out; and lhv_passthrough_revoke(), when the VM was killed, its
 * process ended, or its last fd was closed. DMA has stopped when it returns.
 */
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/slab.h>

#include "host/iommu.h"
#include "manage/event.h"
#include "passthrough/device.h"
#include "passthrough/dma.h"
#include "passthrough/passthrough.h"

#define DRIVER_NAME	"lhv"
/* For what somebody else holds for ever if he likes, all in all a tenth of a second. */
#define LOCK_TRIES	20
#define LOCK_PAUSE_US	5000

DEFINE_MUTEX(lhv_devices_lock);	/* the list, and whose each of them is */
LIST_HEAD(lhv_devices);

static bool unsafe_interrupts;
module_param(unsafe_interrupts, bool, 0444);
MODULE_PARM_DESC(unsafe_interrupts, "hand devices over without interrupt remapping: a guest can then send any interrupt to the host; taints (default 0)");

/* ---- a device's life ---- */

static void free_device(struct kref *kref)
{
	struct lhv_device *dev = container_of(kref, struct lhv_device, refs);

	lhv_bars_teardown(dev);
	pci_dev_put(dev->pdev);
	mutex_destroy(&dev->setup_lock);
	kfree(dev->former_override);
	kvfree(dev->vectors);
	kfree(dev);
}

void lhv_device_put(struct lhv_device *dev)
{
	kref_put(&dev->refs, free_device);
}

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct lhv_device *dev;
	int i, ret;

	if (pdev->hdr_type != PCI_HEADER_TYPE_NORMAL || pdev->is_virtfn)
		return -EINVAL;
	dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	if (!dev)
		return -ENOMEM;
	kref_init(&dev->refs);
	mutex_init(&dev->setup_lock);
	dev->pdev = pci_dev_get(pdev);
	dev->vectors = kvcalloc(LHV_DEVICE_VECTORS, sizeof(*dev->vectors), GFP_KERNEL);
	ret = dev->vectors ? lhv_bars_setup(dev) : -ENOMEM;
	if (ret) {
		lhv_device_put(dev);
		return ret;
	}
	for (i = 0; i < LHV_DEVICE_VECTORS; i++)
		raw_spin_lock_init(&dev->vectors[i].lock);
	pci_set_drvdata(pdev, dev);
	mutex_lock(&lhv_devices_lock);
	list_add_tail(&dev->link, &lhv_devices);
	mutex_unlock(&lhv_devices_lock);
	lhv_tell_device(pdev, LHV_DEVICE_EVENT_BOUND, 0);
	return 0;
}

static struct lhv_dma *release(struct lhv_device *dev, bool locked);

/* Unbound, pulled out, or the module goes. */
static void remove(struct pci_dev *pdev)
{
	struct lhv_device *dev = pci_get_drvdata(pdev);
	struct lhv_dma *dma;

	mutex_lock(&lhv_devices_lock);
	dma = release(dev, true);
	/* A release before this one may have met our device_lock. */
	if (dev->stale && pci_reset_function_locked(pdev))
		pci_warn(pdev, "lhv: it goes back to the host without a reset\n");
	list_del(&dev->link);
	mutex_unlock(&lhv_devices_lock);
	lhv_dma_free(dma);
	lhv_tell_device(pdev, LHV_DEVICE_EVENT_UNBOUND, 0);
	lhv_device_put(dev);
}

/* No ids: only driver_override brings a device here. */
static struct pci_driver driver = {
	.name = DRIVER_NAME,
	.probe = probe,
	.remove = remove,
	.driver_managed_dma = true,
};

static bool is_ours(const struct pci_dev *pdev)
{
	return pdev->dev.driver == &driver.driver;
}

static struct lhv_device *find(const struct pci_dev *pdev)
{
	struct lhv_device *dev;

	lockdep_assert_held(&lhv_devices_lock);
	list_for_each_entry(dev, &lhv_devices, link) {
		if (dev->pdev == pdev)
			return dev;
	}
	return NULL;
}

/* Another device of the same group that is attached. */
static struct lhv_device *find_sibling(const struct lhv_device *dev,
				       const struct iommu_group *group)
{
	struct lhv_device *other;

	lockdep_assert_held(&lhv_devices_lock);
	list_for_each_entry(other, &lhv_devices, link) {
		if (other != dev && other->vm && other->group == group)
			return other;
	}
	return NULL;
}

/* ---- what is in the way ---- */

struct text {
	char *to;
	size_t room, n;
};

static void say(struct text *t, const char *fmt, ...) __printf(2, 3);
static void say(struct text *t, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	t->n += vscnprintf(t->to + t->n, t->room - t->n, fmt, args);
	va_end(args);
}

/* Network interfaces that are up and disks that somebody has open, anywhere below a device. */
static int say_users(struct device *dev, void *arg)
{
	const char *class = dev->class ? dev->class->name : "";
	struct text *t = arg;

	if (!strcmp(class, "net") && to_net_dev(dev)->flags & IFF_UP)
		say(t, "%sinterface %s is up", t->n ? ", " : "", dev_name(dev));
	if (!strcmp(class, "block") && atomic_read(&dev_to_bdev(dev)->bd_openers))
		say(t, "%sdisk %s is open or mounted", t->n ? ", " : "", dev_name(dev));
	return device_for_each_child(dev, arg, say_users);
}

/*
 * A member of the group with a driver that is neither ours nor a bridge's. Without device_lock: a
 * driver that goes has left all devices by then, and its module is freed after a grace period.
 */
static int say_blocker(struct device *dev, void *arg)
{
	const struct device_driver *drv;
	struct text *t = arg;

	if (dev_is_pci(dev) && to_pci_dev(dev)->hdr_type == PCI_HEADER_TYPE_BRIDGE)
		return 0;
	rcu_read_lock();
	drv = READ_ONCE(dev->driver);
	if (drv && drv != &driver.driver)
		say(t, "%s%s (%s)", t->n ? ", " : "", dev_name(dev), drv->name);
	rcu_read_unlock();
	return 0;
}

static int say_member(struct device *dev, void *arg)
{
	struct text *t = arg;

	say(t, "%s%s", t->n ? " " : "", dev_name(dev));
	return 0;
}

/**
 * lhv_device_describe() - what device-get tells of a PCI function
 * @pdev: the function
 * @d: filled in
 *
 * Context: process.
 */
void lhv_device_describe(struct pci_dev *pdev, struct lhv_device_description *d)
{
	struct text members = { d->members, sizeof(d->members) };
	struct text blocked = { d->blocked, sizeof(d->blocked) };
	struct text users = { d->users, sizeof(d->users) };
	struct iommu_group *group = iommu_group_get(&pdev->dev);
	const struct device_driver *drv;
	struct lhv_device *dev;

	memset(d, 0, sizeof(*d));
	d->group = -1;
	/* As say_blocker(): anybody may ask, and a reset does not wait for that. */
	rcu_read_lock();
	drv = READ_ONCE(pdev->dev.driver);
	if (drv)
		strscpy(d->driver, drv->name, sizeof(d->driver));
	rcu_read_unlock();
	d->can_reset = pdev->reset_methods[0];
	mutex_lock(&lhv_devices_lock);
	if (group) {
		d->group = iommu_group_id(group);
		iommu_group_for_each_dev(group, &members, say_member);
		iommu_group_for_each_dev(group, &blocked, say_blocker);
		d->isolated = lhv_host_isolated_msi(group, &pdev->dev);
		iommu_group_put(group);
	}
	dev = find(pdev);
	if (dev) {
		d->bound = true;
		d->vm_id = dev->vm ? dev->vm->id : 0;
		strscpy(d->former, dev->former, sizeof(d->former));
	}
	mutex_unlock(&lhv_devices_lock);
	if (!d->bound)
		say_users(&pdev->dev, &users);
}

/* ---- bind and unbind ---- */

/* One at a time: what was before is remembered once. */
static DEFINE_MUTEX(bind_lock);
static bool registered;		/* bind_lock: our driver is */

static const char no_iommu[] =
	"no IOMMU before it: intel_iommu=on or amd_iommu=on, and the firmware's switch";

static int refuse_bind(struct pci_dev *pdev, char *why)
{
	struct text users = { why, LHV_WHY_MAX };
	struct iommu_group *group;

	if (pdev->hdr_type != PCI_HEADER_TYPE_NORMAL) {
		strscpy(why, "a bridge can't be handed over, only what is behind it", LHV_WHY_MAX);
		return -EINVAL;
	}
	if (pdev->is_virtfn || pci_num_vf(pdev)) {
		strscpy(why, "SR-IOV functions are not handed over", LHV_WHY_MAX);
		return -EOPNOTSUPP;
	}
	group = iommu_group_get(&pdev->dev);
	if (!group) {
		strscpy(why, no_iommu, LHV_WHY_MAX);
		return -EOPNOTSUPP;
	}
	iommu_group_put(group);
	if (is_ours(pdev)) {
		strscpy(why, "lhv has it already", LHV_WHY_MAX);
		return -EALREADY;
	}
	say_users(&pdev->dev, &users);
	return users.n ? -EBUSY : 0;
}

/**
 * lhv_device_bind() - take a device from its driver
 * @pdev: the device
 * @why: what a refusal says, LHV_WHY_MAX
 *
 * Context: process. Return: 0 or -errno.
 */
int lhv_device_bind(struct pci_dev *pdev, char *why)
{
	char former[sizeof_field(struct lhv_device, former)] = "", *override;
	struct lhv_device *dev;
	int ret;

	mutex_lock(&bind_lock);
	ret = refuse_bind(pdev, why);
	if (ret)
		goto out;
	if (!registered) {
		strscpy(why, "lhv is being unloaded", LHV_WHY_MAX);
		ret = -EAGAIN;
		goto out;
	}
	override = lhv_host_get_driver_override(pdev);
	ret = PTR_ERR_OR_ZERO(override);
	if (ret)
		goto out;
	/* Or it would come back at each unbind. */
	if (override && !strcmp(override, DRIVER_NAME)) {
		kfree(override);
		override = NULL;
	}
	device_lock(&pdev->dev);
	if (pdev->dev.driver)
		strscpy(former, pdev->dev.driver->name, sizeof(former));
	device_unlock(&pdev->dev);

	ret = lhv_host_set_driver_override(pdev, DRIVER_NAME);
	if (ret)
		goto err_free;
	device_release_driver(&pdev->dev);
	ret = device_driver_attach(&driver.driver, &pdev->dev);
	if (ret) {
		scnprintf(why, LHV_WHY_MAX, "lhv's driver can't take it (error %d): dmesg may say why",
			  ret);
		goto err_back;
	}
	mutex_lock(&lhv_devices_lock);
	dev = find(pdev);
	if (dev) {
		dev->former_override = override;
		strscpy(dev->former, former, sizeof(dev->former));
		override = NULL;
	}
	mutex_unlock(&lhv_devices_lock);
	goto err_free;

err_back:
	lhv_host_set_driver_override(pdev, override);
	if (device_attach(&pdev->dev) < 0)
		pci_warn(pdev, "lhv: its driver %s does not take it back\n", former);
err_free:
	kfree(override);
out:
	mutex_unlock(&bind_lock);
	return ret;
}

/* What of it has to stay; and what to give back. */
static int start_unbind(struct pci_dev *pdev, char **override, char *former, char *why)
{
	struct iommu_group *group = iommu_group_get(&pdev->dev);
	struct lhv_device *dev, *sibling;
	int ret = 0;

	mutex_lock(&lhv_devices_lock);
	dev = find(pdev);
	sibling = dev && group ? find_sibling(dev, group) : NULL;
	if (!dev) {
		strscpy(why, "lhv does not have it", LHV_WHY_MAX);
		ret = -ENODEV;
	} else if (sibling) {
		/* No driver of the host's gets it as long as a VM has the group. */
		scnprintf(why, LHV_WHY_MAX,
			  "%s of the same IOMMU group is still attached to VM %llu: detach it first",
			  pci_name(sibling->pdev), sibling->vm->id);
		ret = -EBUSY;
	} else {
		swap(*override, dev->former_override);
		strscpy(former, dev->former, sizeof(dev->former));
	}
	mutex_unlock(&lhv_devices_lock);
	iommu_group_put(group);
	return ret;
}

/**
 * lhv_device_unbind() - give a device back to the driver that it had; a VM loses it
 * @pdev: the device
 * @why: what a refusal says
 *
 * Context: process. Return: 0 or -errno.
 */
int lhv_device_unbind(struct pci_dev *pdev, char *why)
{
	char former[sizeof_field(struct lhv_device, former)] = "", *override = NULL;
	int ret;

	guard(mutex)(&bind_lock);
	ret = start_unbind(pdev, &override, former, why);
	if (ret)
		return ret;
	ret = lhv_host_set_driver_override(pdev, override);
	kfree(override);
	if (ret) {
		scnprintf(why, LHV_WHY_MAX, "its driver_override can't be set back (error %d)", ret);
		return ret;
	}
	device_release_driver(&pdev->dev);
	ret = device_attach(&pdev->dev);
	if (ret >= 0)
		return 0;
	scnprintf(why, LHV_WHY_MAX,
		  "given up, but its driver %s does not take it (error %d): see dmesg, and write %s to /sys/bus/pci/drivers_probe",
		  former, ret, pci_name(pdev));
	return ret;
}

/* ---- attach ---- */

static void say_owner(int error, char *why)
{
	switch (error) {
	case -EPERM:
		strscpy(why, "its IOMMU group has an owner: take it from that one first (vfio? a VMM that runs?)",
			LHV_WHY_MAX);
		break;
	case -EINVAL:
		strscpy(why, "firmware wants to reach memory through it (RMRR, IVMD): it has to stay the host's",
			LHV_WHY_MAX);
		break;
	default:
		scnprintf(why, LHV_WHY_MAX,
			  "the kernel does DMA with its IOMMU group (error %d): unbind the drivers of all its members",
			  error);
	}
}

/* Is its group ours as a whole, and no other VM's? */
static int check_group(struct lhv_device *dev, struct lhv_vm *vm, char *why)
{
	static const char foreign[] = ": of the same IOMMU group, and not lhv's";
	struct text blocked = { why, LHV_WHY_MAX };
	struct lhv_device *sibling;

	blocked.room -= sizeof(foreign);
	iommu_group_for_each_dev(dev->group, &blocked, say_blocker);
	if (blocked.n) {
		blocked.room += sizeof(foreign);
		say(&blocked, foreign);
		return -EPERM;
	}
	if (!lhv_host_isolated_msi(dev->group, &dev->pdev->dev) && !unsafe_interrupts) {
		strscpy(why, "no interrupt remapping here, so the guest could send any interrupt: intremap=on and the firmware's switch, or lhv's unsafe_interrupts=1",
			LHV_WHY_MAX);
		return -EPERM;
	}
	sibling = find_sibling(dev, dev->group);
	if (sibling && sibling->vm != vm) {
		scnprintf(why, LHV_WHY_MAX, "VM %llu has %s of the same IOMMU group",
			  sibling->vm->id, pci_name(sibling->pdev));
		return -EBUSY;
	}
	return 0;
}

static int claim_group(struct lhv_device *dev, struct lhv_vm *vm, char *why)
{
	int ret;

	if (find_sibling(dev, dev->group))
		return 0;
	ret = iommu_group_claim_dma_owner(dev->group, vm);
	if (ret)
		say_owner(ret, why);
	return ret;
}

static void release_group(struct lhv_device *dev)
{
	if (!find_sibling(dev, dev->group))
		iommu_group_release_dma_owner(dev->group);
}

/**
 * lhv_device_try_reset() - reset a device, with its configuration kept
 * @dev: the device
 *
 * Whoever unbinds it holds device_lock, and may wait for lhv_devices_lock, which our caller may
 * hold. So this waits only as long as others need it who are soon done (reading driver_override).
 *
 * Context: process; sleeps. Return: 0, -ENOTTY: it can't be reset, -EAGAIN: somebody has it, or
 * what went wrong.
 */
int lhv_device_try_reset(struct lhv_device *dev)
{
	int tries = LOCK_TRIES, ret;

	do {
		ret = pci_try_reset_function(dev->pdev);
		if (ret != -EAGAIN)
			break;
		usleep_range(LOCK_PAUSE_US, 2 * LOCK_PAUSE_US);
	} while (--tries);
	return ret;
}

static void say_reset(int error, char *why)
{
	switch (error) {
	case -ENOTTY:
		strscpy(why, "it can't be reset: what a guest leaves in it stays there (force accepts)",
			LHV_WHY_MAX);
		break;
	case -EAGAIN:
		strscpy(why, "the host is busy with it just now: try again", LHV_WHY_MAX);
		break;
	default:
		scnprintf(why, LHV_WHY_MAX, "its reset failed (error %d): dmesg may say why", error);
	}
}

/* On, silent and fresh. */
static int prepare(struct lhv_device *dev, bool force, char *why)
{
	struct pci_dev *pdev = dev->pdev;
	int ret;

	if (pdev->pin && !pci_intx_mask_supported(pdev) && !force) {
		strscpy(why, "its line (INTx) can't be switched off: a guest could hold it up for all who share it (force accepts)",
			LHV_WHY_MAX);
		return -EPERM;
	}
	ret = pci_enable_device(pdev);
	if (ret) {
		scnprintf(why, LHV_WHY_MAX, "it can't be switched on (error %d): dmesg may say why",
			  ret);
		return ret;
	}
	ret = pci_request_regions(pdev, DRIVER_NAME);
	if (ret) {
		strscpy(why, "its memory is in use by another driver: see /proc/iomem", LHV_WHY_MAX);
		goto err_disable;
	}
	pci_clear_master(pdev);
	ret = lhv_device_try_reset(dev);
	if (ret && !(force && ret == -ENOTTY)) {
		say_reset(ret, why);
		goto err_regions;
	}
	pci_clear_master(pdev);
	/* Switching it on has let its line through, too, which others may share. Nobody handles it. */
	pci_intx(pdev, false);
	pci_save_state(pdev);
	dev->saved = pci_store_saved_state(pdev);
	return 0;

err_regions:
	pci_release_regions(pdev);
err_disable:
	pci_disable_device(pdev);
	return ret;
}

/* The way back of prepare(), of a device that may be gone. @locked: device_lock is held. */
static void retire(struct lhv_device *dev, bool locked)
{
	struct pci_dev *pdev = dev->pdev;
	int ret;

	dev->stale = false;
	if (!pci_device_is_present(pdev))
		goto gone;
	pci_clear_master(pdev);
	ret = locked ? pci_reset_function_locked(pdev) : lhv_device_try_reset(dev);
	dev->stale = ret == -EAGAIN;
	if (ret && ret != -ENOTTY && !dev->stale)
		pci_warn(pdev, "lhv: it could not be reset (error %d)\n", ret);
	if (dev->saved && !pci_load_and_free_saved_state(pdev, &dev->saved))
		pci_restore_state(pdev);
	pci_clear_master(pdev);
	/* Its next driver lets the line through again. */
	pci_intx(pdev, false);
gone:
	kfree(dev->saved);
	dev->saved = NULL;
	pci_release_regions(pdev);
	pci_disable_device(pdev);
}

static int attach(struct lhv_device *dev, struct lhv_vm *vm, bool force, struct lhv_dma **fresh,
		  char *why)
{
	int ret;

	dev->group = iommu_group_get(&dev->pdev->dev);
	if (!dev->group) {
		strscpy(why, no_iommu, LHV_WHY_MAX);
		return -EOPNOTSUPP;
	}
	ret = check_group(dev, vm, why);
	if (!ret && !vm->dma && !*fresh)
		ret = 1;
	if (!ret)
		ret = claim_group(dev, vm, why);
	if (ret)
		goto err_group;
	ret = prepare(dev, force, why);
	if (ret)
		goto err_release;
	ret = lhv_dma_attach(vm, dev, !find_sibling(dev, dev->group), fresh, why);
	if (ret)
		goto err_retire;
	mutex_lock(&dev->setup_lock);
	lhv_device_init_irqs(dev);
	dev->vm = vm;
	lhv_bars_open(dev);
	mutex_unlock(&dev->setup_lock);
	lhv_tell_device(dev->pdev, LHV_DEVICE_EVENT_ATTACHED, vm->id);
	return 0;

err_retire:
	retire(dev, false);
err_release:
	release_group(dev);
err_group:
	iommu_group_put(dev->group);
	dev->group = NULL;
	return ret;
}

/**
 * lhv_device_give() - give a device to a VM, whose memory may have to be pinned first
 * @vm: the VM; its slots_lock is held, and lhv_devices_lock
 * @pdev: the device
 * @force: even if it can't be reset
 * @fresh: all memory of the VM, pinned; NULL: not yet. NULL on return: taken
 * @why: what a refusal says
 *
 * Return: 0, -errno, or 1: the VM's memory has to be pinned first.
 */
int lhv_device_give(struct lhv_vm *vm, struct pci_dev *pdev, bool force, struct lhv_dma **fresh,
		    char *why)
{
	struct lhv_device *dev;

	lockdep_assert_held(&lhv_devices_lock);
	WRITE_ONCE(vm->had_device, true);
	smp_mb();	/* before we look whether it ends; pairs with lhv_passthrough_revoke()'s */
	dev = find(pdev);
	if (!dev) {
		strscpy(why, "lhv does not have it: bind it first", LHV_WHY_MAX);
		return -ENODEV;
	}
	if (dev->vm) {
		scnprintf(why, LHV_WHY_MAX, "VM %llu has it", dev->vm->id);
		return -EBUSY;
	}
	if (READ_ONCE(vm->bugged)) {
		strscpy(why, "this VM was killed", LHV_WHY_MAX);
		return -ESHUTDOWN;
	}
	return attach(dev, vm, force, fresh, why);
}

/* ---- and back ---- */

/*
 * No DMA is begun, no interrupt comes, the guest does not reach it, and then the reset ends what is
 * still under way. Only after that the IOMMU is told that the device has no memory. The pages of
 * the VM's last device go with lhv_dma_free(), which is for the caller, without the lock. Nothing
 * here waits for the guest or the VMM. @locked: device_lock is held.
 */
static struct lhv_dma *release(struct lhv_device *dev, bool locked)
{
	struct lhv_vm *vm = dev->vm;
	struct lhv_dma *dma;

	lockdep_assert_held(&lhv_devices_lock);
	if (!vm)
		return NULL;
	mutex_lock(&dev->setup_lock);
	pci_clear_master(dev->pdev);
	lhv_device_free_irqs(dev);
	lhv_bars_revoke(dev);
	dev->vm = NULL;
	mutex_unlock(&dev->setup_lock);

	retire(dev, locked);
	dma = lhv_dma_detach(vm, dev, !find_sibling(dev, dev->group));
	release_group(dev);
	iommu_group_put(dev->group);
	dev->group = NULL;
	lhv_tell_device(dev->pdev, LHV_DEVICE_EVENT_DETACHED, vm->id);
	return dma;
}

/**
 * lhv_device_detach() - take a device away from a VM
 * @vm: the VM that has it, or NULL for any
 * @pdev: the device
 * @why: what a refusal says
 *
 * Context: process. Return: 0 or -errno.
 */
int lhv_device_detach(struct lhv_vm *vm, struct pci_dev *pdev, char *why)
{
	struct lhv_dma *dma = NULL;
	struct lhv_device *dev;
	int ret = 0;

	mutex_lock(&lhv_devices_lock);
	dev = find(pdev);
	if (!dev || !dev->vm || (vm && dev->vm != vm)) {
		strscpy(why, vm ? "this VM does not have it" : "no VM has it", LHV_WHY_MAX);
		ret = -ENODEV;
	} else {
		dma = release(dev, false);
	}
	mutex_unlock(&lhv_devices_lock);
	lhv_dma_free(dma);
	return ret;
}

/* See passthrough.h. */
void lhv_passthrough_revoke(struct lhv_vm *vm)
{
	struct lhv_dma *dma = NULL;
	struct lhv_device *dev;

	/*
	 * What ends the VM was made known before: killed, its process gone, its last reference too.
	 * Either lhv_device_give() sees that, or we see what it has said.
	 */
	smp_mb();	/* pairs with lhv_device_give()'s */
	if (!READ_ONCE(vm->had_device))
		return;
	mutex_lock(&lhv_devices_lock);
	list_for_each_entry(dev, &lhv_devices, link) {
		/* The last one has something left. */
		if (dev->vm == vm)
			dma = release(dev, false);
	}
	mutex_unlock(&lhv_devices_lock);
	lhv_dma_free(dma);
}

/* ---- what the host has ---- */

static atomic_t changes;	/* how often a function came or went */

static int bus_event(struct notifier_block *nb, unsigned long event, void *data)
{
	if (event == BUS_NOTIFY_ADD_DEVICE || event == BUS_NOTIFY_REMOVED_DEVICE)
		atomic_inc(&changes);
	return NOTIFY_DONE;
}

static struct notifier_block bus_notifier = { .notifier_call = bus_event };

/* Changes whenever a PCI function comes or goes; never 0. Context: any. */
u32 lhv_devices_version(void)
{
	return (u32)atomic_read(&changes) << 1 | 1;
}

/* ---- the module ---- */

int lhv_passthrough_init(void)
{
	int ret = lhv_bars_init();

	if (ret)
		return ret;
	ret = lhv_dma_init();
	if (ret)
		goto err_bars;
	ret = lhv_attach_init();
	if (ret)
		goto err_dma;
	ret = bus_register_notifier(&pci_bus_type, &bus_notifier);
	if (ret)
		goto err_attach;
	return 0;

err_attach:
	lhv_attach_exit();
err_dma:
	lhv_dma_exit();
err_bars:
	lhv_bars_exit();
	return ret;
}

/* No request is under way any more. */
void lhv_passthrough_exit(void)
{
	bus_unregister_notifier(&pci_bus_type, &bus_notifier);
	lhv_attach_exit();
	lhv_dma_exit();
	lhv_bars_exit();
}

int lhv_passthrough_register(void)
{
	int ret = pci_register_driver(&driver);

	if (ret)
		return ret;
	mutex_lock(&bind_lock);
	registered = true;
	mutex_unlock(&bind_lock);
	if (unsafe_interrupts) {
		pr_warn("lhv: unsafe_interrupts=1: guests with devices can send any interrupt to this host\n");
		add_taint(TAINT_USER, LOCKDEP_STILL_OK);
	}
	return 0;
}

/*
 * No VM can be made any more, and none runs; a request may still come. What is ours goes back to
 * the host's drivers.
 */
void lhv_passthrough_unregister(void)
{
	struct lhv_device *dev;
	char why[LHV_WHY_MAX];
	struct pci_dev *pdev;
	bool stuck;
	int ret;

	mutex_lock(&bind_lock);
	registered = false;
	mutex_unlock(&bind_lock);
	for (;;) {
		mutex_lock(&lhv_devices_lock);
		dev = list_first_entry_or_null(&lhv_devices, struct lhv_device, link);
		pdev = dev ? pci_dev_get(dev->pdev) : NULL;
		mutex_unlock(&lhv_devices_lock);
		if (!pdev)
			break;
		ret = lhv_device_unbind(pdev, why);
		if (ret)
			pci_warn(pdev, "lhv: %s\n", why);
		stuck = is_ours(pdev);
		pci_dev_put(pdev);
		if (stuck)
			break;
	}
	pci_unregister_driver(&driver);
}
