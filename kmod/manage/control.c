// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - what can be done to a VM from outside, on any VMM: pause, resume, ask it to
 * stop, kill; and the watch for vCPUs that make no progress.
 *
 * Pausing goes through the vCPUs' pending words, so it costs the guest nothing while
 * nobody pauses it:
 *
 *   pauser:  paused = true;   set LHV_REQ_PAUSE;    kick
 *   vCPU:    clear LHV_REQ_PAUSE;  read paused;  if so: set it again and wait
 *   resumer: paused = false;  wake
 *
 * The bit's atomic operations are full barriers: a vCPU that clears it before the
 * pauser set it meets it again, and one that clears it afterwards sees paused.
 */
#include <linux/ctype.h>
#include <linux/eventfd.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/timekeeping.h>
#include <linux/user_namespace.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>

#include "manage/event.h"
#include "lhv.h"
#include "passthrough/passthrough.h"

/* ---- the management part's life ---- */

/**
 * lhv_manage_create() - remember who creates the VM
 * @vm: new, known to nobody
 *
 * Context: process, the creator's. Cannot fail.
 */
void lhv_manage_create(struct lhv_vm *vm)
{
	struct lhv_owner *owner = &vm->manage.owner;
	char *c;

	mutex_init(&vm->manage.lock);
	INIT_HLIST_NODE(&vm->manage.by_name);
	vm->manage.created = ktime_get_boottime_ns();
	owner->pid = get_pid(task_tgid(current));
	owner->start_time = current->group_leader->start_boottime;
	owner->uid = current_uid();
	owner->user_ns = get_user_ns(current_user_ns());
	owner->net = get_net(current->nsproxy->net_ns);
	get_task_comm(owner->comm, current->group_leader);
	/* It may be any bytes, and goes to clients as text. */
	for (c = owner->comm; *c; c++) {
		if (!isascii(*c) || !isprint(*c))
			*c = '?';
	}
}

/* Nobody can find the VM any more. Context: process. */
void lhv_manage_destroy(struct lhv_vm *vm)
{
	struct lhv_owner *owner = &vm->manage.owner;

	if (vm->manage.stop)
		eventfd_ctx_put(vm->manage.stop);
	put_net(owner->net);
	put_user_ns(owner->user_ns);
	put_pid(owner->pid);
}

/**
 * lhv_vm_state() - what becomes of the VM
 * @vm: the VM
 *
 * Context: any; a snapshot.
 */
enum lhv_vm_state lhv_vm_state(struct lhv_vm *vm)
{
	const struct lhv_manage *m = &vm->manage;

	if (READ_ONCE(m->killed) || READ_ONCE(vm->bugged))
		return LHV_VM_STATE_KILLED;
	if (READ_ONCE(m->crashed))
		return LHV_VM_STATE_CRASHED;
	if (READ_ONCE(m->paused))
		return LHV_VM_STATE_PAUSED;
	if (READ_ONCE(m->stop_requested))
		return LHV_VM_STATE_STOPPING;
	return READ_ONCE(m->ran) ? LHV_VM_STATE_RUNNING : LHV_VM_STATE_CREATED;
}

/* ---- pause and resume ---- */

/**
 * lhv_vm_pause() - let no vCPU run
 * @vm: the VM
 *
 * Context: process, may sleep. Every vCPU has left the guest on return. Return: 0, -EALREADY,
 * or -ESHUTDOWN when the VM was killed.
 */
int lhv_vm_pause(struct lhv_vm *vm)
{
	struct lhv_manage *m = &vm->manage;
	int ret = 0;

	mutex_lock(&m->lock);
	if (m->killed) {
		ret = -ESHUTDOWN;
	} else if (m->paused) {
		ret = -EALREADY;
	} else {
		WRITE_ONCE(m->paused, true);
		smp_mb();	/* pairs with lhv_vcpu_created()'s: one sees the other */
		lhv_request_all(vm, LHV_REQ_PAUSE, false);	/* wakes the halted */
		lhv_request_all(vm, LHV_REQ_PAUSE, true);	/* waits for the others */
		lhv_tell_vm(vm, LHV_VM_EVENT_PAUSED);
	}
	mutex_unlock(&m->lock);
	return ret;
}

/**
 * lhv_vm_resume() - undo lhv_vm_pause()
 * @vm: the VM
 *
 * Context: process. Return: 0, -EALREADY when it is not paused, or -ESHUTDOWN when it was
 * killed.
 */
