// SPDX-License-Identifier: GPL-2.0
/* What came to the ABI later: SREGS2, registers in kvm_run, statistics, compat ioctls. */
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "stats.h"
#include "vm.h"

/* Real mode: 1: out %al, $0xe9; inc %ax; jmp 1b */
static const uint8_t count_out[] = { 0xe6, 0xe9, 0x40, 0xeb, 0xfb };

static struct vcpu *counter(unsigned int flags)
{
	return guest_in(vm_create(flags), count_out, sizeof(count_out));
}

static void run_to_io(struct vcpu *vcpu, uint8_t al)
{
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);
	CHECK_EQ(*((uint8_t *)vcpu->run + vcpu->run->io.data_offset), al);
}

/* ---- SREGS2 ---- */

#define COMMON	offsetof(struct kvm_sregs2, flags)

TEST(sregs2)
{
	struct vcpu *vcpu = counter(VM_IRQCHIP);
	struct kvm_sregs2 s2, back;
	struct kvm_sregs s;
	uint64_t *pdptes;
	int i;

	CHECK_EQ(dev_cap(vcpu->vm->sys, KVM_CAP_SREGS2), 1);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &s));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS2, &s2));
	CHECK(!memcmp(&s, &s2, COMMON));
	/* Real mode has no PDPTEs. */
	CHECK_EQ(s2.flags, 0);
	s2.cr2 = 0x1234;
	s2.fs.base = 0x5670;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS2, &s2));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS2, &back));
	CHECK(!memcmp(&s2, &back, sizeof(s2)));
	s2.flags = 2;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_SREGS2, &s2), EINVAL);
	s2.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_SREGS2, &s2), EINVAL);
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_SREGS2, NULL), EFAULT);
	CHECK_ERR(ioctl(vcpu->fd, KVM_GET_SREGS2, NULL), EFAULT);

	/* PAE paging: what is read are the PDPTEs that the guest uses. */
	pdptes = (uint64_t *)(vcpu->vm->ram + 0x5020);
	for (i = 0; i < 4; i++)
		pdptes[i] = (uint64_t)(0x6000 + 0x1000 * i) | 1;
	s2 = back;
	s2.cs.l = 0;
	s2.cs.db = 1;
	s2.cr0 = 0x80000011;
	s2.cr4 = 0x20;
	s2.cr3 = 0x5020;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS2, &s2));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS2, &back));
	CHECK_EQ(back.flags, KVM_SREGS2_FLAGS_PDPTRS_VALID);
	for (i = 0; i < 4; i++)
		CHECK_EQ(back.pdptrs[i], (0x6000 + 0x1000 * i) | 1);
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS2, &back));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS2, &s2));
	CHECK(!memcmp(&s2, &back, sizeof(s2)));
}

TEST(sregs2_bad)
{
	struct vcpu *vcpu = counter(VM_IRQCHIP);
	struct kvm_sregs2 good, s, back;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS2, &good));
#define BAD(change)							\
	do {								\
		s = good;						\
		change;							\
		CHECK_ERR(ioctl(vcpu->fd, KVM_SET_SREGS2, &s), EINVAL);	\
		CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS2, &back));	\
		CHECK(!memcmp(&good, &back, sizeof(good)));		\
	} while (0)
	BAD(s.cr4 = 1ull << 63);
	BAD(s.cr0 = 0x80000000);	/* PG without PE */
	BAD(s.efer = 1ull << 40);
	BAD(s.apic_base = 0xfee00500);	/* x2APIC but not enabled */
#undef BAD
}

/* ---- registers in kvm_run ---- */

