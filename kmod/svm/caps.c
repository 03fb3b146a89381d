// SPDX-License-Identifier: GPL-2.0
/*
 * lhv svm/ - what this processor can do, and whether it is free.
 */
#define pr_fmt(fmt) "lhv: " fmt

#include <linux/crash_dump.h>
#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/cpufeature.h>
#include <linux/processor.h>

#include "svm.h"

struct lhv_svm_caps lhv_svm_caps __ro_after_init;

/* The floor first, then what is used where it is there. */
static const struct {
	const char *name;
	unsigned int feature;
} features[] = {
	{ "npt", X86_FEATURE_NPT },
	{ "nrips", X86_FEATURE_NRIPS },
	{ "decodeassists", X86_FEATURE_DECODEASSISTS },
	{ "flushbyasid", X86_FEATURE_FLUSHBYASID },
	{ "pausefilter", X86_FEATURE_PAUSEFILTER },
	{ "pfthreshold", X86_FEATURE_PFTHRESHOLD },
	{ "v_spec_ctrl", X86_FEATURE_V_SPEC_CTRL },
};

/**
 * lhv_svm_foreign_owner() - does somebody else use this CPU's virtualization?
 *
 * Context: preemption off; the CPU has SVM.
 */
bool lhv_svm_foreign_owner(void)
{
	if (lhv_host_rdmsr(MSR_EFER) & EFER_SVME)
		return true;
	/* From 7.x a kernel that dies takes SVME away, whosever it was, and leaves this behind. */
	return lhv_host_rdmsr(MSR_VM_HSAVE_PA) && !is_kdump_kernel();
}

static bool switched_off(void)
{
	return lhv_host_rdmsr(MSR_VM_CR) & SVM_VM_CR_SVM_DIS_MASK;
}

const struct lhv_survey lhv_svm_survey = {
	.name = "AMD-V",
	.owner = "kvm_amd",
	.switched_off = switched_off,
	.foreign_owner = lhv_svm_foreign_owner,
};

/**
 * lhv_svm_probe() - may this backend work here?
 *
 * Context: process. Return: see struct lhv_backend.
 */
int lhv_svm_probe(void)
{
	if (!boot_cpu_has(X86_FEATURE_SVM))
		return -ENODEV;
	if (boot_cpu_has(X86_FEATURE_XENPV)) {
		pr_err("AMD-V belongs to Xen here\n");
		return -ENODEV;
	}
	if (boot_cpu_data.extended_cpuid_level < SVM_CPUID_FUNC || !boot_cpu_has(X86_FEATURE_NPT)) {
		pr_err("this processor has AMD-V without nested paging, which lhv needs\n");
		return -EOPNOTSUPP;
	}

	lhv_svm_caps = (struct lhv_svm_caps){
		.nr_asids = cpuid_ebx(SVM_CPUID_FUNC),
		.nrips = boot_cpu_has(X86_FEATURE_NRIPS),
		.decode_assists = boot_cpu_has(X86_FEATURE_DECODEASSISTS),
		.flush_by_asid = boot_cpu_has(X86_FEATURE_FLUSHBYASID),
		.pause_filter = boot_cpu_has(X86_FEATURE_PAUSEFILTER),
		.pause_threshold = boot_cpu_has(X86_FEATURE_PFTHRESHOLD),
		.v_spec_ctrl = boot_cpu_has(X86_FEATURE_V_SPEC_CTRL),
	};
	if (lhv_svm_caps.nr_asids < 2) {
		pr_err("this processor offers no address-space identifier to guests\n");
		return -EOPNOTSUPP;
	}

	return lhv_survey_cpus(&lhv_svm_survey);
}

/* See struct lhv_backend. */
int lhv_svm_describe(char *buf, size_t size)
{
	int i, len = 0;

	for (i = 0; i < ARRAY_SIZE(features); i++)
		len += scnprintf(buf + len, size - len, "%s: %s\n", features[i].name,
				 boot_cpu_has(features[i].feature) ? "yes" : "no");
	len += scnprintf(buf + len, size - len, "asids: %u\n", lhv_svm_caps.nr_asids);
	return len;
}
