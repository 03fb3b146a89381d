// SPDX-License-Identifier: GPL-2.0
/* The listener's side of management: see mgmt.h. Raw receives, so that a full buffer is seen. */
#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "mgmt.h"
#include "mgmt_priv.h"
#include "vmctl.h"

#define BUFFER_SIZE	(1 << 18)	/* for bursts of events */
#define MESSAGE_MAX	8192

static const struct {
	const char *name;
	int attr;
} regs[] = {
	{ "rip", LHV_A_REGS_RIP }, { "rflags", LHV_A_REGS_RFLAGS },
	{ "rax", LHV_A_REGS_RAX }, { "rbx", LHV_A_REGS_RBX },
	{ "rcx", LHV_A_REGS_RCX }, { "rdx", LHV_A_REGS_RDX },
	{ "rsi", LHV_A_REGS_RSI }, { "rdi", LHV_A_REGS_RDI },
	{ "rbp", LHV_A_REGS_RBP }, { "rsp", LHV_A_REGS_RSP },
	{ "r8", LHV_A_REGS_R8 }, { "r9", LHV_A_REGS_R9 },
	{ "r10", LHV_A_REGS_R10 }, { "r11", LHV_A_REGS_R11 },
	{ "r12", LHV_A_REGS_R12 }, { "r13", LHV_A_REGS_R13 },
	{ "r14", LHV_A_REGS_R14 }, { "r15", LHV_A_REGS_R15 },
	{ "cr0", LHV_A_REGS_CR0 }, { "cr2", LHV_A_REGS_CR2 },
	{ "cr3", LHV_A_REGS_CR3 }, { "cr4", LHV_A_REGS_CR4 },
	{ "efer", LHV_A_REGS_EFER },
};

static int join(struct mgmt *m, const char *group)
{
	int id = genl_ctrl_resolve_grp(m->sk, LHV_FAMILY_NAME, group);

	if (id < 0)
		return -ENOENT;
	if (setsockopt(nl_socket_get_fd(m->sk), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &id,
		       sizeof(id)) < 0)
		return -errno;
	return 0;
}

/**
 * mgmt_listen() - be told of events from now on
 * @m: connection, used for nothing else afterwards
 * @vms: of VMs
 * @vcpus: of vCPUs
 *
 * Return: 0, or -errno with the error reported.
 */
int mgmt_listen(struct mgmt *m, bool vms, bool vcpus)
{
	int ret = 0;

	nl_socket_set_buffer_size(m->sk, BUFFER_SIZE, 0);
	if (vms)
		ret = join(m, "vm");
	if (!ret && vcpus)
		ret = join(m, "vcpu");
	if (ret == -EPERM)
		report("events: on this kernel only root may listen");
	else if (ret)
		report_errno(-ret, "cannot listen to events");
	return ret;
}

int mgmt_fd(struct mgmt *m)
{
	return nl_socket_get_fd(m->sk);
}

static void parse_regs(struct mgmt_event *e, struct nlattr *nest)
{
	struct nlattr *tb[LHV_A_REGS_MAX + 1];
	size_t i;

	if (!nest || nla_parse_nested(tb, LHV_A_REGS_MAX, nest, NULL) < 0)
		return;
	for (i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		if (!tb[regs[i].attr])
			continue;
		e->regs[e->nregs].name = regs[i].name;
		e->regs[e->nregs++].value = mgmt_u64(tb, regs[i].attr);
	}
}

static bool parse_event(struct mgmt_event *e, struct nlmsghdr *h)
{
	struct nlattr *tb[LHV_A_VM_MAX + 1];
	struct genlmsghdr *g = nlmsg_data(h);

	memset(e, 0, sizeof(*e));
	e->vcpu_id = -1;
	e->suberror = -1;
	if (genlmsg_parse(h, 0, tb, LHV_A_VM_MAX, NULL) < 0)
		return false;
	if (g->cmd == LHV_CMD_VCPU_EVENT) {
		e->vcpu = true;
		e->event = mgmt_u32(tb, LHV_A_VCPU_EVENT);
		e->time = mgmt_u64(tb, LHV_A_VCPU_TIME);
		e->vm.id = mgmt_u64(tb, LHV_A_VCPU_VM_ID);
		e->vcpu_id = mgmt_u32(tb, LHV_A_VCPU_ID);
		return true;
	}
	if (g->cmd != LHV_CMD_VM_EVENT)
		return false;
	mgmt_parse_vm(&e->vm, tb);
	e->event = mgmt_u32(tb, LHV_A_VM_EVENT);
	e->time = mgmt_u64(tb, LHV_A_VM_TIME);
	e->reason = mgmt_u32(tb, LHV_A_VM_REASON);
	e->exit_reason = mgmt_u32(tb, LHV_A_VM_EXIT_REASON);
	if (tb[LHV_A_VM_VCPU_ID])
		e->vcpu_id = mgmt_u32(tb, LHV_A_VM_VCPU_ID);
	if (tb[LHV_A_VM_SUBERROR])
		e->suberror = mgmt_u32(tb, LHV_A_VM_SUBERROR);
	if (tb[LHV_A_VM_OLD_NAME])
		nla_strlcpy(e->old_name, tb[LHV_A_VM_OLD_NAME], sizeof(e->old_name));
	parse_regs(e, tb[LHV_A_VM_REGS]);
	return true;
}

int mgmt_next_event(struct mgmt *m, struct mgmt_event *event, int timeout_ms)
{
	struct pollfd p = { .fd = mgmt_fd(m), .events = POLLIN };
	union {
		struct nlmsghdr h;
		char bytes[MESSAGE_MAX];
	} buf;
	ssize_t n;

	for (;;) {
		n = poll(&p, 1, timeout_ms);
		if (n <= 0)
			return n < 0 ? -errno : 0;
		n = recv(p.fd, &buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && errno == ENOBUFS) {
			memset(event, 0, sizeof(*event));
			event->lost = true;
			return 1;
		}
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n < 0)
			return -errno;
		if (nlmsg_ok(&buf.h, n) && buf.h.nlmsg_type >= NLMSG_MIN_TYPE &&
		    parse_event(event, &buf.h))
			return 1;
	}
}
