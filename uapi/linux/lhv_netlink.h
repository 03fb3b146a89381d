/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/lhv.yaml */
/* YNL-GEN uapi header */

#ifndef _UAPI_LINUX_LHV_NETLINK_H
#define _UAPI_LINUX_LHV_NETLINK_H

#define LHV_FAMILY_NAME		"lhv"
#define LHV_FAMILY_VERSION	1

#define LHV_NAME_MAX		63
#define LHV_LATENCY_BUCKETS	32

/**
 * enum lhv_vm_state - What becomes of the VM; the later in this list, the
 *   stronger.
 * @LHV_VM_STATE_CREATED: No vCPU has run yet.
 * @LHV_VM_STATE_RUNNING: A vCPU has run.
 * @LHV_VM_STATE_STOPPING: The VMM was asked to stop the VM (vm-stop).
 * @LHV_VM_STATE_PAUSED: No vCPU runs until vm-resume.
 * @LHV_VM_STATE_CRASHED: The guest met what it cannot go on from (triple
 *   fault, internal error, refused entry). The VMM decides what comes next; it
 *   may reset the guest.
 * @LHV_VM_STATE_KILLED: Ended by vm-kill, or by lhv itself in a state that
 *   should not exist.
 */
enum lhv_vm_state {
	LHV_VM_STATE_CREATED,
	LHV_VM_STATE_RUNNING,
	LHV_VM_STATE_STOPPING,
	LHV_VM_STATE_PAUSED,
	LHV_VM_STATE_CRASHED,
	LHV_VM_STATE_KILLED,
};

/**
 * enum lhv_vcpu_state - What a vCPU does, as far as the kernel knows.
 * @LHV_VCPU_STATE_OUTSIDE: Its thread is in the VMM, not in KVM_RUN.
 * @LHV_VCPU_STATE_RUNNING: In KVM_RUN.
 * @LHV_VCPU_STATE_HALTED: In KVM_RUN, the guest executed HLT.
 * @LHV_VCPU_STATE_WAITING: In KVM_RUN, waits for INIT or SIPI from another
 *   vCPU.
 * @LHV_VCPU_STATE_PAUSED: In KVM_RUN, held by vm-pause.
 * @LHV_VCPU_STATE_QUEUED: In KVM_RUN, waits until its pool's policy gives it a
 *   slot.
 */
enum lhv_vcpu_state {
	LHV_VCPU_STATE_OUTSIDE,
	LHV_VCPU_STATE_RUNNING,
	LHV_VCPU_STATE_HALTED,
	LHV_VCPU_STATE_WAITING,
	LHV_VCPU_STATE_PAUSED,
	LHV_VCPU_STATE_QUEUED,
};

/**
 * enum lhv_vm_event - What happened to a VM.
 * @LHV_VM_EVENT_CREATED: A VMM created it.
 * @LHV_VM_EVENT_READY: Its boot vCPU is about to run for the first time.
 * @LHV_VM_EVENT_PAUSED: vm-pause; every vCPU has left the guest.
 * @LHV_VM_EVENT_RESUMED: vm-resume.
 * @LHV_VM_EVENT_STOP_REQUESTED: vm-stop; the VMM was told.
 * @LHV_VM_EVENT_STOPPED: It is no more; reason says why.
 * @LHV_VM_EVENT_CRASHED: See vm-state; carries vcpu-id, exit-reason, suberror
 *   and regs.
 * @LHV_VM_EVENT_RENAMED: vm-set gave it another name; old-name was the one
 *   before.
 * @LHV_VM_EVENT_OWNER_GONE: The process that created it ended or executed
 *   another program.
 */
enum lhv_vm_event {
	LHV_VM_EVENT_CREATED,
	LHV_VM_EVENT_READY,
	LHV_VM_EVENT_PAUSED,
	LHV_VM_EVENT_RESUMED,
	LHV_VM_EVENT_STOP_REQUESTED,
	LHV_VM_EVENT_STOPPED,
	LHV_VM_EVENT_CRASHED,
	LHV_VM_EVENT_RENAMED,
	LHV_VM_EVENT_OWNER_GONE,
};

/**
 * enum lhv_vcpu_event - What happened to a vCPU.
 * @LHV_VCPU_EVENT_ADDED: It was created.
 * @LHV_VCPU_EVENT_STUCK: For lhv's parameter stuck_seconds it ran without one
 *   exit of its own making and without taking an interrupt; sent once, until
 *   it makes progress again.
 */
enum lhv_vcpu_event {
	LHV_VCPU_EVENT_ADDED,
	LHV_VCPU_EVENT_STUCK,
};

