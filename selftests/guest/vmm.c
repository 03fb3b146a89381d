// SPDX-License-Identifier: GPL-2.0
/*
 * What only a VMM asks for: debugging the guest from outside, EOIs of a split irqchip, irqfds
 * that are raised again, port writes that wait in the ring.
 */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "guest.h"

#define VEC	0x51
#define PIN	10

/* ---- KVM_SET_GUEST_DEBUG ---- */

extern const char dbg_code[], dbg_bp[], dbg_end[];
extern const uint64_t dbg_steps[];
static volatile uint64_t dbg_flags;

/* One label per instruction, and their list. */
asm(".text\n"
    ".globl dbg_code, dbg_bp, dbg_end, dbg_steps\n"
    "dbg_code:\n"
    "1:	mov	$1, %eax\n"
    "2:	cpuid\n"
    "3:	xor	%eax, %eax\n"
    "4:	nop\n"
    "dbg_bp:\n"
    "5:	nop\n"
    "6:	mov	$0xd0000000, %edx\n"	/* MMIO_DEV */
    "7:	movl	$0x10, (%rdx)\n"
    "8:	mov	$0x300, %edx\n"	/* PORT_DEV */
    "9:	in	%dx, %al\n"
    "10:	lea	1(%rdx), %rdx\n"
    "dbg_end:\n"
    "	ret\n"
    "	.section .rodata\n"
    "dbg_steps:\n"
    "	.quad	2b, 3b, 4b, 5b, 6b, 7b, 8b, 9b, 10b, dbg_end\n"
    "	.text\n");

#define NR_STEPS 10

static void g_debugged(void)
{
	g_sync(1);
	asm volatile("call dbg_code" : : : "rax", "rbx", "rcx", "rdx", "memory");
	dbg_flags = rflags();
	g_sync(2);
	g_done();
}

static void debug(struct vcpu *vcpu, struct kvm_guest_debug *d)
{
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, d));
}

static void go_debug(struct vcpu *vcpu, uint64_t pc, uint32_t exception)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_regs regs;

	CHECK_EQ(vcpu_go(vcpu, NULL), KVM_EXIT_DEBUG);
	CHECK_EQ(run->debug.arch.exception, exception);
	CHECK_EQ(run->debug.arch.pc, pc);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	CHECK_EQ(regs.rip, pc);
	/* The guest's own flag, not the debugger's. */
	CHECK_EQ(regs.rflags & X86_EFLAGS_TF, 0);
}

/* Step by step to where the guest's code of interest begins. */
static void step_to(struct vcpu *vcpu, const char *where)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };
	int i;

	debug(vcpu, &d);
	for (i = 0; i < 100; i++) {
		CHECK_EQ(vcpu_go(vcpu, NULL), KVM_EXIT_DEBUG);
		if (vcpu->run->debug.arch.pc == (uintptr_t)where)
			return;
	}
	FAIL("never came to %p", where);
}

static struct vcpu *at_debug_code(unsigned int flags)
{
	struct vcpu *vcpu = machine_vcpu(machine(flags), g_debugged);

	vcpu_sync(vcpu, 1);
	step_to(vcpu, dbg_code);
	return vcpu;
}

/* By a breakpoint in the code; it is taken out again. */
static void stop_at(struct vcpu *vcpu, const char *where)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP };
	uint8_t *insn = guest_ptr(vcpu->vm, where), was = *insn;

	debug(vcpu, &d);
	*insn = 0xcc;
	go_debug(vcpu, (uintptr_t)where, BP);
	*insn = was;
}

TEST(debug_single_step)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };
	struct vcpu *vcpu = at_debug_code(VM_IRQCHIP);
	int i;

	debug(vcpu, &d);
	for (i = 0; i < NR_STEPS; i++) {
		go_debug(vcpu, dbg_steps[i], DB);
		CHECK(vcpu->run->debug.arch.dr6 & 1 << 14);
	}
	d.control = 0;
	debug(vcpu, &d);
	vcpu_sync(vcpu, 2);
	CHECK_EQ(GUEST_VAR(vcpu->vm, dbg_flags) & X86_EFLAGS_TF, 0);
	vcpu_done(vcpu);
}

