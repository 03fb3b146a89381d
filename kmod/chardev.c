// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - /dev/lhv: the system's fd, and the dispatcher of all three.
 *
 * What enters: ioctls in KVM's vocabulary. What leaves: calls of one function each.
 */
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "chardev.h"
#include "ioctl.h"

#define LHV_STACK_ARG		256	/* arguments up to this size stay on the stack */

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

long lhv_dispatch(const struct lhv_ioctl *table, size_t rows, void *obj,
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

/* ---- the system's fd ---- */

static long get_api_version(void *obj, unsigned long arg)
{
	return arg ? -EINVAL : KVM_API_VERSION;
}

static long create_vm(void *obj, unsigned long type)
{
	return type ? -EINVAL : lhv_vm_open();
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

static int has_attr(void *obj, void *arg)
{
	const struct kvm_device_attr *attr = arg;

	if (attr->group || attr->attr != KVM_X86_XCOMP_GUEST_SUPP)
		return -ENXIO;
	return attr->flags ? -EINVAL : 0;
}

/* What of the extended state guests can have. */
static int get_attr(void *obj, void *arg)
{
	const struct kvm_device_attr *attr = arg;
	int ret = has_attr(obj, arg);

	return ret ?: put_user(lhv_cpuid_xcr0(), (u64 __user *)u64_to_user_ptr(attr->addr));
}

static const struct lhv_ioctl system_ioctls[] = {
	RAW(KVM_GET_API_VERSION, get_api_version),
	RAW(KVM_CHECK_EXTENSION, lhv_check_extension),
	RAW(KVM_CREATE_VM, create_vm),
	RAW(KVM_GET_VCPU_MMAP_SIZE, get_vcpu_mmap_size),
	ROW(KVM_HAS_DEVICE_ATTR, has_attr),
	ROW(KVM_GET_DEVICE_ATTR, get_attr),
	RAW(KVM_GET_SUPPORTED_CPUID, lhv_ioctl_supported_cpuid),
	RAW(KVM_GET_MSR_INDEX_LIST, lhv_ioctl_msr_list),
	RAW(KVM_GET_MSR_FEATURE_INDEX_LIST, lhv_ioctl_msr_feature_list),
	RAW(KVM_GET_MSRS, lhv_ioctl_msr_features),
	ROW(KVM_X86_GET_MCE_CAP_SUPPORTED, get_mce_cap_supported),
};

static long system_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return DISPATCH(system_ioctls, NULL, cmd, arg);
}

/* An fd would outlast a module that fails to load, and everything behind it with that. */
static bool ready;

static int system_open(struct inode *inode, struct file *file)
{
	return READ_ONCE(ready) ? 0 : -ENODEV;
}

static const struct file_operations system_fops = {
	.owner = THIS_MODULE,
	.open = system_open,
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

/* ---- /dev/kvm ---- */

/* For VMMs that know no other name. KVM registers the same when its vendor module is loaded. */
static bool kvm_node;
module_param(kvm_node, bool, 0444);
MODULE_PARM_DESC(kvm_node, "also be /dev/kvm, which KVM must not have (default 0)");

static struct miscdevice kvm_device = {
	.minor = KVM_MINOR,
	.name = "kvm",
	.fops = &system_fops,
	.mode = 0660,
};

/*
 * While /dev/kvm is ours KVM can't be loaded. It would find that out by itself, but the way back
 * from there is broken in KVM of 6.1: it forgets one of its hooks, and the next attempt to
 * load it is a BUG() in the host. So it is turned away before it starts.
 */
static int module_event(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct module *mod = data;

	if (event != MODULE_STATE_COMING ||
	    (strcmp(mod->name, "kvm_amd") && strcmp(mod->name, "kvm_intel")))
		return NOTIFY_DONE;
	pr_err("lhv: %s is not let in: /dev/kvm is lhv's (kvm_node=1); unload lhv first (rmmod lhv)\n",
	       mod->name);
	return notifier_from_errno(-EBUSY);
}

static struct notifier_block module_notifier = { .notifier_call = module_event };

static int kvm_node_register(void)
{
	int ret = register_module_notifier(&module_notifier);

	if (ret)
		return ret;
	ret = misc_register(&kvm_device);
	if (!ret)
		return 0;
	unregister_module_notifier(&module_notifier);
	if (ret == -EBUSY)
		pr_err("lhv: kvm_node=1: /dev/kvm (misc minor %d) belongs to KVM; unload it (modprobe -r kvm_amd kvm_intel) or load lhv without kvm_node\n",
		       KVM_MINOR);
	else
		pr_err("lhv: kvm_node=1: /dev/kvm can't be registered (error %d)\n", ret);
	return ret;
}

static void kvm_node_unregister(void)
{
	misc_deregister(&kvm_device);
	unregister_module_notifier(&module_notifier);
}

/**
 * lhv_chardev_init() - make /dev/lhv appear; it can't be opened yet
 *
 * With kvm_node=1 /dev/kvm too.
 * Context: process. Return: 0 or -errno; -EBUSY: /dev/kvm is somebody else's.
 */
int lhv_chardev_init(void)
{
	int ret = misc_register(&device);

	if (ret || !kvm_node)
		return ret;
	ret = kvm_node_register();
	if (ret)
		misc_deregister(&device);
	return ret;
}

/* Nothing of loading can fail any more. */
void lhv_chardev_open(void)
{
	WRITE_ONCE(ready, true);
}

void lhv_chardev_exit(void)
{
	if (kvm_node)
		kvm_node_unregister();
	misc_deregister(&device);
}
