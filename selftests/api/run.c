// SPDX-License-Identifier: GPL-2.0
/* KVM_RUN and the lives of fds, threads and processes around it. */
#include <asm/hwcap2.h>
#include <asm/ldt.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

/* Real-mode code */
/*
 * 1: sti; cli; jmp 1b. Nothing comes through in between. Debian 12's Bochs takes no external
 * interrupt after a VM entry with IF off until the guest has changed IF, whatever the controls say:
 * it loads RFLAGS before it is in the guest, and so does not unmask them
 * (VMenterLoadCheckGuestState()).
 */
#define SPIN	"\xfb\xfa\xeb\xfc"
#define OUT_LOOP "\xba\x00\x02\xee\xeb\xfd"	/* mov $0x200, %dx; 1: out %al, %dx; jmp 1b */

static void run_to_io(struct vcpu *vcpu)
{
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);
	CHECK_EQ(vcpu->run->io.port, 0x200);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void catch(int sig)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(sig, &sa, NULL);
}

TEST(run)
{
	struct vcpu *vcpu = GUEST(vm_create(0), OUT_LOOP);
	int i;

	for (i = 0; i < 100; i++)
		run_to_io(vcpu);
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 1), EINVAL);
}

/* No memory at all: the VMM hears of it, the host survives. */
/* One counter per exit reason, in debugfs. The VM of this process is the newest. */
static long exits_of_newest(const char *reason)
{
	unsigned long long vm, newest = 0, n;
	char line[128], name[32];
	long count = 0;
	FILE *f = fopen("/sys/kernel/debug/lhv/exits", "r");

	if (!f)
		FAIL("no /sys/kernel/debug/lhv/exits");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llu %*u %31s %llu", &vm, name, &n) != 3)
			FAIL("odd line: %s", line);
		if (vm > newest) {
			newest = vm;
			count = 0;
		}
		if (vm == newest && !strcmp(name, reason))
			count = n;
	}
	fclose(f);
	return count;
}

TEST(exit_counters)
{
	struct vcpu *vcpu;
	int i;

	if (on_kvm())
		test_skip("lhv's own");
	vcpu = GUEST(vm_create(0), OUT_LOOP);
	for (i = 0; i < 10; i++)
		run_to_io(vcpu);
	CHECK_EQ(exits_of_newest("PIO"), 10);
	CHECK_EQ(exits_of_newest("HLT"), 0);
}

/* ---- tracepoints, in a trace buffer of this test's own ---- */

#define TRACE	"/sys/kernel/tracing/instances/lhv_api"

static void trace_set(const char *knob, const char *value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), TRACE "/%s", knob);
	f = fopen(path, "w");
	if (!f)
		FAIL("%s: %s", path, strerror(errno));
	CHECK(fputs(value, f) >= 0);
	CHECK(!fclose(f));
}

/* Entry and exit in turn, as many as there were, each with its vCPU, RIP and reason. */
static int trace_pairs(const char *reason)
{
	char line[512], event[32], name[32], entered[64] = "";
	unsigned long long vm, rip;
	FILE *f = fopen(TRACE "/trace", "r");
	unsigned int vcpu;
	int pairs = 0;
	char *at;

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		at = strstr(line, "lhv_");
		if (line[0] == '#' || !at)
			continue;
		if (sscanf(at, "lhv_entry: vm %llu vcpu %u rip %llx", &vm, &vcpu, &rip) == 3) {
			snprintf(entered, sizeof(entered), "%llu %u", vm, vcpu);
			continue;
		}
		CHECK_EQ(sscanf(at, "lhv_%31[a-z]: vm %llu vcpu %u reason %31s code %*x rip %llx",
				event, &vm, &vcpu, name, &rip), 5);
		CHECK(!strcmp(event, "exit"));
		snprintf(line, sizeof(line), "%llu %u", vm, vcpu);
		CHECK(!strcmp(line, entered));
		entered[0] = 0;
		if (!strcmp(name, reason)) {
			CHECK(rip >= GUEST_CODE && rip < GUEST_CODE + sizeof(OUT_LOOP));
			pairs++;
		}
	}
	fclose(f);
	return pairs;
}

