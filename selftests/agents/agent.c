// SPDX-License-Identifier: GPL-2.0
/*
 * An agent on libnl that knows lhv by the header made of its specification alone: every command,
 * on VMs of vmctl and of QEMU at once.
 *
 *	agent VMCTL-VM QEMU-PID
 *
 * As agent.py, which see. TAP.
 */
#include <errno.h>
#include <linux/lhv_netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATIENCE_MS	20000
#define ATTRS		64

static int tests, failed, family;
static struct nl_sock *sk, *ear;
static bool done[256], dumped[256];

static void check(bool good, const char *who, const char *what)
{
	failed += !good;
	printf("%s %d - %s%s%s\n", good ? "ok" : "not ok", ++tests, who, *who ? ": " : "", what);
}

static void give_up(const char *what)
{
	printf("Bail out! %s\n", what);
	exit(1);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
}

/* ---- talking ---- */

/* One message of an answer. */
struct reply {
	struct nlattr *at[ATTRS];
	uint64_t counted;	/* sum over its exit reasons */
};

typedef void (*reply_fn)(const struct reply *r, void *arg);

struct talk {
	reply_fn fn;
	void *arg;
	int ret, replies;
};

static uint64_t u64(const struct reply *r, int attr)
{
	return r->at[attr] ? nla_get_u64(r->at[attr]) : 0;
}

static uint32_t u32(const struct reply *r, int attr)
{
	return r->at[attr] ? nla_get_u32(r->at[attr]) : 0;
}

static const char *text(const struct reply *r, int attr)
{
	return r->at[attr] ? nla_get_string(r->at[attr]) : "";
}

static struct reply nested(const struct reply *r, int attr)
{
	struct reply n = { 0 };

	if (r->at[attr])
		nla_parse_nested(n.at, ATTRS - 1, r->at[attr], NULL);
	return n;
}

static struct reply parse(struct nl_msg *msg)
{
	struct reply r = { 0 }, e;
	struct nlattr *a;
	int rem;

	if (genlmsg_parse(nlmsg_hdr(msg), 0, r.at, ATTRS - 1, NULL))
		give_up("an answer that cannot be parsed");
	if (genlmsg_hdr(nlmsg_hdr(msg))->cmd != LHV_CMD_STATS_GET)
		return r;
	nlmsg_for_each_attr(a, nlmsg_hdr(msg), GENL_HDRLEN, rem) {
		if (nla_type(a) != LHV_A_STATS_EXITS)
			continue;
		memset(&e, 0, sizeof(e));
		nla_parse_nested(e.at, ATTRS - 1, a, NULL);
		r.counted += u64(&e, LHV_A_EXIT_COUNT_COUNT);
	}
	return r;
}

static int on_valid(struct nl_msg *msg, void *arg)
{
	struct talk *t = arg;
	struct reply r = parse(msg);

	t->replies++;
	if (t->fn)
		t->fn(&r, t->arg);
	return NL_OK;
}

static int on_end(struct nl_msg *msg, void *arg)
{
	(void)msg;
	*(int *)arg = 0;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *addr, struct nlmsgerr *err, void *arg)
{
	(void)addr;
	*(int *)arg = err->error;
	return NL_STOP;
}

static struct nl_msg *request(int cmd, bool dump)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (!msg || !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0,
				 dump ? NLM_F_DUMP : NLM_F_ACK, cmd, LHV_FAMILY_VERSION))
		give_up("no memory");
	(dump ? dumped : done)[cmd] = true;
	return msg;
}

/* Sends @msg and consumes it. Return: replies, or -errno. */
static int talk(struct nl_msg *msg, reply_fn fn, void *arg)
{
	struct talk t = { fn, arg, 1, 0 };
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);

	if (!cb)
		give_up("no memory");
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, &t);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_end, &t.ret);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_end, &t.ret);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, &t.ret);
	if (nl_send_auto(sk, msg) < 0)
		give_up("cannot send");
	while (t.ret > 0)
		if (nl_recvmsgs(sk, cb) < 0 && t.ret > 0)
			give_up("cannot receive");
	nl_cb_put(cb);
	nlmsg_free(msg);
	return t.ret ? t.ret : t.replies;
}

