// SPDX-License-Identifier: GPL-2.0
/*
 * MSRs: one sorted table says who may read and write each of them, and how.
 *
 * An MSR that is not in the table raises #GP, as on a CPU that lacks it. Some are there only
 * because Linux touches them unasked on the CPU models that guests are told about.
 */
#include <asm/apicdef.h>
#include <asm/kvm_para.h>
#include <asm/mce.h>
#include <asm/msr.h>
#include <asm/mtrr.h>
#include <linux/processor.h>

#include "cpu/msr.h"
#include "host/kvm_abi.h"

/* ---- the plain kinds ---- */

static int get_const(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 *data,
		     bool host)
{
	*data = row->value;
	return 0;
}

static int set_ignored(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		       bool host)
{
	return 0;
}

static int set_zero_only(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
			 bool host)
{
	return data ? -EINVAL : 0;
}

static u64 *field(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row)
{
	return (void *)&vcpu->cpu_state + row->offset;
}

static int get_field(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 *data,
		     bool host)
{
	*data = *field(vcpu, row);
	return 0;
}

static int get_platform_info(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index,
			     u64 *data, bool host)
{
	if (!host && READ_ONCE(vcpu->vm->hide_platform_info))
		return -EINVAL;
	return get_field(vcpu, row, index, data, host);
}

static int set_field(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		     bool host)
{
	if (data & ~row->value)
		return -EINVAL;
	*field(vcpu, row) = data;
	return 0;
}

/* The guest's write changes nothing. */
static int set_by_host(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		       bool host)
{
	return host ? set_field(vcpu, row, index, data, host) : 0;
}

/* In the control block or the hardware; what the backend does not know reads as 0. */
static int get_backend(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 *data,
		       bool host)
{
	if (lhv_backend->get_msr(vcpu, index, data))
		*data = 0;
	return 0;
}

static int set_backend(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		       bool host)
{
	int ret;

	if (data & ~row->value)
		return -EINVAL;
	ret = lhv_backend->set_msr(vcpu, index, data);
	return ret == -ENOENT ? 0 : ret;
}

/* ---- TSC, APIC ---- */

static int get_tsc(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 *data,
		   bool host)
{
	*data = lhv_guest_tsc(vcpu, rdtsc());
	return 0;
}

static int set_tsc(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		   bool host)
{
	lhv_clock_write_tsc(vcpu, data, host);
	return 0;
}

static int set_tsc_adjust(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
			  bool host)
{
	u64 delta = data - vcpu->cpu_state.tsc_adjust;

	/* A VMM that restores a vCPU writes the TSC itself too. */
	if (!host)
		lhv_clock_adjust(vcpu, delta);
	vcpu->cpu_state.tsc_adjust = data;
	return 0;
}

static int get_apic_base(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 *data,
			 bool host)
{
	*data = lhv_lapic_get_base(vcpu);
	return 0;
}

static int set_apic_base(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
			 bool host)
{
	if (lhv_lapic_set_base(vcpu, data, host))
		return -EINVAL;
	lhv_cpuid_runtime(vcpu);
	return 0;
}

static int get_lapic(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 *data,
		     bool host)
{
	return vcpu->lapic ? lhv_lapic_msr_read(vcpu, index, data) : -EINVAL;
}

static int set_lapic(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		     bool host)
{
	return vcpu->lapic ? lhv_lapic_msr_write(vcpu, index, data) : -EINVAL;
}

static int get_deadline(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 *data,
			bool host)
{
	/* One that has passed, and whose interrupt nobody has yet, is still to come for who reads it. */
	*data = vcpu->lapic ? lhv_lapic_get_deadline(vcpu) : 0;
	return 0;
}

static int set_deadline(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
			bool host)
{
	if (vcpu->lapic)
		lhv_lapic_set_deadline(vcpu, data);
	return 0;
}

/* ---- control ---- */

static int get_efer(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 *data,
		    bool host)
{
	*data = vcpu->efer;
	return 0;
}

static int set_efer(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		    bool host)
{
	return lhv_set_efer(vcpu, data, host);
}

