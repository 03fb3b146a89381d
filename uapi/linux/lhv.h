/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The few ioctls of /dev/lhv that KVM has no word for, of the VM's fd and of a device's. On another
 * hypervisor's device they fail with ENOTTY.
 */
#ifndef _UAPI_LINUX_LHV_H
#define _UAPI_LINUX_LHV_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define LHVIO	0xBD

/*
 * LHV_GET_VM_ID - by what id the netlink family (lhv_netlink.h) knows this VM
 *
 * It is in /proc/PID/fdinfo/FD of the VM's fd, too.
 */
#define LHV_GET_VM_ID		_IOR(LHVIO, 0x00, __u64)

/*
 * LHV_SET_STOP_EVENTFD - an eventfd by which the VMM wants to be asked to stop the VM
 *
 * -1 for none, as at first. Without one vm-stop is refused. EBADF, EINVAL: not an eventfd.
 */
#define LHV_SET_STOP_EVENTFD	_IOW(LHVIO, 0x01, __s32)

/*
 * ---- devices that were attached to the VM (device-attach of lhv_netlink.h) ----
 *
 * While a VM has one its memory is pinned, and KVM_CAP_SYNC_MMU of the VM's fd is 0: no page may be
 * taken away or exchanged (a balloon, MADV_DONTNEED), as the device would keep the old one.
 */

/**
 * struct lhv_device_address - where a PCI function is on the host
 * @domain: PCI domain (segment)
 * @bus: bus
 * @devfn: device times 8 plus function
 * @reserved: 0
 */
struct lhv_device_address {
	__u32 domain;
	__u8 bus;
	__u8 devfn;
	__u16 reserved;
};

/*
 * LHV_DEVICE_OPEN - the VM's side of a device that is attached to it
 *
 * Returns a new fd, on which the other ioctls of this part work, and mmap() of the BARs: BAR n
 * begins at offset n << LHV_DEVICE_BAR_SHIFT. ENODEV: it is not attached to this VM.
 *
 * When the device is taken away (detached, unbound, unplugged) the fd stays: the ioctls fail with
 * ENODEV, reads of the configuration give all ones, and so does the memory behind mappings until
 * somebody writes there.
 */
#define LHV_DEVICE_OPEN		_IOW(LHVIO, 0x02, struct lhv_device_address)

#define LHV_DEVICE_BARS		6
#define LHV_DEVICE_BAR_SHIFT	40

/**
 * struct lhv_device_info - what the device has
 * @bar_size: sizes of the BARs that can be mapped; 0: none
 * @msix_vectors: how many interrupts MSI-X can give, 0 without MSI-X
 * @msix_bar: the BAR with the MSI-X table, of which these pages can not be mapped
 * @msix_offset: offset of the first page of them
 * @msix_size: bytes of them
 * @intx: it has an interrupt line
 * @msi: it has MSI
 */
struct lhv_device_info {
	__u64 bar_size[LHV_DEVICE_BARS];
	__u64 msix_offset;
	__u64 msix_size;
	__u32 msix_vectors;
	__u32 msix_bar;
	__u32 intx;
	__u32 msi;
};

#define LHV_DEVICE_INFO		_IOR(LHVIO, 0x03, struct lhv_device_info)

/**
 * struct lhv_device_config - an access to the configuration space
 * @offset: register
 * @len: 1, 2 or 4, aligned
 * @write: 1 for a write
 * @reserved: 0
 * @value: what is written, or was read
 *
 * What is not known to be harmless reads as 0 and can't be written. Known are who the device is
 * (vendor, device, class, revision, subsystem), whether it asks for an interrupt (the status
 * register's bit), and of the command register the bits for bus mastering and the interrupt line.
 * BARs and capabilities are the VMM's to make up.
 */
struct lhv_device_config {
	__u16 offset;
	__u8 len;
	__u8 write;
	__u32 reserved;
	__u32 value;
};

#define LHV_DEVICE_CONFIG	_IOWR(LHVIO, 0x04, struct lhv_device_config)

#define LHV_DEVICE_IRQ_NONE	0
#define LHV_DEVICE_IRQ_INTX	1
#define LHV_DEVICE_IRQ_MSI	2
#define LHV_DEVICE_IRQ_MSIX	3

/**
 * struct lhv_device_irq - which kind of interrupts the device sends
 * @type: LHV_DEVICE_IRQ_*
 * @gsi: of INTX: the VM's interrupt that the line is wired to
 *
 * Interrupts go into the guest without the VMM. MSI has one vector. ENOSPC: the host has not
 * enough vectors. EINVAL: the device has no such interrupts; INTX of a VM whose IOAPIC is the VMM's.
 */
struct lhv_device_irq {
	__u32 type;
	__u32 gsi;
};

#define LHV_DEVICE_IRQ		_IOW(LHVIO, 0x05, struct lhv_device_irq)

/**
 * struct lhv_device_vector - the message that a vector of MSI or MSI-X sends
 * @address: as the guest has written it
 * @data: likewise
 * @index: which vector
 * @masked: held back until it is not any more
 * @reserved: 0
 */
struct lhv_device_vector {
	__u64 address;
	__u32 data;
	__u32 index;
	__u32 masked;
	__u32 reserved;
};

#define LHV_DEVICE_VECTOR	_IOW(LHVIO, 0x06, struct lhv_device_vector)

/*
 * LHV_DEVICE_RESET - as when it was attached: without interrupts, messages, bus mastering. ENOTTY: it
 * can't be reset. EAGAIN: the host is busy with it.
 */
#define LHV_DEVICE_RESET	_IO(LHVIO, 0x07)

#endif
