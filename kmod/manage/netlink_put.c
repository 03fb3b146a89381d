// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - VMs, vCPUs and counters as netlink attributes.
 */
#include <linux/cgroup.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/user_namespace.h>

#include "lhv.h"
#include "manage/netlink.h"

#define put_u64(skb, attr, value, set)					\
	nla_put_u64_64bit(skb, LHV_A_##set##_##attr, value, LHV_A_##set##_PAD)

#ifdef CONFIG_CGROUPS
/* 0 when the process is gone. */
static u64 cgroup_of(struct pid *pid)
{
	struct task_struct *task;
	u64 id = 0;

	rcu_read_lock();
	task = pid_task(pid, PIDTYPE_TGID);
	if (task)
		id = cgroup_id(task_dfl_cgroup(task));
	rcu_read_unlock();
	return id;
}
#else
static u64 cgroup_of(struct pid *pid)
{
	return 0;
}
#endif

int lhv_put_owner(struct sk_buff *skb, struct lhv_vm *vm, const struct lhv_view *view)
{
	const struct lhv_owner *owner = &vm->manage.owner;
	pid_t pid = pid_nr_ns(owner->pid, view->pid_ns);
	u64 cgroup = cgroup_of(owner->pid);
	struct nlattr *nest = nla_nest_start(skb, LHV_A_VM_OWNER);

	if (!nest)
		return -EMSGSIZE;
	if ((pid && nla_put_u32(skb, LHV_A_OWNER_PID, pid)) ||
	    put_u64(skb, START_TIME, owner->start_time, OWNER) ||
	    nla_put_u32(skb, LHV_A_OWNER_UID, from_kuid_munged(view->user_ns, owner->uid)) ||
	    nla_put_string(skb, LHV_A_OWNER_COMM, owner->comm) ||
	    nla_put_u32(skb, LHV_A_OWNER_USER_NS, owner->user_ns->ns.inum) ||
	    (cgroup && put_u64(skb, CGROUP, cgroup, OWNER)) ||
	    (READ_ONCE(vm->manage.owner_gone) && nla_put_flag(skb, LHV_A_OWNER_GONE))) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

int lhv_put_vm(struct sk_buff *skb, struct lhv_vm *vm, const struct lhv_view *view)
{
	lockdep_assert_held(&lhv_vms_lock);	/* the name */

	if (put_u64(skb, ID, vm->id, VM) ||
	    nla_put_string(skb, LHV_A_VM_NAME, vm->manage.name) ||
	    nla_put_u32(skb, LHV_A_VM_STATE, lhv_vm_state(vm)) ||
	    lhv_put_owner(skb, vm, view) ||
	    nla_put_u32(skb, LHV_A_VM_VCPUS, lhv_nr_vcpus(vm)) ||
	    put_u64(skb, MEMORY, lhv_mem_slot_bytes(vm), VM) ||
	    put_u64(skb, RESIDENT, lhv_mem_mapped_bytes(vm), VM) ||
	    put_u64(skb, TABLES, lhv_mem_table_bytes(vm), VM) ||
	    put_u64(skb, CREATED, vm->manage.created, VM) ||
	    (READ_ONCE(vm->manage.stop) && nla_put_flag(skb, LHV_A_VM_CAN_STOP)) ||
	    lhv_put_sched(skb, vm))
		return -EMSGSIZE;
	return 0;
}

static enum lhv_vcpu_state vcpu_state(struct lhv_vcpu *vcpu)
{
	/* Who is in KVM_RUN holds the lock; so does any other ioctl, for a moment. */
	if (!mutex_is_locked(&vcpu->lock))
		return LHV_VCPU_STATE_OUTSIDE;
	return READ_ONCE(vcpu->manage.state);
}

/* 0 when the thread is gone: its number may be somebody else's by now. */
static pid_t thread_of(struct lhv_vcpu *vcpu, struct pid_namespace *ns)
{
	struct pid *thread = lhv_vcpu_thread(vcpu);
	pid_t pid = 0;

	rcu_read_lock();
	if (pid_task(thread, PIDTYPE_PID))
		pid = pid_nr_ns(thread, ns);
	rcu_read_unlock();
	put_pid(thread);
	return pid;
}

int lhv_put_vcpu(struct sk_buff *skb, struct lhv_vcpu *vcpu, const struct lhv_view *view)
{
	pid_t pid = thread_of(vcpu, view->pid_ns);
	int cpu = READ_ONCE(vcpu->cpu);

	if (put_u64(skb, VM_ID, vcpu->vm->id, VCPU) ||
	    nla_put_u32(skb, LHV_A_VCPU_ID, vcpu->id) ||
	    nla_put_u32(skb, LHV_A_VCPU_STATE, vcpu_state(vcpu)) ||
	    (pid && nla_put_u32(skb, LHV_A_VCPU_THREAD, pid)) ||
	    (cpu >= 0 && nla_put_u32(skb, LHV_A_VCPU_CPU, cpu)))
		return -EMSGSIZE;
	return 0;
}

int lhv_put_regs(struct sk_buff *skb, const struct lhv_regs *regs)
{
	struct nlattr *nest = nla_nest_start(skb, LHV_A_VM_REGS);
	int i;

	BUILD_BUG_ON(LHV_A_REGS_R15 - LHV_A_REGS_RAX != LHV_R15 - LHV_RAX);
	BUILD_BUG_ON(LHV_A_REGS_RSP - LHV_A_REGS_RAX != LHV_RSP - LHV_RAX);

	if (!nest)
		return -EMSGSIZE;
	for (i = 0; i < LHV_NR_REGS; i++) {
		if (nla_put_u64_64bit(skb, LHV_A_REGS_RAX + i, regs->general[i], LHV_A_REGS_PAD))
			goto err_cancel;
	}
	if (put_u64(skb, RIP, regs->rip, REGS) ||
	    put_u64(skb, RFLAGS, regs->rflags, REGS) ||
	    put_u64(skb, CR0, regs->cr0, REGS) ||
	    put_u64(skb, CR2, regs->cr2, REGS) ||
	    put_u64(skb, CR3, regs->cr3, REGS) ||
	    put_u64(skb, CR4, regs->cr4, REGS) ||
	    put_u64(skb, EFER, regs->efer, REGS))
		goto err_cancel;
	nla_nest_end(skb, nest);
	return 0;

err_cancel:
	nla_nest_cancel(skb, nest);
	return -EMSGSIZE;
}

/* ---- counters ---- */

static const char * const reason_names[] = {
#define X(name) #name,
	LHV_EXIT_REASONS(X)
#undef X
};

/* What is counted per vCPU, of one or summed up. */
struct counters {
	u64 exits[LHV_NR_EXIT_REASONS];
	u64 injections, halts, halt_poll_hits, wait_ns, mmio_faults, tlb_flushes;
	u64 faults[LHV_NR_FAULT_KINDS];
	struct lhv_usage usage;
};

static void count_vcpu(struct counters *c, struct lhv_vcpu *vcpu)
{
	struct lhv_usage usage = lhv_usage_get(vcpu);
	int i;

	for (i = 0; i < LHV_NR_EXIT_REASONS; i++)
		c->exits[i] += READ_ONCE(vcpu->exits[i]);
	c->injections += READ_ONCE(vcpu->nr_injections);
	c->halts += READ_ONCE(vcpu->nr_halts);
	c->halt_poll_hits += READ_ONCE(vcpu->stat.halt_polls_won);
	c->wait_ns += READ_ONCE(vcpu->stat.halt_wait_ns) +
		      READ_ONCE(vcpu->stat.halt_poll_won_ns) +
		      READ_ONCE(vcpu->stat.halt_poll_lost_ns);
	for (i = 0; i < LHV_NR_FAULT_KINDS; i++)
		c->faults[i] += READ_ONCE(vcpu->mem.faults[i]);
	c->mmio_faults += READ_ONCE(vcpu->mem.mmio_faults);
	c->tlb_flushes += READ_ONCE(vcpu->nr_tlb_flushes);
	c->usage.guest += usage.guest;
	c->usage.host += usage.host;
	c->usage.delay += usage.delay;
}

static int put_latency(struct sk_buff *skb, struct lhv_vm *vm, struct lhv_vcpu *one, int reason)
{
	u32 sum[LHV_LATENCY_BUCKETS] = {};
	struct lhv_vcpu *vcpu;
	bool any = false;
	int i;

	if (one) {
		any = lhv_latency_get(one, reason, sum);
	} else {
		lhv_for_each_vcpu(i, vcpu, vm)
			any |= lhv_latency_get(vcpu, reason, sum);
	}
	return any ? nla_put(skb, LHV_A_EXIT_COUNT_LATENCY, sizeof(sum), sum) : 0;
}

static int put_exits(struct sk_buff *skb, const struct counters *c, struct lhv_vm *vm,
		     struct lhv_vcpu *one, bool latency)
{
	struct nlattr *nest;
	u64 total = 0;
	int i;

	for (i = 0; i < LHV_NR_EXIT_REASONS; i++) {
		if (!c->exits[i])
			continue;
		total += c->exits[i];
		nest = nla_nest_start(skb, LHV_A_STATS_EXITS);
		if (!nest)
			return -EMSGSIZE;
		if (nla_put_string(skb, LHV_A_EXIT_COUNT_REASON, reason_names[i]) ||
		    put_u64(skb, COUNT, c->exits[i], EXIT_COUNT) ||
		    (latency && put_latency(skb, vm, one, i))) {
			nla_nest_cancel(skb, nest);
			return -EMSGSIZE;
		}
		nla_nest_end(skb, nest);
	}
	return put_u64(skb, TOTAL_EXITS, total, STATS);
}

static int put_faults(struct sk_buff *skb, const struct counters *c)
{
	u64 total = 0;
	int i;

	for (i = 0; i < LHV_NR_FAULT_KINDS; i++)
		total += c->faults[i];
	return put_u64(skb, FAULTS, total, STATS) ||
	       put_u64(skb, READ_FAULTS, c->faults[LHV_FAULT_READ], STATS) ||
	       put_u64(skb, WRITE_FAULTS, c->faults[LHV_FAULT_WRITE], STATS) ||
	       put_u64(skb, EXEC_FAULTS, c->faults[LHV_FAULT_EXEC], STATS) ||
	       put_u64(skb, PROTECTED_FAULTS, c->faults[LHV_FAULT_PROTECTED], STATS) ||
	       put_u64(skb, MMIO_FAULTS, c->mmio_faults, STATS);
}

static int put_memory(struct sk_buff *skb, struct lhv_vm *vm, bool all)
{
	const struct lhv_mem *mem = &vm->mem;

	return put_u64(skb, PAGES_4K, atomic_long_read(&mem->nr_pages[0]), STATS) ||
	       put_u64(skb, PAGES_2M, atomic_long_read(&mem->nr_pages[1]), STATS) ||
	       put_u64(skb, PAGES_1G, atomic_long_read(&mem->nr_pages[2]), STATS) ||
	       put_u64(skb, RESIDENT, lhv_mem_mapped_bytes(vm), STATS) ||
	       put_u64(skb, TABLES, lhv_mem_table_bytes(vm), STATS) ||
	       (all && put_u64(skb, DIRTY_PAGES, lhv_mem_dirty_pages(vm), STATS));
}

int lhv_put_stats(struct sk_buff *skb, struct lhv_vm *vm, struct lhv_vcpu *vcpu, bool all)
{
	struct counters c = {};
	struct lhv_vcpu *each;
	int i;

	if (vcpu) {
		count_vcpu(&c, vcpu);
	} else {
		lhv_for_each_vcpu(i, each, vm)
			count_vcpu(&c, each);
	}
	if (put_u64(skb, VM_ID, vm->id, STATS) ||
	    (vcpu && nla_put_u32(skb, LHV_A_STATS_VCPU_ID, vcpu->id)) ||
	    put_exits(skb, &c, vm, vcpu, all) ||
	    put_u64(skb, INJECTIONS, c.injections, STATS) ||
	    put_u64(skb, HALTS, c.halts, STATS) ||
	    put_u64(skb, HALT_POLL_HITS, c.halt_poll_hits, STATS) ||
	    put_u64(skb, WAIT_NS, c.wait_ns, STATS) ||
	    put_u64(skb, RUN_NS, c.usage.guest, STATS) ||
	    put_u64(skb, HOST_NS, c.usage.host, STATS) ||
	    put_u64(skb, STEAL_NS, c.usage.delay, STATS) ||
	    put_faults(skb, &c) ||
	    put_u64(skb, TLB_FLUSHES, c.tlb_flushes, STATS) ||
	    (!vcpu && put_memory(skb, vm, all)))
		return -EMSGSIZE;
	return 0;
}