TEST(sync_regs)
{
	const uint64_t all = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;
	struct vcpu *vcpu = counter(VM_IRQCHIP);
	struct kvm_run *run = vcpu->run;
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	CHECK_EQ(dev_cap(vcpu->vm->sys, KVM_CAP_SYNC_REGS), all);
	run->kvm_valid_regs = all;
	run_to_io(vcpu, 0);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	CHECK(!memcmp(&run->s.regs.regs, &regs, sizeof(regs)));
	CHECK(!memcmp(&run->s.regs.sregs, &sregs, sizeof(sregs)));
	CHECK(!memcmp(&run->s.regs.events, &events, sizeof(events)));

	/* Dirty: taken. What is not marked is not. */
	run->s.regs.regs.rax = 0x41;
	run->s.regs.sregs.cr2 = 0xabc000;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	run_to_io(vcpu, 0x42);
	CHECK_EQ(run->kvm_dirty_regs, 0);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	CHECK_EQ(sregs.cr2, 0);
	run->s.regs.regs.rax = 0x61;
	run->s.regs.sregs.cr2 = 0xabc000;
	run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	run_to_io(vcpu, 0x43);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	CHECK_EQ(sregs.cr2, 0xabc000);

	/* An NMI that is pending by way of the events: vector 2 of the real-mode table. */
	memcpy(vcpu->vm->ram + 8, "\x00\x20\x00\x00", 4);
	memcpy(vcpu->vm->ram + 0x2000, "\xb0\x77\xe6\xe9", 4);	/* mov $0x77, %al; out */
	run->s.regs.events.nmi.pending = 1;
	run->s.regs.events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING;
	run->kvm_dirty_regs = KVM_SYNC_X86_EVENTS;
	run_to_io(vcpu, 0x77);

	/* Not asked for, not stored. */
	run->kvm_valid_regs = 0;
	memset(&run->s.regs.regs, 0x5a, sizeof(run->s.regs.regs));
	run->immediate_exit = 1;
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EINTR);
	CHECK_EQ(run->s.regs.regs.rax, 0x5a5a5a5a5a5a5a5a);
}

TEST(sync_regs_bad)
{
	const uint64_t all = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;
	struct vcpu *vcpu = counter(VM_IRQCHIP);
	struct kvm_run *run = vcpu->run;

	run->kvm_valid_regs = all;
	run_to_io(vcpu, 0);
	run->kvm_valid_regs = all + 1;
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EINVAL);
	run->kvm_valid_regs = 1ull << 63;
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EINVAL);
	run->kvm_valid_regs = 0;
	run->kvm_dirty_regs = all + 1;
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EINVAL);
	/* Values are checked as the ioctls check them. */
	run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	run->s.regs.sregs.cr4 = 1ull << 63;
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EINVAL);
	run->kvm_dirty_regs = KVM_SYNC_X86_EVENTS;
	run->s.regs.events.flags = ~0u;
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EINVAL);
	run->kvm_dirty_regs = 0;
	run_to_io(vcpu, 1);
}

/* ---- statistics ---- */

TEST(stats_vcpu)
{
	struct vcpu *vcpu = counter(VM_IRQCHIP);
	struct stats s;
	uint64_t before, exits;
	int fd, i;

	CHECK_EQ(dev_cap(vcpu->vm->sys, KVM_CAP_BINARY_STATS_FD), 1);
	fd = CHECK_OK(ioctl(vcpu->fd, KVM_GET_STATS_FD, 0));
	stats_open(fd, &s);
	before = stats_get(fd, &s, "io_exits");
	for (i = 0; i < 10; i++)
		run_to_io(vcpu, i);
	CHECK_EQ(stats_get(fd, &s, "io_exits"), before + 10);
	exits = stats_get(fd, &s, "exits");
	CHECK(exits >= 10);
	vcpu->run->immediate_exit = 1;
	before = stats_get(fd, &s, "signal_exits");
	CHECK_ERR(ioctl(vcpu->fd, KVM_RUN, 0), EINTR);
	CHECK_EQ(stats_get(fd, &s, "signal_exits"), before + 1);
	CHECK_EQ(stats_get(fd, &s, "exits"), exits);
	/* The counters outlive the other fds. */
	close(vcpu->fd);
	close(vcpu->vm->fd);
	CHECK_EQ(stats_get(fd, &s, "exits"), exits);
}

TEST(stats_vm)
{
	struct vcpu *vcpu = counter(VM_IRQCHIP);
	struct stats s, other;
	int fd, second;
	char *all;
	long n;

	fd = CHECK_OK(ioctl(vcpu->vm->fd, KVM_GET_STATS_FD, 0));
	stats_open(fd, &s);
	run_to_io(vcpu, 0);
	CHECK(stats_get(fd, &s, "pages_4k") + stats_get(fd, &s, "pages_2m"));
	second = CHECK_OK(ioctl(vcpu->fd, KVM_GET_STATS_FD, 0));
	stats_open(second, &other);
	CHECK(strcmp(s.id, other.id));
	/* read() goes on where it ended, to the end of the file. */
	all = malloc(65536);
	CHECK_EQ(read(fd, all, 10), 10);
	n = CHECK_OK(read(fd, all + 10, 65536 - 10)) + 10;
	CHECK_EQ(n, s.head.data_offset + s.head.num_desc * 8);
	CHECK_EQ(read(fd, all, 1), 0);
	CHECK_EQ(pread(fd, all, 8, n + 100), 0);
	CHECK(!memcmp(all, &s.head, sizeof(s.head)));
}