static int on_vm(int cmd, uint64_t id)
{
	struct nl_msg *msg = request(cmd, false);

	nla_put_u64(msg, LHV_A_VM_ID, id);
	return talk(msg, NULL, NULL);
}

static void keep_u64(const struct reply *r, uint64_t *to, int attr)
{
	*to = u64(r, attr);
}

static void get_state(const struct reply *r, void *arg)
{
	*(uint32_t *)arg = u32(r, LHV_A_VM_STATE);
}

static uint32_t state(uint64_t id)
{
	struct nl_msg *msg = request(LHV_CMD_VM_GET, false);
	uint32_t s = ~0U;

	nla_put_u64(msg, LHV_A_VM_ID, id);
	talk(msg, get_state, &s);
	return s;
}

static void get_exits(const struct reply *r, void *arg)
{
	keep_u64(r, arg, LHV_A_STATS_TOTAL_EXITS);
}

static uint64_t exits(uint64_t id)
{
	struct nl_msg *msg = request(LHV_CMD_STATS_GET, false);
	uint64_t n = 0;

	nla_put_u64(msg, LHV_A_STATS_VM_ID, id);
	talk(msg, get_exits, &n);
	return n;
}

static bool go_on(uint64_t id, uint64_t from)
{
	int64_t end = now_ms() + PATIENCE_MS;

	while (exits(id) <= from && now_ms() < end)
		nap();
	return exits(id) > from;
}

/* ---- events ---- */

struct heard {
	uint64_t id;
	uint32_t event, reason;
	char name[LHV_NAME_MAX + 1], old[LHV_NAME_MAX + 1];
	bool any;
};

static int on_event(struct nl_msg *msg, void *arg)
{
	struct heard *h = arg;
	struct reply r;

	if (genlmsg_hdr(nlmsg_hdr(msg))->cmd != LHV_CMD_VM_EVENT)
		return NL_OK;
	r = parse(msg);
	if (u64(&r, LHV_A_VM_ID) != h->id)
		return NL_OK;
	h->any = true;
	h->event = u32(&r, LHV_A_VM_EVENT);
	h->reason = u32(&r, LHV_A_VM_REASON);
	snprintf(h->name, sizeof(h->name), "%s", text(&r, LHV_A_VM_NAME));
	snprintf(h->old, sizeof(h->old), "%s", text(&r, LHV_A_VM_OLD_NAME));
	return NL_OK;
}

/* The next event of that VM has to be this one. */
static struct heard event(uint64_t id, uint32_t which, const char *who, const char *what)
{
	struct pollfd p = { .fd = nl_socket_get_fd(ear), .events = POLLIN };
	int64_t end = now_ms() + PATIENCE_MS;
	struct heard h = { .id = id };
	int ret = 0;

	nl_socket_modify_cb(ear, NL_CB_VALID, NL_CB_CUSTOM, on_event, &h);
	while (!h.any && ret >= 0 && now_ms() < end && poll(&p, 1, end - now_ms()) > 0)
		ret = nl_recvmsgs_default(ear);
	check(h.any && h.event == which, who, what);
	if (ret < 0)
		printf("# %s\n", nl_geterror(ret));
	else if (!h.any)
		printf("# no event came\n");
	else if (h.event != which)
		printf("# event %u came, not %u\n", h.event, which);
	return h;
}

static struct nl_sock *connection(void)
{
	struct nl_sock *s = nl_socket_alloc();

	if (!s || genl_connect(s) < 0)
		give_up("no netlink");
	return s;
}

static void open_all(void)
{
	static const char * const groups[] = { "vm", "vcpu" };
	unsigned int i;
	int group;

	sk = connection();
	ear = connection();
	family = genl_ctrl_resolve(sk, LHV_FAMILY_NAME);
	if (family < 0)
		give_up("no family");
	nl_socket_disable_seq_check(ear);
	for (i = 0; i < 2; i++) {
		group = genl_ctrl_resolve_grp(sk, LHV_FAMILY_NAME, groups[i]);
		check(group > 0 && !nl_socket_add_membership(ear, group), "group", groups[i]);
	}
}