TEST(debug_hw_breakpoint)
{
	struct kvm_guest_debug d = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
		/* Execution at dbg_bp (1), at dbg_end (3) */
		.arch.debugreg = { [1] = (uintptr_t)dbg_bp, [3] = (uintptr_t)dbg_end, [7] = 0x88 },
	};
	struct vcpu *vcpu = at_debug_code(VM_IRQCHIP);
	struct kvm_debugregs regs;

	debug(vcpu, &d);
	go_debug(vcpu, (uintptr_t)dbg_bp, DB);
	CHECK_EQ(vcpu->run->debug.arch.dr6 & 0xf, 2);
	/* The guest's own registers are not the debugger's. */
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &regs));
	CHECK_EQ(regs.db[1] | regs.db[3], 0);
	CHECK_EQ(regs.dr7, 0x400);
	CHECK_EQ(regs.dr6, 0xffff0ff0);
	/* As a debugger goes on: with that one off for a step. */
	d.arch.debugreg[7] = 0x80;
	d.control |= KVM_GUESTDBG_SINGLESTEP;
	debug(vcpu, &d);
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_DEBUG);
	CHECK_EQ(vcpu->run->debug.arch.dr6 & 0x400f, 0x4000);
	d.control &= ~KVM_GUESTDBG_SINGLESTEP;
	debug(vcpu, &d);
	go_debug(vcpu, (uintptr_t)dbg_end, DB);
	/* The step before is not among the reasons. */
	CHECK_EQ(vcpu->run->debug.arch.dr6 & 0x400f, 8);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &regs));
	CHECK_EQ(regs.dr6, 0xffff0ff0);
	d.control = 0;
	debug(vcpu, &d);
	vcpu_sync(vcpu, 2);
	vcpu_done(vcpu);
}

TEST(debug_sw_breakpoint)
{
	struct vcpu *vcpu = at_debug_code(VM_IRQCHIP);

	stop_at(vcpu, dbg_bp);
	stop_at(vcpu, dbg_end);
	vcpu_sync(vcpu, 2);
	CHECK_EQ(GUEST_VAR(vcpu->vm, g_count)[BP], 0);
	vcpu_done(vcpu);
}

/* Without the flag it is the guest's own. */
TEST(debug_sw_breakpoint_guests)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE };
	struct vcpu *vcpu = at_debug_code(VM_IRQCHIP);

	debug(vcpu, &d);
	*(uint8_t *)guest_ptr(vcpu->vm, dbg_bp) = 0xcc;
	vcpu_sync(vcpu, 2);
	CHECK_EQ(GUEST_VAR(vcpu->vm, g_count)[BP], 1);
	vcpu_done(vcpu);
}

TEST(debug_inject)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_BP };
	struct vcpu *vcpu = machine_vcpu(machine(VM_IRQCHIP), g_debugged);

	vcpu_sync(vcpu, 1);
	debug(vcpu, &d);
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &d), EBUSY);
	vcpu_sync(vcpu, 2);
	CHECK_EQ(GUEST_VAR(vcpu->vm, g_count)[BP], 1);
	vcpu_done(vcpu);
}

/* Interrupts wait while the debugger steps and says so. */

static void g_blocked(void)
{
	xapic_on();
	xapic_write(APIC_LVT0, APIC_MASKED);
	g_handlers[VEC] = g_eoi;
	sti();
	g_sync(1);
	asm volatile("call dbg_code" : : : "rax", "rbx", "rcx", "rdx", "memory");
	g_sync(2);
	g_await(&g_count[VEC], 1);
	g_done();
}

TEST(debug_blockirq)
{
	struct kvm_guest_debug d = { };
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = VEC };
	struct vcpu *vcpu = machine_vcpu(machine(VM_IRQCHIP), g_blocked);
	int i;

	vcpu_sync(vcpu, 1);
	step_to(vcpu, dbg_code);
	d.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ;
	debug(vcpu, &d);
	CHECK_EQ(ioctl(vcpu->vm->fd, KVM_SIGNAL_MSI, &msi), 1);
	for (i = 0; i < NR_STEPS; i++)
		go_debug(vcpu, dbg_steps[i], DB);
	CHECK_EQ(GUEST_VAR(vcpu->vm, g_count)[VEC], 0);
	d.control = 0;
	debug(vcpu, &d);
	vcpu_sync(vcpu, 2);
	CHECK_EQ(GUEST_VAR(vcpu->vm, g_count)[VEC], 1);
	vcpu_done(vcpu);
}

