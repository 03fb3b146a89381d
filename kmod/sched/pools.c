// SPDX-License-Identifier: GPL-2.0
/*
 * lhv sched/ - pools of CPUs, policies by name, and what an administrator changes.
 *
 * A pool is never freed before the module: a vCPU's thread may be about to lock the one
 * that its VM just left.
 */
#include <linux/cpumask.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

#include "lhv.h"

DEFINE_MUTEX(lhv_pools_lock);	/* see gate.h */

static struct lhv_pool *pools[LHV_POOLS_MAX];	/* entries are set once */
static struct cpumask usable;			/* CPUs on which guests can run */
static bool loaded;				/* lhv_pools_lock */
static bool gate_on;				/* lhv_pools_lock: lhv_sched_on, as we set it */

static void gate_off_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(gate_off, gate_off_work);

/* ---- policies by name ---- */

struct policy {
	struct list_head list;
	const struct lhv_sched_ops *ops;
};

static const struct lhv_sched_ops * const builtin[] = {
	&lhv_sched_fcfs, &lhv_sched_sjf, &lhv_sched_prio, &lhv_sched_rr, &lhv_sched_credit,
	&lhv_sched_gang, &lhv_sched_edf,
};

static LIST_HEAD(registered);			/* lhv_pools_lock */

static const struct lhv_sched_ops *find_policy(const char *name)
{
	struct policy *p;
	int i;

	lockdep_assert_held(&lhv_pools_lock);
	for (i = 0; i < ARRAY_SIZE(builtin); i++) {
		if (!strcmp(builtin[i]->name, name))
			return builtin[i];
	}
	list_for_each_entry(p, &registered, list) {
		if (!strcmp(p->ops->name, name))
			return p->ops;
	}
	return NULL;
}

/**
 * lhv_pools_policy_name() - the names of all policies there are
 * @index: from 0 on
 * @name: the name of that one
 *
 * Return: false behind the last. Context: under lhv_pools_lock.
 */
bool lhv_pools_policy_name(unsigned int index, char name[LHV_SCHED_NAME_MAX + 1])
{
	const char *is = NULL;
	struct policy *p;

	lockdep_assert_held(&lhv_pools_lock);
	if (!index--)
		is = "none";
	else if (index < ARRAY_SIZE(builtin))
		is = builtin[index]->name;
	if (!is) {
		index -= ARRAY_SIZE(builtin);
		list_for_each_entry(p, &registered, list) {
			if (!index--) {
				is = p->ops->name;
				break;
			}
		}
	}
	if (is)
		strscpy(name, is, LHV_SCHED_NAME_MAX + 1);
	return is;
}

/* See lhv_sched_register(). With a kernel's MODVERSIONS the loader refuses such a module already. */
int lhv_sched_register_layout(const struct lhv_sched_ops *ops, u64 layout)
{
	struct policy *p;
	int ret = 0;

	if (layout != LHV_SCHED_LAYOUT)
		return -ENOEXEC;
	if (!ops->name || !*ops->name || !ops->owner || strlen(ops->name) > LHV_SCHED_NAME_MAX ||
	    !strcmp(ops->name, "none") || !ops->wake || !ops->yield || !ops->sleep ||
	    !ops->pick || !ops->expired)
		return -EINVAL;
	p = kzalloc(sizeof(*p), GFP_KERNEL);
	if (!p)
		return -ENOMEM;
	p->ops = ops;
	mutex_lock(&lhv_pools_lock);
	if (find_policy(ops->name))
		ret = -EEXIST;
	else
		list_add_tail(&p->list, &registered);
	mutex_unlock(&lhv_pools_lock);
	if (ret)
		kfree(p);
	return ret;
}
EXPORT_SYMBOL_GPL(lhv_sched_register_layout);

