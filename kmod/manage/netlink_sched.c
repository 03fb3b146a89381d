// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - scheduling by netlink: pools, and a VM's place in one.
 */
#include <linux/cpumask.h>

#include "host/genl.h"
#include "lhv.h"
#include "manage/netlink.h"

#define put_u64(skb, attr, value, set)					\
	nla_put_u64_64bit(skb, LHV_A_##set##_##attr, value, LHV_A_##set##_PAD)

#define CPUS_ROOM	256
#define POLICIES_ROOM	512
#define STATUS_ROOM	128

/* ---- VMs ---- */

/* Context: process. 0 or -EMSGSIZE. */
int lhv_put_sched(struct sk_buff *skb, struct lhv_vm *vm)
{
	struct nlattr *nest = nla_nest_start(skb, LHV_A_VM_SCHED);
	struct lhv_sched_figures fig;
	struct lhv_sched_attrs attrs;
	struct lhv_pool *pool;
	unsigned long flags;
	u64 since, now;
	u32 id;

	if (!nest)
		return -EMSGSIZE;
	pool = lhv_gate_lock(&vm->sched, &flags);
	now = ktime_get_ns();
	lhv_sched_figures(&vm->sched, now, &fig);
	attrs = vm->sched.attrs;
	since = pool->core.ops ? now - pool->core.since : 0;
	id = pool->id;
	lhv_gate_unlock(pool, flags);
	if (nla_put_u32(skb, LHV_A_SCHED_POOL, id) ||
	    nla_put_u32(skb, LHV_A_SCHED_WEIGHT, attrs.weight) ||
	    nla_put_u32(skb, LHV_A_SCHED_CAP, attrs.cap) ||
	    nla_put_u32(skb, LHV_A_SCHED_PRIORITY, attrs.priority) ||
	    put_u64(skb, LENGTH, attrs.length, SCHED) ||
	    put_u64(skb, PERIOD, attrs.period, SCHED) ||
	    put_u64(skb, BUDGET, attrs.budget, SCHED) ||
	    nla_put_u32(skb, LHV_A_SCHED_HYBRID, attrs.hybrid) ||
	    put_u64(skb, RUN_NS, fig.run, SCHED) ||
	    put_u64(skb, WAIT_NS, fig.wait, SCHED) ||
	    put_u64(skb, THROTTLED_NS, fig.throttled, SCHED) ||
	    put_u64(skb, SLICES, fig.slices, SCHED) ||
	    put_u64(skb, WAKEUPS, fig.wakeups, SCHED) ||
	    put_u64(skb, RESPONSE_NS, fig.response, SCHED) ||
	    put_u64(skb, BURSTS, fig.bursts, SCHED) ||
	    put_u64(skb, TURNAROUND_NS, fig.turnaround, SCHED) ||
	    put_u64(skb, MISSES, fig.misses, SCHED) ||
	    put_u64(skb, P50_NS, lhv_sched_percentile(fig.latency, 500), SCHED) ||
	    put_u64(skb, P99_NS, lhv_sched_percentile(fig.latency, 990), SCHED) ||
	    put_u64(skb, ENTITLED_NS, since, SCHED)) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

static void read_attrs(struct nlattr **tb, struct lhv_sched_attrs *attrs)
{
	if (tb[LHV_A_SCHED_WEIGHT])
		attrs->weight = nla_get_u32(tb[LHV_A_SCHED_WEIGHT]);
	if (tb[LHV_A_SCHED_CAP])
		attrs->cap = nla_get_u32(tb[LHV_A_SCHED_CAP]);
	if (tb[LHV_A_SCHED_PRIORITY])
		attrs->priority = nla_get_u32(tb[LHV_A_SCHED_PRIORITY]);
	if (tb[LHV_A_SCHED_HYBRID])
		attrs->hybrid = nla_get_u32(tb[LHV_A_SCHED_HYBRID]);
	if (tb[LHV_A_SCHED_LENGTH])
		attrs->length = nla_get_u64(tb[LHV_A_SCHED_LENGTH]);
	if (tb[LHV_A_SCHED_PERIOD])
		attrs->period = nla_get_u64(tb[LHV_A_SCHED_PERIOD]);
	if (tb[LHV_A_SCHED_BUDGET])
		attrs->budget = nla_get_u64(tb[LHV_A_SCHED_BUDGET]);
}

/* What could not be done has a reason, also where nobody gave one. */
static void refuse(struct sk_buff *skb, struct genl_info *info, int error, const char *why)
{
	if (!*why)
		why = error == -ENOMEM ? "the host is short of memory" :
					 "the policy refuses it, and does not say why";
	lhv_nl_refusal(skb, info, why);
}

/**
 * lhv_nl_set_sched() - vm-set's scheduling part
 * @skb: the request
 * @info: the request, parsed
 * @vm: the VM, which the caller may see
 * @nest: LHV_A_VM_SCHED
 *
 * Return: 0 or -errno with the reason in the extended ack.
 */
int lhv_nl_set_sched(struct sk_buff *skb, struct genl_info *info, struct lhv_vm *vm,
		     const struct nlattr *nest)
{
	struct nlattr *tb[LHV_A_SCHED_MAX + 1];
	char why[LHV_SCHED_WHY_MAX] = "";
	struct lhv_sched_attrs attrs;
	struct lhv_pool *pool = NULL;
	int ret;

	if (!lhv_nl_is_host_admin(skb)) {
		NL_SET_ERR_MSG(info->extack, "how VMs are scheduled is the host administrator's");
		return -EPERM;
	}
	ret = nla_parse_nested(tb, LHV_A_SCHED_MAX, nest, lhv_sched_nl_policy,
			       info->extack);
	if (ret)
		return ret;
	mutex_lock(&lhv_pools_lock);
	if (tb[LHV_A_SCHED_POOL]) {
		pool = lhv_pool_by_id(nla_get_u32(tb[LHV_A_SCHED_POOL]));
		if (!pool) {
			strscpy(why, "there is no pool of this id", sizeof(why));
			ret = -ENOENT;
		}
	}
	if (!ret) {
		/* Attributes change under this mutex alone. */
		attrs = vm->sched.attrs;
		read_attrs(tb, &attrs);
		ret = pool ? lhv_pool_move_vm(pool, vm, &attrs, why) :
			     lhv_pool_set_vm(vm, &attrs, why);
	}
	mutex_unlock(&lhv_pools_lock);
	if (ret)
		refuse(skb, info, ret, why);
	return ret;
}

/* ---- pools ---- */

static int put_policies(struct sk_buff *skb)
{
	char all[POLICIES_ROOM] = "", name[LHV_SCHED_NAME_MAX + 1];
	unsigned int i;
	size_t n = 0;

	for (i = 0; lhv_pools_policy_name(i, name); i++)
		n += scnprintf(all + n, sizeof(all) - n, "%s%s", i ? " " : "", name);
	return nla_put_string(skb, LHV_A_POOL_POLICIES, all);
}

/* What takes a walk over all VMs of the pool, with interrupts off: not for everybody who asks. */
static int put_pool_vms(struct sk_buff *skb, struct lhv_pool *pool)
{
	struct lhv_sched_vm *vm;
	unsigned long flags;
	u32 vms = 0, jain;

	raw_spin_lock_irqsave(&pool->lock, flags);
	jain = lhv_sched_jain(&pool->core);
	list_for_each_entry(vm, &pool->core.vms, of_pool)
		vms++;
	raw_spin_unlock_irqrestore(&pool->lock, flags);
	return nla_put_u32(skb, LHV_A_POOL_VMS, vms) || nla_put_u32(skb, LHV_A_POOL_JAIN, jain);
}

static int put_pool(struct sk_buff *skb, struct lhv_pool *pool, bool admin)
{
	char cpus[CPUS_ROOM] = "", status[STATUS_ROOM] = "";
	u32 slots, busy, waiting;
	unsigned long flags;
	u64 quantum;

	lockdep_assert_held(&lhv_pools_lock);
	raw_spin_lock_irqsave(&pool->lock, flags);
	slots = pool->core.nr_slots;
	busy = pool->core.nr_busy;
	waiting = pool->core.nr_waiting;
	quantum = pool->core.quantum;
	if (pool->core.ops && pool->core.ops->dump)
		pool->core.ops->dump(&pool->core, status, sizeof(status));
	raw_spin_unlock_irqrestore(&pool->lock, flags);
	if (pool->bound)
		scnprintf(cpus, sizeof(cpus), "%*pbl", cpumask_pr_args(&pool->cpus));
	if (nla_put_u32(skb, LHV_A_POOL_ID, pool->id) ||
	    nla_put_string(skb, LHV_A_POOL_NAME, pool->name) ||
	    nla_put_string(skb, LHV_A_POOL_POLICY, lhv_pool_policy(pool)) ||
	    nla_put_string(skb, LHV_A_POOL_CPUS, cpus) ||
	    nla_put_u32(skb, LHV_A_POOL_SLOTS, slots) ||
	    put_u64(skb, QUANTUM, quantum, POOL) ||
	    nla_put_u32(skb, LHV_A_POOL_BUSY, busy) ||
	    nla_put_u32(skb, LHV_A_POOL_WAITING, waiting) ||
	    (admin && put_pool_vms(skb, pool)) ||
	    (*status && nla_put_string(skb, LHV_A_POOL_STATUS, status)) ||
	    put_policies(skb))
		return -EMSGSIZE;
	return 0;
}

/* By id or by name. Under lhv_pools_lock. */
static struct lhv_pool *find_pool(struct genl_info *info)
{
	char name[LHV_POOL_NAME_MAX + 1];
	struct lhv_pool *pool;

	if (info->attrs[LHV_A_POOL_ID]) {
		pool = lhv_pool_by_id(nla_get_u32(info->attrs[LHV_A_POOL_ID]));
	} else if (info->attrs[LHV_A_POOL_NAME]) {
		nla_strscpy(name, info->attrs[LHV_A_POOL_NAME], sizeof(name));
		pool = lhv_pool_by_name(name);
	} else {
		NL_SET_ERR_MSG(info->extack, "which pool? its id or name is missing");
		return ERR_PTR(-EINVAL);
	}
	if (!pool) {
		NL_SET_ERR_MSG(info->extack, "there is no such pool");
		return ERR_PTR(-ENOENT);
	}
	return pool;
}

int lhv_nl_pool_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *reply;
	struct lhv_pool *pool;
	void *head;
	int ret = -EMSGSIZE;

	reply = lhv_nl_new_reply(info, &head, LHV_CMD_POOL_GET);
	if (!reply)
		return -ENOMEM;
	mutex_lock(&lhv_pools_lock);
	pool = find_pool(info);
	if (!IS_ERR(pool) && head)
		ret = put_pool(reply, pool, lhv_nl_is_host_admin(skb));
	mutex_unlock(&lhv_pools_lock);
	if (IS_ERR(pool)) {
		nlmsg_free(reply);
		return PTR_ERR(pool);
	}
	return lhv_nl_send_reply(reply, info, head, ret);
}

int lhv_nl_pool_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct lhv_pool *pool;
	bool admin = lhv_nl_is_host_admin(cb->skb);
	u32 next = cb->args[0];
	void *head;

	mutex_lock(&lhv_pools_lock);
	while ((pool = lhv_pool_next(&next))) {
		head = lhv_nl_dump_head(skb, cb, LHV_CMD_POOL_GET);
		if (!head || lhv_nl_dump_end(skb, head, put_pool(skb, pool, admin)))
			break;
		cb->args[0] = next;
	}
	mutex_unlock(&lhv_pools_lock);
	return skb->len ?: pool ? -EMSGSIZE : 0;
}

