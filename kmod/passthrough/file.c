// SPDX-License-Identifier: GPL-2.0
/*
 * lhv passthrough/ - the device's fd: what a VMM can do with a device of its VM.
 *
 * The VMM is not trusted with the device: nothing that it can say here lets the device reach other
 * memory than the VM's, send other interrupts than the VM's, or lose its way back to the host.
 */
#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ioctl.h"
#include "passthrough/file.h"
#include "passthrough/passthrough.h"

static_assert(sizeof(struct lhv_device_address) == 8);
static_assert(sizeof(struct lhv_device_info) == 80);
static_assert(sizeof(struct lhv_device_config) == 12);
static_assert(sizeof(struct lhv_device_irq) == 8);
static_assert(sizeof(struct lhv_device_vector) == 24);

static int device_info(struct lhv_device *dev, void *arg)
{
	struct lhv_device_info *info = arg;
	int i;

	memset(info, 0, sizeof(*info));
	for (i = 0; i < LHV_DEVICE_BARS; i++)
		info->bar_size[i] = lhv_bar_size(dev, i);
	if (dev->table_size) {
		info->msix_vectors = dev->table_size;
		info->msix_bar = dev->table_bar;
		info->msix_offset = dev->table_start;
		info->msix_size = dev->table_end - dev->table_start;
	}
	info->intx = dev->pdev->pin && dev->pdev->irq && pci_intx_mask_supported(dev->pdev);
	info->msi = dev->pdev->msi_cap != 0;
	return 0;
}

/* ---- configuration space ---- */

/* Who the device is. */
static const struct { u8 first, end; } readable[] = {
	{ PCI_VENDOR_ID, PCI_COMMAND },
	{ PCI_REVISION_ID, PCI_CACHE_LINE_SIZE },
	{ PCI_SUBSYSTEM_VENDOR_ID, PCI_ROM_ADDRESS },
};

static u8 read_config(struct lhv_device *dev, unsigned int at)
{
	u16 command = 0;
	u8 value = 0;
	int i;

	if (at == PCI_COMMAND || at == PCI_COMMAND + 1) {
		pci_read_config_word(dev->pdev, PCI_COMMAND, &command);
		command &= PCI_COMMAND_MASTER;
		if (dev->intx_off)
			command |= PCI_COMMAND_INTX_DISABLE;
		return command >> (at == PCI_COMMAND ? 0 : 8);
	}
	if (at == PCI_STATUS) {
		/* Does it ask for an interrupt by its line? Drivers look there. */
		pci_read_config_byte(dev->pdev, at, &value);
		return value & PCI_STATUS_INTERRUPT;
	}
	for (i = 0; i < ARRAY_SIZE(readable); i++) {
		if (at >= readable[i].first && at < readable[i].end)
			pci_read_config_byte(dev->pdev, at, &value);
	}
	return value;
}

static void write_config(struct lhv_device *dev, unsigned int at, u8 value)
{
	switch (at) {
	case PCI_COMMAND:
		if (value & PCI_COMMAND_MASTER)
			pci_set_master(dev->pdev);
		else
			pci_clear_master(dev->pdev);
		lhv_device_look_at_intx(dev);
		break;
	case PCI_COMMAND + 1:
		lhv_device_set_intx_off(dev, value & (PCI_COMMAND_INTX_DISABLE >> 8));
		break;
	}
}

static int device_config(struct lhv_device *dev, void *arg)
{
	struct lhv_device_config *c = arg;
	unsigned int i;

	if ((c->len != 1 && c->len != 2 && c->len != 4) || c->write > 1 || c->reserved ||
	    c->offset % c->len || c->offset >= PCI_CFG_SPACE_SIZE)
		return -EINVAL;
	if (!c->write)
		c->value = 0;
	for (i = 0; i < c->len; i++) {
		if (c->write)
			write_config(dev, c->offset + i, c->value >> 8 * i);
		else
			c->value |= (u32)read_config(dev, c->offset + i) << 8 * i;
	}
	return 0;
}

/* ---- the rest ---- */

static int device_irq(struct lhv_device *dev, void *arg)
{
	return lhv_device_set_irq(dev, arg);
}

static int device_vector(struct lhv_device *dev, void *arg)
{
	return lhv_device_set_vector(dev, arg);
}