/* ---- split irqchip: the VMM's IOAPIC hears of EOIs ---- */

static void g_split_eoi(void)
{
	xapic_on();
	g_handlers[VEC] = g_eoi;
	g_handlers[VEC + 1] = g_eoi;
	sti();
	g_sync(1);
	g_await(&g_count[VEC], 1);
	g_sync(2);
	g_await(&g_count[VEC + 1], 1);
	g_sync(3);
	g_done();
}

TEST(split_eoi)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entries[1];
	} routing = {
		.head.nr = 1,
		/* As a VMM describes its IOAPIC: pin 5, level, to vector VEC */
		.entries[0] = {
			.gsi = 5, .type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = 0xfee00000, .data = VEC | 3 << 14 },
		},
	};
	struct kvm_msi level = { .address_lo = 0xfee00000, .data = VEC | 3 << 14 };
	struct kvm_msi edge = { .address_lo = 0xfee00000, .data = VEC + 1 };
	struct vm *vm = machine(VM_SPLIT);
	struct vcpu *vcpu = machine_vcpu(vm, g_split_eoi);
	int ret;

	CHECK_OK(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &routing.head));
	vcpu_sync(vcpu, 1);
	CHECK_EQ(ioctl(vm->fd, KVM_SIGNAL_MSI, &level), 1);
	do {
		ret = vcpu_go(vcpu, NULL);
	} while (ret == GO_INTR);
	CHECK_EQ(ret, KVM_EXIT_IOAPIC_EOI);
	CHECK_EQ(vcpu->run->eoi.vector, VEC);
	/* Once per EOI, and never for an edge. */
	vcpu_sync(vcpu, 2);
	CHECK_EQ(ioctl(vm->fd, KVM_SIGNAL_MSI, &edge), 1);
	vcpu_sync(vcpu, 3);
	vcpu_done(vcpu);
}

/* ---- irqfd with resample ---- */

static void g_resample(void)
{
	xapic_on();
	xapic_write(APIC_LVT0, APIC_MASKED);
	g_handlers[VEC] = g_eoi;
	*(volatile uint32_t *)0xfec00000 = 0x10 + 2 * PIN + 1;
	*(volatile uint32_t *)0xfec00010 = 0;
	*(volatile uint32_t *)0xfec00000 = 0x10 + 2 * PIN;
	*(volatile uint32_t *)0xfec00010 = VEC | 1 << 15;
	sti();
	g_sync(1);
	g_await(&g_count[VEC], 1);
	g_sync(2);
	g_await(&g_count[VEC], 2);
	g_sync(3);
	g_sync(4);
	g_done();
}

static uint64_t drained(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t v = 0;

	CHECK_EQ(poll(&p, 1, 5000), 1);
	CHECK_EQ(read(fd, &v, 8), 8);
	return v;
}

static void raise_fd(int fd)
{
	uint64_t one = 1;

	CHECK_EQ(write(fd, &one, 8), 8);
}

TEST(irqfd_resampled)
{
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *vcpu = machine_vcpu(vm, g_resample);
	struct kvm_irqfd irqfd = { .gsi = PIN, .flags = KVM_IRQFD_FLAG_RESAMPLE };
	struct pollfd p;
	int second;

	irqfd.fd = CHECK_OK(eventfd(0, EFD_NONBLOCK));
	irqfd.resamplefd = CHECK_OK(eventfd(0, EFD_NONBLOCK));
	CHECK_OK(ioctl(vm->fd, KVM_IRQFD, &irqfd));
	/* Two devices on one line: both hear of the EOI. */
	second = irqfd.resamplefd;
	irqfd.fd = CHECK_OK(eventfd(0, EFD_NONBLOCK));
	irqfd.resamplefd = CHECK_OK(eventfd(0, EFD_NONBLOCK));
	CHECK_OK(ioctl(vm->fd, KVM_IRQFD, &irqfd));

	vcpu_sync(vcpu, 1);
	raise_fd(irqfd.fd);
	vcpu_sync(vcpu, 2);
	/* The EOI lowered the line: one interrupt came, and both are told. */
	CHECK_EQ(GUEST_VAR(vm, g_count)[VEC], 1);
	CHECK_EQ(drained(irqfd.resamplefd), 1);
	CHECK_EQ(drained(second), 1);
	/* The device still wants service. */
	raise_fd(irqfd.fd);
	vcpu_sync(vcpu, 3);
	CHECK_EQ(GUEST_VAR(vm, g_count)[VEC], 2);
	CHECK_EQ(drained(irqfd.resamplefd), 1);
	CHECK_EQ(drained(second), 1);
	/* Gone: the fd raises nothing any more. */
	irqfd.flags |= KVM_IRQFD_FLAG_DEASSIGN;
	CHECK_OK(ioctl(vm->fd, KVM_IRQFD, &irqfd));
	raise_fd(irqfd.fd);
	vcpu_sync(vcpu, 4);
	CHECK_EQ(GUEST_VAR(vm, g_count)[VEC], 2);
	p = (struct pollfd){ .fd = irqfd.resamplefd, .events = POLLIN };
	CHECK_EQ(poll(&p, 1, 0), 0);
	vcpu_done(vcpu);
}