TEST(tracepoints)
{
	struct vcpu *vcpu;
	int i, pairs;

	if (on_kvm())
		test_skip("lhv's own");
	if (mkdir(TRACE, 0700) && errno != EEXIST)
		test_skip("no tracing in this kernel: %s", strerror(errno));
	vcpu = GUEST(vm_create(0), OUT_LOOP);
	trace_set("events/lhv/enable", "1");
	for (i = 0; i < 10; i++)
		run_to_io(vcpu);
	trace_set("events/lhv/enable", "0");
	run_to_io(vcpu);
	pairs = trace_pairs("PIO");
	rmdir(TRACE);
	CHECK_EQ(pairs, 10);
}

TEST(run_without_memory)
{
	struct vcpu *vcpu = vcpu_add(vm_create(0), 0);
	int ret = ioctl(vcpu->fd, KVM_RUN, 0);

	if (ret)
		CHECK_EQ(errno, on_kvm() ? ENOSPC : EFAULT);
	else
		CHECK(vcpu->run->exit_reason == KVM_EXIT_INTERNAL_ERROR ||
		      vcpu->run->exit_reason == KVM_EXIT_MMIO);
}

/* Memory that the VMM may not touch itself */
TEST(run_efault)
{
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = GUEST(vm, OUT_LOOP);

	run_to_io(vcpu);
	CHECK_OK(mprotect(vm->ram, vm->ram_size, PROT_NONE));
	vcpu->run->exit_reason = 0;
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EFAULT);
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EFAULT);
	CHECK_OK(mprotect(vm->ram, vm->ram_size, PROT_READ | PROT_WRITE));
	run_to_io(vcpu);
}

/* A state that no CPU takes is reported; put right, the guest goes on. */
TEST(fail_entry)
{
	struct vcpu *vcpu = GUEST(vm_create(VM_IRQCHIP), OUT_LOOP);
	struct kvm_vcpu_events ev, bad = { .exception = { .injected = 1, .nr = 3 } };
	struct kvm_sregs s, wrong;
	struct kvm_regs r;

	run_to_io(vcpu);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &ev));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &s));
	wrong = s;
	wrong.cr3 = ~0ull;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &wrong));
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &bad));
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	if (vcpu->run->exit_reason != KVM_EXIT_FAIL_ENTRY)
		test_skip("this CPU takes it: exit %u", vcpu->run->exit_reason);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_REGS, &r));
	CHECK_EQ(r.rip, GUEST_CODE + 4);	/* behind the OUT, not moved by the event */
	CHECK_EQ(r.rsp, 0x8000);
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &s));
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev));
	run_to_io(vcpu);
}

TEST(immediate_exit)
{
	struct vcpu *vcpu = GUEST(vm_create(0), OUT_LOOP);

	vcpu->run->immediate_exit = 1;
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EINTR);
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EINTR);
	vcpu->run->immediate_exit = 0;
	run_to_io(vcpu);
}

static void *spin(void *arg)
{
	struct vcpu *vcpu = arg;

	/* A signal before KVM_RUN is not lost: immediate_exit is set first. */
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EINTR);
	return NULL;
}

TEST(signal_ends_run)
{
	struct vcpu *vcpu = GUEST(vm_create(VM_IRQCHIP), SPIN);
	pthread_t t;
	int i;

	catch(SIGUSR1);
	for (i = 0; i < 20; i++) {
		CHECK(!pthread_create(&t, NULL, spin, vcpu));
		usleep(i * 500);
		vcpu->run->immediate_exit = 1;
		CHECK(!pthread_kill(t, SIGUSR1));
		CHECK(!pthread_join(t, NULL));
		vcpu->run->immediate_exit = 0;
	}
}

/* Is there a segment behind this selector? */
static bool has_segment(uint16_t selector)
{
	uint32_t limit;
	bool zf;

	asm volatile("lsl %k2, %k0" : "=r" (limit), "=@ccz" (zf) : "r" (selector));
	return zf;
}

