// SPDX-License-Identifier: GPL-2.0
/*
 * MSRs that the VMM denies its guest (KVM_X86_SET_MSR_FILTER), or answers for
 * (KVM_CAP_X86_USER_SPACE_MSR).
 *
 * A filter costs the accesses of other VMs nothing. Those to MSRs that nobody here knows come by
 * lhv_msr_refused() anyway. Others are asked about where some VM denies any that is known (a static
 * key), and then where this one does. QEMU always has a filter, for one MSR that is not known.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>
#include <asm/apicdef.h>

#include "cpu/msr.h"

#define LAST_X2APIC_MSR	(APIC_BASE_MSR + 0xff)

/**
 * struct lhv_msr_filter - what a VMM denies
 * @deny: what no range covers
 * @known: it denies an access that would be served here
 * @nr: of @ranges
 * @ranges: the first that covers an access decides; a set bit allows it
 */
struct lhv_msr_filter {
	bool deny, known;
	u32 nr;
	struct {
		u32 flags, base, nmsrs;
		unsigned long *allowed;
	} ranges[KVM_MSR_FILTER_MAX_RANGES];
};

/* Off no more than once a second: it interrupts all CPUs, and any VMM may ask for it. */
DEFINE_STATIC_KEY_DEFERRED_FALSE(lhv_msrs_denied, HZ);

static bool allows(const struct lhv_msr_filter *f, u32 index, u32 access)
{
	u32 i;

	/* A LAPIC's registers can't be denied: the CPU may serve them by itself. */
	if (index >= APIC_BASE_MSR && index <= LAST_X2APIC_MSR)
		return true;
	for (i = 0; i < f->nr; i++) {
		if ((f->ranges[i].flags & access) && index >= f->ranges[i].base &&
		    index - f->ranges[i].base < f->ranges[i].nmsrs)
			return test_bit(index - f->ranges[i].base, f->ranges[i].allowed);
	}
	return !f->deny;
}

/**
 * lhv_msr_allowed() - does the VMM let the guest access an MSR?
 * @vcpu: the vCPU; either tier
 * @index: MSR
 * @access: KVM_MSR_FILTER_READ or _WRITE
 */
bool lhv_msr_allowed(struct lhv_vcpu *vcpu, u32 index, u32 access)
{
	struct lhv_vm *vm = vcpu->vm;
	const struct lhv_msr_filter *f;
	bool ret;
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	f = srcu_dereference(vm->msr_filter, &vm->srcu);
	ret = !f || allows(f, index, access);
	srcu_read_unlock(&vm->srcu, idx);
	return ret;
}

/* ---- KVM_X86_SET_MSR_FILTER ---- */

static void free_filter(struct lhv_msr_filter *f)
{
	u32 i;

	for (i = 0; f && i < f->nr; i++)
		kfree(f->ranges[i].allowed);
	kfree(f);
}

static int add_msr_range(struct lhv_msr_filter *f, const struct kvm_msr_filter_range *range)
{
	size_t size = BITS_TO_LONGS((u64)range->nmsrs) * sizeof(long);
	unsigned long *allowed;

	if (range->flags & ~(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE) || !range->flags ||
	    size > KVM_MSR_FILTER_MAX_BITMAP_SIZE)
		return -EINVAL;
	allowed = memdup_user((void __user *)range->bitmap, size);
	if (IS_ERR(allowed))
		return PTR_ERR(allowed);
	f->ranges[f->nr].flags = range->flags;
	f->ranges[f->nr].base = range->base;
	f->ranges[f->nr].nmsrs = range->nmsrs;
	f->ranges[f->nr].allowed = allowed;
	f->nr++;
	return 0;
}

static bool denies(void *filter, u32 index)
{
	return !allows(filter, index, KVM_MSR_FILTER_READ) ||
	       !allows(filter, index, KVM_MSR_FILTER_WRITE);
}

/* NULL: everything is allowed. */
static struct lhv_msr_filter *build_filter(const struct kvm_msr_filter *user)
{
	struct lhv_msr_filter *f;
	int ret = 0;
	u32 i;

	if (user->flags & ~KVM_MSR_FILTER_DEFAULT_DENY)
		return ERR_PTR(-EINVAL);
	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		return ERR_PTR(-ENOMEM);
	f->deny = user->flags & KVM_MSR_FILTER_DEFAULT_DENY;
	for (i = 0; !ret && i < KVM_MSR_FILTER_MAX_RANGES; i++) {
		if (user->ranges[i].nmsrs)
			ret = add_msr_range(f, &user->ranges[i]);
	}
	/* A guest that may access nothing at all is a mistake. */
	if (!ret && f->deny && !f->nr)
		ret = -EINVAL;
	if (ret || !f->nr) {
		free_filter(f);
		return ERR_PTR(ret);
	}
	f->known = lhv_msr_any(denies, f);
	return f;
}

