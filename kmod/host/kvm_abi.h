/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv host/ - parts of the KVM ABI that are younger than some host's <linux/kvm.h>.
 *
 * VMMs bring the newer headers along, whatever the host is. Numbers and layouts as in Linux 6.12.
 */
#ifndef LHV_HOST_KVM_ABI_H
#define LHV_HOST_KVM_ABI_H

#include <linux/build_bug.h>
#include <linux/kvm.h>

#ifndef KVM_SET_USER_MEMORY_REGION2
#define KVM_CAP_USER_MEMORY2		231

struct kvm_userspace_memory_region2 {
	__u32 slot;
	__u32 flags;
	__u64 guest_phys_addr;
	__u64 memory_size;
	__u64 userspace_addr;
	__u64 guest_memfd_offset;
	__u32 guest_memfd;
	__u32 pad1;
	__u64 pad2[14];
};

#define KVM_SET_USER_MEMORY_REGION2	_IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#endif
static_assert(sizeof(struct kvm_userspace_memory_region2) == 160);

#ifndef KVM_PRE_FAULT_MEMORY
#define KVM_CAP_PRE_FAULT_MEMORY	236

struct kvm_pre_fault_memory {
	__u64 gpa;
	__u64 size;
	__u64 flags;
	__u64 padding[5];
};

#define KVM_PRE_FAULT_MEMORY	_IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
#endif
static_assert(sizeof(struct kvm_pre_fault_memory) == 64);

#ifndef KVM_X86_QUIRK_STUFF_FEATURE_MSRS
#define KVM_X86_QUIRK_STUFF_FEATURE_MSRS	(1 << 8)
#endif

#ifndef KVM_CAP_X86_APIC_BUS_CYCLES_NS
#define KVM_CAP_X86_APIC_BUS_CYCLES_NS	237
#endif

#endif
