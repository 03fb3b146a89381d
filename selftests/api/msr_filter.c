// SPDX-License-Identifier: GPL-2.0
/* KVM_X86_SET_MSR_FILTER and KVM_CAP_X86_USER_SPACE_MSR: what is refused. */
#include "vm.h"

static int set(struct vm *vm, struct kvm_msr_filter *filter)
{
	return ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, filter);
}

TEST(msr_filter_refused)
{
	static uint8_t bits[KVM_MSR_FILTER_MAX_BITMAP_SIZE];
	struct vm *vm = vm_create(0);
	struct kvm_msr_filter filter, f = {
		.ranges = { [3] = { KVM_MSR_FILTER_READ, 1, 0, bits } },
	};
	unsigned int i;

	CHECK_EQ(vm_cap(vm, KVM_CAP_X86_MSR_FILTER), 1);
	for (i = 0; i < 32; i++) {
		filter = f;
		filter.flags = 1u << i;
		if (i)
			CHECK_ERR(set(vm, &filter), EINVAL);
		else
			CHECK_OK(set(vm, &filter));
		filter = f;
		filter.ranges[3].flags = 1u << i;
		if (i > 1)
			CHECK_ERR(set(vm, &filter), EINVAL);
		else
			CHECK_OK(set(vm, &filter));
	}
	filter = f;
	filter.ranges[3].flags = 0;
	CHECK_ERR(set(vm, &filter), EINVAL);
	filter = f;
	filter.ranges[3].bitmap = NULL;
	CHECK_ERR(set(vm, &filter), EFAULT);
	/* What is good comes before what is not. */
	filter.ranges[0] = f.ranges[3];
	CHECK_ERR(set(vm, &filter), EFAULT);
	filter = f;
	filter.ranges[3].nmsrs = sizeof(bits) * 8;
	CHECK_OK(set(vm, &filter));
	filter.ranges[3].nmsrs++;
	CHECK_ERR(set(vm, &filter), EINVAL);
	filter.ranges[3].nmsrs = UINT32_MAX;
	CHECK_ERR(set(vm, &filter), EINVAL);
	/* To the end of all numbers, and over it */
	filter = f;
	filter.ranges[3].base = UINT32_MAX;
	filter.ranges[3].nmsrs = 64;
	CHECK_OK(set(vm, &filter));
	CHECK_ERR(set(vm, NULL), EFAULT);
	/* A guest without any MSR, and with all */
	memset(&filter, 0, sizeof(filter));
	filter.flags = KVM_MSR_FILTER_DEFAULT_DENY;
	CHECK_ERR(set(vm, &filter), EINVAL);
	filter.flags = 0;
	CHECK_OK(set(vm, &filter));
	/* One is left in force: it goes with the VM. */
	CHECK_OK(set(vm, &f));
}

TEST(user_msr_flags)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR };
	struct vm *vm = vm_create(0);
	int i;

	CHECK_EQ(vm_cap(vm, KVM_CAP_X86_USER_SPACE_MSR), 1);
	for (i = 0; i < 64; i++) {
		cap.args[0] = 1ull << i;
		if (i < 3)
			CHECK_OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
		else if (i > 3 || !on_kvm())
			CHECK_ERR(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	}
	cap.args[0] = 0;
	CHECK_OK(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
}
