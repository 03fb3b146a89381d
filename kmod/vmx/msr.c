// SPDX-License-Identifier: GPL-2.0
/*
 * lhv vmx/ - the MSR bitmap, and the MSRs that live in the VMCS or in hardware.
 *
 * One bitmap per vCPU, because what may pass depends on the guest's CPUID.
 *
 * Manual: SDM Vol 3C "MSR-Bitmap Address".
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "vmx.h"
#include "cpu/guest_switch.h"

/* Four parts of 8K bits: reads and writes of the low and the high range. */
#define RANGE		0x2000
#define WRITES		(2 * RANGE)	/* bits from a read's to the write's */

static const u32 ranges[] = { 0, 0xc0000000 };

/* Everything intercepted. */
unsigned long *lhv_vmx_msr_bitmap_alloc(void)
{
	void *map = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);

	if (map)
		memset(map, 0xff, PAGE_SIZE);
	return map;
}

void lhv_vmx_msr_bitmap_free(unsigned long *map)
{
	free_page((unsigned long)map);
}

/**
 * lhv_vmx_msr_bit() - where an MSR is in the bitmap
 * @msr: MSR number
 *
 * Return: number of the bit that intercepts reads (WRITES further is the one for writes), or -1
 * for an MSR that the bitmap does not cover, which is always intercepted.
 */
int lhv_vmx_msr_bit(u32 msr)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		if (msr - ranges[i] < RANGE)
			return i * RANGE + (msr - ranges[i]);
	}
	return -1;
}

/**
 * lhv_vmx_msr_intercept() - decide about one MSR
 * @map: the bitmap
 * @msr: MSR number, one that the bitmap covers
 * @read: intercept reads
 * @write: intercept writes
 */
void lhv_vmx_msr_intercept(unsigned long *map, u32 msr, bool read, bool write)
{
	int bit = lhv_vmx_msr_bit(msr);

	if (WARN_ON_ONCE(bit < 0))
		return;
	__assign_bit(bit, map, read);
	__assign_bit(bit + WRITES, map, write);
}

/* What the VMM denies is its to answer, too. */
static void decide(struct lhv_vcpu *vcpu, u32 msr, bool read, bool write)
{
	lhv_vmx_msr_intercept(lhv_vmx(vcpu)->msr_bitmap, msr,
			      read || !lhv_msr_allowed(vcpu, msr, KVM_MSR_FILTER_READ),
			      write || !lhv_msr_allowed(vcpu, msr, KVM_MSR_FILTER_WRITE));
}

/**
 * lhv_vmx_msr_update() - let through what the guest's CPUID offers and hardware switches
 * @vcpu: the vCPU
 *
 * These hold nothing but the guest's own values while it runs. SPEC_CTRL's writes are rare
 * enough to be intercepted, which spares a RDMSR at every exit.
 */
void lhv_vmx_msr_update(struct lhv_vcpu *vcpu)
{
	static const u32 long_mode_msrs[] = { MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE };
	static const u32 sysenter_msrs[] = {
		MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	};
	const struct lhv_cpu *cpu = &vcpu->cpu_state;
	bool stop;
	int i;

	stop = !lhv_has(cpu, LHV_F_LM);
	for (i = 0; i < ARRAY_SIZE(long_mode_msrs); i++)
		decide(vcpu, long_mode_msrs[i], stop, stop);
	for (i = 0; i < ARRAY_SIZE(sysenter_msrs); i++)
		decide(vcpu, sysenter_msrs[i], false, false);

	/* Reads see the offset; writes move it. */
	decide(vcpu, MSR_IA32_TSC, false, true);

	/* Write-only: a barrier, whoever asks for it. */
	stop = !((lhv_has(cpu, LHV_F_SPEC_CTRL) || lhv_has(cpu, LHV_F_IBPB)) &&
		 boot_cpu_has(X86_FEATURE_IBPB));
	decide(vcpu, MSR_IA32_PRED_CMD, true, stop);
}

/**
 * lhv_vmx_msr_virtual_irqs() - the three x2APIC registers that the CPU serves by itself
 * @map: the bitmap
 * @on: it does; else an access would reach the host's own APIC
 *
 * SDM Vol 3C "Virtualizing MSR-Based APIC Accesses".
 */
