// SPDX-License-Identifier: GPL-2.0
/* KUnit: which slots the gate takes back. Its vCPUs have no threads: they just got their slots. */
#include <kunit/test.h>

#include "lhv.h"

#define SLOTS	32

static void granted(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v, u64 left, u64 now)
{
}

static void kick(struct lhv_sched_pool *pool, struct lhv_sched_vcpu *v)
{
}

static void set_timer(struct lhv_sched_pool *pool, u64 when)
{
}

static const struct lhv_sched_host host = { .granted = granted, .kick = kick, .timer = set_timer };

/* Who was told to give its slot back is found among many, unless it is on its way into the guest. */
static void reclaim_told(struct kunit *test)
{
	struct lhv_pool *pool = kunit_kzalloc(test, sizeof(*pool), GFP_KERNEL);
	struct lhv_vm *vm = kunit_kzalloc(test, sizeof(*vm), GFP_KERNEL);
	const u64 now = LHV_SCHED_MS;
	struct lhv_vcpu *vcpu[SLOTS + 1];
	int i;

	KUNIT_ASSERT_NOT_NULL(test, pool);
	KUNIT_ASSERT_NOT_NULL(test, vm);
	lhv_sched_pool_init(&pool->core, &host, SLOTS);
	lhv_sched_vm_init(&vm->sched, 0);
	lhv_sched_vm_join(&pool->core, &vm->sched, now);
	lhv_sched_pool_set_policy(&pool->core, &lhv_sched_fcfs, now);
	for (i = 0; i <= SLOTS; i++) {
		vcpu[i] = kunit_kzalloc(test, sizeof(**vcpu), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, vcpu[i]);
		vcpu[i]->vm = vm;
		rcuwait_init(&vcpu[i]->wait);
		lhv_sched_vcpu_add(&vm->sched, &vcpu[i]->sched.core);
		lhv_sched_want(&vcpu[i]->sched.core, now);
	}
	lhv_gate_reclaim(pool, now);
	KUNIT_ASSERT_EQ(test, vcpu[SLOTS]->sched.core.state, LHV_SCHED_WAITING);

	vcpu[20]->atomic = true;
	lhv_sched_resched(&pool->core, &vcpu[20]->sched.core);
	lhv_gate_reclaim(pool, now);
	KUNIT_EXPECT_EQ(test, vcpu[20]->sched.core.state, LHV_SCHED_RUNNING);
	KUNIT_ASSERT_EQ(test, vcpu[SLOTS]->sched.core.state, LHV_SCHED_WAITING);

	lhv_sched_resched(&pool->core, &vcpu[SLOTS - 1]->sched.core);
	lhv_gate_reclaim(pool, now);
	KUNIT_EXPECT_EQ(test, vcpu[SLOTS - 1]->sched.core.state, LHV_SCHED_OUT);
	KUNIT_EXPECT_TRUE(test, test_bit(LHV_REQ_GATE, &vcpu[SLOTS - 1]->pending));
	KUNIT_EXPECT_EQ(test, vcpu[SLOTS]->sched.core.state, LHV_SCHED_RUNNING);
	KUNIT_EXPECT_EQ(test, vcpu[20]->sched.core.state, LHV_SCHED_RUNNING);
}

static struct kunit_case gate_cases[] = {
	KUNIT_CASE(reclaim_told),
	{}
};

static struct kunit_suite gate_suite = {
	.name = "lhv_gate",
	.test_cases = gate_cases,
};

kunit_test_suite(gate_suite);
