// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - /dev/lhv: the ioctl tables of the three fds (system, VM, vCPU).
 *
 * What enters: ioctls in KVM's vocabulary. What leaves: calls of one function each.
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
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "chardev.h"
#include "lhv.h"

#define LHV_STACK_ARG		256	/* arguments up to this size stay on the stack */
#define LHV_MAX_CPUID		256	/* entries, as KVM_MAX_CPUID_ENTRIES */
#define LHV_MAX_MSRS		256	/* entries of one KVM_GET_MSRS, as MAX_IO_MSRS */

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

static long call_with_copy(const struct lhv_ioctl *row, void *obj, void __user *user)
{
	size_t size = _IOC_SIZE(row->cmd);
	u8 stack[LHV_STACK_ARG] __aligned(8);
	void *arg = stack;
	long ret;

	if (size > sizeof(stack)) {
		arg = kzalloc(size, GFP_KERNEL_ACCOUNT);
		if (!arg)
			return -ENOMEM;
	} else {
		memset(stack, 0, size);
	}

	ret = -EFAULT;
	if ((_IOC_DIR(row->cmd) & _IOC_WRITE) && copy_from_user(arg, user, size))
		goto out;
	ret = row->fn(obj, arg);
	if (ret >= 0 && (_IOC_DIR(row->cmd) & _IOC_READ) && copy_to_user(user, arg, size))
		ret = -EFAULT;
out:
	if (arg != stack)
		kfree(arg);
	return ret;
}

static long dispatch(const struct lhv_ioctl *table, size_t rows, void *obj,
		     unsigned int cmd, unsigned long arg)
{
	size_t i;

	for (i = 0; i < rows; i++) {
		if (table[i].cmd != cmd)
			continue;
		if (table[i].raw)
			return table[i].raw(obj, arg);
		return call_with_copy(&table[i], obj, (void __user *)arg);
	}
	return -ENOTTY;
}

#define DISPATCH(table, obj, cmd, arg) dispatch(table, ARRAY_SIZE(table), obj, cmd, arg)

/* ---- capabilities ---- */

#define LHV_DIRTY_LOG_CAPS	(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET)

/* Advertised only once it works. Values as KVM's api.rst says. */
static const struct {
	u32 cap;
	u32 value;
} caps[] = {
	{ KVM_CAP_ADJUST_CLOCK, KVM_CLOCK_TSC_STABLE },
	{ KVM_CAP_CHECK_EXTENSION_VM, 1 },
	{ KVM_CAP_CLOCKSOURCE, 1 },
	{ KVM_CAP_COALESCED_MMIO, LHV_PAGE_COALESCED },
	{ KVM_CAP_COALESCED_PIO, 1 },
	{ KVM_CAP_DEBUGREGS, 1 },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1 },
	{ KVM_CAP_ENABLE_CAP_VM, 1 },
	{ KVM_CAP_EXT_CPUID, 1 },
	{ KVM_CAP_GET_MSR_FEATURES, 1 },
	{ KVM_CAP_GET_TSC_KHZ, 1 },
	{ KVM_CAP_HLT, 1 },
	{ KVM_CAP_IMMEDIATE_EXIT, 1 },
	{ KVM_CAP_INTERNAL_ERROR_DATA, 1 },
	{ KVM_CAP_INTR_SHADOW, 1 },
	{ KVM_CAP_IOEVENTFD, 1 },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1 },
	{ KVM_CAP_IRQCHIP, 1 },
	{ KVM_CAP_IRQFD, 1 },
	{ KVM_CAP_IRQFD_RESAMPLE, 1 },
	{ KVM_CAP_IRQ_INJECT_STATUS, 1 },
	{ KVM_CAP_IRQ_ROUTING, LHV_MAX_ROUTES },
	{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1 },
	{ KVM_CAP_KVMCLOCK_CTRL, 1 },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, LHV_DIRTY_LOG_CAPS },
	{ KVM_CAP_MAX_VCPUS, LHV_MAX_VCPUS },
	{ KVM_CAP_MAX_VCPU_ID, LHV_MAX_VCPUS },
	{ KVM_CAP_MCE, LHV_MCE_BANKS },
	{ KVM_CAP_MP_STATE, 1 },
	{ KVM_CAP_NOP_IO_DELAY, 1 },
	{ KVM_CAP_NR_MEMSLOTS, LHV_MAX_SLOTS },
	{ KVM_CAP_PIT2, 1 },
	{ KVM_CAP_PIT_STATE2, 1 },
	{ KVM_CAP_READONLY_MEM, 1 },
	{ KVM_CAP_REINJECT_CONTROL, 1 },
	{ KVM_CAP_SET_BOOT_CPU_ID, 1 },
	{ KVM_CAP_SET_GUEST_DEBUG, 1 },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1 },
	{ KVM_CAP_SET_TSS_ADDR, 1 },
	{ KVM_CAP_SIGNAL_MSI, 1 },
	{ KVM_CAP_SPLIT_IRQCHIP, 1 },
	{ KVM_CAP_SYNC_MMU, 1 },
	{ KVM_CAP_TSC_DEADLINE_TIMER, 1 },
	{ KVM_CAP_USER_MEMORY, 1 },
	{ KVM_CAP_USER_NMI, 1 },
	{ KVM_CAP_VCPU_EVENTS, 1 },
	{ KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS |
			      KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK },
	{ KVM_CAP_X86_ROBUST_SINGLESTEP, 1 },
	{ KVM_CAP_XSAVE, 1 },
};

