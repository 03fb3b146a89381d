/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A virtio 1.2 device behind PCI ("Virtio Over PCI Bus", modern only). The
 * transport lives here; what a device does with its requests, in its own file.
 *
 * A driver that breaks the rules fails its device (DEVICE_NEEDS_RESET) and
 * nothing else.
 */
#ifndef VMM_VIRTIO_H
#define VMM_VIRTIO_H

#include "pci.h"
#include "virtqueue.h"

#define VIRTIO_QUEUES_MAX	1U

struct virtio_dev;

/**
 * struct virtio_ops - what a device does
 * @notify: requests may wait in queue @q; in the I/O thread, under the device lock: it takes no
 *	more than the queue holds, lest a guest that offers without end keeps the lock
 * @reset: forget everything; on return nothing touches guest memory any more
 * @config: the device configuration's bytes, and how many
 */
struct virtio_ops {
	void (*notify)(struct virtio_dev *dev, unsigned int q);
	void (*reset)(struct virtio_dev *dev);
	const void *(*config)(struct virtio_dev *dev, size_t *len);
};

/* A queue's notification: an eventfd that the I/O thread watches. */
struct virtio_kick {
	struct virtio_dev *dev;
	struct loop_source src;
};

struct virtio_dev {
	struct pci_dev pci;
	const struct virtio_ops *ops;
	const char *name;
	uint64_t features;		/* offered */
	uint64_t driver_features;	/* taken */
	uint32_t feature_sel, driver_feature_sel;
	uint16_t config_vector;
	uint16_t queue_sel;
	uint8_t status;
	uint8_t isr;
	bool told;			/* of a driver that broke the rules: once a machine */
	unsigned int nqueues;
	uint16_t queue_size;
	struct virtqueue vq[VIRTIO_QUEUES_MAX];
	struct virtio_kick kick[VIRTIO_QUEUES_MAX];
	bool ioeventfd;			/* the host has them */
	uint32_t ioeventfd_at;		/* where they are, 0: not in place */
	unsigned int cfg_cap;		/* VIRTIO_PCI_CAP_PCI_CFG */
};

int virtio_init(struct virtio_dev *dev, struct vm *vm,
		const struct virtio_ops *ops, const char *name, uint16_t id,
		uint32_t class, unsigned int nqueues, uint16_t queue_size,
		uint64_t features);
void virtio_destroy(struct virtio_dev *dev);
void virtio_broken(struct virtio_dev *dev, const char *why);
void virtio_signal(struct virtio_dev *dev, unsigned int q);
void virtio_again(struct virtio_dev *dev, unsigned int q);
bool virtio_queue_live(const struct virtio_dev *dev, unsigned int q);

struct virtio_dev *virtio_blk_create(struct vm *vm, const struct vm_disk *disk,
				     unsigned int index);
void virtio_blk_destroy(struct virtio_dev *dev);
struct virtio_dev *virtio_rng_create(struct vm *vm);
void virtio_rng_destroy(struct virtio_dev *dev);

#endif
