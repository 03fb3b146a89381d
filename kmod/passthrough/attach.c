// SPDX-License-Identifier: GPL-2.0
/*
 * lhv passthrough/ - who asks for a device to be attached, and how long he waits for that.
 *
 * All memory of the VM is pinned, and a VMM can have that take for ever: a page comes from a file
 * system in userspace. Some waits nothing ends, not even SIGKILL (that of an mm's last user for its
 * AIO is another one); and while a netlink request waits no family of the host's can come or go,
 * and behind one that would no request of any family gets on. So a worker does it, and who asked
 * waits for the worker: not for ever, and not when he is killed. The worker goes on then until that
 * page is there, and gives everything back.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "passthrough/device.h"
#include "passthrough/passthrough.h"

/* For slots_lock, which a VMM can hold for ever: all in all a tenth of a second. */
#define LOCK_TRIES	20
#define LOCK_PAUSE_US	5000
/* So long may a VM's memory take to come, and as long again for each GiB (from a slow disk, say). */
#define PIN_TIME	(20 * HZ)
/* So long a worker that does not wait for a page may take to see that nobody waits for it. */
#define NOTICE_TIME	(2 * HZ)

/**
 * struct attachment - a device on its way to a VM
 * @work: the worker's, who has references to the module, @vm and @pdev
 * @users: the worker, and who asked
 * @vm: the VM
 * @pdev: the device
 * @force: even if it can't be reset
 * @attached: the VM has it; lhv_devices_lock
 * @given_up: nobody waits for that any more; lhv_devices_lock, and the worker peeks
 * @done: @ret and @why are there, and the worker has put @vm and @pdev
 * @ret: the answer
 * @why: what a refusal says
 */
struct attachment {
	struct work_struct work;
	refcount_t users;
	struct lhv_vm *vm;
	struct pci_dev *pdev;
	bool force, attached, given_up;
	struct completion done;
	int ret;
	char why[LHV_WHY_MAX];
};

static struct workqueue_struct *attach_wq;

int lhv_attach_init(void)
{
	attach_wq = alloc_workqueue("lhv-attach", WQ_UNBOUND, 0);
	return attach_wq ? 0 : -ENOMEM;
}

/* A worker that has put the module may not have returned yet. */
void lhv_attach_exit(void)
{
	destroy_workqueue(attach_wq);
}

/* ---- the worker's ---- */

static int lock_slots(struct lhv_vm *vm, char *why)
{
	int tries = LOCK_TRIES;

	while (!mutex_trylock(&vm->mem.slots_lock)) {
		if (!--tries) {
			strscpy(why, "its memory is being changed or pinned: try again", LHV_WHY_MAX);
			return -EAGAIN;
		}
		usleep_range(LOCK_PAUSE_US, 2 * LOCK_PAUSE_US);
	}
	return 0;
}

static int try_attach(struct attachment *a, struct lhv_dma **fresh)
{
	int ret;

	guard(mutex)(&lhv_devices_lock);
	if (a->given_up)
		return -EINTR;
	ret = lhv_device_give(a->vm, a->pdev, a->force, fresh, a->why);
	a->attached = !ret;
	return ret;
}

static int pin_and_attach(struct attachment *a)
{
	struct lhv_dma *fresh = NULL;
	struct lhv_vm *vm = a->vm;
	int ret;

	/* Given back outside of the locks: the last one to do so comes to lhv_passthrough_revoke(). */
	if (!mmget_not_zero(vm->mm)) {
		strscpy(a->why, "the process of this VM has ended", LHV_WHY_MAX);
		return -ESHUTDOWN;
	}
	ret = lock_slots(vm, a->why);
	if (ret)
		goto out;
	ret = try_attach(a, &fresh);
	/* Its first device. No other one comes before slots_lock is released. */
	if (ret > 0) {
		fresh = lhv_dma_pin(vm, &a->given_up, a->why);
		ret = PTR_ERR_OR_ZERO(fresh);
		if (!ret)
			ret = try_attach(a, &fresh);
		lhv_dma_free(fresh);
	}
	mutex_unlock(&vm->mem.slots_lock);
out:
	mmput(vm->mm);
	return ret;
}

static void put_attachment(struct attachment *a)
{
	if (refcount_dec_and_test(&a->users))
		kfree(a);
}

static void attach_work(struct work_struct *work)
{
	struct attachment *a = container_of(work, struct attachment, work);
	/* What it takes to remember the VM's pages is its owner's to pay. */
	struct mem_cgroup *memcg = get_mem_cgroup_from_mm(a->vm->mm);
	struct mem_cgroup *old = set_active_memcg(memcg);

	a->ret = pin_and_attach(a);
	set_active_memcg(old);
	mem_cgroup_put(memcg);
	pci_dev_put(a->pdev);
	lhv_vm_put(a->vm);
	complete(&a->done);
	put_attachment(a);
	module_put(THIS_MODULE);
}

/* ---- who asks ---- */

static struct attachment *new_attachment(struct lhv_vm *vm, struct pci_dev *pdev, bool force)
{
	struct attachment *a;

	if (!try_module_get(THIS_MODULE))
		return NULL;
	a = kzalloc(sizeof(*a), GFP_KERNEL);
	if (!a) {
		module_put(THIS_MODULE);
		return NULL;
	}
	lhv_vm_get(vm);
	a->vm = vm;
	a->pdev = pci_dev_get(pdev);
	a->force = force;
	refcount_set(&a->users, 2);
	init_completion(&a->done);
	INIT_WORK(&a->work, attach_work);
	return a;
}

/* It is not attached any more then; unless it is already. */
static bool give_up(struct attachment *a)
{
	guard(mutex)(&lhv_devices_lock);
	if (a->attached)
		return false;
	WRITE_ONCE(a->given_up, true);
	return true;
}

/**
 * lhv_device_attach() - give a device to a VM
 * @vm: the VM; the caller has a reference
 * @pdev: the device
 * @force: even if it can't be reset
 * @why: what a refusal says
 *
 * Context: process; waits until the VM's memory is pinned, or takes too long to come. Return: 0
 * or -errno; -EAGAIN, -EINTR: it was not attached, and will not be.
 */
int lhv_device_attach(struct lhv_vm *vm, struct pci_dev *pdev, bool force, char *why)
{
	/* More than the host has can't be pinned. */
	u64 pages = min_t(u64, READ_ONCE(vm->mem.slot_pages), totalram_pages());
	struct attachment *a = new_attachment(vm, pdev, force);
	bool given_up, done;
	long ret;

	if (!a) {
		strscpy(why, "the host is short of memory", LHV_WHY_MAX);
		return -ENOMEM;
	}
	queue_work(attach_wq, &a->work);
	ret = wait_for_completion_killable_timeout(&a->done, PIN_TIME + pages * PIN_TIME /
						   (SZ_1G >> PAGE_SHIFT));
	given_up = ret <= 0 && give_up(a);
	done = ret > 0 || wait_for_completion_timeout(&a->done, NOTICE_TIME);
	/* A VMM that attaches its own device has then left nothing behind when it has died. */
	if (done)
		flush_work(&a->work);
	if (!given_up) {
		ret = done ? a->ret : 0;
		if (done)
			strscpy(why, a->why, LHV_WHY_MAX);
	} else if (ret) {
		ret = -EINTR;
	} else {
		strscpy(why, "its VMM's memory comes too slowly: try again", LHV_WHY_MAX);
		ret = -EAGAIN;
	}
	put_attachment(a);
	return ret;
}
