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
			if (system("grep -qi busy /tmp/modprobe"))
				test_skip("KVM does not load on this kernel, for reasons of its own");
			test_note("%s does not load: busy", kvm);
		}
		busy_alive(&b, 30);
	}
	busy_stop(&b);
	system("rmmod kvm 2>/dev/null");
	CHECK(access("/dev/kvm", F_OK));
}
