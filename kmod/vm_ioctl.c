// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - the VM's fd: its ioctls.
 */
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <uapi/linux/lhv.h>

#include "host/kvm_abi.h"
#include "ioctl.h"
#include "passthrough/passthrough.h"
#include "stats.h"

#define LHV_MIN_MMU_PAGES	64	/* as KVM */

#define VM_OP(name, fn)							\
static int name(void *vm, void *arg)					\
{									\
	return fn(vm, arg);						\
}

VM_OP(vm_set_slot, lhv_mem_set_slot)

/* What it adds is guest_memfd, of which there is none: its flag is refused like any unknown one. */
static int vm_set_slot2(void *vm, void *arg)
{
	const struct kvm_userspace_memory_region2 *new = arg;
	const struct kvm_userspace_memory_region region = {
		.slot = new->slot,
		.flags = new->flags,
		.guest_phys_addr = new->guest_phys_addr,
		.memory_size = new->memory_size,
		.userspace_addr = new->userspace_addr,
	};

	return lhv_mem_set_slot(vm, &region);
}

static void __user *callers_pointer(void __user *ptr)
{
	/* A 32-bit caller does not fill the upper half. */
	return in_compat_syscall() ? compat_ptr(ptr_to_compat(ptr)) : ptr;
}

static int vm_get_dirty_log(void *vm, void *arg)
{
	struct kvm_dirty_log *log = arg;

	log->dirty_bitmap = callers_pointer(log->dirty_bitmap);
	return lhv_mem_get_dirty_log(vm, log);
}

static int vm_clear_dirty_log(void *vm, void *arg)
{
	struct kvm_clear_dirty_log *log = arg;

	log->dirty_bitmap = callers_pointer(log->dirty_bitmap);
	return lhv_mem_clear_dirty_log(vm, log);
}

VM_OP(vm_ioeventfd, lhv_ioeventfd)
VM_OP(vm_irqfd, lhv_irqfd)
VM_OP(vm_coalesced_register, lhv_coalesced_register)
VM_OP(vm_coalesced_unregister, lhv_coalesced_unregister)
VM_OP(vm_get_clock, lhv_get_clock)
VM_OP(vm_set_clock, lhv_set_clock)

VM_OP(vm_set_msr_filter, lhv_msr_set_filter)

#ifdef CONFIG_COMPAT
/* As 32-bit callers have it; its size makes it another number. */
struct msr_filter_32 {
	__u32 flags;
	struct {
		__u32 flags, nmsrs, base;
		compat_uptr_t bitmap;
	} ranges[KVM_MSR_FILTER_MAX_RANGES];
};

#define SET_MSR_FILTER_32	_IOW(KVMIO, _IOC_NR(KVM_X86_SET_MSR_FILTER), struct msr_filter_32)

static int vm_set_msr_filter_32(void *vm, void *arg)
{
	const struct msr_filter_32 *from = arg;
	struct kvm_msr_filter filter = { .flags = from->flags };
	int i;

	for (i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
		filter.ranges[i].flags = from->ranges[i].flags;
		filter.ranges[i].nmsrs = from->ranges[i].nmsrs;
		filter.ranges[i].base = from->ranges[i].base;
		filter.ranges[i].bitmap = (__force __u8 *)compat_ptr(from->ranges[i].bitmap);
	}
	return lhv_msr_set_filter(vm, &filter);
}
#endif

static long vm_create_vcpu(void *vm, unsigned long id)
{
	return lhv_vcpu_open(vm, id);
}

static long vm_reset_dirty_rings(void *vm, unsigned long arg)
{
	return lhv_dirty_rings_reset(vm);
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
	return addr > (u32)(-3 * PAGE_SIZE) ? -EINVAL : 0;
}

static int vm_set_identity_map_addr(void *obj, void *arg)
{
	struct lhv_vm *vm = obj;

	return lhv_nr_vcpus(vm) ? -EINVAL : 0;
}

/*
 * How much memory KVM may spend on shadow page tables. There are none here; second-stage tables
 * know no limit, as KVM's with the hardware's help. The number is kept for who asks.
 */
