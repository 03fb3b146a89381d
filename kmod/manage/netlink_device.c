// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - devices by netlink: which there are, and whose.
 */
#include <linux/pci.h>
#include <linux/timekeeping.h>
#include <linux/user_namespace.h>
#include <net/sock.h>

#include "host/genl.h"
#include "lhv.h"
#include "manage/event.h"
#include "manage/netlink.h"
#include "passthrough/passthrough.h"

#define put_u64(skb, attr, value)					\
	nla_put_u64_64bit(skb, LHV_A_DEVICE_##attr, value, LHV_A_DEVICE_PAD)

#define ADDRESS_MAX	16

/* With a reference for the caller, or ERR_PTR with the reason in the extended ack. */
static struct pci_dev *find_device(struct genl_info *info)
{
	unsigned int domain, bus, slot, fn;
	struct pci_dev *pdev = NULL;
	char address[ADDRESS_MAX];
	int n = 0;

	if (!info->attrs[LHV_A_DEVICE_ADDRESS]) {
		NL_SET_ERR_MSG(info->extack, "which device? its address is missing");
		return ERR_PTR(-EINVAL);
	}
	nla_strscpy(address, info->attrs[LHV_A_DEVICE_ADDRESS], sizeof(address));
	if (sscanf(address, "%x:%x:%x.%x%n", &domain, &bus, &slot, &fn, &n) != 4 || address[n] ||
	    domain > INT_MAX || bus > U8_MAX || slot > PCI_SLOT(U8_MAX) ||
	    fn > PCI_FUNC(U8_MAX)) {
		NL_SET_ERR_MSG(info->extack, "not a PCI address such as 0000:00:03.0");
		return ERR_PTR(-EINVAL);
	}
	pdev = pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, fn));
	if (!pdev) {
		NL_SET_ERR_MSG(info->extack, "this host has no PCI device there");
		return ERR_PTR(-ENODEV);
	}
	return pdev;
}

/* ---- device-get ---- */

static int put_text(struct sk_buff *skb, int attr, const char *text)
{
	return *text ? nla_put_string(skb, attr, text) : 0;
}

/* @admin: for the host's; to others its interfaces and disks have no names. */
static int put_function(struct sk_buff *skb, struct pci_dev *pdev, bool admin)
{
	struct lhv_device_description *d = kmalloc(sizeof(*d), GFP_KERNEL);
	int ret;

	if (!d)
		return -ENOMEM;
	lhv_device_describe(pdev, d);
	ret = nla_put_string(skb, LHV_A_DEVICE_ADDRESS, pci_name(pdev)) ||
	      nla_put_u32(skb, LHV_A_DEVICE_VENDOR, pdev->vendor) ||
	      nla_put_u32(skb, LHV_A_DEVICE_DEVICE, pdev->device) ||
	      nla_put_u32(skb, LHV_A_DEVICE_CLASS, pdev->class) ||
	      put_text(skb, LHV_A_DEVICE_DRIVER, d->driver) ||
	      put_text(skb, LHV_A_DEVICE_FORMER, d->former) ||
	      (d->group >= 0 && nla_put_u32(skb, LHV_A_DEVICE_GROUP, d->group)) ||
	      put_text(skb, LHV_A_DEVICE_MEMBERS, d->members) ||
	      put_text(skb, LHV_A_DEVICE_BLOCKED, d->blocked) ||
	      put_text(skb, LHV_A_DEVICE_USERS, admin || !*d->users ? d->users : "the host") ||
	      nla_put_u32(skb, LHV_A_DEVICE_CAN_RESET, d->can_reset) ||
	      nla_put_u32(skb, LHV_A_DEVICE_ISOLATED, d->isolated) ||
	      (admin && d->vm_id && put_u64(skb, VM_ID, d->vm_id));
	kfree(d);
	return ret ? -EMSGSIZE : 0;
}

int lhv_nl_device_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct pci_dev *pdev = find_device(info);
	struct sk_buff *reply;
	void *head;
	int ret;

	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	reply = lhv_nl_new_reply(info, &head, LHV_CMD_DEVICE_GET);
	if (!reply) {
		pci_dev_put(pdev);
		return -ENOMEM;
	}
	ret = !head || put_function(reply, pdev, lhv_nl_is_host_admin(skb));
	pci_dev_put(pdev);
	return lhv_nl_send_reply(reply, info, head, ret);
}

