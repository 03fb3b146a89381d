// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/lhv.yaml */
/* YNL-GEN kernel source */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink_gen.h"

#include <uapi/linux/lhv_netlink.h>

/* Common nested types */
const struct nla_policy lhv_sched_nl_policy[LHV_A_SCHED_ENTITLED_NS + 1] = {
	[LHV_A_SCHED_POOL] = { .type = NLA_U32, },
	[LHV_A_SCHED_WEIGHT] = NLA_POLICY_RANGE(NLA_U32, 1, 10000),
	[LHV_A_SCHED_CAP] = { .type = NLA_U32, },
	[LHV_A_SCHED_PRIORITY] = NLA_POLICY_MAX(NLA_U32, 99),
	[LHV_A_SCHED_LENGTH] = { .type = NLA_U64, },
	[LHV_A_SCHED_PERIOD] = { .type = NLA_U64, },
	[LHV_A_SCHED_BUDGET] = { .type = NLA_U64, },
	[LHV_A_SCHED_HYBRID] = NLA_POLICY_MAX(NLA_U32, 1),
	[LHV_A_SCHED_RUN_NS] = { .type = NLA_U64, },
	[LHV_A_SCHED_WAIT_NS] = { .type = NLA_U64, },
	[LHV_A_SCHED_THROTTLED_NS] = { .type = NLA_U64, },
	[LHV_A_SCHED_SLICES] = { .type = NLA_U64, },
	[LHV_A_SCHED_WAKEUPS] = { .type = NLA_U64, },
	[LHV_A_SCHED_RESPONSE_NS] = { .type = NLA_U64, },
	[LHV_A_SCHED_BURSTS] = { .type = NLA_U64, },
	[LHV_A_SCHED_TURNAROUND_NS] = { .type = NLA_U64, },
	[LHV_A_SCHED_MISSES] = { .type = NLA_U64, },
	[LHV_A_SCHED_P50_NS] = { .type = NLA_U64, },
	[LHV_A_SCHED_P99_NS] = { .type = NLA_U64, },
	[LHV_A_SCHED_ENTITLED_NS] = { .type = NLA_U64, },
};

/* LHV_CMD_HOST_GET - do */
const struct nla_policy lhv_host_get_nl_policy[LHV_A_HOST_VERBOSE + 1] = {
	[LHV_A_HOST_VERBOSE] = { .type = NLA_FLAG, },
};

/* LHV_CMD_VM_GET - do */
const struct nla_policy lhv_vm_get_nl_policy[LHV_A_VM_UID + 1] = {
	[LHV_A_VM_ID] = NLA_POLICY_MIN(NLA_U64, 1),
	[LHV_A_VM_NAME] = { .type = NLA_NUL_STRING, .len = 63, },
	[LHV_A_VM_STATE] = NLA_POLICY_MAX(NLA_U32, 5),
	[LHV_A_VM_UID] = { .type = NLA_U32, },
};

/* LHV_CMD_VM_SET - do */
const struct nla_policy lhv_vm_set_nl_policy[LHV_A_VM_SCHED + 1] = {
	[LHV_A_VM_ID] = NLA_POLICY_MIN(NLA_U64, 1),
	[LHV_A_VM_NAME] = { .type = NLA_NUL_STRING, .len = 63, },
	[LHV_A_VM_SCHED] = NLA_POLICY_NESTED(lhv_sched_nl_policy),
};

/* LHV_CMD_VM_PAUSE - do */
const struct nla_policy lhv_vm_pause_nl_policy[LHV_A_VM_ID + 1] = {
	[LHV_A_VM_ID] = NLA_POLICY_MIN(NLA_U64, 1),
};

/* LHV_CMD_VM_RESUME - do */
const struct nla_policy lhv_vm_resume_nl_policy[LHV_A_VM_ID + 1] = {
	[LHV_A_VM_ID] = NLA_POLICY_MIN(NLA_U64, 1),
};

/* LHV_CMD_VM_STOP - do */
const struct nla_policy lhv_vm_stop_nl_policy[LHV_A_VM_ID + 1] = {
	[LHV_A_VM_ID] = NLA_POLICY_MIN(NLA_U64, 1),
};

