// SPDX-License-Identifier: GPL-2.0
/*
 * lhv vmx/ - what this processor can do, and whether it is free.
 *
 * Manual: SDM Vol 3D "VMX Capability Reporting Facility".
 */
#define pr_fmt(fmt) "lhv: " fmt

#include <linux/cpufeature.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>
#include <linux/processor.h>
#include <linux/string.h>

#include "vmx.h"

struct lhv_vmx_caps lhv_vmx_caps __ro_after_init;

/* Bits of the capability MSRs that <asm/vmx.h> has on some kernels only. */
#define BASIC_REVISION		GENMASK_ULL(30, 0)
#define BASIC_SIZE_SHIFT	32
#define BASIC_SIZE		GENMASK_ULL(44, 32)
#define BASIC_TYPE_SHIFT	50
#define BASIC_TYPE		GENMASK_ULL(53, 50)
#define BASIC_INS_OUTS		BIT_ULL(54)
#define BASIC_TRUE_CONTROLS	BIT_ULL(55)
#define MISC_TIMER_SHIFT	GENMASK_ULL(4, 0)

/* IA32_VMX_EPT_VPID_CAP: the part about INVVPID. */
#define VPID_CAP_SHIFT		32

static const struct {
	const char *name;
	u32 msr, true_msr;
	u32 required, optional, dynamic;
} words[LHV_VMX_NR_CONTROLS] = {
#define WORD(w, msr, true, dynamic)							\
	[LHV_VMX_##w] = { #w, msr, true, LHV_VMX_##w##_REQUIRED, LHV_VMX_##w##_OPTIONAL, dynamic }
	WORD(PIN, MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS,
	     LHV_VMX_PIN_DYNAMIC),
	WORD(CPU, MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
	     LHV_VMX_CPU_DYNAMIC),
	WORD(CPU2, MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_PROCBASED_CTLS2,
	     LHV_VMX_CPU2_DYNAMIC),
	WORD(EXIT, MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS, LHV_VMX_EXIT_DYNAMIC),
	WORD(ENTRY, MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS,
	     LHV_VMX_ENTRY_DYNAMIC),
#undef WORD
};

/* Names, for the log and for "features". */
static const struct {
	enum lhv_vmx_word word;
	u32 bit;
	const char *name;
} names[] = {
	{ LHV_VMX_PIN, PIN_BASED_VIRTUAL_NMIS, "virtual NMIs" },
	{ LHV_VMX_PIN, PIN_BASED_VMX_PREEMPTION_TIMER, "preemption timer" },
	{ LHV_VMX_PIN, PIN_BASED_POSTED_INTR, "posted interrupts" },
	{ LHV_VMX_CPU, CPU_BASED_USE_MSR_BITMAPS, "MSR bitmaps" },
	{ LHV_VMX_CPU, CPU_BASED_ACTIVATE_SECONDARY_CONTROLS, "secondary controls" },
	{ LHV_VMX_CPU, CPU_BASED_TPR_SHADOW, "TPR shadow" },
	{ LHV_VMX_CPU2, SECONDARY_EXEC_ENABLE_EPT, "extended page tables (EPT)" },
	{ LHV_VMX_CPU2, SECONDARY_EXEC_UNRESTRICTED_GUEST, "unrestricted guest" },
	{ LHV_VMX_CPU2, SECONDARY_EXEC_ENABLE_VPID, "VPID" },
	{ LHV_VMX_CPU2, SECONDARY_EXEC_WBINVD_EXITING, "WBINVD exiting" },
	{ LHV_VMX_CPU2, SECONDARY_EXEC_ENABLE_RDTSCP, "RDTSCP" },
	{ LHV_VMX_CPU2, SECONDARY_EXEC_ENABLE_INVPCID, "INVPCID" },
	{ LHV_VMX_CPU2, SECONDARY_EXEC_PAUSE_LOOP_EXITING, "PAUSE-loop exiting" },
	{ LHV_VMX_CPU2, SECONDARY_EXEC_ENCLS_EXITING, "ENCLS exiting" },
	{ LHV_VMX_CPU2, SECONDARY_EXEC_TSC_SCALING, "TSC scaling" },
	{ LHV_VMX_CPU2, SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE, "virtualized x2APIC" },
	{ LHV_VMX_CPU2, SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY, "virtual-interrupt delivery" },
	{ LHV_VMX_EXIT, VM_EXIT_ACK_INTR_ON_EXIT, "acknowledging interrupts at exit" },
	{ LHV_VMX_EXIT, VM_EXIT_LOAD_IA32_PAT, "loading PAT at exit" },
	{ LHV_VMX_EXIT, VM_EXIT_LOAD_IA32_EFER, "loading EFER at exit" },
	{ LHV_VMX_ENTRY, VM_ENTRY_LOAD_IA32_PAT, "loading PAT at entry" },
	{ LHV_VMX_ENTRY, VM_ENTRY_LOAD_IA32_EFER, "loading EFER at entry" },
};

/* What is optional is tested by its absence, too. */
static char *lacks = "";
module_param_named(vmx_lacks, lacks, charp, 0444);
MODULE_PARM_DESC(vmx_lacks, "for tests: optional features of VT-x to do without, by name, with commas between (default none)");

static bool lacking(const char *name)
{
	size_t len = strlen(name);
	const char *at;

	for (at = lacks; (at = strstr(at, name)); at += len) {
		if ((at == lacks || at[-1] == ',') && (!at[len] || at[len] == ','))
			return true;
	}
	return false;
}

/* ---- is it free? ---- */

static bool switched_off(void)
{
	const u64 on = FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX;

	return (lhv_host_rdmsr(MSR_IA32_FEAT_CTL) & on) != on;
}

static bool foreign_owner(void)
{
	return lhv_host_vmxe();
}

const struct lhv_survey lhv_vmx_survey = {
	.name = "VT-x",
	.owner = "kvm_intel",
	.switched_off = switched_off,
	.foreign_owner = foreign_owner,
};

/* ---- is it enough? ---- */

static bool has(const struct lhv_vmx_caps *caps, enum lhv_vmx_word word, u32 bit)
{
	return caps->allowed[word].may & bit;
}

static void name_missing(enum lhv_vmx_word word, u32 missing)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].word == word && names[i].bit & missing) {
			pr_err("this processor's VT-x lacks %s, which lhv needs\n", names[i].name);
			missing &= ~names[i].bit;
		}
	}
	if (missing)
		pr_err("this processor's VT-x lacks %s controls %08x, which lhv needs\n",
		       words[word].name, missing);
}

