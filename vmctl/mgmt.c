// SPDX-License-Identifier: GPL-2.0
/* Management on libnl: see mgmt.h. */
#include <ctype.h>
#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt.h"
#include "mgmt_priv.h"
#include "vmctl.h"

#define DUMP_TRIES	4

/* ---- names ---- */

#define NAME(table, i)	((i) < sizeof(table) / sizeof((table)[0]) ? (table)[i] : "unknown")

const char *vm_state_name(uint32_t state)
{
	static const char * const names[] = {
		"created", "running", "stopping", "paused", "crashed", "killed",
	};

	return NAME(names, state);
}

const char *vcpu_state_name(uint32_t state)
{
	static const char * const names[] = {
		"outside", "running", "halted", "waiting", "paused", "queued",
	};

	return NAME(names, state);
}

const char *vm_event_name(uint32_t event)
{
	static const char * const names[] = {
		"created", "ready", "paused", "resumed", "stop-requested", "stopped",
		"crashed", "renamed", "owner-gone",
	};

	return NAME(names, event);
}

const char *vcpu_event_name(uint32_t event)
{
	static const char * const names[] = { "added", "stuck" };

	return NAME(names, event);
}

const char *stop_reason_name(uint32_t reason)
{
	static const char * const names[] = { "closed", "killed", "bug" };

	return NAME(names, reason);
}

/* ---- talking ---- */

static int on_ack(struct nl_msg *msg, void *arg)
{
	(void)msg;
	*(int *)arg = 0;
	return NL_STOP;
}

static int on_finish(struct nl_msg *msg, void *arg)
{
	(void)msg;
	*(int *)arg = 0;
	return NL_SKIP;
}

struct verdict {
	struct mgmt *m;
	int *ret;
};

/* A refusal; the message for people is behind the copy of our request. */
static int on_error(struct sockaddr_nl *addr, struct nlmsgerr *err, void *arg)
{
	const struct nlmsghdr *h = (const void *)((char *)err - NLMSG_HDRLEN);
	struct nlattr *tb[NLMSGERR_ATTR_MAX + 1];
	struct verdict *v = arg;
	size_t skip = sizeof(*err);

	(void)addr;
	*v->ret = err->error;
	v->m->error[0] = '\0';
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return NL_STOP;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		skip += err->msg.nlmsg_len - NLMSG_HDRLEN;
	skip = NLMSG_ALIGN(skip);
	if (h->nlmsg_len <= NLMSG_HDRLEN + skip ||
	    nla_parse(tb, NLMSGERR_ATTR_MAX, (void *)((char *)err + skip),
		      h->nlmsg_len - NLMSG_HDRLEN - skip, NULL) < 0)
		return NL_STOP;
	if (tb[NLMSGERR_ATTR_MSG])
		snprintf(v->m->error, sizeof(v->m->error), "%s",
			 nla_get_string(tb[NLMSGERR_ATTR_MSG]));
	return NL_STOP;
}

/* Sends @msg and consumes it. 0 or -errno. */
int mgmt_talk(struct mgmt *m, struct nl_msg *msg, nl_recvmsg_msg_cb_t fn, void *arg)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int ret = 1, err;
	struct verdict v = { .m = m, .ret = &ret };

	if (!msg || !cb) {
		nlmsg_free(msg);
		nl_cb_put(cb);
		return -ENOMEM;
	}
	m->error[0] = '\0';
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, &v);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, &ret);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, &ret);
	if (fn)
		nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, fn, arg);
	err = nl_send_auto(m->sk, msg);
	if (err < 0)
		ret = -EIO;
	while (ret > 0) {
		err = nl_recvmsgs(m->sk, cb);
		if (err == -NLE_DUMP_INTR) {
			ret = -EAGAIN;
		} else if (err < 0 && ret > 0) {
			snprintf(m->error, sizeof(m->error), "netlink: %s", nl_geterror(err));
			ret = -EIO;
		}
	}
	nl_cb_put(cb);
	nlmsg_free(msg);
	return ret;
}