TEST(stats_errors)
{
	struct vcpu *vcpu = counter(0);
	struct rlimit limit = { 0, 0 };
	int fd = CHECK_OK(ioctl(vcpu->fd, KVM_GET_STATS_FD, 0));
	void *volatile nowhere = NULL;

	CHECK_ERR(write(fd, "", 1), EBADF);
	CHECK_ERR(read(fd, nowhere, 8), EFAULT);
	CHECK_ERR(ioctl(vcpu->vm->sys, KVM_GET_STATS_FD, 0), on_kvm() ? EINVAL : ENOTTY);
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	CHECK_ERR(ioctl(vcpu->fd, KVM_GET_STATS_FD, 0), EMFILE);
	CHECK_ERR(ioctl(vcpu->vm->fd, KVM_GET_STATS_FD, 0), EMFILE);
}

/* ---- events that are told apart once the VMM asks ---- */

static int enable(struct vm *vm, unsigned int cap, uint64_t arg)
{
	struct kvm_enable_cap c = { .cap = cap, .args = { arg } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &c);
}

TEST(exception_payload)
{
	struct vcpu *vcpu = counter(VM_IRQCHIP);
	struct kvm_vcpu_events ev = {}, back;
	struct kvm_debugregs debug;
	struct kvm_sregs sregs;

	CHECK_EQ(dev_cap(vcpu->vm->sys, KVM_CAP_EXCEPTION_PAYLOAD), 1);
	ev.flags = KVM_VCPUEVENT_VALID_PAYLOAD;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev), EINVAL);
	CHECK_OK(enable(vcpu->vm, KVM_CAP_EXCEPTION_PAYLOAD, 1));

	/* A page fault that was raised and not delivered: CR2 is still the old one. */
	ev.exception.pending = 1;
	ev.exception.nr = 14;
	ev.exception.has_error_code = 1;
	ev.exception.error_code = 2;
	ev.exception_has_payload = 1;
	ev.exception_payload = 0xdeadb000;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &back));
	CHECK(back.flags & KVM_VCPUEVENT_VALID_PAYLOAD);
	CHECK_EQ(back.exception.pending, 1);
	CHECK_EQ(back.exception.injected, 0);
	CHECK_EQ(back.exception.nr, 14);
	CHECK_EQ(back.exception.error_code, 2);
	CHECK_EQ(back.exception_has_payload, 1);
	CHECK_EQ(back.exception_payload, 0xdeadb000);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	CHECK_EQ(sregs.cr2, 0);

	/* Delivered: vector 14 of the real-mode table, and CR2. */
	memcpy(vcpu->vm->ram + 14 * 4, "\x00\x20\x00\x00", 4);
	memcpy(vcpu->vm->ram + 0x2000, "\xb0\x77\xe6\xe9", 4);
	run_to_io(vcpu, 0x77);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	CHECK_EQ(sregs.cr2, 0xdeadb000);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &back));
	CHECK_EQ(back.exception.pending | back.exception.injected, 0);

	/* #DB: the payload goes to DR6. */
	memcpy(vcpu->vm->ram + 1 * 4, "\x00\x20\x00\x00", 4);
	memset(&ev, 0, sizeof(ev));
	ev.flags = KVM_VCPUEVENT_VALID_PAYLOAD;
	ev.exception.pending = 1;
	ev.exception.nr = 1;
	ev.exception_has_payload = 1;
	ev.exception_payload = 1 << 14;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev));
	run_to_io(vcpu, 0x77);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &debug));
	CHECK_EQ(debug.dr6 & 1 << 14, 1 << 14);

	ev.exception.nr = 32;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev), EINVAL);
	ev.exception.nr = 2;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev), EINVAL);
	CHECK_OK(enable(vcpu->vm, KVM_CAP_EXCEPTION_PAYLOAD, 0));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &back));
	CHECK(!(back.flags & KVM_VCPUEVENT_VALID_PAYLOAD));
}