/* LHV_CMD_VM_KILL - do */
const struct nla_policy lhv_vm_kill_nl_policy[LHV_A_VM_ID + 1] = {
	[LHV_A_VM_ID] = NLA_POLICY_MIN(NLA_U64, 1),
};

/* LHV_CMD_VCPU_GET - do */
const struct nla_policy lhv_vcpu_get_nl_policy[LHV_A_VCPU_ID + 1] = {
	[LHV_A_VCPU_VM_ID] = NLA_POLICY_MIN(NLA_U64, 1),
	[LHV_A_VCPU_ID] = { .type = NLA_U32, },
};

/* LHV_CMD_STATS_GET - do */
const struct nla_policy lhv_stats_get_nl_policy[LHV_A_STATS_VCPU_ID + 1] = {
	[LHV_A_STATS_VM_ID] = NLA_POLICY_MIN(NLA_U64, 1),
	[LHV_A_STATS_VCPU_ID] = { .type = NLA_U32, },
};

/* LHV_CMD_POOL_GET - do */
const struct nla_policy lhv_pool_get_nl_policy[LHV_A_POOL_NAME + 1] = {
	[LHV_A_POOL_ID] = { .type = NLA_U32, },
	[LHV_A_POOL_NAME] = { .type = NLA_NUL_STRING, .len = 31, },
};

/* LHV_CMD_POOL_SET - do */
const struct nla_policy lhv_pool_set_nl_policy[LHV_A_POOL_REMOVE + 1] = {
	[LHV_A_POOL_ID] = { .type = NLA_U32, },
	[LHV_A_POOL_NAME] = { .type = NLA_NUL_STRING, .len = 31, },
	[LHV_A_POOL_CREATE] = { .type = NLA_FLAG, },
	[LHV_A_POOL_REMOVE] = { .type = NLA_FLAG, },
	[LHV_A_POOL_POLICY] = { .type = NLA_NUL_STRING, .len = 15, },
	[LHV_A_POOL_CPUS] = { .type = NLA_NUL_STRING, .len = 255, },
	[LHV_A_POOL_SLOTS] = { .type = NLA_U32, },
	[LHV_A_POOL_QUANTUM] = { .type = NLA_U64, },
};

/* LHV_CMD_DEVICE_GET - do */
const struct nla_policy lhv_device_get_nl_policy[LHV_A_DEVICE_ADDRESS + 1] = {
	[LHV_A_DEVICE_ADDRESS] = { .type = NLA_NUL_STRING, .len = 15, },
};

/* LHV_CMD_DEVICE_BIND - do */
const struct nla_policy lhv_device_bind_nl_policy[LHV_A_DEVICE_ADDRESS + 1] = {
	[LHV_A_DEVICE_ADDRESS] = { .type = NLA_NUL_STRING, .len = 15, },
};

/* LHV_CMD_DEVICE_UNBIND - do */
const struct nla_policy lhv_device_unbind_nl_policy[LHV_A_DEVICE_ADDRESS + 1] = {
	[LHV_A_DEVICE_ADDRESS] = { .type = NLA_NUL_STRING, .len = 15, },
};

/* LHV_CMD_DEVICE_ATTACH - do */
const struct nla_policy lhv_device_attach_nl_policy[LHV_A_DEVICE_FORCE + 1] = {
	[LHV_A_DEVICE_ADDRESS] = { .type = NLA_NUL_STRING, .len = 15, },
	[LHV_A_DEVICE_VM_ID] = { .type = NLA_U64, },
	[LHV_A_DEVICE_FORCE] = { .type = NLA_FLAG, },
};

/* LHV_CMD_DEVICE_DETACH - do */
const struct nla_policy lhv_device_detach_nl_policy[LHV_A_DEVICE_VM_ID + 1] = {
	[LHV_A_DEVICE_ADDRESS] = { .type = NLA_NUL_STRING, .len = 15, },
	[LHV_A_DEVICE_VM_ID] = { .type = NLA_U64, },
};

