// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - the vCPU's fd: its ioctls and its mmap.
 */
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "host/kvm_abi.h"
#include "ioctl.h"
#include "stats.h"

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
VCPU_OP(vcpu_get_sregs2, lhv_get_sregs2)
VCPU_OP(vcpu_set_sregs2, lhv_set_sregs2)
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
VCPU_OP(vcpu_prefault, lhv_mem_prefault)

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

/*
 * Where the guest keeps its TPR, for guests whose TPR accesses the VMM patches (KVM_CAP_VAPIC,
 * which we do not have). "Nowhere" is what QEMU says at reset, and means to be obeyed.
 */
static int vcpu_set_vapic_addr(void *obj, void *arg)
{
	const struct kvm_vapic_addr *vapic = arg;
	struct lhv_vcpu *vcpu = obj;

	return vcpu->lapic && !vapic->vapic_addr ? 0 : -EINVAL;
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
	size_t size = lhv_check_extension(NULL, KVM_CAP_XSAVE2);
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

	if (!user) {
		vcpu->sigset_active = false;
		return 0;
	}
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

/* Paravirtual features that CPUID does not offer are refused whatever is said here. */
static int vcpu_enable_cap(void *vcpu, void *arg)
{
	const struct kvm_enable_cap *cap = arg;

	return cap->cap == KVM_CAP_ENFORCE_PV_FEATURE_CPUID && !cap->flags ? 0 : -EINVAL;
}

static int vcpu_has_attr(void *vcpu, void *arg)
{
	const struct kvm_device_attr *attr = arg;

	if (attr->group != KVM_VCPU_TSC_CTRL || attr->attr != KVM_VCPU_TSC_OFFSET)
		return -ENXIO;
	return attr->flags ? -EINVAL : 0;
}

static int vcpu_get_attr(void *obj, void *arg)
{
	const struct kvm_device_attr *attr = arg;
	struct lhv_vcpu *vcpu = obj;
	int ret = vcpu_has_attr(vcpu, arg);

	if (ret)
		return ret;
	return put_user(vcpu->cpu_state.tsc_offset, (u64 __user *)u64_to_user_ptr(attr->addr));
}

static int vcpu_set_attr(void *vcpu, void *arg)
{
	const struct kvm_device_attr *attr = arg;
	int ret = vcpu_has_attr(vcpu, arg);
	u64 offset;

	if (ret)
		return ret;
	if (get_user(offset, (u64 __user *)u64_to_user_ptr(attr->addr)))
		return -EFAULT;
	lhv_clock_set_offset(vcpu, offset);
	return 0;
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

static long vcpu_get_stats_fd(void *obj, unsigned long arg)
{
	struct lhv_vcpu *vcpu = obj;

	return lhv_stats_open(vcpu->vm, vcpu);
}

static const struct lhv_ioctl vcpu_ioctls[] = {
	ROW(KVM_GET_REGS, vcpu_get_regs),
	ROW(KVM_SET_REGS, vcpu_set_regs),
	ROW(KVM_GET_SREGS, vcpu_get_sregs),
	ROW(KVM_SET_SREGS, vcpu_set_sregs),
	ROW(KVM_GET_SREGS2, vcpu_get_sregs2),
	ROW(KVM_SET_SREGS2, vcpu_set_sregs2),
	ROW(KVM_GET_FPU, vcpu_get_fpu),
	ROW(KVM_SET_FPU, vcpu_set_fpu),
	ROW(KVM_GET_XSAVE, vcpu_get_xsave),
	ROW(KVM_SET_XSAVE, vcpu_set_xsave),
	RAW(KVM_GET_XSAVE2, vcpu_get_xsave2),
	ROW(KVM_GET_XCRS, vcpu_get_xcrs),
	ROW(KVM_SET_XCRS, vcpu_set_xcrs),
	RAW(KVM_GET_MSRS, lhv_ioctl_get_msrs),
	RAW(KVM_SET_MSRS, lhv_ioctl_set_msrs),
	RAW(KVM_GET_CPUID2, lhv_ioctl_get_cpuid),
	RAW(KVM_SET_CPUID2, lhv_ioctl_set_cpuid),
	ROW(KVM_GET_LAPIC, vcpu_get_lapic),
	ROW(KVM_SET_LAPIC, vcpu_set_lapic),
	ROW(KVM_SET_VAPIC_ADDR, vcpu_set_vapic_addr),
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
	ROW(KVM_HAS_DEVICE_ATTR, vcpu_has_attr),
	ROW(KVM_GET_DEVICE_ATTR, vcpu_get_attr),
	ROW(KVM_SET_DEVICE_ATTR, vcpu_set_attr),
	ROW(KVM_PRE_FAULT_MEMORY, vcpu_prefault),
	RAW(KVM_GET_STATS_FD, vcpu_get_stats_fd),
};

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct lhv_vcpu *vcpu = file->private_data;
	long ret;

	/* KVM_RUN looks by itself, and gives back what the vCPU has. */
	if (vcpu->vm->mm != current->mm || (cmd != KVM_RUN && READ_ONCE(vcpu->vm->bugged)))
		return -EIO;
	/* What is none of ours (isatty()) does not wait for the guest. */
	if (_IOC_TYPE(cmd) != KVMIO)
		return -ENOTTY;
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

	struct page *page;

	if (vmf->pgoff < LHV_VCPU_PAGES)
		page = vcpu->pages[array_index_nospec(vmf->pgoff, LHV_VCPU_PAGES)];
	else
		page = lhv_dirty_ring_page(vcpu, vmf->pgoff);
	if (!page)
		return VM_FAULT_SIGBUS;
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = {
	.fault = vcpu_page_fault,
};

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct lhv_vcpu *vcpu = file->private_data;

	/* A ring that is not shared, or that could be executed, is a mistake. */
	if ((lhv_dirty_ring_covers(vcpu, vma->vm_pgoff) ||
	     lhv_dirty_ring_covers(vcpu, vma->vm_pgoff + vma_pages(vma) - 1)) &&
	    (vma->vm_flags & VM_EXEC || !(vma->vm_flags & VM_SHARED)))
		return -EINVAL;
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

/**
 * lhv_vcpu_open() - a new vCPU and its fd
 * @vm: the VM
 * @id: APIC id
 *
 * Context: process. Return: the fd or -errno.
 */
long lhv_vcpu_open(struct lhv_vm *vm, unsigned long id)
{
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
