// SPDX-License-Identifier: GPL-2.0
/*
 * lhv passthrough/ - a device's BARs in the VMM's memory, and from there in the guest's.
 *
 * The VMM maps them from the device's fd and makes slots of the mappings, so that the guest reaches
 * the device without an exit. When the device is taken away all mappings go, and the MMU notifier
 * takes them from the guest; what is touched then is a page that belongs to the fd, of ones until
 * somebody writes there.
 */
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/nospec.h>
#include <linux/pseudo_fs.h>

#include "host/iommu.h"
#include "passthrough/device.h"
#include "passthrough/file.h"

/* ---- an address space for each device, to unmap it from everywhere ---- */

static int init_fs_context(struct fs_context *fc)
{
	return init_pseudo(fc, ANON_INODE_FS_MAGIC) ? 0 : -ENOMEM;
}

/* No owner: the mount would hold the module for ever. It goes before the module does. */
static struct file_system_type bars_fs = {
	.name = "lhv-devices",
	.init_fs_context = init_fs_context,
	.kill_sb = kill_anon_super,
};

static struct vfsmount *bars_mount;

int lhv_bars_init(void)
{
	bars_mount = kern_mount(&bars_fs);
	return PTR_ERR_OR_ZERO(bars_mount);
}

void lhv_bars_exit(void)
{
	kern_unmount(bars_mount);
}

/* The pages of the MSI-X table, which only the host may write. */
static int find_table(struct lhv_device *dev)
{
	struct pci_dev *pdev = dev->pdev;
	u16 flags;
	u32 table;
	u64 end;

	dev->table_bar = -1;
	if (!pdev->msix_cap)
		return 0;
	pci_read_config_word(pdev, pdev->msix_cap + PCI_MSIX_FLAGS, &flags);
	pci_read_config_dword(pdev, pdev->msix_cap + PCI_MSIX_TABLE, &table);
	dev->table_bar = table & PCI_MSIX_TABLE_BIR;
	if (dev->table_bar >= LHV_DEVICE_BARS)
		return -EINVAL;
	dev->table_size = (flags & PCI_MSIX_FLAGS_QSIZE) + 1;
	table &= PCI_MSIX_TABLE_OFFSET;
	end = (u64)table + dev->table_size * PCI_MSIX_ENTRY_SIZE;
	dev->table_start = round_down((u64)table, PAGE_SIZE);
	dev->table_end = round_up(end, PAGE_SIZE);
	dev->table_size = min_t(unsigned int, dev->table_size, LHV_DEVICE_VECTORS);
	return 0;
}

int lhv_bars_setup(struct lhv_device *dev)
{
	int ret = find_table(dev);

	if (ret)
		return ret;
	init_rwsem(&dev->bars_lock);
	dev->inode = alloc_anon_inode(bars_mount->mnt_sb);
	return PTR_ERR_OR_ZERO(dev->inode);
}

void lhv_bars_teardown(struct lhv_device *dev)
{
	if (!IS_ERR_OR_NULL(dev->inode))
		iput(dev->inode);
}

void lhv_bars_open(struct lhv_device *dev)
{
	down_write(&dev->bars_lock);
	dev->attachment++;
	dev->reachable = true;
	up_write(&dev->bars_lock);
}

void lhv_bars_revoke(struct lhv_device *dev)
{
	down_write(&dev->bars_lock);
	dev->attachment++;
	dev->reachable = false;
	up_write(&dev->bars_lock);
	unmap_mapping_range(dev->inode->i_mapping, 0, 0, true);
}

int lhv_bars_reset(struct lhv_device *dev)
{
	int ret;

	down_write(&dev->bars_lock);
	unmap_mapping_range(dev->inode->i_mapping, 0, 0, true);
	ret = lhv_device_try_reset(dev);
	up_write(&dev->bars_lock);
	return ret;
}

/* ---- mapping ---- */

/*
 * Bytes of a BAR that may be mapped; what shares its page with others may not. Beyond the shift it
 * would be the next one's offset.
 */
u64 lhv_bar_size(const struct lhv_device *dev, unsigned int bar)
{
	const struct pci_dev *pdev = dev->pdev;

	if (!(pci_resource_flags(pdev, bar) & IORESOURCE_MEM) ||
	    pci_resource_start(pdev, bar) & ~PAGE_MASK || pci_resource_len(pdev, bar) < PAGE_SIZE)
		return 0;
	return min_t(u64, pci_resource_len(pdev, bar) & PAGE_MASK, BIT_ULL(LHV_DEVICE_BAR_SHIFT));
}

static vm_fault_t bars_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct lhv_device_file *f = vma->vm_file->private_data;
	struct lhv_device *dev = f->dev;
	unsigned long shift = LHV_DEVICE_BAR_SHIFT - PAGE_SHIFT;
	unsigned int bar = vmf->pgoff >> shift;
	unsigned long pfn, page = vmf->pgoff & ((1UL << shift) - 1);
	vm_fault_t ret;

	down_read(&dev->bars_lock);
	if (dev->reachable && f->attachment == dev->attachment)
		pfn = (pci_resource_start(dev->pdev, bar) >> PAGE_SHIFT) + page;
	else
		pfn = page_to_pfn(f->ones);
	ret = vmf_insert_pfn(vma, vmf->address, pfn);
	up_read(&dev->bars_lock);
	return ret;
}

static const struct vm_operations_struct bars_vm_ops = { .fault = bars_fault };

int lhv_bars_mmap(struct lhv_device_file *f, struct vm_area_struct *vma)
{
	unsigned long shift = LHV_DEVICE_BAR_SHIFT - PAGE_SHIFT;
	unsigned long bar = vma->vm_pgoff >> shift;
	struct lhv_device *dev = f->dev;
	u64 first = (u64)(vma->vm_pgoff & ((1UL << shift) - 1)) << PAGE_SHIFT;
	u64 last = first + (vma->vm_end - vma->vm_start);

	if (bar >= LHV_DEVICE_BARS)
		return -EINVAL;
	bar = array_index_nospec(bar, LHV_DEVICE_BARS);
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_flags & VM_EXEC ||
	    last > lhv_bar_size(dev, bar))
		return -EINVAL;
	if (bar == dev->table_bar && first < dev->table_end && last > dev->table_start)
		return -EACCES;
	lhv_host_vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	vma->vm_ops = &bars_vm_ops;
	return 0;
}