static struct lhv_pool *make_pool(struct sk_buff *skb, struct genl_info *info)
{
	char name[LHV_POOL_NAME_MAX + 1], why[LHV_SCHED_WHY_MAX] = "";
	struct lhv_pool *pool;

	if (!info->attrs[LHV_A_POOL_NAME]) {
		NL_SET_ERR_MSG(info->extack, "a pool to create needs a name");
		return ERR_PTR(-EINVAL);
	}
	nla_strscpy(name, info->attrs[LHV_A_POOL_NAME], sizeof(name));
	if (!lhv_name_valid(name)) {
		NL_SET_ERR_MSG(info->extack,
			       "not a name: a letter or '_', then letters, digits, '.', '-', '_'");
		return ERR_PTR(-EINVAL);
	}
	pool = lhv_pool_create(name, why);
	if (IS_ERR(pool))
		refuse(skb, info, PTR_ERR(pool), why);
	return pool;
}

/* What of the request concerns a pool that is there. Under lhv_pools_lock. */
static int change_pool(struct sk_buff *skb, struct genl_info *info, struct lhv_pool *pool,
		       struct cpumask *cpus)
{
	char policy[LHV_SCHED_NAME_MAX + 1], list[CPUS_ROOM], why[LHV_SCHED_WHY_MAX] = "";
	struct nlattr **a = info->attrs;
	struct lhv_pool_change c = {};
	u64 quantum;
	u32 slots;
	int ret;