/* ---- what there is ---- */

struct found {
	const char *name;
	uint32_t pid;
	uint64_t mine, qemu, last;
	bool ordered, mine_stops, qemu_stops;
	char mine_comm[16], qemu_comm[16];
};

static void find(const struct reply *r, void *arg)
{
	struct reply owner = nested(r, LHV_A_VM_OWNER);
	struct found *f = arg;
	uint64_t id = u64(r, LHV_A_VM_ID);

	f->ordered &= id > f->last;
	f->last = id;
	if (!strcmp(text(r, LHV_A_VM_NAME), f->name)) {
		f->mine = id;
		f->mine_stops = r->at[LHV_A_VM_CAN_STOP];
		snprintf(f->mine_comm, sizeof(f->mine_comm), "%s", text(&owner, LHV_A_OWNER_COMM));
	} else if (u32(&owner, LHV_A_OWNER_PID) == f->pid) {
		f->qemu = id;
		f->qemu_stops = r->at[LHV_A_VM_CAN_STOP];
		snprintf(f->qemu_comm, sizeof(f->qemu_comm), "%s", text(&owner, LHV_A_OWNER_COMM));
	}
}

static void on_host(const struct reply *r, void *arg)
{
	*(bool *)arg = u32(r, LHV_A_HOST_API_VERSION) == 12 && u32(r, LHV_A_HOST_VMS) >= 2 &&
		       r->at[LHV_A_HOST_FEATURES] && *text(r, LHV_A_HOST_BACKEND);
}

static int count(int attr, uint32_t value)
{
	struct nl_msg *msg = request(LHV_CMD_VM_GET, true);

	if (attr)
		nla_put_u32(msg, attr, value);
	return talk(msg, NULL, NULL);
}

static struct found look_around(const char *name, uint32_t pid)
{
	struct found f = { .name = name, .pid = pid, .ordered = true };
	struct nl_msg *msg = request(LHV_CMD_HOST_GET, false);
	bool good = false;
	int all;

	nla_put_flag(msg, LHV_A_HOST_VERBOSE);
	talk(msg, on_host, &good);
	check(good, "", "host-get");
	all = talk(request(LHV_CMD_VM_GET, true), find, &f);
	if (!f.mine || !f.qemu)
		give_up("the two VMs are not listed");
	check(f.ordered, "", "vm-get lists both, in the order of ids");
	check(!strcmp(f.mine_comm, "vmctl") && !strncmp(f.qemu_comm, "qemu-system", 11), "",
	      "they are known by their VMMs");
	check(f.mine_stops && !f.qemu_stops, "", "who can be asked to stop");
	check(count(LHV_A_VM_UID, 0) == all && count(LHV_A_VM_UID, 54321) == 0, "", "filter uid");
	check(count(LHV_A_VM_STATE, LHV_VM_STATE_RUNNING) >= 2 &&
	      count(LHV_A_VM_STATE, LHV_VM_STATE_CRASHED) == 0, "", "filter state");
	msg = request(LHV_CMD_VM_GET, true);
	nla_put_string(msg, LHV_A_VM_NAME, name);
	check(talk(msg, NULL, NULL) == 1, "", "filter name");
	check(on_vm(LHV_CMD_VM_PAUSE, f.last + 1000) == -ENOENT, "", "there is no such VM");
	return f;
}

/* ---- what can be done ---- */

static int rename_to(uint64_t id, const char *name)
{
	struct nl_msg *msg = request(LHV_CMD_VM_SET, false);

	nla_put_u64(msg, LHV_A_VM_ID, id);
	nla_put_string(msg, LHV_A_VM_NAME, name);
	return talk(msg, NULL, NULL);
}

struct vcpus {
	int n, paused, threads;
};

static void on_vcpu(const struct reply *r, void *arg)
{
	struct vcpus *v = arg;

	v->n++;
	v->paused += u32(r, LHV_A_VCPU_STATE) == LHV_VCPU_STATE_PAUSED;
	v->threads += !!r->at[LHV_A_VCPU_THREAD];
}

