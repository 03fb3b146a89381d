// SPDX-License-Identifier: GPL-2.0
/*
 * lhv irq/ - irqfd: an eventfd that raises a GSI.
 *
 * The wake-up callback of the eventfd delivers at once: everything below
 * lhv_irq_pulse() is under raw locks or atomic. Nothing sleeps, no thread.
 *
 * An irqfd belongs to its VM and is on vm->irq.irqfds. Whoever takes it off
 * that list, under vm->irq.lock, destroys it: KVM_IRQFD with DEASSIGN, the VM's
 * teardown, or the work item that the closing of the eventfd queues. destroy()
 * then ends the contexts that may still know it:
 *   the callback   gone once eventfd_ctx_remove_wait_queue() returns
 *   the work item  queued by the callback alone; cancelled after it, or it is the caller
 *   SRCU readers   (resampling) walk the resampler's list; waited for
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "internal.h"

struct lhv_irqfd {
	struct lhv_vm *vm;		/* I */
	u32 gsi;			/* I */
	struct eventfd_ctx *eventfd;	/* I holds a reference */
	struct eventfd_ctx *resamplefd;	/* I NULL: not resampling; holds a reference */
	struct lhv_resampler *resampler; /* I irq.lock to leave it */
	struct list_head link;		/* irq.lock: vm->irq.irqfds; empty: somebody destroys it */
	struct list_head doomed;	/* of the one who destroys it */
	struct list_head resampler_link; /* irq.lock; SRCU readers */
	wait_queue_entry_t wait;
	wait_queue_head_t *wqh;		/* I the eventfd's */
	poll_table poll;
	struct work_struct hangup;
};

static struct workqueue_struct *hangup_wq;

int lhv_irq_module_init(void)
{
	hangup_wq = alloc_workqueue("lhv-irqfd", WQ_UNBOUND, 0);
	return hangup_wq ? 0 : -ENOMEM;
}

void lhv_irq_module_exit(void)
{
	destroy_workqueue(hangup_wq);
}

/* ---- resampling ---- */

static void signal_resampler(struct lhv_resampler *r)
{
	int idx = srcu_read_lock(&r->vm->irq.srcu);
	struct lhv_irqfd *irqfd;

	list_for_each_entry_srcu(irqfd, &r->irqfds, resampler_link,
				 srcu_read_lock_held(&r->vm->irq.srcu))
		lhv_host_eventfd_signal(irqfd->resamplefd);
	srcu_read_unlock(&r->vm->irq.srcu, idx);
}

static void resampler_work(struct work_struct *work)
{
	signal_resampler(container_of(work, struct lhv_resampler, work));
}

/* EOI: the line goes down, and who drives it is asked to look again. Under vm->irq.srcu. */
void lhv_resampler_acked(struct lhv_resampler *r)
{
	lhv_irq_line(r->vm, LHV_IRQ_SOURCE_RESAMPLE, r->gsi, 0);
	if (lhv_host_wakes_in_atomic())
		signal_resampler(r);
	else
		queue_work(hangup_wq, &r->work);
}

static int join_resampler(struct lhv_irqfd *irqfd)
{
	struct lhv_vm *vm = irqfd->vm;
	struct lhv_resampler *r;

	lockdep_assert_held(&vm->irq.lock);
	list_for_each_entry(r, &vm->irq.resamplers, link) {
		if (r->gsi == irqfd->gsi)
			goto found;
	}
	r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	if (!r)
		return -ENOMEM;
	r->vm = vm;
	r->gsi = irqfd->gsi;
	INIT_LIST_HEAD(&r->irqfds);
	INIT_WORK(&r->work, resampler_work);
	list_add_rcu(&r->link, &vm->irq.resamplers);
found:
	list_add_rcu(&irqfd->resampler_link, &r->irqfds);
	irqfd->resampler = r;
	return 0;
}

