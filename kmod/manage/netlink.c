// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - netlink requests.
 *
 * The generated policy has checked types and ranges. What is left to check: which VM,
 * may the caller see it, and does it make sense. Requests run in parallel; nothing here
 * takes a lock that is held across the whole of one.
 */
#include <linux/pid_namespace.h>
#include <linux/user_namespace.h>
#include <net/sock.h>

#include "manage/event.h"
#include "host/genl.h"
#include "lhv.h"
#include "manage/netlink.h"

#define LHV_REPLY_ROOM	(16 * 1024)	/* counters with all histograms take 6 KiB */

#define put_u64(skb, attr, value, set)					\
	nla_put_u64_64bit(skb, LHV_A_##set##_##attr, value, LHV_A_##set##_PAD)

/* ---- who may see what ---- */

/**
 * lhv_nl_may_see() - the one rule of who sees and steers a VM
 * @vm: the VM
 * @uid: of the caller or listener
 * @sk: his socket
 * @admin: he has CAP_SYS_ADMIN in its user namespace
 *
 * Containers without a user namespace of their own have user ids of the host's: what tells those
 * apart is where they live.
 *
 * Context: any.
 */
bool lhv_nl_may_see(struct lhv_vm *vm, kuid_t uid, const struct sock *sk, bool admin)
{
	const struct lhv_owner *owner = &vm->manage.owner;
	const struct user_namespace *from, *ns = sk_user_ns(sk);
	const struct net *net = sock_net(sk);

	for (from = owner->user_ns; from && from != ns; from = from->parent)
		;
	if (!from || admin)
		return from;
	return uid_eq(uid, owner->uid) && (net_eq(net, &init_net) || net_eq(net, owner->net));
}

/**
 * struct caller - who asks
 * @sk: his socket
 * @ns: its user namespace, which it keeps
 * @uid: his real user id, if who opened the socket had the same
 * @admin: he has CAP_SYS_ADMIN there, and so had who opened the socket
 */
struct caller {
	const struct sock *sk;
	struct user_namespace *ns;
	kuid_t uid;
	bool admin;
};

/**
 * lhv_nl_refusal() - a refusal in words that are put together
 * @skb: the request
 * @info: what is in it
 * @why: the words, copied; none: nothing is said
 *
 * They have to last until the request is answered, which is after its handler: so they hang on
 * the request itself, and are freed with it.
 */
void lhv_nl_refusal(struct sk_buff *skb, struct genl_info *info, const char *why)
{
	size_t len = strlen(why) + 1;
	struct sk_buff *words;

	if (!info->extack || !*why)
		return;
	/* Of such a one netlink frees nothing but the memory itself. */
	if (is_vmalloc_addr(skb->head)) {
		NL_SET_ERR_MSG(info->extack, "refused; why is said to a smaller request");
		return;
	}
	words = alloc_skb(len, GFP_KERNEL);
	if (!words)
		return;
	info->extack->_msg = skb_put_data(words, why, len);
	words->next = skb_shinfo(skb)->frag_list;
	skb_shinfo(skb)->frag_list = words;
}

/* What concerns the whole host: who may change that? */
bool lhv_nl_is_host_admin(const struct sk_buff *skb)
{
	return netlink_ns_capable(skb, &init_user_ns, CAP_SYS_ADMIN);
}

/* Both who opened the socket and who sends count: each may have got the other to do it. */
static struct caller caller_of(const struct sk_buff *skb)
{
	const struct sock *sk = NETLINK_CB(skb).sk;
	struct user_namespace *ns = sk_user_ns(sk);
	kuid_t uid = NETLINK_CREDS(skb)->uid;

	return (struct caller) {
		.sk = sk,
		.ns = ns,
		.uid = uid_eq(uid, sk->sk_socket->file->f_cred->uid) ? uid : INVALID_UID,
		.admin = netlink_ns_capable(skb, ns, CAP_SYS_ADMIN),
	};
}

/* Who asks must be able to see the owner's process, too. Of listeners that is not known. */
static bool may_see(struct lhv_vm *vm, const struct caller *who)
{
	return lhv_nl_may_see(vm, who->uid, who->sk, who->admin) &&
	       (who->admin || pid_nr_ns(vm->manage.owner.pid, task_active_pid_ns(current)));
}

static struct lhv_view view_of(const struct caller *who)
{
	return (struct lhv_view) { .user_ns = who->ns, .pid_ns = task_active_pid_ns(current) };
}

/* ---- which VM ---- */

/* With a reference for the caller, or ERR_PTR with the reason in the extended ack. */
struct lhv_vm *lhv_nl_find_vm(struct sk_buff *skb, struct genl_info *info, int attr)
{
	struct caller who = caller_of(skb);
	struct lhv_vm *vm;

	if (!info->attrs[attr]) {
		NL_SET_ERR_MSG(info->extack, "which VM? its id is missing");
		return ERR_PTR(-EINVAL);
	}
	vm = lhv_registry_find(nla_get_u64(info->attrs[attr]));
	if (vm && !may_see(vm, &who)) {
		lhv_vm_put(vm);
		vm = NULL;
	}
	if (!vm) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[attr], "no VM of yours has this id");
		return ERR_PTR(-ENOENT);
	}
	return vm;
}

