// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - what KVM_CHECK_EXTENSION answers.
 */
#include <linux/cpu.h>
#include <linux/cpufeature.h>
#include <linux/cpumask.h>

#include "host/kvm_abi.h"
#include "ioctl.h"

/* Advertised only once it works. Values as KVM's api.rst says. */
static const struct {
	u32 cap;
	u32 value;
} caps[] = {
	{ KVM_CAP_BINARY_STATS_FD, 1 },
	{ KVM_CAP_CHECK_EXTENSION_VM, 1 },
	{ KVM_CAP_CLOCKSOURCE, 1 },
	{ KVM_CAP_COALESCED_MMIO, LHV_PAGE_COALESCED },
	{ KVM_CAP_COALESCED_PIO, 1 },
	{ KVM_CAP_DEBUGREGS, 1 },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1 },
	{ KVM_CAP_DEVICE_CTRL, 1 },
	{ KVM_CAP_DIRTY_LOG_RING, LHV_RING_MAX_BYTES },
	{ KVM_CAP_DIRTY_LOG_RING_ACQ_REL, LHV_RING_MAX_BYTES },
	{ KVM_CAP_DISABLE_QUIRKS, 1 },
	{ KVM_CAP_DISABLE_QUIRKS2, LHV_QUIRKS },
	{ KVM_CAP_ENABLE_CAP, 1 },
	{ KVM_CAP_ENABLE_CAP_VM, 1 },
	{ KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1 },
	{ KVM_CAP_EXCEPTION_PAYLOAD, 1 },
	{ KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1 },
	{ KVM_CAP_EXT_CPUID, 1 },
	{ KVM_CAP_GET_MSR_FEATURES, 1 },
	{ KVM_CAP_GET_TSC_KHZ, 1 },
	{ KVM_CAP_HLT, 1 },
	{ KVM_CAP_IMMEDIATE_EXIT, 1 },
	{ KVM_CAP_INTERNAL_ERROR_DATA, 1 },
	{ KVM_CAP_INTR_SHADOW, 1 },
	{ KVM_CAP_IOAPIC_POLARITY_IGNORED, 1 },
	{ KVM_CAP_IOEVENTFD, 1 },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1 },
	{ KVM_CAP_IOEVENTFD_NO_LENGTH, 1 },
	{ KVM_CAP_IRQCHIP, 1 },
	{ KVM_CAP_IRQFD, 1 },
	{ KVM_CAP_IRQFD_RESAMPLE, 1 },
	{ KVM_CAP_IRQ_INJECT_STATUS, 1 },
	{ KVM_CAP_IRQ_ROUTING, LHV_MAX_ROUTES },
	{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1 },
	{ KVM_CAP_KVMCLOCK_CTRL, 1 },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, LHV_DIRTY_LOG_FLAGS },
	{ KVM_CAP_MAX_VCPUS, LHV_MAX_VCPUS },
	{ KVM_CAP_MAX_VCPU_ID, LHV_MAX_VCPUS },
	{ KVM_CAP_MCE, LHV_MCE_BANKS },
	{ KVM_CAP_MMU_SHADOW_CACHE_CONTROL, 1 },
	{ KVM_CAP_MP_STATE, 1 },
	{ KVM_CAP_MSR_PLATFORM_INFO, 1 },
	{ KVM_CAP_NOP_IO_DELAY, 1 },
	{ KVM_CAP_NR_MEMSLOTS, LHV_MAX_SLOTS },
	{ KVM_CAP_PIT, 1 },
	{ KVM_CAP_PIT2, 1 },
	{ KVM_CAP_PIT_STATE2, 1 },
	{ KVM_CAP_PRE_FAULT_MEMORY, 1 },
	{ KVM_CAP_READONLY_MEM, 1 },
	{ KVM_CAP_REINJECT_CONTROL, 1 },
	{ KVM_CAP_SET_BOOT_CPU_ID, 1 },
	{ KVM_CAP_SET_GUEST_DEBUG, 1 },
	{ KVM_CAP_SET_GUEST_DEBUG2, LHV_GUESTDBG },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1 },
	{ KVM_CAP_SET_TSS_ADDR, 1 },
	{ KVM_CAP_SIGNAL_MSI, 1 },
	{ KVM_CAP_SPLIT_IRQCHIP, 1 },
	{ KVM_CAP_SREGS2, 1 },
	{ KVM_CAP_SYNC_REGS, KVM_SYNC_X86_VALID_FIELDS },
	{ KVM_CAP_SYS_ATTRIBUTES, 1 },
	{ KVM_CAP_TSC_DEADLINE_TIMER, 1 },
	{ KVM_CAP_USER_MEMORY, 1 },
	{ KVM_CAP_USER_MEMORY2, 1 },
	{ KVM_CAP_USER_NMI, 1 },
	{ KVM_CAP_VCPU_ATTRIBUTES, 1 },
	{ KVM_CAP_VCPU_EVENTS, 1 },
	{ KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS |
			      KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK },
	{ KVM_CAP_X86_APIC_BUS_CYCLES_NS, LHV_APIC_BUS_CYCLE_NS },
	{ KVM_CAP_X86_MSR_FILTER, 1 },
	{ KVM_CAP_X86_ROBUST_SINGLESTEP, 1 },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1 },
	{ KVM_CAP_X86_USER_SPACE_MSR, 1 },
	{ KVM_CAP_XSAVE, 1 },
};

/*
 * Where threads of a core predict each other's returns, a guest that chooses when its thread goes
 * idle learns of its neighbour. MWAIT needs an APIC timer that goes on in deep sleep.
 */
static u32 exits_to_disable(void)
{
	u32 exits = KVM_X86_DISABLE_EXITS_PAUSE;

	if (boot_cpu_has_bug(X86_BUG_SMT_RSB) && cpu_smt_possible())
		return exits;
	exits |= KVM_X86_DISABLE_EXITS_HLT;
	if (boot_cpu_has(X86_FEATURE_MWAIT) && boot_cpu_has(X86_FEATURE_ARAT) &&
	    !boot_cpu_has_bug(X86_BUG_MONITOR))
		exits |= KVM_X86_DISABLE_EXITS_MWAIT;
	return exits;
}

/* @obj: the VM, or NULL for the system. */
long lhv_check_extension(void *obj, unsigned long cap)
{
	struct lhv_vm *vm = obj;
	size_t i;

	switch (cap) {
	case KVM_CAP_X86_DISABLE_EXITS:
		return exits_to_disable();
	case KVM_CAP_ADJUST_CLOCK:
		return KVM_CLOCK_TSC_STABLE |
		       (lhv_host_tsc_stable() ? KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC : 0);
	case KVM_CAP_NR_VCPUS:
		return min_t(u32, num_online_cpus(), LHV_MAX_VCPUS);
	case KVM_CAP_SYNC_MMU:
		/* A device keeps its pages, whatever becomes of the VMM's: no balloon. */
		return !vm || !READ_ONCE(vm->dma);
	case KVM_CAP_TSC_CONTROL:
	case KVM_CAP_VM_TSC_CONTROL:
		return lhv_tsc_scales();
	case KVM_CAP_XCRS:
		return lhv_host_xcr0() != 0;
	case KVM_CAP_XSAVE2:
		return max_t(int, lhv_host_xsave_size(), sizeof(struct kvm_xsave));
	}
	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		if (caps[i].cap == cap)
			return caps[i].value;
	}
	return 0;
}
