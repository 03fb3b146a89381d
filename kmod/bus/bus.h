/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv bus/ - port and MMIO dispatch.
 *
 * What it is for: finding who answers an access to a port or to an address
 *	without memory: an in-kernel device, an ioeventfd, a coalesced zone, or the VMM.
 * What enters: decoded accesses (port, size, direction, data).
 * What leaves: data, a signalled eventfd, or KVM_EXIT_IO / KVM_EXIT_MMIO.
 * What it must not know: what a device does, how the instruction was encoded.
 */
#ifndef LHV_BUS_H
#define LHV_BUS_H

#include <linux/list.h>

/**
 * struct lhv_dev_ops - an in-kernel device on a bus
 * @read, @write: serve an access that lies whole within the range. Atomic tier: no sleep.
 *	0; -EOPNOTSUPP: not mine, ask the next; -EAGAIN: has to sleep (LHV_SLEEP).
 * @destroy: the range is gone and nobody is in an op any more. May be NULL.
 */
struct lhv_dev;
struct lhv_dev_ops {
	int (*read)(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len, void *data);
	int (*write)(struct lhv_vcpu *vcpu, struct lhv_dev *dev, gpa_t addr, int len,
		     const void *data);
	void (*destroy)(struct lhv_dev *dev);
};

struct lhv_dev {
	const struct lhv_dev_ops *ops;
	gpa_t addr;
	u64 len;	/* 0: matches any length at @addr exactly (ioeventfd ANY_LENGTH) */
};

struct lhv_bus_table;
struct lhv_bus {
	struct lhv_bus_table __rcu *table;	/* S sorted by address */
};

/*
 * Add and remove: vm->lock held, may sleep (synchronize_srcu). Ranges may overlap: the one
 * that begins later, and of two that begin together the shorter, is asked first.
 * add: -ENOMEM, -ENOSPC, -EINVAL (range wraps). remove never fails; the device is nobody's any
 * more when it returns, and its destroy() is not called.
 */
int lhv_bus_add(struct lhv_vm *vm, struct lhv_bus *bus, struct lhv_dev *dev);
void lhv_bus_remove(struct lhv_vm *vm, struct lhv_bus *bus, struct lhv_dev *dev);
/* Calls every device's destroy(); there is no reader any more. */
void lhv_bus_destroy(struct lhv_bus *bus);
/* First device, in lookup order, that @match says yes to; vm->lock held. */
struct lhv_dev *lhv_bus_find(struct lhv_bus *bus,
			     bool (*match)(struct lhv_dev *dev, const void *arg), const void *arg);

/* Take vm->srcu themselves. 0 done; -EOPNOTSUPP nobody in the kernel; -EAGAIN. */
int lhv_bus_read(struct lhv_vcpu *vcpu, struct lhv_bus *bus, gpa_t addr, int len, void *data);
int lhv_bus_write(struct lhv_vcpu *vcpu, struct lhv_bus *bus, gpa_t addr, int len,
		  const void *data);

#define LHV_MMIO_MAX		16	/* bytes of one access */

/**
 * struct lhv_io - a decoded IN, OUT, INS or OUTS
 * @port: port
 * @size: 1, 2 or 4
 * @in: IN or INS
 * @string, @rep: INS/OUTS, with a REP prefix
 * @addr_size: 2, 4 or 8 (for @string); 0 when the CPU did not say (decode it)
 * @seg: segment of the memory operand; LHV_NR_SEGS when the CPU did not say (decode it)
 */
struct lhv_io {
	u16 port;
	u8 size;
	bool in, string, rep;
	u8 addr_size;
	u8 seg;
};

/*
 * Port I/O exit. On completion skips the instruction (vcpu->exit.insn_len or decoder).
 * In the kernel at once where a device answers; else KVM_EXIT_IO. String I/O moves up to
 * a page per exit, restarts cleanly on faults, honours DF and address size.
 */
enum lhv_next lhv_pio_exec(struct lhv_vcpu *vcpu, const struct lhv_io *io);

/* Port I/O or MMIO that waits for the VMM's answer. */
struct lhv_pio_state {
	unsigned int hint[2];	/* O where the last access was found: ports, MMIO; any value will do */

	/* Port input */
	struct lhv_io io;	/* O */
	u32 count;		/* O string elements in this exit */
	u64 rip;		/* O where it began: elsewhere, the answer is not wanted any more */

	/* MMIO: one access, cut into pieces of at most 8 bytes */
	struct {
		gpa_t gpa;
		u64 rip;	/* of the instruction */
		u8 len;		/* of the access; 0: none is under way */
		u8 done;	/* bytes that are served */
		u8 piece;	/* bytes that the VMM was asked for, 0: none */
		bool write;
		u8 data[LHV_MMIO_MAX];
	} mmio;			/* O */
};

/*
 * One MMIO access of an emulated instruction (cpu/emulate.c): LAPIC page, in-kernel
 * devices, coalesced zone, else the VMM.
 * 0: done, @data holds the answer of a read. -EAGAIN: LHV_SLEEP. -EINPROGRESS: kvm_run is
 * filled; the emulator returns LHV_EXIT_USER with vcpu->complete set, and is run again
 * after the VMM answered (reads are then served from the recorded answer).
 *
 * @len is 1 to 16; the access never crosses a page (the emulator cuts it). While one access
 * waits for the VMM (from -EINPROGRESS until lhv_mmio_complete() returns LHV_RESUME) the
 * emulator asks for no other. It owns vcpu->complete for MMIO and calls, when KVM_RUN comes
 * back, lhv_mmio_complete() before anything else.
 *
 * A write that returned -EINPROGRESS counts as done once lhv_mmio_complete() says LHV_RESUME:
 * the emulator does not repeat it.
 */
int lhv_mmio_read(struct lhv_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len);
int lhv_mmio_write(struct lhv_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len);
/*
 * The VMM answered a fragment: take it from kvm_run. LHV_EXIT_USER: the next fragment is in
 * kvm_run, call again after it; LHV_RESUME: all of the access is answered, the next
 * lhv_mmio_read() of the same gpa and len takes the answer (once).
 */
enum lhv_next lhv_mmio_complete(struct lhv_vcpu *vcpu);
/* That answer, of at most 8 bytes, at once. False: the access was given up meanwhile. */
bool lhv_mmio_take(struct lhv_vcpu *vcpu, u64 *val);
/* The instruction is given up (reset, another RIP): forget the access and its answer. */
void lhv_mmio_cancel(struct lhv_vcpu *vcpu);

/* ioeventfd and coalesced zones; ioctl arguments are checked here. Process context. */
int lhv_ioeventfd(struct lhv_vm *vm, const struct kvm_ioeventfd *args);

/* Zones are devices on the buses; the ring is theirs. */
struct lhv_coalesced {
	raw_spinlock_t ring_lock;
	struct page *ring;		/* I the same page in every vCPU's mmap */
};

int lhv_coalesced_register(struct lhv_vm *vm, const struct kvm_coalesced_mmio_zone *zone);
int lhv_coalesced_unregister(struct lhv_vm *vm, const struct kvm_coalesced_mmio_zone *zone);

int lhv_bus_init_vm(struct lhv_vm *vm);
void lhv_bus_destroy_vm(struct lhv_vm *vm);	/* buses, ioeventfds, zones, ring */

#endif
