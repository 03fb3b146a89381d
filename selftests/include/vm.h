/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What both test programs need of a VM: make one, give it memory, run it.
 *
 * Everything here ends the case when it fails; a test that wants to see an
 * error calls ioctl() itself.
 */
#ifndef VM_H
#define VM_H

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "tap.h"

#define PAGE_SIZE	4096UL
#define MAX_VCPUS	64
#define MAX_CPUID	256

struct vm;

struct vcpu {
	struct vm *vm;
	int fd;
	int id;
	struct kvm_run *run;
};

struct vm {
	int sys;		/* the device */
	int fd;
	size_t run_size;	/* of the mapping of kvm_run */
	int nr_vcpus;
	struct vcpu vcpus[MAX_VCPUS];
	uint8_t *ram;		/* slot 0, at guest-physical 0 */
	size_t ram_size;
};

struct cpuid {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[MAX_CPUID];
};

/* vm_create() flags */
#define VM_IRQCHIP	1
#define VM_PIT		2
#define VM_SPLIT	4	/* LAPIC in the kernel, the rest here */

int dev_open(void);
/* Is it KVM itself that is tested, for the few places where it may differ? */
bool on_kvm(void);
int dev_cap(int sys, int cap);
/* lhv has to have it, and the case fails; a KVM may be too old for it, and it is skipped. */
void lacking(const char *what) __attribute__((noreturn));
/* The device's or VM's answer, which is not 0 */
#define need_cap(fd, cap) (dev_cap(fd, cap) ?: (lacking("no " #cap), 0))

/* A VM without memory; @flags as above. */
struct vm *vm_create(unsigned int flags);
int vm_cap(struct vm *vm, int cap);
void vm_ram(struct vm *vm, size_t size);
void vm_set_slot(struct vm *vm, int slot, uint32_t flags, uint64_t gpa, size_t size, void *host);
struct vcpu *vcpu_add(struct vm *vm, int id);

void cpuid_supported(int sys, struct cpuid *cpuid);
struct kvm_cpuid_entry2 *cpuid_find(struct cpuid *cpuid, uint32_t leaf, uint32_t index);
/* What the host supports, with the APIC id filled in. */
void vcpu_set_cpuid(struct vcpu *vcpu);

uint64_t vcpu_get_msr(struct vcpu *vcpu, uint32_t index);
void vcpu_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value);
/* 1 when the MSR was taken or read, 0 when refused */
int vcpu_try_get_msr(struct vcpu *vcpu, uint32_t index, uint64_t *value);
int vcpu_try_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value);

/* A new vCPU about to run real-mode @code, at GUEST_CODE; memory of 1 MiB unless there is some. */
#define GUEST_CODE	0x1000
struct vcpu *guest_in(struct vm *vm, const void *code, size_t size);
#define GUEST(vm, code) guest_in(vm, code, sizeof(code) - 1)	/* a string */

/* What is mapped for the only VM of this process, as debugfs says. */
struct mapped {
	uint64_t tables;	/* pages; 0 where it is not said (KVM) */
	uint64_t pages[3];	/* leaves of 4 KiB, 2 MiB, 1 GiB */
};

struct mapped vm_mapped(struct vm *vm);

/* Zeroed anonymous memory of its own mapping, aligned to @align. */
void *map_memory(size_t size, size_t align);
/* Pages of @mem that are not there are waited for (userfaultfd): returns the fd; skips without. */
int missing_faults(void *mem, size_t size);

#endif