/* SDM Vol 3A "IA32_PAT MSR" */
static bool pat_valid(u64 pat)
{
	unsigned int i;

	for (i = 0; i < 8; i++, pat >>= 8) {
		switch (pat & 0xff) {
		case 0: case 1: case 4: case 5: case 6: case 7:
			continue;
		}
		return false;
	}
	return true;
}

static int set_pat(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		   bool host)
{
	int ret;

	if (!pat_valid(data))
		return -EINVAL;
	ret = lhv_backend->set_msr(vcpu, index, data);
	if (ret && ret != -ENOENT)
		return ret;
	vcpu->cpu_state.pat = data;
	return 0;
}

#define CPUID_1_ECX_SSE3	BIT(0)

static int set_misc_enable(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index,
			   u64 data, bool host)
{
	const u64 pmu = MSR_IA32_MISC_ENABLE_BTS_UNAVAIL | MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL;
	u64 old = vcpu->cpu_state.misc_enable;
	const struct kvm_cpuid_entry2 *leaf;

	if (!host) {
		if ((old ^ data) & pmu)
			return -EINVAL;
		/* There is no PMU: reads as 0, writes are ignored. */
		data &= ~(u64)MSR_IA32_MISC_ENABLE_EMON;
	}
	if ((old ^ data) & MSR_IA32_MISC_ENABLE_MWAIT &&
	    !lhv_has_quirk(vcpu->vm, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT)) {
		/* SDM Vol 4 "IA32_MISC_ENABLE": only where there is SSE3 */
		leaf = lhv_cpuid_find(vcpu, 1, 0);
		if (!leaf || !(leaf->ecx & CPUID_1_ECX_SSE3))
			return -EINVAL;
		vcpu->cpu_state.misc_enable = data;
		lhv_cpuid_mwait(vcpu);
		return 0;
	}
	vcpu->cpu_state.misc_enable = data;
	return 0;
}

static int get_tsc_aux(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 *data,
		       bool host)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;

	if (!host && !lhv_has(cpu, LHV_F_RDTSCP) && !lhv_has(cpu, LHV_F_RDPID))
		return -EINVAL;
	if (lhv_backend->get_msr(vcpu, index, data))
		*data = cpu->tsc_aux;
	return 0;
}

static int set_tsc_aux(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		       bool host)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	int ret;

	if (!host && !lhv_has(cpu, LHV_F_RDTSCP) && !lhv_has(cpu, LHV_F_RDPID))
		return -EINVAL;
	if (upper_32_bits(data))
		return -EINVAL;
	ret = lhv_backend->set_msr(vcpu, index, data);
	if (ret && ret != -ENOENT)
		return ret;
	cpu->tsc_aux = data;
	return 0;
}

/* ---- speculation ---- */

static u64 spec_ctrl_bits(const struct lhv_cpu *cpu, bool host)
{
	u64 bits = 0;

	if (host)	/* may come before KVM_SET_CPUID2 */
		return SPEC_CTRL_IBRS | SPEC_CTRL_STIBP | SPEC_CTRL_SSBD;
	if (lhv_has(cpu, LHV_F_SPEC_CTRL) || lhv_has(cpu, LHV_F_AMD_IBRS))
		bits |= SPEC_CTRL_IBRS;
	if (lhv_has(cpu, LHV_F_INTEL_STIBP) || lhv_has(cpu, LHV_F_AMD_STIBP))
		bits |= SPEC_CTRL_STIBP;
	if (lhv_has(cpu, LHV_F_INTEL_SSBD) || lhv_has(cpu, LHV_F_AMD_SSBD))
		bits |= SPEC_CTRL_SSBD;
	/* Where IBRS exists, STIBP may be set without effect. */
	if (bits & SPEC_CTRL_IBRS)
		bits |= SPEC_CTRL_STIBP;
	return bits;
}

/* What the host's own MSR takes. */
static u64 spec_ctrl_host_bits(void)
{
	u64 bits = 0;

	if (lhv_cpuid_offered(X86_FEATURE_SPEC_CTRL) || lhv_cpuid_offered(X86_FEATURE_AMD_IBRS))
		bits |= SPEC_CTRL_IBRS | SPEC_CTRL_STIBP;
	if (lhv_cpuid_offered(X86_FEATURE_INTEL_STIBP) ||
	    lhv_cpuid_offered(X86_FEATURE_AMD_STIBP))
		bits |= SPEC_CTRL_STIBP;
	if (lhv_cpuid_offered(X86_FEATURE_SPEC_CTRL_SSBD) ||
	    lhv_cpuid_offered(X86_FEATURE_AMD_SSBD))
		bits |= SPEC_CTRL_SSBD;
	return bits;
}

