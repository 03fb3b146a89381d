// SPDX-License-Identifier: GPL-2.0
/* Virtio over PCI: see virtio.h. Names are those of <linux/virtio_pci.h>. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "virtio.h"

#define VIRTIO_VENDOR		0x1af4
#define VIRTIO_MODERN_ID	0x1040	/* plus the device type */
#define VIRTIO_MODERN_SUBSYS	0x40
#define VIRTIO_MODERN_REV	1
#define VIRTIO_ISR_QUEUE	1

/* BAR 0: the four structures; BAR 1: MSI-X. */
#define VIRTIO_BAR		0
#define VIRTIO_MSIX_BAR		1
#define COMMON_OFF		0x0000
#define ISR_OFF			0x1000
#define DEVICE_OFF		0x2000
#define NOTIFY_OFF		0x3000
#define REGION_SIZE		0x1000
#define VIRTIO_BAR_SIZE		0x4000
#define NOTIFY_MULT		4
#define NOTIFY_LEN		2

static void set_isr(struct virtio_dev *dev, uint8_t bits)
{
	dev->isr |= bits;
	pci_intx(&dev->pci, dev->isr && !pci_msix_enabled(&dev->pci));
}

/**
 * virtio_signal() - interrupt the driver if it wants to know of used buffers
 * @dev: device
 * @q: queue
 */
void virtio_signal(struct virtio_dev *dev, unsigned int q)
{
	if (!vq_need_signal(&dev->vq[q]))
		return;
	if (pci_msix_enabled(&dev->pci))
		pci_msix_raise(&dev->pci, dev->vq[q].vector);
	else
		set_isr(dev, VIRTIO_ISR_QUEUE);
}

/**
 * virtio_broken() - the driver broke the rules: stop until it resets us
 * @dev: device
 * @why: for the error line
 */