static struct lhv_vm *find_by_name(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *name = info->attrs[LHV_A_VM_NAME];
	struct caller who = caller_of(skb);
	struct lhv_vm *vm, *found = NULL;
	unsigned long id;
	int n = 0;

	mutex_lock(&lhv_vms_lock);
	lhv_for_each_vm(id, vm) {
		if (!refcount_read(&vm->refs) || nla_strcmp(name, vm->manage.name) ||
		    !may_see(vm, &who))
			continue;
		found = vm;
		n++;
	}
	if (n != 1 || !refcount_inc_not_zero(&found->refs))
		found = NULL;
	mutex_unlock(&lhv_vms_lock);
	if (found)
		return found;
	if (n > 1) {
		NL_SET_ERR_MSG_ATTR(info->extack, name,
				    "VMs of several owners have this name: say which by its id");
		return ERR_PTR(-ENOTUNIQ);
	}
	NL_SET_ERR_MSG_ATTR(info->extack, name, "no VM of yours has this name");
	return ERR_PTR(-ENOENT);
}

/* ---- replies ---- */

struct sk_buff *lhv_nl_new_reply(struct genl_info *info, void **head, u8 cmd)
{
	struct sk_buff *skb = genlmsg_new(LHV_REPLY_ROOM, GFP_KERNEL);

	if (!skb)
		return NULL;
	*head = genlmsg_put_reply(skb, info, &lhv_nl_family, 0, cmd);
	return skb;
}

int lhv_nl_send_reply(struct sk_buff *skb, struct genl_info *info, void *head, int ret)
{
	if (ret) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, head);
	return genlmsg_reply(skb, info);
}

/* ---- host ---- */

static int put_features(struct sk_buff *skb)
{
	char *text = kzalloc(PAGE_SIZE, GFP_KERNEL);
	int ret;

	if (!text)
		return -ENOMEM;
	lhv_backend->describe(text, PAGE_SIZE);
	ret = nla_put_string(skb, LHV_A_HOST_FEATURES, text);
	kfree(text);
	return ret;
}

static u32 count_vms(const struct caller *who)
{
	struct lhv_vm *vm;
	unsigned long id;
	u32 n = 0;

	mutex_lock(&lhv_vms_lock);
	lhv_for_each_vm(id, vm)
		n += refcount_read(&vm->refs) && may_see(vm, who);
	mutex_unlock(&lhv_vms_lock);
	return n;
}

int lhv_nl_host_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct caller who = caller_of(skb);
	struct sk_buff *reply;
	void *head;
	int ret;

	reply = lhv_nl_new_reply(info, &head, LHV_CMD_HOST_GET);
	if (!reply)
		return -ENOMEM;
	ret = !head ||
	      nla_put_string(reply, LHV_A_HOST_BACKEND, lhv_backend->name) ||
	      nla_put_u32(reply, LHV_A_HOST_API_VERSION, KVM_API_VERSION) ||
	      nla_put_u32(reply, LHV_A_HOST_MAX_VCPUS, LHV_MAX_VCPUS) ||
	      nla_put_u32(reply, LHV_A_HOST_VMS, count_vms(&who)) ||
	      put_u64(reply, LAST_VM_ID, lhv_registry_last_id(), HOST) ||
	      nla_put_u32(reply, LHV_A_HOST_LATENCY, lhv_latency_on()) ||
	      nla_put_u32(reply, LHV_A_HOST_STUCK_SECONDS, lhv_stuck_seconds()) ||
	      (info->attrs[LHV_A_HOST_VERBOSE] && put_features(reply));
	return lhv_nl_send_reply(reply, info, head, ret);
}

/* ---- VMs ---- */