/*
 * Models whose preemption timer does not count as the manual says, by CPUID 1 EAX: errata AAT59 and
 * AAU65 of mobile and desktop Westmere, and one of Ivy Bridge. Older ones miss the floor anyway.
 */
static bool timer_is_broken(void)
{
	switch (cpuid_eax(1)) {
	case 0x20652:
	case 0x20655:
	case 0x306a8:
		return true;
	default:
		return false;
	}
}

static u32 without(enum lhv_vmx_word word)
{
	u32 bits = 0;
	int i;

	if (word == LHV_VMX_PIN && timer_is_broken())
		bits |= PIN_BASED_VMX_PREEMPTION_TIMER;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].word == word && words[word].optional & names[i].bit &&
		    lacking(names[i].name))
			bits |= names[i].bit;
	}
	return bits;
}

/*
 * A capability MSR says in its low half which bits must be set, in its high half which may be.
 * What must be set and is not declared is left as the CPU wants it.
 */
static bool check_controls(struct lhv_vmx_caps *caps, u64 basic)
{
	bool ok = true;
	u64 msr;
	u32 must, may;
	int i;

	for (i = 0; i < LHV_VMX_NR_CONTROLS; i++) {
		if (i == LHV_VMX_CPU2 && !has(caps, LHV_VMX_CPU,
					      CPU_BASED_ACTIVATE_SECONDARY_CONTROLS))
			return false;
		msr = lhv_host_rdmsr(basic & BASIC_TRUE_CONTROLS ? words[i].true_msr :
								   words[i].msr);
		must = msr;
		may = (msr >> 32) & ~without(i);
		caps->allowed[i].must = must;
		caps->allowed[i].may = may & (words[i].required | words[i].optional);
		if (words[i].required & ~may) {
			name_missing(i, words[i].required & ~may);
			ok = false;
		}
	}
	return ok;
}