static long check_extension(void *obj, unsigned long cap)
{
	size_t i;

	switch (cap) {
	case KVM_CAP_NR_VCPUS:
		return min_t(u32, num_online_cpus(), LHV_MAX_VCPUS);
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

/* ---- ioctls that hand over a list ---- */

/*
 * The three MSR lists: kvm_msr_list.nmsrs says how many fit and comes back saying how
 * many there are; -E2BIG when they do not fit.
 */
static long put_msr_list(unsigned long arg, const u32 *list, u32 n)
{
	struct kvm_msr_list __user *user = (void __user *)arg;
	u32 room;

	if (get_user(room, &user->nmsrs) || put_user(n, &user->nmsrs))
		return -EFAULT;
	if (room < n)
		return -E2BIG;
	return copy_to_user(user->indices, list, n * sizeof(*list)) ? -EFAULT : 0;
}

static long get_msr_index_list(void *obj, unsigned long arg)
{
	const u32 *list;
	u32 n = lhv_msr_list(&list);

	return put_msr_list(arg, list, n);
}

static long get_msr_feature_list(void *obj, unsigned long arg)
{
	const u32 *list;
	u32 n = lhv_msr_feature_list(&list);

	return put_msr_list(arg, list, n);
}

/*
 * KVM_GET_MSRS and KVM_SET_MSRS: entries are served in order up to the first that is
 * refused. Return: how many were served.
 */
static long do_msrs(struct lhv_vcpu *vcpu, unsigned long arg, bool write,
		    int (*one)(struct lhv_vcpu *vcpu, struct kvm_msr_entry *e))
{
	struct kvm_msrs __user *user = (void __user *)arg;
	struct kvm_msr_entry *entries;
	struct kvm_msrs head;
	size_t size;
	long ret;
	u32 i;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs >= LHV_MAX_MSRS)
		return -E2BIG;
	size = array_size(head.nmsrs, sizeof(*entries));
	entries = memdup_user(user->entries, size);
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	for (i = 0; i < head.nmsrs; i++) {
		if (one(vcpu, &entries[i]))
			break;
	}
	ret = i;
	if (!write && copy_to_user(user->entries, entries, size))
		ret = -EFAULT;
	kfree(entries);
	return ret;
}

static int get_msr_feature(struct lhv_vcpu *unused, struct kvm_msr_entry *e)
{
	return lhv_msr_feature(e->index, &e->data);
}

static int get_one_msr(struct lhv_vcpu *vcpu, struct kvm_msr_entry *e)
{
	return lhv_msr_read(vcpu, e->index, &e->data, true);
}

static int set_one_msr(struct lhv_vcpu *vcpu, struct kvm_msr_entry *e)
{
	return lhv_msr_write(vcpu, e->index, e->data, true);
}

static long system_get_msrs(void *obj, unsigned long arg)
{
	return do_msrs(NULL, arg, false, get_msr_feature);
}

static long vcpu_get_msrs(void *vcpu, unsigned long arg)
{
	return do_msrs(vcpu, arg, false, get_one_msr);
}

static long vcpu_set_msrs(void *vcpu, unsigned long arg)
{
	return do_msrs(vcpu, arg, true, set_one_msr);
}

/* Hand out CPUID entries; the count comes back right even when they do not fit. */
static long put_cpuid(struct lhv_vcpu *vcpu, unsigned long arg)
{
	struct kvm_cpuid2 __user *user = (void __user *)arg;
	struct kvm_cpuid_entry2 *entries;
	u32 nent;
	int ret;

	if (get_user(nent, &user->nent))
		return -EFAULT;
	nent = min_t(u32, nent, LHV_MAX_CPUID);
	entries = kvcalloc(max(nent, 1U), sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;
	ret = vcpu ? lhv_cpuid_get(vcpu, entries, &nent) : lhv_cpuid_supported(entries, &nent);
	if (!ret || (ret == -E2BIG && vcpu)) {
		if (put_user(nent, &user->nent))
			ret = -EFAULT;
	}
	if (!ret && copy_to_user(user->entries, entries, nent * sizeof(*entries)))
		ret = -EFAULT;
	kvfree(entries);
	return ret;
}

static long get_supported_cpuid(void *obj, unsigned long arg)
{
	return put_cpuid(NULL, arg);
}

static long get_cpuid2(void *vcpu, unsigned long arg)
{
	return put_cpuid(vcpu, arg);
}

static long set_cpuid2(void *obj, unsigned long arg)
{
	struct kvm_cpuid2 __user *user = (void __user *)arg;
	struct kvm_cpuid_entry2 *entries;
	u32 nent;
	int ret;

	if (get_user(nent, &user->nent))
		return -EFAULT;
	if (nent > LHV_MAX_CPUID)
		return -E2BIG;
	entries = vmemdup_user(user->entries, array_size(nent, sizeof(*entries)));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	ret = lhv_cpuid_set(obj, entries, nent);
	kvfree(entries);
	return ret;
}

/* ---- the vCPU's fd ---- */

static int vcpu_get_regs(void *vcpu, void *arg)
{
	lhv_get_regs(vcpu, arg);
	return 0;
}

static int vcpu_set_regs(void *vcpu, void *arg)
{
	return lhv_set_regs(vcpu, arg);
}

#define VCPU_OP(name, fn)						\
static int name(void *vcpu, void *arg)					\
{									\
	return fn(vcpu, arg);						\
}

VCPU_OP(vcpu_get_sregs, lhv_get_sregs)
VCPU_OP(vcpu_set_sregs, lhv_set_sregs)
VCPU_OP(vcpu_get_fpu, lhv_get_fpu)
VCPU_OP(vcpu_set_fpu, lhv_set_fpu)
VCPU_OP(vcpu_get_xcrs, lhv_get_xcrs)
VCPU_OP(vcpu_set_xcrs, lhv_set_xcrs)
VCPU_OP(vcpu_get_debugregs, lhv_get_debugregs)
VCPU_OP(vcpu_set_debugregs, lhv_set_debugregs)
VCPU_OP(vcpu_set_guest_debug, lhv_set_guest_debug)
VCPU_OP(vcpu_get_events, lhv_get_events)
VCPU_OP(vcpu_set_events, lhv_set_events)
VCPU_OP(vcpu_get_mp_state, lhv_vcpu_get_mp_state)
VCPU_OP(vcpu_set_mp_state, lhv_vcpu_set_mp_state)
VCPU_OP(vcpu_set_mce, lhv_set_mce)

static int vcpu_get_lapic(void *obj, void *arg)
{
	struct lhv_vcpu *vcpu = obj;

	return vcpu->lapic ? lhv_lapic_get_state(vcpu, arg) : -EINVAL;
}

static int vcpu_set_lapic(void *obj, void *arg)
{
	struct lhv_vcpu *vcpu = obj;

	return vcpu->lapic ? lhv_lapic_set_state(vcpu, arg) : -EINVAL;
}

static int vcpu_get_xsave(void *vcpu, void *arg)
{
	return lhv_get_xsave(vcpu, arg, sizeof(struct kvm_xsave));
}

static int vcpu_set_xsave(void *vcpu, void *arg)
{
	return lhv_set_xsave(vcpu, arg, sizeof(struct kvm_xsave));
}

/* As large as KVM_CAP_XSAVE2 said. */
static long vcpu_get_xsave2(void *vcpu, unsigned long arg)
{
	size_t size = check_extension(NULL, KVM_CAP_XSAVE2);
	void *buf = kvzalloc(size, GFP_KERNEL_ACCOUNT);
	int ret;

	if (!buf)
		return -ENOMEM;
	ret = lhv_get_xsave(vcpu, buf, size);
	if (!ret && copy_to_user((void __user *)arg, buf, size))
		ret = -EFAULT;
	kvfree(buf);
	return ret;
}

/* Hand in an external interrupt; the VMM's own 8259, or its half of a split irqchip. */
static int vcpu_interrupt(void *obj, void *arg)
{
	struct kvm_interrupt *irq = arg;
	struct lhv_vcpu *vcpu = obj;

	if (irq->irq > 255)
		return -EINVAL;
	if (vcpu->vm->irq.mode == LHV_IRQCHIP_KERNEL)
		return -ENXIO;
	if (vcpu->ev.user_irq >= 0)
		return -EEXIST;
	vcpu->ev.user_irq = irq->irq;
	lhv_request_self(vcpu, LHV_REQ_EVENT);
	return 0;
}

static long vcpu_nmi(void *vcpu, unsigned long arg)
{
	lhv_nmi(vcpu);
	return 0;
}

static long vcpu_set_signal_mask(void *obj, unsigned long arg)
{
	struct kvm_signal_mask __user *user = (void __user *)arg;
	struct lhv_vcpu *vcpu = obj;
	sigset_t sigset;
	u32 len;

	vcpu->sigset_active = false;
	if (!user)
		return 0;
	if (get_user(len, &user->len))
		return -EFAULT;
	if (len != sizeof(sigset))
		return -EINVAL;
	if (copy_from_user(&sigset, user->sigset, sizeof(sigset)))
		return -EFAULT;
	sigdelsetmask(&sigset, sigmask(SIGKILL) | sigmask(SIGSTOP));
	vcpu->sigset = sigset;
	vcpu->sigset_active = true;
	return 0;
}

static long vcpu_get_tsc_khz(void *obj, unsigned long arg)
{
	struct lhv_vcpu *vcpu = obj;

	return vcpu->cpu_state.tsc_khz;
}

static long vcpu_set_tsc_khz(void *vcpu, unsigned long khz)
{
	return khz > U32_MAX ? -EINVAL : lhv_set_tsc_khz(vcpu, khz);
}

static long vcpu_kvmclock_ctrl(void *vcpu, unsigned long arg)
{
	return lhv_kvmclock_ctrl(vcpu);
}

static int vcpu_setup_mce(void *vcpu, void *arg)
{
	return lhv_setup_mce(vcpu, *(u64 *)arg);
}

/* There is no capability of a vCPU that could be switched on. */
static int vcpu_enable_cap(void *vcpu, void *arg)
{
	return -EINVAL;
}

static int vcpu_translate(void *obj, void *arg)
{
	struct kvm_translation *tr = arg;
	struct lhv_fault fault;
	gpa_t gpa = 0;

	tr->valid = !lhv_gva_to_gpa(obj, tr->linear_address, 0, &gpa, &fault);
	tr->physical_address = gpa;
	tr->writeable = 1;
	tr->usermode = 0;
	return 0;
}

static const struct lhv_ioctl vcpu_ioctls[] = {
	ROW(KVM_GET_REGS, vcpu_get_regs),
	ROW(KVM_SET_REGS, vcpu_set_regs),
	ROW(KVM_GET_SREGS, vcpu_get_sregs),
	ROW(KVM_SET_SREGS, vcpu_set_sregs),
	ROW(KVM_GET_FPU, vcpu_get_fpu),
	ROW(KVM_SET_FPU, vcpu_set_fpu),
	ROW(KVM_GET_XSAVE, vcpu_get_xsave),
	ROW(KVM_SET_XSAVE, vcpu_set_xsave),
	RAW(KVM_GET_XSAVE2, vcpu_get_xsave2),
	ROW(KVM_GET_XCRS, vcpu_get_xcrs),
	ROW(KVM_SET_XCRS, vcpu_set_xcrs),
	RAW(KVM_GET_MSRS, vcpu_get_msrs),
	RAW(KVM_SET_MSRS, vcpu_set_msrs),
	RAW(KVM_GET_CPUID2, get_cpuid2),
	RAW(KVM_SET_CPUID2, set_cpuid2),
	ROW(KVM_GET_LAPIC, vcpu_get_lapic),
	ROW(KVM_SET_LAPIC, vcpu_set_lapic),
	ROW(KVM_GET_DEBUGREGS, vcpu_get_debugregs),
	ROW(KVM_SET_DEBUGREGS, vcpu_set_debugregs),
	ROW(KVM_SET_GUEST_DEBUG, vcpu_set_guest_debug),
	ROW(KVM_GET_VCPU_EVENTS, vcpu_get_events),
	ROW(KVM_SET_VCPU_EVENTS, vcpu_set_events),
	ROW(KVM_GET_MP_STATE, vcpu_get_mp_state),
	ROW(KVM_SET_MP_STATE, vcpu_set_mp_state),
	ROW(KVM_INTERRUPT, vcpu_interrupt),
	RAW(KVM_NMI, vcpu_nmi),
	RAW(KVM_SET_SIGNAL_MASK, vcpu_set_signal_mask),
	RAW(KVM_GET_TSC_KHZ, vcpu_get_tsc_khz),
	RAW(KVM_SET_TSC_KHZ, vcpu_set_tsc_khz),
	RAW(KVM_KVMCLOCK_CTRL, vcpu_kvmclock_ctrl),
	ROW(KVM_X86_SETUP_MCE, vcpu_setup_mce),
	ROW(KVM_X86_SET_MCE, vcpu_set_mce),
	ROW(KVM_TRANSLATE, vcpu_translate),
	ROW(KVM_ENABLE_CAP, vcpu_enable_cap),
};

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct lhv_vcpu *vcpu = file->private_data;
	long ret;

	if (vcpu->vm->mm != current->mm || READ_ONCE(vcpu->vm->bugged))
		return -EIO;
	if (mutex_lock_killable(&vcpu->lock))
		return -EINTR;
	if (likely(cmd == KVM_RUN))
		ret = arg ? -EINVAL : lhv_vcpu_run(vcpu);
	else
		ret = DISPATCH(vcpu_ioctls, vcpu, cmd, arg);
	mutex_unlock(&vcpu->lock);
	return ret;
}

static vm_fault_t vcpu_page_fault(struct vm_fault *vmf)
{
	struct lhv_vcpu *vcpu = vmf->vma->vm_file->private_data;

	if (vmf->pgoff >= LHV_VCPU_PAGES)
		return VM_FAULT_SIGBUS;
	vmf->page = vcpu->pages[vmf->pgoff];
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = {
	.fault = vcpu_page_fault,
};

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &vcpu_vm_ops;
	return 0;
}

/* The vCPU itself lives on with its VM. There is none when it could not be created. */
static int vcpu_release(struct inode *inode, struct file *file)
{
	struct lhv_vcpu *vcpu = file->private_data;

	if (vcpu)
		lhv_vm_put(vcpu->vm);
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.release = vcpu_release,
	.unlocked_ioctl = vcpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vcpu_mmap,
	.llseek = noop_llseek,
};

/* ---- the VM's fd ---- */

#define VM_OP(name, fn)							\
static int name(void *vm, void *arg)					\
{									\
	return fn(vm, arg);						\
}

VM_OP(vm_set_slot, lhv_mem_set_slot)
VM_OP(vm_get_dirty_log, lhv_mem_get_dirty_log)
VM_OP(vm_clear_dirty_log, lhv_mem_clear_dirty_log)
VM_OP(vm_ioeventfd, lhv_ioeventfd)
VM_OP(vm_irqfd, lhv_irqfd)
VM_OP(vm_coalesced_register, lhv_coalesced_register)
VM_OP(vm_coalesced_unregister, lhv_coalesced_unregister)
VM_OP(vm_get_clock, lhv_get_clock)
VM_OP(vm_set_clock, lhv_set_clock)

static long vm_create_vcpu(void *obj, unsigned long id)
{
	struct lhv_vm *vm = obj;
	struct lhv_vcpu *vcpu;
	struct file *file;
	int fd, ret;

	if (id > U32_MAX)
		return -EINVAL;
	/* All that can fail comes before the vCPU: a published one does not go away. */
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = anon_inode_getfile("lhv-vcpu", &vcpu_fops, NULL, O_RDWR);
	ret = PTR_ERR_OR_ZERO(file);
	if (ret)
		goto err_fd;
	vcpu = lhv_vcpu_create(vm, id);
	ret = PTR_ERR_OR_ZERO(vcpu);
	if (ret)
		goto err_file;
	lhv_vm_get(vm);
	file->private_data = vcpu;
	fd_install(fd, file);
	return fd;

err_file:
	fput(file);
err_fd:
	put_unused_fd(fd);
	return ret;
}

static long vm_create_irqchip(void *obj, unsigned long arg)
{
	struct lhv_vm *vm = obj;
	int ret;

	mutex_lock(&vm->lock);
	ret = lhv_irqchip_create(vm);
	mutex_unlock(&vm->lock);
	return ret;
}

static int create_pit(struct lhv_vm *vm, const struct kvm_pit_config *config)
{
	int ret;

	mutex_lock(&vm->lock);
	ret = lhv_pit_create(vm, config);
	mutex_unlock(&vm->lock);
	return ret;
}

static long vm_create_pit(void *vm, unsigned long arg)
{
	static const struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };

	return create_pit(vm, &config);
}

