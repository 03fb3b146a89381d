/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Management: the netlink family's client (Documentation/netlink/specs/lhv.yaml).
 *
 * What it is for: list, steer and watch the VMs of this host. What enters: ids and
 * names. What leaves: plain structs; one line per error. It must not know how a
 * command prints them.
 */
#ifndef VMCTL_MGMT_H
#define VMCTL_MGMT_H

#include <linux/lhv_netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mgmt;

#define COMM_MAX	16
#define REASONS_MAX	64
#define REASON_NAME_MAX	16

/* A VM's scheduling, named as in the specification; times in ns. */
struct sched_info {
	uint32_t pool, weight, cap, priority, hybrid;
	uint64_t length, period, budget;
	uint64_t run, wait, throttled, slices, wakeups, response, bursts, turnaround, misses;
	uint64_t p50, p99, entitled;
};

#define POOL_NAME_MAX	32
#define POLICY_MAX	16
#define POOLS_MAX	64
#define LIST_MAX	512

/** struct pool_info - a pool, named as in the specification; @admin: @vms and @jain were told */
struct pool_info {
	uint32_t id, slots, busy, waiting, vms, jain;
	bool admin;
	char name[POOL_NAME_MAX], policy[POLICY_MAX];
	char cpus[LIST_MAX / 2], status[LIST_MAX / 4], policies[LIST_MAX];
	uint64_t quantum;
};

/** struct setting - an attribute to set, by the name that users type */
struct setting {
	int attr;
	bool wide;		/* 64 bits */
	const char *text;	/* a string, in place of @value */
	uint64_t value;
};

/**
 * struct vm_info - a VM
 * @pid: 0 when its owner has no process id here
 * @cgroup: 0 when unknown
 */
struct vm_info {
	uint64_t id;
	char name[LHV_NAME_MAX + 1];
	uint32_t state;
	uint32_t vcpus;
	uint64_t memory, resident, tables, created;
	uint32_t pid, uid, user_ns;
	uint64_t start_time, cgroup;
	char comm[COMM_MAX];
	bool can_stop, owner_gone;
	struct sched_info sched;
};

struct vm_list {
	struct vm_info *vm;
	size_t n, room;
	bool interrupted;	/* VMs came or went meanwhile */
};

struct vcpu_info {
	uint32_t id, state, thread;
	int cpu;		/* -1: never ran */
};

struct exit_count {
	char reason[REASON_NAME_MAX];
	uint64_t count;
	bool has_latency;
	uint32_t latency[LHV_LATENCY_BUCKETS];
};

/* Named as in the specification. */
struct vm_stats {
	uint64_t vm_id;
	int vcpu_id;		/* -1: of the VM */
	uint64_t total_exits, injections, halts, halt_poll_hits, wait_ns, run_ns, host_ns;
	uint64_t steal_ns, faults, read_faults, write_faults, exec_faults, protected_faults;
	uint64_t mmio_faults, tlb_flushes;
	uint64_t pages_4k, pages_2m, pages_1g, resident, tables, dirty_pages;
	size_t nexits;
	struct exit_count exits[REASONS_MAX];
};

/* The plain numbers of struct vm_stats. */
struct stats_field {
	const char *name;
	size_t offset;
	int attr;
	bool vm_only;
};

const struct stats_field *stats_fields(size_t *n);

static inline uint64_t stats_get(const struct vm_stats *s, const struct stats_field *f)
{
	return *(const uint64_t *)((const char *)s + f->offset);
}

struct reg {
	const char *name;
	uint64_t value;
};

#define REGS_MAX	32

/**
 * struct mgmt_event - what a listener is told
 * @vcpu: of a vCPU; @vm has its id alone
 * @event: enum lhv_vm_event or enum lhv_vcpu_event
 * @lost: events were lost: this listener was too slow; nothing else is set
 * @time: ns since boot
 */
struct mgmt_event {
	bool vcpu, lost;
	uint32_t event;
	uint64_t time;
	struct vm_info vm;
	int vcpu_id;		/* -1: none */
	uint32_t reason;	/* of stopped */
	char old_name[LHV_NAME_MAX + 1];
	uint32_t exit_reason;	/* of crashed */
	int suberror;		/* of crashed; -1: none */
	size_t nregs;
	struct reg regs[REGS_MAX];
};

/** struct device_info - a PCI function, named as in the specification */
struct device_info {
	char address[16], driver[32], former[32], members[256], blocked[256], users[128];
	uint32_t vendor, device, class;
	int group;		/* -1: none */
	bool can_reset, isolated;
	uint64_t vm_id;		/* 0: none */
};

int mgmt_devices(struct mgmt *m, struct device_info **devices, size_t *n);
/* LHV_CMD_DEVICE_BIND, _UNBIND, _ATTACH or _DETACH; @vm: 0 for none. */
int mgmt_device_change(struct mgmt *m, int cmd, const char *address, uint64_t vm, bool force);

/* NULL when there is no family; reported unless @quiet. */
struct mgmt *mgmt_open(bool quiet);
void mgmt_close(struct mgmt *m);
int mgmt_list(struct mgmt *m, struct vm_list *list);
void vm_list_free(struct vm_list *list);
int mgmt_get(struct mgmt *m, uint64_t id, struct vm_info *vm);
int mgmt_find(struct mgmt *m, const char *id_or_name, struct vm_info *vm);
int mgmt_command(struct mgmt *m, int cmd, uint64_t id);
int mgmt_rename(struct mgmt *m, uint64_t id, const char *name);
int mgmt_pools(struct mgmt *m, struct pool_info *pools, size_t room, size_t *n);
/* @name names the pool; a flag is a setting with neither text nor value. */
int mgmt_set_pool(struct mgmt *m, const char *name, const struct setting *set, size_t n);
int mgmt_set_sched(struct mgmt *m, uint64_t id, const struct setting *set, size_t n);
int mgmt_vcpus(struct mgmt *m, uint64_t id, struct vcpu_info *vcpus, size_t room, size_t *n);
int mgmt_stats(struct mgmt *m, uint64_t id, int vcpu, struct vm_stats *stats);
int mgmt_host_vms(struct mgmt *m, uint32_t *vms);
const char *mgmt_error(const struct mgmt *m);

int mgmt_listen(struct mgmt *m, bool vms, bool vcpus);
int mgmt_fd(struct mgmt *m);
/* 1 with @event, 0 when none came within @timeout_ms (-1: for ever), or -errno. */
int mgmt_next_event(struct mgmt *m, struct mgmt_event *event, int timeout_ms);

const char *vm_state_name(uint32_t state);
const char *vcpu_state_name(uint32_t state);
const char *vm_event_name(uint32_t event);
const char *vcpu_event_name(uint32_t event);
const char *stop_reason_name(uint32_t reason);
bool vm_matches(const struct vm_info *vm, const char *id_or_name);

#endif
