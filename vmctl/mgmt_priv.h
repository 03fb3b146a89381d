/* SPDX-License-Identifier: GPL-2.0 */
/* What mgmt.c and mgmt_event.c share. */
#ifndef VMCTL_MGMT_PRIV_H
#define VMCTL_MGMT_PRIV_H

#include "mgmt.h"

struct nl_sock;
struct nlattr;

#define ERROR_MAX	256

struct mgmt {
	struct nl_sock *sk;
	int family;
	char error[ERROR_MAX];
};

uint64_t mgmt_u64(struct nlattr **tb, int attr);
uint32_t mgmt_u32(struct nlattr **tb, int attr);
void mgmt_parse_vm(struct vm_info *vm, struct nlattr **tb);

#endif
