// SPDX-License-Identifier: GPL-2.0
/*
 * CPUID: what the VMM chose for a vCPU, what follows from it, and the guest's CPUID
 * instruction.
 */
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <asm/fpu/types.h>
#include <asm/kvm_para.h>

#include "cpu/cpuid.h"

#define MAX_ENTRIES		256	/* of KVM_SET_CPUID2, as KVM */
#define DEFAULT_MAXPHYADDR	36	/* without leaf 0x80000008 */

/**
 * struct lhv_cpuid_table - what the VMM set
 * @nent: number of entries
 * @basic: index of a leaf's first entry, plus 1; 0 where there is none
 * @ext: the same for 0x80000000 on
 * @beyond: the same for the first leaf behind @basic's
 * @leaf1: entry with bits that change while the guest runs, or NULL
 * @leaf7: another
 * @xsave0: another
 * @xsave1: another
 * @max_basic: highest basic leaf
 * @max_ext: highest extended leaf
 * @intel_style: a leaf beyond the highest one reads as the highest basic leaf
 * @entries: sorted by function
 */
struct lhv_cpuid_table {
	u32 nent;
	u16 basic[0x20];
	u16 ext[0x24];
	u16 beyond;
	struct kvm_cpuid_entry2 *leaf1, *leaf7, *xsave0, *xsave1;
	u32 max_basic, max_ext;
	bool intel_style;
	struct kvm_cpuid_entry2 entries[];
};

static __always_inline struct kvm_cpuid_entry2 *table_find(struct lhv_cpuid_table *t,
							   u32 function, u32 index)
{
	struct kvm_cpuid_entry2 *e, *end = t->entries + t->nent;
	u32 first;

	if (function < ARRAY_SIZE(t->basic)) {
		first = t->basic[array_index_nospec(function, ARRAY_SIZE(t->basic))];
	} else if (function - LHV_CPUID_EXT_BASE < ARRAY_SIZE(t->ext)) {
		first = t->ext[array_index_nospec(function - LHV_CPUID_EXT_BASE,
						  ARRAY_SIZE(t->ext))];
	} else {
		for (first = t->beyond; first <= t->nent; first++)
			if (t->entries[first - 1].function >= function)
				break;
	}
	if (!first)
		return NULL;

	for (e = t->entries + first - 1; e < end && e->function == function; e++)
		if (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index)
			return e;
	return NULL;
}

const struct kvm_cpuid_entry2 *lhv_cpuid_find(struct lhv_vcpu *vcpu, u32 function, u32 index)
{
	struct lhv_cpuid_table *t = vcpu->cpu_state.cpuid;

	return t ? table_find(t, function, index) : NULL;
}

/* SDM Vol 2A "CPUID": Intel's CPUs answer with the highest basic leaf, AMD's with zeros. */
static struct kvm_cpuid_entry2 *out_of_range(struct lhv_cpuid_table *t, u32 function,
					     u32 index)
{
	u32 range = function & LHV_CPUID_RANGE_MASK;
	u32 max = range == LHV_CPUID_EXT_BASE ? t->max_ext : t->max_basic;

	/* Leaves of hypervisors are not the CPU's. */
	if (!t->intel_style || range == LHV_CPUID_HV_BASE || function <= max)
		return NULL;
	return table_find(t, t->max_basic, index);
}

static void table_query(struct lhv_cpuid_table *t, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	u32 function = *eax, index = *ecx;
	struct kvm_cpuid_entry2 *e = table_find(t, function, index);

	if (likely(e)) {
		*eax = e->eax;
		*ebx = e->ebx;
		*ecx = e->ecx;
		*edx = e->edx;
		return;
	}

	e = out_of_range(t, function, index);
	*eax = e ? e->eax : 0;
	*ebx = e ? e->ebx : 0;
	*ecx = e ? e->ecx : 0;
	*edx = e ? e->edx : 0;

	/* Topology leaves give the x2APIC id at every level, the level number in ECX. */
	if (!e && (function == 0xb || function == 0x1f)) {
		e = table_find(t, function, 1);
		if (e) {
			*ecx = index & 0xff;
			*edx = e->edx;
		}
	}
}