static struct vcpus vcpus(uint64_t id)
{
	struct nl_msg *msg = request(LHV_CMD_VCPU_GET, true);
	struct vcpus v = { 0 };

	nla_put_u64(msg, LHV_A_VCPU_VM_ID, id);
	talk(msg, on_vcpu, &v);
	return v;
}

static bool all_paused(uint64_t id)
{
	int64_t end = now_ms() + PATIENCE_MS;
	struct vcpus v;

	do {
		v = vcpus(id);
	} while (v.paused != v.n && now_ms() < end);
	return v.n && v.paused == v.n;
}

static void on_stats(const struct reply *r, void *arg)
{
	*(bool *)arg = r->counted == u64(r, LHV_A_STATS_TOTAL_EXITS) &&
		u64(r, LHV_A_STATS_RESIDENT) && u64(r, LHV_A_STATS_FAULTS) &&
		u64(r, LHV_A_STATS_FAULTS) ==
			u64(r, LHV_A_STATS_READ_FAULTS) + u64(r, LHV_A_STATS_WRITE_FAULTS) +
			u64(r, LHV_A_STATS_EXEC_FAULTS) + u64(r, LHV_A_STATS_PROTECTED_FAULTS);
}

static void look_at(uint64_t id, const char *who)
{
	struct nl_msg *msg = request(LHV_CMD_VCPU_GET, false);
	struct vcpus v = vcpus(id), one = { 0 };
	bool good = false;

	nla_put_u64(msg, LHV_A_VCPU_VM_ID, id);
	nla_put_u32(msg, LHV_A_VCPU_ID, 0);
	talk(msg, on_vcpu, &one);
	check(v.n && v.threads == v.n && one.n == 1, who, "vcpu-get");
	msg = request(LHV_CMD_STATS_GET, false);
	nla_put_u64(msg, LHV_A_STATS_VM_ID, id);
	talk(msg, on_stats, &good);
	check(good, who, "stats-get");
	msg = request(LHV_CMD_STATS_GET, true);
	nla_put_u64(msg, LHV_A_STATS_VM_ID, id);
	check(talk(msg, NULL, NULL) == v.n, who, "stats-get of each vCPU");
	check(talk(request(LHV_CMD_STATS_GET, true), NULL, NULL) >= 2, who, "stats-get of all VMs");
}

static void steer(uint64_t id, const char *name, const char *who)
{
	struct heard h;
	uint64_t n;

	check(go_on(id, 0), who, "its guest makes exits");
	check(rename_to(id, "agents") == 0, who, "renamed");
	h = event(id, LHV_VM_EVENT_RENAMED, who, "event renamed");
	check(!strcmp(h.name, "agents") && (!name || !strcmp(h.old, name)), who, "with both names");
	check(rename_to(id, "a b") == -EINVAL, who, "not a name");
	rename_to(id, h.old);
	event(id, LHV_VM_EVENT_RENAMED, who, "event renamed, back");
	check(on_vm(LHV_CMD_VM_PAUSE, id) == 0, who, "paused");
	event(id, LHV_VM_EVENT_PAUSED, who, "event paused");
	check(state(id) == LHV_VM_STATE_PAUSED && all_paused(id), who, "its vCPUs wait");
	check(on_vm(LHV_CMD_VM_PAUSE, id) == -EALREADY, who, "it is paused already");
	n = exits(id);
	nap();
	check(exits(id) == n, who, "no exit while it is paused");
	check(on_vm(LHV_CMD_VM_RESUME, id) == 0, who, "resumed");
	event(id, LHV_VM_EVENT_RESUMED, who, "event resumed");
	check(on_vm(LHV_CMD_VM_RESUME, id) == -EALREADY, who, "it is not paused");
	check(go_on(id, n), who, "it goes on");
	look_at(id, who);
}

static int set_pool(int flag, const char *policy)
{
	struct nl_msg *msg = request(LHV_CMD_POOL_SET, false);

	nla_put_string(msg, LHV_A_POOL_NAME, "agents");
	if (flag)
		nla_put_flag(msg, flag);
	if (policy)
		nla_put_string(msg, LHV_A_POOL_POLICY, policy);
	return talk(msg, NULL, NULL);
}

