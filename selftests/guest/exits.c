// SPDX-License-Identifier: GPL-2.0
/* Exits of single instructions in 64-bit mode. Other modes: modes.S. */
#include <linux/kvm_para.h>

#include "guest.h"

#define CPUID_1_ECX_OSXSAVE	(1u << 27)
#define CPUID_1_ECX_XSAVE	(1u << 26)
#define CPUID_EXT_SVM		(1u << 2)
#define CPUID_1_VMX		(1u << 5)
#define CPUID_EXT_RDTSCP	(1u << 27)

static void g_nothing(void)
{
	g_done();
}

TEST(boot)
{
	run_guest(g_nothing, 0);
}

/* cpuid: registers, and the instruction's length under odd prefixes */

static void g_cpuid(void)
{
	uint32_t r[4], last[4], max;

	cpuid(0, 0, r);
	max = r[0];
	G_CHECK(max >= 1);
	cpuid(KVM_CPUID_SIGNATURE, 0, r);
	G_EQ(r[1], 0x4b4d564b);		/* "KVMKVMKVM" */
	G_EQ(r[2], 0x564b4d56);
	G_EQ(r[3], 0x4d);

	/* The upper halves are cleared. */
	{
		uint64_t a = 0, b = ~0ull, c = ~0xffffffffull, d = ~0ull;

		asm volatile("cpuid" : "+a"(a), "+b"(b), "+c"(c), "+d"(d));
		G_EQ(a, max);
		G_CHECK(!(b >> 32) && !(c >> 32) && !(d >> 32));
	}
	/* Beyond the last leaf AMD gives zeros, Intel the highest basic leaf. */
	cpuid(0x8fffffff, 0, r);
	if (g_is_intel()) {
		cpuid(max, 0, last);
		G_EQ(r[0], last[0]);
		G_EQ(r[3], last[3]);
	} else {
		G_EQ(r[0] | r[1] | r[2] | r[3], 0);
	}
	g_done();
}

TEST(cpuid)
{
	run_guest(g_cpuid, 0);
}

#define CPUID_WITH(prefix)						\
	do {								\
		uint64_t a = 0, b, c = 0, d, mark = 1;			\
									\
		asm volatile(".byte " prefix "0x0f, 0xa2\n\tincq %4"	\
			     : "+a"(a), "=b"(b), "+c"(c), "=d"(d), "+S"(mark)); \
		G_EQ(a, max);						\
		G_EQ(mark, 2);						\
	} while (0)

static void g_cpuid_prefixes(void)
{
	uint32_t r[4], max;

	cpuid(0, 0, r);
	max = r[0];
	CPUID_WITH("0x66, ");
	CPUID_WITH("0x67, ");
	CPUID_WITH("0xf2, ");
	CPUID_WITH("0xf3, ");
	CPUID_WITH("0x2e, ");
	CPUID_WITH("0x64, 0x65, ");
	CPUID_WITH("0x48, ");
	CPUID_WITH("0x66, 0x66, 0x67, 0x2e, 0x36, 0x4f, ");
	g_done();
}

TEST(cpuid_prefixes)
{
	run_guest(g_cpuid_prefixes, 0);
}

/* cpuid as the last instruction of one page, and astride two, the second not yet touched */

static void g_cpuid_page_end(void)
{
	int i;

	for (i = 0; i < 2; i++) {
		uint8_t *code = (uint8_t *)GUEST_EXTRA + PAGE_SIZE * (2 * i + 1) - 2 + i;
		uint64_t a = 0, b, c = 0, d;

		code[0] = 0x0f;
		code[1] = 0xa2;
		code[2] = 0xc3;		/* ret */
		asm volatile("call *%4" : "+a"(a), "=&b"(b), "+c"(c), "=&d"(d) : "r"(code));
		G_CHECK(a >= 1);
	}
	g_done();
}

TEST(cpuid_page_end)
{
	struct vm *vm = machine(0);

	vm_set_slot(vm, 1, 0, GUEST_EXTRA, 1 << 20, map_memory(1 << 20, PAGE_SIZE));
	vcpu_done(machine_vcpu(vm, g_cpuid_page_end));
}

/* hlt without an in-kernel LAPIC is the VMM's */

static void g_hlt(void)
{
	asm volatile("hlt");
	asm volatile(".byte 0x66, 0xf4");
	asm volatile(".byte 0xf3, 0x48, 0xf4");
	g_done();
}

TEST(hlt_exit)
{
	struct vcpu *vcpu = machine_vcpu(machine(0), g_hlt);
	int i;

	for (i = 0; i < 3; i++)
		CHECK_EQ(vcpu_go(vcpu, NULL), KVM_EXIT_HLT);
	vcpu_done(vcpu);
}

/* Port I/O */