int lhv_vm_resume(struct lhv_vm *vm)
{
	struct lhv_manage *m = &vm->manage;
	struct lhv_vcpu *vcpu;
	int i, ret = 0;

	mutex_lock(&m->lock);
	if (m->killed) {
		ret = -ESHUTDOWN;
	} else if (!m->paused) {
		ret = -EALREADY;
	} else {
		WRITE_ONCE(m->paused, false);
		smp_mb();	/* before the wake-up looks whether somebody waits */
		lhv_for_each_vcpu(i, vcpu, vm)
			lhv_kick(vcpu);
		lhv_tell_vm(vm, LHV_VM_EVENT_RESUMED);
	}
	mutex_unlock(&m->lock);
	return ret;
}

/**
 * lhv_vcpu_wait_resume() - serve LHV_REQ_PAUSE
 * @vcpu: the vCPU, in the slow tier
 *
 * Returns when the VM is not paused, and then the bit is clear; or, the bit still set, when a
 * signal came or the VM was killed.
 */
void lhv_vcpu_wait_resume(struct lhv_vcpu *vcpu)
{
	struct lhv_vm *vm = vcpu->vm;

	/* Whatever comes of it, time has passed that the guest did not have. */
	lhv_kvmclock_ctrl(vcpu);
	lhv_gate_enough(vcpu);
	while (test_and_clear_bit(LHV_REQ_PAUSE, &vcpu->pending)) {
		if (!READ_ONCE(vm->manage.paused))
			return;
		set_bit(LHV_REQ_PAUSE, &vcpu->pending);
		WRITE_ONCE(vcpu->manage.state, LHV_VCPU_STATE_PAUSED);
		rcuwait_wait_event(&vcpu->wait,
				   !READ_ONCE(vm->manage.paused) || signal_pending(current) ||
				   test_bit(LHV_REQ_DEAD, &vcpu->pending), TASK_INTERRUPTIBLE);
		WRITE_ONCE(vcpu->manage.state, LHV_VCPU_STATE_RUNNING);
		if (signal_pending(current) || test_bit(LHV_REQ_DEAD, &vcpu->pending))
			return;
	}
}

/* ---- stop and kill ---- */

/**
 * lhv_vm_set_stop_eventfd() - LHV_SET_STOP_EVENTFD
 * @vm: the VM
 * @fd: an eventfd, or -1 for none
 *
 * Context: process. Return: 0, -EINVAL, or what is wrong with @fd.
 */
int lhv_vm_set_stop_eventfd(struct lhv_vm *vm, int fd)
{
	struct eventfd_ctx *ctx = NULL;

	if (fd < -1)
		return -EINVAL;
	if (fd >= 0) {
		ctx = eventfd_ctx_fdget(fd);
		if (IS_ERR(ctx))
			return PTR_ERR(ctx);
	}
	mutex_lock(&vm->manage.lock);
	swap(ctx, vm->manage.stop);
	mutex_unlock(&vm->manage.lock);
	if (ctx)
		eventfd_ctx_put(ctx);
	return 0;
}

/**
 * lhv_vm_ask_stop() - ask the VMM to stop the VM
 * @vm: the VM
 *
 * Context: process. Return: 0, -EOPNOTSUPP when the VMM does not want to be asked, or
 * -ESHUTDOWN when the VM was killed.
 */
int lhv_vm_ask_stop(struct lhv_vm *vm)
{
	struct lhv_manage *m = &vm->manage;
	int ret = 0;

	mutex_lock(&m->lock);
	if (m->killed) {
		ret = -ESHUTDOWN;
	} else if (!m->stop) {
		ret = -EOPNOTSUPP;
	} else {
		WRITE_ONCE(m->stop_requested, true);
		/* The VMM may be gone before the next line: what comes of it is told after this. */
		lhv_tell_vm(vm, LHV_VM_EVENT_STOP_REQUESTED);
		lhv_host_eventfd_signal(m->stop);
	}
	mutex_unlock(&m->lock);
	return ret;
}

/**
 * lhv_vm_kill() - end the VM whatever its VMM does
 * @vm: the VM
 *
 * Every KVM_RUN returns -EIO, every ioctl does from now on, and nothing of the guest's memory
 * is mapped any more. Context: process, may sleep. Return: 0 or -EALREADY.
 */