static long vm_set_nr_mmu_pages(void *obj, unsigned long nr)
{
	struct lhv_vm *vm = obj;

	if (nr < LHV_MIN_MMU_PAGES || nr > U32_MAX)
		return -EINVAL;
	WRITE_ONCE(vm->nr_mmu_pages, nr);
	return 0;
}

static long vm_get_nr_mmu_pages(void *obj, unsigned long arg)
{
	struct lhv_vm *vm = obj;

	return READ_ONCE(vm->nr_mmu_pages);
}

static long vm_get_tsc_khz(void *obj, unsigned long arg)
{
	struct lhv_vm *vm = obj;

	return READ_ONCE(vm->clock.guest_khz);
}

static long vm_set_tsc_khz(void *obj, unsigned long khz)
{
	struct lhv_vm *vm = obj;

	guard(mutex)(&vm->lock);
	return khz > U32_MAX ? -EINVAL : lhv_set_vm_tsc_khz(vm, khz);
}

/* Once, and not below the boot CPU's. */
static int limit_vcpu_ids(struct lhv_vm *vm, u64 limit)
{
	lockdep_assert_held(&vm->lock);
	if (limit > LHV_MAX_VCPUS || vm->bsp_id > limit ||
	    (vm->vcpu_ids && vm->vcpu_ids != limit))
		return -EINVAL;
	vm->vcpu_ids = limit;
	return 0;
}

static long vm_set_boot_cpu_id(void *obj, unsigned long id)
{
	struct lhv_vm *vm = obj;

	guard(mutex)(&vm->lock);
	if (vm->nr_vcpus)
		return -EBUSY;
	if (id >= LHV_MAX_VCPUS || (vm->vcpu_ids && id > vm->vcpu_ids))
		return -EINVAL;
	vm->bsp_id = id;
	return 0;
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
	case KVM_CAP_DISABLE_QUIRKS2:
		if (cap->args[0] & ~(u64)LHV_QUIRKS)
			break;
		fallthrough;
	case KVM_CAP_DISABLE_QUIRKS:
		/* What is off stays off. */
		WRITE_ONCE(vm->disabled_quirks,
			   vm->disabled_quirks | (cap->args[0] & LHV_QUIRKS));
		ret = 0;
		break;
	case KVM_CAP_X86_USER_SPACE_MSR:
		if (cap->args[0] & ~(u64)(KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN |
					  KVM_MSR_EXIT_REASON_FILTER))
			break;
		WRITE_ONCE(vm->user_msrs, cap->args[0]);
		ret = 0;
		break;
	case KVM_CAP_X86_DISABLE_EXITS:
		if (cap->args[0] & ~(u64)lhv_check_extension(vm, cap->cap))
			break;
		WRITE_ONCE(vm->disabled_exits, vm->disabled_exits | cap->args[0]);
		ret = 0;
		break;
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
	case KVM_CAP_X86_APIC_BUS_CYCLES_NS:
		ret = lhv_apic_set_bus_cycle(vm, cap->args[0]);
		break;
	case KVM_CAP_MAX_VCPU_ID:
		ret = limit_vcpu_ids(vm, cap->args[0]);
		break;
	case KVM_CAP_EXIT_ON_EMULATION_FAILURE:
		if (cap->args[0] > 1)
			break;
		WRITE_ONCE(vm->exit_on_emulation_failure, cap->args[0]);
		ret = 0;
		break;
	case KVM_CAP_MSR_PLATFORM_INFO:
		WRITE_ONCE(vm->hide_platform_info, !cap->args[0]);
		ret = 0;
		break;
	case KVM_CAP_EXCEPTION_PAYLOAD:
		WRITE_ONCE(vm->exception_payload, cap->args[0]);
		ret = 0;
		break;
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
		WRITE_ONCE(vm->triple_fault_event, cap->args[0]);
		ret = 0;
		break;
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		ret = lhv_dirty_log_enable(vm, cap->args[0]);
		break;
	case KVM_CAP_DIRTY_LOG_RING:
	case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
		ret = lhv_dirty_ring_enable(vm, cap->args[0]);
		break;
	}
	mutex_unlock(&vm->lock);
	return ret;
}

