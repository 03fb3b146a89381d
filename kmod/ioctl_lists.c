// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - ioctls that hand over a list of a length that the caller chose: MSRs and CPUID.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ioctl.h"

#define LHV_MAX_CPUID		256	/* entries, as KVM_MAX_CPUID_ENTRIES */
#define LHV_MAX_MSRS		256	/* entries of one KVM_GET_MSRS, as MAX_IO_MSRS */

/*
 * The three MSR lists: kvm_msr_list.nmsrs says how many fit and comes back saying how
 * many there are; -E2BIG when they do not fit.
 */
static long put_msr_list(unsigned long arg, const u32 *list, u32 n)
{
	struct kvm_msr_list __user *user = (void __user *)arg;
	u32 room;

	if (get_user(room, &user->nmsrs) || put_user(n, &user->nmsrs))
		return -EFAULT;
	if (room < n)
		return -E2BIG;
	return copy_to_user(user->indices, list, n * sizeof(*list)) ? -EFAULT : 0;
}

long lhv_ioctl_msr_list(void *unused, unsigned long arg)
{
	const u32 *list;
	u32 n = lhv_msr_list(&list);

	return put_msr_list(arg, list, n);
}

long lhv_ioctl_msr_feature_list(void *unused, unsigned long arg)
{
	const u32 *list;
	u32 n = lhv_msr_feature_list(&list);

	return put_msr_list(arg, list, n);
}

/*
 * KVM_GET_MSRS and KVM_SET_MSRS: entries are served in order up to the first that is
 * refused. Return: how many were served.
 */
static long do_msrs(struct lhv_vcpu *vcpu, unsigned long arg, bool write,
		    int (*one)(struct lhv_vcpu *vcpu, struct kvm_msr_entry *e))
{
	struct kvm_msrs __user *user = (void __user *)arg;
	struct kvm_msr_entry *entries;
	struct kvm_msrs head;
	size_t size;
	long ret;
	u32 i;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs >= LHV_MAX_MSRS)
		return -E2BIG;
	size = array_size(head.nmsrs, sizeof(*entries));
	entries = memdup_user(user->entries, size);
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	for (i = 0; i < head.nmsrs; i++) {
		if (one(vcpu, &entries[i]))
			break;
	}
	ret = i;
	if (!write && copy_to_user(user->entries, entries, size))
		ret = -EFAULT;
	kfree(entries);
	return ret;
}

static int get_msr_feature(struct lhv_vcpu *unused, struct kvm_msr_entry *e)
{
	return lhv_msr_feature(e->index, &e->data);
}

static int get_one_msr(struct lhv_vcpu *vcpu, struct kvm_msr_entry *e)
{
	return lhv_msr_read(vcpu, e->index, &e->data, true);
}

static int set_one_msr(struct lhv_vcpu *vcpu, struct kvm_msr_entry *e)
{
	return lhv_msr_write(vcpu, e->index, e->data, true);
}

long lhv_ioctl_msr_features(void *unused, unsigned long arg)
{
	return do_msrs(NULL, arg, false, get_msr_feature);
}

long lhv_ioctl_get_msrs(void *vcpu, unsigned long arg)
{
	return do_msrs(vcpu, arg, false, get_one_msr);
}

long lhv_ioctl_set_msrs(void *vcpu, unsigned long arg)
{
	return do_msrs(vcpu, arg, true, set_one_msr);
}

/* Hand out CPUID entries; the count comes back right even when they do not fit. */
static long put_cpuid(struct lhv_vcpu *vcpu, unsigned long arg)
{
	struct kvm_cpuid2 __user *user = (void __user *)arg;
	struct kvm_cpuid_entry2 *entries;
	u32 nent;
	int ret;

	if (get_user(nent, &user->nent))
		return -EFAULT;
	nent = min_t(u32, nent, LHV_MAX_CPUID);
	entries = kvcalloc(max(nent, 1U), sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;
	ret = vcpu ? lhv_cpuid_get(vcpu, entries, &nent) : lhv_cpuid_supported(entries, &nent);
	/* As KVM: a list that is too short is left as it was. */
	if (!ret && put_user(nent, &user->nent))
		ret = -EFAULT;
	if (!ret && copy_to_user(user->entries, entries, nent * sizeof(*entries)))
		ret = -EFAULT;
	kvfree(entries);
	return ret;
}

long lhv_ioctl_supported_cpuid(void *unused, unsigned long arg)
{
	return put_cpuid(NULL, arg);
}

long lhv_ioctl_get_cpuid(void *vcpu, unsigned long arg)
{
	return put_cpuid(vcpu, arg);
}

long lhv_ioctl_set_cpuid(void *vcpu, unsigned long arg)
{
	struct kvm_cpuid2 __user *user = (void __user *)arg;
	struct kvm_cpuid_entry2 *entries;
	u32 nent;
	int ret;

	if (get_user(nent, &user->nent))
		return -EFAULT;
	if (nent > LHV_MAX_CPUID)
		return -E2BIG;
	entries = vmemdup_user(user->entries, array_size(nent, sizeof(*entries)));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	ret = lhv_cpuid_set(vcpu, entries, nent);
	kvfree(entries);
	return ret;
}