/**
 * lhv_cpuid_query() - what the guest's CPUID instruction answers
 * @vcpu: the vCPU
 * @eax: in: leaf; out
 * @ebx: out
 * @ecx: in: subleaf; out
 * @edx: out
 *
 * Either tier.
 */
void lhv_cpuid_query(struct lhv_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	struct lhv_cpuid_table *t = vcpu->cpu_state.cpuid;

	if (likely(t))
		table_query(t, eax, ebx, ecx, edx);
	else
		*eax = *ebx = *ecx = *edx = 0;
}

static void set_bits(u32 *reg, u32 mask, bool on)
{
	*reg = on ? *reg | mask : *reg & ~mask;
}

static void table_runtime(struct lhv_cpuid_table *t, struct lhv_vcpu *vcpu)
{
	u64 xcr0 = vcpu->cpu_state.xcr0;

	if (t->leaf1) {
		set_bits(&t->leaf1->ecx, F1C(OSXSAVE), vcpu->cr4 & X86_CR4_OSXSAVE);
		if (vcpu->lapic)
			set_bits(&t->leaf1->edx, F1D(APIC),
				 lhv_lapic_get_base(vcpu) & MSR_IA32_APICBASE_ENABLE);
	}
	if (t->leaf7)
		set_bits(&t->leaf7->ecx, F7C(OSPKE), vcpu->cr4 & X86_CR4_PKE);
	if (t->xsave0 && t->leaf1 && (t->leaf1->ecx & F1C(XSAVE)))
		t->xsave0->ebx = lhv_xstate_size(xcr0, false);
	if (t->xsave1 && (t->xsave1->eax & (FD1(XSAVEC) | FD1(XSAVES))))
		t->xsave1->ebx = lhv_xstate_size(xcr0, true);
}

/* A kick would not end a HLT that nobody sees. */
static void table_halt(struct lhv_cpuid_table *t, const struct lhv_vm *vm)
{
	struct kvm_cpuid_entry2 *e = table_find(t, KVM_CPUID_FEATURES, 0);

	if (e && lhv_stays_in_guest(vm, KVM_X86_DISABLE_EXITS_HLT))
		e->eax &= ~BIT(KVM_FEATURE_PV_UNHALT);
}

/* With KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT off the guest's own switch decides, as on a CPU. */
static void table_mwait(struct lhv_cpuid_table *t, struct lhv_vcpu *vcpu)
{
	if (t->leaf1 && !lhv_has_quirk(vcpu->vm, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT))
		set_bits(&t->leaf1->ecx, F1C(MWAIT),
			 vcpu->cpu_state.misc_enable & MSR_IA32_MISC_ENABLE_MWAIT);
}

/**
 * lhv_cpuid_mwait() - bring CPUID in step with MSR_IA32_MISC_ENABLE
 * @vcpu: the vCPU; either tier
 */
void lhv_cpuid_mwait(struct lhv_vcpu *vcpu)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;

	if (!cpu->cpuid || !cpu->cpuid->leaf1)
		return;
	table_mwait(cpu->cpuid, vcpu);
	__assign_bit(LHV_F_MWAIT, cpu->features, cpu->cpuid->leaf1->ecx & F1C(MWAIT));
}

/**
 * lhv_cpuid_runtime() - bring CPUID in step with CR4, XCR0 and the APIC base
 * @vcpu: the vCPU; either tier
 */
void lhv_cpuid_runtime(struct lhv_vcpu *vcpu)
{
	if (vcpu->cpu_state.cpuid)
		table_runtime(vcpu->cpu_state.cpuid, vcpu);
}

/*
 * By function; entries of one keep their order: of two that fit the first one counts, as with KVM. Who
 * hands them in has them sorted, as a rule.
 */