int lhv_nl_vm_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct caller who = caller_of(skb);
	struct lhv_view view = view_of(&who);
	struct sk_buff *reply;
	struct lhv_vm *vm;
	void *head;
	int ret;

	if (info->attrs[LHV_A_VM_ID] || !info->attrs[LHV_A_VM_NAME])
		vm = lhv_nl_find_vm(skb, info, LHV_A_VM_ID);
	else
		vm = find_by_name(skb, info);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	reply = lhv_nl_new_reply(info, &head, LHV_CMD_VM_GET);
	if (!reply) {
		lhv_vm_put(vm);
		return -ENOMEM;
	}
	mutex_lock(&lhv_vms_lock);
	ret = !head || lhv_put_vm(reply, vm, &view);
	mutex_unlock(&lhv_vms_lock);
	lhv_vm_put(vm);
	return lhv_nl_send_reply(reply, info, head, ret);
}

static int rename(struct genl_info *info, struct lhv_vm *vm)
{
	const struct nlattr *attr = info->attrs[LHV_A_VM_NAME];
	char old[LHV_NAME_MAX + 1], name[LHV_NAME_MAX + 1];
	int ret;

	nla_strscpy(name, attr, sizeof(name));
	if (!lhv_name_valid(name)) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "not a name: a letter or '_', then letters, digits, '.', '-', '_'");
		return -EINVAL;
	}
	/* Names are told in the order in which they were given. */
	guard(mutex)(&vm->manage.lock);
	ret = lhv_registry_rename(vm, name, old);
	if (ret)
		NL_SET_ERR_MSG_ATTR(info->extack, attr, "its owner has another VM of this name");
	else if (strcmp(old, name))
		lhv_tell_renamed(vm, old);
	return ret;
}

int lhv_nl_vm_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *sched = info->attrs[LHV_A_VM_SCHED];
	struct lhv_vm *vm;
	int ret = 0;

	if (!info->attrs[LHV_A_VM_NAME] && !sched) {
		NL_SET_ERR_MSG(info->extack, "nothing to set: there is no name and no sched");
		return -EINVAL;
	}
	vm = lhv_nl_find_vm(skb, info, LHV_A_VM_ID);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	if (sched)
		ret = lhv_nl_set_sched(skb, info, vm, sched);
	if (!ret && info->attrs[LHV_A_VM_NAME])
		ret = rename(info, vm);
	lhv_vm_put(vm);
	return ret;
}

/* The four that change what a VM does, and what most of their refusals mean. */
static int steer(struct sk_buff *skb, struct genl_info *info, int (*fn)(struct lhv_vm *vm))
{
	struct lhv_vm *vm = lhv_nl_find_vm(skb, info, LHV_A_VM_ID);
	int ret;

	if (IS_ERR(vm))
		return PTR_ERR(vm);
	ret = fn(vm);
	if (ret == -ESHUTDOWN)
		NL_SET_ERR_MSG(info->extack, "this VM was killed");
	lhv_vm_put(vm);
	return ret;
}

int lhv_nl_vm_pause_doit(struct sk_buff *skb, struct genl_info *info)
{
	int ret = steer(skb, info, lhv_vm_pause);

	if (ret == -EALREADY)
		NL_SET_ERR_MSG(info->extack, "this VM is paused already");
	return ret;
}

int lhv_nl_vm_resume_doit(struct sk_buff *skb, struct genl_info *info)
{
	int ret = steer(skb, info, lhv_vm_resume);

	if (ret == -EALREADY)
		NL_SET_ERR_MSG(info->extack, "this VM is not paused");
	return ret;
}

int lhv_nl_vm_stop_doit(struct sk_buff *skb, struct genl_info *info)
{
	int ret = steer(skb, info, lhv_vm_ask_stop);

	if (ret == -EOPNOTSUPP)
		NL_SET_ERR_MSG(info->extack,
			       "its VMM cannot be asked to stop: stop the guest from within, or kill the VM");
	return ret;
}

int lhv_nl_vm_kill_doit(struct sk_buff *skb, struct genl_info *info)
{
	int ret = steer(skb, info, lhv_vm_kill);

	if (ret == -EALREADY)
		NL_SET_ERR_MSG(info->extack, "this VM was killed already");
	return ret;
}

/* ---- dumps ---- */

/**
 * struct dump - where a dump is, in netlink_callback.ctx
 * @who: who asked, as of the first part
 * @begun: @who is known
 * @vm: id of the last VM that is through
 * @vcpu: index of the next vCPU of the VM behind it
 */
struct dump {
	struct caller who;
	bool begun;
	u64 vm;
	u32 vcpu;
};

static struct dump *dump_of(struct netlink_callback *cb)
{
	struct dump *d = (void *)cb->ctx;