/* Some are of use together only. */
static void check_virtual_irqs(struct lhv_vmx_caps *caps)
{
	if (!has(caps, LHV_VMX_CPU, CPU_BASED_TPR_SHADOW) ||
	    (caps->allowed[LHV_VMX_CPU2].may & LHV_VMX_VIRTUAL_IRQS) != LHV_VMX_VIRTUAL_IRQS)
		caps->allowed[LHV_VMX_CPU2].may &= ~LHV_VMX_VIRTUAL_IRQS;
	if (!has(caps, LHV_VMX_CPU2, LHV_VMX_VIRTUAL_IRQS) || !lhv_host_can_notify() ||
	    !has(caps, LHV_VMX_EXIT, VM_EXIT_ACK_INTR_ON_EXIT))
		caps->allowed[LHV_VMX_PIN].may &= ~PIN_BASED_POSTED_INTR;
	if (!has(caps, LHV_VMX_PIN, PIN_BASED_POSTED_INTR))
		caps->allowed[LHV_VMX_EXIT].may &= ~VM_EXIT_ACK_INTR_ON_EXIT;
}

static bool check_ept(struct lhv_vmx_caps *caps)
{
	u64 cap = lhv_host_rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
	u64 vpid = cap >> VPID_CAP_SHIFT;

	if (!(cap & VMX_EPT_PAGE_WALK_4_BIT) || !(cap & VMX_EPTP_WB_BIT) ||
	    !(cap & VMX_EPT_INVEPT_BIT) ||
	    !(cap & (VMX_EPT_EXTENT_CONTEXT_BIT | VMX_EPT_EXTENT_GLOBAL_BIT))) {
		pr_err("this processor's EPT lacks four levels, write-back tables or INVEPT, which lhv needs\n");
		return false;
	}
	caps->invept = cap & VMX_EPT_EXTENT_CONTEXT_BIT ? VMX_EPT_EXTENT_CONTEXT :
							  VMX_EPT_EXTENT_GLOBAL;
	if (lacking("EPT accessed and dirty bits"))
		cap &= ~(u64)VMX_EPT_AD_BIT;
	if (lacking("large EPT pages"))
		cap &= ~(u64)(VMX_EPT_2MB_PAGE_BIT | VMX_EPT_1GB_PAGE_BIT);
	caps->ept_ad = cap & VMX_EPT_AD_BIT;
	caps->ept_max_leaf = !(cap & VMX_EPT_2MB_PAGE_BIT) ? 1 :
			     !(cap & VMX_EPT_1GB_PAGE_BIT) ? 2 : 3;
	caps->vpid = has(caps, LHV_VMX_CPU2, SECONDARY_EXEC_ENABLE_VPID) &&
		     vpid & VMX_VPID_INVVPID_BIT &&
		     vpid & (VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT |
			     VMX_VPID_EXTENT_GLOBAL_CONTEXT_BIT);
	caps->invvpid = vpid & VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT ?
			VMX_VPID_EXTENT_SINGLE_CONTEXT : VMX_VPID_EXTENT_ALL_CONTEXT;
	return true;
}

/* What the CPU is that this runs on; enough or not. */
static bool look(struct lhv_vmx_caps *caps)
{
	u64 basic = lhv_host_rdmsr(MSR_IA32_VMX_BASIC);

	/* They are compared as a whole. */
	memset(caps, 0, sizeof(*caps));
	caps->revision = basic & BASIC_REVISION;
	caps->ins_outs_info = basic & BASIC_INS_OUTS && !lacking("INS and OUTS information");
	caps->timer_shift = lhv_host_rdmsr(MSR_IA32_VMX_MISC) & MISC_TIMER_SHIFT;
	caps->cr0_fixed = lhv_host_rdmsr(MSR_IA32_VMX_CR0_FIXED0);
	caps->cr4_fixed = lhv_host_rdmsr(MSR_IA32_VMX_CR4_FIXED0);
	caps->pebs_baseline = lhv_host_pebs_baseline();
	if ((basic & BASIC_SIZE) >> BASIC_SIZE_SHIFT > PAGE_SIZE ||
	    (basic & BASIC_TYPE) >> BASIC_TYPE_SHIFT != VMX_EPTP_MT_WB) {
		pr_err("this processor wants its VMCS in another form than lhv knows\n");
		return false;
	}
	if (!check_controls(caps, basic) || !check_ept(caps))
		return false;
	check_virtual_irqs(caps);
	return true;
}