static int vm_create_pit2(void *vm, void *arg)
{
	return create_pit(vm, arg);
}

/* What needs the irqchip in the kernel says ENXIO without it. */
static bool has_kernel_irqchip(struct lhv_vm *vm)
{
	/* Pairs with the release when all of it is built. */
	return smp_load_acquire(&vm->irq.mode) == LHV_IRQCHIP_KERNEL;
}

static int vm_get_irqchip(void *vm, void *arg)
{
	return has_kernel_irqchip(vm) ? lhv_irqchip_get(vm, arg) : -ENXIO;
}

/* Its number says that it only reads. */
static long vm_set_irqchip(void *vm, unsigned long arg)
{
	struct kvm_irqchip *chip = memdup_user((void __user *)arg, sizeof(*chip));
	int ret;

	if (IS_ERR(chip))
		return PTR_ERR(chip);
	ret = has_kernel_irqchip(vm) ? lhv_irqchip_set(vm, chip) : -ENXIO;
	kfree(chip);
	return ret;
}

static int vm_get_pit2(void *obj, void *arg)
{
	struct lhv_vm *vm = obj;

	return READ_ONCE(vm->irq.pit) ? lhv_pit_get(vm, arg) : -ENXIO;
}

static int vm_set_pit2(void *obj, void *arg)
{
	struct lhv_vm *vm = obj;

	return READ_ONCE(vm->irq.pit) ? lhv_pit_set(vm, arg) : -ENXIO;
}