/* See sched.h. */
void lhv_sched_unregister(const struct lhv_sched_ops *ops)
{
	const struct lhv_pool_change none = { .policy = "none" };
	char why[LHV_SCHED_WHY_MAX];
	struct policy *p, *next;
	int i;

	mutex_lock(&lhv_pools_lock);
	list_for_each_entry_safe(p, next, &registered, list) {
		if (p->ops == ops) {
			list_del(&p->list);
			kfree(p);
		}
	}
	/* A module whose init fails is freed whatever its reference count says. */
	for (i = 0; i < LHV_POOLS_MAX; i++) {
		if (pools[i] && pools[i]->core.ops == ops)
			lhv_pool_change(pools[i], &none, why);
	}
	mutex_unlock(&lhv_pools_lock);
}
EXPORT_SYMBOL_GPL(lhv_sched_unregister);

/* ---- the gate, on and off ---- */

static bool gate_wanted(void)
{
	int i;

	for (i = 0; i < LHV_POOLS_MAX; i++) {
		if (pools[i] && (pools[i]->core.ops || pools[i]->bound))
			return true;
	}
	return false;
}

/* Before a pool gets its first policy or CPUs: who comes from now on is seen. */
static void gate_needed(void)
{
	lockdep_assert_held(&lhv_pools_lock);
	if (gate_on)
		return;
	static_branch_enable(&lhv_sched_on);
	gate_on = true;
}

/*
 * Off only when no thread is left that has CPUs of a pool: it gets its own back at the gate, when
 * it comes there. New ones cannot come, for no pool has CPUs of its own.
 */
static void update_gate(void)
{
	lockdep_assert_held(&lhv_pools_lock);
	if (!gate_on || gate_wanted())
		return;
	if (!lhv_gate_idle()) {
		schedule_delayed_work(&gate_off, HZ / 10);
		return;
	}
	static_branch_disable(&lhv_sched_on);
	gate_on = false;
}

static void gate_off_work(struct work_struct *work)
{
	mutex_lock(&lhv_pools_lock);
	update_gate();
	mutex_unlock(&lhv_pools_lock);
}

/* ---- a pool's slots ---- */

/* As many as CPUs, @cpus or, if there are none in it, any; @slots at most, if not 0. */
static u32 nr_slots(const struct cpumask *cpus, u32 slots)
{
	unsigned int n = 0, cpu;

	for_each_cpu(cpu, &usable)
		n += cpumask_empty(cpus) || cpumask_test_cpu(cpu, cpus);
	return max(slots ? min(n, slots) : n, 1U);
}

/* Under the pool's lock. */
static void count_slots(struct lhv_pool *pool)
{
	lhv_sched_pool_set_slots(&pool->core, nr_slots(&pool->cpus, pool->slots), ktime_get_ns());
	lhv_gate_reclaim(pool, ktime_get_ns());
}

/*
 * The VM's vCPUs, of which some were queued anew at @queued or later, pass the gate before they enter the guest
 * again. Under its pool's lock.
 */
static void kick_vm(struct lhv_pool *pool, struct lhv_sched_vm *vm, u64 queued)
{
	u64 now = ktime_get_ns();
	struct lhv_sched_vcpu *v;

	list_for_each_entry(v, &vm->vcpus, of_vm) {
		if (pool->core.ops && v->since >= queued)
			lhv_gate_settle(v, now);
		lhv_gate_host.kick(&pool->core, v);
	}
}

static void kick_all(struct lhv_pool *pool)
{
	struct lhv_sched_vm *vm;

	list_for_each_entry(vm, &pool->core.vms, of_pool)
		kick_vm(pool, vm, 0);
	lhv_gate_reclaim(pool, ktime_get_ns());
}

/*
 * Who was driven from a CPU may come back to it, when it takes users' threads: at the end of the
 * CPU's way up.
 */
static void cpus_back(struct work_struct *work)
{
	struct lhv_pool *pool;
	unsigned long flags;
	int i;

	cpus_read_lock();
	cpus_read_unlock();
	mutex_lock(&lhv_pools_lock);
	for (i = 0; i < LHV_POOLS_MAX; i++) {
		pool = pools[i];
		if (!pool || !pool->bound)
			continue;
		raw_spin_lock_irqsave(&pool->lock, flags);
		pool->cpus_version++;
		kick_all(pool);
		raw_spin_unlock_irqrestore(&pool->lock, flags);
	}
	mutex_unlock(&lhv_pools_lock);
}