/**
 * lhv_msr_set_filter() - the body of KVM_X86_SET_MSR_FILTER
 * @vm: the VM
 * @user: the filter; its bitmaps are in user memory
 *
 * vCPUs that run go by the old one or the new one.
 * Context: process. Return: 0, -EINVAL, -EFAULT or -ENOMEM.
 */
int lhv_msr_set_filter(struct lhv_vm *vm, const struct kvm_msr_filter *user)
{
	struct lhv_msr_filter *new = build_filter(user), *old;

	if (IS_ERR(new))
		return PTR_ERR(new);
	if (new && new->known)
		static_branch_deferred_inc(&lhv_msrs_denied);
	mutex_lock(&vm->lock);
	old = rcu_replace_pointer(vm->msr_filter, new, lockdep_is_held(&vm->lock));
	WRITE_ONCE(vm->msrs_denied, new && new->known);
	synchronize_srcu_expedited(&vm->srcu);
	mutex_unlock(&vm->lock);
	/* What passes without an exit */
	lhv_request_all(vm, LHV_REQ_MSRS, false);
	if (old && old->known)
		static_branch_slow_dec_deferred(&lhv_msrs_denied);
	free_filter(old);
	return 0;
}

/* Nobody can find the VM any more. */
void lhv_msr_filter_destroy(struct lhv_vm *vm)
{
	struct lhv_msr_filter *f = rcu_dereference_protected(vm->msr_filter, 1);

	if (f && f->known)
		static_branch_slow_dec_deferred(&lhv_msrs_denied);
	free_filter(f);
}

/* No VM is left. */
void lhv_msr_filter_exit(void)
{
	static_key_deferred_flush(&lhv_msrs_denied);
}

/* ---- KVM_CAP_X86_USER_SPACE_MSR ---- */

/* The VMM moved the vCPU elsewhere: the answer is nobody's. */
static bool is_stale(const struct lhv_vcpu *vcpu)
{
	return vcpu->rip != vcpu->cpu_state.msr_rip;
}

static enum lhv_next complete_wrmsr(struct lhv_vcpu *vcpu)
{
	if (is_stale(vcpu))
		return LHV_RESUME;
	if (READ_ONCE(vcpu->run->msr.error))
		return lhv_inject_gp(vcpu);
	return lhv_retire(vcpu, vcpu->cpu_state.msr_len);
}

static enum lhv_next complete_rdmsr(struct lhv_vcpu *vcpu)
{
	u64 data = READ_ONCE(vcpu->run->msr.data);

	if (is_stale(vcpu))
		return LHV_RESUME;
	if (READ_ONCE(vcpu->run->msr.error))
		return lhv_inject_gp(vcpu);
	lhv_set_edx_eax(vcpu, data);
	return lhv_retire(vcpu, vcpu->cpu_state.msr_len);
}

/**
 * lhv_msr_refused() - RDMSR or WRMSR came to nothing: #GP, or the VMM's
 * @vcpu: the vCPU
 * @len: of the instruction
 * @write: which
 * @err: what lhv_msr_read() or lhv_msr_write() said; -EACCES: the filter denies it
 */
enum lhv_next lhv_msr_refused(struct lhv_vcpu *vcpu, unsigned int len, bool write, int err)
{
	u32 access = write ? KVM_MSR_FILTER_WRITE : KVM_MSR_FILTER_READ;
	u32 index = vcpu->regs[LHV_RCX], reason = KVM_MSR_EXIT_REASON_INVAL;
	struct kvm_run *run = vcpu->run;

	if (err == -EAGAIN && vcpu->atomic)
		return LHV_SLEEP;
	if (err == -EACCES || (err == -ENOENT && !lhv_msr_allowed(vcpu, index, access)))
		reason = KVM_MSR_EXIT_REASON_FILTER;
	else if (err == -ENOENT)
		reason = KVM_MSR_EXIT_REASON_UNKNOWN;
	if (!(READ_ONCE(vcpu->vm->user_msrs) & reason))
		return lhv_inject_gp(vcpu);

	run->exit_reason = write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR;
	run->msr.error = 0;
	memset(run->msr.pad, 0, sizeof(run->msr.pad));
	run->msr.reason = reason;
	run->msr.index = index;
	run->msr.data = write ? lhv_edx_eax(vcpu) : 0;
	vcpu->cpu_state.msr_rip = vcpu->rip;
	vcpu->cpu_state.msr_len = len;
	vcpu->complete = write ? complete_wrmsr : complete_rdmsr;
	return LHV_EXIT_USER;
}