void lhv_vmx_msr_virtual_irqs(unsigned long *map, bool on)
{
	lhv_vmx_msr_intercept(map, APIC_BASE_MSR + (APIC_TASKPRI >> 4), !on, !on);
	lhv_vmx_msr_intercept(map, APIC_BASE_MSR + (APIC_EOI >> 4), true, !on);
	lhv_vmx_msr_intercept(map, APIC_BASE_MSR + (APIC_SELF_IPI >> 4), true, !on);
}

/**
 * lhv_vmx_load_msrs() - the guest's values where they stay until user space runs
 * @vcpu: the vCPU, in the atomic tier
 */
void lhv_vmx_load_msrs(struct lhv_vcpu *vcpu)
{
	const struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	lhv_host_user_msr_set(LHV_USER_MSR_STAR, vmx->star);
	lhv_host_user_msr_set(LHV_USER_MSR_LSTAR, vmx->lstar);
	lhv_host_user_msr_set(LHV_USER_MSR_SFMASK, vmx->sfmask);
	if (vmx->has_tsc_aux)
		lhv_host_user_msr_set(LHV_USER_MSR_TSC_AUX, vcpu->cpu_state.tsc_aux);
}

/* The group that an MSR's value is part of, and where it is kept. NULL: not one of these. */
static u64 *kept(struct lhv_vmx_vcpu *vmx, u32 index, int *group)
{
	*group = -1;
	switch (index) {
	case MSR_FS_BASE:
		*group = LHV_VMX_SEG + LHV_FS;
		return &vmx->seg[LHV_FS].base;
	case MSR_GS_BASE:
		*group = LHV_VMX_SEG + LHV_GS;
		return &vmx->seg[LHV_GS].base;
	case MSR_IA32_SYSENTER_CS:
		*group = LHV_VMX_SYSENTER;
		return &vmx->sysenter_cs;
	case MSR_IA32_SYSENTER_ESP:
		*group = LHV_VMX_SYSENTER;
		return &vmx->sysenter_esp;
	case MSR_IA32_SYSENTER_EIP:
		*group = LHV_VMX_SYSENTER;
		return &vmx->sysenter_eip;
	case MSR_IA32_CR_PAT:
		*group = LHV_VMX_PAT;
		return &vmx->pat;
	case MSR_STAR:
		return &vmx->star;
	case MSR_LSTAR:
		return &vmx->lstar;
	case MSR_CSTAR:
		return &vmx->cstar;
	case MSR_SYSCALL_MASK:
		return &vmx->sfmask;
	default:
		return NULL;
	}
}

/* See struct lhv_backend. */
int lhv_vmx_get_msr(struct lhv_vcpu *vcpu, u32 index, u64 *data)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	const u64 *value;
	int group;

	value = kept(vmx, index, &group);
	if (value) {
		if (group >= 0)
			lhv_vmx_need(vcpu, BIT(group));
		*data = *value;
		return 0;
	}
	if (index != MSR_KERNEL_GS_BASE)
		return -ENOENT;
	*data = vcpu->atomic ? lhv_host_rdmsr(index) : vmx->kernel_gs_base;
	return 0;
}

/* See struct lhv_backend. */
int lhv_vmx_set_msr(struct lhv_vcpu *vcpu, u32 index, u64 data)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	u64 *value;
	int group;

	/* SDM Vol 4: bits 63:32 are reserved. */
	if (index == MSR_SYSCALL_MASK && upper_32_bits(data))
		return -EINVAL;
	value = kept(vmx, index, &group);
	if (value) {
		/* Its neighbours in the group are written with it. */
		if (group >= 0) {
			lhv_vmx_need(vcpu, BIT(group));
			lhv_vmx_mark_dirty(vmx, group);
		}
		*value = data;
		if (group < 0 && vcpu->atomic)
			lhv_vmx_load_msrs(vcpu);
		return 0;
	}
	switch (index) {
	case MSR_KERNEL_GS_BASE:
		if (vcpu->atomic)
			lhv_host_wrmsr(index, data);
		vmx->kernel_gs_base = data;
		return 0;
	case MSR_TSC_AUX:
		vcpu->cpu_state.tsc_aux = data;
		if (vcpu->atomic)
			lhv_vmx_load_msrs(vcpu);
		return 0;
	case MSR_IA32_SPEC_CTRL:
		vcpu->cpu_state.spec_ctrl = data;
		return 0;
	case MSR_IA32_PRED_CMD:
		if (data & PRED_CMD_IBPB && boot_cpu_has(X86_FEATURE_IBPB))
			lhv_host_wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
		return 0;
	default:
		/* DEBUGCTL among them: without virtualized branch records it is the host's own. */
		return -ENOENT;
	}
}