static DECLARE_WORK(cpus_back_work, cpus_back);

/**
 * lhv_pools_cpu() - a CPU came, or is about to go
 * @cpu: the CPU
 * @up: it came
 *
 * Context: any but NMI. Who has a slot too many loses it.
 */
void lhv_pools_cpu(unsigned int cpu, bool up)
{
	struct lhv_pool *pool;
	unsigned long flags;
	int i;

	if (up) {
		cpumask_set_cpu(cpu, &usable);
		lhv_gate_cpu_up(cpu);
		schedule_work(&cpus_back_work);
	} else {
		cpumask_clear_cpu(cpu, &usable);
	}
	for (i = 0; i < LHV_POOLS_MAX; i++) {
		pool = smp_load_acquire(&pools[i]);	/* pairs with the release below */
		if (!pool)
			continue;
		raw_spin_lock_irqsave(&pool->lock, flags);
		count_slots(pool);
		raw_spin_unlock_irqrestore(&pool->lock, flags);
	}
}

static enum hrtimer_restart pool_timer(struct hrtimer *timer)
{
	struct lhv_pool *pool = container_of(timer, struct lhv_pool, timer);
	unsigned long flags;

	raw_spin_lock_irqsave(&pool->lock, flags);
	lhv_sched_timer(&pool->core, ktime_get_ns());
	lhv_gate_reclaim(pool, ktime_get_ns());
	raw_spin_unlock_irqrestore(&pool->lock, flags);
	return HRTIMER_NORESTART;
}

/* ---- what an administrator changes ---- */

/* The pool's policy by name. Context: under lhv_pools_lock. */
const char *lhv_pool_policy(const struct lhv_pool *pool)
{
	return pool->core.ops ? pool->core.ops->name : "none";
}

struct lhv_pool *lhv_pool_of(const struct lhv_vm *vm)
{
	return container_of(READ_ONCE(vm->sched.pool), struct lhv_pool, core);
}

struct lhv_pool *lhv_pool_by_id(u32 id)
{
	lockdep_assert_held(&lhv_pools_lock);
	return id < LHV_POOLS_MAX && pools[id] && pools[id]->used ? pools[id] : NULL;
}

struct lhv_pool *lhv_pool_by_name(const char *name)
{
	u32 id = 0;
	struct lhv_pool *pool;

	while ((pool = lhv_pool_next(&id))) {
		if (!strcmp(pool->name, name))
			return pool;
	}
	return NULL;
}

/* The first from @id on, which becomes the one behind it. */
struct lhv_pool *lhv_pool_next(u32 *id)
{
	struct lhv_pool *pool = NULL;

	while (!pool && *id < LHV_POOLS_MAX)
		pool = lhv_pool_by_id((*id)++);
	return pool;
}

static struct lhv_pool *new_pool(u32 id)
{
	struct lhv_pool *pool = kzalloc(sizeof(*pool), GFP_KERNEL);

	if (!pool)
		return NULL;
	raw_spin_lock_init(&pool->lock);
	lhv_sched_pool_init(&pool->core, &lhv_gate_host, 1);
	lhv_host_hrtimer_setup(&pool->timer, pool_timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	lhv_gate_pool_init(pool);
	pool->id = id;
	smp_store_release(&pools[id], pool);	/* for lhv_pools_cpu() */
	return pool;
}

/**
 * lhv_pool_create() - another pool, of all CPUs and without a policy
 * @name: its name
 * @why: the reason of a refusal
 *
 * Context: under lhv_pools_lock. Return: the pool, or an ERR_PTR: -EEXIST, -ENOSPC, -ENOMEM.
 */
struct lhv_pool *lhv_pool_create(const char *name, char *why)
{
	struct lhv_pool *pool = NULL;
	unsigned long flags;
	u32 id;