static void g_io_sizes(void)
{
	uint64_t v;
	uint32_t n = inl(PORT_COUNT);

	outl(PORT_DEV, 0x44332211);
	G_EQ(inl(PORT_LAST), LAST_WRITE | 4);
	G_EQ(inb(PORT_DEV), 0x11);
	G_EQ(inb(PORT_DEV + 3), 0x44);
	outb(PORT_DEV + 1, 0xaa);
	G_EQ(inl(PORT_LAST), LAST_WRITE | 1);
	outw(PORT_DEV + 2, 0xccbb);
	G_EQ(inl(PORT_LAST), LAST_WRITE | 2);
	G_EQ(inl(PORT_DEV), 0xccbbaa11);
	G_EQ(inl(PORT_LAST), 4);
	G_EQ(inl(PORT_COUNT) - n, 6);

	/* An 8- or 16-bit in keeps the rest of rax, a 32-bit one clears it. */
	v = ~0ull;
	asm volatile("inb %%dx, %%al" : "+a"(v) : "d"(PORT_DEV));
	G_EQ(v, 0xffffffffffffff11);
	asm volatile("inw %%dx, %%ax" : "+a"(v) : "d"(PORT_DEV));
	G_EQ(v, 0xffffffffffffaa11);
	asm volatile("inl %%dx, %%eax" : "+a"(v) : "d"(PORT_DEV));
	G_EQ(v, 0xccbbaa11);
	/* Prefixes that mean nothing, and REX.W, which means nothing here either */
	v = ~0ull;
	asm volatile(".byte 0xf3, 0x48, 0xed" : "+a"(v) : "d"(PORT_DEV));
	G_EQ(v, 0xccbbaa11);
	v = 0;
	asm volatile(".byte 0x66, 0x2e, 0xed" : "+a"(v) : "d"(PORT_DEV));
	G_EQ(v, 0xaa11);
	g_done();
}

TEST(io_sizes)
{
	run_guest(g_io_sizes, 0);
}

/* The immediate forms, seen by the driver */

static void g_io_imm(void)
{
	uint64_t v = 0x12345678;

	asm volatile("outb %%al, $0x70; outw %%ax, $0x72; outl %%eax, $0x74" : : "a"(v));
	asm volatile("inb $0x76, %%al; inw $0x78, %%ax; inl $0x7a, %%eax" : "+a"(v));
	G_EQ(v, 0xa5a5a5a5);
	g_done();
}

TEST(io_immediate)
{
	struct vcpu *vcpu = machine_vcpu(machine(0), g_io_imm);
	struct kvm_run *run = vcpu->run;
	int i;

	for (i = 0; i < 6; i++) {
		uint8_t *data = (uint8_t *)run + run->io.data_offset;
		bool in = i >= 3;
		int size = 1 << i % 3;

		CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
		data = (uint8_t *)run + run->io.data_offset;
		CHECK_EQ(run->exit_reason, KVM_EXIT_IO);
		CHECK_EQ(run->io.port, 0x70 + 2 * i);
		CHECK_EQ(run->io.size, size);
		CHECK_EQ(run->io.count, 1);
		CHECK_EQ(run->io.direction, in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT);
		if (in)
			memset(data, 0xa5, size);
		else
			CHECK(!memcmp(data, "\x78\x56\x34\x12", size));
	}
	vcpu_done(vcpu);
}

/* rep outs and ins through a device that gives back what it got, in order */

static void outs(const void *p, uint64_t n, int size, int down)
{
	if (down)
		asm volatile("std");
	switch (size) {
	case 1:
		asm volatile("rep outsb" : "+S"(p), "+c"(n) : "d"(PORT_FIFO) : "memory");
		break;
	case 2:
		asm volatile("rep outsw" : "+S"(p), "+c"(n) : "d"(PORT_FIFO) : "memory");
		break;
	default:
		asm volatile("rep outsl" : "+S"(p), "+c"(n) : "d"(PORT_FIFO) : "memory");
	}
	asm volatile("cld");
	G_EQ(n, 0);
}

static void ins(void *p, uint64_t n, int size, int down)
{
	uint64_t start = (uint64_t)p, bytes = n * size;

	if (down)
		asm volatile("std");
	switch (size) {
	case 1:
		asm volatile("rep insb" : "+D"(p), "+c"(n) : "d"(PORT_FIFO) : "memory");
		break;
	case 2:
		asm volatile("rep insw" : "+D"(p), "+c"(n) : "d"(PORT_FIFO) : "memory");
		break;
	default:
		asm volatile("rep insl" : "+D"(p), "+c"(n) : "d"(PORT_FIFO) : "memory");
	}
	asm volatile("cld");
	G_EQ(n, 0);
	G_EQ((uint64_t)p, down ? start - bytes : start + bytes);
}

static void g_io_string(void)
{
	uint8_t *from = (uint8_t *)GUEST_SHARED + 0xf00, *to = from + 0x4000;
	int size, i, n;

	for (size = 1; size <= 4; size *= 2) {
		for (n = 0; n <= 512; n = n ? n * 8 : 1) {
			for (i = 0; i < 2048; i++) {
				from[i] = i * 7 + size;
				to[i] = 0;
			}
			/* Up, across a page; astride it when size > 1 and odd */
			outs(from, n, size, 0);
			ins(to, n, size, 0);
			for (i = 0; i < n * size; i++)
				G_EQ(to[i], from[i]);
			G_EQ(to[i], 0);
			outs(from + 0xff, n, size, 0);
			ins(to + 0xff, n, size, 0);
			for (i = 0; i < n * size; i++)
				G_EQ(to[0xff + i], from[0xff + i]);
			/* Down: the elements come in reverse, their bytes don't. */
			for (i = 0; i < 2048; i++)
				to[i] = 0;
			outs(from + 2048 - size, n < 512 ? n : 500, size, 1);
			ins(to + 2048 - size, n < 512 ? n : 500, size, 1);
			for (i = 2047; i >= 2048 - (n < 512 ? n : 500) * size; i--)
				G_EQ(to[i], from[i]);
		}
	}
	g_done();
}