	BUILD_BUG_ON(sizeof(*d) > sizeof(cb->ctx));
	if (!d->begun) {
		d->who = caller_of(cb->skb);
		d->begun = true;
	}
	return d;
}

void *lhv_nl_dump_head(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd)
{
	void *head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
				 &lhv_nl_family, NLM_F_MULTI, cmd);

	if (head)
		genl_dump_check_consistent(cb, head);
	return head;
}

int lhv_nl_dump_end(struct sk_buff *skb, void *head, int ret)
{
	if (ret) {
		genlmsg_cancel(skb, head);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, head);
	return 0;
}

static bool wanted(struct lhv_vm *vm, struct nlattr **attrs, const struct caller *who)
{
	if (attrs[LHV_A_VM_ID] && vm->id != nla_get_u64(attrs[LHV_A_VM_ID]))
		return false;
	if (attrs[LHV_A_VM_NAME] && nla_strcmp(attrs[LHV_A_VM_NAME], vm->manage.name))
		return false;
	if (attrs[LHV_A_VM_STATE] && lhv_vm_state(vm) != nla_get_u32(attrs[LHV_A_VM_STATE]))
		return false;
	if (attrs[LHV_A_VM_UID] &&
	    !uid_eq(vm->manage.owner.uid, make_kuid(who->ns, nla_get_u32(attrs[LHV_A_VM_UID]))))
		return false;
	return true;
}

int lhv_nl_vm_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nlattr **attrs = lhv_host_dump_attrs(cb);
	struct dump *d = dump_of(cb);
	struct lhv_view view = view_of(&d->who);
	struct lhv_vm *vm;
	void *head;

	mutex_lock(&lhv_vms_lock);
	cb->seq = lhv_registry_version();
	while ((vm = lhv_registry_next(d->vm))) {
		if (may_see(vm, &d->who) && wanted(vm, attrs, &d->who)) {
			head = lhv_nl_dump_head(skb, cb, LHV_CMD_VM_GET);
			if (!head || lhv_nl_dump_end(skb, head, lhv_put_vm(skb, vm, &view)))
				break;
		}
		d->vm = vm->id;
	}
	mutex_unlock(&lhv_vms_lock);
	/* A message that does not even fit alone would end the dump as if all were said. */
	return skb->len ?: vm ? -EMSGSIZE : 0;
}

/*
 * Dump the vCPUs of the VM that @attr names, or of all VMs. @put puts one vCPU's
 * attributes.
 */
static int dump_vcpus(struct sk_buff *skb, struct netlink_callback *cb, struct nlattr *only,
		      u8 cmd, int (*put)(struct sk_buff *skb, struct lhv_vcpu *vcpu,
					 const struct lhv_view *view))
{
	struct dump *d = dump_of(cb);
	struct lhv_view view = view_of(&d->who);
	struct lhv_vm *vm;
	void *head;

	mutex_lock(&lhv_vms_lock);
	cb->seq = lhv_registry_version();
	while ((vm = lhv_registry_next(d->vm))) {
		if (may_see(vm, &d->who) && (!only || vm->id == nla_get_u64(only))) {
			for (; d->vcpu < lhv_nr_vcpus(vm); d->vcpu++) {
				head = lhv_nl_dump_head(skb, cb, cmd);
				if (!head || lhv_nl_dump_end(skb, head,
							     put(skb, lhv_vcpu_at(vm, d->vcpu),
								 &view)))
					goto full;
			}
		}
		d->vm = vm->id;
		d->vcpu = 0;
	}
full:
	mutex_unlock(&lhv_vms_lock);
	return skb->len ?: vm ? -EMSGSIZE : 0;
}

/* ---- vCPUs ---- */

static struct lhv_vcpu *find_vcpu(struct genl_info *info, struct lhv_vm *vm, int attr)
{
	struct lhv_vcpu *vcpu;

	if (!info->attrs[attr]) {
		NL_SET_ERR_MSG(info->extack, "which vCPU? its id is missing");
		return ERR_PTR(-EINVAL);
	}
	vcpu = lhv_vcpu_by_id(vm, nla_get_u32(info->attrs[attr]));
	if (!vcpu) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[attr], "the VM has no such vCPU");
		return ERR_PTR(-ENOENT);
	}
	return vcpu;
}

