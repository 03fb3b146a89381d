// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - what a vCPU's threads have cost, from the scheduler's own books: nothing is
 * counted on the way into the guest. A vCPU that changes threads is noticed at its
 * next KVM_RUN.
 */
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "lhv.h"

static struct lhv_usage account_of(struct task_struct *task)
{
	struct lhv_usage now = {
		.cpu = READ_ONCE(task->se.sum_exec_runtime),
		.guest = READ_ONCE(task->gtime),
	};

#ifdef CONFIG_SCHED_INFO
	now.delay = READ_ONCE(task->sched_info.run_delay);
#endif
	return now;
}

static u64 newer(u64 now, u64 *seen)
{
	u64 more = now > *seen ? now - *seen : 0;

	*seen += more;
	return more;
}

/* Guest time is booked by ticks and CPU time is not: their difference wavers, its maximum does not. */
static void add(struct lhv_vcpu_manage *m, struct lhv_usage now)
{
	struct lhv_usage *sum = &m->usage;

	lockdep_assert_held(&m->thread_lock);
	sum->cpu += newer(now.cpu, &m->seen.cpu);
	sum->guest += newer(now.guest, &m->seen.guest);
	sum->delay += newer(now.delay, &m->seen.delay);
	if (sum->cpu > sum->guest)
		sum->host = max(sum->host, sum->cpu - sum->guest);
}

static void look(struct lhv_vcpu_manage *m)
{
	struct task_struct *task;

	rcu_read_lock();
	task = pid_task(m->thread, PIDTYPE_PID);
	if (task)
		add(m, account_of(task));
	rcu_read_unlock();
}

void lhv_usage_init(struct lhv_vcpu *vcpu)
{
	spin_lock_init(&vcpu->manage.thread_lock);
	vcpu->manage.state = LHV_VCPU_STATE_RUNNING;
	vcpu->manage.since = jiffies;
}

void lhv_usage_destroy(struct lhv_vcpu *vcpu)
{
	put_pid(vcpu->manage.thread);
}

/**
 * lhv_usage_new_thread() - another thread than before runs the vCPU
 * @vcpu: the vCPU, in KVM_RUN of the new thread
 */
void lhv_usage_new_thread(struct lhv_vcpu *vcpu)
{
	struct lhv_vcpu_manage *m = &vcpu->manage;
	struct pid *old = m->thread;

	spin_lock(&m->thread_lock);
	look(m);
	WRITE_ONCE(m->thread, get_pid(task_pid(current)));
	/* What it did before is not the vCPU's. */
	m->seen = account_of(current);
	spin_unlock(&m->thread_lock);
	put_pid(old);
}

/**
 * lhv_usage_get() - what the vCPU has cost
 * @vcpu: the vCPU
 *
 * Context: process. Return: sums that never go back.
 */
struct lhv_usage lhv_usage_get(struct lhv_vcpu *vcpu)
{
	struct lhv_vcpu_manage *m = &vcpu->manage;
	struct lhv_usage sum;

	spin_lock(&m->thread_lock);
	look(m);
	sum = m->usage;
	spin_unlock(&m->thread_lock);
	return sum;
}

/**
 * lhv_vcpu_thread() - who ran the vCPU last
 * @vcpu: the vCPU
 *
 * Context: process. Return: its pid with a reference, or NULL.
 */
struct pid *lhv_vcpu_thread(struct lhv_vcpu *vcpu)
{
	struct pid *pid;

	spin_lock(&vcpu->manage.thread_lock);
	pid = get_pid(vcpu->manage.thread);
	spin_unlock(&vcpu->manage.thread_lock);
	return pid;
}
