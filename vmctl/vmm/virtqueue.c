// SPDX-License-Identifier: GPL-2.0
/* A split virtqueue, the device's side: see virtqueue.h. */
#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "virtqueue.h"

#define AVAIL_BYTES(size)	(sizeof(struct vring_avail) + 2 * (size) + 2)
#define USED_BYTES(size)	(sizeof(struct vring_used) + \
				 (size) * sizeof(struct vring_used_elem) + 2)

/**
 * vq_reset() - the state after device reset
 * @vq: queue
 * @size: the largest size that it offers
 */
void vq_reset(struct virtqueue *vq, uint16_t size)
{
	const struct guest_mem *mem = vq->mem;

	memset(vq, 0, sizeof(*vq));
	vq->mem = mem;
	vq->size = size;
	vq->vector = UINT16_MAX;
}

/**
 * vq_enable() - begin to use the rings that the driver set up
 * @vq: queue, its size and addresses are set
 * @event_idx: VIRTIO_RING_F_EVENT_IDX was negotiated
 *
 * Return: 0, -EINVAL when the rings can't be.
 */
int vq_enable(struct virtqueue *vq, bool event_idx)
{
	if (!vq->size || vq->size > VQ_SIZE_MAX || (vq->size & (vq->size - 1)) ||
	    vq->desc_gpa % VRING_DESC_ALIGN_SIZE ||
	    vq->avail_gpa % VRING_AVAIL_ALIGN_SIZE ||
	    vq->used_gpa % VRING_USED_ALIGN_SIZE)
		return -EINVAL;
	vq->desc = mem_at(vq->mem, vq->desc_gpa,
			  vq->size * sizeof(struct vring_desc));
	vq->avail = mem_at(vq->mem, vq->avail_gpa, AVAIL_BYTES(vq->size));
	vq->used = mem_at(vq->mem, vq->used_gpa, USED_BYTES(vq->size));
	if (!vq->desc || !vq->avail || !vq->used)
		return -EINVAL;
	vq->event_idx = event_idx;
	vq->last_avail = 0;
	vq->used_idx = 0;
	vq->signalled = 0;
	vq->enabled = true;
	return 0;
}

static uint16_t avail_idx(const struct virtqueue *vq)
{
	const struct vring_avail *avail = vq->avail;

	return __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE);
}

/* One read of a descriptor: the guest may change it meanwhile. */
static struct vring_desc read_desc(const struct vring_desc *p)
{
	return (struct vring_desc) {
		.addr = __atomic_load_n(&p->addr, __ATOMIC_RELAXED),
		.len = __atomic_load_n(&p->len, __ATOMIC_RELAXED),
		.flags = __atomic_load_n(&p->flags, __ATOMIC_RELAXED),
		.next = __atomic_load_n(&p->next, __ATOMIC_RELAXED),
	};
}

static int add_segment(struct virtqueue *vq, struct vq_chain *c,
		       const struct vring_desc *d)
{
	unsigned int n = c->nout + c->nin;
	void *hva;

	if (n == VQ_SEGS_MAX || !d->len)
		return -EINVAL;
	hva = mem_at(vq->mem, d->addr, d->len);
	if (!hva)
		return -EINVAL;
	c->iov[n].iov_base = hva;
	c->iov[n].iov_len = d->len;
	if (d->flags & VRING_DESC_F_WRITE) {
		c->nin++;
		c->in_len += d->len;
	} else {
		/* What the device reads must come first. */
		if (c->nin)
			return -EINVAL;
		c->nout++;
		c->out_len += d->len;
	}
	return 0;
}

/* Walk a descriptor table. @steps bounds the walk, so a loop ends. */
static int walk(struct virtqueue *vq, struct vq_chain *c,
		const struct vring_desc *table, uint32_t size, uint32_t i,
		bool indirect)
{
	uint32_t steps;
	int ret;

	for (steps = 0; steps < size; steps++) {
		struct vring_desc d;

		if (i >= size)
			return -EINVAL;
		d = read_desc(&table[i]);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			const struct vring_desc *sub;
			uint32_t n = d.len / sizeof(d);

			/* Neither nested, nor with a next, nor empty. */
			if (indirect || (d.flags & VRING_DESC_F_NEXT) || !n ||
			    d.len % sizeof(d) || d.addr % sizeof(uint64_t))
				return -EINVAL;
			sub = mem_at(vq->mem, d.addr, d.len);
			if (!sub)
				return -EINVAL;
			return walk(vq, c, sub, n, 0, true);
		}
		ret = add_segment(vq, c, &d);
		if (ret)
			return ret;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		i = d.next;
	}
	return -EINVAL;
}

/**
 * vq_pop() - take the next request
 * @vq: enabled queue
 * @c: to fill
 *
 * Return: 1 with a request, 0 when there's none, -EINVAL when the driver
 * broke the rules.
 */
int vq_pop(struct virtqueue *vq, struct vq_chain *c)
{
	const struct vring_avail *avail = vq->avail;
	uint16_t idx = avail_idx(vq);
	int ret;

	if (idx == vq->last_avail)
		return 0;
	if ((uint16_t)(idx - vq->last_avail) > vq->size)
		return -EINVAL;
	c->head = __atomic_load_n(&avail->ring[vq->last_avail % vq->size],
				  __ATOMIC_RELAXED);
	c->nout = 0;
	c->nin = 0;
	c->out_len = 0;
	c->in_len = 0;
	ret = walk(vq, c, vq->desc, vq->size, c->head, false);
	if (ret)
		return ret;
	vq->last_avail++;
	return 1;
}

/**
 * vq_rearm() - ask to be notified of the next request
 * @vq: enabled queue, found empty
 *
 * Return: 1 when one came meanwhile and must be looked at now, else 0.
 */
int vq_rearm(struct virtqueue *vq)
{
	struct vring_used *used = vq->used;
	uint16_t *avail_event = (uint16_t *)&used->ring[vq->size];

	if (vq->event_idx)
		__atomic_store_n(avail_event, vq->last_avail, __ATOMIC_RELAXED);
	/* Order the wish before the look. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return avail_idx(vq) != vq->last_avail;
}

/**
 * vq_push() - give a request back
 * @vq: enabled queue
 * @head: of the chain
 * @len: bytes written into it
 */
void vq_push(struct virtqueue *vq, uint16_t head, uint32_t len)
{
	struct vring_used *used = vq->used;
	struct vring_used_elem *e = &used->ring[vq->used_idx % vq->size];

	__atomic_store_n(&e->id, head, __ATOMIC_RELAXED);
	__atomic_store_n(&e->len, len, __ATOMIC_RELAXED);
	vq->used_idx++;
	__atomic_store_n(&used->idx, vq->used_idx, __ATOMIC_RELEASE);
}

/**
 * vq_need_signal() - does the driver want an interrupt now?
 * @vq: enabled queue, requests were given back
 */
bool vq_need_signal(struct virtqueue *vq)
{
	const struct vring_avail *avail = vq->avail;
	uint16_t old = vq->signalled, event;

	if (old == vq->used_idx)
		return false;
	/* Order the used index before the look at the driver's wish. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (vq->event_idx) {
		event = __atomic_load_n(&avail->ring[vq->size],
					__ATOMIC_RELAXED);
		vq->signalled = vq->used_idx;
		return vring_need_event(event, vq->used_idx, old);
	}
	vq->signalled = vq->used_idx;
	return !(__atomic_load_n(&avail->flags, __ATOMIC_RELAXED) &
		 VRING_AVAIL_F_NO_INTERRUPT);
}