static void *spin_then_look(void *arg)
{
	bool *seen = calloc(1, sizeof(*seen));

	spin(arg);
	*seen = has_segment(7);	/* entry 0 of the LDT, ring 3 */
	return seen;
}

/*
 * A thread whose vCPU exits often but never to the slow tier gets the LDT that another
 * thread installs meanwhile, and not the one from before.
 */
TEST(ldt_changes_while_running)
{
	/* 1: cpuid; jmp 1b */
	struct vcpu *vcpu = GUEST(vm_create(VM_IRQCHIP), "\x0f\xa2\xeb\xfc");
	struct user_desc desc = { .limit_in_pages = 1 };
	int i, present;
	pthread_t t;
	bool *seen;

	catch(SIGUSR1);
	for (i = 0; i < 20; i++) {
		present = !(i & 1);
		/* Without all of these it is an empty entry. */
		desc.limit_in_pages = desc.useable = present;
		desc.seg_not_present = desc.read_exec_only = !present;
		CHECK(!pthread_create(&t, NULL, spin_then_look, vcpu));
		usleep(20000);
		if (syscall(SYS_modify_ldt, 0x11, &desc, sizeof(desc)))
			test_skip("no modify_ldt()");
		usleep(2000);
		vcpu->run->immediate_exit = 1;
		CHECK(!pthread_kill(t, SIGUSR1));
		CHECK(!pthread_join(t, (void **)&seen));
		vcpu->run->immediate_exit = 0;
		CHECK_EQ(*seen, present);
		free(seen);
	}
}

/* The VMM's own segment registers, of which most programs leave four empty, and their bases. */
TEST(segments_kept)
{
	struct vcpu *vcpu = GUEST(vm_create(0), OUT_LOOP);
	const uint64_t user_ds = 0x2b, base = 0x123456789000;
	uint64_t thread, fs_base, gs_base;
	uint16_t ds, es, fs, gs;

	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE))
		test_skip("no FSGSBASE");
	/* A selector brings its base with it, and FS has the thread's variables. */
	asm volatile("rdfsbase %0; mov %w1, %%fs; wrfsbase %0; mov %w1, %%gs; wrgsbase %2;"
		     "mov %w1, %%ds; mov %w1, %%es"
		     : "=&r" (thread) : "r" (user_ds), "r" (base) : "memory");
	run_to_io(vcpu);
	asm volatile("mov %%ds, %0; mov %%es, %1; mov %%fs, %2; mov %%gs, %3; rdfsbase %4; rdgsbase %5"
		     : "=r" (ds), "=r" (es), "=r" (fs), "=r" (gs), "=r" (fs_base), "=r" (gs_base));
	asm volatile("mov %w1, %%fs; wrfsbase %0; mov %w1, %%gs; mov %w1, %%ds; mov %w1, %%es"
		     : : "r" (thread), "r" (0) : "memory");
	CHECK_EQ(ds, user_ds);
	CHECK_EQ(es, user_ds);
	CHECK_EQ(fs, user_ds);
	CHECK_EQ(gs, user_ds);
	CHECK_EQ(fs_base, thread);
	CHECK_EQ(gs_base, base);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* A guest that never stops holds up no grace period of the host's RCU. */
TEST(grace_period_while_running)
{
	struct vcpu *vcpu = GUEST(vm_create(VM_IRQCHIP), SPIN);
	const int n = 10;
	double start;
	pthread_t t;
	int i;

	catch(SIGUSR1);
	CHECK(!pthread_create(&t, NULL, spin, vcpu));
	usleep(20000);
	start = now();
	for (i = 0; i < n; i++)
		if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
			test_skip("no membarrier()");
	printf("# %.0f ms per grace period\n", (now() - start) / n * 1e3);
	CHECK((now() - start) / n < 0.08);
	vcpu->run->immediate_exit = 1;
	CHECK(!pthread_kill(t, SIGUSR1));
	CHECK(!pthread_join(t, NULL));
}

