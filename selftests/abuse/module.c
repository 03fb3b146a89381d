// SPDX-License-Identifier: GPL-2.0
/* The module is loaded and unloaded, also under the hands of those who open it. */
#include <fcntl.h>
#include <sys/syscall.h>

#include "abuse.h"

#define MODULE	"/lab/lhv.ko"	/* where the lab has it */

int module_unload(void)
{
	return syscall(SYS_delete_module, "lhv", O_NONBLOCK);
}

/* KUnit, where the kernel has it, would run the suites at each load; they are a test of their own. */
static void without_suites(void)
{
	int fd = open("/sys/module/kunit/parameters/filter_glob", O_WRONLY);

	if (fd < 0)
		return;
	CHECK_EQ(write(fd, "none", 4), 4);
	close(fd);
}

int module_load(const char *parameters)
{
	int fd = CHECK_OK(open(MODULE, O_RDONLY)), ret, err;

	without_suites();
	ret = syscall(SYS_finit_module, fd, parameters, 0);
	err = errno;
	close(fd);
	errno = err;
	return ret;
}

void need_module(void)
{
	if (on_kvm() || access(MODULE, R_OK))
		test_skip("no %s", MODULE);
	expect_users(0);
}

static void refused(void)
{
	CHECK(module_unload() == -1);
	CHECK(errno == EWOULDBLOCK || errno == EBUSY);
}

/* Whatever is left of a VM keeps the module: device, VM, vCPU, a mapping. */
TEST(unload_busy)
{
	struct vcpu *vcpu;
	struct vm *vm;

	need_module();
	vm = vm_create(VM_IRQCHIP);
	refused();
	close(vm->sys);
	refused();
	vcpu = vcpu_add(vm, 0);
	close(vm->fd);
	refused();
	close(vcpu->fd);
	refused();
	munmap(vcpu->run, vm->run_size);
	expect_users(0);
	CHECK_OK(module_unload());
	CHECK_OK(module_load(""));
}

/* Parameters that can't be: it is not loaded, and can be with others. */
TEST(load_refused)
{
	need_module();
	CHECK_OK(module_unload());
	CHECK_ERR(module_load("sched=nonesuch"), ENOENT);
	CHECK_ERR(module_load("sched=edf sched=a_name_that_is_much_longer_than_that_of_any_policy"), EINVAL);
	CHECK_OK(module_load("sched=credit"));
	CHECK_OK(module_unload());
	CHECK_OK(module_load(""));
}

/* Opens, makes a VM and closes for ever; the device may be gone at any moment. */
static void open_always(void *unused __attribute__((unused)))
{
	for (;;) {
		int sys = open(test_device(), O_RDWR), vm;

		if (sys < 0)
			continue;
		vm = ioctl(sys, KVM_CREATE_VM, 0);
		close(sys);
		if (vm >= 0)
			close(vm);
	}
}

TEST(reload, .timeout = 200)
{
	int i, n = amount(slow_kernel() ? 2 : 10, 100), refusals = 0;
	struct vm *vm;
	pid_t pid;

	need_module();
	for (i = 0; i < n; i++) {
		CHECK_OK(module_unload());
		CHECK_ERR(module_unload(), ENOENT);
		CHECK_OK(module_load(""));
		CHECK_ERR(module_load(""), EEXIST);
		vm = vm_create(VM_IRQCHIP);
		close(vm->fd);
		close(vm->sys);
		expect_users(0);
	}
	pid = spawn(open_always, NULL);
	for (i = 0; i < n; i++) {
		while (module_unload()) {
			CHECK(errno == EWOULDBLOCK || errno == EBUSY);
			refusals++;
		}
		CHECK_OK(module_load(""));
	}
	kill(pid, SIGKILL);
	reap_child(pid, 10);
	test_note("unloading was refused %d times", refusals);
	expect_nothing();
}
