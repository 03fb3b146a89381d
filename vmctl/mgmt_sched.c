// SPDX-License-Identifier: GPL-2.0
/* Scheduling by netlink: pools and a VM's place in one. See mgmt.h. */
#include <errno.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdio.h>

#include "mgmt.h"
#include "mgmt_priv.h"

void mgmt_parse_sched(struct sched_info *s, struct nlattr *nest)
{
	struct nlattr *tb[LHV_A_SCHED_MAX + 1];

	if (!nest || nla_parse_nested(tb, LHV_A_SCHED_MAX, nest, NULL) < 0)
		return;
	s->pool = mgmt_u32(tb, LHV_A_SCHED_POOL);
	s->weight = mgmt_u32(tb, LHV_A_SCHED_WEIGHT);
	s->cap = mgmt_u32(tb, LHV_A_SCHED_CAP);
	s->priority = mgmt_u32(tb, LHV_A_SCHED_PRIORITY);
	s->hybrid = mgmt_u32(tb, LHV_A_SCHED_HYBRID);
	s->length = mgmt_u64(tb, LHV_A_SCHED_LENGTH);
	s->period = mgmt_u64(tb, LHV_A_SCHED_PERIOD);
	s->budget = mgmt_u64(tb, LHV_A_SCHED_BUDGET);
	s->run = mgmt_u64(tb, LHV_A_SCHED_RUN_NS);
	s->wait = mgmt_u64(tb, LHV_A_SCHED_WAIT_NS);
	s->throttled = mgmt_u64(tb, LHV_A_SCHED_THROTTLED_NS);
	s->slices = mgmt_u64(tb, LHV_A_SCHED_SLICES);
	s->wakeups = mgmt_u64(tb, LHV_A_SCHED_WAKEUPS);
	s->response = mgmt_u64(tb, LHV_A_SCHED_RESPONSE_NS);
	s->bursts = mgmt_u64(tb, LHV_A_SCHED_BURSTS);
	s->turnaround = mgmt_u64(tb, LHV_A_SCHED_TURNAROUND_NS);
	s->misses = mgmt_u64(tb, LHV_A_SCHED_MISSES);
	s->p50 = mgmt_u64(tb, LHV_A_SCHED_P50_NS);
	s->p99 = mgmt_u64(tb, LHV_A_SCHED_P99_NS);
	s->entitled = mgmt_u64(tb, LHV_A_SCHED_ENTITLED_NS);
}

struct pool_sink {
	struct pool_info *pools;
	size_t n, room;
};

static void get_text(char *to, size_t room, struct nlattr **tb, int attr)
{
	to[0] = '\0';
	if (tb[attr])
		nla_strlcpy(to, tb[attr], room);
}

static int on_pool(struct nl_msg *msg, void *arg)
{
	struct nlattr *tb[LHV_A_POOL_MAX + 1];
	struct pool_sink *sink = arg;
	struct pool_info *p;

	if (genlmsg_parse(nlmsg_hdr(msg), 0, tb, LHV_A_POOL_MAX, NULL) ||
	    sink->n == sink->room)
		return NL_OK;
	p = &sink->pools[sink->n++];
	p->id = mgmt_u32(tb, LHV_A_POOL_ID);
	p->slots = mgmt_u32(tb, LHV_A_POOL_SLOTS);
	p->busy = mgmt_u32(tb, LHV_A_POOL_BUSY);
	p->waiting = mgmt_u32(tb, LHV_A_POOL_WAITING);
	p->vms = mgmt_u32(tb, LHV_A_POOL_VMS);
	p->admin = tb[LHV_A_POOL_JAIN];
	p->jain = mgmt_u32(tb, LHV_A_POOL_JAIN);
	p->quantum = mgmt_u64(tb, LHV_A_POOL_QUANTUM);
	get_text(p->name, sizeof(p->name), tb, LHV_A_POOL_NAME);
	get_text(p->policy, sizeof(p->policy), tb, LHV_A_POOL_POLICY);
	get_text(p->cpus, sizeof(p->cpus), tb, LHV_A_POOL_CPUS);
	get_text(p->status, sizeof(p->status), tb, LHV_A_POOL_STATUS);
	get_text(p->policies, sizeof(p->policies), tb, LHV_A_POOL_POLICIES);
	return NL_OK;
}

int mgmt_pools(struct mgmt *m, struct pool_info *pools, size_t room, size_t *n)
{
	struct pool_sink sink = { pools, 0, room };
	int ret = mgmt_talk(m, mgmt_request(m, LHV_CMD_POOL_GET, NLM_F_DUMP), on_pool, &sink);

	*n = sink.n;
	return ret;
}

static int put_settings(struct nl_msg *msg, const struct setting *set, size_t n, bool flags)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < n && ret >= 0; i++) {
		if (set[i].text)
			ret = nla_put_string(msg, set[i].attr, set[i].text);
		else if (set[i].wide)
			ret = nla_put_u64(msg, set[i].attr, set[i].value);
		else if (flags && (set[i].attr == LHV_A_POOL_CREATE ||
				   set[i].attr == LHV_A_POOL_REMOVE))
			ret = nla_put_flag(msg, set[i].attr);
		else
			ret = nla_put_u32(msg, set[i].attr, set[i].value);
	}
	return ret;
}

int mgmt_set_pool(struct mgmt *m, const char *name, const struct setting *set, size_t n)
{
	struct nl_msg *msg = mgmt_request(m, LHV_CMD_POOL_SET, 0);

	if (msg && (nla_put_string(msg, LHV_A_POOL_NAME, name) < 0 ||
		    put_settings(msg, set, n, true) < 0)) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	return mgmt_talk(m, msg, NULL, NULL);
}

int mgmt_set_sched(struct mgmt *m, uint64_t id, const struct setting *set, size_t n)
{
	struct nl_msg *msg = mgmt_request(m, LHV_CMD_VM_SET, 0);
	struct nlattr *nest = NULL;

	if (msg && (nla_put_u64(msg, LHV_A_VM_ID, id) < 0 ||
		    !(nest = nla_nest_start(msg, LHV_A_VM_SCHED)) ||
		    put_settings(msg, set, n, false) < 0)) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	if (msg)
		nla_nest_end(msg, nest);
	return mgmt_talk(m, msg, NULL, NULL);
}
