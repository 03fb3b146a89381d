// SPDX-License-Identifier: GPL-2.0
/* Generic netlink by hand, and guests that run in a thread: see nl.h. */
#include <linux/lhv.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "nl.h"

#define TIMEOUT_MS	10000

static struct nlattr *attr_next(const struct nlattr *a)
{
	return (struct nlattr *)((char *)a + NLA_ALIGN(a->nla_len));
}

#define for_each_attr(a, data, len)					\
	for (a = (const void *)(data);					\
	     (char *)a + NLA_HDRLEN <= (char *)(data) + (len) &&	\
	     a->nla_len >= NLA_HDRLEN &&				\
	     (char *)a + a->nla_len <= (char *)(data) + (len);		\
	     a = attr_next(a))

static const void *payload(const struct nlattr *a)
{
	return (const char *)a + NLA_HDRLEN;
}

void attrs_parse(struct attrs *a, const void *data, size_t len)
{
	const struct nlattr *n;

	memset(a, 0, sizeof(*a));
	for_each_attr(n, data, len) {
		int type = n->nla_type & NLA_TYPE_MASK;

		if (type < NL_ATTRS)
			a->at[type] = n;
	}
}

void attrs_nest(struct attrs *a, const struct nlattr *nest)
{
	CHECK(nest);
	attrs_parse(a, payload(nest), nest->nla_len - NLA_HDRLEN);
}

static const void *attr_get(const struct attrs *a, int type, size_t len)
{
	const struct nlattr *n = a->at[type];

	if (!n)
		FAIL("attribute %d is missing", type);
	CHECK_EQ(n->nla_len - NLA_HDRLEN, len);
	return payload(n);
}

uint64_t attr_u64(const struct attrs *a, int type)
{
	uint64_t v;

	memcpy(&v, attr_get(a, type, sizeof(v)), sizeof(v));
	return v;
}

uint32_t attr_u32(const struct attrs *a, int type)
{
	uint32_t v;

	memcpy(&v, attr_get(a, type, sizeof(v)), sizeof(v));
	return v;
}

const char *attr_str(const struct attrs *a, int type)
{
	if (!a->at[type])
		FAIL("attribute %d is missing", type);
	return payload(a->at[type]);
}

/* ---- messages ---- */

struct msg *msg_new(int cmd)
{
	struct msg *m = calloc(1, sizeof(*m));

	CHECK(m);
	m->head.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN;
	m->genl.cmd = cmd;
	m->genl.version = LHV_FAMILY_VERSION;
	return m;
}

void *msg_put(struct msg *m, int type, const void *data, size_t len)
{
	struct nlattr *a = (struct nlattr *)((char *)m + NLMSG_ALIGN(m->head.nlmsg_len));

	CHECK((char *)a + NLA_HDRLEN + len < (char *)m + sizeof(*m));
	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + len;
	if (len)
		memcpy(a + 1, data, len);
	m->head.nlmsg_len = NLMSG_ALIGN(m->head.nlmsg_len) + NLA_ALIGN(a->nla_len);
	return a;
}

void msg_u64(struct msg *m, int type, uint64_t v)
{
	msg_put(m, type, &v, sizeof(v));
}

void msg_u32(struct msg *m, int type, uint32_t v)
{
	msg_put(m, type, &v, sizeof(v));
}

void msg_str(struct msg *m, int type, const char *text)
{
	msg_put(m, type, text, strlen(text) + 1);
}

void msg_flag(struct msg *m, int type)
{
	msg_put(m, type, NULL, 0);
}

/* ---- talking ---- */