static void *spin_forever(void *arg)
{
	struct vcpu *vcpu = arg;

	for (;;)
		ioctl(vcpu->fd, KVM_RUN, 0);
	return NULL;
}

TEST(halted_forever)
{
	/* cli; hlt */
	struct vcpu *vcpu = GUEST(vm_create(VM_IRQCHIP), "\xfa\xf4\xeb\xfc");
	struct kvm_mp_state mp;
	pthread_t t;

	catch(SIGUSR1);
	CHECK(!pthread_create(&t, NULL, spin, vcpu));
	usleep(20000);
	vcpu->run->immediate_exit = 1;
	CHECK(!pthread_kill(t, SIGUSR1));
	CHECK(!pthread_join(t, NULL));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp));
	CHECK_EQ(mp.mp_state, KVM_MP_STATE_HALTED);
}

static void *run_once(void *arg)
{
	struct vcpu *vcpu = arg;
	sigset_t set;

	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EINTR);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK_EQ(sigtimedwait(&set, NULL, &(struct timespec){ 0 }), SIGUSR1);
	return NULL;
}

/* Only the signals in the mask end KVM_RUN. */
TEST(signal_mask_run)
{
	struct {
		struct kvm_signal_mask head;
		uint64_t set;
	} __attribute__((packed)) m = { .head.len = 8 };
	struct vcpu *vcpu = GUEST(vm_create(0), SPIN);
	sigset_t set;

	catch(SIGUSR1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
	m.set = 0;	/* while running, nothing is blocked */
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, &m));
	/* One that is refused does not undo it. */
	m.head.len = 7;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, &m), EINVAL);
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, 16), EFAULT);
	CHECK_OK(raise(SIGUSR1));
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EINTR);
	/* It is still pending and still blocked out here. */
	CHECK_OK(sigpending(&set));
	CHECK(sigismember(&set, SIGUSR1));
}

/*
 * The same for a signal that the process ignores: while it is blocked outside of KVM_RUN it is
 * not thrown away, whenever it comes.
 */
TEST(signal_mask_ignored)
{
	struct {
		struct kvm_signal_mask head;
		uint64_t set;
	} __attribute__((packed)) m = { .head.len = 8 };
	/* 1: incw 0x3000; jmp 1b */
	struct vcpu *vcpu = GUEST(vm_create(0), "\xff\x06\x00\x30\xeb\xfa");
	volatile uint16_t *count = (void *)(vcpu->vm->ram + 0x3000);
	siginfo_t info;
	sigset_t set;
	pthread_t t;

	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, &m));
	CHECK(!pthread_create(&t, NULL, run_once, vcpu));
	while (!*count)
		sched_yield();
	CHECK(!pthread_kill(t, SIGUSR1));
	CHECK(!pthread_join(t, NULL));
	/* run_once() found it pending, and took it. */
	CHECK_EQ(sigtimedwait(&set, &info, &(struct timespec){ 0 }), -1);
}

static void *run_until_signal(void *arg)
{
	struct vcpu *vcpu = arg;

	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EINTR);
	return NULL;
}

/* Whoever asks a running vCPU's fd whether it is a terminal gets an answer. */
TEST(not_a_terminal)
{
	/* 1: incw 0x3000; jmp 1b */
	struct vcpu *vcpu = GUEST(vm_create(0), "\xff\x06\x00\x30\xeb\xfa");
	volatile uint16_t *count = (void *)(vcpu->vm->ram + 0x3000);
	pthread_t t;

	catch(SIGUSR1);
	CHECK(!pthread_create(&t, NULL, run_until_signal, vcpu));
	while (!*count)
		sched_yield();
	CHECK(!isatty(vcpu->fd));
	CHECK(!pthread_kill(t, SIGUSR1));
	CHECK(!pthread_join(t, NULL));
}

