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

/* Sends @msg and consumes it; @fn gets what comes back. 0 or -errno. */
int mgmt_talk(struct mgmt *m, struct nl_msg *msg, nl_recvmsg_msg_cb_t fn, void *arg);
struct nl_msg *mgmt_request(struct mgmt *m, int cmd, int flags);
void mgmt_parse_sched(struct sched_info *s, struct nlattr *nest);

#endif
