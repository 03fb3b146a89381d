// SPDX-License-Identifier: GPL-2.0
/*
 * lhv passthrough/ - KVM's VFIO pseudo-device (KVM_DEV_TYPE_VFIO).
 *
 * The VMM owns the hardware through vfio-pci, and tells here which of VFIO's files go with the VM.
 * Two things follow. Each file is held as long as it is listed. And where an IOMMU does not make
 * DMA snoop the caches, what the guest writes back (WBINVD) really has to be written back.
 *
 * VFIO can also be told which VM a file belongs to, for drivers that look into a struct kvm
 * (mediated graphics). We have none; their pointer stays NULL, and they refuse the device.
 *
 * There is no irqbypass consumer: it is for CPUs that take a device's interrupt in the guest
 * (posted interrupts), which the backends do not use. An irqfd delivers from the host's handler.
 *
 * Lock order: vm->lock > vfio->lock.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "host/vfio.h"
#include "ioctl.h"
#include "passthrough/passthrough.h"

struct vfio_file {
	struct file *file;	/* holds a reference */
	bool coherent;
	struct list_head link;
};

/**
 * struct lhv_vfio - the files of a VM's devices
 * @vm: holds a reference
 * @lock: for what follows
 * @files: struct vfio_file
 */
struct lhv_vfio {
	struct lhv_vm *vm;
	struct mutex lock;
	struct list_head files;
};

static void update_coherency(struct lhv_vfio *vfio)
{
	bool noncoherent = false;
	struct vfio_file *f;

	lockdep_assert_held(&vfio->lock);
	list_for_each_entry(f, &vfio->files, link)
		noncoherent |= !f->coherent;
	lhv_mem_set_noncoherent(vfio->vm, &vfio->vm->noncoherent_vfio, noncoherent);
}

static struct vfio_file *find_file(struct lhv_vfio *vfio, const struct file *file)
{
	struct vfio_file *f;

	lockdep_assert_held(&vfio->lock);
	list_for_each_entry(f, &vfio->files, link) {
		if (f->file == file)
			return f;
	}
	return NULL;
}

static void drop_file(struct vfio_file *f)
{
	list_del(&f->link);
	fput(f->file);
	kfree(f);
}

static int add_file(struct lhv_vfio *vfio, struct file *file)
{
	struct vfio_file *f;

	lockdep_assert_held(&vfio->lock);
	if (!lhv_host_file_is_vfio(file))
		return -EINVAL;
	if (find_file(vfio, file))
		return -EEXIST;
	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		return -ENOMEM;
	f->file = get_file(file);
	f->coherent = lhv_host_vfio_coherent(file);
	list_add_tail(&f->link, &vfio->files);
	return 0;
}

static int del_file(struct lhv_vfio *vfio, const struct file *file)
{
	struct vfio_file *f = find_file(vfio, file);

	if (!f)
		return -ENOENT;
	drop_file(f);
	return 0;
}

/* ---- attributes ---- */

/* KVM_DEV_VFIO_FILE and its attributes are younger names of the same numbers. */
static bool has_attr(const struct kvm_device_attr *attr)
{
	return attr->group == KVM_DEV_VFIO_GROUP &&
	       (attr->attr == KVM_DEV_VFIO_GROUP_ADD || attr->attr == KVM_DEV_VFIO_GROUP_DEL);
}

static int vfio_has_attr(void *vfio, void *arg)
{
	const struct kvm_device_attr *attr = arg;

	return has_attr(attr) ? 0 : -ENXIO;
}

static int vfio_set_attr(void *obj, void *arg)
{
	const struct kvm_device_attr *attr = arg;
	struct lhv_vfio *vfio = obj;
	struct file *file;
	s32 fd;
	int ret;

	if (!has_attr(attr))
		return -ENXIO;
	if (attr->flags)
		return -EINVAL;
	if (get_user(fd, (s32 __user *)u64_to_user_ptr(attr->addr)))
		return -EFAULT;
	file = fget(fd);
	if (!file)
		return -EBADF;
	mutex_lock(&vfio->lock);
	if (attr->attr == KVM_DEV_VFIO_GROUP_ADD)
		ret = add_file(vfio, file);
	else
		ret = del_file(vfio, file);
	update_coherency(vfio);
	mutex_unlock(&vfio->lock);
	fput(file);
	return ret;
}

/* There is nothing to be read; the errno is KVM's. */
static int vfio_get_attr(void *vfio, void *arg)
{
	return -EPERM;
}

static const struct lhv_ioctl vfio_ioctls[] = {
	ROW(KVM_SET_DEVICE_ATTR, vfio_set_attr),
	ROW(KVM_GET_DEVICE_ATTR, vfio_get_attr),
	ROW(KVM_HAS_DEVICE_ATTR, vfio_has_attr),
};

/* ---- the fd ---- */

static long vfio_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct lhv_vfio *vfio = file->private_data;

	if (vfio->vm->mm != current->mm || READ_ONCE(vfio->vm->bugged))
		return -EIO;
	return DISPATCH(vfio_ioctls, vfio, cmd, arg);
}

static int vfio_release(struct inode *inode, struct file *file)
{
	struct lhv_vfio *vfio = file->private_data;
	struct lhv_vm *vm = vfio->vm;
	struct vfio_file *f, *next;

	mutex_lock(&vm->lock);
	mutex_lock(&vfio->lock);
	list_for_each_entry_safe(f, next, &vfio->files, link)
		drop_file(f);
	update_coherency(vfio);
	mutex_unlock(&vfio->lock);
	vm->vfio = NULL;
	mutex_unlock(&vm->lock);
	mutex_destroy(&vfio->lock);
	kfree(vfio);
	lhv_vm_put(vm);
	return 0;
}

static const struct file_operations vfio_fops = {
	.owner = THIS_MODULE,
	.release = vfio_release,
	.unlocked_ioctl = vfio_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/* See passthrough.h. */
struct file *lhv_vfio_create(struct lhv_vm *vm)
{
	struct lhv_vfio *vfio;
	struct file *file;

	lockdep_assert_held(&vm->lock);
	if (vm->vfio)
		return ERR_PTR(-EBUSY);
	vfio = kzalloc(sizeof(*vfio), GFP_KERNEL_ACCOUNT);
	if (!vfio)
		return ERR_PTR(-ENOMEM);
	vfio->vm = vm;
	mutex_init(&vfio->lock);
	INIT_LIST_HEAD(&vfio->files);
	file = anon_inode_getfile("lhv-vfio", &vfio_fops, vfio, O_RDWR);
	if (IS_ERR(file)) {
		kfree(vfio);
		return file;
	}
	lhv_vm_get(vm);
	vm->vfio = vfio;
	return file;
}