/* Its number says that it has no argument. */
static long vm_reinject_control(void *obj, unsigned long arg)
{
	struct kvm_reinject_control control;
	struct lhv_vm *vm = obj;

	if (copy_from_user(&control, (void __user *)arg, sizeof(control)))
		return -EFAULT;
	return READ_ONCE(vm->irq.pit) ? lhv_pit_reinject(vm, &control) : -ENXIO;
}

static int vm_irq_line_status(void *vm, void *arg)
{
	struct kvm_irq_level *level = arg;

	if (!lhv_has_lapic(vm))
		return -ENXIO;
	level->status = lhv_irq_line(vm, LHV_IRQ_SOURCE_USER, level->irq, level->level);
	return 0;
}

static int vm_signal_msi(void *vm, void *arg)
{
	const struct kvm_msi *msi = arg;

	return lhv_has_lapic(vm) ? lhv_irq_msi(vm, msi) : -EINVAL;
}

static long vm_set_routing(void *vm, unsigned long arg)
{
	struct kvm_irq_routing __user *user = (void __user *)arg;
	struct kvm_irq_routing_entry *entries;
	struct kvm_irq_routing head;
	int ret;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.nr > LHV_MAX_ROUTES || head.flags)
		return -EINVAL;
	entries = vmemdup_user(user->entries, array_size(head.nr, sizeof(*entries)));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	ret = lhv_routing_set(vm, entries, head.nr, head.flags);
	kvfree(entries);
	return ret;
}