TEST(other_process)
{
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = GUEST(vm, OUT_LOOP);
	struct kvm_userspace_memory_region region = {};
	struct kvm_regs regs;
	int status;
	pid_t pid = CHECK_OK(fork());

	if (!pid) {
		CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EIO);
		CHECK_ERR(ioctl(vcpu->fd, KVM_GET_REGS, &regs), EIO);
		CHECK_ERR(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region), EIO);
		CHECK_ERR(ioctl(vm->fd, KVM_CREATE_VCPU, 9), EIO);
		CHECK_ERR(ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY), EIO);
		/* The device itself is anybody's. */
		CHECK_EQ(ioctl(vm->sys, KVM_GET_API_VERSION, 0), KVM_API_VERSION);
		_exit(0);
	}
	CHECK_OK(waitpid(pid, &status, 0));
	CHECK_EQ(status, 0);
	run_to_io(vcpu);
}

/* The process that made the VM is gone, its fds live on in a child. */
TEST(orphaned)
{
	int status, pipes[2];
	pid_t pid;
	char c;

	CHECK_OK(pipe(pipes));
	pid = CHECK_OK(fork());
	if (!pid) {
		struct vcpu *vcpu = GUEST(vm_create(VM_IRQCHIP), OUT_LOOP);

		run_to_io(vcpu);
		if (CHECK_OK(fork()))
			_exit(0);
		while (getppid() != 1 && !kill(getppid(), 0))
			if (getppid() != (pid_t)0 && usleep(1000))
				break;
		CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EIO);
		CHECK_ERR(ioctl(vcpu->vm->fd, KVM_CHECK_EXTENSION, 0), EIO);
		CHECK_EQ(write(pipes[1], "x", 1), 1);
		_exit(0);
	}
	CHECK_OK(waitpid(pid, &status, 0));
	CHECK_EQ(status, 0);
	close(pipes[1]);
	CHECK_EQ(read(pipes[0], &c, 1), 1);
}

TEST(close_order)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	struct vcpu *vcpu = GUEST(vm, OUT_LOOP);

	run_to_io(vcpu);
	/* The vCPU keeps its VM alive. */
	CHECK_OK(close(vm->fd));
	CHECK_OK(close(vm->sys));
	run_to_io(vcpu);
	CHECK_OK(close(vcpu->fd));
	/* The mapping outlives both. */
	vcpu->run->immediate_exit = 1;
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);
	CHECK_OK(munmap(vcpu->run, vm->run_size));
}

TEST(two_threads_one_vcpu)
{
	struct vcpu *vcpu = GUEST(vm_create(0), OUT_LOOP);
	pthread_t t;
	int i;

	CHECK(!pthread_create(&t, NULL, spin_forever, vcpu));
	for (i = 0; i < 500; i++)
		CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
}

static void *scribble(void *arg)
{
	struct vcpu *vcpu = arg;
	uint32_t x = 1;

	for (;;) {
		size_t i;

		for (i = 0; i < vcpu->vm->run_size / 4; i++) {
			x = x * 1664525 + 1013904223;
			/* All but immediate_exit, which would only end runs early */
			if (i >= 2)
				((volatile uint32_t *)vcpu->run)[i] = x;
		}
	}
	return NULL;
}

/* Whatever the VMM writes into kvm_run, the host survives. */
TEST(scribbled_run)
{
	/* mov $0x200, %dx; 1: in %dx, %al; mov %al, (0xd000:0); outsb by 4; jmp 1b */
	struct vcpu *vcpu = GUEST(vm_create(0), "\xba\x00\x02\xb8\x00\xd0\x8e\xd8"
				  "\xec\xa2\x00\x00\xa1\x00\x00\xb9\x04\x00\xf3\x6e\xeb\xf2");
	pthread_t t;
	int i;

	CHECK(!pthread_create(&t, NULL, scribble, vcpu));
	for (i = 0; i < 3000; i++)
		if (ioctl(vcpu->fd, KVM_RUN, 0) < 0)
			CHECK(errno == EINTR || errno == EINVAL || errno == EFAULT);
}

static void *run_some(void *arg)
{
	struct vcpu *vcpu = arg;
	int i;

	for (i = 0; i < 200; i++)
		CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	return NULL;
}