struct nl_msg *mgmt_request(struct mgmt *m, int cmd, int flags)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (msg && !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, m->family, 0, flags, cmd,
				LHV_FAMILY_VERSION)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

/* The last refusal in the kernel's words, or "". */
const char *mgmt_error(const struct mgmt *m)
{
	return m->error;
}

/**
 * mgmt_open() - connect to the module
 * @quiet: report no error
 *
 * Return: the connection, or NULL.
 */
struct mgmt *mgmt_open(bool quiet)
{
	struct mgmt *m = calloc(1, sizeof(*m));
	int one = 1;

	if (!m)
		return NULL;
	m->sk = nl_socket_alloc();
	if (!m->sk || genl_connect(m->sk) < 0) {
		if (!quiet)
			report("cannot open a netlink socket");
		goto err;
	}
	setsockopt(nl_socket_get_fd(m->sk), SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	m->family = genl_ctrl_resolve(m->sk, LHV_FAMILY_NAME);
	if (m->family < 0) {
		if (!quiet)
			report("the module isn't loaded; load it with: modprobe lhv");
		goto err;
	}
	return m;
err:
	mgmt_close(m);
	return NULL;
}

void mgmt_close(struct mgmt *m)
{
	if (!m)
		return;
	nl_socket_free(m->sk);
	free(m);
}

/* ---- attributes into structs ---- */

uint64_t mgmt_u64(struct nlattr **tb, int attr)
{
	return tb[attr] && nla_len(tb[attr]) == sizeof(uint64_t) ? nla_get_u64(tb[attr]) : 0;
}

uint32_t mgmt_u32(struct nlattr **tb, int attr)
{
	return tb[attr] && nla_len(tb[attr]) == sizeof(uint32_t) ? nla_get_u32(tb[attr]) : 0;
}

static void get_str(char *to, size_t room, struct nlattr **tb, int attr)
{
	to[0] = '\0';
	if (tb[attr])
		nla_strlcpy(to, tb[attr], room);
}

static void parse_owner(struct vm_info *vm, struct nlattr *nest)
{
	struct nlattr *tb[LHV_A_OWNER_MAX + 1];
	char *c;

	if (!nest || nla_parse_nested(tb, LHV_A_OWNER_MAX, nest, NULL) < 0)
		return;
	vm->pid = mgmt_u32(tb, LHV_A_OWNER_PID);
	vm->uid = mgmt_u32(tb, LHV_A_OWNER_UID);
	vm->user_ns = mgmt_u32(tb, LHV_A_OWNER_USER_NS);
	vm->start_time = mgmt_u64(tb, LHV_A_OWNER_START_TIME);
	vm->cgroup = mgmt_u64(tb, LHV_A_OWNER_CGROUP);
	vm->owner_gone = tb[LHV_A_OWNER_GONE];
	get_str(vm->comm, sizeof(vm->comm), tb, LHV_A_OWNER_COMM);
	/* Any bytes, as the process chose: not for a terminal, nor for JSON. */
	for (c = vm->comm; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

void mgmt_parse_vm(struct vm_info *vm, struct nlattr **tb)
{
	memset(vm, 0, sizeof(*vm));
	vm->id = mgmt_u64(tb, LHV_A_VM_ID);
	get_str(vm->name, sizeof(vm->name), tb, LHV_A_VM_NAME);
	vm->state = mgmt_u32(tb, LHV_A_VM_STATE);
	vm->vcpus = mgmt_u32(tb, LHV_A_VM_VCPUS);
	vm->memory = mgmt_u64(tb, LHV_A_VM_MEMORY);
	vm->resident = mgmt_u64(tb, LHV_A_VM_RESIDENT);
	vm->tables = mgmt_u64(tb, LHV_A_VM_TABLES);
	vm->created = mgmt_u64(tb, LHV_A_VM_CREATED);
	mgmt_parse_sched(&vm->sched, tb[LHV_A_VM_SCHED]);
	vm->can_stop = tb[LHV_A_VM_CAN_STOP];
	parse_owner(vm, tb[LHV_A_VM_OWNER]);
}

static int on_vm(struct nl_msg *msg, void *arg)
{
	struct nlattr *tb[LHV_A_VM_MAX + 1];

	if (!genlmsg_parse(nlmsg_hdr(msg), 0, tb, LHV_A_VM_MAX, NULL))
		mgmt_parse_vm(arg, tb);
	return NL_OK;
}

static int on_list(struct nl_msg *msg, void *arg)
{
	struct nlattr *tb[LHV_A_VM_MAX + 1];
	struct vm_list *list = arg;
	struct vm_info *more;

	if (genlmsg_parse(nlmsg_hdr(msg), 0, tb, LHV_A_VM_MAX, NULL))
		return NL_OK;
	if (list->n == list->room) {
		list->room = list->room ? 2 * list->room : 16;
		more = realloc(list->vm, list->room * sizeof(*more));
		if (!more)
			return -NLE_NOMEM;
		list->vm = more;
	}
	mgmt_parse_vm(&list->vm[list->n++], tb);
	return NL_OK;
}

void vm_list_free(struct vm_list *list)
{
	free(list->vm);
	memset(list, 0, sizeof(*list));
}

/**
 * mgmt_list() - all VMs that we may see, by id
 * @m: connection
 * @list: result; vm_list_free() it
 *
 * VMs that come and go meanwhile make us ask again, a few times; then the list is one that
 * has each VM that lived throughout.
 *
 * Return: 0, or -errno with the error reported.
 */
int mgmt_list(struct mgmt *m, struct vm_list *list)
{
	int ret = -EAGAIN, i;

	for (i = 0; i < DUMP_TRIES && ret == -EAGAIN; i++) {
		memset(list, 0, sizeof(*list));
		ret = mgmt_talk(m, mgmt_request(m, LHV_CMD_VM_GET, NLM_F_DUMP), on_list, list);
		if (ret == -EAGAIN && i + 1 < DUMP_TRIES)
			vm_list_free(list);
	}
	list->interrupted = ret == -EAGAIN;
	if (!ret || ret == -EAGAIN)
		return 0;
	vm_list_free(list);
	report_errno(-ret, "cannot list VMs%s%s", *m->error ? ": " : "", m->error);
	return ret;
}

int mgmt_get(struct mgmt *m, uint64_t id, struct vm_info *vm)
{
	struct nl_msg *msg = mgmt_request(m, LHV_CMD_VM_GET, 0);

	memset(vm, 0, sizeof(*vm));
	if (msg && nla_put_u64(msg, LHV_A_VM_ID, id) < 0) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	return mgmt_talk(m, msg, on_vm, vm);
}

static bool is_number(const char *s)
{
	size_t i;

	for (i = 0; s[i]; i++)
		if (!isdigit((unsigned char)s[i]))
			return false;
	return i > 0;
}

/* Is this the VM that the user means? Names never begin with a digit. */
bool vm_matches(const struct vm_info *vm, const char *id_or_name)
{
	if (is_number(id_or_name))
		return vm->id == strtoull(id_or_name, NULL, 10);
	return !strcmp(vm->name, id_or_name);
}

/**
 * mgmt_find() - the VM that the user means
 * @m: connection
 * @id_or_name: what he typed
 * @vm: result
 *
 * Return: 0, or -errno with the error reported.
 */
int mgmt_find(struct mgmt *m, const char *id_or_name, struct vm_info *vm)
{
	struct nl_msg *msg;
	int ret;

	if (is_number(id_or_name)) {
		ret = mgmt_get(m, strtoull(id_or_name, NULL, 10), vm);
	} else {
		msg = mgmt_request(m, LHV_CMD_VM_GET, 0);
		memset(vm, 0, sizeof(*vm));
		if (msg && (strlen(id_or_name) > LHV_NAME_MAX ||
			    nla_put_string(msg, LHV_A_VM_NAME, id_or_name) < 0)) {
			nlmsg_free(msg);
			report("%s: no VM has such a name", id_or_name);
			return -ENOENT;
		}
		ret = mgmt_talk(m, msg, on_vm, vm);
	}
	if (ret)
		report("%s: %s", id_or_name, *m->error ? m->error : strerror(-ret));
	return ret;
}

/**
 * mgmt_command() - pause, resume, stop, kill
 * @m: connection
 * @cmd: LHV_CMD_VM_*
 * @id: the VM
 *
 * Return: 0 or -errno; mgmt_error() has the reason.
 */
int mgmt_command(struct mgmt *m, int cmd, uint64_t id)
{
	struct nl_msg *msg = mgmt_request(m, cmd, 0);

	if (msg && nla_put_u64(msg, LHV_A_VM_ID, id) < 0) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	return mgmt_talk(m, msg, NULL, NULL);
}

int mgmt_rename(struct mgmt *m, uint64_t id, const char *name)
{
	struct nl_msg *msg = mgmt_request(m, LHV_CMD_VM_SET, 0);

	if (msg && (nla_put_u64(msg, LHV_A_VM_ID, id) < 0 ||
		    nla_put_string(msg, LHV_A_VM_NAME, name) < 0)) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	return mgmt_talk(m, msg, NULL, NULL);
}

/* ---- vCPUs ---- */

struct vcpu_sink {
	struct vcpu_info *vcpus;
	size_t n, room;
};

static int on_vcpu(struct nl_msg *msg, void *arg)
{
	struct nlattr *tb[LHV_A_VCPU_MAX + 1];
	struct vcpu_sink *sink = arg;
	struct vcpu_info *v;

	if (genlmsg_parse(nlmsg_hdr(msg), 0, tb, LHV_A_VCPU_MAX, NULL) ||
	    sink->n == sink->room)
		return NL_OK;
	v = &sink->vcpus[sink->n++];
	v->id = mgmt_u32(tb, LHV_A_VCPU_ID);
	v->state = mgmt_u32(tb, LHV_A_VCPU_STATE);
	v->thread = mgmt_u32(tb, LHV_A_VCPU_THREAD);
	v->cpu = tb[LHV_A_VCPU_CPU] ? (int)mgmt_u32(tb, LHV_A_VCPU_CPU) : -1;
	return NL_OK;
}

int mgmt_vcpus(struct mgmt *m, uint64_t id, struct vcpu_info *vcpus, size_t room, size_t *n)
{
	struct nl_msg *msg = mgmt_request(m, LHV_CMD_VCPU_GET, NLM_F_DUMP);
	struct vcpu_sink sink = { vcpus, 0, room };
	int ret;

	if (msg && nla_put_u64(msg, LHV_A_VCPU_VM_ID, id) < 0) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	ret = mgmt_talk(m, msg, on_vcpu, &sink);
	*n = sink.n;
	return ret == -EAGAIN ? 0 : ret;
}

/* ---- counters ---- */

#define FIELD(name, attr, vm_only) \
	{ #name, offsetof(struct vm_stats, name), LHV_A_STATS_##attr, vm_only }

const struct stats_field *stats_fields(size_t *n)
{
	static const struct stats_field fields[] = {
		FIELD(total_exits, TOTAL_EXITS, false),
		FIELD(injections, INJECTIONS, false),
		FIELD(halts, HALTS, false),
		FIELD(halt_poll_hits, HALT_POLL_HITS, false),
		FIELD(wait_ns, WAIT_NS, false),
		FIELD(run_ns, RUN_NS, false),
		FIELD(host_ns, HOST_NS, false),
		FIELD(steal_ns, STEAL_NS, false),
		FIELD(faults, FAULTS, false),
		FIELD(read_faults, READ_FAULTS, false),
		FIELD(write_faults, WRITE_FAULTS, false),
		FIELD(exec_faults, EXEC_FAULTS, false),
		FIELD(protected_faults, PROTECTED_FAULTS, false),
		FIELD(mmio_faults, MMIO_FAULTS, false),
		FIELD(tlb_flushes, TLB_FLUSHES, false),
		FIELD(pages_4k, PAGES_4K, true),
		FIELD(pages_2m, PAGES_2M, true),
		FIELD(pages_1g, PAGES_1G, true),
		FIELD(resident, RESIDENT, true),
		FIELD(tables, TABLES, true),
		FIELD(dirty_pages, DIRTY_PAGES, true),
	};

	*n = sizeof(fields) / sizeof(fields[0]);
	return fields;
}

static void parse_exit(struct vm_stats *s, struct nlattr *nest)
{
	struct nlattr *tb[LHV_A_EXIT_COUNT_MAX + 1];
	struct exit_count *e = &s->exits[s->nexits];

	if (s->nexits == REASONS_MAX ||
	    nla_parse_nested(tb, LHV_A_EXIT_COUNT_MAX, nest, NULL) < 0)
		return;
	get_str(e->reason, sizeof(e->reason), tb, LHV_A_EXIT_COUNT_REASON);
	e->count = mgmt_u64(tb, LHV_A_EXIT_COUNT_COUNT);
	e->has_latency = tb[LHV_A_EXIT_COUNT_LATENCY] &&
		nla_len(tb[LHV_A_EXIT_COUNT_LATENCY]) == sizeof(e->latency);
	if (e->has_latency)
		memcpy(e->latency, nla_data(tb[LHV_A_EXIT_COUNT_LATENCY]), sizeof(e->latency));
	s->nexits++;
}

static int on_stats(struct nl_msg *msg, void *arg)
{
	struct nlattr *tb[LHV_A_STATS_MAX + 1], *a;
	const struct stats_field *f;
	struct vm_stats *s = arg;
	int rem;
	size_t i, n;

	if (genlmsg_parse(nlmsg_hdr(msg), 0, tb, LHV_A_STATS_MAX, NULL))
		return NL_OK;
	s->vm_id = mgmt_u64(tb, LHV_A_STATS_VM_ID);
	s->vcpu_id = tb[LHV_A_STATS_VCPU_ID] ? (int)mgmt_u32(tb, LHV_A_STATS_VCPU_ID) : -1;
	f = stats_fields(&n);
	for (i = 0; i < n; i++)
		*(uint64_t *)((char *)s + f[i].offset) = mgmt_u64(tb, f[i].attr);
	nlmsg_for_each_attr(a, nlmsg_hdr(msg), GENL_HDRLEN, rem) {
		if (nla_type(a) == LHV_A_STATS_EXITS)
			parse_exit(s, a);
	}
	return NL_OK;
}

/**
 * mgmt_stats() - counters of a VM or of a vCPU
 * @m: connection
 * @id: the VM
 * @vcpu: the vCPU's id, or -1
 * @stats: result
 *
 * Return: 0 or -errno; mgmt_error() has the reason.
 */
int mgmt_stats(struct mgmt *m, uint64_t id, int vcpu, struct vm_stats *stats)
{
	struct nl_msg *msg = mgmt_request(m, LHV_CMD_STATS_GET, 0);

	memset(stats, 0, sizeof(*stats));
	if (msg && (nla_put_u64(msg, LHV_A_STATS_VM_ID, id) < 0 ||
		    (vcpu >= 0 && nla_put_u32(msg, LHV_A_STATS_VCPU_ID, vcpu) < 0))) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	return mgmt_talk(m, msg, on_stats, stats);
}

static int on_host(struct nl_msg *msg, void *arg)
{
	struct nlattr *tb[LHV_A_HOST_MAX + 1];

	if (!genlmsg_parse(nlmsg_hdr(msg), 0, tb, LHV_A_HOST_MAX, NULL))
		*(uint32_t *)arg = mgmt_u32(tb, LHV_A_HOST_VMS);
	return NL_OK;
}

/* How many VMs are there that we may see? 0 or -errno. */
int mgmt_host_vms(struct mgmt *m, uint32_t *vms)
{
	*vms = 0;
	return mgmt_talk(m, mgmt_request(m, LHV_CMD_HOST_GET, 0), on_host, vms);
}
