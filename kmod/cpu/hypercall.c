// SPDX-License-Identifier: GPL-2.0
/* lhv cpu/ - hypercalls, with KVM's numbers and meaning. */
#include <linux/kvm_para.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <asm/apicdef.h>

#include "lhv.h"

/*
 * KVM_HC_SEND_IPI: a bitmap of up to 128 APIC ids, counted from @min. An IPI is a message
 * like any other, so it travels as an MSI.
 */
static long send_ipi(struct lhv_vcpu *vcpu, u64 low, u64 high, u32 min, u32 icr)
{
	DECLARE_BITMAP(ids, 2 * BITS_PER_LONG) = { low, high };
	long delivered = 0;
	unsigned int bit;
	u64 id;

	/* Shorthand and logical destination make no sense with a list of ids. */
	if ((icr & ~(APIC_VECTOR_MASK | APIC_MODE_MASK | APIC_INT_ASSERT)) ||
	    ((icr & APIC_MODE_MASK) != APIC_DM_FIXED && (icr & APIC_MODE_MASK) != APIC_DM_NMI))
		return -KVM_EINVAL;
	for_each_set_bit(bit, ids, 2 * BITS_PER_LONG) {
		id = (u64)min + bit;
		if (id >= LHV_MAX_VCPUS)
			break;
		delivered += lhv_apic_send(vcpu, id, icr);
	}
	return delivered;
}

static bool offered(const struct lhv_vcpu *vcpu, unsigned int feature)
{
	return vcpu->lapic && (vcpu->cpu_state.pv_features & BIT_ULL(feature));
}

static long hypercall(struct lhv_vcpu *vcpu, u64 nr, const u64 arg[4])
{
	switch (nr) {
	case KVM_HC_VAPIC_POLL_IRQ:
		return 0;
	case KVM_HC_KICK_CPU:
		if (!offered(vcpu, KVM_FEATURE_PV_UNHALT))
			break;
		lhv_lapic_pv_unhalt(vcpu->vm, arg[1]);
		return 0;
	case KVM_HC_SCHED_YIELD:
		if (!offered(vcpu, KVM_FEATURE_PV_SCHED_YIELD))
			break;
		vcpu->yield_to = arg[0];
		lhv_request_self(vcpu, LHV_REQ_YIELD);
		return 0;
	case KVM_HC_SEND_IPI:
		if (!offered(vcpu, KVM_FEATURE_PV_SEND_IPI))
			break;
		return send_ipi(vcpu, arg[0], arg[1], arg[2], arg[3]);
	}
	return -KVM_ENOSYS;
}

enum lhv_next lhv_hypercall_exec(struct lhv_vcpu *vcpu)
{
	u64 nr = vcpu->regs[LHV_RAX];
	u64 arg[4] = { vcpu->regs[LHV_RBX], vcpu->regs[LHV_RCX], vcpu->regs[LHV_RDX],
		       vcpu->regs[LHV_RSI] };
	u64 mask = lhv_insn_mode(vcpu) == LHV_MODE_64 ? ~0ULL : U32_MAX;
	enum lhv_next next;
	unsigned int len = lhv_insn_len(vcpu, &next), i;
	long ret = -KVM_EPERM;

	if (!len)
		return next;
	for (i = 0; i < ARRAY_SIZE(arg); i++)
		arg[i] &= mask;
	if (!static_call(lhv_get_cpl)(vcpu))
		ret = hypercall(vcpu, nr & mask, arg);
	vcpu->regs[LHV_RAX] = ret & mask;
	return lhv_retire(vcpu, len);
}

/**
 * lhv_yield_to() - served LHV_REQ_YIELD: the guest waits for a vCPU that does not run
 * @vcpu: who waits; slow tier
 */
void lhv_yield_to(struct lhv_vcpu *vcpu)
{
	struct lhv_vcpu *target = lhv_vcpu_by_id(vcpu->vm, vcpu->yield_to);
	struct task_struct *task;
	struct pid *pid;

	if (!target || target == vcpu)
		return;
	pid = lhv_vcpu_thread(target);
	task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);
	if (!task)
		return;
	/* Unless that one runs, or sleeps */
	yield_to(task, true);
	put_task_struct(task);
}

#define HYPERCALL_LEN	3	/* 0f 01 c1 and 0f 01 d9 */

/**
 * lhv_ud_exec() - an invalid opcode
 * @vcpu: the vCPU; either tier
 *
 * KVM's quirk: the hypercall instruction of the other vendor's CPUs works, and is replaced by this
 * CPU's own, which is faster. They differ in one byte, so no other vCPU sees half of it. Where the
 * guest's tables don't let it write, the code stays what it is.
 */
enum lhv_next lhv_ud_exec(struct lhv_vcpu *vcpu)
{
	const u8 native = lhv_backend->hypercall;
	const u8 other = native == LHV_VMCALL ? LHV_VMMCALL : LHV_VMCALL;
	u32 access = lhv_access_user(vcpu) | LHV_ACC_WRITE;
	struct lhv_fault fault;
	u8 insn[LHV_INSN_MAX];
	unsigned int len;
	gpa_t gpa;
	int ret;

	if (!lhv_has_quirk(vcpu->vm, KVM_X86_QUIRK_FIX_HYPERCALL_INSN))
		return lhv_inject_ud(vcpu);
	ret = lhv_fetch_insn(vcpu, insn, &len, &fault);
	if (ret == -EAGAIN)
		return LHV_SLEEP;
	if (ret || len < HYPERCALL_LEN || insn[0] != 0x0f || insn[1] != 0x01 || insn[2] != other)
		return lhv_inject_ud(vcpu);
	ret = lhv_write_gva(vcpu, lhv_linear_rip(vcpu) + HYPERCALL_LEN - 1, &native, sizeof(native),
			    access, &gpa, &fault);
	if (ret == -EAGAIN)
		return LHV_SLEEP;
	vcpu->exit.insn_len = HYPERCALL_LEN;
	return lhv_hypercall_exec(vcpu);
}
