/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv - management: which VMs there are, whose they are, and what can be done to
 * them from outside.
 *
 * What it is for: the registry of all VMs (registry.c), pause, resume, stop and kill
 *	(control.c), what a vCPU's thread has cost (usage.c), how long exits take
 *	(latency.c).
 * What enters: VMs as they come and go; requests that netlink.c has checked.
 * What leaves: requests in vCPUs' pending words; events, to netlink_event.c.
 * What it must not know: what a netlink message looks like.
 */
#ifndef LHV_MANAGE_H
#define LHV_MANAGE_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>
#include <uapi/linux/lhv_netlink.h>

struct eventfd_ctx;
struct lhv_latency;
struct lhv_vcpu;
struct lhv_vm;
struct net;
struct pid;
struct user_namespace;

/**
 * struct lhv_owner - the process that created a VM
 * @pid: it; once it has ended its number may be another process's
 * @start_time: when it started, ns since boot
 * @uid: its real user id
 * @user_ns: its user namespace
 * @net: its network namespace, where its own agents listen
 * @comm: its command when it created the VM
 *
 * Immutable.
 */
struct lhv_owner {
	struct pid *pid;
	u64 start_time;
	kuid_t uid;
	struct user_namespace *user_ns;
	struct net *net;
	char comm[TASK_COMM_LEN];
};

/**
 * struct lhv_manage - the VM's part
 *
 * Legend: I immutable once the VM is in the registry; R lhv_vms_lock; L @lock; A atomic.
 */
struct lhv_manage {
	struct lhv_owner owner;		/* I */
	u64 created;			/* I ns since boot */
	char name[LHV_NAME_MAX + 1];	/* R */
	struct hlist_node by_name;	/* R */

	struct mutex lock;		/* one change of what follows at a time */
	struct eventfd_ctx *stop;	/* L how the VMM wants to be asked to stop, or NULL */
	bool ran;			/* A a vCPU ran */
	bool stop_requested;		/* A */
	bool paused;			/* A written under @lock */
	bool crashed;			/* A */
	bool killed;			/* A */
	bool owner_gone;		/* A */
	bool end_told;			/* A listeners know that it is no more */
};

/**
 * struct lhv_usage - what the threads that ran a vCPU have cost, in ns
 * @cpu: CPU time
 * @guest: the part of it in the guest
 * @host: the rest of it
 * @delay: time on a run queue
 */
struct lhv_usage {
	u64 cpu, guest, host, delay;
};

/* What a crash report shows, in the order of LHV_A_REGS_*: the general ones come first. */
struct lhv_regs {
	u64 general[16];
	u64 rip, rflags, cr0, cr2, cr3, cr4, efer;
};

/**
 * struct lhv_vcpu_manage - the vCPU's part
 * @state: enum lhv_vcpu_state while the thread waits in KVM_RUN, else RUNNING
 * @thread_lock: protects what follows; process context only
 * @thread: who ran it last
 * @usage: sum of all threads, as last seen; none of it ever goes back
 * @seen: @thread's own account, as last seen
 * @latency: histograms, or NULL
 * @regs: at the crash that is about to be told, once @regs_noted; the vCPU's thread only
 * @progress, @activity, @since, @stuck: the watch's (control.c)
 */
struct lhv_vcpu_manage {
	u8 state;
	spinlock_t thread_lock;
	struct pid *thread;
	struct lhv_usage usage, seen;
	struct lhv_latency *latency;
	struct lhv_regs regs;
	bool regs_noted;
	u64 progress, activity;
	unsigned long since;
	bool stuck;
};

/* ---- registry.c ---- */

extern struct mutex lhv_vms_lock;
extern struct xarray lhv_vms;		/* by id; changed under lhv_vms_lock */

/* Under lhv_vms_lock, or where nothing can change it. */
#define lhv_for_each_vm(id, vm)	xa_for_each(&lhv_vms, id, vm)

int lhv_registry_add(struct lhv_vm *vm);
void lhv_registry_del(struct lhv_vm *vm);
int lhv_registry_rename(struct lhv_vm *vm, const char *name, char *old);
struct lhv_vm *lhv_registry_find(u64 id);
struct lhv_vm *lhv_registry_next(u64 after);
u64 lhv_registry_last_id(void);
u32 lhv_registry_version(void);
bool lhv_name_valid(const char *name);

/* ---- control.c ---- */

void lhv_control_init(void);
void lhv_control_exit(void);
void lhv_control_watch(void);
void lhv_manage_create(struct lhv_vm *vm);
void lhv_manage_destroy(struct lhv_vm *vm);
enum lhv_vm_state lhv_vm_state(struct lhv_vm *vm);
int lhv_vm_pause(struct lhv_vm *vm);
int lhv_vm_resume(struct lhv_vm *vm);
int lhv_vm_ask_stop(struct lhv_vm *vm);
int lhv_vm_kill(struct lhv_vm *vm);
int lhv_vm_set_stop_eventfd(struct lhv_vm *vm, int fd);
void lhv_vm_ended(struct lhv_vm *vm);
void lhv_vm_owner_gone(struct lhv_vm *vm);
unsigned int lhv_stuck_seconds(void);

/* The vCPU's own thread, in the slow tier of the run loop or right behind it. */
void lhv_vcpu_created(struct lhv_vcpu *vcpu);
void lhv_vcpu_started(struct lhv_vcpu *vcpu);
void lhv_vcpu_note_regs(struct lhv_vcpu *vcpu);
void lhv_vcpu_crashed(struct lhv_vcpu *vcpu);
void lhv_vcpu_wait_resume(struct lhv_vcpu *vcpu);

/* ---- usage.c ---- */

void lhv_usage_init(struct lhv_vcpu *vcpu);
void lhv_usage_destroy(struct lhv_vcpu *vcpu);
void lhv_usage_new_thread(struct lhv_vcpu *vcpu);
struct lhv_usage lhv_usage_get(struct lhv_vcpu *vcpu);
struct pid *lhv_vcpu_thread(struct lhv_vcpu *vcpu);

/* ---- latency.c ---- */

int lhv_latency_init(void);
void lhv_latency_exit(void);
bool lhv_latency_on(void);
void lhv_latency_vcpu(struct lhv_vcpu *vcpu);
void lhv_latency_destroy(struct lhv_vcpu *vcpu);
bool lhv_latency_get(struct lhv_vcpu *vcpu, unsigned int reason, u32 sum[LHV_LATENCY_BUCKETS]);

#endif
