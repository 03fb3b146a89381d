// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/lhv.yaml */
/* YNL-GEN kernel source */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink_gen.h"

#include <uapi/linux/lhv_netlink.h>

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
const struct nla_policy lhv_vm_set_nl_policy[LHV_A_VM_NAME + 1] = {
	[LHV_A_VM_ID] = NLA_POLICY_MIN(NLA_U64, 1),
	[LHV_A_VM_NAME] = { .type = NLA_NUL_STRING, .len = 63, },
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

/* Ops table for lhv */
const struct genl_ops lhv_nl_ops[9] = {
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
		.maxattr	= LHV_A_VM_NAME,
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
};