static int get_spec_ctrl(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 *data,
			 bool host)
{
	if (!spec_ctrl_bits(&vcpu->cpu_state, host))
		return -EINVAL;
	if (lhv_backend->get_msr(vcpu, index, data))
		*data = vcpu->cpu_state.spec_ctrl;
	return 0;
}

static int set_spec_ctrl(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
			 bool host)
{
	u64 bits = spec_ctrl_bits(&vcpu->cpu_state, host);
	int ret;

	/* The value goes into the hardware: a bit that it lacks would fault there. */
	if (!bits || (data & ~(bits & spec_ctrl_host_bits())))
		return -EINVAL;
	ret = lhv_backend->set_msr(vcpu, index, data);
	if (ret && ret != -ENOENT)
		return ret;
	vcpu->cpu_state.spec_ctrl = data;
	return 0;
}

static int set_pred_cmd(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
			bool host)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;

	if (!host && !lhv_has(cpu, LHV_F_IBPB) && !lhv_has(cpu, LHV_F_SPEC_CTRL))
		return -EINVAL;
	if (data & ~(u64)PRED_CMD_IBPB)
		return -EINVAL;
	if (!data)
		return 0;
	if (!boot_cpu_has(X86_FEATURE_IBPB))
		return -EINVAL;
	wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB, 0);
	return 0;
}

/* Immunities and controls that hold for a guest as they do for the host. */
#define ARCH_CAP_PASS	(ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_SSB_NO |		\
			 ARCH_CAP_MDS_NO | ARCH_CAP_PSCHANGE_MC_NO | ARCH_CAP_TAA_NO |	\
			 ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO |	\
			 ARCH_CAP_PBRSB_NO)