/* ---- coalesced port writes ---- */

static void g_coalesced_pio(void)
{
	uint32_t n = inl(PORT_COUNT);
	int i;

	for (i = 0; i < 20; i++)
		outb(PORT_DEV, i);
	outw(PORT_DEV + 2, 0x1234);
	outl(PORT_DEV, 0x12345678);
	G_EQ(inl(PORT_COUNT) - n, 0);
	/* Astride of the zone's end, beyond it, and reads: the VMM's. */
	outl(PORT_DEV + 2, 0);
	outb(PORT_DEV + 4, 0);
	inb(PORT_DEV);
	G_EQ(inl(PORT_COUNT) - n, 3);
	g_sync(1);
	/* A full ring holds nobody up: what does not fit exits. */
	for (i = 0; i < 1000; i++)
		outb(PORT_DEV, i);
	G_CHECK(inl(PORT_COUNT) - n > 3);
	g_sync(2);
	n = inl(PORT_COUNT);
	outb(PORT_DEV, 1);
	G_EQ(inl(PORT_COUNT) - n, 1);
	g_done();
}

TEST(coalesced_pio)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = PORT_DEV, .size = 4, .pio = 1 };
	struct vm *vm = machine(0);
	struct vcpu *vcpu = machine_vcpu(vm, g_coalesced_pio);
	int page = vm_cap(vm, KVM_CAP_COALESCED_MMIO), i, n;
	struct kvm_coalesced_mmio_ring *ring = (void *)((uint8_t *)vcpu->run + page * PAGE_SIZE);

	CHECK_EQ(vm_cap(vm, KVM_CAP_COALESCED_PIO), 1);
	CHECK_OK(ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, &zone));
	vcpu_sync(vcpu, 1);
	CHECK_EQ(ring->last - ring->first, 22);
	for (i = 0; i < 20; i++) {
		CHECK_EQ(ring->coalesced_mmio[i].phys_addr, PORT_DEV);
		CHECK_EQ(ring->coalesced_mmio[i].len, 1);
		CHECK_EQ(ring->coalesced_mmio[i].pio, 1);
		CHECK_EQ(ring->coalesced_mmio[i].data[0], i);
	}
	CHECK_EQ(ring->coalesced_mmio[20].len, 2);
	CHECK_EQ(*(uint16_t *)ring->coalesced_mmio[20].data, 0x1234);
	CHECK_EQ(*(uint32_t *)ring->coalesced_mmio[21].data, 0x12345678);
	ring->first = ring->last;
	vcpu_sync(vcpu, 2);
	n = (PAGE_SIZE - sizeof(*ring)) / sizeof(struct kvm_coalesced_mmio);
	/* KVM reckons the room in 32 bits that wrap, and stops earlier. */
	if (!on_kvm())
		CHECK_EQ((ring->last + n - ring->first) % n, n - 1);
	ring->first = ring->last;
	/* A zone goes with the bus that it is on. */
	zone.pio = 0;
	CHECK_OK(ioctl(vm->fd, KVM_UNREGISTER_COALESCED_MMIO, &zone));
	zone.pio = 1;
	CHECK_OK(ioctl(vm->fd, KVM_UNREGISTER_COALESCED_MMIO, &zone));
	vcpu_done(vcpu);
}
