/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The built-in VMM: its core objects.
 *
 * What it is for: run one virtual machine on the KVM ioctl ABI, with the few
 * devices that a Linux guest needs. What enters: a struct vm_config with its
 * files already open. What leaves: how the machine ended. It must not know
 * which hypervisor stands behind the device node.
 *
 * Threads: one per vCPU, one for I/O (vm_loop), the caller's, which waits for
 * the end. vm->lock, the device lock, covers all device state; every port,
 * MMIO and loop handler runs with it held. Guest memory itself has no lock.
 */
#ifndef VMM_H
#define VMM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../vmctl.h"
#include "layout.h"

struct console;
struct loop;
struct pci_bus;
struct vm;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) \
	((type *)((char *)(p) - offsetof(type, member)))

/* ---- memory: guest RAM, in at most two pieces around the MMIO hole ---- */

#define MEM_REGIONS	2

struct mem_region {
	uint64_t gpa;
	uint64_t size;
	uint8_t *hva;
};

struct guest_mem {
	struct mem_region region[MEM_REGIONS];
	unsigned int nregions;
	uint64_t size;
};

int mem_init(struct guest_mem *mem, uint64_t size);
int mem_register(const struct guest_mem *mem, int vm_fd);
void mem_destroy(struct guest_mem *mem);
void *mem_at(const struct guest_mem *mem, uint64_t gpa, uint64_t len);
uint64_t mem_low_end(const struct guest_mem *mem);

/* ---- bus: port and MMIO dispatch ---- */

/**
 * typedef bus_fn - a device's answer to one access
 * @arg: the device
 * @off: offset into the range
 * @data: bytes written, or room for the bytes read (all ones before the call)
 * @len: 1, 2, 4 or 8
 * @write: direction
 */
typedef void (*bus_fn)(void *arg, uint64_t off, uint8_t *data, unsigned int len,
		       bool write);

struct bus_range {
	struct bus_range *next;
	uint64_t base;
	uint64_t size;
	bus_fn fn;
	void *arg;
};

struct bus {
	struct bus_range *head;
};

void bus_add(struct bus *bus, struct bus_range *r);
void bus_del(struct bus *bus, struct bus_range *r);
bool bus_access(struct bus *bus, uint64_t addr, uint8_t *data,
		unsigned int len, bool write);

static inline uint64_t bus_get(const uint8_t *data, unsigned int len)
{
	uint64_t v = 0;

	while (len--)
		v = v << 8 | data[len];
	return v;
}

static inline void bus_put(uint8_t *data, unsigned int len, uint64_t v)
{
	unsigned int i;

	for (i = 0; i < len; i++)
		data[i] = v >> (8 * i);
}

/* ---- irq: lines, message signalled interrupts, GSI routing ---- */

#define IRQ_MAX_MSI	512

struct irq_msi {
	bool used;
	int fd;			/* irqfd, -1 when messages are sent by ioctl */
	uint64_t addr;
	uint32_t data;
};

struct irq_router {
	bool irqfd;
	struct irq_msi msi[IRQ_MAX_MSI];
};

int irq_init(struct vm *vm);
void irq_destroy(struct vm *vm);
void irq_line(struct vm *vm, unsigned int gsi, bool level);
int irq_msi_alloc(struct vm *vm);
void irq_msi_free(struct vm *vm, int handle);
void irq_msi_set(struct vm *vm, int handle, uint64_t addr, uint32_t data);
void irq_msi_send(struct vm *vm, int handle);

/* ---- vcpu ---- */

struct vcpu {
	struct vm *vm;
	unsigned int id;
	int fd;
	struct kvm_run *run;
	size_t run_size;
	pthread_t thread;
	bool started;
};

int vcpu_init(struct vm *vm, struct vcpu *vcpu, unsigned int id);
int vcpu_setup(struct vcpu *vcpu);
int vcpu_start(struct vcpu *vcpu);
void vcpu_stop(struct vcpu *vcpu);
void vcpu_destroy(struct vcpu *vcpu);
int vcpu_signal_init(void);
struct kvm_cpuid2 *cpuid_build(struct vm *vm, unsigned int apic_id);

/* ---- vm ---- */

enum vm_end {
	VM_RUNNING,
	VM_POWEROFF,
	VM_REBOOT,
	VM_CRASH,
	VM_ERROR,
	VM_STOPPED,
};

struct vm_device {
	const char *address;	/* of the host: domain:bus:device.function */
	bool force;		/* even if it can't be reset */
};

struct vm_disk {
	const char *path;
	int fd;
};

#define SUPERVISOR_FDS	3

/* What the outside may want of a machine. */
enum wish { WISH_NOTHING, WISH_STOP, WISH_POWER_BUTTON };

/**
 * struct supervisor - who looks after a machine from outside
 * @fd: watched for input; -1 for none
 * @wish: @fd[@i] has some: what does it mean?
 * @created: the VM exists, with this fd; not 0 gives it up, the error reported
 * @attach: give the VM, complete with memory, a device of the host; 0 or -errno, reported
 * @started: its vCPUs run
 * @ended: it is gone
 */
struct supervisor {
	int fd[SUPERVISOR_FDS];
	enum wish (*wish)(struct supervisor *sup, unsigned int i);
	int (*created)(struct supervisor *sup, int vm_fd);
	int (*attach)(struct supervisor *sup, const struct vm_device *device);
	void (*started)(struct supervisor *sup);
	void (*ended)(struct supervisor *sup);
};

/**
 * struct vm_config - what to run; outlives the machine, so a reboot reuses it
 */
struct vm_config {
	const char *name;
	const char *accel;
	const char *kernel;
	const char *initrd;
	const char *append;
	int kernel_fd;
	int initrd_fd;		/* -1: none */
	struct vm_disk *disks;
	unsigned int ndisks;
	struct vm_device *devices;
	unsigned int ndevices;
	uint64_t mem;
	unsigned int vcpus;
	int sys_fd;
	struct supervisor *supervisor;
	struct console *console;
};

struct boot_info {
	uint64_t entry;
	uint64_t params;
	uint64_t page_table;
	uint64_t gdt;
};

struct vm {
	const struct vm_config *cfg;
	int fd;
	struct guest_mem mem;
	struct boot_info boot;
	pthread_mutex_t lock;
	struct bus pio;
	struct bus mmio;
	struct irq_router irq;
	struct loop *loop;
	struct pci_bus *pci;
	struct serial *serial;
	struct rtc *rtc;
	struct pm *pm;
	struct vcpu *vcpus;
	unsigned int nvcpus;
	atomic_int end;
	int end_fd;
};

int accel_open(const char *path);
enum vm_end vm_run(const struct vm_config *cfg);
void vm_finish(struct vm *vm, enum vm_end end);
bool vm_was_killed(struct vm *vm, int err);
int vm_has(const struct vm *vm, int cap);

/* ---- boot ---- */

struct bzimage;
int boot_load(struct vm *vm);

/* ---- loop: the I/O thread ---- */

typedef void (*loop_fn)(void *arg, uint32_t events);

struct loop_source {
	int fd;
	loop_fn fn;
	void *arg;
	bool dead;
};

struct loop *loop_create(pthread_mutex_t *lock);
int loop_start(struct loop *loop);
int loop_add(struct loop *loop, struct loop_source *src, uint32_t events);
int loop_mod(struct loop *loop, struct loop_source *src, uint32_t events);
void loop_del(struct loop *loop, struct loop_source *src);
void loop_stop(struct loop *loop);
void loop_destroy(struct loop *loop);

#endif