static void sort_entries(struct kvm_cpuid_entry2 *entries, u32 nent)
{
	u32 i, j;

	for (i = 1; i < nent; i++)
		for (j = i; j && entries[j - 1].function > entries[j].function; j--)
			swap(entries[j - 1], entries[j]);
}

static bool is_vendor(const struct kvm_cpuid_entry2 *e, const char *name)
{
	return !memcmp(&e->ebx, name, 4) && !memcmp(&e->edx, name + 4, 4) &&
	       !memcmp(&e->ecx, name + 8, 4);
}

static struct lhv_cpuid_table *build_table(const struct kvm_cpuid_entry2 *entries, u32 nent)
{
	struct lhv_cpuid_table *t;
	const struct kvm_cpuid_entry2 *e;
	u32 i;

	t = kvzalloc(struct_size(t, entries, nent), GFP_KERNEL_ACCOUNT);
	if (!t)
		return ERR_PTR(-ENOMEM);
	t->nent = nent;
	memcpy(t->entries, entries, nent * sizeof(*entries));
	sort_entries(t->entries, nent);

	t->beyond = nent + 1;
	for (i = nent; i--;) {
		u32 function = t->entries[i].function;

		if (function >= ARRAY_SIZE(t->basic))
			t->beyond = i + 1;
		if (function < ARRAY_SIZE(t->basic))
			t->basic[function] = i + 1;
		else if (function - LHV_CPUID_EXT_BASE < ARRAY_SIZE(t->ext))
			t->ext[function - LHV_CPUID_EXT_BASE] = i + 1;
	}

	e = table_find(t, 0, 0);
	if (e) {
		t->max_basic = e->eax;
		t->intel_style = !is_vendor(e, "AuthenticAMD") && !is_vendor(e, "HygonGenuine");
	}
	e = table_find(t, LHV_CPUID_EXT_BASE, 0);
	t->max_ext = e ? e->eax : 0;
	t->leaf1 = table_find(t, 1, 0);
	t->leaf7 = table_find(t, 7, 0);
	t->xsave0 = table_find(t, 0xd, 0);
	t->xsave1 = table_find(t, 0xd, 1);
	return t;
}

/* Which guest features the module asks about, and where the VMM says so. */
static const struct {
	u16 feature;
	u16 x86;
} feature_map[] = {
	{ LHV_F_LM, X86_FEATURE_LM },
	{ LHV_F_NX, X86_FEATURE_NX },
	{ LHV_F_SYSCALL, X86_FEATURE_SYSCALL },
	{ LHV_F_GBPAGES, X86_FEATURE_GBPAGES },
	{ LHV_F_FFXSR, X86_FEATURE_FXSR_OPT },
	{ LHV_F_XSAVE, X86_FEATURE_XSAVE },
	{ LHV_F_PCID, X86_FEATURE_PCID },
	{ LHV_F_SMEP, X86_FEATURE_SMEP },
	{ LHV_F_SMAP, X86_FEATURE_SMAP },
	{ LHV_F_FSGSBASE, X86_FEATURE_FSGSBASE },
	{ LHV_F_UMIP, X86_FEATURE_UMIP },
	{ LHV_F_PKU, X86_FEATURE_PKU },
	{ LHV_F_LA57, X86_FEATURE_LA57 },
	{ LHV_F_RDTSCP, X86_FEATURE_RDTSCP },
	{ LHV_F_RDPID, X86_FEATURE_RDPID },
	{ LHV_F_SPEC_CTRL, X86_FEATURE_SPEC_CTRL },
	{ LHV_F_AMD_IBRS, X86_FEATURE_AMD_IBRS },
	{ LHV_F_AMD_STIBP, X86_FEATURE_AMD_STIBP },
	{ LHV_F_AMD_SSBD, X86_FEATURE_AMD_SSBD },
	{ LHV_F_IBPB, X86_FEATURE_AMD_IBPB },
	{ LHV_F_ARCH_CAPS, X86_FEATURE_ARCH_CAPABILITIES },
	{ LHV_F_INVPCID, X86_FEATURE_INVPCID },
	{ LHV_F_INTEL_STIBP, X86_FEATURE_INTEL_STIBP },
	{ LHV_F_INTEL_SSBD, X86_FEATURE_SPEC_CTRL_SSBD },
	{ LHV_F_OSVW, X86_FEATURE_OSVW },
	/* The module's own work: there whatever the host has. */
	{ LHV_F_X2APIC, X86_FEATURE_X2APIC },
	{ LHV_F_TSC_DEADLINE, X86_FEATURE_TSC_DEADLINE_TIMER },
	{ LHV_F_TSC_ADJUST, X86_FEATURE_TSC_ADJUST },
	/* Only asked for what the VMM promised the guest. */
	{ LHV_F_MWAIT, X86_FEATURE_MWAIT },
};

