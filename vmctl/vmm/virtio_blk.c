// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-blk on a file or block device, through io_uring, so that requests
 * overlap. Where the host offers no io_uring, each is done in turn.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "iov.h"
#include "virtio.h"

#define BLK_CLASS		0x010000
#define BLK_QUEUE_SIZE		VQ_SIZE_MAX
#define BLK_REQUESTS		VQ_SIZE_MAX
#define SECTOR_SHIFT		9
#define SECTOR_SIZE		(1U << SECTOR_SHIFT)
#define PAGE_SECTORS		8
#define DISCARD_SECTORS_MAX	(1U << 22)
#define ZEROES_SECTORS_MAX	(1U << 16)
#define ZERO_CHUNK		65536U
#define SUBMIT_RETRY_US		1000

/* What a request asks of the host. */
enum blk_op { OP_READ, OP_WRITE, OP_FLUSH, OP_DISCARD, OP_ZERO };

struct blk_req {
	struct blk_req *next_free;
	struct vq_chain chain;
	enum blk_op op;
	struct iov_list data;
	uint64_t offset;
	uint64_t len;
	uint32_t done;		/* bytes written into the guest's buffers */
	int falloc_mode;
	uint8_t *status;
};

struct virtio_blk {
	struct virtio_dev dev;
	struct virtio_blk_config config;
	int fd;
	uint64_t size;
	char name[32];
	char id[VIRTIO_BLK_ID_BYTES];
	bool uring;
	bool dead;		/* the host takes no more; the machine is at its end */
	struct io_uring ring;
	struct loop_source cq;
	unsigned int inflight;
	bool starved;		/* the queue waits for a free request */
	struct blk_req *free;
	struct blk_req req[BLK_REQUESTS];
};

static void req_finish(struct virtio_blk *blk, struct blk_req *r, uint8_t status)
{
	*r->status = status;
	vq_push(&blk->dev.vq[0], r->chain.head, r->done + 1);
	r->next_free = blk->free;
	blk->free = r;
}

static int write_zeroes(int fd, uint64_t off, uint64_t len)
{
	static const uint8_t zero[ZERO_CHUNK];
	ssize_t n;

	while (len) {
		n = pwrite(fd, zero, len < ZERO_CHUNK ? len : ZERO_CHUNK, off);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			off += n;
			len -= n;
		}
	}
	return 0;
}

/* One request, done here and now. */
static int req_execute(struct virtio_blk *blk, struct blk_req *r)
{
	ssize_t n;

	do {
		switch (r->op) {
		case OP_READ:
			n = preadv(blk->fd, r->data.iov, r->data.n, r->offset);
			break;
		case OP_WRITE:
			n = pwritev(blk->fd, r->data.iov, r->data.n, r->offset);
			break;
		case OP_FLUSH:
			n = fdatasync(blk->fd);
			break;
		default:
			n = fallocate(blk->fd, r->falloc_mode, r->offset,
				      r->len);
		}
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}

static bool req_queue(struct virtio_blk *blk, struct blk_req *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&blk->ring);

	if (!sqe)
		return false;
	switch (r->op) {
	case OP_READ:
		io_uring_prep_readv(sqe, blk->fd, r->data.iov, r->data.n,
				    r->offset);
		break;
	case OP_WRITE:
		io_uring_prep_writev(sqe, blk->fd, r->data.iov, r->data.n,
				     r->offset);
		break;
	case OP_FLUSH:
		io_uring_prep_fsync(sqe, blk->fd, IORING_FSYNC_DATASYNC);
		break;
	default:
		io_uring_prep_fallocate(sqe, blk->fd, r->falloc_mode, r->offset,
					r->len);
	}
	io_uring_sqe_set_data(sqe, r);
	blk->inflight++;
	return true;
}