static ssize_t receive(struct nl *nl, int ms)
{
	struct pollfd p = { .fd = nl->fd, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, ms) <= 0)
		return 0;
	n = recv(nl->fd, nl->buf, sizeof(nl->buf), MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

/* What an NLMSG_ERROR or NLMSG_DONE says; the message for people goes to nl->said. */
static int verdict(struct nl *nl, const struct nlmsghdr *h)
{
	int err = *(int *)NLMSG_DATA(h);
	size_t skip = sizeof(int);
	struct attrs a;

	nl->said[0] = '\0';
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return err;
	if (h->nlmsg_type == NLMSG_ERROR) {
		skip = sizeof(struct nlmsgerr);
		if (!(h->nlmsg_flags & NLM_F_CAPPED))
			skip += ((struct nlmsgerr *)NLMSG_DATA(h))->msg.nlmsg_len - NLMSG_HDRLEN;
	}
	skip = NLMSG_ALIGN(skip);
	attrs_parse(&a, (char *)NLMSG_DATA(h) + skip, h->nlmsg_len - NLMSG_HDRLEN - skip);
	if (a.at[NLMSGERR_ATTR_MSG])
		snprintf(nl->said, sizeof(nl->said), "%s", attr_str(&a, NLMSGERR_ATTR_MSG));
	return err;
}

static void parse_msg(const struct nlmsghdr *h, struct attrs *a)
{
	attrs_parse(a, (char *)NLMSG_DATA(h) + GENL_HDRLEN,
		    h->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN);
}

static int cmd_of(const struct nlmsghdr *h)
{
	return ((struct genlmsghdr *)NLMSG_DATA(h))->cmd;
}

static int talk(struct nl *nl, struct msg *m, int flags, nl_fn fn, void *arg)
{
	const struct nlmsghdr *h;
	struct attrs a;
	ssize_t n;
	int ret;

	if (!m->head.nlmsg_type)
		m->head.nlmsg_type = nl->family;
	m->head.nlmsg_flags |= NLM_F_REQUEST | flags;
	m->head.nlmsg_seq = ++nl->seq;
	ret = send(nl->fd, m, m->head.nlmsg_len, 0) < 0 ? -errno : 0;
	free(m);
	if (ret)
		return ret;
	nl->intr = false;
	nl->parts = 0;
	for (;;) {
		n = receive(nl, TIMEOUT_MS);
		if (!n)
			FAIL("no answer");
		if (n < 0)
			return n;
		nl->parts++;
		for (h = (void *)nl->buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_seq != nl->seq)
				continue;	/* an event */
			nl->intr |= h->nlmsg_flags & NLM_F_DUMP_INTR;
			if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE)
				return verdict(nl, h);
			parse_msg(h, &a);
			if (fn)
				fn(arg, cmd_of(h), &a);
		}
	}
}

int nl_do(struct nl *nl, struct msg *m, nl_fn fn, void *arg)
{
	return talk(nl, m, NLM_F_ACK, fn, arg);
}

int nl_dump(struct nl *nl, struct msg *m, nl_fn fn, void *arg)
{
	return talk(nl, m, NLM_F_DUMP, fn, arg);
}

int nl_event(struct nl *nl, int ms, struct attrs *attrs)
{
	const struct nlmsghdr *h = (void *)nl->buf;
	ssize_t n = receive(nl, ms);

	if (n <= 0)
		return n;
	CHECK(NLMSG_OK(h, n));
	parse_msg(h, attrs);
	return cmd_of(h);
}

/* ---- the family ---- */

static void on_family(void *arg, int cmd, const struct attrs *a)
{
	const struct nlattr *n, *groups = a->at[CTRL_ATTR_MCAST_GROUPS];
	struct nl *nl = arg;

	(void)cmd;
	nl->family = *(uint16_t *)attr_get(a, CTRL_ATTR_FAMILY_ID, sizeof(uint16_t));
	CHECK(groups);
	for_each_attr(n, payload(groups), groups->nla_len - NLA_HDRLEN) {
		struct attrs g;
		uint32_t id;

		attrs_nest(&g, n);
		id = attr_u32(&g, CTRL_ATTR_MCAST_GRP_ID);
		if (!strcmp(attr_str(&g, CTRL_ATTR_MCAST_GRP_NAME), "vm"))
			nl->group_vm = id;
		else if (!strcmp(attr_str(&g, CTRL_ATTR_MCAST_GRP_NAME), "vcpu"))
			nl->group_vcpu = id;
	}
}

struct nl *nl_try_open(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	struct nl *nl = calloc(1, sizeof(*nl));
	int one = 1;
	struct msg *m;

	CHECK(nl);
	nl->fd = CHECK_OK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
	CHECK_OK(bind(nl->fd, (struct sockaddr *)&addr, sizeof(addr)));
	CHECK_OK(setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one)));
	CHECK_OK(setsockopt(nl->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one)));
	m = msg_new(CTRL_CMD_GETFAMILY);
	m->head.nlmsg_type = GENL_ID_CTRL;
	msg_str(m, CTRL_ATTR_FAMILY_NAME, LHV_FAMILY_NAME);
	if (nl_do(nl, m, on_family, nl)) {
		nl_close(nl);
		return NULL;
	}
	return nl;
}