/* Registers are read and written while another thread runs the vCPU: one after the other. */
TEST(state_while_running)
{
	struct vcpu *vcpu = GUEST(vm_create(VM_IRQCHIP), OUT_LOOP);
	struct kvm_sregs s;
	struct kvm_regs r;
	pthread_t t;
	int i;

	CHECK(!pthread_create(&t, NULL, run_some, vcpu));
	for (i = 0; i < 200; i++) {
		CHECK_OK(ioctl(vcpu->fd, KVM_GET_REGS, &r));
		CHECK(r.rip >= GUEST_CODE && r.rip <= GUEST_CODE + 6);
		CHECK_OK(ioctl(vcpu->fd, KVM_SET_REGS, &r));
		CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &s));
	}
	CHECK(!pthread_join(t, NULL));
}

/* Killed in the midst of it, several vCPUs running: nothing may remain. */
TEST(killed_while_running)
{
	int i, j;

	for (i = 0; i < 10; i++) {
		pid_t pid = CHECK_OK(fork());

		if (!pid) {
			struct vm *vm = vm_create(VM_IRQCHIP);
			pthread_t t;

			for (j = 0; j < 3; j++)
				GUEST(vm, SPIN);
			for (j = 0; j < 3; j++) {
				struct kvm_mp_state mp = { KVM_MP_STATE_RUNNABLE };

				CHECK_OK(ioctl(vm->vcpus[j].fd, KVM_SET_MP_STATE, &mp));
				pthread_create(&t, NULL, spin_forever, &vm->vcpus[j]);
			}
			for (;;)
				pause();
		}
		usleep(3000 * i);
		CHECK_OK(kill(pid, SIGKILL));
		CHECK_OK(waitpid(pid, NULL, 0));
	}
}

/* A read-only kvm_run mapping is the VMM's own affair; a private one never sees anything. */
TEST(run_mapped_twice)
{
	struct vcpu *vcpu = GUEST(vm_create(0), OUT_LOOP);
	struct kvm_run *ro = mmap(NULL, vcpu->vm->run_size, PROT_READ, MAP_SHARED, vcpu->fd, 0);

	CHECK(ro != MAP_FAILED);
	run_to_io(vcpu);
	CHECK_EQ(ro->exit_reason, KVM_EXIT_IO);
	CHECK_EQ(ro->io.port, 0x200);
}

/* The guest's answer is taken when KVM_RUN is entered again, even if the VMM leaves at once. */
TEST(io_completion)
{
	/* mov $0x200, %dx; in %dx, %al; out %al, %dx */
	struct vcpu *vcpu = GUEST(vm_create(0), "\xba\x00\x02\xec\xee\xeb\xfe");
	struct kvm_run *run = vcpu->run;
	struct kvm_regs r;

	run_to_io(vcpu);
	CHECK_EQ(run->io.direction, KVM_EXIT_IO_IN);
	*((uint8_t *)run + run->io.data_offset) = 0x5a;
	run->immediate_exit = 1;
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EINTR);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_REGS, &r));
	CHECK_EQ(r.rax & 0xff, 0x5a);
	CHECK_EQ(r.rip, GUEST_CODE + 4);
	run->immediate_exit = 0;
	run_to_io(vcpu);
	CHECK_EQ(run->io.direction, KVM_EXIT_IO_OUT);
	CHECK_EQ(*((uint8_t *)run + run->io.data_offset), 0x5a);
}

/* VMs come and go in many threads. */
static void *churn(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 10; i++) {
		struct vm *vm = vm_create(VM_IRQCHIP | VM_PIT);
		struct vcpu *vcpu = GUEST(vm, OUT_LOOP);

		run_to_io(vcpu);
		close(vcpu->fd);
		munmap(vcpu->run, vm->run_size);
		close(vm->fd);
		close(vm->sys);
		munmap(vm->ram, vm->ram_size);
		free(vm);
	}
	return NULL;
}

TEST(churn)
{
	pthread_t t[4];
	int i;

	for (i = 0; i < 4; i++)
		CHECK(!pthread_create(&t[i], NULL, churn, NULL));
	for (i = 0; i < 4; i++)
		CHECK(!pthread_join(t[i], NULL));
}
