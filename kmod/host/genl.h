/* SPDX-License-Identifier: GPL-2.0 */
/* lhv host/ - generic netlink, as it differs between host kernels. */
#ifndef LHV_HOST_GENL_H
#define LHV_HOST_GENL_H

#include <net/genetlink.h>

/* The attributes of a dump's request, parsed. */
static inline struct nlattr **lhv_host_dump_attrs(struct netlink_callback *cb)
{
#ifdef LHV_HAVE_GENL_INFO_DUMP
	return genl_info_dump(cb)->attrs;
#else
	return genl_dumpit_info(cb)->attrs;
#endif
}

/*
 * May listeners be chosen one by one? Where they can't, joining a group needs
 * CAP_SYS_ADMIN over the network namespace.
 */
#ifdef LHV_HAVE_GENL_FILTER
#define LHV_HOST_MCAST_FLAGS	0
#else
#define LHV_HOST_MCAST_FLAGS	GENL_MCAST_CAP_SYS_ADMIN
#endif

/**
 * lhv_host_genl_multicast() - send a message to those listeners whom @refuse lets through
 * @family: the family
 * @net: network namespace
 * @skb: message, consumed
 * @group: index of the group in the family
 * @refuse: true for a socket that must not get it; not called where it can't be
 * @data: for @refuse
 *
 * Context: process. A listener without room loses the message and is told so.
 */
static inline void lhv_host_genl_multicast(const struct genl_family *family, struct net *net,
					   struct sk_buff *skb, unsigned int group,
					   int (*refuse)(struct sock *sk, struct sk_buff *skb,
							 void *data), void *data)
{
#ifdef LHV_HAVE_GENL_FILTER
	genlmsg_multicast_netns_filtered(family, net, skb, 0, group, GFP_KERNEL, refuse, data);
#else
	genlmsg_multicast_netns(family, net, skb, 0, group, GFP_KERNEL);
#endif
}

#endif