int lhv_nl_vcpu_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct lhv_vm *vm = lhv_nl_find_vm(skb, info, LHV_A_VCPU_VM_ID);
	struct caller who = caller_of(skb);
	struct lhv_view view = view_of(&who);
	struct sk_buff *reply = NULL;
	struct lhv_vcpu *vcpu;
	void *head;
	int ret;

	if (IS_ERR(vm))
		return PTR_ERR(vm);
	vcpu = find_vcpu(info, vm, LHV_A_VCPU_ID);
	ret = PTR_ERR_OR_ZERO(vcpu);
	if (!ret) {
		reply = lhv_nl_new_reply(info, &head, LHV_CMD_VCPU_GET);
		ret = reply ? 0 : -ENOMEM;
	}
	if (!ret)
		ret = lhv_nl_send_reply(reply, info, head,
					!head || lhv_put_vcpu(reply, vcpu, &view));
	lhv_vm_put(vm);
	return ret;
}

int lhv_nl_vcpu_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nlattr **attrs = lhv_host_dump_attrs(cb);

	return dump_vcpus(skb, cb, attrs[LHV_A_VCPU_VM_ID], LHV_CMD_VCPU_GET, lhv_put_vcpu);
}

/* ---- counters ---- */

int lhv_nl_stats_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct lhv_vm *vm = lhv_nl_find_vm(skb, info, LHV_A_STATS_VM_ID);
	struct lhv_vcpu *vcpu = NULL;
	struct sk_buff *reply = NULL;
	void *head;
	int ret = 0;

	if (IS_ERR(vm))
		return PTR_ERR(vm);
	if (info->attrs[LHV_A_STATS_VCPU_ID]) {
		vcpu = find_vcpu(info, vm, LHV_A_STATS_VCPU_ID);
		ret = PTR_ERR_OR_ZERO(vcpu);
	}
	if (!ret) {
		reply = lhv_nl_new_reply(info, &head, LHV_CMD_STATS_GET);
		ret = reply ? 0 : -ENOMEM;
	}
	if (!ret)
		ret = lhv_nl_send_reply(reply, info, head,
					!head || lhv_put_stats(reply, vm, vcpu, true));
	lhv_vm_put(vm);
	return ret;
}

static int put_vcpu_stats(struct sk_buff *skb, struct lhv_vcpu *vcpu, const struct lhv_view *view)
{
	return lhv_put_stats(skb, vcpu->vm, vcpu, false);
}

int lhv_nl_stats_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nlattr **attrs = lhv_host_dump_attrs(cb);
	struct dump *d = dump_of(cb);
	struct lhv_vm *vm;
	void *head;

	if (attrs[LHV_A_STATS_VM_ID])
		return dump_vcpus(skb, cb, attrs[LHV_A_STATS_VM_ID], LHV_CMD_STATS_GET,
				  put_vcpu_stats);
	mutex_lock(&lhv_vms_lock);
	cb->seq = lhv_registry_version();
	while ((vm = lhv_registry_next(d->vm))) {
		if (may_see(vm, &d->who)) {
			head = lhv_nl_dump_head(skb, cb, LHV_CMD_STATS_GET);
			if (!head ||
			    lhv_nl_dump_end(skb, head, lhv_put_stats(skb, vm, NULL, false)))
				break;
		}
		d->vm = vm->id;
	}
	mutex_unlock(&lhv_vms_lock);
	return skb->len ?: vm ? -EMSGSIZE : 0;
}

/* ---- the family ---- */

static const struct genl_multicast_group groups[] = {
	[LHV_NLGRP_VM] = { .name = "vm", .flags = LHV_HOST_MCAST_FLAGS },
	[LHV_NLGRP_VCPU] = { .name = "vcpu", .flags = LHV_HOST_MCAST_FLAGS },
	[LHV_NLGRP_DEVICE] = { .name = "device", .flags = LHV_HOST_MCAST_FLAGS },
};

struct genl_family lhv_nl_family __ro_after_init = {
	.name = LHV_FAMILY_NAME,
	.version = LHV_FAMILY_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.ops = lhv_nl_ops,
	.n_ops = ARRAY_SIZE(lhv_nl_ops),
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
};

static bool registered;

/* Before that nobody can have joined a group, nor has the family any. */
bool lhv_nl_registered(void)
{
	return smp_load_acquire(&registered);	/* pairs with lhv_netlink_init()'s */
}

int __init lhv_netlink_init(void)
{
	int ret = genl_register_family(&lhv_nl_family);

	if (!ret)
		smp_store_release(&registered, true);	/* the family is filled in */
	return ret;
}

/* Waits for requests that are under way. */
void lhv_netlink_exit(void)
{
	genl_unregister_family(&lhv_nl_family);
}