static u64 arch_capabilities(void)
{
	u32 lo, hi;

	if (!boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		return 0;
	rdmsr(MSR_IA32_ARCH_CAPABILITIES, lo, hi);
	/* The host flushes L1D where that is needed; the guest need not do it again. */
	return ((lo | (u64)hi << 32) & ARCH_CAP_PASS) | ARCH_CAP_SKIP_VMENTRY_L1DFLUSH;
}

/* ---- AMD ---- */

#define HWCR_TSC_FREQ_SEL	BIT_ULL(24)
/* TlbCacheDis, FFDis, IgnneEm */
#define HWCR_IGNORED		(BIT_ULL(3) | BIT_ULL(6) | BIT_ULL(8))

static int set_hwcr(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		    bool host)
{
	data &= ~HWCR_IGNORED;
	if (data & ~(LHV_HWCR_MC_STATUS_WR_EN | HWCR_TSC_FREQ_SEL))
		return -EINVAL;
	vcpu->cpu_state.hwcr = data;
	return 0;
}

#define DE_CFG_LFENCE	BIT_ULL(1)	/* LFENCE is dispatch serializing */

static u64 de_cfg(void)
{
	return boot_cpu_has(X86_FEATURE_LFENCE_RDTSC) ? DE_CFG_LFENCE : 0;
}

static int set_de_cfg(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		      bool host)
{
	if (data & ~de_cfg())
		return -EINVAL;
	vcpu->cpu_state.de_cfg = data;
	return 0;
}

/* ---- paravirtual clocks ---- */

static int get_wall_clock(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index,
			  u64 *data, bool host)
{
	*data = READ_ONCE(vcpu->vm->clock.wall_clock_msr);
	return 0;
}

static int set_clock(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		     bool host)
{
	return lhv_clock_msr_write(vcpu, index, data);
}

static int get_pv_eoi(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index,
		      u64 *data, bool host)
{
	*data = vcpu->pv_eoi;
	return 0;
}

static int set_pv_eoi(struct lhv_vcpu *vcpu, const struct lhv_msr_row *row, u32 index, u64 data,
		      bool host)
{
	return lhv_pv_eoi_set(vcpu, data);
}

/* ---- the table ---- */

#define NEEDS(f)	((f) + 1)
#define PV(f)		((f) + 1)
#define FIELD(f)	offsetof(struct lhv_cpu, f)
#define ONE(msr)	.first = (msr), .last = (msr)

/* Reads as a constant; a write raises #GP. */
#define CONST(msr, val)							\
	{ ONE(msr), .value = (val), .get = get_const }
/* Reads as 0, writes are ignored. */
#define IGNORED(from, to)						\
	{ .first = (from), .last = (to), .get = get_const, .set = set_ignored }
#define BACKEND(msr, bits, fl)						\
	{ ONE(msr), .flags = (fl), .value = (bits), .get = get_backend, .set = set_backend }

static const struct lhv_msr_row rows[] = {
	{ .first = MSR_IA32_P5_MC_ADDR, .last = MSR_IA32_P5_MC_TYPE, .get = get_const },
	{ ONE(MSR_IA32_TSC), .flags = ROW_LISTED, .get = get_tsc, .set = set_tsc },
	{ ONE(MSR_KVM_WALL_CLOCK), .flags = ROW_LISTED, .pv = PV(KVM_FEATURE_CLOCKSOURCE),
	  .get = get_wall_clock, .set = set_clock },
	{ ONE(MSR_KVM_SYSTEM_TIME), .flags = ROW_LISTED, .pv = PV(KVM_FEATURE_CLOCKSOURCE),
	  .offset = FIELD(kvmclock_msr), .get = get_field, .set = set_clock },
	CONST(MSR_IA32_PLATFORM_ID, 0),
	{ ONE(MSR_IA32_APICBASE), .flags = ROW_LISTED, .get = get_apic_base,
	  .set = set_apic_base },
	CONST(MSR_IA32_EBL_CR_POWERON, 0),
	/* Bus ratio 1: old Linux divides by it. */
	CONST(MSR_EBC_FREQUENCY_ID, BIT(24)),
	{ ONE(MSR_IA32_TSC_ADJUST), .flags = ROW_LISTED, .needs = NEEDS(LHV_F_TSC_ADJUST),
	  .offset = FIELD(tsc_adjust), .get = get_field, .set = set_tsc_adjust },
	{ ONE(MSR_IA32_SPEC_CTRL), .get = get_spec_ctrl, .set = set_spec_ctrl },
	{ ONE(MSR_IA32_PRED_CMD), .set = set_pred_cmd },
	{ ONE(MSR_IA32_UCODE_WRITE), .set = set_ignored },
	{ ONE(MSR_IA32_UCODE_REV), .flags = ROW_LISTED | ROW_FEATURE,
	  .offset = FIELD(ucode_rev), .value = ~0ull, .get = get_field, .set = set_by_host },
	{ ONE(MSR_IA32_SMBASE), .flags = ROW_HOST_READ | ROW_HOST_WRITE,
	  .offset = FIELD(smbase), .value = ~0ull, .get = get_field, .set = set_field },
	IGNORED(MSR_P6_PERFCTR0, MSR_P6_PERFCTR1),
	/* 100 MHz */
	CONST(MSR_FSB_FREQ, 3),
	{ ONE(MSR_PLATFORM_INFO), .flags = ROW_HOST_WRITE, .offset = FIELD(platform_info),
	  .value = ~0ull, .get = get_platform_info, .set = set_field },
	CONST(MSR_MTRRcap, LHV_MTRR_CAP),
	{ ONE(MSR_IA32_ARCH_CAPABILITIES),
	  .flags = ROW_LISTED | ROW_FEATURE | ROW_HOST_WRITE,
	  .host = X86_FEATURE_ARCH_CAPABILITIES, .needs = NEEDS(LHV_F_ARCH_CAPS),
	  .offset = FIELD(arch_capabilities), .value = ~0ull, .get = get_field,
	  .set = set_field },
	{ ONE(MSR_MISC_FEATURES_ENABLES), .get = get_const, .set = set_zero_only },
	BACKEND(MSR_IA32_SYSENTER_CS, ~0ull, ROW_LISTED),
	BACKEND(MSR_IA32_SYSENTER_ESP, ~0ull, ROW_LISTED | ROW_CANONICAL),
	BACKEND(MSR_IA32_SYSENTER_EIP, ~0ull, ROW_LISTED | ROW_CANONICAL),
	{ ONE(MSR_IA32_MCG_CAP), .offset = FIELD(mcg_cap), .get = get_field },
	{ ONE(MSR_IA32_MCG_STATUS), .flags = ROW_LISTED, .offset = FIELD(mcg_status),
	  .value = ~0ull, .get = get_field, .set = set_field },
	{ ONE(MSR_IA32_MCG_CTL), .flags = ROW_LISTED, .get = lhv_mcg_ctl_get,
	  .set = lhv_mcg_ctl_set },
	IGNORED(MSR_P6_EVNTSEL0, MSR_P6_EVNTSEL1),
	CONST(MSR_IA32_PERF_STATUS, 1000 | 4ull << 40),	/* TSC and CPU multiplier */
	CONST(MSR_IA32_PERF_CTL, 0),
	{ ONE(MSR_IA32_MISC_ENABLE), .flags = ROW_LISTED, .offset = FIELD(misc_enable),
	  .get = get_field, .set = set_misc_enable },
	BACKEND(MSR_IA32_DEBUGCTLMSR, DEBUGCTLMSR_LBR | DEBUGCTLMSR_BTF, 0),
	BACKEND(MSR_IA32_LASTBRANCHFROMIP, ~0ull, ROW_HOST_WRITE),
	BACKEND(MSR_IA32_LASTBRANCHTOIP, ~0ull, ROW_HOST_WRITE),
	BACKEND(MSR_IA32_LASTINTFROMIP, ~0ull, ROW_HOST_WRITE),
	BACKEND(MSR_IA32_LASTINTTOIP, ~0ull, ROW_HOST_WRITE),
	/* Which of a core's idle states are deeper than asked for: the guest's own wish */
	{ ONE(MSR_IA32_POWER_CTL), .flags = ROW_LISTED, .offset = FIELD(power_ctl),
	  .value = ~0ull, .get = get_field, .set = set_field },
	{ .first = MTRRphysBase_MSR(0), .last = MTRRphysMask_MSR(LHV_NR_VAR_MTRRS - 1),
	  .get = lhv_mtrr_get, .set = lhv_mtrr_set },
	{ ONE(MSR_MTRRfix64K_00000), .get = lhv_mtrr_get, .set = lhv_mtrr_set },
	{ .first = MSR_MTRRfix16K_80000, .last = MSR_MTRRfix16K_A0000,
	  .get = lhv_mtrr_get, .set = lhv_mtrr_set },
	{ .first = MSR_MTRRfix4K_C0000, .last = MSR_MTRRfix4K_F8000,
	  .get = lhv_mtrr_get, .set = lhv_mtrr_set },
	{ ONE(MSR_IA32_CR_PAT), .flags = ROW_LISTED, .offset = FIELD(pat),
	  .get = get_field, .set = set_pat },
	{ ONE(MSR_MTRRdefType), .get = lhv_mtrr_get, .set = lhv_mtrr_set },
	{ .first = MSR_IA32_MC0_CTL, .last = MSR_IA32_MCx_CTL(LHV_MCE_BANKS) - 1,
	  .get = lhv_mc_bank_get, .set = lhv_mc_bank_set },
	/* Running average power: Linux reads them on some models without asking. */
	CONST(MSR_RAPL_POWER_UNIT, 0),
	CONST(MSR_PKG_ENERGY_STATUS, 0),
	CONST(MSR_DRAM_ENERGY_STATUS, 0),
	CONST(MSR_PP0_ENERGY_STATUS, 0),
	CONST(MSR_PP1_ENERGY_STATUS, 0),
	{ ONE(MSR_IA32_TSC_DEADLINE), .flags = ROW_LISTED, .needs = NEEDS(LHV_F_TSC_DEADLINE),
	  .get = get_deadline, .set = set_deadline },
	{ .first = APIC_BASE_MSR, .last = APIC_BASE_MSR + 0xff, .get = get_lapic,
	  .set = set_lapic },
	{ ONE(MSR_IA32_XSS), .needs = NEEDS(LHV_F_XSAVES), .get = get_const,
	  .set = set_zero_only },
	{ ONE(MSR_KVM_WALL_CLOCK_NEW), .flags = ROW_LISTED,
	  .pv = PV(KVM_FEATURE_CLOCKSOURCE2), .get = get_wall_clock, .set = set_clock },
	{ ONE(MSR_KVM_SYSTEM_TIME_NEW), .flags = ROW_LISTED,
	  .pv = PV(KVM_FEATURE_CLOCKSOURCE2), .offset = FIELD(kvmclock_msr),
	  .get = get_field, .set = set_clock },
	/* Not offered, so 0 is all that there is; VMMs write it at reset. */
	{ ONE(MSR_KVM_ASYNC_PF_EN), .pv = PV(KVM_FEATURE_ASYNC_PF), .get = get_const,
	  .set = set_zero_only },
	{ ONE(MSR_KVM_STEAL_TIME), .flags = ROW_LISTED, .pv = PV(KVM_FEATURE_STEAL_TIME),
	  .offset = FIELD(steal_msr), .get = get_field, .set = set_clock },
	{ ONE(MSR_KVM_PV_EOI_EN), .flags = ROW_LISTED, .pv = PV(KVM_FEATURE_PV_EOI),
	  .get = get_pv_eoi, .set = set_pv_eoi },
	{ ONE(MSR_KVM_POLL_CONTROL), .flags = ROW_LISTED, .pv = PV(KVM_FEATURE_POLL_CONTROL),
	  .offset = FIELD(poll_control), .value = 1, .get = get_field, .set = set_field },
	{ .first = MSR_KVM_ASYNC_PF_INT, .last = MSR_KVM_ASYNC_PF_ACK,
	  .pv = PV(KVM_FEATURE_ASYNC_PF_INT), .get = get_const, .set = set_zero_only },
	{ ONE(MSR_EFER), .get = get_efer, .set = set_efer },
	BACKEND(MSR_STAR, ~0ull, ROW_LISTED),
	BACKEND(MSR_LSTAR, ~0ull, ROW_LISTED | ROW_CANONICAL),
	BACKEND(MSR_CSTAR, ~0ull, ROW_LISTED | ROW_CANONICAL),
	BACKEND(MSR_SYSCALL_MASK, ~0ull, ROW_LISTED),
	BACKEND(MSR_FS_BASE, ~0ull, ROW_CANONICAL),
	BACKEND(MSR_GS_BASE, ~0ull, ROW_CANONICAL),
	BACKEND(MSR_KERNEL_GS_BASE, ~0ull, ROW_LISTED | ROW_CANONICAL),
	{ ONE(MSR_TSC_AUX), .flags = ROW_LISTED, .host = X86_FEATURE_RDTSCP,
	  .get = get_tsc_aux, .set = set_tsc_aux },
	/* Linux programs the K7 counters on every AMD CPU, and finds that there is none. */
	IGNORED(MSR_K7_EVNTSEL0, MSR_K7_PERFCTR3),
	CONST(MSR_AMD64_SYSCFG, 0),
	{ ONE(MSR_K7_HWCR), .flags = ROW_LISTED, .offset = FIELD(hwcr), .get = get_field,
	  .set = set_hwcr },
	IGNORED(MSR_K7_CLK_CTL, MSR_K7_CLK_CTL),
	IGNORED(MSR_AMD64_NB_CFG, MSR_AMD64_NB_CFG),
	{ ONE(MSR_AMD64_PATCH_LOADER), .set = set_ignored },
	CONST(MSR_K8_INT_PENDING_MSG, 0),
	{ ONE(MSR_FAM10H_MMIO_CONF_BASE), .get = get_const, .set = set_zero_only },
	CONST(MSR_K8_TSEG_ADDR, 0),
	CONST(MSR_K8_TSEG_MASK, 0),
	{ ONE(MSR_VM_CR), .get = get_const, .set = set_zero_only },
	{ ONE(MSR_VM_HSAVE_PA), .flags = ROW_HOST_WRITE, .offset = FIELD(hsave_pa),
	  .value = ~0ull, .get = get_field, .set = set_field },
	{ ONE(MSR_AMD64_OSVW_ID_LENGTH), .needs = NEEDS(LHV_F_OSVW),
	  .offset = FIELD(osvw_length), .value = ~0ull, .get = get_field, .set = set_field },
	{ ONE(MSR_AMD64_OSVW_STATUS), .needs = NEEDS(LHV_F_OSVW),
	  .offset = FIELD(osvw_status), .value = ~0ull, .get = get_field, .set = set_field },
	/* Errata workarounds for silicon that the guest does not drive. */
	CONST(MSR_F15H_IC_CFG, 0),
	IGNORED(MSR_AMD64_DC_CFG, MSR_AMD64_DC_CFG),
	IGNORED(MSR_AMD64_TW_CFG, MSR_AMD64_TW_CFG),
	{ ONE(MSR_AMD64_DE_CFG), .flags = ROW_FEATURE, .offset = FIELD(de_cfg),
	  .get = get_field, .set = set_de_cfg },
	IGNORED(MSR_AMD64_BU_CFG2, MSR_AMD64_BU_CFG2),
	IGNORED(MSR_F15H_EX_CFG, MSR_F15H_EX_CFG),
};

static const struct lhv_msr_row *search_row(u32 index)
{
	unsigned int lo = 0, hi = ARRAY_SIZE(rows);

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;

		if (index > rows[mid].last)
			lo = mid + 1;
		else if (index < rows[mid].first)
			hi = mid;
		else
			return &rows[mid];
	}
	return NULL;
}

