// SPDX-License-Identifier: GPL-2.0
/*
 * What VMMs ask for seldom: feature MSRs, a larger XSAVE, translations, the old PIT, VM
 * capabilities, debug registers with three owners, instructions that nobody emulates.
 */
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vm.h"

TEST(msr_features)
{
	struct {
		struct kvm_msr_list head;
		uint32_t index[64];
	} list = { .head.nmsrs = 0 };
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e[65];
	} m = { .head.nmsrs = 0 };
	int sys = dev_open();
	uint32_t i;

	CHECK_ERR(ioctl(sys, KVM_GET_MSR_FEATURE_INDEX_LIST, &list), E2BIG);
	CHECK(list.head.nmsrs > 0 && list.head.nmsrs <= 64);
	CHECK_OK(ioctl(sys, KVM_GET_MSR_FEATURE_INDEX_LIST, &list));
	CHECK_ERR(ioctl(sys, KVM_GET_MSR_FEATURE_INDEX_LIST, NULL), EFAULT);
	/* Each of them can be read; what is none ends the list. */
	for (i = 0; i < list.head.nmsrs; i++)
		m.e[i].index = list.index[i];
	m.e[i].index = 0x10;
	m.head.nmsrs = i + 1;
	CHECK_EQ(ioctl(sys, KVM_GET_MSRS, &m), list.head.nmsrs);
	CHECK_ERR(ioctl(sys, KVM_GET_MSRS, NULL), EFAULT);
	m.head.nmsrs = 1u << 31;
	CHECK_ERR(ioctl(sys, KVM_GET_MSRS, &m), E2BIG);
}

TEST(xsave2)
{
	struct vcpu *vcpu = vcpu_add(vm_create(0), 0);
	static uint8_t small[4096], large[65536];
	int size = dev_cap(vcpu->vm->sys, KVM_CAP_XSAVE2);

	CHECK(size >= 4096 && size <= (int)sizeof(large));
	memset(large, 0xaa, sizeof(large));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_XSAVE, small));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_XSAVE2, large));
	CHECK(!memcmp(small, large, sizeof(small)));
	/* Not a byte more than it said. */
	CHECK_EQ(large[size], 0xaa);
	CHECK_ERR(ioctl(vcpu->fd, KVM_GET_XSAVE2, NULL), EFAULT);
}

TEST(translate)
{
	struct vcpu *vcpu = GUEST(vm_create(0), "\xf4");
	struct kvm_translation tr = { .linear_address = 0x12345 };
	uint32_t *table = (uint32_t *)(vcpu->vm->ram + 0x5000);
	struct kvm_sregs s;

	CHECK_OK(ioctl(vcpu->fd, KVM_TRANSLATE, &tr));
	CHECK(tr.valid);
	CHECK_EQ(tr.physical_address, 0x12345);

	/* 32-bit paging: 4 MiB at 12 MiB are 0x6000's table, in which one page is present. */
	table[3] = 0x6003;
	((uint32_t *)(vcpu->vm->ram + 0x6000))[1] = 0x9003;
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &s));
	s.cr3 = 0x5000;
	s.cr0 |= 0x80000001;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &s));
	tr.linear_address = 0xc01abc;
	CHECK_OK(ioctl(vcpu->fd, KVM_TRANSLATE, &tr));
	CHECK(tr.valid);
	CHECK_EQ(tr.physical_address, 0x9abc);
	tr.linear_address = 0xc02abc;
	CHECK_OK(ioctl(vcpu->fd, KVM_TRANSLATE, &tr));
	CHECK(!tr.valid);
	CHECK_ERR(ioctl(vcpu->fd, KVM_TRANSLATE, NULL), EFAULT);
}

TEST(old_pit)
{
	struct kvm_reinject_control control = { .pit_reinject = 0 };
	struct vm *vm = vm_create(0);

	CHECK_ERR(ioctl(vm->fd, KVM_REINJECT_CONTROL, &control), ENXIO);
	if (!on_kvm())		/* KVM says so from 6.12 on */
		CHECK_ERR(ioctl(vm->fd, KVM_CREATE_PIT, 0), ENOENT);
	CHECK_OK(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0));
	CHECK_OK(ioctl(vm->fd, KVM_CREATE_PIT, 0));
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_PIT, 0), EEXIST);
	CHECK_OK(ioctl(vm->fd, KVM_REINJECT_CONTROL, &control));
	CHECK_ERR(ioctl(vm->fd, KVM_REINJECT_CONTROL, NULL), EFAULT);
}