static bool table_has(struct lhv_cpuid_table *t, unsigned int x86_feature)
{
	const struct lhv_cpuid_word *p = &lhv_cpuid_words[x86_feature / 32];
	const struct kvm_cpuid_entry2 *e = table_find(t, p->function, p->index);
	u32 regs[4];

	if (!e)
		return false;
	regs[CPUID_EAX] = e->eax;
	regs[CPUID_EBX] = e->ebx;
	regs[CPUID_ECX] = e->ecx;
	regs[CPUID_EDX] = e->edx;
	return regs[p->reg] & BIT(x86_feature % 32);
}

/* CR4 bits that need a feature; the rest of what is defined is always allowed. */
static const struct {
	u64 bit;
	u16 feature;
	u16 x86;
} cr4_map[] = {
	{ X86_CR4_UMIP, LHV_F_UMIP, X86_FEATURE_UMIP },
	{ X86_CR4_LA57, LHV_F_LA57, X86_FEATURE_LA57 },
	{ X86_CR4_FSGSBASE, LHV_F_FSGSBASE, X86_FEATURE_FSGSBASE },
	{ X86_CR4_PCIDE, LHV_F_PCID, X86_FEATURE_PCID },
	{ X86_CR4_OSXSAVE, LHV_F_XSAVE, X86_FEATURE_XSAVE },
	{ X86_CR4_SMEP, LHV_F_SMEP, X86_FEATURE_SMEP },
	{ X86_CR4_SMAP, LHV_F_SMAP, X86_FEATURE_SMAP },
	{ X86_CR4_PKE, LHV_F_PKU, X86_FEATURE_PKU },
};

#define CR4_ALWAYS	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | \
			 X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE |		\
			 X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)

/* What follows from the table (NULL: none yet); the table was checked. */
static void derive(struct lhv_cpu *cpu, struct lhv_cpuid_table *t)
{
	const struct kvm_cpuid_entry2 *e;
	u64 cr4 = CR4_ALWAYS;
	unsigned int i;

	bitmap_zero(cpu->features, LHV_NR_FEATURES);
	cpu->pv_features = 0;
	cpu->maxphyaddr = DEFAULT_MAXPHYADDR;
	cpu->xcr0_allowed = lhv_cpuid_xcr0();
	if (t) {
		e = table_find(t, 0xd, 0);
		cpu->xcr0_allowed &= e ? e->eax | (u64)e->edx << 32 : 0;
		cpu->xcr0_allowed |= XFEATURE_MASK_FP;
		/* What the host lacks can't be used, whatever the VMM told the guest. */
		for (i = 0; i < ARRAY_SIZE(feature_map); i++)
			if (table_has(t, feature_map[i].x86) &&
			    (lhv_cpuid_offered(feature_map[i].x86) ||
			     feature_map[i].feature == LHV_F_MWAIT))
				__set_bit(feature_map[i].feature, cpu->features);
		e = table_find(t, KVM_CPUID_FEATURES, 0);
		if (e)
			cpu->pv_features = e->eax & lhv_cpuid_pv;
		e = table_find(t, 0x80000008, 0);
		if (e && (e->eax & 0xff))
			cpu->maxphyaddr = e->eax & 0xff;
	}
	/* Without a table: whatever there is, for a VMM that sets registers first. */
	for (i = 0; i < ARRAY_SIZE(cr4_map); i++)
		if (t ? lhv_has(cpu, cr4_map[i].feature) : lhv_cpuid_offered(cr4_map[i].x86))
			cr4 |= cr4_map[i].bit;
	cpu->cr4_reserved = ~cr4;
	cpu->gpa_reserved = ~(BIT_ULL(cpu->maxphyaddr) - 1);
}