/* Ops table for lhv */
const struct genl_ops lhv_nl_ops[16] = {
	{
		.cmd		= LHV_CMD_HOST_GET,
		.doit		= lhv_nl_host_get_doit,
		.policy		= lhv_host_get_nl_policy,
		.maxattr	= LHV_A_HOST_VERBOSE,
	},
	{
		.cmd		= LHV_CMD_VM_GET,
		.doit		= lhv_nl_vm_get_doit,
		.dumpit		= lhv_nl_vm_get_dumpit,
		.policy		= lhv_vm_get_nl_policy,
		.maxattr	= LHV_A_VM_UID,
	},
	{
		.cmd		= LHV_CMD_VM_SET,
		.doit		= lhv_nl_vm_set_doit,
		.policy		= lhv_vm_set_nl_policy,
		.maxattr	= LHV_A_VM_SCHED,
	},
	{
		.cmd		= LHV_CMD_VM_PAUSE,
		.doit		= lhv_nl_vm_pause_doit,
		.policy		= lhv_vm_pause_nl_policy,
		.maxattr	= LHV_A_VM_ID,
	},
	{
		.cmd		= LHV_CMD_VM_RESUME,
		.doit		= lhv_nl_vm_resume_doit,
		.policy		= lhv_vm_resume_nl_policy,
		.maxattr	= LHV_A_VM_ID,
	},
	{
		.cmd		= LHV_CMD_VM_STOP,
		.doit		= lhv_nl_vm_stop_doit,
		.policy		= lhv_vm_stop_nl_policy,
		.maxattr	= LHV_A_VM_ID,
	},
	{
		.cmd		= LHV_CMD_VM_KILL,
		.doit		= lhv_nl_vm_kill_doit,
		.policy		= lhv_vm_kill_nl_policy,
		.maxattr	= LHV_A_VM_ID,
	},
	{
		.cmd		= LHV_CMD_VCPU_GET,
		.doit		= lhv_nl_vcpu_get_doit,
		.dumpit		= lhv_nl_vcpu_get_dumpit,
		.policy		= lhv_vcpu_get_nl_policy,
		.maxattr	= LHV_A_VCPU_ID,
	},
	{
		.cmd		= LHV_CMD_STATS_GET,
		.doit		= lhv_nl_stats_get_doit,
		.dumpit		= lhv_nl_stats_get_dumpit,
		.policy		= lhv_stats_get_nl_policy,
		.maxattr	= LHV_A_STATS_VCPU_ID,
	},
	{
		.cmd		= LHV_CMD_POOL_GET,
		.doit		= lhv_nl_pool_get_doit,
		.dumpit		= lhv_nl_pool_get_dumpit,
		.policy		= lhv_pool_get_nl_policy,
		.maxattr	= LHV_A_POOL_NAME,
	},
	{
		.cmd		= LHV_CMD_POOL_SET,
		.doit		= lhv_nl_pool_set_doit,
		.policy		= lhv_pool_set_nl_policy,
		.maxattr	= LHV_A_POOL_REMOVE,
	},
	{
		.cmd		= LHV_CMD_DEVICE_GET,
		.doit		= lhv_nl_device_get_doit,
		.dumpit		= lhv_nl_device_get_dumpit,
		.policy		= lhv_device_get_nl_policy,
		.maxattr	= LHV_A_DEVICE_ADDRESS,
	},
	{
		.cmd		= LHV_CMD_DEVICE_BIND,
		.doit		= lhv_nl_device_bind_doit,
		.policy		= lhv_device_bind_nl_policy,
		.maxattr	= LHV_A_DEVICE_ADDRESS,
	},
	{
		.cmd		= LHV_CMD_DEVICE_UNBIND,
		.doit		= lhv_nl_device_unbind_doit,
		.policy		= lhv_device_unbind_nl_policy,
		.maxattr	= LHV_A_DEVICE_ADDRESS,
	},
	{
		.cmd		= LHV_CMD_DEVICE_ATTACH,
		.doit		= lhv_nl_device_attach_doit,
		.policy		= lhv_device_attach_nl_policy,
		.maxattr	= LHV_A_DEVICE_FORCE,
	},
	{
		.cmd		= LHV_CMD_DEVICE_DETACH,
		.doit		= lhv_nl_device_detach_doit,
		.policy		= lhv_device_detach_nl_policy,
		.maxattr	= LHV_A_DEVICE_VM_ID,
	},
};

