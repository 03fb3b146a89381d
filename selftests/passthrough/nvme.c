// SPDX-License-Identifier: GPL-2.0
/* As much of an NVMe driver as it takes to read, without interrupts. See device.h. */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"

#define REG_CAP		0x00
#define CAP_DSTRD(cap)	((cap) >> 32 & 0xf)
#define REG_CC		0x14
#define CC_ENABLE	(1 | 6 << 16 | 4 << 20)	/* entries of 64 and of 16 bytes */
#define REG_AQA		0x24
#define REG_ASQ		0x28
#define REG_ACQ		0x30
#define DOORBELLS	0x1000
#define READY_MS	5000

/* In the VM's memory. */
#define QUEUES		0x1000	/* of submissions and completions: the administrator's, then ours */
#define LISTS		0x5000	/* a page for each command in flight: where its pages are */
#define ENTRIES		16

#define ADMIN_CREATE_SQ	0x01
#define ADMIN_CREATE_CQ	0x05
#define READ		0x02

struct command {
	uint8_t opcode, flags;
	uint16_t id;
	uint32_t nsid;
	uint64_t reserved, metadata, prp1, prp2;
	uint32_t dw10, dw11, dw12, dw13, dw14, dw15;
};

struct completion {
	uint32_t result, reserved;
	uint16_t sq_head, sq_id, id, status;	/* status' bit 0 changes with each lap */
};

static uint64_t queue_at(int queue, bool completions)
{
	return QUEUES + (2 * queue + completions) * PAGE_SIZE;
}

static void ring(struct nvme *n, int queue, bool completions, uint32_t value)
{
	*(volatile uint32_t *)(n->bar + DOORBELLS + ((2 * queue + completions) << n->stride)) = value;
}

static void submit(struct nvme *n, int queue, struct command *c)
{
	struct command *sq = (void *)(n->ram + queue_at(queue, false));

	c->id = n->tail[queue];
	sq[n->tail[queue]] = *c;
	n->tail[queue] = (n->tail[queue] + 1) % ENTRIES;
	__sync_synchronize();
	ring(n, queue, false, n->tail[queue]);
}

/* The next completion's status, -1: there is none yet. */
static int completed(struct nvme *n, int queue)
{
	volatile struct completion *cq = (void *)(n->ram + queue_at(queue, true));
	unsigned int at = n->head[queue] % ENTRIES, lap = n->head[queue] / ENTRIES % 2;
	uint16_t status = cq[at].status;

	if ((status & 1) == lap)
		return -1;
	n->head[queue]++;
	ring(n, queue, true, n->head[queue] % ENTRIES);
	return status >> 1;
}

static void wait_completed(struct nvme *n, int queue)
{
	uint64_t end = now_ns() + READY_MS * 1000000ULL;
	int status;

	while ((status = completed(n, queue)) < 0)
		CHECK(now_ns() < end);
	CHECK_EQ(status, 0);
}

static void admin(struct nvme *n, struct command c)
{
	submit(n, 0, &c);
	wait_completed(n, 0);
}

struct nvme nvme_map(int vm_fd, const char *address, uint8_t *ram)
{
	struct nvme n = { .fd = CHECK_OK(open_device(vm_fd, address)), .ram = ram };
	struct lhv_device_info info;

	CHECK_OK(ioctl(n.fd, LHV_DEVICE_INFO, &info));
	/* The table of MSI-X is in the same BAR, behind the doorbells. */
	n.bar = mmap(NULL, info.msix_offset, PROT_READ | PROT_WRITE, MAP_SHARED, n.fd, 0);
	CHECK(n.bar != MAP_FAILED);
	return n;
}

void nvme_enable(volatile uint8_t *bar)
{
	uint64_t end = now_ns() + READY_MS * 1000000ULL;

	*(volatile uint32_t *)(bar + REG_AQA) = (ENTRIES - 1) << 16 | (ENTRIES - 1);
	*(volatile uint64_t *)(bar + REG_ASQ) = queue_at(0, false);
	*(volatile uint64_t *)(bar + REG_ACQ) = queue_at(0, true);
	*(volatile uint32_t *)(bar + REG_CC) = CC_ENABLE;
	while (!(*(volatile uint32_t *)(bar + NVME_REG_CSTS) & NVME_READY)) {
		CHECK(now_ns() < end);
		nap(1);
	}
}

void nvme_start(struct nvme *n)
{
	config_write(n->fd, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	n->stride = 2 + CAP_DSTRD(*(volatile uint64_t *)(n->bar + REG_CAP));
	memset(n->tail, 0, sizeof(n->tail));
	memset(n->head, 0, sizeof(n->head));
	memset(n->ram + QUEUES, 0, 4 * PAGE_SIZE);
	nvme_enable(n->bar);
	admin(n, (struct command){
		.opcode = ADMIN_CREATE_CQ, .prp1 = queue_at(1, true),
		.dw10 = (ENTRIES - 1) << 16 | 1, .dw11 = 1,
	});
	admin(n, (struct command){
		.opcode = ADMIN_CREATE_SQ, .prp1 = queue_at(1, false),
		.dw10 = (ENTRIES - 1) << 16 | 1, .dw11 = 1 << 16 | 1,
	});
}

static void start(struct nvme *n, uint64_t from, uint64_t to)
{
	uint64_t list = LISTS + n->tail[1] * PAGE_SIZE, *pages = (void *)(n->ram + list);
	struct command c = {
		.opcode = READ, .nsid = 1, .prp1 = to, .prp2 = list,
		.dw10 = from / 512, .dw12 = NVME_READ / 512 - 1,
	};
	unsigned int i;

	for (i = 1; i < NVME_READ / PAGE_SIZE; i++)
		pages[i - 1] = to + i * PAGE_SIZE;
	submit(n, 1, &c);
}

void nvme_read(struct nvme *n, uint64_t from, uint64_t to)
{
	start(n, from, to);
	wait_completed(n, 1);
}

void nvme_read_on(struct nvme *n, uint64_t to, volatile uint64_t *done)
{
	int flying = 0;

	for (;;) {
		for (; flying < ENTRIES / 2; flying++)
			start(n, *done % 256 * NVME_READ, to);
		wait_completed(n, 1);
		flying--;
		++*done;
	}
}

int open_disk(void)
{
	int fd, left;

	for (left = 200; (fd = open("/dev/nvme0n1", O_RDONLY)) < 0 && left; left--)
		nap(100);
	return fd;
}
