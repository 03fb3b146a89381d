/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/lhv.yaml */
/* YNL-GEN kernel header */

#ifndef _LINUX_LHV_GEN_H
#define _LINUX_LHV_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/linux/lhv_netlink.h>

/* Common nested types */
extern const struct nla_policy lhv_sched_nl_policy[LHV_A_SCHED_ENTITLED_NS + 1];

extern const struct nla_policy lhv_host_get_nl_policy[LHV_A_HOST_VERBOSE + 1];

extern const struct nla_policy lhv_vm_get_nl_policy[LHV_A_VM_UID + 1];

extern const struct nla_policy lhv_vm_set_nl_policy[LHV_A_VM_SCHED + 1];

extern const struct nla_policy lhv_vm_pause_nl_policy[LHV_A_VM_ID + 1];

extern const struct nla_policy lhv_vm_resume_nl_policy[LHV_A_VM_ID + 1];

extern const struct nla_policy lhv_vm_stop_nl_policy[LHV_A_VM_ID + 1];

extern const struct nla_policy lhv_vm_kill_nl_policy[LHV_A_VM_ID + 1];

extern const struct nla_policy lhv_vcpu_get_nl_policy[LHV_A_VCPU_ID + 1];

extern const struct nla_policy lhv_stats_get_nl_policy[LHV_A_STATS_VCPU_ID + 1];

extern const struct nla_policy lhv_pool_get_nl_policy[LHV_A_POOL_NAME + 1];

extern const struct nla_policy lhv_pool_set_nl_policy[LHV_A_POOL_REMOVE + 1];

extern const struct nla_policy lhv_device_get_nl_policy[LHV_A_DEVICE_ADDRESS + 1];

extern const struct nla_policy lhv_device_bind_nl_policy[LHV_A_DEVICE_ADDRESS + 1];

extern const struct nla_policy lhv_device_unbind_nl_policy[LHV_A_DEVICE_ADDRESS + 1];

extern const struct nla_policy lhv_device_attach_nl_policy[LHV_A_DEVICE_FORCE + 1];

extern const struct nla_policy lhv_device_detach_nl_policy[LHV_A_DEVICE_VM_ID + 1];

/* Ops table for lhv */
extern const struct genl_ops lhv_nl_ops[16];

int lhv_nl_host_get_doit(struct sk_buff *skb, struct genl_info *info);
int lhv_nl_vm_get_doit(struct sk_buff *skb, struct genl_info *info);
int lhv_nl_vm_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int lhv_nl_vm_set_doit(struct sk_buff *skb, struct genl_info *info);
int lhv_nl_vm_pause_doit(struct sk_buff *skb, struct genl_info *info);
int lhv_nl_vm_resume_doit(struct sk_buff *skb, struct genl_info *info);
int lhv_nl_vm_stop_doit(struct sk_buff *skb, struct genl_info *info);
int lhv_nl_vm_kill_doit(struct sk_buff *skb, struct genl_info *info);
int lhv_nl_vcpu_get_doit(struct sk_buff *skb, struct genl_info *info);
int lhv_nl_vcpu_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int lhv_nl_stats_get_doit(struct sk_buff *skb, struct genl_info *info);
int lhv_nl_stats_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int lhv_nl_pool_get_doit(struct sk_buff *skb, struct genl_info *info);
int lhv_nl_pool_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int lhv_nl_pool_set_doit(struct sk_buff *skb, struct genl_info *info);
int lhv_nl_device_get_doit(struct sk_buff *skb, struct genl_info *info);
int lhv_nl_device_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int lhv_nl_device_bind_doit(struct sk_buff *skb, struct genl_info *info);
int lhv_nl_device_unbind_doit(struct sk_buff *skb, struct genl_info *info);
int lhv_nl_device_attach_doit(struct sk_buff *skb, struct genl_info *info);
int lhv_nl_device_detach_doit(struct sk_buff *skb, struct genl_info *info);

enum {
	LHV_NLGRP_VM,
	LHV_NLGRP_VCPU,
	LHV_NLGRP_DEVICE,
};

#endif /* _LINUX_LHV_GEN_H */