static void on_pool(const struct reply *r, void *arg)
{
	if (!strcmp(text(r, LHV_A_POOL_NAME), "agents") &&
	    !strcmp(text(r, LHV_A_POOL_POLICY), "rr"))
		*(uint32_t *)arg = u32(r, LHV_A_POOL_ID);
}

static int move(uint64_t id, uint32_t pool)
{
	struct nl_msg *msg = request(LHV_CMD_VM_SET, false);
	struct nlattr *nest;

	nla_put_u64(msg, LHV_A_VM_ID, id);
	nest = nla_nest_start(msg, LHV_A_VM_SCHED);
	nla_put_u32(msg, LHV_A_SCHED_POOL, pool);
	nla_nest_end(msg, nest);
	return talk(msg, NULL, NULL);
}

static void schedule(uint64_t id)
{
	struct nl_msg *msg;
	uint32_t pool = 0, again = 0;

	check(set_pool(LHV_A_POOL_CREATE, "rr") == 0, "", "a pool is made");
	msg = request(LHV_CMD_POOL_GET, false);
	nla_put_string(msg, LHV_A_POOL_NAME, "agents");
	talk(msg, on_pool, &pool);
	talk(request(LHV_CMD_POOL_GET, true), on_pool, &again);
	check(pool && again == pool, "", "and found, by name and in the list");
	check(move(id, pool) == 0 && set_pool(LHV_A_POOL_REMOVE, NULL) == -EBUSY, "",
	      "a VM is moved there, and keeps it");
	check(move(id, 0) == 0 && set_pool(LHV_A_POOL_REMOVE, NULL) == 0, "", "moved back");
}

static void end(uint64_t mine, uint64_t qemu)
{
	struct heard h;

	check(on_vm(LHV_CMD_VM_STOP, qemu) == -EOPNOTSUPP, "QEMU", "cannot be asked to stop");
	check(on_vm(LHV_CMD_VM_STOP, mine) == 0, "vmctl", "asked to stop");
	event(mine, LHV_VM_EVENT_STOP_REQUESTED, "vmctl", "event stop-requested");
	h = event(mine, LHV_VM_EVENT_STOPPED, "vmctl", "event stopped");
	check(h.reason == LHV_STOP_REASON_CLOSED, "vmctl", "its guest powered off");
	check(on_vm(LHV_CMD_VM_KILL, qemu) == 0, "QEMU", "killed");
	h = event(qemu, LHV_VM_EVENT_STOPPED, "QEMU", "event stopped");
	check(h.reason == LHV_STOP_REASON_KILLED, "QEMU", "because it was killed");
}

/* Commands that this agent has to have done. */
static bool all_done(void)
{
	static const int asked[] = { LHV_CMD_HOST_GET, LHV_CMD_VM_GET, LHV_CMD_VM_SET,
				     LHV_CMD_VM_PAUSE, LHV_CMD_VM_RESUME, LHV_CMD_VM_STOP,
				     LHV_CMD_VM_KILL, LHV_CMD_VCPU_GET, LHV_CMD_STATS_GET,
				     LHV_CMD_POOL_GET, LHV_CMD_POOL_SET };
	static const int listed[] = { LHV_CMD_VM_GET, LHV_CMD_VCPU_GET, LHV_CMD_STATS_GET,
				      LHV_CMD_POOL_GET };
	unsigned int i;

	for (i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		if (!done[asked[i]])
			return false;
	for (i = 0; i < sizeof(listed) / sizeof(listed[0]); i++)
		if (!dumped[listed[i]])
			return false;
	return true;
}

int main(int argc, char **argv)
{
	struct found f;

	if (argc != 3) {
		fprintf(stderr, "usage: agent VMCTL-VM QEMU-PID\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	open_all();
	f = look_around(argv[1], strtoul(argv[2], NULL, 10));
	steer(f.mine, argv[1], "vmctl");
	steer(f.qemu, NULL, "QEMU");
	schedule(f.qemu);
	end(f.mine, f.qemu);
	check(all_done(), "", "every command was done");
	printf("1..%d\n", tests);
	return failed != 0;
}
