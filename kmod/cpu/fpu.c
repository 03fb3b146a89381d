// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's FPU state as the VMM sees it.
 *
 * host/ keeps an XSAVE area in the standard format and makes it live; it must only ever
 * hold what XRSTOR takes, so everything that comes from the VMM is checked here. PKRU is
 * not in that area: lhv_cpu.pkru has it.
 */
#include <linux/string.h>
#include <asm/page.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>

#include "lhv.h"
#include "cpu/cpu_priv.h"

/* SDM Vol 1 "Guidelines for Writing to the MXCSR Register" */
#define MXCSR_MASK_DEFAULT	0xffbfu

/* MXCSR counts when one of these is present. */
#define MXCSR_USERS		(XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM)

static u32 mxcsr_mask = MXCSR_MASK_DEFAULT;

/* What the VMM may get and set, also without XSAVE. */
static u64 vmm_features(void)
{
	return lhv_cpuid_xcr0() ?: XFEATURE_MASK_FPSSE;
}

/* Module init. */
void lhv_fpu_setup(void)
{
	struct fxregs_state fx __aligned(16) = {};

	kernel_fpu_begin();
	asm volatile("fxsave64 %0" : "+m" (fx));
	kernel_fpu_end();
	if (fx.mxcsr_mask)
		mxcsr_mask = fx.mxcsr_mask;
}

void lhv_fpu_reset(struct lhv_vcpu *vcpu)
{
	lhv_host_fpu_init(vcpu->cpu_state.fpu);
	vcpu->cpu_state.pkru = 0;
}

/**
 * lhv_get_fpu() - the body of KVM_GET_FPU
 * @vcpu: the vCPU, its lock held, slow tier
 * @fpu: result
 *
 * Return: 0.
 */
int lhv_get_fpu(struct lhv_vcpu *vcpu, struct kvm_fpu *fpu)
{
	const struct fxregs_state *fx = &lhv_host_fpu_area(vcpu->cpu_state.fpu)->i387;

	memset(fpu, 0, sizeof(*fpu));
	memcpy(fpu->fpr, fx->st_space, sizeof(fpu->fpr));
	fpu->fcw = fx->cwd;
	fpu->fsw = fx->swd;
	fpu->ftwx = fx->twd;
	fpu->last_opcode = fx->fop;
	fpu->last_ip = fx->rip;
	fpu->last_dp = fx->rdp;
	memcpy(fpu->xmm, fx->xmm_space, sizeof(fpu->xmm));
	fpu->mxcsr = fx->mxcsr;
	return 0;
}

/**
 * lhv_set_fpu() - the body of KVM_SET_FPU
 * @vcpu: the vCPU, its lock held, slow tier
 * @fpu: from the VMM
 *
 * Return: 0, or -EINVAL when MXCSR has a bit that this CPU lacks.
 */
int lhv_set_fpu(struct lhv_vcpu *vcpu, const struct kvm_fpu *fpu)
{
	struct xregs_state *area = lhv_host_fpu_area(vcpu->cpu_state.fpu);
	struct fxregs_state *fx = &area->i387;

	if (fpu->mxcsr & ~mxcsr_mask)
		return -EINVAL;
	memcpy(fx->st_space, fpu->fpr, sizeof(fpu->fpr));
	fx->cwd = fpu->fcw;
	fx->swd = fpu->fsw;
	fx->twd = fpu->ftwx;
	fx->fop = fpu->last_opcode;
	fx->rip = fpu->last_ip;
	fx->rdp = fpu->last_dp;
	memcpy(fx->xmm_space, fpu->xmm, sizeof(fpu->xmm));
	fx->mxcsr = fpu->mxcsr;
	if (lhv_cpuid_xcr0())
		area->header.xfeatures |= XFEATURE_MASK_FPSSE;
	return 0;
}

/**
 * lhv_xsave_valid() - would XRSTOR take this?
 * @x: legacy region and header
 * @offered: features that may be set
 * @mask: MXCSR bits that this CPU has
 *
 * SDM Vol 1 "Standard Form of XRSTOR": everything that raises #GP is refused.
 */
bool lhv_xsave_valid(const struct xregs_state *x, u64 offered, u32 mask)
{
	if (x->header.xfeatures & ~offered)
		return false;
	/* The compacted form is the kernel's own; the VMM speaks the standard one. */
	if (x->header.xcomp_bv)
		return false;
	if (memchr_inv(x->header.reserved, 0, sizeof(x->header.reserved)))
		return false;
	return !(x->header.xfeatures & MXCSR_USERS) || !(x->i387.mxcsr & ~mask);
}

/**
 * lhv_get_xsave() - the body of KVM_GET_XSAVE and KVM_GET_XSAVE2
 * @vcpu: the vCPU, its lock held, slow tier
 * @buf: room for @size bytes, at least sizeof(struct kvm_xsave)
 * @size: what does not fit is left out
 *
 * Return: 0.
 */
