/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Devices of the machine in VMs of ours, without a guest: the test is the VMM, has the device's
 * registers mapped, and makes it do DMA itself. For the lab's machine with edu (QEMU's
 * docs/specs/edu.rst) and nvme behind an IOMMU.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <linux/lhv.h>
#include <sys/types.h>

#include "../netlink/nl.h"

/* edu: its registers, and the memory of its own that DMA can reach. */
#define EDU_VENDOR	0x1234
#define EDU_DEVICE	0x11e8
#define EDU_BAR_SIZE	0x100000
#define EDU_REG_ID	0x00
#define EDU_ID		0x010000ed
#define EDU_REG_RAISE	0x60
#define EDU_REG_ACK	0x64
#define EDU_REG_SRC	0x80
#define EDU_REG_DST	0x88
#define EDU_REG_COUNT	0x90
#define EDU_REG_CMD	0x98
#define EDU_RUN		1
#define EDU_TO_RAM	2
#define EDU_BUFFER	0x40000
#define EDU_DMA_SIZE	2048	/* QEMU takes a transfer to the buffer's very end for one beyond it */

#define NVME_VENDOR	0x1b36
#define NVME_DEVICE	0x0010
#define NVME_REG_CSTS	0x1c
#define NVME_READY	1

#define NIC_VENDOR	0x8086	/* e1000e */
#define NIC_DEVICE	0x10d3

/* The @nth function with these ids, "0000:00:01.0". Skips the case when there is none. */
const char *find_function(unsigned int vendor, unsigned int device, int nth);
/* The @nth edu that is alone on its slot. */
const char *find_edu(int nth);
/* Does this driver have it? "": none has. */
bool driven_by(const char *address, const char *driver);
/* PCI_CFG_SPACE_SIZE bytes of its configuration, as the host has it. */
void read_real(const char *address, uint8_t *config);
void write_to(const char *path, const char *text);

/* device-bind, -unbind, -attach, -detach; @vm 0: none. 0 or -errno, nl->said. */
int device_cmd(struct nl *nl, int cmd, const char *address, uint64_t vm, bool force);
/* Bound, if it was not. */
void take(struct nl *nl, const char *address);
void give_back(struct nl *nl, const char *address);

/* LHV_DEVICE_OPEN: the fd, or -1 */
int open_device(int vm_fd, const char *address);
uint32_t config_read(int fd, unsigned int offset, unsigned int len);
void config_write(int fd, unsigned int offset, unsigned int len, uint32_t value);

struct edu {
	int fd;
	volatile uint8_t *bar;
};

/* An edu that is attached to the VM: mapped, and bus mastering is on. */
struct edu edu_open(int vm_fd, const char *address);
uint32_t edu_get(struct edu *e, unsigned int reg);
void edu_set(struct edu *e, unsigned int reg, uint32_t value);
void edu_start(struct edu *e, uint64_t from, uint64_t to, int to_ram);
/* EDU_DMA_SIZE bytes; the address in memory is the guest's. */
void edu_dma(struct edu *e, uint64_t from, uint64_t to, int to_ram);
/* The first four bytes of its buffer, as a message would be. */
void edu_send(struct edu *e, uint64_t to);
/* Its buffer is full of @byte then; by way of the first page of the VM's memory. */
void edu_fill(struct edu *e, uint8_t *ram, uint8_t byte);

/* nvme: reads only, of this many bytes; queues and lists take the VM's memory from 4 to 84 KiB. */
#define NVME_READ	0x10000UL
#define NVME_DATA	0x20000UL

struct nvme {
	int fd;
	volatile uint8_t *bar;
	uint8_t *ram;
	unsigned int stride, tail[2], head[2];
};

/* An nvme that is attached to the VM, with its registers mapped. */
struct nvme nvme_map(int vm_fd, const char *address, uint8_t *ram);
/* Switch it on: with bus mastering it would do DMA. */
void nvme_enable(volatile uint8_t *bar);
/* That, with bus mastering, and make a queue. */
void nvme_start(struct nvme *n);
/* From the disk's byte @from to the guest's address @to. */
void nvme_read(struct nvme *n, uint64_t from, uint64_t to);
/* One read after the other, several at once, for ever; counts those that are done. */
void nvme_read_on(struct nvme *n, uint64_t to, volatile uint64_t *done);
/* Its namespace, once the host's driver is done with it; -1: that has not come up in time. */
int open_disk(void);

/* Memory that others may map, too; contents 0. */
void *shared_memory(size_t size);
/* Where the host has it; 0 where the kernel does not say. */
uint64_t host_physical(const void *p);
uint64_t sum(const void *p, size_t size);

/* The number behind @name in a file of lines; -1: there is none. */
long number_in(const char *path, const char *name);
/* Kilobytes that count as locked by process @pid (0: this one). */
long locked_kb(pid_t pid);
bool none_locked(pid_t pid);
/* Pages pinned for DMA, on the whole machine. */
long pins(void);
/* Pages of IOMMU tables; -1 where the kernel does not say. */
long iommu_pages(void);
/* Lines of the kernel's log that have both. */
int log_lines(const char *with, const char *also);
/* Faults that the IOMMU has reported. */
int iommu_faults(void);
bool amd_iommu(void);

/* Rounds of long tests: all of them, with DEVICE_FULL set. */
int rounds(int brief, int full);
void nap(unsigned int ms);

#endif