static int check_address_sizes(struct lhv_cpuid_table *t)
{
	const struct kvm_cpuid_entry2 *e = table_find(t, 0x80000008, 0);
	u32 phys, virt;

	if (!e)
		return 0;
	phys = e->eax & 0xff;
	virt = (e->eax >> 8) & 0xff;
	if (phys && (phys < 32 || phys > LHV_MAX_GPA_BITS))
		return -EINVAL;
	if (virt && virt != 48 && virt != 57)
		return -EINVAL;
	return 0;
}

/**
 * lhv_cpuid_set() - the body of KVM_SET_CPUID2
 * @vcpu: the vCPU, its lock held
 * @entries: @nent entries from the VMM, in kernel memory
 * @nent: how many
 *
 * Once the vCPU has run the table can only be set to what it is. Process context.
 * Return: 0, -E2BIG, -EINVAL, -ENOMEM.
 */
int lhv_cpuid_set(struct lhv_vcpu *vcpu, const struct kvm_cpuid_entry2 *entries, u32 nent)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	struct lhv_cpuid_table *t;
	int ret;

	if (nent > MAX_ENTRIES)
		return -E2BIG;
	t = build_table(entries, nent);
	if (IS_ERR(t))
		return PTR_ERR(t);
	ret = check_address_sizes(t);
	if (ret)
		goto err_free;

	table_runtime(t, vcpu);
	table_mwait(t, vcpu);
	table_halt(t, vcpu->vm);
	if (vcpu->cpu >= 0 && cpu->cpuid) {
		if (cpu->cpuid->nent != nent ||
		    memcmp(cpu->cpuid->entries, t->entries, nent * sizeof(*entries)))
			ret = -EINVAL;
		goto err_free;
	}

	kvfree(cpu->cpuid);
	cpu->cpuid = t;
	derive(cpu, t);
	lhv_backend->cpuid_changed(vcpu);
	return 0;

err_free:
	kvfree(t);
	return ret;
}

/**
 * lhv_cpuid_get() - the body of KVM_GET_CPUID2
 * @vcpu: the vCPU, its lock held
 * @entries: room for *@nent entries
 * @nent: in: room; out: how many there are
 *
 * Return: 0 or -E2BIG.
 */
int lhv_cpuid_get(struct lhv_vcpu *vcpu, struct kvm_cpuid_entry2 *entries, u32 *nent)
{
	struct lhv_cpuid_table *t = vcpu->cpu_state.cpuid;
	u32 room = *nent;

	*nent = t ? t->nent : 0;
	if (*nent > room)
		return -E2BIG;
	if (t)
		memcpy(entries, t->entries, t->nent * sizeof(*entries));
	return 0;
}

void lhv_cpuid_create(struct lhv_vcpu *vcpu)
{
	derive(&vcpu->cpu_state, NULL);
}

void lhv_cpuid_destroy(struct lhv_vcpu *vcpu)
{
	kvfree(vcpu->cpu_state.cpuid);
	vcpu->cpu_state.cpuid = NULL;
}

#if IS_ENABLED(CONFIG_KUNIT)
struct lhv_cpuid_table *lhv_cpuid_test_build(const struct kvm_cpuid_entry2 *e, u32 nent)
{
	return build_table(e, nent);
}

void lhv_cpuid_test_query(struct lhv_cpuid_table *t, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	table_query(t, eax, ebx, ecx, edx);
}

void lhv_cpuid_test_free(struct lhv_cpuid_table *t)
{
	kvfree(t);
}
#endif