/* Guests use one MSR again and again: its timer's. */
static const struct lhv_msr_row *find_row(struct lhv_vcpu *vcpu, u32 index)
{
	const struct lhv_msr_row *row = vcpu->cpu_state.msr_row;

	if (row && index >= row->first && index <= row->last)
		return row;
	row = search_row(index);
	vcpu->cpu_state.msr_row = row;
	return row;
}

bool lhv_msr_any(bool (*is)(void *arg, u32 index), void *arg)
{
	unsigned int i;
	u32 index;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		for (index = rows[i].first; index <= rows[i].last; index++) {
			if (is(arg, index))
				return true;
		}
	}
	return false;
}

static bool guest_may(const struct lhv_cpu *cpu, const struct lhv_msr_row *row)
{
	if (row->needs && !lhv_has(cpu, row->needs - 1))
		return false;
	return !row->pv || (cpu->pv_features & BIT(row->pv - 1));
}

static bool is_canonical(const struct lhv_vcpu *vcpu, u64 addr)
{
	int shift = 64 - (lhv_has(&vcpu->cpu_state, LHV_F_LA57) ? 57 : 48);

	return (u64)((s64)(addr << shift) >> shift) == addr;
}

/**
 * lhv_msr_read() - RDMSR, or KVM_GET_MSRS
 * @vcpu: the vCPU; either tier
 * @index: MSR
 * @data: result
 * @host: for the VMM
 *
 * Return: 0; nonzero: #GP(0), or the end of KVM_GET_MSRS. -ENOENT: there is no such MSR.
 */
