/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv - the netlink family.
 *
 * What it is for: Documentation/netlink/specs/lhv.yaml, in C. Requests (netlink.c),
 *	objects as attributes (netlink_put.c), events (netlink_event.c).
 * What enters: messages that the generated policy (netlink_gen.c) let through.
 * What leaves: calls of the registry and of control.c; replies and events.
 * What it must not know: how a VM is paused or killed.
 */
#ifndef LHV_NETLINK_H
#define LHV_NETLINK_H

#include <net/genetlink.h>

#include "manage/manage.h"
#include "manage/netlink_gen.h"

extern struct genl_family lhv_nl_family;

/**
 * struct lhv_view - through whose eyes ids are shown
 * @user_ns: user ids as in this namespace
 * @pid_ns: process ids as in this one
 */
struct lhv_view {
	struct user_namespace *user_ns;
	struct pid_namespace *pid_ns;
};

/* netlink_put.c: lhv_vms_lock is held, or the caller has a reference. 0 or -EMSGSIZE. */
int lhv_put_vm(struct sk_buff *skb, struct lhv_vm *vm, const struct lhv_view *view);
int lhv_put_owner(struct sk_buff *skb, struct lhv_vm *vm, const struct lhv_view *view);
int lhv_put_vcpu(struct sk_buff *skb, struct lhv_vcpu *vcpu, const struct lhv_view *view);
int lhv_put_regs(struct sk_buff *skb, const struct lhv_regs *regs);
/* @vcpu NULL: the sum over all of them. @all: what takes room or time, too. */
int lhv_put_stats(struct sk_buff *skb, struct lhv_vm *vm, struct lhv_vcpu *vcpu, bool all);

/* netlink.c: for requests of other files */
struct lhv_vm *lhv_nl_find_vm(struct sk_buff *skb, struct genl_info *info, int attr);
struct sk_buff *lhv_nl_new_reply(struct genl_info *info, void **head, u8 cmd);
int lhv_nl_send_reply(struct sk_buff *skb, struct genl_info *info, void *head, int ret);
void *lhv_nl_dump_head(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd);
int lhv_nl_dump_end(struct sk_buff *skb, void *head, int ret);
bool lhv_nl_is_host_admin(const struct sk_buff *skb);
void lhv_nl_refusal(struct sk_buff *skb, struct genl_info *info, const char *why);

/* netlink_sched.c */
int lhv_put_sched(struct sk_buff *skb, struct lhv_vm *vm);
int lhv_nl_set_sched(struct sk_buff *skb, struct genl_info *info, struct lhv_vm *vm,
		     const struct nlattr *nest);

/* netlink.c */
bool lhv_nl_registered(void);
bool lhv_nl_may_see(struct lhv_vm *vm, kuid_t uid, const struct sock *sk, bool admin);

#endif