int lhv_vm_kill(struct lhv_vm *vm)
{
	struct lhv_manage *m = &vm->manage;
	int ret = 0;

	mutex_lock(&m->lock);
	if (m->killed) {
		ret = -EALREADY;
	} else {
		WRITE_ONCE(m->killed, true);
		WRITE_ONCE(vm->bugged, true);
		smp_mb();	/* pairs with lhv_vcpu_created()'s */
		lhv_request_all(vm, LHV_REQ_DEAD, false);	/* wakes who sleeps */
		lhv_request_all(vm, LHV_REQ_DEAD, true);	/* waits for who runs */
		lhv_passthrough_revoke(vm);
		lhv_mem_give_up(vm);
		lhv_vm_ended(vm);
	}
	mutex_unlock(&m->lock);
	return ret;
}

/* The VM is no more: tell it, once. Context: process. */
void lhv_vm_ended(struct lhv_vm *vm)
{
	enum lhv_stop_reason reason = LHV_STOP_REASON_CLOSED;

	if (READ_ONCE(vm->manage.killed))
		reason = LHV_STOP_REASON_KILLED;
	else if (READ_ONCE(vm->bugged))
		reason = LHV_STOP_REASON_BUG;
	if (!xchg(&vm->manage.end_told, true))
		lhv_tell_stopped(vm, reason);
}

/* The creator's mm is going away. Context: process, may sleep. */
void lhv_vm_owner_gone(struct lhv_vm *vm)
{
	/* One that never was, or goes in the ordinary way, ends its notifier too. */
	if (!vm->id || !refcount_read(&vm->refs))
		return;
	WRITE_ONCE(vm->manage.owner_gone, true);
	lhv_passthrough_revoke(vm);
	lhv_tell_vm(vm, LHV_VM_EVENT_OWNER_GONE);
}

/* ---- vCPUs: what their own threads tell ---- */

/* The vCPU can be found. Context: process. */
void lhv_vcpu_created(struct lhv_vcpu *vcpu)
{
	struct lhv_vm *vm = vcpu->vm;

	/* Pairs with lhv_vm_pause()'s and lhv_vm_kill()'s: they see the vCPU, or we see them. */
	smp_mb();
	if (READ_ONCE(vm->manage.paused))
		lhv_request(vcpu, LHV_REQ_PAUSE);
	if (READ_ONCE(vm->bugged))
		lhv_request(vcpu, LHV_REQ_DEAD);
	lhv_latency_vcpu(vcpu);
	lhv_tell_vcpu(vcpu, LHV_VCPU_EVENT_ADDED);
}

/* Served LHV_REQ_STARTED: the boot vCPU's first run, or any run after a crash. */
void lhv_vcpu_started(struct lhv_vcpu *vcpu)
{
	struct lhv_manage *m = &vcpu->vm->manage;

	WRITE_ONCE(m->crashed, false);
	if (!xchg(&m->ran, true))
		lhv_tell_vm(vcpu->vm, LHV_VM_EVENT_READY);
}

/**
 * lhv_vcpu_note_regs() - remember the registers for the report of a crash
 * @vcpu: the vCPU, crashed; its state may be reset afterwards
 *
 * Context: the vCPU's own thread, outside the guest; the first call counts.
 */
void lhv_vcpu_note_regs(struct lhv_vcpu *vcpu)
{
	struct lhv_regs *regs = &vcpu->manage.regs;

	BUILD_BUG_ON(sizeof(regs->general) != sizeof(vcpu->regs));
	if (vcpu->manage.regs_noted)
		return;
	memcpy(regs->general, vcpu->regs, sizeof(regs->general));
	regs->rip = vcpu->rip;
	regs->rflags = vcpu->rflags;
	regs->cr0 = vcpu->cr0;
	regs->cr2 = vcpu->cr2;
	regs->cr3 = lhv_backend->get_cr3(vcpu);
	regs->cr4 = vcpu->cr4;
	regs->efer = vcpu->efer;
	vcpu->manage.regs_noted = true;
}

/* KVM_RUN is about to return with what the guest cannot go on from; kvm_run says what. */
void lhv_vcpu_crashed(struct lhv_vcpu *vcpu)
{
	WRITE_ONCE(vcpu->vm->manage.crashed, true);
	/* If the VMM runs it again, it has made something of it. */
	lhv_request_self(vcpu, LHV_REQ_STARTED);
	lhv_vcpu_note_regs(vcpu);
	lhv_tell_crashed(vcpu);
	vcpu->manage.regs_noted = false;
}