struct nl *nl_open(void)
{
	struct nl *nl = nl_try_open();

	if (!nl)
		FAIL("there is no family %s", LHV_FAMILY_NAME);
	CHECK(nl->group_vm && nl->group_vcpu);
	return nl;
}

void nl_close(struct nl *nl)
{
	close(nl->fd);
	free(nl);
}

int nl_try_join(struct nl *nl, uint32_t group)
{
	return setsockopt(nl->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) ?
		-errno : 0;
}

void nl_join(struct nl *nl, uint32_t group)
{
	CHECK_EQ(nl_try_join(nl, group), 0);
}

/* ---- what many tests do ---- */

int vm_cmd(struct nl *nl, int cmd, uint64_t id)
{
	struct msg *m = msg_new(cmd);

	msg_u64(m, LHV_A_VM_ID, id);
	return nl_do(nl, m, NULL, NULL);
}

uint64_t vm_id(int vm_fd)
{
	uint64_t id = 0;

	CHECK_OK(ioctl(vm_fd, LHV_GET_VM_ID, &id));
	CHECK(id);
	return id;
}

static void on_state(void *arg, int cmd, const struct attrs *a)
{
	(void)cmd;
	*(int *)arg = attr_u32(a, LHV_A_VM_STATE);
}

int vm_state(struct nl *nl, uint64_t id)
{
	struct msg *m = msg_new(LHV_CMD_VM_GET);
	int state = -1;

	msg_u64(m, LHV_A_VM_ID, id);
	CHECK_EQ(nl_do(nl, m, on_state, &state), 0);
	return state;
}

/* ---- many VMs ---- */

int new_vm(int sys)
{
	int fd;

	do {
		fd = ioctl(sys, KVM_CREATE_VM, 0);
	} while (fd < 0 && errno == EINTR);
	return CHECK_OK(fd);
}

void raise_files(void)
{
	struct rlimit r = { 65536, 65536 };

	CHECK_OK(setrlimit(RLIMIT_NOFILE, &r));
}

void vms_come_and_go(int *sys, volatile bool *over)
{
	int fd[8], i;

	while (!*over) {
		for (i = 0; i < 8; i++)
			fd[i] = new_vm(*sys);
		for (i = 0; i < 8; i++)
			close(fd[i]);
	}
}

static void count(void *arg, int cmd, const struct attrs *a)
{
	(void)cmd;
	(void)a;
	++*(int *)arg;
}

int count_vms(struct nl *nl, int attr, uint32_t value)
{
	struct msg *m = msg_new(LHV_CMD_VM_GET);
	int n = 0;

	if (attr)
		msg_u32(m, attr, value);
	CHECK_EQ(nl_dump(nl, m, count, &n), 0);
	return n;
}

void listing_add(void *arg, int cmd, const struct attrs *a)
{
	struct listing *l = arg;
	uint64_t id = attr_u64(a, LHV_A_VM_ID);

	(void)cmd;
	/* In the order of ids, so none comes twice. */
	CHECK(id > l->last);
	l->last = id;
	if (id >= l->first_lasting && id <= l->last_lasting)
		l->lasting++;
	else
		l->others++;
}

bool in_full(void)
{
	const char *full = getenv("NETLINK_FULL");

	return full && *full;
}

/* ---- guests ---- */

static void on_signal(int sig)
{
	(void)sig;
}

static void *run(void *arg)
{
	struct runner *r = arg;

	do {
		r->ret = ioctl(r->vcpu->fd, KVM_RUN, 0);
		r->err = errno;
	} while ((r->ret < 0 && r->err == EINTR && !r->vcpu->run->immediate_exit) ||
		 (!r->ret && r->vcpu->run->exit_reason == KVM_EXIT_IO));
	return NULL;
}

void runner_start(struct runner *r, struct vcpu *vcpu)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &sa, NULL);
	r->vcpu = vcpu;
	CHECK_EQ(pthread_create(&r->thread, NULL, run, r), 0);
}

/* Makes it return by a signal, if it has not already. */
void runner_join(struct runner *r)
{
	struct timespec ts;

	__atomic_store_n(&r->vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	do {
		pthread_kill(r->thread, SIGUSR1);
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_nsec += 20000000;
		if (ts.tv_nsec >= 1000000000) {
			ts.tv_nsec -= 1000000000;
			ts.tv_sec++;
		}
	} while (pthread_timedjoin_np(r->thread, NULL, &ts));
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}