int lhv_msr_read(struct lhv_vcpu *vcpu, u32 index, u64 *data, bool host)
{
	const struct lhv_msr_row *row = find_row(vcpu, index);

	if (!row)
		return -ENOENT;
	if (!row->get)
		return -EINVAL;
	if (!host && ((row->flags & ROW_HOST_READ) || !guest_may(&vcpu->cpu_state, row)))
		return -EINVAL;
	return row->get(vcpu, row, index, data, host);
}

/**
 * lhv_msr_write() - WRMSR, or KVM_SET_MSRS
 * @vcpu: the vCPU; either tier
 * @index: MSR
 * @data: value
 * @host: from the VMM
 *
 * Return: 0; nonzero: #GP(0) and nothing changed, or the end of KVM_SET_MSRS. -ENOENT: as above.
 */
int lhv_msr_write(struct lhv_vcpu *vcpu, u32 index, u64 data, bool host)
{
	const struct lhv_msr_row *row = find_row(vcpu, index);

	if (!row)
		return -ENOENT;
	if (!row->set)
		return -EINVAL;
	if (!host && ((row->flags & ROW_HOST_WRITE) || !guest_may(&vcpu->cpu_state, row)))
		return -EINVAL;
	if ((row->flags & ROW_CANONICAL) && !is_canonical(vcpu, data))
		return -EINVAL;
	return row->set(vcpu, row, index, data, host);
}