/* ---- the watch ---- */

static unsigned int stuck_seconds = 10;
static DEFINE_MUTEX(watch_lock);	/* nobody queues the work behind who takes it away */
static bool watching;			/* watch_lock: the module is loaded, work may be queued */

static void watch(struct work_struct *work);
static DECLARE_DELAYED_WORK(watch_work, watch);

/* @anew: whenever it would have been. */
static void watch_again(bool anew)
{
	unsigned int seconds;

	guard(mutex)(&watch_lock);
	if (anew)
		cancel_delayed_work(&watch_work);
	seconds = READ_ONCE(stuck_seconds);
	if (seconds && watching)
		schedule_delayed_work(&watch_work, max(seconds / 2, 1U) * HZ);
}

static int set_stuck_seconds(const char *text, const struct kernel_param *kp)
{
	int ret = param_set_uint_minmax(text, kp, 0, 3600);

	if (!ret)
		watch_again(true);
	return ret;
}

static const struct kernel_param_ops stuck_ops = {
	.set = set_stuck_seconds,
	.get = param_get_uint,
};
module_param_cb(stuck_seconds, &stuck_ops, &stuck_seconds, 0644);
MODULE_PARM_DESC(stuck_seconds, "seconds without progress after which a vCPU is reported as stuck, 0: never (default 10)");

unsigned int lhv_stuck_seconds(void)
{
	return READ_ONCE(stuck_seconds);
}

/* Exits that the guest did not ask for, or that a spinning one makes for ever. */
static bool is_idle_exit(int reason)
{
	switch (reason) {
	case LHV_EXIT_INTR:
	case LHV_EXIT_NMI:
	case LHV_EXIT_SMI:
	case LHV_EXIT_MCE:
	case LHV_EXIT_PAUSE:
		return true;
	default:
		return false;
	}
}

static void watch_vcpu(struct lhv_vcpu *vcpu, unsigned int seconds)
{
	struct lhv_vcpu_manage *m = &vcpu->manage;
	u64 progress = READ_ONCE(vcpu->nr_injections);
	u64 activity = READ_ONCE(vcpu->exits[LHV_EXIT_INTR]);
	bool active = activity != m->activity || READ_ONCE(vcpu->mode) != LHV_OUTSIDE_GUEST;
	bool halts_unseen = lhv_stays_in_guest(vcpu->vm, KVM_X86_DISABLE_EXITS_HLT |
							 KVM_X86_DISABLE_EXITS_MWAIT);
	int i;

	for (i = 0; i < LHV_NR_EXIT_REASONS; i++) {
		if (!is_idle_exit(i))
			progress += READ_ONCE(vcpu->exits[i]);
	}
	if (!active || halts_unseen || progress != m->progress) {
		m->since = jiffies;
		m->stuck = false;
	} else if (!m->stuck && time_after(jiffies, m->since + seconds * HZ)) {
		m->stuck = true;
		lhv_tell_vcpu(vcpu, LHV_VCPU_EVENT_STUCK);
	}
	m->progress = progress;
	m->activity = activity;
}

static void watch(struct work_struct *work)
{
	unsigned int seconds = READ_ONCE(stuck_seconds);
	struct lhv_vcpu *vcpu;
	struct lhv_vm *vm;
	unsigned long id;
	int i;

	/* Switched off meanwhile. */
	if (!seconds)
		return;
	mutex_lock(&lhv_vms_lock);
	lhv_for_each_vm(id, vm) {
		lhv_for_each_vcpu(i, vcpu, vm)
			watch_vcpu(vcpu, seconds);
	}
	/* The next VM starts it again. */
	if (!xa_empty(&lhv_vms))
		watch_again(false);
	mutex_unlock(&lhv_vms_lock);
}

/* A VM is in the registry: watch it. */
void lhv_control_watch(void)
{
	watch_again(false);
}

void lhv_control_init(void)
{
	mutex_lock(&watch_lock);
	watching = true;
	mutex_unlock(&watch_lock);
}

/* No VM is left. Somebody may write the parameter. */
void lhv_control_exit(void)
{
	mutex_lock(&watch_lock);
	watching = false;
	mutex_unlock(&watch_lock);
	cancel_delayed_work_sync(&watch_work);
}
