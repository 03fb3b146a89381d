// SPDX-License-Identifier: GPL-2.0
/*
 * lhv svm/ - the I/O and MSR permission maps.
 *
 * Ports: one map for all, everything intercepted. MSRs: one map per vCPU, because
 * what may pass depends on the guest's CPUID.
 */
#include <linux/gfp.h>
#include <linux/mem_encrypt.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "svm.h"
#include "cpu/guest_switch.h"

/* APM Vol 2 "I/O Permissions Map": 64K ports and 3 more bits, in 4 KiB pages. */
#define IOPM_SIZE	(3 * PAGE_SIZE)
/* APM Vol 2 "MSR Intercepts": 2 bits for each of 3 (of 4 possible) ranges of 8K MSRs. */
#define MSRPM_SIZE	(2 * PAGE_SIZE)
#define MSRPM_RANGE	0x2000

static const u32 msrpm_ranges[] = { 0, 0xc0000000, 0xc0010000 };

static void *iopm;

/**
 * lhv_svm_permissions_setup() - allocate the I/O permission map
 *
 * Context: process. Return: 0 or -ENOMEM.
 */
int lhv_svm_permissions_setup(void)
{
	iopm = alloc_pages_exact(IOPM_SIZE, GFP_KERNEL);
	if (!iopm)
		return -ENOMEM;
	memset(iopm, 0xff, IOPM_SIZE);
	return 0;
}

void lhv_svm_permissions_teardown(void)
{
	if (iopm)
		free_pages_exact(iopm, IOPM_SIZE);
	iopm = NULL;
}

u64 lhv_svm_iopm_pa(void)
{
	return __sme_set(virt_to_phys(iopm));
}

/* Everything intercepted. */
unsigned long *lhv_svm_msrpm_alloc(void)
{
	void *map = alloc_pages_exact(MSRPM_SIZE, GFP_KERNEL_ACCOUNT);

	if (map)
		memset(map, 0xff, MSRPM_SIZE);
	return map;
}

void lhv_svm_msrpm_free(unsigned long *map)
{
	if (map)
		free_pages_exact(map, MSRPM_SIZE);
}

/**
 * lhv_svm_msrpm_bit() - where an MSR is in the map
 * @msr: MSR number
 *
 * Return: number of the bit that intercepts reads (the next one is for writes), or -1 for an
 * MSR that the map does not cover, which is always intercepted.
 */
int lhv_svm_msrpm_bit(u32 msr)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(msrpm_ranges); i++) {
		if (msr - msrpm_ranges[i] < MSRPM_RANGE)
			return (i * MSRPM_RANGE + (msr - msrpm_ranges[i])) * 2;
	}
	return -1;
}

/**
 * lhv_svm_msrpm_set() - decide about one MSR
 * @map: the map
 * @msr: MSR number, one that the map covers
 * @read: intercept reads
 * @write: intercept writes
 */
void lhv_svm_msrpm_set(unsigned long *map, u32 msr, bool read, bool write)
{
	int bit = lhv_svm_msrpm_bit(msr);

	if (WARN_ON_ONCE(bit < 0))
		return;
	__assign_bit(bit, map, read);
	__assign_bit(bit + 1, map, write);
}

/* CPUID's vendor as the guest sees it. */
static bool guest_is_intel(struct lhv_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *leaf = lhv_cpuid_find(vcpu, 0, 0);

	/* "GenuineIntel" begins with these four letters. */
	return leaf && !memcmp(&leaf->ebx, "Genu", sizeof(leaf->ebx));
}

/* What the VMM denies is its to answer, too. */
static void decide(struct lhv_vcpu *vcpu, u32 msr, bool read, bool write)
{
	lhv_svm_msrpm_set(lhv_svm(vcpu)->msrpm, msr,
			  read || !lhv_msr_allowed(vcpu, msr, KVM_MSR_FILTER_READ),
			  write || !lhv_msr_allowed(vcpu, msr, KVM_MSR_FILTER_WRITE));
}

/**
 * lhv_svm_msrpm_update() - let through what the guest's CPUID offers and hardware switches
 * @vcpu: the vCPU
 *
 * The MSRs that VMLOAD, VMSAVE and VMRUN exchange hold nothing but the guest's own values
 * while it runs. SPEC_CTRL passes only where the CPU switches it; else its writes are rare
 * enough to be intercepted, which spares a RDMSR at every exit.
 */
void lhv_svm_msrpm_update(struct lhv_vcpu *vcpu)
{
	static const u32 long_mode_msrs[] = {
		MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_LSTAR, MSR_CSTAR,
		MSR_SYSCALL_MASK,
	};
	static const u32 sysenter_msrs[] = {
		MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	};
	const struct lhv_cpu *cpu = &vcpu->cpu_state;
	bool stop;
	int i;

	stop = !lhv_has(cpu, LHV_F_LM);
	for (i = 0; i < ARRAY_SIZE(long_mode_msrs); i++)
		decide(vcpu, long_mode_msrs[i], stop, stop);

	stop = !lhv_has(cpu, LHV_F_LM) && !lhv_has(cpu, LHV_F_SYSCALL);
	decide(vcpu, MSR_STAR, stop, stop);

	/* An Intel guest expects 64 bits of ESP and EIP; these CPUs keep 32. */
	stop = guest_is_intel(vcpu);
	for (i = 0; i < ARRAY_SIZE(sysenter_msrs); i++)
		decide(vcpu, sysenter_msrs[i], stop, stop);

	stop = !(lhv_has_spec_ctrl(cpu) && lhv_svm_caps.v_spec_ctrl);
	decide(vcpu, MSR_IA32_SPEC_CTRL, stop, stop);

	/* Write-only: a barrier, whoever asks for it. */
	stop = !((lhv_has(cpu, LHV_F_SPEC_CTRL) || lhv_has(cpu, LHV_F_IBPB)) &&
		 boot_cpu_has(X86_FEATURE_IBPB));
	decide(vcpu, MSR_IA32_PRED_CMD, true, stop);

	lhv_svm_mark_dirty(vcpu, LHV_SVM_PERM_MAPS);
}