/**
 * enum lhv_stop_reason - Why a VM is no more.
 * @LHV_STOP_REASON_CLOSED: The VMM closed it, or ended.
 * @LHV_STOP_REASON_KILLED: vm-kill.
 * @LHV_STOP_REASON_BUG: lhv met a state that should not exist and stopped it;
 *   the kernel log has a line.
 */
enum lhv_stop_reason {
	LHV_STOP_REASON_CLOSED,
	LHV_STOP_REASON_KILLED,
	LHV_STOP_REASON_BUG,
};

enum {
	LHV_A_HOST_BACKEND = 1,
	LHV_A_HOST_FEATURES,
	LHV_A_HOST_API_VERSION,
	LHV_A_HOST_MAX_VCPUS,
	LHV_A_HOST_VMS,
	LHV_A_HOST_LAST_VM_ID,
	LHV_A_HOST_LATENCY,
	LHV_A_HOST_PAD,
	LHV_A_HOST_STUCK_SECONDS,
	LHV_A_HOST_VERBOSE,

	__LHV_A_HOST_MAX,
	LHV_A_HOST_MAX = (__LHV_A_HOST_MAX - 1)
};

enum {
	LHV_A_OWNER_PID = 1,
	LHV_A_OWNER_START_TIME,
	LHV_A_OWNER_UID,
	LHV_A_OWNER_COMM,
	LHV_A_OWNER_USER_NS,
	LHV_A_OWNER_CGROUP,
	LHV_A_OWNER_PAD,
	LHV_A_OWNER_GONE,

	__LHV_A_OWNER_MAX,
	LHV_A_OWNER_MAX = (__LHV_A_OWNER_MAX - 1)
};

enum {
	LHV_A_REGS_RAX = 1,
	LHV_A_REGS_RCX,
	LHV_A_REGS_RDX,
	LHV_A_REGS_RBX,
	LHV_A_REGS_RSP,
	LHV_A_REGS_RBP,
	LHV_A_REGS_RSI,
	LHV_A_REGS_RDI,
	LHV_A_REGS_R8,
	LHV_A_REGS_R9,
	LHV_A_REGS_R10,
	LHV_A_REGS_R11,
	LHV_A_REGS_R12,
	LHV_A_REGS_R13,
	LHV_A_REGS_R14,
	LHV_A_REGS_R15,
	LHV_A_REGS_RIP,
	LHV_A_REGS_RFLAGS,
	LHV_A_REGS_CR0,
	LHV_A_REGS_CR2,
	LHV_A_REGS_CR3,
	LHV_A_REGS_CR4,
	LHV_A_REGS_EFER,
	LHV_A_REGS_PAD,

	__LHV_A_REGS_MAX,
	LHV_A_REGS_MAX = (__LHV_A_REGS_MAX - 1)
};

enum {
	LHV_A_SCHED_POOL = 1,
	LHV_A_SCHED_WEIGHT,
	LHV_A_SCHED_CAP,
	LHV_A_SCHED_PRIORITY,
	LHV_A_SCHED_LENGTH,
	LHV_A_SCHED_PERIOD,
	LHV_A_SCHED_BUDGET,
	LHV_A_SCHED_HYBRID,
	LHV_A_SCHED_PAD,
	LHV_A_SCHED_RUN_NS,
	LHV_A_SCHED_WAIT_NS,
	LHV_A_SCHED_THROTTLED_NS,
	LHV_A_SCHED_SLICES,
	LHV_A_SCHED_WAKEUPS,
	LHV_A_SCHED_RESPONSE_NS,
	LHV_A_SCHED_BURSTS,
	LHV_A_SCHED_TURNAROUND_NS,
	LHV_A_SCHED_MISSES,
	LHV_A_SCHED_P50_NS,
	LHV_A_SCHED_P99_NS,
	LHV_A_SCHED_ENTITLED_NS,

	__LHV_A_SCHED_MAX,
	LHV_A_SCHED_MAX = (__LHV_A_SCHED_MAX - 1)
};

enum {
	LHV_A_VM_ID = 1,
	LHV_A_VM_NAME,
	LHV_A_VM_STATE,
	LHV_A_VM_UID,
	LHV_A_VM_OWNER,
	LHV_A_VM_VCPUS,
	LHV_A_VM_MEMORY,
	LHV_A_VM_RESIDENT,
	LHV_A_VM_TABLES,
	LHV_A_VM_PAD,
	LHV_A_VM_CREATED,
	LHV_A_VM_CAN_STOP,
	LHV_A_VM_EVENT,
	LHV_A_VM_TIME,
	LHV_A_VM_REASON,
	LHV_A_VM_OLD_NAME,
	LHV_A_VM_VCPU_ID,
	LHV_A_VM_EXIT_REASON,
	LHV_A_VM_SUBERROR,
	LHV_A_VM_REGS,
	LHV_A_VM_SCHED,