TEST(io_string)
{
	run_guest(g_io_string, 0);
}

/* The memory operand is a device's: the VMM's, or the LAPIC; each element is accessed once. */

static void g_io_string_mmio(void)
{
	volatile uint8_t *dev = (volatile uint8_t *)MMIO_DEV;
	volatile uint32_t *ram = (volatile uint32_t *)GUEST_SHARED;
	uint64_t gva = 0x50000000, at = MMIO_DEV;
	uint32_t i, size, down, count;

	for (size = 1; size <= 4; size *= 2) {
		for (down = 0; down < 2; down++) {
			uint32_t skip = down ? 12 * size - size : 0;

			for (i = 0; i < 64; i++) {
				dev[i] = i * 7 + size;
				dev[64 + i] = 0;
			}
			count = inl(PORT_COUNT);
			outs((void *)(dev + 3 + skip), 12, size, down);
			ins((void *)(dev + 64 + skip), 12, size, down);
			G_EQ(inl(PORT_COUNT) - count, 24);
			for (i = 0; i < 12 * size; i++)
				G_EQ(dev[64 + i], dev[3 + i]);
			G_EQ(dev[64 + i], 0);
		}
	}
	/* From memory on into the device, and back */
	g_map(gva, GUEST_SHARED, PTE_P | PTE_W);
	g_map(gva + PAGE_SIZE, MMIO_DEV, PTE_P | PTE_W);
	for (i = 0; i < 8; i++)
		outl(PORT_FIFO, 0x1000 + i);
	ins((void *)(gva + PAGE_SIZE - 16), 8, 4, 0);
	for (i = 0; i < 4; i++) {
		G_EQ(ram[PAGE_SIZE / 4 - 4 + i], 0x1000 + i);
		G_EQ(((volatile uint32_t *)dev)[i], 0x1004 + i);
	}
	outs((void *)(gva + PAGE_SIZE - 16), 8, 4, 0);
	for (i = 0; i < 8; i++)
		G_EQ(inl(PORT_FIFO), 0x1000 + i);
	/* Between a port and a device of which one or both are in the kernel */
	outl(PORT_FIFO, 0x50);
	ins((void *)(APIC_PAGE + APIC_TPR), 1, 4, 0);
	G_EQ(xapic_read(APIC_TPR), 0x50);
	outs((void *)(APIC_PAGE + APIC_TPR), 1, 4, 0);
	G_EQ(inl(PORT_FIFO), 0x50);
	xapic_write(APIC_TPR, 0);
	dev[0] = 0xa5;			/* the PIC's mask */
	asm volatile("outsb" : "+S"(at) : "d"(0x21) : "memory");
	G_EQ(inb(0x21), 0xa5);
	asm volatile("insb" : "+D"(at) : "d"(0x21) : "memory");
	G_EQ(dev[1], 0xa5);
	g_done();
}

TEST(io_string_mmio)
{
	if (on_kvm())
		test_skip("KVM stores what INS read in one access; with DF set, upwards");
	run_guest(g_io_string_mmio, VM_IRQCHIP);
}

/* An element half in memory, half in a device: KVM stores both halves, here the VM ends, and says so. */

static void g_io_string_half(void)
{
	uint64_t at = 0x50000000 + PAGE_SIZE - 2;

	g_map(0x50000000, GUEST_SHARED, PTE_P | PTE_W);
	g_map(0x50000000 + PAGE_SIZE, MMIO_DEV, PTE_P | PTE_W);
	outl(PORT_DEV, 0x04030201);
	asm volatile("insl" : "+D"(at) : "d"(PORT_DEV) : "memory");
	G_EQ(*(volatile uint16_t *)(0x50000000 + PAGE_SIZE - 2), 0x0201);
	G_EQ(*(volatile uint16_t *)MMIO_DEV, 0x0403);
	g_done();
}

TEST(io_string_half)
{
	uint32_t value;

	if (on_kvm())
		run_guest(g_io_string_half, 0);
	else
		CHECK_EQ(vcpu_go(machine_vcpu(machine(0), g_io_string_half), &value),
			 KVM_EXIT_INTERNAL_ERROR);
}

/* ins into and outs from a page that faults halfway: rcx and rdi tell how far it came */

