/* SPDX-License-Identifier: GPL-2.0 */
/* lhv host/ - IOMMU domains, pinned pages, driver_override: as they differ between host kernels. */
#ifndef LHV_HOST_IOMMU_H
#define LHV_HOST_IOMMU_H

#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/pci.h>

/* A domain with page tables for @dev's IOMMU; NULL or an ERR_PTR when there can be none. */
static inline struct iommu_domain *lhv_host_domain_alloc(struct device *dev)
{
#ifdef LHV_HAVE_PAGING_DOMAIN_ALLOC
	return iommu_paging_domain_alloc(dev);
#else
	return iommu_domain_alloc(dev->bus);
#endif
}

static inline int lhv_host_iommu_map(struct iommu_domain *domain, unsigned long iova,
				     phys_addr_t paddr, size_t size, int prot)
{
#ifdef LHV_HAVE_IOMMU_MAP_GFP
	return iommu_map(domain, iova, paddr, size, prot, GFP_KERNEL_ACCOUNT);
#else
	return iommu_map(domain, iova, paddr, size, prot);
#endif
}

/* Can a device of the group not send interrupts that are somebody else's? */
bool lhv_host_isolated_msi(struct iommu_group *group, struct device *dev);

/* Pages of another process, for DMA. mmap_lock is held for reading. How many, or -errno. */
static inline long lhv_host_pin_remote(struct mm_struct *mm, unsigned long start,
				       unsigned long n, struct page **pages)
{
#ifdef LHV_HAVE_GUP_VMAS
	return pin_user_pages_remote(mm, start, n, FOLL_WRITE | FOLL_LONGTERM, pages, NULL, NULL);
#else
	return pin_user_pages_remote(mm, start, n, FOLL_WRITE | FOLL_LONGTERM, pages, NULL);
#endif
}

/*
 * Give back locked pages, unless somebody has mmap_lock. The lock itself, as most kernels have no
 * mmap_write_trylock(): no mapping is changed, so those who fault without it need not notice.
 */
static inline bool lhv_host_try_uncharge(struct mm_struct *mm, unsigned long npages)
{
	if (!down_write_trylock(&mm->mmap_lock))
		return false;
	mm->locked_vm -= npages;
	up_write(&mm->mmap_lock);
	return true;
}

static inline void lhv_host_vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
#ifdef LHV_HAVE_VM_FLAGS_SET
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

/* @name: a driver that alone may have the device, or NULL for any. 0 or -errno. */
int lhv_host_set_driver_override(struct pci_dev *pdev, const char *name);
/* A copy to be freed, NULL for none. ERR_PTR without memory. */
char *lhv_host_get_driver_override(struct pci_dev *pdev);

#endif