void virtio_broken(struct virtio_dev *dev, const char *why)
{
	if (dev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	/* A driver can do this without end, and the log is the host's. */
	if (!dev->told)
		report("%s: %s: %s; the device waits for a reset",
		       dev->pci.vm->cfg->name, dev->name, why);
	dev->told = true;
	dev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if (!(dev->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	if (pci_msix_enabled(&dev->pci))
		pci_msix_raise(&dev->pci, dev->config_vector);
	else
		set_isr(dev, VIRTIO_PCI_ISR_CONFIG);
}

/**
 * virtio_queue_live() - may the device use a queue?
 * @dev: device
 * @q: queue
 */
bool virtio_queue_live(const struct virtio_dev *dev, unsigned int q)
{
	return dev->vq[q].enabled &&
	       (dev->status & VIRTIO_CONFIG_S_DRIVER_OK) &&
	       !(dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* ---- notifications ---- */

static int ioeventfd_set(struct virtio_dev *dev, uint32_t at, bool on)
{
	unsigned int q;

	for (q = 0; q < dev->nqueues; q++) {
		struct kvm_ioeventfd io = {
			.addr = (uint64_t)at + NOTIFY_OFF + q * NOTIFY_MULT,
			.len = NOTIFY_LEN,
			.fd = dev->kick[q].src.fd,
			.flags = on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
		};

		if (ioctl(dev->pci.vm->fd, KVM_IOEVENTFD, &io) < 0 && on)
			return -errno;
	}
	return 0;
}

/* Keep the notify ports where the BAR is. Without them MMIO exits do it. */
static void update_ioeventfd(struct virtio_dev *dev)
{
	struct pci_bar *bar = &dev->pci.bar[VIRTIO_BAR];
	uint32_t at = bar->mapped ? (uint32_t)bar->range.base : 0;

	if (!dev->ioeventfd || at == dev->ioeventfd_at)
		return;
	if (dev->ioeventfd_at)
		ioeventfd_set(dev, dev->ioeventfd_at, false);
	dev->ioeventfd_at = 0;
	if (at && !ioeventfd_set(dev, at, true))
		dev->ioeventfd_at = at;
}

static void kick(struct virtio_dev *dev, unsigned int q)
{
	uint64_t one = 1;

	/* A full counter is a notification too. */
	if (q < dev->nqueues && write(dev->kick[q].src.fd, &one, sizeof(one)) < 0)
		return;
}

/**
 * virtio_again() - come back to a queue in which more may wait
 * @dev: device
 * @q: queue
 */
void virtio_again(struct virtio_dev *dev, unsigned int q)
{
	kick(dev, q);
}

static void on_kick(void *arg, uint32_t events)
{
	struct virtio_kick *k = arg;
	struct virtio_dev *dev = k->dev;
	unsigned int q = k - dev->kick;
	uint64_t v;

	(void)events;
	if (read(k->src.fd, &v, sizeof(v)) < 0)
		return;
	if (virtio_queue_live(dev, q))
		dev->ops->notify(dev, q);
}

/* ---- the common configuration ---- */

static void device_reset(struct virtio_dev *dev)
{
	unsigned int q;

	dev->ops->reset(dev);
	dev->status = 0;
	dev->isr = 0;
	pci_intx(&dev->pci, false);
	dev->driver_features = 0;
	dev->feature_sel = 0;
	dev->driver_feature_sel = 0;
	dev->config_vector = VIRTIO_MSI_NO_VECTOR;
	dev->queue_sel = 0;
	for (q = 0; q < dev->nqueues; q++)
		vq_reset(&dev->vq[q], dev->queue_size);
}

static void set_status(struct virtio_dev *dev, uint8_t status)
{
	uint64_t need = 1ULL << VIRTIO_F_VERSION_1;
	unsigned int q;

	if (!status) {
		device_reset(dev);
		return;
	}
	/* Bits are only ever added; ours is not the driver's to touch. */
	status |= dev->status;
	if ((status & ~dev->status & VIRTIO_CONFIG_S_FEATURES_OK) &&
	    ((dev->driver_features & ~dev->features) ||
	     (dev->driver_features & need) != need))
		status &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	dev->status = status;
	if (status & VIRTIO_CONFIG_S_DRIVER_OK)
		for (q = 0; q < dev->nqueues; q++)
			kick(dev, q);	/* what waited for DRIVER_OK */
}

static void queue_enable(struct virtio_dev *dev, struct virtqueue *vq)
{
	bool event_idx = dev->driver_features & (1ULL << VIRTIO_RING_F_EVENT_IDX);

	if (vq->enabled)
		return;
	if (vq_enable(vq, event_idx))
		virtio_broken(dev, "the driver gave an impossible queue");
}

static uint16_t check_vector(const struct virtio_dev *dev, uint16_t v)
{
	return v < dev->pci.nvectors ? v : VIRTIO_MSI_NO_VECTOR;
}

static void set_low(uint64_t *v, uint32_t x)
{
	*v = (*v & ~(uint64_t)UINT32_MAX) | x;
}

static void set_high(uint64_t *v, uint32_t x)
{
	*v = (*v & UINT32_MAX) | (uint64_t)x << 32;
}

static void queue_write(struct virtio_dev *dev, struct virtqueue *vq,
			unsigned int off, uint32_t v)
{
	if (off == VIRTIO_PCI_COMMON_Q_MSIX) {
		vq->vector = check_vector(dev, v);
		return;
	}
	/* A live queue stays as it is. */
	if (vq->enabled)
		return;
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		vq->size = v;
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (v == 1)
			queue_enable(dev, vq);
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
		set_low(&vq->desc_gpa, v);
		break;
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		set_high(&vq->desc_gpa, v);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
		set_low(&vq->avail_gpa, v);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		set_high(&vq->avail_gpa, v);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
		set_low(&vq->used_gpa, v);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		set_high(&vq->used_gpa, v);
		break;
	default:
		break;
	}
}

static void common_write(struct virtio_dev *dev, unsigned int off, uint32_t v)
{
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		dev->feature_sel = v;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		dev->driver_feature_sel = v;
		break;
	case VIRTIO_PCI_COMMON_GF:
		if (dev->status & VIRTIO_CONFIG_S_FEATURES_OK)
			break;
		if (dev->driver_feature_sel == 0)
			set_low(&dev->driver_features, v);
		else if (dev->driver_feature_sel == 1)
			set_high(&dev->driver_features, v);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		dev->config_vector = check_vector(dev, v);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		set_status(dev, v);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		dev->queue_sel = v;
		break;
	default:
		if (dev->queue_sel < dev->nqueues)
			queue_write(dev, &dev->vq[dev->queue_sel], off, v);
	}
}

static uint32_t queue_read(const struct virtio_dev *dev, unsigned int off)
{
	const struct virtqueue *vq = &dev->vq[dev->queue_sel];

	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		return vq->size;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		return vq->vector;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		return vq->enabled;
	case VIRTIO_PCI_COMMON_Q_NOFF:
		return dev->queue_sel;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
		return (uint32_t)vq->desc_gpa;
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		return vq->desc_gpa >> 32;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
		return (uint32_t)vq->avail_gpa;
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		return vq->avail_gpa >> 32;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
		return (uint32_t)vq->used_gpa;
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		return vq->used_gpa >> 32;
	default:
		return 0;
	}
}

static uint32_t common_read(const struct virtio_dev *dev, unsigned int off)
{
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		return dev->feature_sel;
	case VIRTIO_PCI_COMMON_DF:
		return dev->feature_sel == 0 ? (uint32_t)dev->features :
		       dev->feature_sel == 1 ? dev->features >> 32 : 0;
	case VIRTIO_PCI_COMMON_GFSELECT:
		return dev->driver_feature_sel;
	case VIRTIO_PCI_COMMON_GF:
		return dev->driver_feature_sel == 0 ?
			(uint32_t)dev->driver_features :
		       dev->driver_feature_sel == 1 ?
			dev->driver_features >> 32 : 0;
	case VIRTIO_PCI_COMMON_MSIX:
		return dev->config_vector;
	case VIRTIO_PCI_COMMON_NUMQ:
		return dev->nqueues;
	case VIRTIO_PCI_COMMON_STATUS:
		return dev->status;
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return 0;		/* configurations never change */
	case VIRTIO_PCI_COMMON_Q_SELECT:
		return dev->queue_sel;
	default:
		return dev->queue_sel < dev->nqueues ? queue_read(dev, off) : 0;
	}
}

static void virtio_bar(struct pci_dev *pci, unsigned int bar, uint64_t off,
		       uint8_t *data, unsigned int len, bool write)
{
	struct virtio_dev *dev = container_of(pci, struct virtio_dev, pci);
	const uint8_t *config;
	size_t size;

	(void)bar;
	if (off >= NOTIFY_OFF) {
		if (write)
			kick(dev, (off - NOTIFY_OFF) / NOTIFY_MULT);
	} else if (off >= DEVICE_OFF) {
		config = dev->ops->config(dev, &size);
		off -= DEVICE_OFF;
		if (!write && off < size && len <= size - off)
			memcpy(data, config + off, len);
	} else if (off >= ISR_OFF) {
		if (write || off != ISR_OFF)
			return;
		bus_put(data, len, dev->isr);
		dev->isr = 0;		/* reading acknowledges */
		pci_intx(pci, false);
	} else if (len <= 4) {
		if (write)
			common_write(dev, off, bus_get(data, len));
		else
			bus_put(data, len, common_read(dev, off));
	}
}

/* ---- the window that configuration space gives onto the BARs ---- */

struct cfg_window {
	unsigned int bar;
	uint32_t off;
	uint32_t len;
};

static bool window_touched(const struct virtio_dev *dev, unsigned int off,
			   unsigned int len, struct cfg_window *w)
{
	unsigned int data = dev->cfg_cap + sizeof(struct virtio_pci_cap);
	const uint8_t *cap = dev->pci.cfg + dev->cfg_cap;

	if (!dev->cfg_cap || off >= data + 4 || off + len <= data)
		return false;
	w->bar = cap[VIRTIO_PCI_CAP_BAR];
	w->off = bus_get(cap + VIRTIO_PCI_CAP_OFFSET, 4);
	w->len = bus_get(cap + VIRTIO_PCI_CAP_LENGTH, 4);
	return (w->len == 1 || w->len == 2 || w->len == 4) &&
	       w->off % w->len == 0;
}

static void virtio_cfg_read(struct pci_dev *pci, unsigned int off,
			    unsigned int len)
{
	struct virtio_dev *dev = container_of(pci, struct virtio_dev, pci);
	struct cfg_window w;

	if (window_touched(dev, off, len, &w))
		pci_bar_access(pci, w.bar, w.off, pci->cfg + dev->cfg_cap +
			       sizeof(struct virtio_pci_cap), w.len, false);
}

static void virtio_cfg_write(struct pci_dev *pci, unsigned int off,
			     unsigned int len)
{
	struct virtio_dev *dev = container_of(pci, struct virtio_dev, pci);
	struct cfg_window w;

	if (window_touched(dev, off, len, &w))
		pci_bar_access(pci, w.bar, w.off, pci->cfg + dev->cfg_cap +
			       sizeof(struct virtio_pci_cap), w.len, true);
	/* INTx may have been switched, or MSI-X taken its place. */
	set_isr(dev, 0);
}

static void virtio_moved(struct pci_dev *pci, unsigned int bar)
{
	if (bar == VIRTIO_BAR)
		update_ioeventfd(container_of(pci, struct virtio_dev, pci));
}

static const struct pci_dev_ops virtio_pci_ops = {
	.bar = virtio_bar,
	.cfg_read = virtio_cfg_read,
	.cfg_write = virtio_cfg_write,
	.moved = virtio_moved,
};

/* ---- life ---- */

static unsigned int add_cap(struct pci_dev *pci, uint8_t type, uint32_t off,
			    unsigned int extra)
{
	unsigned int len = sizeof(struct virtio_pci_cap) + extra;
	unsigned int cap = pci_add_cap(pci, PCI_CAP_ID_VNDR, len);

	pci->cfg[cap + VIRTIO_PCI_CAP_LEN] = len;
	pci->cfg[cap + VIRTIO_PCI_CAP_CFG_TYPE] = type;
	pci->cfg[cap + VIRTIO_PCI_CAP_BAR] = VIRTIO_BAR;
	bus_put(pci->cfg + cap + VIRTIO_PCI_CAP_OFFSET, 4, off);
	bus_put(pci->cfg + cap + VIRTIO_PCI_CAP_LENGTH, 4, REGION_SIZE);
	return cap;
}

static void add_caps(struct virtio_dev *dev)
{
	struct pci_dev *pci = &dev->pci;
	unsigned int cap;

	add_cap(pci, VIRTIO_PCI_CAP_COMMON_CFG, COMMON_OFF, 0);
	add_cap(pci, VIRTIO_PCI_CAP_ISR_CFG, ISR_OFF, 0);
	add_cap(pci, VIRTIO_PCI_CAP_DEVICE_CFG, DEVICE_OFF, 0);
	cap = add_cap(pci, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_OFF, 4);
	bus_put(pci->cfg + cap + VIRTIO_PCI_NOTIFY_CAP_MULT, 4, NOTIFY_MULT);
	cap = add_cap(pci, VIRTIO_PCI_CAP_PCI_CFG, 0, 4);
	bus_put(pci->cfg + cap + VIRTIO_PCI_CAP_LENGTH, 4, 0);
	pci->wmask[cap + VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(pci->wmask + cap + VIRTIO_PCI_CAP_OFFSET, 0xff, 12);
	dev->cfg_cap = cap;
}

static int queues_init(struct virtio_dev *dev)
{
	unsigned int q;
	int ret;

	for (q = 0; q < dev->nqueues; q++) {
		struct virtio_kick *k = &dev->kick[q];

		k->dev = dev;
		k->src.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (k->src.fd < 0)
			return -errno;
		k->src.fn = on_kick;
		k->src.arg = k;
		ret = loop_add(dev->pci.vm->loop, &k->src, EPOLLIN);
		if (ret)
			return ret;
		dev->vq[q].mem = &dev->pci.vm->mem;
		vq_reset(&dev->vq[q], dev->queue_size);
	}
	return 0;
}

/**
 * virtio_init() - set a zeroed device up and plug it in
 * @dev: device, the first member of its owner
 * @vm: machine
 * @ops: what it does
 * @name: for error lines
 * @id: virtio device type
 * @class: PCI class code
 * @nqueues: queues
 * @queue_size: the largest size of each
 * @features: of the device's own; the transport's are added
 *
 * Return: 0 or -errno; in both cases virtio_destroy() cleans up.
 */
int virtio_init(struct virtio_dev *dev, struct vm *vm,
		const struct virtio_ops *ops, const char *name, uint16_t id,
		uint32_t class, unsigned int nqueues, uint16_t queue_size,
		uint64_t features)
{
	unsigned int q;
	int ret;

	dev->ops = ops;
	dev->name = name;
	dev->nqueues = nqueues;
	dev->queue_size = queue_size;
	dev->config_vector = VIRTIO_MSI_NO_VECTOR;
	dev->features = features | 1ULL << VIRTIO_F_VERSION_1 |
			1ULL << VIRTIO_RING_F_INDIRECT_DESC |
			1ULL << VIRTIO_RING_F_EVENT_IDX;
	for (q = 0; q < VIRTIO_QUEUES_MAX; q++)
		dev->kick[q].src.fd = -1;
	pci_dev_init(&dev->pci, vm, &virtio_pci_ops, VIRTIO_VENDOR,
		     VIRTIO_MODERN_ID + id, class << 8 | VIRTIO_MODERN_REV,
		     VIRTIO_MODERN_SUBSYS + id);
	dev->ioeventfd = vm_has(vm, KVM_CAP_IOEVENTFD) > 0;
	ret = queues_init(dev);
	if (ret)
		return ret;
	ret = pci_add_bar(&dev->pci, VIRTIO_BAR, VIRTIO_BAR_SIZE);
	if (ret)
		return ret;
	ret = pci_add_msix(&dev->pci, VIRTIO_MSIX_BAR, nqueues + 1);
	if (ret)
		return ret;
	add_caps(dev);
	return pci_attach(&dev->pci);
}

/**
 * virtio_destroy() - undo virtio_init(), complete or not
 * @dev: device; no thread uses it any more
 */
void virtio_destroy(struct virtio_dev *dev)
{
	unsigned int q;

	if (dev->ioeventfd_at)
		ioeventfd_set(dev, dev->ioeventfd_at, false);
	pci_detach(&dev->pci);
	for (q = 0; q < dev->nqueues; q++) {
		if (dev->kick[q].src.fd < 0)
			continue;
		loop_del(dev->pci.vm->loop, &dev->kick[q].src);
		close(dev->kick[q].src.fd);
	}
}