int lhv_nl_device_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	bool admin = lhv_nl_is_host_admin(cb->skb);
	struct pci_dev *pdev = NULL;
	long n = 0;
	void *head;

	/* Where it goes on is counted. */
	cb->seq = lhv_devices_version();
	for_each_pci_dev(pdev) {
		if (n++ < cb->args[0])
			continue;
		head = lhv_nl_dump_head(skb, cb, LHV_CMD_DEVICE_GET);
		if (!head || lhv_nl_dump_end(skb, head, put_function(skb, pdev, admin)))
			break;
		cb->args[0] = n;
	}
	pci_dev_put(pdev);
	return skb->len ?: pdev ? -EMSGSIZE : 0;
}

/* ---- the four that change something ---- */

static int refuse(struct sock *sk, struct sk_buff *skb, void *data)
{
	return !file_ns_capable(sk->sk_socket->file, &init_user_ns, CAP_SYS_ADMIN);
}

/* Context: process. */
void lhv_tell_device(struct pci_dev *pdev, enum lhv_device_event event, u64 vm_id)
{
	struct sk_buff *skb;
	void *head;

	/* A device that waits for our driver comes before the family. */
	if (!lhv_nl_registered() ||
	    !genl_has_listeners(&lhv_nl_family, &init_net, LHV_NLGRP_DEVICE))
		return;
	skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!skb)
		goto err_lost;
	head = genlmsg_put(skb, 0, 0, &lhv_nl_family, 0, LHV_CMD_DEVICE_EVENT);
	if (!head || nla_put_u32(skb, LHV_A_DEVICE_EVENT, event) ||
	    put_u64(skb, TIME, ktime_get_boottime_ns()) ||
	    nla_put_string(skb, LHV_A_DEVICE_ADDRESS, pci_name(pdev)) ||
	    (vm_id && put_u64(skb, VM_ID, vm_id))) {
		nlmsg_free(skb);
		goto err_lost;
	}
	genlmsg_end(skb, head);
	lhv_host_genl_multicast(&lhv_nl_family, &init_net, skb, LHV_NLGRP_DEVICE, refuse, NULL);
	return;

err_lost:
	/* As if their buffers had been full. */
	genl_set_err(&lhv_nl_family, &init_net, 0, LHV_NLGRP_DEVICE, -ENOBUFS);
}

/* An administrator's request about a device. */
static struct pci_dev *device_to_change(struct sk_buff *skb, struct genl_info *info)
{
	if (lhv_nl_is_host_admin(skb))
		return find_device(info);
	NL_SET_ERR_MSG(info->extack, "the host's devices are the host administrator's");
	return ERR_PTR(-EPERM);
}

static int change(struct sk_buff *skb, struct genl_info *info,
		  int (*fn)(struct pci_dev *pdev, char *why))
{
	struct pci_dev *pdev = device_to_change(skb, info);
	char why[LHV_WHY_MAX] = "";
	int ret;

	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	ret = fn(pdev, why);
	if (ret)
		lhv_nl_refusal(skb, info, why);
	pci_dev_put(pdev);
	return ret;
}

int lhv_nl_device_bind_doit(struct sk_buff *skb, struct genl_info *info)
{
	return change(skb, info, lhv_device_bind);
}

int lhv_nl_device_unbind_doit(struct sk_buff *skb, struct genl_info *info)
{
	return change(skb, info, lhv_device_unbind);
}

int lhv_nl_device_attach_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct pci_dev *pdev = device_to_change(skb, info);
	bool force = info->attrs[LHV_A_DEVICE_FORCE];
	char why[LHV_WHY_MAX] = "";
	struct lhv_vm *vm;
	int ret;

	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	vm = lhv_nl_find_vm(skb, info, LHV_A_DEVICE_VM_ID);
	ret = PTR_ERR_OR_ZERO(vm);
	if (!ret) {
		ret = lhv_device_attach(vm, pdev, force, why);
		if (ret)
			lhv_nl_refusal(skb, info, why);
		lhv_vm_put(vm);
	}
	pci_dev_put(pdev);
	return ret;
}

int lhv_nl_device_detach_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct pci_dev *pdev = device_to_change(skb, info);
	char why[LHV_WHY_MAX] = "";
	struct lhv_vm *vm = NULL;
	int ret = 0;

	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	if (info->attrs[LHV_A_DEVICE_VM_ID]) {
		vm = lhv_nl_find_vm(skb, info, LHV_A_DEVICE_VM_ID);
		ret = PTR_ERR_OR_ZERO(vm);
	}
	if (!ret) {
		ret = lhv_device_detach(vm, pdev, why);
		if (ret)
			lhv_nl_refusal(skb, info, why);
		if (vm)
			lhv_vm_put(vm);
	}
	pci_dev_put(pdev);
	return ret;
}