static void leave_resampler(struct lhv_irqfd *irqfd)
{
	struct lhv_resampler *r = irqfd->resampler;
	struct lhv_vm *vm = irqfd->vm;
	bool last;

	if (!r)
		return;
	mutex_lock(&vm->irq.lock);
	list_del_rcu(&irqfd->resampler_link);
	last = list_empty(&r->irqfds);
	if (last)
		list_del_rcu(&r->link);
	synchronize_srcu_expedited(&vm->irq.srcu);
	if (last)
		lhv_irq_line(vm, LHV_IRQ_SOURCE_RESAMPLE, r->gsi, 0);
	mutex_unlock(&vm->irq.lock);

	if (last) {
		cancel_work_sync(&r->work);
		kfree(r);
	}
}

/* ---- the eventfd ---- */

static void deliver(struct lhv_irqfd *irqfd)
{
	if (irqfd->resampler) {
		lhv_irq_line(irqfd->vm, LHV_IRQ_SOURCE_RESAMPLE, irqfd->gsi, 1);
		return;
	}
	lhv_irq_pulse(irqfd->vm, LHV_IRQ_SOURCE_IRQFD, irqfd->gsi);
}

/* The eventfd was written or closed. Its wait queue's lock is held, interrupts are off. */
static int wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct lhv_irqfd *irqfd = container_of(wait, struct lhv_irqfd, wait);
	__poll_t events = key_to_poll(key);
	u64 count;

	if (events & EPOLLIN) {
		eventfd_ctx_do_read(irqfd->eventfd, &count);
		deliver(irqfd);
	}
	if (events & EPOLLHUP)
		queue_work(hangup_wq, &irqfd->hangup);
	return !!(events & EPOLLIN);
}

static void join_wait_queue(struct file *file, wait_queue_head_t *wqh, poll_table *poll)
{
	struct lhv_irqfd *irqfd = container_of(poll, struct lhv_irqfd, poll);

	irqfd->wqh = wqh;
	add_wait_queue_priority(wqh, &irqfd->wait);
}

/* Off the list, by the caller; @own_work: the caller is its work item. */
static void destroy(struct lhv_irqfd *irqfd, bool own_work)
{
	u64 count;

	if (irqfd->wqh)
		eventfd_ctx_remove_wait_queue(irqfd->eventfd, &irqfd->wait, &count);
	if (!own_work)
		cancel_work_sync(&irqfd->hangup);
	leave_resampler(irqfd);
	if (irqfd->resamplefd)
		eventfd_ctx_put(irqfd->resamplefd);
	eventfd_ctx_put(irqfd->eventfd);
	kfree(irqfd);
}

static void hangup(struct work_struct *work)
{
	struct lhv_irqfd *irqfd = container_of(work, struct lhv_irqfd, hangup);
	struct lhv_vm *vm = irqfd->vm;
	bool ours;

	mutex_lock(&vm->irq.lock);
	ours = !list_empty(&irqfd->link);
	list_del_init(&irqfd->link);
	mutex_unlock(&vm->irq.lock);
	/* If not, whoever took it off the list waits for us before it frees it. */
	if (ours)
		destroy(irqfd, true);
}

/* An event that came before we listened is delivered now, and only once. */
static void take_waiting(struct lhv_irqfd *irqfd)
{
	u64 count = 0;

	spin_lock_irq(&irqfd->wqh->lock);
	eventfd_ctx_do_read(irqfd->eventfd, &count);
	spin_unlock_irq(&irqfd->wqh->lock);
	if (count)
		deliver(irqfd);
}

/* On the list and listening, or -EBUSY, -ENOMEM. irq.lock held. */
static int attach(struct lhv_irqfd *irqfd, struct file *file)
{
	struct lhv_vm *vm = irqfd->vm;
	struct lhv_irqfd *other;
	int ret;

	lockdep_assert_held(&vm->irq.lock);
	list_for_each_entry(other, &vm->irq.irqfds, link) {
		if (other->eventfd == irqfd->eventfd)
			return -EBUSY;
	}
	if (irqfd->resamplefd) {
		ret = join_resampler(irqfd);
		if (ret)
			return ret;
	}
	list_add_tail(&irqfd->link, &vm->irq.irqfds);
	/* The eventfd cannot hang up before our caller drops @file. */
	if (vfs_poll(file, &irqfd->poll) & EPOLLIN)
		take_waiting(irqfd);
	return 0;
}