static void g_io_string_fault(void)
{
	uint64_t gva = 0x50000000, n, p;
	uint64_t i;

	g_map(gva, GUEST_SHARED, PTE_P | PTE_W);
	g_map(gva + PAGE_SIZE, GUEST_SHARED + PAGE_SIZE, 0);
	for (i = 0; i < 16; i++)
		outl(PORT_FIFO, i);
	p = gva + PAGE_SIZE - 8;
	n = 4;
	G_EQ(G_TRY("rep insl", : "+D"(p), "+c"(n) : "d"(PORT_FIFO) : "memory"), PF);
	G_EQ(g_cr2, gva + PAGE_SIZE);
	G_EQ(n, 2);
	G_EQ(p, gva + PAGE_SIZE);
	G_EQ(*(volatile uint32_t *)(gva + PAGE_SIZE - 4), 1);
	/* Astride: nothing is taken from the device. */
	p = gva + PAGE_SIZE - 2;
	n = 1;
	G_EQ(G_TRY("rep insl", : "+D"(p), "+c"(n) : "d"(PORT_FIFO) : "memory"), PF);
	G_EQ(g_cr2, gva + PAGE_SIZE);
	G_EQ(n, 1);
	G_EQ(p, gva + PAGE_SIZE - 2);
	p = gva + PAGE_SIZE;
	n = 2;
	/* Present again, the rest comes. */
	g_map(gva + PAGE_SIZE, GUEST_SHARED + PAGE_SIZE, PTE_P | PTE_W);
	asm volatile("rep insl" : "+D"(p), "+c"(n) : "d"(PORT_FIFO) : "memory");
	G_EQ(*(volatile uint32_t *)(gva + PAGE_SIZE), 2);
	G_EQ(*(volatile uint32_t *)(gva + PAGE_SIZE + 4), 3);
	g_done();
}

TEST(io_string_fault)
{
	if (on_kvm())
		test_skip("KVM starts the whole rep ins again: rcx is 4");
	run_guest(g_io_string_fault, 0);
}

/* MSRs */

static void g_msr(void)
{
	static const uint32_t plain[] = {
		MSR_LSTAR, MSR_CSTAR, MSR_KERNEL_GS_BASE, MSR_FS_BASE, MSR_SYSENTER_ESP,
		MSR_SYSENTER_EIP,
	};
	uint64_t lo, hi;
	uint32_t i;

	for (i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		uint64_t old = rdmsr(plain[i]);

		wrmsr(plain[i], 0x7fff12345678);
		G_EQ(rdmsr(plain[i]), 0x7fff12345678);
		wrmsr(plain[i], 0xffff800012345678);
		G_EQ(rdmsr(plain[i]), 0xffff800012345678);
		wrmsr(plain[i], old);
	}
	wrmsr(MSR_STAR, 0x0023001000000000);
	G_EQ(rdmsr(MSR_STAR), 0x0023001000000000);
	wrmsr(MSR_SYSENTER_CS, 8);
	G_EQ(rdmsr(MSR_SYSENTER_CS), 8);
	wrmsr(MSR_PAT, 0x0007010600070106);
	G_EQ(rdmsr(MSR_PAT), 0x0007010600070106);

	/* rdmsr clears the upper halves. */
	lo = hi = ~0ull;
	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(MSR_PAT), "a"(lo), "d"(hi));
	G_EQ(lo, 0x00070106);
	G_EQ(hi, 0x00070106);
	/* Odd prefixes */
	asm volatile(".byte 0x66, 0xf3, 0x48, 0x0f, 0x32" : "=a"(lo), "=d"(hi) : "c"(MSR_PAT));
	G_EQ(lo, 0x00070106);
	asm volatile(".byte 0x2e, 0x4f, 0x0f, 0x30" : : "c"(MSR_PAT), "a"(0x00070406), "d"(0x00070106));
	G_EQ(rdmsr(MSR_PAT), 0x0007010600070406);
	g_done();
}

TEST(msr)
{
	run_guest(g_msr, 0);
}

static uint64_t try_wrmsr(uint32_t index, uint64_t v)
{
	return G_TRY("wrmsr", : : "c"(index), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static uint64_t try_rdmsr(uint32_t index)
{
	uint32_t a, d;

	return G_TRY("rdmsr", : "=a"(a), "=d"(d) : "c"(index) : "memory");
}

static void g_msr_gp(void)
{
	/* No such MSR */
	G_EQ(try_rdmsr(0x12345678), GP);
	G_EQ(g_error, 0);
	G_EQ(try_wrmsr(0x12345678, 0), GP);
	/* Bad memory types */
	G_EQ(try_wrmsr(MSR_PAT, 0x0202020202020202), GP);
	G_EQ(try_wrmsr(MSR_PAT, 0xff), GP);
	/* Reserved bits; LME can't change under paging */
	G_EQ(try_wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1u << 17), GP);
	G_EQ(try_wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~(uint64_t)EFER_LME), GP);
	G_EQ(try_wrmsr(MSR_APIC_BASE, ~0ull), GP);
	G_EQ(try_rdmsr(MSR_EFER), NO_FAULT);
	/* Reserved on Intel's, ignored on AMD's. */
	if (g_is_intel())
		G_EQ(try_wrmsr(MSR_SYSCALL_MASK, 1ull << 32), GP);
	g_done();
}

TEST(msr_gp)
{
	run_guest(g_msr_gp, VM_IRQCHIP);
}

