// SPDX-License-Identifier: GPL-2.0
/* KVM on the same machine: whoever comes second is refused, and the first one's guest goes on. */
#include <fcntl.h>
#include <sys/syscall.h>

#include "events.h"

#define MODULE	"/lab/lhv.ko"

static int load_lhv(void)
{
	int fd = CHECK_OK(open(MODULE, O_RDONLY)), ret, err;

	ret = syscall(SYS_finit_module, fd, "", 0);
	err = errno;
	close(fd);
	errno = err;
	return ret;
}

/* KVM runs a guest (-d /dev/kvm): lhv.ko does not load, also again and again, and after it does. */
TEST(kvm_first, .timeout = 120)
{
	struct busy b = { 0 };
	int i;

	if (!on_kvm())
		test_skip("for -d /dev/kvm");
	busy_start(&b, 2, BUSY_ALL, false);
	busy_alive(&b, 60);
	for (i = 0; i < 5; i++) {
		CHECK_ERR(load_lhv(), EBUSY);
		busy_alive(&b, 30);
	}
	busy_stop(&b);
}

static void g_stages(void)
{
	g_sync(1);
	g_sync(2);
	g_done();
}

/* VT-x is switched on for each entry alone: KVM takes it. The guest stands still until KVM is gone. */
static void kvm_takes(const char *modprobe, const char *rmmod)
{
	struct vcpu *vcpu = machine_vcpu(machine(0), g_stages);
	int i;

	vcpu_sync(vcpu, 1);
	CHECK(system(modprobe) == 0);
	for (i = 0; i < 3; i++) {
		CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
		CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_FAIL_ENTRY);
		/* VMXON in VMX root operation */
		CHECK_EQ(vcpu->run->fail_entry.hardware_entry_failure_reason, 15);
	}
	CHECK(system(rmmod) == 0);
	vcpu_sync(vcpu, 2);
	vcpu_done(vcpu);
}

/* lhv runs a guest: KVM does not load, or loads and can't make a VM. */
TEST(kvm_second, .timeout = 120)
{
	const char *kvm = system("grep -qw vmx /proc/cpuinfo") ? "kvm_amd" : "kvm_intel";
	char modprobe[64], rmmod[64];
	struct busy b = { 0 };
	int i, sys;

	if (on_kvm() || access(MODULE, R_OK))
		test_skip("no %s", MODULE);
	snprintf(modprobe, sizeof(modprobe), "modprobe %s 2>/tmp/modprobe", kvm);
	snprintf(rmmod, sizeof(rmmod), "rmmod %s", kvm);
	if (!system("grep -q 'around each entry' /sys/module/lhv/parameters/features")) {
		kvm_takes(modprobe, rmmod);
		system("rmmod kvm 2>/dev/null");
		return;
	}
	busy_start(&b, 2, BUSY_ALL, false);
	busy_alive(&b, 60);
	for (i = 0; i < 3; i++) {
		if (system(modprobe) == 0) {
			sys = CHECK_OK(open("/dev/kvm", O_RDWR));
			CHECK_ERR(ioctl(sys, KVM_CREATE_VM, 0), EBUSY);
			close(sys);
			test_note("%s loads, and its KVM_CREATE_VM says EBUSY", kvm);
			CHECK(system(rmmod) == 0);
		} else {
			/* Where it switches SVM on while it loads, it says which CPU is taken, and EIO. */
			if (system("grep -qi busy /tmp/modprobe || "
				   "dmesg | tail -n 3 | grep -q 'enabling virtualization on CPU'")) {
				system("sed 's/^/# /' /tmp/modprobe; dmesg | tail -n 3 | sed 's/^/# /'");
				FAIL("%s does not load, but not for being busy", kvm);
			}
			test_note("%s does not load: busy", kvm);
		}
		busy_alive(&b, 30);
	}
	busy_stop(&b);
	system("rmmod kvm 2>/dev/null");
	CHECK(access("/dev/kvm", F_OK));
}