/* What remains of a request after a result; true when nothing does. */
static bool req_result(struct virtio_blk *blk, struct blk_req *r, int res)
{
	bool transfer = r->op == OP_READ || r->op == OP_WRITE;

	if (res == -EINTR || res == -EAGAIN)
		return false;
	/* A block device with larger sectors than ours takes whole ones alone. */
	if (res == -EINVAL && (r->op == OP_DISCARD || r->op == OP_ZERO))
		res = -EOPNOTSUPP;
	if (res == -EOPNOTSUPP && r->op == OP_DISCARD)
		res = 0;		/* it was only a hint */
	if (res == -EOPNOTSUPP && r->op == OP_ZERO) {
		if (r->falloc_mode & FALLOC_FL_ZERO_RANGE) {
			r->falloc_mode = FALLOC_FL_PUNCH_HOLE |
					 FALLOC_FL_KEEP_SIZE;
			return false;
		}
		res = write_zeroes(blk->fd, r->offset, r->len);
	}
	if (res < 0 || (transfer && !res)) {
		req_finish(blk, r, VIRTIO_BLK_S_IOERR);
		return true;
	}
	if (transfer) {
		if (r->op == OP_READ)
			r->done += res;
		r->offset += res;
		r->len -= res;
		iov_skip(&r->data, res);
		if (r->len)
			return false;
	}
	req_finish(blk, r, VIRTIO_BLK_S_OK);
	return true;
}

static void req_start(struct virtio_blk *blk, struct blk_req *r)
{
	if (blk->uring && req_queue(blk, r))
		return;
	while (!req_result(blk, r, req_execute(blk, r)))
		;
}

static void ring_submit(struct virtio_blk *blk)
{
	int ret;

	if (!blk->uring || blk->dead)
		return;
	while ((ret = io_uring_submit(&blk->ring)) < 0) {
		if (ret == -EAGAIN || ret == -EBUSY) {
			usleep(SUBMIT_RETRY_US);
		} else if (ret != -EINTR) {
			report_errno(-ret, "%s: io_uring", blk->name);
			blk->dead = true;
			vm_finish(blk->dev.pci.vm, VM_ERROR);
			return;
		}
	}
}

static void ring_reap(struct virtio_blk *blk)
{
	struct io_uring_cqe *cqe;

	while (io_uring_peek_cqe(&blk->ring, &cqe) == 0) {
		struct blk_req *r = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&blk->ring, cqe);
		blk->inflight--;
		if (!req_result(blk, r, res))
			req_start(blk, r);
	}
	ring_submit(blk);
}

/* ---- what the guest asks ---- */

static bool in_range(const struct virtio_blk *blk, uint64_t sector,
		     uint64_t bytes)
{
	uint64_t sectors = blk->size >> SECTOR_SHIFT;

	return sector <= sectors && bytes >> SECTOR_SHIFT <= sectors - sector;
}

/* The checks of a read or write; a status other than OK ends it. */
static uint8_t start_transfer(struct virtio_blk *blk, struct blk_req *r,
			      enum blk_op op, uint64_t sector)
{
	r->op = op;
	r->len = iov_len(&r->data);
	if (!r->len || r->len % SECTOR_SIZE || !in_range(blk, sector, r->len))
		return VIRTIO_BLK_S_IOERR;
	r->offset = sector << SECTOR_SHIFT;
	req_start(blk, r);
	return VIRTIO_BLK_S_OK;
}

static uint8_t start_range(struct virtio_blk *blk, struct blk_req *r,
			   enum blk_op op, struct iov_list *out)
{
	struct virtio_blk_discard_write_zeroes range;
	uint32_t max = op == OP_ZERO ? ZEROES_SECTORS_MAX : DISCARD_SECTORS_MAX;
	uint32_t known = op == OP_ZERO ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;