static void g_msr_canonical(void)
{
	G_EQ(try_wrmsr(MSR_LSTAR, 0x8000000000000000), GP);
	G_EQ(try_wrmsr(MSR_KERNEL_GS_BASE, 0x0000800000000000), GP);
	G_EQ(try_wrmsr(MSR_GS_BASE, 0x0000800000000000), GP);
	g_done();
}

TEST(msr_canonical,
     .emulator = "TCG takes any address in LSTAR and its like, which don't exit; KVM fails alike")
{
	run_guest(g_msr_canonical, 0);
}

/* Control registers */

static void g_cr(void)
{
	uint64_t cr0 = READ_CR(0), cr3 = READ_CR(3), cr4 = READ_CR(4), v;

	WRITE_CR(0, cr0 | X86_CR0_TS);
	G_EQ(READ_CR(0), cr0 | X86_CR0_TS);
	asm volatile("clts");
	G_EQ(READ_CR(0), cr0);
	asm volatile("smsw %0" : "=r"(v));
	G_EQ(v & 0xffff, cr0 & 0xffff);
	asm volatile("lmsw %w0" : : "r"(cr0 | X86_CR0_TS));
	G_EQ(READ_CR(0), cr0 | X86_CR0_TS);
	asm volatile("lmsw %w0" : : "r"(cr0 & ~X86_CR0_PE));	/* can't clear PE */
	G_EQ(READ_CR(0), cr0);
	asm volatile("smsw (%0)" : : "r"(GUEST_SHARED) : "memory");
	G_EQ(*(volatile uint16_t *)GUEST_SHARED, cr0 & 0xffff);
	asm volatile("lmsw (%0)" : : "r"(GUEST_SHARED) : "memory");
	/* Through r8..r15 too */
	asm volatile("mov %%cr0, %%r12; mov %%r12, %%cr0" : : : "r12");

	WRITE_CR(3, cr3);
	G_EQ(READ_CR(3), cr3);
	WRITE_CR(3, cr3 | 1ull << 3);		/* PWT */
	G_EQ(READ_CR(3), cr3 | 1ull << 3);
	WRITE_CR(3, cr3);

	WRITE_CR(4, cr4 | X86_CR4_PGE | X86_CR4_TSD | X86_CR4_DE);
	G_EQ(READ_CR(4), cr4 | X86_CR4_PGE | X86_CR4_TSD | X86_CR4_DE);
	WRITE_CR(4, cr4);
	G_EQ(READ_CR(4), cr4);

	WRITE_CR(8, 5);
	G_EQ(READ_CR(8), 5);
	WRITE_CR(8, 0);
	WRITE_CR(2, 0x123456789abc);
	G_EQ(READ_CR(2), 0x123456789abc);
	g_done();
}

TEST(cr)
{
	run_guest(g_cr, 0);
}

TEST(cr_irqchip)
{
	run_guest(g_cr, VM_IRQCHIP);
}

static uint64_t try_cr0(uint64_t v)
{
	return G_TRY("mov %0, %%cr0", : : "r"(v) : "memory");
}

static uint64_t try_cr4(uint64_t v)
{
	return G_TRY("mov %0, %%cr4", : : "r"(v) : "memory");
}

static void g_cr0_gp(void)
{
	uint64_t cr0 = READ_CR(0);

	G_EQ(try_cr0(cr0 & ~X86_CR0_PG), GP);	/* not from 64-bit code */
	G_EQ(try_cr0((cr0 | X86_CR0_NW) & ~X86_CR0_CD), GP);
	G_EQ(try_cr0(cr0 & ~X86_CR0_PE), GP);	/* PG without PE */
	G_EQ(READ_CR(0), cr0);
	g_done();
}

TEST(cr0_gp)
{
	run_guest(g_cr0_gp, 0);
}

static void g_cr4_gp(void)
{
	uint64_t cr4 = READ_CR(4);

	G_EQ(try_cr4(cr4 & ~X86_CR4_PAE), GP);	/* long mode needs it */
	G_EQ(try_cr4(cr4 | 1ull << 30), GP);
	G_EQ(READ_CR(4), cr4);
	g_done();
}

TEST(cr4_gp)
{
	run_guest(g_cr4_gp, 0);
}

static void g_cr_high_gp(void)
{
	G_EQ(try_cr0(READ_CR(0) | 1ull << 32), GP);
	G_EQ(try_cr4(READ_CR(4) | 1ull << 40), GP);
	g_done();
}

TEST(cr_high_gp,
     .emulator = "TCG cuts CR0 and CR4 to 32 bits before anybody sees them; KVM fails alike")
{
	run_guest(g_cr_high_gp, 0);
}

static void g_cr3_gp(void)
{
	G_EQ(G_TRY("mov %0, %%cr3", : : "r"(1ull << 62) : "memory"), GP);
	g_done();
}

TEST(cr3_gp,
     .emulator = "TCG takes a CR3 with reserved bits, then refuses the VMRUN; KVM gets FAIL_ENTRY too")
{
	run_guest(g_cr3_gp, 0);
}

static void g_cr8_gp(void)
{
	G_EQ(G_TRY("mov %0, %%cr8", : : "r"(0x10ull) : "memory"), GP);
	g_done();
}