	if (lhv_pool_by_name(name)) {
		strscpy(why, "there is a pool of this name", LHV_SCHED_WHY_MAX);
		return ERR_PTR(-EEXIST);
	}
	for (id = 0; id < LHV_POOLS_MAX && pools[id] && pools[id]->used; id++)
		;
	if (id == LHV_POOLS_MAX) {
		strscpy(why, "there are as many pools as can be", LHV_SCHED_WHY_MAX);
		return ERR_PTR(-ENOSPC);
	}
	pool = pools[id] ?: new_pool(id);
	if (!pool)
		return ERR_PTR(-ENOMEM);
	strscpy(pool->name, name, sizeof(pool->name));
	raw_spin_lock_irqsave(&pool->lock, flags);
	pool->used = true;
	pool->bound = false;
	pool->slots = 0;
	pool->core.quantum = LHV_SCHED_QUANTUM;
	pool->cpus_version++;
	count_slots(pool);
	raw_spin_unlock_irqrestore(&pool->lock, flags);
	return pool;
}

/* With a reference; NULL is "none". */
static int get_policy(const char *name, const struct lhv_sched_ops **ops, char *why)
{
	*ops = NULL;
	if (!strcmp(name, "none"))
		return 0;
	*ops = find_policy(name);
	if (*ops && try_module_get((*ops)->owner))
		return 0;
	strscpy(why, "there is no policy of this name", LHV_SCHED_WHY_MAX);
	return -ENOENT;
}

/* Would the policy have the pool with so many slots? Under the pool's lock. */
static int ask(struct lhv_pool *pool, const struct lhv_sched_ops *ops, u32 slots, char *why)
{
	u32 old = pool->core.nr_slots;
	int ret;

	if (!ops || !ops->init || (ops == pool->core.ops && slots >= old))
		return 0;
	pool->core.nr_slots = slots;
	ret = ops->init(&pool->core, why);
	pool->core.nr_slots = old;
	return ret;
}

/**
 * lhv_pool_change() - what is not NULL in @change, or nothing of it
 * @pool: the pool
 * @change: the changes
 * @why: the reason of a refusal
 *
 * Context: under lhv_pools_lock. Return: 0, -EINVAL, -ENOENT no such policy, -EBUSY the policy
 * cannot admit the VMs that are there.
 */
int lhv_pool_change(struct lhv_pool *pool, const struct lhv_pool_change *change, char *why)
{
	const struct cpumask *cpus = change->cpus ?: &pool->cpus;
	const struct lhv_sched_ops *old = pool->core.ops, *ops = old;
	u32 slots = change->slots ? *change->slots : pool->slots;
	unsigned long flags;
	int ret = 0;

	lockdep_assert_held(&lhv_pools_lock);
	if (!cpumask_empty(cpus) && !cpumask_intersects(cpus, cpu_possible_mask)) {
		strscpy(why, "this machine has none of these CPUs", LHV_SCHED_WHY_MAX);
		return -EINVAL;
	}
	if (change->policy) {
		ret = get_policy(change->policy, &ops, why);
		if (ret)
			return ret;
	}
	if (ops || !cpumask_empty(cpus))
		gate_needed();

	raw_spin_lock_irqsave(&pool->lock, flags);
	ret = ask(pool, ops, nr_slots(cpus, slots), why);
	if (ret)
		goto out;
	if (change->cpus) {
		cpumask_copy(&pool->cpus, cpus);
		pool->bound = !cpumask_empty(cpus);
		pool->cpus_version++;
	}
	pool->slots = slots;
	if (change->quantum)
		pool->core.quantum = *change->quantum;
	count_slots(pool);
	/* The same one again would have to promise all anew. */
	if (ops != old)
		lhv_sched_pool_set_policy(&pool->core, ops, ktime_get_ns());
	if (change->policy || change->cpus)
		kick_all(pool);
out:
	raw_spin_unlock_irqrestore(&pool->lock, flags);
	if (change->policy) {
		if (ret)
			old = ops;
		if (old)
			module_put(old->owner);
	}
	update_gate();
	return ret;
}

/**
 * lhv_pool_remove() - give it up
 * @pool: the pool; not the default one, without VMs
 * @why: the reason of a refusal
 *
 * Context: under lhv_pools_lock. Return: 0 or -EBUSY.
 */
int lhv_pool_remove(struct lhv_pool *pool, char *why)
{
	const struct lhv_pool_change nothing = { .policy = "none", .cpus = cpu_none_mask };
	unsigned long flags;
	bool empty;

	raw_spin_lock_irqsave(&pool->lock, flags);
	empty = list_empty(&pool->core.vms);
	raw_spin_unlock_irqrestore(&pool->lock, flags);
	if (!pool->id || !empty) {
		strscpy(why, pool->id ? "there are VMs in this pool: move them first" :
					"the default pool has to stay", LHV_SCHED_WHY_MAX);
		return -EBUSY;
	}
	lhv_pool_change(pool, &nothing, why);
	pool->used = false;
	return 0;
}

static void lock_two(struct lhv_pool *a, struct lhv_pool *b)
	__acquires(&a->lock) __acquires(&b->lock)
{
	if (a->id > b->id)
		swap(a, b);
	raw_spin_lock(&a->lock);
	raw_spin_lock_nested(&b->lock, SINGLE_DEPTH_NESTING);
}

/**
 * lhv_pool_move_vm() - a VM changes pools, and maybe its weight, cap and so on with that
 * @pool: the new one
 * @vm: the VM
 * @attrs: all of them
 * @why: the reason of a refusal
 *
 * The new pool alone has to admit it as it will be.
 *
 * Context: under lhv_pools_lock. Return: 0, -EINVAL, or -EBUSY the policy cannot admit it; then
 * nothing has changed.
 */
int lhv_pool_move_vm(struct lhv_pool *pool, struct lhv_vm *vm, const struct lhv_sched_attrs *attrs,
		     char *why)
{
	struct lhv_pool *from = lhv_pool_of(vm);
	struct lhv_sched_vm *s = &vm->sched;
	int ret = 0;
	u64 now;

	lockdep_assert_held(&lhv_pools_lock);
	if (from == pool)
		return lhv_pool_set_vm(vm, attrs, why);
	if (!lhv_sched_attrs_valid(attrs, why))
		return -EINVAL;
	local_irq_disable();
	lock_two(from, pool);
	if (pool->core.ops && pool->core.ops->adjust)
		ret = pool->core.ops->adjust(&pool->core, s, attrs, why);
	if (!ret) {
		now = ktime_get_ns();
		lhv_sched_vm_part(s, now);
		lhv_sched_vm_note(s, attrs, now);
		lhv_sched_vm_join(&pool->core, s, now);
		kick_vm(pool, s, 0);
		lhv_gate_reclaim(pool, ktime_get_ns());
	}
	raw_spin_unlock(&pool->lock);
	raw_spin_unlock(&from->lock);
	local_irq_enable();
	return ret;
}

/**
 * lhv_pool_set_vm() - a VM's weight, cap and so on
 * @vm: the VM
 * @attrs: all of them
 * @why: the reason of a refusal
 *
 * Context: under lhv_pools_lock. Return: 0, -EINVAL, or -EBUSY the policy cannot admit it.
 */
int lhv_pool_set_vm(struct lhv_vm *vm, const struct lhv_sched_attrs *attrs, char *why)
{
	struct lhv_sched_vm *s = &vm->sched;
	struct lhv_pool *pool;
	unsigned long flags;
	int ret = 0;
	u64 now;

	lockdep_assert_held(&lhv_pools_lock);
	if (!lhv_sched_attrs_valid(attrs, why))
		return -EINVAL;
	pool = lhv_gate_lock(s, &flags);
	if (pool->core.ops && pool->core.ops->adjust)
		ret = pool->core.ops->adjust(&pool->core, s, attrs, why);
	if (!ret) {
		now = ktime_get_ns();
		lhv_sched_vm_set(s, attrs, now);
		kick_vm(pool, s, now);
		lhv_gate_reclaim(pool, ktime_get_ns());
	}
	lhv_gate_unlock(pool, flags);
	return ret;
}

/* ---- VMs come and go ---- */

/* It is in the default pool then. Context: process; nobody knows the VM yet. */
void lhv_pools_vm_create(struct lhv_vm *vm)
{
	struct lhv_pool *pool = pools[0];
	unsigned long flags;

	lhv_sched_vm_init(&vm->sched, 0);
	raw_spin_lock_irqsave(&pool->lock, flags);
	lhv_sched_vm_join(&pool->core, &vm->sched, ktime_get_ns());
	raw_spin_unlock_irqrestore(&pool->lock, flags);
}

/* Its vCPUs are gone. Callable on one that was not created. Context: process. */
void lhv_pools_vm_destroy(struct lhv_vm *vm)
{
	struct lhv_pool *pool;
	unsigned long flags;

	if (!vm->sched.pool)
		return;
	pool = lhv_gate_lock(&vm->sched, &flags);
	lhv_sched_vm_part(&vm->sched, ktime_get_ns());
	lhv_gate_unlock(pool, flags);
}

/* ---- the default pool's policy, as a parameter ---- */

static char default_policy[LHV_SCHED_NAME_MAX + 1] = "none";

static int set_default(const char *text, const struct kernel_param *kp)
{
	char name[LHV_SCHED_NAME_MAX + 1], why[LHV_SCHED_WHY_MAX] = "";
	struct lhv_pool_change change = { .policy = name };
	int ret = 0;

	if (strscpy(name, text, sizeof(name)) < 0)
		return -EINVAL;
	strim(name);
	mutex_lock(&lhv_pools_lock);
	if (loaded)
		ret = lhv_pool_change(pools[0], &change, why);
	else
		strscpy(default_policy, name, sizeof(default_policy));
	mutex_unlock(&lhv_pools_lock);
	if (ret)
		pr_err("lhv: policy %s: %s\n", name, why);
	return ret;
}

static int get_default(char *buf, const struct kernel_param *kp)
{
	int ret;

	mutex_lock(&lhv_pools_lock);
	ret = sysfs_emit(buf, "%s\n", loaded ? lhv_pool_policy(pools[0]) : default_policy);
	mutex_unlock(&lhv_pools_lock);
	return ret;
}

static const struct kernel_param_ops sched_ops = { .set = set_default, .get = get_default };
module_param_cb(sched, &sched_ops, NULL, 0644);
MODULE_PARM_DESC(sched, "scheduling policy of the default pool (default none: Linux alone)");

/* ---- load and unload ---- */

/* Before any CPU is up. Return: 0, -ENOMEM, -ENOENT or what else the policy says. */
int __init lhv_pools_init(void)
{
	struct lhv_pool_change change = { .policy = default_policy };
	char why[LHV_SCHED_WHY_MAX] = "";
	struct lhv_pool *pool;
	int ret;

	lhv_gate_init();
	mutex_lock(&lhv_pools_lock);
	pool = lhv_pool_create("default", why);
	ret = PTR_ERR_OR_ZERO(pool);
	if (!ret)
		ret = lhv_pool_change(pool, &change, why);
	loaded = !ret;
	mutex_unlock(&lhv_pools_lock);
	if (ret) {
		if (*why)
			pr_err("lhv: sched=%s: %s\n", default_policy, why);
		lhv_pools_exit();
	}
	return ret;
}

/* No VM is left. Callable on what lhv_pools_init() left half-built. */
void lhv_pools_exit(void)
{
	struct lhv_pool_change change = { .policy = "none", .cpus = cpu_none_mask };
	char why[LHV_SCHED_WHY_MAX];
	int i;

	mutex_lock(&lhv_pools_lock);
	loaded = false;
	for (i = 0; i < LHV_POOLS_MAX; i++) {
		if (pools[i])
			lhv_pool_change(pools[i], &change, why);
	}
	mutex_unlock(&lhv_pools_lock);
	cancel_work_sync(&cpus_back_work);
	cancel_delayed_work_sync(&gate_off);
	lhv_gate_exit();
	for (i = 0; i < LHV_POOLS_MAX; i++) {
		if (pools[i]) {
			hrtimer_cancel(&pools[i]->timer);
			hrtimer_cancel(&pools[i]->watch);
		}
		kfree(pools[i]);
		pools[i] = NULL;
	}
}