	/* One range a request, as the configuration says. */
	if (iov_len(out) != sizeof(range) || !iov_take(out, &range, sizeof(range)))
		return VIRTIO_BLK_S_IOERR;
	if (range.flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (range.num_sectors > max ||
	    !in_range(blk, range.sector,
		      (uint64_t)range.num_sectors << SECTOR_SHIFT))
		return VIRTIO_BLK_S_IOERR;
	r->op = op;
	r->offset = range.sector << SECTOR_SHIFT;
	r->len = (uint64_t)range.num_sectors << SECTOR_SHIFT;
	if (!r->len) {
		req_finish(blk, r, VIRTIO_BLK_S_OK);
		return VIRTIO_BLK_S_OK;
	}
	if (op == OP_DISCARD || (range.flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP))
		r->falloc_mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	else
		r->falloc_mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	req_start(blk, r);
	return VIRTIO_BLK_S_OK;
}

static uint8_t start(struct virtio_blk *blk, struct blk_req *r,
		     const struct virtio_blk_outhdr *hdr, struct iov_list *out)
{
	switch (hdr->type) {
	case VIRTIO_BLK_T_IN:
		return start_transfer(blk, r, OP_READ, hdr->sector);
	case VIRTIO_BLK_T_OUT:
		r->data = *out;
		return start_transfer(blk, r, OP_WRITE, hdr->sector);
	case VIRTIO_BLK_T_FLUSH:
		r->op = OP_FLUSH;
		req_start(blk, r);
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_GET_ID:
		r->done = iov_fill(&r->data, blk->id, sizeof(blk->id));
		req_finish(blk, r, VIRTIO_BLK_S_OK);
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_DISCARD:
		return start_range(blk, r, OP_DISCARD, out);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return start_range(blk, r, OP_ZERO, out);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* Take a chain apart: header, data, status byte. */
static int handle(struct virtio_blk *blk, struct blk_req *r)
{
	struct vq_chain *c = &r->chain;
	struct iov_list out = { c->iov, c->nout };
	struct virtio_blk_outhdr hdr;
	struct iovec *last;
	uint8_t status;

	if (!c->nin || !iov_take(&out, &hdr, sizeof(hdr)))
		return -EINVAL;
	last = &c->iov[c->nout + c->nin - 1];
	last->iov_len--;
	r->status = (uint8_t *)last->iov_base + last->iov_len;
	r->data = (struct iov_list){ c->iov + c->nout,
				     c->nin - !last->iov_len };
	r->done = 0;
	status = start(blk, r, &hdr, &out);
	if (status != VIRTIO_BLK_S_OK)
		req_finish(blk, r, status);
	return 0;
}

static void blk_notify(struct virtio_dev *dev, unsigned int q)
{
	struct virtio_blk *blk = container_of(dev, struct virtio_blk, dev);
	struct virtqueue *vq = &dev->vq[q];
	unsigned int left = vq->size;
	struct blk_req *r;
	int ret = 0;

	do {
		/* More heads than requests means a cheating driver: it waits. */
		for (; left && (r = blk->free); left--) {
			blk->free = r->next_free;
			ret = vq_pop(vq, &r->chain);
			if (ret > 0)
				ret = handle(blk, r) ? -EINVAL : 1;
			if (ret > 0)
				continue;
			r->next_free = blk->free;
			blk->free = r;
			break;
		}
		blk->starved = !blk->free;
	} while (left && !blk->starved && ret == 0 && vq_rearm(vq));
	ring_submit(blk);
	if (!left)
		virtio_again(dev, q);
	if (ret < 0)
		virtio_broken(dev, "bad request from the driver");
	else
		virtio_signal(dev, q);
}

static void on_completion(void *arg, uint32_t events)
{
	struct virtio_blk *blk = arg;
	uint64_t v;

	(void)events;
	if (read(blk->cq.fd, &v, sizeof(v)) < 0)
		return;
	ring_reap(blk);
	if (!virtio_queue_live(&blk->dev, 0))
		return;
	if (blk->starved)
		blk_notify(&blk->dev, 0);
	else
		virtio_signal(&blk->dev, 0);
}

/* Wait for what the host has under way: it writes into guest memory. */
static void blk_reset(struct virtio_dev *dev)
{
	struct virtio_blk *blk = container_of(dev, struct virtio_blk, dev);
	struct io_uring_cqe *cqe;
	int ret;

	/* But not for what it was never given. */
	while (blk->uring && blk->inflight > io_uring_sq_ready(&blk->ring)) {
		ret = io_uring_wait_cqe(&blk->ring, &cqe);
		if (ret && ret != -EINTR && ret != -EAGAIN)
			break;
		ring_reap(blk);
	}
	blk->starved = false;
}

static const void *blk_config(struct virtio_dev *dev, size_t *len)
{
	struct virtio_blk *blk = container_of(dev, struct virtio_blk, dev);

	*len = sizeof(blk->config);
	return &blk->config;
}

static const struct virtio_ops blk_ops = {
	.notify = blk_notify,
	.reset = blk_reset,
	.config = blk_config,
};

/* ---- life ---- */

static int disk_size(int fd, uint64_t *size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*size = st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, size) < 0)
		return -errno;
	*size &= ~(uint64_t)(SECTOR_SIZE - 1);
	return *size ? 0 : -ENODATA;
}

static int ring_create(struct virtio_blk *blk)
{
	if (io_uring_queue_init(BLK_REQUESTS, &blk->ring, 0))
		return 0;		/* a host without: no error */
	blk->uring = true;
	blk->cq.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (blk->cq.fd < 0)
		return -errno;
	blk->cq.fn = on_completion;
	blk->cq.arg = blk;
	if (io_uring_register_eventfd(&blk->ring, blk->cq.fd))
		return -EIO;
	return loop_add(blk->dev.pci.vm->loop, &blk->cq, EPOLLIN);
}

static void fill_config(struct virtio_blk *blk, const struct vm_disk *disk)
{
	const char *base = strrchr(disk->path, '/');

	blk->config = (struct virtio_blk_config) {
		.capacity = blk->size >> SECTOR_SHIFT,
		.seg_max = VQ_SEGS_MAX - 4,
		.blk_size = SECTOR_SIZE,
		.physical_block_exp = 3,
		.max_discard_sectors = DISCARD_SECTORS_MAX,
		.max_discard_seg = 1,
		.discard_sector_alignment = PAGE_SECTORS,
		.max_write_zeroes_sectors = ZEROES_SECTORS_MAX,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = 1,
	};
	base = base ? base + 1 : disk->path;
	memcpy(blk->id, base, strnlen(base, sizeof(blk->id)));
}

/**
 * virtio_blk_create() - plug a disk in
 * @vm: machine
 * @disk: open and locked; it stays its owner's
 * @index: for error lines
 *
 * Return: the device, or NULL with errno set.
 */
struct virtio_dev *virtio_blk_create(struct vm *vm, const struct vm_disk *disk,
				     unsigned int index)
{
	struct virtio_blk *blk = calloc(1, sizeof(*blk));
	unsigned int i;
	int ret;

	if (!blk) {
		errno = ENOMEM;
		return NULL;
	}
	blk->fd = disk->fd;
	blk->cq.fd = -1;
	snprintf(blk->name, sizeof(blk->name), "disk %u", index);
	for (i = 0; i < BLK_REQUESTS; i++) {
		blk->req[i].next_free = blk->free;
		blk->free = &blk->req[i];
	}
	ret = virtio_init(&blk->dev, vm, &blk_ops, blk->name, VIRTIO_ID_BLOCK,
			  BLK_CLASS, 1, BLK_QUEUE_SIZE,
			  1ULL << VIRTIO_BLK_F_SEG_MAX |
			  1ULL << VIRTIO_BLK_F_BLK_SIZE |
			  1ULL << VIRTIO_BLK_F_FLUSH |
			  1ULL << VIRTIO_BLK_F_TOPOLOGY |
			  1ULL << VIRTIO_BLK_F_DISCARD |
			  1ULL << VIRTIO_BLK_F_WRITE_ZEROES);
	if (!ret)
		ret = disk_size(blk->fd, &blk->size);
	if (!ret)
		ret = ring_create(blk);
	if (ret) {
		virtio_blk_destroy(&blk->dev);
		errno = -ret;
		return NULL;
	}
	fill_config(blk, disk);
	return &blk->dev;
}

void virtio_blk_destroy(struct virtio_dev *dev)
{
	struct virtio_blk *blk = container_of(dev, struct virtio_blk, dev);

	blk_reset(dev);
	if (blk->cq.fd >= 0) {
		loop_del(dev->pci.vm->loop, &blk->cq);
		close(blk->cq.fd);
	}
	if (blk->uring)
		io_uring_queue_exit(&blk->ring);
	virtio_destroy(dev);
	free(blk);
}
