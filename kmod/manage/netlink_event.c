// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - events.
 *
 * Each goes to the initial network namespace and, when that is another one, to the VM's
 * owner's, with user and process ids as seen there. Sending never waits for a listener:
 * one whose buffer is full loses the event and learns it (ENOBUFS).
 */
#include <linux/cred.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>
#include <linux/user_namespace.h>
#include <net/sock.h>

#include "manage/event.h"
#include "host/genl.h"
#include "lhv.h"
#include "manage/netlink.h"

#define put_u64(skb, attr, value, set)					\
	nla_put_u64_64bit(skb, LHV_A_##set##_##attr, value, LHV_A_##set##_PAD)

/**
 * struct event - one event, to be put into a message for each namespace
 * @vm: the VM
 * @vcpu: the vCPU, or NULL
 * @event: enum lhv_vm_event, or enum lhv_vcpu_event
 * @group: LHV_NLGRP_*, which says which of the two
 * @reason: enum lhv_stop_reason, of LHV_VM_EVENT_STOPPED
 * @old: former name, of LHV_VM_EVENT_RENAMED
 * @time: ns since boot
 */
struct event {
	struct lhv_vm *vm;
	struct lhv_vcpu *vcpu;
	u32 event;
	unsigned int group;
	u32 reason;
	const char *old;
	u64 time;
};

static int put_crash(struct sk_buff *skb, struct lhv_vcpu *vcpu)
{
	u32 reason = READ_ONCE(vcpu->run->exit_reason);
	u32 suberror = READ_ONCE(vcpu->run->internal.suberror);

	if (nla_put_u32(skb, LHV_A_VM_VCPU_ID, vcpu->id) ||
	    nla_put_u32(skb, LHV_A_VM_EXIT_REASON, reason) ||
	    (reason == KVM_EXIT_INTERNAL_ERROR &&
	     nla_put_u32(skb, LHV_A_VM_SUBERROR, suberror)) ||
	    lhv_put_regs(skb, &vcpu->manage.regs))
		return -EMSGSIZE;
	return 0;
}

static int put_vm_event(struct sk_buff *skb, const struct event *e, const struct lhv_view *view)
{
	char name[LHV_NAME_MAX + 1];
	struct lhv_vm *vm = e->vm;

	mutex_lock(&lhv_vms_lock);
	strscpy(name, vm->manage.name, sizeof(name));
	mutex_unlock(&lhv_vms_lock);

	if (nla_put_u32(skb, LHV_A_VM_EVENT, e->event) ||
	    put_u64(skb, TIME, e->time, VM) ||
	    put_u64(skb, ID, vm->id, VM) ||
	    nla_put_string(skb, LHV_A_VM_NAME, name) ||
	    nla_put_u32(skb, LHV_A_VM_STATE, lhv_vm_state(vm)) ||
	    lhv_put_owner(skb, vm, view) ||
	    nla_put_u32(skb, LHV_A_VM_VCPUS, lhv_nr_vcpus(vm)))
		return -EMSGSIZE;
	switch (e->event) {
	case LHV_VM_EVENT_STOPPED:
		return nla_put_u32(skb, LHV_A_VM_REASON, e->reason);
	case LHV_VM_EVENT_RENAMED:
		return nla_put_string(skb, LHV_A_VM_OLD_NAME, e->old);
	case LHV_VM_EVENT_CRASHED:
		return put_crash(skb, e->vcpu);
	}
	return 0;
}

static int put_vcpu_event(struct sk_buff *skb, const struct event *e)
{
	if (nla_put_u32(skb, LHV_A_VCPU_EVENT, e->event) ||
	    put_u64(skb, TIME, e->time, VCPU) ||
	    put_u64(skb, VM_ID, e->vm->id, VCPU) ||
	    nla_put_u32(skb, LHV_A_VCPU_ID, e->vcpu->id))
		return -EMSGSIZE;
	return 0;
}

/* Listeners who may not see the VM do not hear of it. */
static int refuse(struct sock *sk, struct sk_buff *skb, void *data)
{
	const struct file *file = sk->sk_socket->file;

	return !lhv_nl_may_see(data, file->f_cred->uid, sk,
			       file_ns_capable(file, sk_user_ns(sk), CAP_SYS_ADMIN));
}

static void send_to(struct net *net, const struct event *e, const struct lhv_view *view)
{
	bool vcpu = e->group == LHV_NLGRP_VCPU;
	struct sk_buff *skb;
	void *head;

	if (!genl_has_listeners(&lhv_nl_family, net, e->group))
		return;
	skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!skb)
		goto err_lost;
	head = genlmsg_put(skb, 0, 0, &lhv_nl_family, 0,
			   vcpu ? LHV_CMD_VCPU_EVENT : LHV_CMD_VM_EVENT);
	if (!head || (vcpu ? put_vcpu_event(skb, e) : put_vm_event(skb, e, view))) {
		nlmsg_free(skb);
		goto err_lost;
	}
	genlmsg_end(skb, head);
	lhv_host_genl_multicast(&lhv_nl_family, net, skb, e->group, refuse, e->vm);
	return;

err_lost:
	/* As if their buffers had been full: whoever listens knows that something is missing. */
	genl_set_err(&lhv_nl_family, net, 0, e->group, -ENOBUFS);
}

/* May whoever can listen in the owner's network namespace see the VM? */
static bool owners_net_may_hear(const struct lhv_owner *owner)
{
	const struct user_namespace *ns = owner->user_ns;

	if (!LHV_HOST_MCAST_FLAGS)
		return true;	/* each one is asked */
	/* They are that namespace's administrators. */
	while (ns && ns != owner->net->user_ns)
		ns = ns->parent;
	return ns;
}

static void send(struct event *e)
{
	const struct lhv_owner *owner = &e->vm->manage.owner;
	struct lhv_view view = { .user_ns = &init_user_ns, .pid_ns = &init_pid_ns };

	e->time = ktime_get_boottime_ns();
	send_to(&init_net, e, &view);
	if (net_eq(owner->net, &init_net) || !owners_net_may_hear(owner))
		return;
	/* The owner's own agents. His pid keeps the pid namespace. */
	view.user_ns = owner->user_ns;
	view.pid_ns = ns_of_pid(owner->pid);
	send_to(owner->net, e, &view);
}

void lhv_tell_vm(struct lhv_vm *vm, enum lhv_vm_event event)
{
	struct event e = { .vm = vm, .event = event, .group = LHV_NLGRP_VM };

	send(&e);
}

void lhv_tell_stopped(struct lhv_vm *vm, enum lhv_stop_reason reason)
{
	struct event e = {
		.vm = vm, .event = LHV_VM_EVENT_STOPPED, .group = LHV_NLGRP_VM, .reason = reason,
	};

	send(&e);
}

void lhv_tell_renamed(struct lhv_vm *vm, const char *old)
{
	struct event e = {
		.vm = vm, .event = LHV_VM_EVENT_RENAMED, .group = LHV_NLGRP_VM, .old = old,
	};

	send(&e);
}

void lhv_tell_crashed(struct lhv_vcpu *vcpu)
{
	struct event e = {
		.vm = vcpu->vm, .vcpu = vcpu, .event = LHV_VM_EVENT_CRASHED,
		.group = LHV_NLGRP_VM,
	};

	send(&e);
}

void lhv_tell_vcpu(struct lhv_vcpu *vcpu, enum lhv_vcpu_event event)
{
	struct event e = {
		.vm = vcpu->vm, .vcpu = vcpu, .event = event, .group = LHV_NLGRP_VCPU,
	};

	send(&e);
}