static int assign(struct lhv_vm *vm, const struct kvm_irqfd *args)
{
	struct lhv_irqfd *irqfd;
	struct file *file;
	int ret;

	irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);
	if (!irqfd)
		return -ENOMEM;
	irqfd->vm = vm;
	irqfd->gsi = args->gsi;
	INIT_LIST_HEAD(&irqfd->link);
	INIT_WORK(&irqfd->hangup, hangup);
	init_waitqueue_func_entry(&irqfd->wait, wakeup);
	init_poll_funcptr(&irqfd->poll, join_wait_queue);

	file = eventfd_fget(args->fd);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		goto err_free;
	}
	irqfd->eventfd = eventfd_ctx_fileget(file);
	if (IS_ERR(irqfd->eventfd)) {
		ret = PTR_ERR(irqfd->eventfd);
		goto err_file;
	}
	if (args->flags & KVM_IRQFD_FLAG_RESAMPLE) {
		irqfd->resamplefd = eventfd_ctx_fdget(args->resamplefd);
		if (IS_ERR(irqfd->resamplefd)) {
			ret = PTR_ERR(irqfd->resamplefd);
			goto err_eventfd;
		}
	}

	mutex_lock(&vm->irq.lock);
	ret = attach(irqfd, file);
	mutex_unlock(&vm->irq.lock);
	if (ret)
		goto err_resamplefd;
	fput(file);
	return 0;

err_resamplefd:
	if (irqfd->resamplefd)
		eventfd_ctx_put(irqfd->resamplefd);
err_eventfd:
	eventfd_ctx_put(irqfd->eventfd);
err_file:
	fput(file);
err_free:
	kfree(irqfd);
	return ret;
}

/* Take irqfds off the VM's list and destroy them: those of @eventfd and @gsi, or all. */
static void destroy_matching(struct lhv_vm *vm, struct eventfd_ctx *eventfd, u32 gsi)
{
	struct lhv_irqfd *irqfd, *next;
	LIST_HEAD(doomed);

	mutex_lock(&vm->irq.lock);
	list_for_each_entry_safe(irqfd, next, &vm->irq.irqfds, link) {
		if (eventfd && (irqfd->eventfd != eventfd || irqfd->gsi != gsi))
			continue;
		list_del_init(&irqfd->link);
		list_add(&irqfd->doomed, &doomed);
	}
	mutex_unlock(&vm->irq.lock);

	list_for_each_entry_safe(irqfd, next, &doomed, doomed)
		destroy(irqfd, false);
	/* Others may be in their work items: they are gone, too, when we return. */
	flush_workqueue(hangup_wq);
}

static int deassign(struct lhv_vm *vm, const struct kvm_irqfd *args)
{
	struct eventfd_ctx *eventfd = eventfd_ctx_fdget(args->fd);

	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	destroy_matching(vm, eventfd, args->gsi);
	eventfd_ctx_put(eventfd);
	return 0;
}

int lhv_irqfd(struct lhv_vm *vm, const struct kvm_irqfd *args)
{
	if (args->flags & ~(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	if (args->flags & KVM_IRQFD_FLAG_DEASSIGN)
		return deassign(vm, args);
	if (args->gsi >= LHV_MAX_ROUTES || !lhv_has_lapic(vm))
		return -EINVAL;
	/* With split chips the EOI goes to the VMM, which resamples by itself. */
	if ((args->flags & KVM_IRQFD_FLAG_RESAMPLE) && vm->irq.mode != LHV_IRQCHIP_KERNEL)
		return -EINVAL;
	return assign(vm, args);
}

void lhv_irqfd_destroy_all(struct lhv_vm *vm)
{
	destroy_matching(vm, NULL, 0);
}