/*
 * VT-x without unrestricted guest would need these two pages of guest memory; we do
 * not run there. VMMs set them all the same.
 */
static long vm_set_tss_addr(void *obj, unsigned long addr)
{
	/* Three pages below 4 GiB. */
	return addr > U32_MAX - 3 * PAGE_SIZE ? -EINVAL : 0;
}

static int vm_set_identity_map_addr(void *obj, void *arg)
{
	struct lhv_vm *vm = obj;

	return lhv_nr_vcpus(vm) ? -EINVAL : 0;
}

static long vm_set_boot_cpu_id(void *obj, unsigned long id)
{
	struct lhv_vm *vm = obj;
	int ret = -EBUSY;

	if (id >= LHV_MAX_VCPUS)
		return -EINVAL;
	mutex_lock(&vm->lock);
	if (!vm->nr_vcpus) {
		vm->bsp_id = id;
		ret = 0;
	}
	mutex_unlock(&vm->lock);
	return ret;
}

static int vm_enable_cap(void *obj, void *arg)
{
	const struct kvm_enable_cap *cap = arg;
	struct lhv_vm *vm = obj;
	int ret = -EINVAL;

	if (cap->flags)
		return -EINVAL;
	mutex_lock(&vm->lock);
	switch (cap->cap) {
	case KVM_CAP_SPLIT_IRQCHIP:
		ret = lhv_irqchip_create_split(vm, min_t(u64, cap->args[0], U32_MAX));
		break;
	case KVM_CAP_X2APIC_API:
		if (cap->args[0] & ~(u64)(KVM_X2APIC_API_USE_32BIT_IDS |
					  KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK))
			break;
		if (cap->args[0] & KVM_X2APIC_API_USE_32BIT_IDS)
			vm->irq.x2apic_ids = true;
		if (cap->args[0] & KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
			vm->irq.x2apic_no_broadcast_quirk = true;
		ret = 0;
		break;
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		if (cap->args[0] & ~(u64)LHV_DIRTY_LOG_CAPS)
			break;
		mutex_lock(&vm->mem.slots_lock);
		vm->mem.dirty_log_flags = cap->args[0];
		mutex_unlock(&vm->mem.slots_lock);
		ret = 0;
		break;
	}
	mutex_unlock(&vm->lock);
	return ret;
}

static const struct lhv_ioctl vm_ioctls[] = {
	RAW(KVM_CHECK_EXTENSION, check_extension),
	RAW(KVM_CREATE_VCPU, vm_create_vcpu),
	ROW(KVM_SET_USER_MEMORY_REGION, vm_set_slot),
	ROW(KVM_GET_DIRTY_LOG, vm_get_dirty_log),
	ROW(KVM_CLEAR_DIRTY_LOG, vm_clear_dirty_log),
	RAW(KVM_CREATE_IRQCHIP, vm_create_irqchip),
	ROW(KVM_GET_IRQCHIP, vm_get_irqchip),
	RAW(KVM_SET_IRQCHIP, vm_set_irqchip),
	RAW(KVM_CREATE_PIT, vm_create_pit),
	ROW(KVM_CREATE_PIT2, vm_create_pit2),
	ROW(KVM_GET_PIT2, vm_get_pit2),
	ROW(KVM_SET_PIT2, vm_set_pit2),
	RAW(KVM_REINJECT_CONTROL, vm_reinject_control),
	ROW(KVM_IRQ_LINE, vm_irq_line_status),
	ROW(KVM_IRQ_LINE_STATUS, vm_irq_line_status),
	ROW(KVM_SIGNAL_MSI, vm_signal_msi),
	RAW(KVM_SET_GSI_ROUTING, vm_set_routing),
	ROW(KVM_IRQFD, vm_irqfd),
	ROW(KVM_IOEVENTFD, vm_ioeventfd),
	ROW(KVM_REGISTER_COALESCED_MMIO, vm_coalesced_register),
	ROW(KVM_UNREGISTER_COALESCED_MMIO, vm_coalesced_unregister),
	ROW(KVM_GET_CLOCK, vm_get_clock),
	ROW(KVM_SET_CLOCK, vm_set_clock),
	RAW(KVM_SET_TSS_ADDR, vm_set_tss_addr),
	ROW(KVM_SET_IDENTITY_MAP_ADDR, vm_set_identity_map_addr),
	RAW(KVM_SET_BOOT_CPU_ID, vm_set_boot_cpu_id),
	ROW(KVM_ENABLE_CAP, vm_enable_cap),
};

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct lhv_vm *vm = file->private_data;

	if (vm->mm != current->mm || READ_ONCE(vm->bugged))
		return -EIO;
	return DISPATCH(vm_ioctls, vm, cmd, arg);
}