TEST(triple_fault_event)
{
	struct vcpu *vcpu = counter(VM_IRQCHIP);
	struct kvm_vcpu_events ev, back;

	CHECK_EQ(vm_cap(vcpu->vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT), 1);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &ev));
	CHECK(!(ev.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT));
	ev.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev), EINVAL);
	CHECK_OK(enable(vcpu->vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1));
	ev.triple_fault.pending = 1;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &back));
	CHECK(back.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT);
	CHECK_EQ(back.triple_fault.pending, 1);
	/* It can be taken back; else it is what KVM_RUN reports. */
	ev.triple_fault.pending = 0;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev));
	run_to_io(vcpu, 0);
	ev.triple_fault.pending = 1;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev));
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_SHUTDOWN);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &back));
	CHECK_EQ(back.triple_fault.pending, 0);
}

/* ---- what KVM_SET_GUEST_DEBUG takes ---- */

TEST(guest_debug2)
{
	struct vcpu *vcpu = counter(VM_IRQCHIP);
	unsigned int known = vm_cap(vcpu->vm, KVM_CAP_SET_GUEST_DEBUG2), bit;

	CHECK(known & KVM_GUESTDBG_ENABLE && known & KVM_GUESTDBG_SINGLESTEP);
	for (bit = 0; bit < 32; bit++) {
		struct kvm_guest_debug debug = { .control = 1u << bit };

		/* What injects does so; that is tested elsewhere. */
		if (debug.control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP))
			continue;
		if (debug.control & known)
			CHECK_OK(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug));
		else
			CHECK_ERR(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug), EINVAL);
	}
}

/* ---- 32-bit callers ---- */

static sigjmp_buf no_compat;

static void on_segv(int sig)
{
	siglongjmp(no_compat, sig);
}

/* The system call of a 32-bit program; this program lies below 4 GiB. */
static int ioctl32(int fd, unsigned int cmd, const void *arg)
{
	int ret;

	CHECK(!((uintptr_t)arg >> 32));
	asm volatile("int $0x80" : "=a"(ret)
		     : "a"(54), "b"(fd), "c"(cmd), "d"((uint32_t)(uintptr_t)arg)
		     : "memory", "r8", "r9", "r10", "r11");
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

TEST(compat)
{
	static struct {
		struct kvm_signal_mask head;
		uint64_t set;
	} __attribute__((packed)) mask = { .head.len = 8 };
	static struct kvm_dirty_log log;
	static struct kvm_regs regs;
	static uint64_t bitmap[8];
	struct sigaction sa = { .sa_handler = on_segv };
	struct vcpu *vcpu = counter(0);
	struct vm *vm = vcpu->vm;

	sigaction(SIGSEGV, &sa, NULL);
	if (sigsetjmp(no_compat, 1))
		test_skip("a kernel without 32-bit system calls");
	CHECK_EQ(ioctl32(vm->sys, KVM_GET_API_VERSION, NULL), KVM_API_VERSION);
	CHECK_OK(ioctl32(vcpu->fd, KVM_GET_REGS, &regs));
	CHECK_EQ(regs.rip, GUEST_CODE);
	CHECK_OK(ioctl32(vcpu->fd, KVM_SET_SIGNAL_MASK, &mask));
	mask.head.len = 4;
	CHECK_ERR(ioctl32(vcpu->fd, KVM_SET_SIGNAL_MASK, &mask), EINVAL);
	CHECK_ERR(ioctl32(vcpu->fd, KVM_SET_SIGNAL_MASK, (void *)16), EFAULT);
	CHECK_OK(ioctl32(vcpu->fd, KVM_SET_SIGNAL_MASK, NULL));
	CHECK_OK(ioctl32(vcpu->fd, KVM_RUN, NULL));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);

	/* A 32-bit program leaves the upper half of the pointer as it was. */
	vm_set_slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, 1 << 20, 1 << 20, map_memory(1 << 20, 4096));
	log.slot = 1;
	log.padding2 = (uintptr_t)bitmap | 0xdeadbeefull << 32;
	CHECK_OK(ioctl32(vm->fd, KVM_GET_DIRTY_LOG, &log));
}