static int enable(struct vm *vm, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap c = { .cap = cap, .args = { arg } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &c);
}

TEST(vm_caps)
{
	struct vm *vm = vm_create(0);

	CHECK_ERR(enable(vm, KVM_CAP_X2APIC_API, 4), EINVAL);
	CHECK_OK(enable(vm, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS |
			KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK));
	CHECK_ERR(enable(vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 2), EINVAL);
	CHECK_OK(enable(vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1));
	CHECK_OK(enable(vm, KVM_CAP_MSR_PLATFORM_INFO, 0));
	CHECK_ERR(enable(vm, 0xffff, 0), EINVAL);
}

TEST(fdinfo)
{
	unsigned long long id = 0;
	char path[64], line[128];
	struct vm *vm;
	FILE *f;

	if (on_kvm())
		test_skip("lhv's own");
	vm = vm_create(0);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", vm->fd);
	f = fopen(path, "r");
	CHECK(f);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "lhv-vm-id: %llu", &id);
	fclose(f);
	CHECK(id);
}

/* ---- the guest, and those who look at it from outside ---- */

#define PORT	0xe9	/* where these guests report */

static uint8_t reported(struct vcpu *vcpu)
{
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);
	CHECK_EQ(vcpu->run->io.port, PORT);
	return *((uint8_t *)vcpu->run + vcpu->run->io.data_offset);
}

/* No emulator here knows FLD: what the VMM needs to go on by itself. */
TEST(emulation_failure)
{
	/* mov $0x2000, %ax; mov %ax, %ds; flds 0x10 */
	static const uint8_t code[] = { 0xb8, 0x00, 0x20, 0x8e, 0xd8, 0xd9, 0x06, 0x10, 0x00 };
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu;
	struct kvm_run *run;
	struct kvm_regs regs;

	vm_ram(vm, 0x10000);
	CHECK_OK(enable(vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1));
	vcpu = guest_in(vm, code, sizeof(code));
	run = vcpu->run;
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	CHECK_EQ(run->emulation_failure.suberror, KVM_INTERNAL_ERROR_EMULATION);
	CHECK_EQ(run->emulation_failure.flags,
		 KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES);
	CHECK(run->emulation_failure.insn_size >= 4);
	CHECK(!memcmp(run->emulation_failure.insn_bytes, code + 5, 4));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	CHECK_EQ(regs.rip, GUEST_CODE + 5);
}

/* The debugger has the registers of the CPU, the guest still reads what it wrote. */
TEST(debugger_registers)
{
	static const uint8_t code[] = {
		0x66, 0xb8, 0x34, 0x12, 0x00, 0x00,	/* mov $0x1234, %eax */
		0x0f, 0x23, 0xd8,			/* mov %eax, %db3 */
		0x66, 0xb8, 0x02, 0x40, 0x00, 0x00,	/* mov $0x4002, %eax */
		0x0f, 0x23, 0xf0,			/* mov %eax, %db6 */
		0x66, 0xb8, 0x00, 0x07, 0x00, 0x00,	/* mov $0x700, %eax */
		0x0f, 0x23, 0xf8,			/* mov %eax, %db7 */
		0x0f, 0x21, 0xd8, 0xe6, PORT,		/* mov %db3, %eax; out %al, $PORT */
		0x0f, 0x21, 0xe0, 0xe6, PORT,		/* %db4 is %db6 */
		0x0f, 0x21, 0xf8, 0x88, 0xe0, 0xe6, PORT, /* %db7; mov %ah, %al; out */
		0xeb, 0xed,				/* the three once more */
	};
	struct vcpu *vcpu = guest_in(vm_create(0), code, sizeof(code));
	struct kvm_guest_debug d = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
		.arch.debugreg = { 0xfff0, [7] = 0x402 },
	};
	struct kvm_debugregs regs;
	int i;

	CHECK_OK(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &d));
	for (i = 0; i < 2; i++) {
		CHECK_EQ(reported(vcpu), 0x34);
		CHECK_EQ(reported(vcpu), 0xf2);	/* bits 4 to 11 read as one */
		CHECK_EQ(reported(vcpu), 0x07);
		CHECK_OK(ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &regs));
		CHECK_EQ(regs.db[3], 0x1234);
		CHECK_EQ(regs.dr6 & 0x400f, 0x4002);
		CHECK_EQ(regs.dr7, 0x700);
		/* Without the debugger the guest finds them in the CPU. */
		d.control = 0;
		CHECK_OK(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &d));
	}
}