	if (a[LHV_A_POOL_REMOVE]) {
		ret = lhv_pool_remove(pool, why);
		goto out;
	}
	if (a[LHV_A_POOL_POLICY]) {
		nla_strscpy(policy, a[LHV_A_POOL_POLICY], sizeof(policy));
		c.policy = policy;
	}
	if (a[LHV_A_POOL_SLOTS]) {
		slots = nla_get_u32(a[LHV_A_POOL_SLOTS]);
		c.slots = &slots;
	}
	if (a[LHV_A_POOL_QUANTUM]) {
		quantum = nla_get_u64(a[LHV_A_POOL_QUANTUM]);
		c.quantum = &quantum;
		if (quantum < LHV_SCHED_QUANTUM_MIN || quantum > LHV_SCHED_QUANTUM_MAX) {
			NL_SET_ERR_MSG(info->extack, "a quantum is 100 us to 1 s");
			return -EINVAL;
		}
	}
	if (a[LHV_A_POOL_CPUS]) {
		nla_strscpy(list, a[LHV_A_POOL_CPUS], sizeof(list));
		if (cpulist_parse(list, cpus)) {
			NL_SET_ERR_MSG(info->extack, "not a list of CPUs such as 0-3,8");
			return -EINVAL;
		}
		/* "0-1023:1/2" is short, and could not be told whole. */
		if (snprintf(NULL, 0, "%*pbl", cpumask_pr_args(cpus)) >= CPUS_ROOM) {
			NL_SET_ERR_MSG(info->extack, "as ranges these CPUs take more than 255 characters");
			return -EINVAL;
		}
		c.cpus = cpus;
	}
	ret = lhv_pool_change(pool, &c, why);
out:
	if (ret)
		refuse(skb, info, ret, why);
	return ret;
}

int lhv_nl_pool_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	char why[LHV_SCHED_WHY_MAX];
	struct lhv_pool *pool;
	cpumask_var_t cpus;
	bool created = info->attrs[LHV_A_POOL_CREATE];
	int ret;

	if (!lhv_nl_is_host_admin(skb)) {
		NL_SET_ERR_MSG(info->extack, "pools are the host administrator's");
		return -EPERM;
	}
	if (!zalloc_cpumask_var(&cpus, GFP_KERNEL))
		return -ENOMEM;
	mutex_lock(&lhv_pools_lock);
	pool = created ? make_pool(skb, info) : find_pool(info);
	ret = PTR_ERR_OR_ZERO(pool);
	if (!ret) {
		ret = change_pool(skb, info, pool, cpus);
		/* All of it or nothing. */
		if (ret && created)
			lhv_pool_remove(pool, why);
	}
	mutex_unlock(&lhv_pools_lock);
	free_cpumask_var(cpus);
	return ret;
}
