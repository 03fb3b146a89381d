// SPDX-License-Identifier: GPL-2.0
/* lhv host/ - what of IOMMUs and PCI drivers is more than a line. */
#include <linux/irqdomain.h>
#include <linux/slab.h>

#include "host/iommu.h"

bool lhv_host_isolated_msi(struct iommu_group *group, struct device *dev)
{
#ifdef LHV_HAVE_GROUP_ISOLATED_MSI
	return iommu_group_has_isolated_msi(group);
#else
	return irq_domain_check_msi_remap() || device_iommu_capable(dev, IOMMU_CAP_INTR_REMAP);
#endif
}

int lhv_host_set_driver_override(struct pci_dev *pdev, const char *name)
{
#ifdef LHV_HAVE_DEVICE_DRIVER_OVERRIDE
	return __device_set_driver_override(&pdev->dev, name ?: "", name ? strlen(name) : 0);
#else
	return driver_set_override(&pdev->dev, &pdev->driver_override, name ?: "",
				   name ? strlen(name) : 0);
#endif
}

char *lhv_host_get_driver_override(struct pci_dev *pdev)
{
	char name[64] = "", *copy;

#ifdef LHV_HAVE_DEVICE_DRIVER_OVERRIDE
	spin_lock(&pdev->dev.driver_override.lock);
	if (pdev->dev.driver_override.name)
		strscpy(name, pdev->dev.driver_override.name, sizeof(name));
	spin_unlock(&pdev->dev.driver_override.lock);
#else
	device_lock(&pdev->dev);
	if (pdev->driver_override)
		strscpy(name, pdev->driver_override, sizeof(name));
	device_unlock(&pdev->dev);
#endif
	if (!*name)
		return NULL;
	copy = kstrdup(name, GFP_KERNEL);
	return copy ?: ERR_PTR(-ENOMEM);
}
