/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A split virtqueue, the device's side (virtio 1.2, chapter "Split
 * Virtqueues"). The guest may write anything into it at any time: every value
 * is read once and checked, every chain is bounded, and whatever is wrong
 * comes back as -EINVAL, upon which the device asks for a reset.
 */
#ifndef VMM_VIRTQUEUE_H
#define VMM_VIRTQUEUE_H

#include <sys/uio.h>

#include "vmm.h"

#define VQ_SIZE_MAX	256U
#define VQ_SEGS_MAX	130U

struct virtqueue {
	const struct guest_mem *mem;
	/* As the driver set them up. */
	uint16_t size;
	uint16_t vector;
	bool enabled;
	uint64_t desc_gpa, avail_gpa, used_gpa;
	/* While enabled. */
	void *desc, *avail, *used;
	uint16_t last_avail;
	uint16_t used_idx;
	uint16_t signalled;		/* used index at the last interrupt */
	bool event_idx;
};

/**
 * struct vq_chain - one request: what the device reads, then what it writes
 */
struct vq_chain {
	uint16_t head;
	unsigned int nout, nin;
	uint64_t out_len, in_len;
	struct iovec iov[VQ_SEGS_MAX];	/* nout, then nin */
};

void vq_reset(struct virtqueue *vq, uint16_t size);
int vq_enable(struct virtqueue *vq, bool event_idx);
int vq_pop(struct virtqueue *vq, struct vq_chain *c);
int vq_rearm(struct virtqueue *vq);
void vq_push(struct virtqueue *vq, uint16_t head, uint32_t len);
bool vq_need_signal(struct virtqueue *vq);

#endif
