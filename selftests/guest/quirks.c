// SPDX-License-Identifier: GPL-2.0
/* KVM's quirks, in force and switched off (KVM_CAP_DISABLE_QUIRKS2), as the guest meets them. */
#include <linux/kvm_para.h>

#include "guest.h"

#define CPUID_1_ECX_MWAIT	(1u << 3)
#define MSR_MISC_ENABLE		0x1a0
#define MISC_ENABLE_MWAIT	(1ull << 18)
#define KVM_ENOSYS_		1000

static void disable(struct vm *vm, uint64_t quirks)
{
	struct kvm_enable_cap enable = { .cap = KVM_CAP_DISABLE_QUIRKS2, .args = { quirks } };

	CHECK_OK(ioctl(vm->fd, KVM_ENABLE_CAP, &enable));
}

/* To an exit that vcpu_go() takes for a mistake */
static void run_to(struct vcpu *vcpu, uint32_t reason)
{
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(vcpu->run->exit_reason, reason);
}

/* ---- the other vendor's hypercall ---- */

/* A page of its own, so that it can be made read-only: f(rax) -> rax */
asm(".text\n"
    "	.balign 4096\n"
    ".globl quirk_vmcall, quirk_vmmcall\n"
    "quirk_vmcall:\n"
    "	.byte 0x0f, 0x01, 0xc1\n"
    "	ret\n"
    "quirk_vmmcall:\n"
    "	.byte 0x0f, 0x01, 0xd9\n"
    "	ret\n"
    "	.balign 4096\n");
extern uint8_t quirk_vmcall[], quirk_vmmcall[];

static volatile uint64_t quirk_on, read_only;

static void g_other_hypercall(void)
{
	bool intel = g_is_intel();
	volatile uint8_t *other = intel ? quirk_vmmcall : quirk_vmcall;
	uint8_t own_byte = intel ? 0xc1 : 0xd9, other_byte = intel ? 0xd9 : 0xc1;
	uint64_t ret = KVM_HC_VAPIC_POLL_IRQ, i;

	if (read_only) {
		g_map((uintptr_t)other & ~0xffful, (uintptr_t)other & ~0xffful, PTE_P);
		WRITE_CR(0, READ_CR(0) | X86_CR0_WP);
	}
	for (i = 0; i < 3; i++) {
		ret = KVM_HC_VAPIC_POLL_IRQ;
		if (!quirk_on) {
			/* The return address stays on the stack. */
			G_EQ(G_TRY("call *%1", : "+a"(ret) : "r"(other) : "memory"), UD);
			G_EQ(other[2], other_byte);
			g_done();
		}
		asm volatile("call *%1" : "+a"(ret) : "r"(other) : "rbx", "rcx", "rdx", "rsi", "memory");
		G_EQ(ret, 0);
		G_EQ(other[2], read_only ? other_byte : own_byte);
	}
	/* One that there is not: it is a hypercall like any other. */
	ret = 4711;
	asm volatile("call *%1" : "+a"(ret) : "r"(other) : "rbx", "rcx", "rdx", "rsi", "memory");
	G_EQ(ret, (uint64_t)-KVM_ENOSYS_);
	/* What is no hypercall stays what it is. */
	G_EQ(G_TRY("ud2", : : : "memory"), UD);
	G_EQ(G_TRY("lock; .byte 0x0f, 0x01, 0xc1", : : : "memory"), UD);
	g_done();
}

static void other_hypercall(bool on, bool ro)
{
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *vcpu = machine_vcpu(vm, g_other_hypercall);

	GUEST_VAR(vm, quirk_on) = on;
	GUEST_VAR(vm, read_only) = ro;
	if (!on)
		disable(vm, KVM_X86_QUIRK_FIX_HYPERCALL_INSN);
	vcpu_done(vcpu);
}

TEST(other_hypercall)
{
	other_hypercall(true, false);
}

/* KVM raises the #PF that its write to the code met. */
TEST(other_hypercall_read_only)
{
	if (on_kvm())
		test_skip("a #PF on KVM");
	other_hypercall(true, true);
}

TEST(other_hypercall_ud)
{
	other_hypercall(false, false);
}

/* ---- MONITOR and MWAIT ---- */

static volatile uint64_t mwait_fault, toggle_mwait;

static void try_mwait(uint64_t want)
{
	G_EQ(G_TRY("monitor", : : "a"(GUEST_SHARED), "c"(0), "d"(0) : "memory"), want);
	G_EQ(G_TRY("mwait", : : "a"(0), "c"(0) : "memory"), want);
}