TEST(cr8_gp,
     .emulator = "TCG does not look at CR8's reserved bits; KVM fails alike")
{
	run_guest(g_cr8_gp, VM_IRQCHIP);
}

static void g_cr1_ud(void)
{
	G_EQ(G_TRY(".byte 0x0f, 0x20, 0xc8", : : : "rax", "memory"), UD);	/* mov %cr1 */
	G_EQ(G_TRY(".byte 0x0f, 0x22, 0xf8", : : : "rax", "memory"), UD);	/* to %cr7 */
	g_done();
}

TEST(cr1_ud)
{
	run_guest(g_cr1_ud, 0);
}

/* Without an in-kernel LAPIC the VMM hears of a lower CR8, but not of a higher one. */

static void g_cr8_exit(void)
{
	WRITE_CR(8, 7);
	WRITE_CR(8, 4);
	G_EQ(READ_CR(8), 4);
	g_done();
}

TEST(cr8_exit)
{
	struct vcpu *vcpu = machine_vcpu(machine(0), g_cr8_exit);

	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_SET_TPR);
	CHECK_EQ(vcpu->run->cr8, 4);
	vcpu_done(vcpu);
}

/* Debug registers */

static void g_dr(void)
{
	WRITE_DR(0, 0x1000);
	WRITE_DR(1, 0x2000);
	WRITE_DR(2, 0x3000);
	WRITE_DR(3, 0x4000);
	G_EQ(READ_DR(0), 0x1000);
	G_EQ(READ_DR(1), 0x2000);
	G_EQ(READ_DR(2), 0x3000);
	G_EQ(READ_DR(3), 0x4000);
	/* Over an exit */
	inb(PORT_DEV);
	G_EQ(READ_DR(2), 0x3000);
	WRITE_DR(6, 0);
	G_EQ(READ_DR(6) & 0xe00f, 0);
	WRITE_DR(7, 0x400);
	G_EQ(READ_DR(7), 0x400);
	asm volatile("mov %0, %%dr3; mov %%dr3, %%r9" : : "r"(0x5000ull) : "r9");
	G_EQ(READ_DR(3), 0x5000);
	g_done();
}

TEST(dr)
{
	run_guest(g_dr, 0);
}

static void g_dr_gd(void)
{
	WRITE_DR(6, 0);
	WRITE_DR(7, 0x400 | 1 << 13);	/* general detect */
	G_EQ(G_TRY("mov %%dr0, %%rax", : : : "rax", "memory"), DB);
	/* The CPU cleared GD as it delivered it. */
	G_EQ(READ_DR(7) & 1 << 13, 0);
	G_EQ(READ_DR(6) & 1 << 13, 1 << 13);
	g_done();
}

TEST(dr_general_detect,
     .emulator = "QEMU's TCG does not know DR7.GD: KVM fails alike")
{
	run_guest(g_dr_gd, 0);
}

/* TLB and cache instructions */

static void g_tlb(void)
{
	uint64_t gva = 0x50000000;

	g_map(gva, GUEST_SHARED, PTE_P | PTE_W);
	*(volatile uint64_t *)GUEST_SHARED = 1;
	*(volatile uint64_t *)(GUEST_SHARED + PAGE_SIZE) = 2;
	G_EQ(*(volatile uint64_t *)gva, 1);
	*g_pte(gva) = (GUEST_SHARED + PAGE_SIZE) | PTE_P | PTE_W;
	invlpg(gva);
	G_EQ(*(volatile uint64_t *)gva, 2);
	*g_pte(gva) = GUEST_SHARED | PTE_P | PTE_W;
	WRITE_CR(3, READ_CR(3));
	G_EQ(*(volatile uint64_t *)gva, 1);
	asm volatile("wbinvd" : : : "memory");
	asm volatile("invd" : : : "memory");
	asm volatile(".byte 0x66, 0x0f, 0x09" : : : "memory");
	g_done();
}

TEST(tlb_cache)
{
	run_guest(g_tlb, 0);
}

/* A global page outlives CR3 writes, and CR4.PGE off drops it. */
static void g_tlb_global(void)
{
	uint64_t gva = 0x50000000, cr4 = READ_CR(4);

	WRITE_CR(4, cr4 | X86_CR4_PGE);
	*(volatile uint64_t *)GUEST_SHARED = 1;
	*(volatile uint64_t *)(GUEST_SHARED + PAGE_SIZE) = 2;
	g_map(gva, GUEST_SHARED, PTE_P | PTE_W | 0x100);
	G_EQ(*(volatile uint64_t *)gva, 1);
	*g_pte(gva) = (GUEST_SHARED + PAGE_SIZE) | PTE_P | PTE_W | 0x100;
	WRITE_CR(4, cr4);
	G_EQ(*(volatile uint64_t *)gva, 2);
	g_done();
}

TEST(tlb_global)
{
	run_guest(g_tlb_global, 0);
}

/* xsetbv */

