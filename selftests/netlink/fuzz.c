// SPDX-License-Identifier: GPL-2.0
/* Malformed messages. Whatever is sent, the module answers or refuses, and lives. */
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nl.h"

#define MESSAGES	100000
#define SOMEBODY	1000	/* a user id */
#define SECONDS		60	/* on a slow machine fewer, unless in full */

static uint64_t state;

static uint32_t any(void)
{
	/* xorshift64*: repeatable from its seed. */
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (state * 0x2545f4914f6cdd1dULL) >> 32;
}

static uint32_t below(uint32_t n)
{
	return any() % n;
}

/* Mostly what exists, sometimes anything. */
static void add_attr(struct msg *m, const uint64_t *ids, int nids, int depth)
{
	int type = below(8) ? below(33) : any() & 0xffff;
	uint8_t data[300];
	size_t len;
	uint64_t id;
	unsigned int i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = any();
	switch (below(7)) {
	case 0:
		id = below(4) ? ids[below(nids)] : ((uint64_t)any() << 32 | any());
		msg_put(m, type, &id, sizeof(id));
		return;
	case 1:
		id = below(2) ? below(8) : any();
		msg_put(m, type, &id, sizeof(uint32_t));
		return;
	case 2:
		len = below(70);
		for (i = 0; i < len; i++)
			data[i] = below(20) ? 'a' + data[i] % 26 : data[i];
		if (len && below(4))
			data[len - 1] = '\0';
		msg_put(m, type, data, len);
		return;
	case 3:
		if (depth < 3)
			type |= NLA_F_NESTED;
		/* fall through */
	default:
		len = below(8) ? below(24) : below(sizeof(data));
		msg_put(m, type, data, len);
	}
}

/* Break what the lengths say. */
static void bend(struct msg *m)
{
	struct nlattr *a = (void *)((char *)m + NLMSG_HDRLEN + GENL_HDRLEN);

	switch (below(10)) {
	case 0:
		a->nla_len = any();
		break;
	case 1:
		a->nla_len = below(8);
		break;
	case 2:
		m->head.nlmsg_len -= below(m->head.nlmsg_len + 1);
		break;
	case 3:
		m->head.nlmsg_len += below(64);
		break;
	case 4:
		((uint8_t *)m)[NLMSG_HDRLEN + below(200)] ^= 1 << below(8);
		break;
	case 5:
		m->genl.reserved = any();
		break;
	case 6:
		m->genl.version = any();
		break;
	}
}

static void one(struct nl *nl, const uint64_t *ids, int nids)
{
	struct msg *m = msg_new(below(10) ? below(20) : any() & 0xff);
	size_t sent;
	int n;

	for (n = below(6); n > 0; n--)
		add_attr(m, ids, nids, 0);
	m->head.nlmsg_type = nl->family;
	m->head.nlmsg_flags = NLM_F_REQUEST | (below(3) ? 0 : NLM_F_DUMP) |
			      (below(3) ? 0 : NLM_F_ACK) | (below(20) ? 0 : any() & 0xffff);
	m->head.nlmsg_seq = any();
	sent = m->head.nlmsg_len;
	if (below(3))
		bend(m);
	send(nl->fd, m, below(10) ? sent : below(sent + 1), MSG_DONTWAIT);
	free(m);
	while (recv(nl->fd, nl->buf, sizeof(nl->buf), MSG_DONTWAIT) > 0)
		;
}

static void fuzz(uint64_t seed, int messages, uid_t uid)
{
	uint64_t ids[6], end = in_full() ? ~0ULL : now_ns() + SECONDS * 1000000000ULL;
	int sys = dev_open(), fd[6], i, j;
	struct nl *nl;

	CHECK_OK(setgid(uid));
	CHECK_OK(setuid(uid));
	nl = nl_open();
	state = seed;
	for (i = 0; i < messages && now_ns() < end; i++) {
		/* Some get killed: new ones now and then. */
		if (i % 2000 == 0) {
			for (j = 0; j < 6; j++) {
				if (i)
					close(fd[j]);
				fd[j] = CHECK_OK(ioctl(sys, KVM_CREATE_VM, 0));
				ids[j] = vm_id(fd[j]);
			}
		}
		if (i % 5000 == 0) {
			nl_close(nl);
			nl = nl_open();
			if (below(2))
				nl_try_join(nl, nl->group_vm);
		}
		one(nl, ids, 6);
	}
	test_note("%d messages from seed %#llx", i, (unsigned long long)seed);
	/* It still does what it should. */
	nl_close(nl);
	nl = nl_open();
	j = CHECK_OK(ioctl(sys, KVM_CREATE_VM, 0));
	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_PAUSE, vm_id(j)), 0);
	CHECK_EQ(vm_state(nl, vm_id(j)), LHV_VM_STATE_PAUSED);
}

TEST(fuzz, .timeout = 900) { fuzz(0x1234567887654321ULL, MESSAGES, 0); }
TEST(fuzz_user, .timeout = 300) { fuzz(0x8765432112345678ULL, MESSAGES / 5, SOMEBODY); }