static void g_monitor_mwait(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	G_CHECK(!(r[2] & CPUID_1_ECX_MWAIT));
	try_mwait(mwait_fault);
	if (toggle_mwait) {
		wrmsr(MSR_MISC_ENABLE, rdmsr(MSR_MISC_ENABLE) | MISC_ENABLE_MWAIT);
		cpuid(1, 0, r);
		G_CHECK(r[2] & CPUID_1_ECX_MWAIT);
		try_mwait(NO_FAULT);
		wrmsr(MSR_MISC_ENABLE, rdmsr(MSR_MISC_ENABLE) & ~MISC_ENABLE_MWAIT);
		try_mwait(mwait_fault);
	}
	g_done();
}

static void monitor_mwait(uint64_t off, uint64_t fault)
{
	struct vm *vm = machine(VM_IRQCHIP);

	if (off)
		disable(vm, off);
	GUEST_VAR(vm, mwait_fault) = fault;
	GUEST_VAR(vm, toggle_mwait) = !!(off & KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT);
	vcpu_done(machine_vcpu(vm, g_monitor_mwait));
}

TEST(quirk_mwait_nop)
{
	monitor_mwait(0, NO_FAULT);
}

TEST(quirk_mwait_ud)
{
	monitor_mwait(KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS, UD);
}

TEST(quirk_mwait_misc_enable)
{
	monitor_mwait(KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS | KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT, UD);
}

/* ---- the LAPIC's page in x2APIC mode ---- */

static void g_lapic_hole(void)
{
	x2apic_on();
	g_sync(1);
	xapic_write(APIC_TPR, 0x50);
	G_EQ(xapic_read(APIC_TPR), 0xffffffff);
	G_EQ(x2apic_read(APIC_TPR), 0);
	g_done();
}

TEST(quirk_lapic_hole)
{
	struct vcpu *vcpu = machine_vcpu(machine(VM_IRQCHIP), g_lapic_hole);

	vcpu_sync(vcpu, 1);
	vcpu_done(vcpu);
}

TEST(quirk_lapic_no_hole)
{
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *vcpu = machine_vcpu(vm, g_lapic_hole);

	disable(vm, KVM_X86_QUIRK_LAPIC_MMIO_HOLE);
	vcpu_sync(vcpu, 1);
	run_to(vcpu, KVM_EXIT_MMIO);
	CHECK_EQ(vcpu->run->mmio.phys_addr, APIC_PAGE + APIC_TPR);
	CHECK_EQ(vcpu->run->mmio.is_write, 1);
	run_to(vcpu, KVM_EXIT_MMIO);
	CHECK_EQ(vcpu->run->mmio.is_write, 0);
	memset(vcpu->run->mmio.data, 0xff, 4);
	vcpu_done(vcpu);
}

/* ---- OUT to port 0x7e ---- */

extern const char out_7e[], out_7e_over[];

static void g_out_7e(void)
{
	asm volatile(".globl out_7e, out_7e_over\n"
		     "out_7e:	outb %%al, $0x7e\n"
		     "out_7e_over:" : : "a"(0x5a) : "memory");
	g_done();
}

static void run_out_7e(bool on, uint64_t rip)
{
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *vcpu = machine_vcpu(vm, g_out_7e);
	struct kvm_regs regs;

	if (!on)
		disable(vm, KVM_X86_QUIRK_OUT_7E_INC_RIP);
	run_to(vcpu, KVM_EXIT_IO);
	CHECK_EQ(vcpu->run->io.port, 0x7e);
	CHECK_EQ(*((uint8_t *)vcpu->run + vcpu->run->io.data_offset), 0x5a);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	CHECK_EQ(regs.rip, rip);
	vcpu_done(vcpu);
}

TEST(quirk_out_7e)
{
	run_out_7e(true, (uintptr_t)out_7e_over);
	run_out_7e(false, (uintptr_t)out_7e);
}

/* A debugger that steps sees the OUT first, then its step. KVM tells of the step alone. */
TEST(quirk_out_7e_stepped)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };
	struct vcpu *vcpu = machine_vcpu(machine(VM_IRQCHIP), g_out_7e);
	struct kvm_run *run = vcpu->run;

	if (on_kvm())
		test_skip("KVM loses the OUT");
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &d));
	do {
		run_to(vcpu, KVM_EXIT_DEBUG);
	} while (run->debug.arch.pc != (uintptr_t)out_7e);
	run_to(vcpu, KVM_EXIT_IO);
	CHECK_EQ(run->io.port, 0x7e);
	run_to(vcpu, KVM_EXIT_DEBUG);
	CHECK_EQ(run->debug.arch.exception, DB);
	CHECK_EQ(run->debug.arch.pc, (uintptr_t)out_7e_over);
	d.control = 0;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &d));
	vcpu_done(vcpu);
}