/* ---- lists ---- */

static u32 listed[ARRAY_SIZE(rows)], features[ARRAY_SIZE(rows)];
static u32 nr_listed, nr_features;

/* Module init, when it is known what is offered. Rows with a flag are single MSRs. */
void lhv_msr_setup(void)
{
	unsigned int i;

	nr_listed = 0;
	nr_features = 0;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].host && !lhv_cpuid_offered(rows[i].host))
			continue;
		if (rows[i].flags & ROW_LISTED)
			listed[nr_listed++] = rows[i].first;
		if (rows[i].flags & ROW_FEATURE)
			features[nr_features++] = rows[i].first;
	}
	if (spec_ctrl_host_bits())
		listed[nr_listed++] = MSR_IA32_SPEC_CTRL;
}

u32 lhv_msr_list(const u32 **list)
{
	*list = listed;
	return nr_listed;
}

u32 lhv_msr_feature_list(const u32 **list)
{
	*list = features;
	return nr_features;
}

/* What guests see where nobody loads microcode; as KVM, so that guests behave alike. */
#define UCODE_AMD	0x01000065ull
#define UCODE_INTEL	0x100000000ull

static u64 ucode_rev(void)
{
	return boot_cpu_data.x86_vendor == X86_VENDOR_INTEL ? UCODE_INTEL : UCODE_AMD;
}

