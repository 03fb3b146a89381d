/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv - what the ioctl files share: the tables' rows, the dispatcher, and how the three
 * fds make each other.
 *
 * An ioctl number says the size of its argument and which way it goes, so a table
 * row is a number and a function: the dispatcher copies the argument in and out.
 * Rows marked RAW have a variable tail, take a plain number, or lie about their
 * argument, and get it as it is.
 *
 * What an errno means, on all three fds:
 *   ENOTTY  no such ioctl          EINVAL  bad argument, unknown flag
 *   EFAULT  argument not readable  EIO     another process's VM, or the VM is bugged
 *   EEXIST  already there          ENXIO   needs something that was not created
 *   E2BIG   list too short or long ENOMEM  out of memory
 */
#ifndef LHV_IOCTL_H
#define LHV_IOCTL_H

#include "lhv.h"

/**
 * struct lhv_ioctl - one row of an ioctl table
 * @cmd: the number; its size and direction are the argument's
 * @fn: called with a kernel copy of the argument
 * @raw: called with the argument itself; exactly one of the two is set
 */
struct lhv_ioctl {
	unsigned int cmd;
	int (*fn)(void *obj, void *arg);
	long (*raw)(void *obj, unsigned long arg);
};

#define ROW(cmd, fn)	{ cmd, fn, NULL }
#define RAW(cmd, fn)	{ cmd, NULL, fn }

/* chardev.c: look @cmd up and call it; -ENOTTY when there is none. */
long lhv_dispatch(const struct lhv_ioctl *table, size_t rows, void *obj,
		  unsigned int cmd, unsigned long arg);

#define DISPATCH(table, obj, cmd, arg) lhv_dispatch(table, ARRAY_SIZE(table), obj, cmd, arg)

/* capability.c: KVM_CHECK_EXTENSION of the system and the VM. */
long lhv_check_extension(void *obj, unsigned long cap);

/*
 * The quirks of KVM's that are there and can be switched off. The others stand for what is never
 * done here (zapping all slots), or not to be had otherwise (guests' CR0.CD, and PAT on VT-x).
 */
#define LHV_QUIRKS	(KVM_X86_QUIRK_LINT0_REENABLED | KVM_X86_QUIRK_LAPIC_MMIO_HOLE |		\
			 KVM_X86_QUIRK_OUT_7E_INC_RIP | KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT |	\
			 KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS | KVM_X86_QUIRK_STUFF_FEATURE_MSRS | \
			 KVM_X86_QUIRK_FIX_HYPERCALL_INSN)

/* vm_ioctl.c, vcpu_ioctl.c: new objects behind new fds. The fd or -errno. */
int lhv_vm_open(void);
long lhv_vcpu_open(struct lhv_vm *vm, unsigned long id);

/* ioctl_lists.c: ioctls that hand over a list; rows of the tables. */
long lhv_ioctl_msr_list(void *unused, unsigned long arg);
long lhv_ioctl_msr_feature_list(void *unused, unsigned long arg);
long lhv_ioctl_msr_features(void *unused, unsigned long arg);
long lhv_ioctl_get_msrs(void *vcpu, unsigned long arg);
long lhv_ioctl_set_msrs(void *vcpu, unsigned long arg);
long lhv_ioctl_supported_cpuid(void *unused, unsigned long arg);
long lhv_ioctl_get_cpuid(void *vcpu, unsigned long arg);
long lhv_ioctl_set_cpuid(void *vcpu, unsigned long arg);

#endif