/* Breakpoints that the host has on this thread, and the guest's own: each meets its own. */
static void two_breakpoints(bool guest_too)
{
	static const uint8_t code[] = {
		0xa2, 0x00, 0x30,		/* 1: mov %al, 0x3000 */
		0xb0, 'A', 0xe6, PORT,		/* mov $'A', %al; out %al, $PORT */
		0xeb, 0xf7,			/* jmp 1b */
	};
	static const uint8_t db[] = { 0xb0, 'B', 0xe6, PORT, 0xcf };	/* ...; iret */
	static volatile uint32_t watched;
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (uintptr_t)&watched,
		.bp_len = HW_BREAKPOINT_LEN_4,
	};
	struct vcpu *vcpu = guest_in(vm_create(0), code, sizeof(code));
	struct kvm_debugregs regs;
	uint64_t count;
	int fd, i;

	fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	if (fd < 0)
		test_skip("this kernel has no breakpoints: %s", strerror(errno));
	memcpy(vcpu->vm->ram + 0x2000, db, sizeof(db));
	*(uint32_t *)(vcpu->vm->ram + 4 * 1) = 0x2000;	/* the vector of #DB */
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &regs));
	/* Writes of a byte, or, where it may not strike, instructions that do not come. */
	regs.db[0] = guest_too ? 0x3000 : 0x4000;
	regs.dr7 = guest_too ? 0x10401 : 0x401;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &regs));
	for (i = 1; i <= 20; i++) {
		if (guest_too)
			CHECK_EQ(reported(vcpu), 'B');
		watched = i;
		CHECK_EQ(reported(vcpu), 'A');
		CHECK_EQ(read(fd, &count, sizeof(count)), sizeof(count));
		CHECK_EQ(count, i);
	}
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &regs));
	CHECK_EQ(regs.db[0], guest_too ? 0x3000 : 0x4000);
	CHECK_EQ(regs.dr6 & 0xf, guest_too);
	close(fd);
}

TEST(host_breakpoint)
{
	two_breakpoints(false);
}

TEST(host_and_guest_breakpoints)
{
	two_breakpoints(true);
}

/* Port 0x61, when the kernel has it: the gate, the speaker's own bit, the channel's output. */
TEST(speaker)
{
	static const uint8_t code[] = {
		0xb0, 0xb0, 0xe6, 0x43,		/* channel 2, mode 0 */
		0xb0, 0x00, 0xe6, 0x61,		/* its gate low */
		0xb0, 0xff, 0xe6, 0x42, 0xe6, 0x42,
		0xe4, 0x61, 0xe6, PORT,		/* in $0x61, %al; out %al, $PORT */
		0xb0, 0x03, 0xe6, 0x61,
		0xe4, 0x61, 0xe6, PORT,
		0xb0, 0xb0, 0xe6, 0x43,		/* a short count */
		0xb0, 0x02, 0xe6, 0x42, 0xb0, 0x00, 0xe6, 0x42,
		0xe4, 0x61, 0xa8, 0x20, 0x74, 0xfa,	/* until its output is high */
		0xe6, PORT,
	};
	struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct vm *vm = vm_create(0);
	struct kvm_pit_state2 state;
	struct vcpu *vcpu;

	CHECK_OK(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0));
	CHECK_OK(ioctl(vm->fd, KVM_CREATE_PIT2, &config));
	vcpu = guest_in(vm, code, sizeof(code));
	CHECK_EQ(reported(vcpu) & ~0x10, 0);	/* but for the refresh clock */
	CHECK_EQ(reported(vcpu) & ~0x10, 3);
	CHECK_EQ(reported(vcpu) & ~0x10, 0x23);
	CHECK_OK(ioctl(vm->fd, KVM_GET_PIT2, &state));
	CHECK_EQ(state.channels[2].gate, 1);
	CHECK_EQ(state.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON, KVM_PIT_FLAGS_SPEAKER_DATA_ON);
}