static void g_xsetbv(void)
{
	uint64_t cr4 = READ_CR(4);
	uint32_t a, d, r[4];

	G_EQ(G_TRY("xsetbv", : : "c"(0), "a"(1), "d"(0)), UD);	/* CR4.OSXSAVE is 0 */
	WRITE_CR(4, cr4 | X86_CR4_OSXSAVE);
	cpuid(1, 0, r);
	G_CHECK(r[2] & CPUID_1_ECX_OSXSAVE);
	asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	G_EQ(a, 1);
	G_EQ(G_TRY("xsetbv", : : "c"(0), "a"(3), "d"(0)), NO_FAULT);
	asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	G_EQ(a, 3);
	G_EQ(G_TRY("xsetbv", : : "c"(0), "a"(2), "d"(0)), GP);	/* x87 is a must */
	G_EQ(G_TRY("xsetbv", : : "c"(0), "a"(5), "d"(0)), GP);	/* AVX without SSE */
	G_EQ(G_TRY("xsetbv", : : "c"(0), "a"(1), "d"(0x40000000)), GP);
	G_EQ(G_TRY("xsetbv", : : "c"(1), "a"(1), "d"(0)), GP);
	asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	G_EQ(a, 3);
	WRITE_CR(4, cr4);
	cpuid(1, 0, r);
	G_CHECK(!(r[2] & CPUID_1_ECX_OSXSAVE));
	g_done();
}

TEST(xsetbv)
{
	struct vm *vm = machine(0);
	struct kvm_cpuid_entry2 *e;
	struct cpuid c;

	cpuid_supported(vm->sys, &c);
	e = cpuid_find(&c, 1, 0);
	if (!(e->ecx & CPUID_1_ECX_XSAVE))
		test_skip("no XSAVE");
	vcpu_done(machine_vcpu(vm, g_xsetbv));
}

/* Time stamp */

static void g_rdtsc(void)
{
	uint64_t a = rdtsc(), b;
	uint32_t r[4], lo, hi, aux;
	int i;

	for (i = 0; i < 1000; i++) {
		b = rdtsc();
		G_CHECK(b >= a);
		a = b;
	}
	cpuid(0x80000001, 0, r);
	if (r[3] & CPUID_EXT_RDTSCP) {
		wrmsr(MSR_TSC_AUX, 0x1234);
		asm volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
		G_EQ(aux, 0x1234);
		b = lo | (uint64_t)hi << 32;
		G_CHECK(b >= a);
		/* and after an exit to the VMM */
		inb(PORT_DEV);
		asm volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
		G_EQ(aux, 0x1234);
	}
	/* The MSR is the same counter, and can be set. */
	b = rdmsr(MSR_TSC);
	G_CHECK(b >= a);
	wrmsr(MSR_TSC, 1000);
	b = rdtsc();
	G_CHECK(b >= 1000 && b < a + 1000);
	g_done();
}

TEST(rdtsc)
{
	run_guest(g_rdtsc, 0);
}

/* Hypercalls, by the CPU's own instruction, and with a prefix before it. */

static void g_hypercall(void)
{
	bool intel = g_is_intel();
	uint64_t rax = 0x12345, rbx = 1;

	if (intel)
		asm volatile("vmcall" : "+a"(rax), "+b"(rbx) : : "memory");
	else
		asm volatile("vmmcall" : "+a"(rax), "+b"(rbx) : : "memory");
	G_EQ(rax, -KVM_ENOSYS);
	G_EQ(rbx, 1);
	rax = KVM_HC_VAPIC_POLL_IRQ;
	if (intel)
		asm volatile("vmcall" : "+a"(rax) : : "memory");
	else
		asm volatile("vmmcall" : "+a"(rax) : : "memory");
	G_EQ(rax, 0);
	rax = 0x12345;
	if (intel)
		asm volatile(".byte 0x2e, 0x48, 0x0f, 0x01, 0xc1" : "+a"(rax) : : "memory");
	else
		asm volatile(".byte 0x2e, 0x48, 0x0f, 0x01, 0xd9" : "+a"(rax) : : "memory");
	G_EQ(rax, -KVM_ENOSYS);
	g_done();
}

TEST(hypercall)
{
	run_guest(g_hypercall, 0);
}

static void g_virt_ud(void)
{
	uint64_t where = GUEST_SHARED;

	G_EQ(G_TRY("vmrun", : : "a"(GUEST_SHARED) : "memory"), UD);
	G_EQ(G_TRY("vmload", : : "a"(GUEST_SHARED) : "memory"), UD);
	G_EQ(G_TRY("vmsave", : : "a"(GUEST_SHARED) : "memory"), UD);
	G_EQ(G_TRY("stgi", : : : "memory"), UD);
	G_EQ(G_TRY("clgi", : : : "memory"), UD);
	G_EQ(G_TRY("vmxon %0", : : "m"(where) : "memory"), UD);
	G_EQ(G_TRY("vmclear %0", : : "m"(where) : "memory"), UD);
	G_EQ(G_TRY("vmptrld %0", : : "m"(where) : "memory"), UD);
	G_EQ(G_TRY("vmlaunch", : : : "memory"), UD);
	G_EQ(G_TRY("vmresume", : : : "memory"), UD);
	G_EQ(G_TRY("vmxoff", : : : "memory"), UD);
	G_EQ(G_TRY("ud2", : : : "memory"), UD);
	g_done();
}