/**
 * lhv_msr_feature() - an MSR that says what the module supports
 * @index: one of lhv_msr_feature_list()
 * @data: result
 *
 * Return: 0 or -EINVAL.
 */
int lhv_msr_feature(u32 index, u64 *data)
{
	switch (index) {
	case MSR_IA32_ARCH_CAPABILITIES:
		*data = arch_capabilities();
		return 0;
	case MSR_IA32_UCODE_REV:
		*data = ucode_rev();
		return 0;
	case MSR_AMD64_DE_CFG:
		*data = de_cfg();
		return 0;
	}
	return -EINVAL;
}

#define PAT_RESET	0x0007040600070406ull	/* SDM Vol 3A "Programming the PAT" */
#define SMBASE_RESET	0x30000	/* SDM Vol 3C "SMRAM" */
#define OSVW_IDS	3	/* APM Vol 2 "OS-Visible Workaround": known ones, none needed */

void lhv_msr_reset(struct lhv_vcpu *vcpu)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	bool stuff;

	lhv_mtrr_reset(cpu);
	cpu->pat = PAT_RESET;
	lhv_backend->set_msr(vcpu, MSR_IA32_CR_PAT, PAT_RESET);
	cpu->misc_enable = MSR_IA32_MISC_ENABLE_FAST_STRING |
			   MSR_IA32_MISC_ENABLE_BTS_UNAVAIL | MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL;
	cpu->mcg_status = 0;
	cpu->spec_ctrl = 0;
	cpu->tsc_aux = 0;
	cpu->tsc_adjust = 0;
	cpu->smbase = SMBASE_RESET;
	vcpu->pv_eoi = 0;
	cpu->hwcr = 0;
	cpu->de_cfg = de_cfg();
	stuff = lhv_has_quirk(vcpu->vm, KVM_X86_QUIRK_STUFF_FEATURE_MSRS);
	cpu->ucode_rev = stuff ? ucode_rev() : 0;
	cpu->arch_capabilities = stuff ? arch_capabilities() : 0;
	cpu->osvw_length = OSVW_IDS;
	cpu->osvw_status = 0;
	cpu->poll_control = 1;
	cpu->power_ctl = 0;
}

#if IS_ENABLED(CONFIG_KUNIT)
bool lhv_msr_test_sorted(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].first > rows[i].last || (i && rows[i].first <= rows[i - 1].last))
			return false;
	return true;
}

bool lhv_msr_test_known(u32 index)
{
	return search_row(index);
}
#endif