	__LHV_A_VM_MAX,
	LHV_A_VM_MAX = (__LHV_A_VM_MAX - 1)
};

enum {
	LHV_A_VCPU_VM_ID = 1,
	LHV_A_VCPU_ID,
	LHV_A_VCPU_STATE,
	LHV_A_VCPU_THREAD,
	LHV_A_VCPU_CPU,
	LHV_A_VCPU_PAD,
	LHV_A_VCPU_EVENT,
	LHV_A_VCPU_TIME,

	__LHV_A_VCPU_MAX,
	LHV_A_VCPU_MAX = (__LHV_A_VCPU_MAX - 1)
};

enum {
	LHV_A_EXIT_COUNT_REASON = 1,
	LHV_A_EXIT_COUNT_COUNT,
	LHV_A_EXIT_COUNT_PAD,
	LHV_A_EXIT_COUNT_LATENCY,

	__LHV_A_EXIT_COUNT_MAX,
	LHV_A_EXIT_COUNT_MAX = (__LHV_A_EXIT_COUNT_MAX - 1)
};

enum {
	LHV_A_STATS_VM_ID = 1,
	LHV_A_STATS_VCPU_ID,
	LHV_A_STATS_EXITS,
	LHV_A_STATS_TOTAL_EXITS,
	LHV_A_STATS_INJECTIONS,
	LHV_A_STATS_HALTS,
	LHV_A_STATS_HALT_POLL_HITS,
	LHV_A_STATS_WAIT_NS,
	LHV_A_STATS_RUN_NS,
	LHV_A_STATS_HOST_NS,
	LHV_A_STATS_STEAL_NS,
	LHV_A_STATS_FAULTS,
	LHV_A_STATS_MMIO_FAULTS,
	LHV_A_STATS_TLB_FLUSHES,
	LHV_A_STATS_PAGES_4K,
	LHV_A_STATS_PAGES_2M,
	LHV_A_STATS_PAGES_1G,
	LHV_A_STATS_RESIDENT,
	LHV_A_STATS_TABLES,
	LHV_A_STATS_DIRTY_PAGES,
	LHV_A_STATS_PAD,
	LHV_A_STATS_READ_FAULTS,
	LHV_A_STATS_WRITE_FAULTS,
	LHV_A_STATS_EXEC_FAULTS,
	LHV_A_STATS_PROTECTED_FAULTS,

	__LHV_A_STATS_MAX,
	LHV_A_STATS_MAX = (__LHV_A_STATS_MAX - 1)
};

enum {
	LHV_A_POOL_ID = 1,
	LHV_A_POOL_NAME,
	LHV_A_POOL_POLICY,
	LHV_A_POOL_CPUS,
	LHV_A_POOL_SLOTS,
	LHV_A_POOL_QUANTUM,
	LHV_A_POOL_BUSY,
	LHV_A_POOL_WAITING,
	LHV_A_POOL_VMS,
	LHV_A_POOL_JAIN,
	LHV_A_POOL_STATUS,
	LHV_A_POOL_POLICIES,
	LHV_A_POOL_CREATE,
	LHV_A_POOL_REMOVE,
	LHV_A_POOL_PAD,

	__LHV_A_POOL_MAX,
	LHV_A_POOL_MAX = (__LHV_A_POOL_MAX - 1)
};

enum {
	LHV_CMD_HOST_GET = 1,
	LHV_CMD_VM_GET,
	LHV_CMD_VM_SET,
	LHV_CMD_VM_PAUSE,
	LHV_CMD_VM_RESUME,
	LHV_CMD_VM_STOP,
	LHV_CMD_VM_KILL,
	LHV_CMD_VM_EVENT,
	LHV_CMD_VCPU_GET,
	LHV_CMD_VCPU_EVENT,
	LHV_CMD_STATS_GET,
	LHV_CMD_POOL_GET,
	LHV_CMD_POOL_SET,

	__LHV_CMD_MAX,
	LHV_CMD_MAX = (__LHV_CMD_MAX - 1)
};

#define LHV_MCGRP_VM	"vm"
#define LHV_MCGRP_VCPU	"vcpu"

#endif /* _UAPI_LINUX_LHV_NETLINK_H */