static int vm_release(struct inode *inode, struct file *file)
{
	struct lhv_vm *vm = file->private_data;

	lhv_vm_put(vm);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.release = vm_release,
	.unlocked_ioctl = vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/* ---- the system's fd ---- */

static long get_api_version(void *obj, unsigned long arg)
{
	return arg ? -EINVAL : KVM_API_VERSION;
}

static long create_vm(void *obj, unsigned long type)
{
	struct lhv_vm *vm;
	int fd;

	if (type)
		return -EINVAL;
	vm = lhv_vm_create();
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	fd = anon_inode_getfd("lhv-vm", &vm_fops, vm, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		lhv_vm_put(vm);
	return fd;
}

static long get_vcpu_mmap_size(void *obj, unsigned long arg)
{
	return arg ? -EINVAL : LHV_VCPU_PAGES * PAGE_SIZE;
}

static int get_mce_cap_supported(void *obj, void *arg)
{
	*(u64 *)arg = LHV_MCG_CAP;
	return 0;
}

static const struct lhv_ioctl system_ioctls[] = {
	RAW(KVM_GET_API_VERSION, get_api_version),
	RAW(KVM_CHECK_EXTENSION, check_extension),
	RAW(KVM_CREATE_VM, create_vm),
	RAW(KVM_GET_VCPU_MMAP_SIZE, get_vcpu_mmap_size),
	RAW(KVM_GET_SUPPORTED_CPUID, get_supported_cpuid),
	RAW(KVM_GET_MSR_INDEX_LIST, get_msr_index_list),
	RAW(KVM_GET_MSR_FEATURE_INDEX_LIST, get_msr_feature_list),
	RAW(KVM_GET_MSRS, system_get_msrs),
	ROW(KVM_X86_GET_MCE_CAP_SUPPORTED, get_mce_cap_supported),
};

static long system_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return DISPATCH(system_ioctls, NULL, cmd, arg);
}

static const struct file_operations system_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = system_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "lhv",
	.fops = &system_fops,
	.mode = 0660,
};

/**
 * lhv_chardev_init() - make /dev/lhv appear; the last step of loading
 *
 * Context: process. Return: 0 or -errno.
 */
int lhv_chardev_init(void)
{
	return misc_register(&device);
}

void lhv_chardev_exit(void)
{
	misc_deregister(&device);
}