TEST(virt_insns_ud)
{
	struct vm *vm = machine(0);
	struct vcpu *vcpu = machine_vcpu(vm, g_virt_ud);
	struct kvm_cpuid_entry2 *e;
	struct cpuid c;

	/* Without nested virtualization in the guest's CPUID */
	cpuid_supported(vm->sys, &c);
	e = cpuid_find(&c, 0x80000001, 0);
	e->ecx &= ~CPUID_EXT_SVM;
	e = cpuid_find(&c, 1, 0);
	e->ecx &= ~CPUID_1_VMX;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_CPUID2, &c.head));
	vcpu_done(vcpu);
}

static void g_pause(void)
{
	int i;

	for (i = 0; i < 100000; i++)
		relax();
	g_done();
}

TEST(pause_loop)
{
	run_guest(g_pause, VM_IRQCHIP);
}

/* rdpmc without counters */

static void g_rdpmc(void)
{
	G_EQ(G_TRY("rdpmc", : : "c"(0x1234) : "rax", "rdx", "memory"), GP);
	g_done();
}

TEST(rdpmc_gp)
{
	run_guest(g_rdpmc, 0);
}

/* Triple fault: no IDT */

static void g_triple(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = { 0, 0 };

	asm volatile("lidt %0; ud2" : : "m"(idtr));
	g_done();
}

TEST(triple_fault)
{
	struct vcpu *vcpu = machine_vcpu(machine(0), g_triple);

	CHECK_EQ(vcpu_go(vcpu, NULL), KVM_EXIT_SHUTDOWN);
}

TEST(triple_fault_irqchip)
{
	struct vcpu *vcpu = machine_vcpu(machine(VM_IRQCHIP), g_triple);

	CHECK_EQ(vcpu_go(vcpu, NULL), KVM_EXIT_SHUTDOWN);
}

/* Descriptor-table instructions and task register stay the guest's */

static void g_tables(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) t;
	uint64_t sel;

	asm volatile("sgdt %0" : "=m"(t));
	G_EQ(t.base, GUEST_GDT);
	G_EQ(t.limit, GDT_SIZE - 1);
	asm volatile("sidt %0" : "=m"(t));
	G_EQ(t.base, GUEST_IDT);
	asm volatile("lidt %0" : : "m"(t));
	asm volatile("str %0" : "=r"(sel));
	G_EQ(sel, SEL_TSS);
	asm volatile("lldt %w0; sldt %0" : "=r"(sel) : "0"(0ull));
	G_EQ(sel, 0);
	/* swapgs */
	wrmsr(MSR_GS_BASE, 0x1111);
	wrmsr(MSR_KERNEL_GS_BASE, 0x2222);
	asm volatile("swapgs");
	G_EQ(rdmsr(MSR_GS_BASE), 0x2222);
	inb(PORT_DEV);
	G_EQ(rdmsr(MSR_KERNEL_GS_BASE), 0x1111);
	g_done();
}

TEST(descriptor_tables)
{
	run_guest(g_tables, 0);
}

/* Every general register survives every kind of exit. */

static void g_regs_kept(void)
{
	uint64_t ok;

	asm volatile("mov $0x1111111111111111, %%rbx\n\t"
		     "mov $0x2222222222222222, %%rsi\n\t"
		     "mov $0x3333333333333333, %%rdi\n\t"
		     "mov $0x4444444444444444, %%r8\n\t"
		     "mov $0x5555555555555555, %%r9\n\t"
		     "mov $0x6666666666666666, %%r10\n\t"
		     "mov $0x7777777777777777, %%r11\n\t"
		     "mov $0x8888888888888888, %%r12\n\t"
		     "mov $0x9999999999999999, %%r13\n\t"
		     "mov $0xaaaaaaaaaaaaaaaa, %%r14\n\t"
		     "mov $0xbbbbbbbbbbbbbbbb, %%r15\n\t"
		     "push %%rbp\n\t"
		     "mov $0xcccccccccccccccc, %%rbp\n\t"
		     "mov %1, %%edx\n\t"
		     "outb %%al, %%dx\n\t"
		     "inb %%dx, %%al\n\t"
		     "mov %2, %%ecx\n\t"
		     "movl (%%rcx), %%eax\n\t"
		     "mov %3, %%ecx\n\t"
		     "rdmsr\n\t"
		     "mov %%rbp, %%rax\n\t"
		     "pop %%rbp\n\t"
		     "xor %%rbx, %%rax\n\t" "xor %%rsi, %%rax\n\t" "xor %%rdi, %%rax\n\t"
		     "xor %%r8, %%rax\n\t" "xor %%r9, %%rax\n\t" "xor %%r10, %%rax\n\t"
		     "xor %%r11, %%rax\n\t" "xor %%r12, %%rax\n\t" "xor %%r13, %%rax\n\t"
		     "xor %%r14, %%rax\n\t" "xor %%r15, %%rax"
		     : "=&a"(ok)
		     : "i"(PORT_DEV), "i"(MMIO_DEV), "i"(MSR_PAT)
		     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
		       "r14", "r15", "memory");
	G_EQ(ok, 0xccccccccccccccccull);
	g_done();
}

TEST(regs_kept)
{
	run_guest(g_regs_kept, 0);
}