int lhv_get_xsave(struct lhv_vcpu *vcpu, void *buf, size_t size)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	struct xregs_state *area = lhv_host_fpu_area(cpu->fpu), *out = buf;
	u64 present = area->header.xfeatures & vmm_features();
	u32 offset, len;
	unsigned int i;

	memset(buf, 0, size);
	memcpy(&out->i387, &area->i387, sizeof(out->i387));
	out->i387.mxcsr_mask = mxcsr_mask;
	if (!lhv_cpuid_xcr0())
		present = XFEATURE_MASK_FPSSE;

	for (i = FIRST_EXTENDED_XFEATURE; i < 64; i++) {
		if (i == XFEATURE_PKRU || !(present & BIT_ULL(i)) ||
		    !lhv_xstate_component(i, &offset, &len))
			continue;
		if (offset + len > size)
			present &= ~BIT_ULL(i);
		else
			memcpy(buf + offset, (void *)area + offset, len);
	}
	if (lhv_xstate_component(XFEATURE_PKRU, &offset, &len) && offset + len <= size) {
		memcpy(buf + offset, &cpu->pkru, sizeof(cpu->pkru));
		present |= XFEATURE_MASK_PKRU;
	}
	out->header.xfeatures = present;
	return 0;
}

/**
 * lhv_set_xsave() - the body of KVM_SET_XSAVE
 * @vcpu: the vCPU, its lock held, slow tier
 * @buf: @size bytes from the VMM, in kernel memory, at least sizeof(struct kvm_xsave)
 * @size: as above
 *
 * Return: 0, or -EINVAL for what the hardware would not take.
 */
int lhv_set_xsave(struct lhv_vcpu *vcpu, const void *buf, size_t size)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	struct xregs_state *area = lhv_host_fpu_area(cpu->fpu);
	const struct xregs_state *in = buf;
	u64 present = in->header.xfeatures;
	u32 offset, len;
	unsigned int i;

	if (!lhv_xsave_valid(in, vmm_features(), mxcsr_mask))
		return -EINVAL;
	for (i = FIRST_EXTENDED_XFEATURE; i < 64; i++)
		if ((present & BIT_ULL(i)) &&
		    (!lhv_xstate_component(i, &offset, &len) || offset + len > size))
			return -EINVAL;

	/* Absent components take their initial state. */
	lhv_host_fpu_init(cpu->fpu);
	if (present & XFEATURE_MASK_FP) {
		memcpy(&area->i387, &in->i387, offsetof(struct fxregs_state, mxcsr));
		memcpy(area->i387.st_space, in->i387.st_space, sizeof(in->i387.st_space));
	}
	if (present & XFEATURE_MASK_SSE)
		memcpy(area->i387.xmm_space, in->i387.xmm_space, sizeof(in->i387.xmm_space));
	if (present & MXCSR_USERS)
		area->i387.mxcsr = in->i387.mxcsr;

	cpu->pkru = 0;
	for (i = FIRST_EXTENDED_XFEATURE; i < 64; i++) {
		if (!(present & BIT_ULL(i)) || !lhv_xstate_component(i, &offset, &len))
			continue;
		if (i == XFEATURE_PKRU)
			memcpy(&cpu->pkru, buf + offset, sizeof(cpu->pkru));
		else
			memcpy((void *)area + offset, buf + offset, len);
	}
	if (lhv_cpuid_xcr0())
		area->header.xfeatures = present & ~(u64)XFEATURE_MASK_PKRU;
	return 0;
}

/**
 * lhv_get_xcrs() - the body of KVM_GET_XCRS
 * @vcpu: the vCPU, its lock held
 * @xcrs: result
 *
 * Return: 0, or -EINVAL without XSAVE.
 */
int lhv_get_xcrs(struct lhv_vcpu *vcpu, struct kvm_xcrs *xcrs)
{
	if (!lhv_cpuid_xcr0())
		return -EINVAL;
	memset(xcrs, 0, sizeof(*xcrs));
	xcrs->nr_xcrs = 1;
	xcrs->xcrs[0].xcr = 0;
	xcrs->xcrs[0].value = vcpu->cpu_state.xcr0;
	return 0;
}

/**
 * lhv_set_xcrs() - the body of KVM_SET_XCRS
 * @vcpu: the vCPU, its lock held, slow tier
 * @xcrs: from the VMM
 *
 * Return: 0 or -EINVAL.
 */
int lhv_set_xcrs(struct lhv_vcpu *vcpu, const struct kvm_xcrs *xcrs)
{
	u32 i;

	if (!lhv_cpuid_xcr0())
		return -EINVAL;
	if (xcrs->nr_xcrs > KVM_MAX_XCRS || xcrs->flags)
		return -EINVAL;
	for (i = 0; i < xcrs->nr_xcrs; i++)
		if (!xcrs->xcrs[i].xcr)
			return lhv_set_xcr0(vcpu, xcrs->xcrs[i].value);
	return 0;
}