/**
 * lhv_vmx_alike() - is this CPU as the one that was probed?
 *
 * VMCSs and tables are made for that one. Context: preemption off. Return: true, it is.
 */
bool lhv_vmx_alike(void)
{
	struct lhv_vmx_caps here;

	return look(&here) && !memcmp(&here, &lhv_vmx_caps, sizeof(here));
}

static bool enable = true;
module_param_named(vmx, enable, bool, 0444);
MODULE_PARM_DESC(vmx, "use VT-x (default yes)");

/**
 * lhv_vmx_probe() - may this backend work here?
 *
 * Context: process. Return: see struct lhv_backend.
 */
int lhv_vmx_probe(void)
{
	if (!(cpuid_ecx(1) & BIT(X86_FEATURE_VMX & 31)))
		return -ENODEV;
	if (!enable) {
		pr_err("VT-x is not to be used, says the parameter vmx\n");
		return -EOPNOTSUPP;
	}
	if (boot_cpu_has(X86_FEATURE_XENPV)) {
		pr_err("VT-x belongs to Xen here\n");
		return -ENODEV;
	}
	if (!lhv_host_nmi_deliverable()) {
		pr_err("this kernel uses FRED, with which lhv cannot hand over NMIs: boot with fred=off\n");
		return -EOPNOTSUPP;
	}

	if (!look(&lhv_vmx_caps))
		return -EOPNOTSUPP;
	if (!lhv_vmx_caps.ept_ad) {
		lhv_ept_format.accessed = 0;
		lhv_ept_format.dirty = 0;
	}
	lhv_ept_format.max_leaf = lhv_vmx_caps.ept_max_leaf;
	return lhv_survey_cpus(&lhv_vmx_survey);
}

/* See struct lhv_backend. */
int lhv_vmx_describe(char *buf, size_t size)
{
	int i, len = 0;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		len += scnprintf(buf + len, size - len, "%s: %s\n", names[i].name,
				 lhv_vmx_has(names[i].word, names[i].bit) ? "yes" : "no");
	len += scnprintf(buf + len, size - len, "EPT accessed and dirty bits: %s\n",
			 lhv_vmx_caps.ept_ad ? "yes" : "no");
	len += scnprintf(buf + len, size - len, "largest EPT page: %s\n",
			 lhv_ept_format.max_leaf == 3 ? "1 GiB" :
			 lhv_ept_format.max_leaf == 2 ? "2 MiB" : "4 KiB");
	len += scnprintf(buf + len, size - len, "VMX operation: %s\n",
			 lhv_host_vmx_resident() ? "resident" : "around each entry");
	len += scnprintf(buf + len, size - len, "L1D flush: %s\n", lhv_host_l1d_state());
	return len;
}

/* See struct lhv_backend. RDPID has RDTSCP's control. */
bool lhv_vmx_withholds(unsigned int x86_feature)
{
	switch (x86_feature) {
	case X86_FEATURE_RDTSCP:
	case X86_FEATURE_RDPID:
		return !lhv_vmx_has(LHV_VMX_CPU2, SECONDARY_EXEC_ENABLE_RDTSCP);
	case X86_FEATURE_INVPCID:
		return !lhv_vmx_has(LHV_VMX_CPU2, SECONDARY_EXEC_ENABLE_INVPCID);
	default:
		return false;
	}
}

/* What a new vCPU starts with. */
void lhv_vmx_initial_controls(struct lhv_vmx_vcpu *vmx)
{
	int i;

	for (i = 0; i < LHV_VMX_NR_CONTROLS; i++)
		vmx->controls[i] = lhv_vmx_caps.allowed[i].must |
			(lhv_vmx_caps.allowed[i].may & ~words[i].dynamic);
}
