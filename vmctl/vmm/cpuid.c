// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's CPUID: what the hypervisor supports, with the topology of one
 * socket of single-threaded cores, and without what this board can't carry.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm.h"

#define CPUID_ENTRIES_MAX	512

/* Leaf 1. */
#define L1_ECX_MONITOR		(1U << 3)
#define L1_ECX_VMX		(1U << 5)
#define L1_ECX_X2APIC		(1U << 21)
#define L1_ECX_TSC_DEADLINE	(1U << 24)
#define L1_ECX_HYPERVISOR	(1U << 31)
#define L1_EDX_HTT		(1U << 28)
#define L1_EBX_COUNT_SHIFT	16
#define L1_EBX_APICID_SHIFT	24

/* Leaf 0xb: the kinds of level. */
#define LEVEL_INVALID		0U
#define LEVEL_SMT		1U
#define LEVEL_CORE		2U
#define LEVEL_TYPE_SHIFT	8

/* Leaves 4 and 0x8000001d: how many share a cache, how many cores. */
#define CACHE_SHARE_SHIFT	14
#define CACHE_SHARE_MASK	(0xfffU << CACHE_SHARE_SHIFT)
#define CACHE_CORES_SHIFT	26
#define CACHE_LEVEL(eax)	(((eax) >> 5) & 7)

/* Extended leaves. */
#define EXT1_ECX_CMP_LEGACY	(1U << 1)
#define EXT1_ECX_SVM		(1U << 2)
#define EXT1_ECX_PERFCTR_CORE	(1U << 23)
#define EXT1_ECX_PERFCTR_NB	(1U << 24)
#define EXT8_APICID_SIZE_SHIFT	12

static unsigned int bits_for(unsigned int n)
{
	unsigned int bits = 0;

	while ((1U << bits) < n)
		bits++;
	return bits;
}

static struct kvm_cpuid2 *get_supported(int sys_fd)
{
	struct kvm_cpuid2 *c;
	unsigned int n;

	for (n = 64; n <= CPUID_ENTRIES_MAX; n *= 2) {
		/* Room for a topology leaf added below. */
		c = calloc(1, sizeof(*c) + (n + 3) * sizeof(c->entries[0]));
		if (!c)
			return NULL;
		c->nent = n;
		if (ioctl(sys_fd, KVM_GET_SUPPORTED_CPUID, c) == 0)
			return c;
		free(c);
		if (errno != E2BIG)
			return NULL;
	}
	errno = E2BIG;
	return NULL;
}

static void topology_leaf(struct kvm_cpuid_entry2 *e, unsigned int level,
			  unsigned int cores, unsigned int apic_id)
{
	e->index = level;
	e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	e->ecx = level;
	e->edx = apic_id;
	switch (level) {
	case 0:
		e->eax = 0;
		e->ebx = 1;
		e->ecx |= LEVEL_SMT << LEVEL_TYPE_SHIFT;
		break;
	case 1:
		e->eax = bits_for(cores);
		e->ebx = cores;
		e->ecx |= LEVEL_CORE << LEVEL_TYPE_SHIFT;
		break;
	default:
		e->eax = 0;
		e->ebx = 0;
		e->ecx |= LEVEL_INVALID << LEVEL_TYPE_SHIFT;
	}
}

static uint32_t cache_sharing(uint32_t eax, unsigned int cores)
{
	eax &= ~CACHE_SHARE_MASK;
	/* The last level is the socket's, the others a core's own. */
	if (CACHE_LEVEL(eax) >= 3)
		eax |= ((cores - 1) << CACHE_SHARE_SHIFT) & CACHE_SHARE_MASK;
	return eax;
}

static void fix_entry(struct kvm_cpuid_entry2 *e, bool tsc_deadline,
		      unsigned int cores, unsigned int apic_id)
{
	switch (e->function) {
	case 1:
		e->ebx &= 0xffff;
		e->ebx |= cores << L1_EBX_COUNT_SHIFT |
			  apic_id << L1_EBX_APICID_SHIFT;
		e->ecx &= ~(L1_ECX_MONITOR | L1_ECX_VMX | L1_ECX_TSC_DEADLINE);
		e->ecx |= L1_ECX_HYPERVISOR | L1_ECX_X2APIC;
		if (tsc_deadline)
			e->ecx |= L1_ECX_TSC_DEADLINE;
		e->edx &= ~L1_EDX_HTT;
		if (cores > 1)
			e->edx |= L1_EDX_HTT;
		break;
	case 4:
		if (!(e->eax & 0x1f))
			break;
		e->eax = cache_sharing(e->eax, cores) & ((1U << CACHE_CORES_SHIFT) - 1);
		e->eax |= ((1U << bits_for(cores)) - 1) << CACHE_CORES_SHIFT;
		break;
	case 0xa:
		/* No performance counters: they'd need the VMM's care. */
		e->eax = 0;
		e->ebx = 0;
		e->ecx = 0;
		e->edx = 0;
		break;
	case 0x80000001:
		e->ecx &= ~(EXT1_ECX_CMP_LEGACY | EXT1_ECX_SVM |
			    EXT1_ECX_PERFCTR_CORE | EXT1_ECX_PERFCTR_NB);
		if (cores > 1)
			e->ecx |= EXT1_ECX_CMP_LEGACY;
		break;
	case 0x80000008:
		e->ecx = bits_for(cores) << EXT8_APICID_SIZE_SHIFT | (cores - 1);
		break;
	case 0x8000001d:
		if (e->eax & 0x1f)
			e->eax = cache_sharing(e->eax, cores);
		break;
	case 0x8000001e:
		e->eax = apic_id;
		e->ebx = apic_id & 0xff;
		e->ecx = 0;
		break;
	default:
		break;
	}
}

/**
 * cpuid_build() - make the CPUID table of one vCPU
 * @vm: machine
 * @apic_id: the vCPU's
 *
 * Return: a table to free(), or NULL with errno set.
 */
struct kvm_cpuid2 *cpuid_build(struct vm *vm, unsigned int apic_id)
{
	bool tsc_deadline = vm_has(vm, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	struct kvm_cpuid2 *c = get_supported(vm->cfg->sys_fd);
	unsigned int i, n = 0, cores = vm->cfg->vcpus;
	bool has_topology = false;

	if (!c)
		return NULL;
	for (i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];

		/* Replaced below; 0x1f only repeats it. */
		if (e->function == 0xb || e->function == 0x1f) {
			has_topology = true;
			continue;
		}
		fix_entry(e, tsc_deadline, cores, apic_id);
		c->entries[n++] = *e;
	}
	for (i = 0; has_topology && i < 3; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[n++];

		memset(e, 0, sizeof(*e));
		e->function = 0xb;
		topology_leaf(e, i, cores, apic_id);
	}
	c->nent = n;
	return c;
}