/* Its interrupts go, and their messages, as they would with a real reset. */
static int device_reset(struct lhv_device *dev, void *unused)
{
	pci_clear_master(dev->pdev);
	lhv_device_free_irqs(dev);
	lhv_device_init_irqs(dev);
	return lhv_bars_reset(dev);
}

/* The argument was copied before: a VMM whose memory does not come must not hold setup_lock. */
static int with_device(struct lhv_device_file *f, int (*fn)(struct lhv_device *dev, void *arg),
		       void *arg)
{
	struct lhv_device *dev = f->dev;

	guard(mutex)(&dev->setup_lock);
	if (!dev->vm || f->attachment != dev->attachment)
		return -ENODEV;
	if (dev->vm->mm != current->mm || READ_ONCE(dev->vm->bugged))
		return -EIO;
	return fn(dev, arg);
}

static int ioctl_info(void *file, void *arg)
{
	return with_device(file, device_info, arg);
}

/* What a slot without a card says. */
static int ioctl_config(void *file, void *arg)
{
	int ret = with_device(file, device_config, arg);

	if (ret == -ENODEV) {
		((struct lhv_device_config *)arg)->value = ~0U;
		ret = 0;
	}
	return ret;
}

static int ioctl_irq(void *file, void *arg)
{
	return with_device(file, device_irq, arg);
}

static int ioctl_vector(void *file, void *arg)
{
	return with_device(file, device_vector, arg);
}

static long ioctl_reset(void *file, unsigned long arg)
{
	return arg ? -EINVAL : with_device(file, device_reset, NULL);
}

static const struct lhv_ioctl device_ioctls[] = {
	ROW(LHV_DEVICE_INFO, ioctl_info),
	ROW(LHV_DEVICE_CONFIG, ioctl_config),
	ROW(LHV_DEVICE_IRQ, ioctl_irq),
	ROW(LHV_DEVICE_VECTOR, ioctl_vector),
	RAW(LHV_DEVICE_RESET, ioctl_reset),
};

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return DISPATCH(device_ioctls, file->private_data, cmd, arg);
}

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	return lhv_bars_mmap(file->private_data, vma);
}

static int device_release(struct inode *inode, struct file *file)
{
	struct lhv_device_file *f = file->private_data;

	__free_page(f->ones);
	lhv_device_put(f->dev);
	kfree(f);
	return 0;
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.release = device_release,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = device_mmap,
	.llseek = noop_llseek,
};

/* lhv_devices_lock is held, so it stays attached. */
static int open_file(struct lhv_device *dev)
{
	struct lhv_device_file *f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	struct file *file;
	int fd, ret = -ENOMEM;

	if (!f)
		return -ENOMEM;
	f->ones = alloc_page(GFP_KERNEL_ACCOUNT);
	if (!f->ones)
		goto err_free;
	memset(page_address(f->ones), 0xff, PAGE_SIZE);
	f->dev = dev;
	f->attachment = dev->attachment;
	fd = get_unused_fd_flags(O_RDWR | O_CLOEXEC);
	ret = fd;
	if (fd < 0)
		goto err_page;
	file = anon_inode_getfile("lhv-device", &device_fops, f, O_RDWR);
	ret = PTR_ERR_OR_ZERO(file);
	if (ret)
		goto err_fd;
	/* So that all mappings can be found. */
	file->f_mapping = dev->inode->i_mapping;
	kref_get(&dev->refs);
	fd_install(fd, file);
	return fd;

err_fd:
	put_unused_fd(fd);
err_page:
	__free_page(f->ones);
err_free:
	kfree(f);
	return ret;
}

/* See passthrough.h. */
long lhv_device_open(struct lhv_vm *vm, const struct lhv_device_address *at)
{
	struct lhv_device *dev;

	if (at->reserved)
		return -EINVAL;
	guard(mutex)(&lhv_devices_lock);
	list_for_each_entry(dev, &lhv_devices, link) {
		if (dev->vm == vm && dev->pdev->devfn == at->devfn &&
		    dev->pdev->bus->number == at->bus &&
		    pci_domain_nr(dev->pdev->bus) == at->domain)
			return open_file(dev);
	}
	return -ENODEV;
}
