/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The few ioctls of /dev/lhv that KVM has no word for. All are the VM fd's. On another
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

#endif
