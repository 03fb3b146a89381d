// SPDX-License-Identifier: GPL-2.0
/* virtio-rng: the host's randomness for the guest. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

#include "virtio.h"

#define RNG_CLASS	0x00ff00	/* none of the defined ones */
#define RNG_QUEUE_SIZE	8
/* More than this at once would keep the I/O thread from its disks. */
#define RNG_REQUEST_MAX	4096U

struct virtio_rng {
	struct virtio_dev dev;
	struct vq_chain chain;
};

static uint32_t fill(const struct vq_chain *c)
{
	uint32_t done = 0;
	unsigned int i;
	ssize_t n;

	for (i = c->nout; i < c->nout + c->nin && done < RNG_REQUEST_MAX; i++) {
		size_t len = c->iov[i].iov_len;

		if (len > RNG_REQUEST_MAX - done)
			len = RNG_REQUEST_MAX - done;
		n = getrandom(c->iov[i].iov_base, len, 0);
		if (n < 0)
			break;
		done += n;
	}
	return done;
}

static void rng_notify(struct virtio_dev *dev, unsigned int q)
{
	struct virtio_rng *rng = container_of(dev, struct virtio_rng, dev);
	struct virtqueue *vq = &dev->vq[q];
	unsigned int left = vq->size;
	int ret = 0;

	do {
		for (; left && (ret = vq_pop(vq, &rng->chain)) > 0; left--)
			vq_push(vq, rng->chain.head, fill(&rng->chain));
		if (ret < 0) {
			virtio_broken(dev, "bad request from the driver");
			return;
		}
	} while (left && vq_rearm(vq));
	if (!left)
		virtio_again(dev, q);
	virtio_signal(dev, q);
}

static void rng_reset(struct virtio_dev *dev)
{
	(void)dev;
}

static const void *rng_config(struct virtio_dev *dev, size_t *len)
{
	(void)dev;
	*len = 0;
	return NULL;
}

static const struct virtio_ops rng_ops = {
	.notify = rng_notify,
	.reset = rng_reset,
	.config = rng_config,
};

struct virtio_dev *virtio_rng_create(struct vm *vm)
{
	struct virtio_rng *rng = calloc(1, sizeof(*rng));
	int ret;

	if (!rng) {
		errno = ENOMEM;
		return NULL;
	}
	ret = virtio_init(&rng->dev, vm, &rng_ops, "virtio-rng", VIRTIO_ID_RNG,
			  RNG_CLASS, 1, RNG_QUEUE_SIZE, 0);
	if (ret) {
		virtio_rng_destroy(&rng->dev);
		errno = -ret;
		return NULL;
	}
	return &rng->dev;
}

void virtio_rng_destroy(struct virtio_dev *dev)
{
	virtio_destroy(dev);
	free(container_of(dev, struct virtio_rng, dev));
}