/* The fd is shown only once its number has reached the caller. */
static long vm_create_device(void *obj, unsigned long arg)
{
	struct kvm_create_device __user *user = (void __user *)arg;
	struct kvm_create_device args;
	struct lhv_vm *vm = obj;
	struct file *file;
	int fd;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	if (args.type != KVM_DEV_TYPE_VFIO)
		return -ENODEV;
	if (args.flags & ~KVM_CREATE_DEVICE_TEST)
		return -EINVAL;
	if (args.flags & KVM_CREATE_DEVICE_TEST)
		return 0;
	fd = get_unused_fd_flags(O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fd;
	if (put_user(fd, &user->fd)) {
		put_unused_fd(fd);
		return -EFAULT;
	}
	mutex_lock(&vm->lock);
	file = lhv_vfio_create(vm);
	mutex_unlock(&vm->lock);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return 0;
}

static long vm_get_stats_fd(void *vm, unsigned long arg)
{
	return lhv_stats_open(vm, NULL);
}

static int vm_get_id(void *obj, void *arg)
{
	const struct lhv_vm *vm = obj;

	*(u64 *)arg = vm->id;
	return 0;
}

static int vm_set_stop_eventfd(void *vm, void *arg)
{
	return lhv_vm_set_stop_eventfd(vm, *(s32 *)arg);
}

static int vm_device_open(void *vm, void *arg)
{
	return lhv_device_open(vm, arg);
}

static const struct lhv_ioctl vm_ioctls[] = {
	RAW(KVM_CHECK_EXTENSION, lhv_check_extension),
	RAW(KVM_CREATE_VCPU, vm_create_vcpu),
	ROW(KVM_SET_USER_MEMORY_REGION, vm_set_slot),
	ROW(KVM_SET_USER_MEMORY_REGION2, vm_set_slot2),
	RAW(KVM_SET_NR_MMU_PAGES, vm_set_nr_mmu_pages),
	RAW(KVM_GET_NR_MMU_PAGES, vm_get_nr_mmu_pages),
	RAW(KVM_GET_TSC_KHZ, vm_get_tsc_khz),
	RAW(KVM_SET_TSC_KHZ, vm_set_tsc_khz),
	ROW(KVM_GET_DIRTY_LOG, vm_get_dirty_log),
	ROW(KVM_CLEAR_DIRTY_LOG, vm_clear_dirty_log),
	RAW(KVM_RESET_DIRTY_RINGS, vm_reset_dirty_rings),
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
	ROW(KVM_X86_SET_MSR_FILTER, vm_set_msr_filter),
#ifdef CONFIG_COMPAT
	ROW(SET_MSR_FILTER_32, vm_set_msr_filter_32),
#endif
	ROW(KVM_ENABLE_CAP, vm_enable_cap),
	RAW(KVM_CREATE_DEVICE, vm_create_device),
	RAW(KVM_GET_STATS_FD, vm_get_stats_fd),
	ROW(LHV_GET_VM_ID, vm_get_id),
	ROW(LHV_SET_STOP_EVENTFD, vm_set_stop_eventfd),
	ROW(LHV_DEVICE_OPEN, vm_device_open),
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

static void vm_show_fdinfo(struct seq_file *m, struct file *file)
{
	const struct lhv_vm *vm = file->private_data;

	seq_printf(m, "lhv-vm-id:\t%llu\n", vm->id);
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.release = vm_release,
	.show_fdinfo = vm_show_fdinfo,
	.unlocked_ioctl = vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/**
 * lhv_vm_open() - a new VM and its fd
 *
 * Context: process. Return: the fd or -errno.
 */
int lhv_vm_open(void)
{
	struct lhv_vm *vm = lhv_vm_create();
	int fd;

	if (IS_ERR(vm))
		return PTR_ERR(vm);
	fd = anon_inode_getfd("lhv-vm", &vm_fops, vm, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		lhv_vm_put(vm);
	return fd;
}
