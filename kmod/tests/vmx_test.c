// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: the pure logic of vmx/. Expected values are the manual's, SDM Vol 3C (325462).
 */
#include <kunit/test.h>

#include "vmx/vmx.h"

static void msr_bits(struct kunit *test)
{
	/* "MSR-Bitmap Address": reads of the low range, of the high range; writes 2 KiB further. */
	KUNIT_EXPECT_EQ(test, lhv_vmx_msr_bit(0), 0);
	KUNIT_EXPECT_EQ(test, lhv_vmx_msr_bit(0x1fff), 1024 * 8 - 1);
	KUNIT_EXPECT_EQ(test, lhv_vmx_msr_bit(0xc0000000), 1024 * 8);
	KUNIT_EXPECT_EQ(test, lhv_vmx_msr_bit(MSR_FS_BASE), 1024 * 8 + 0x100);
	KUNIT_EXPECT_EQ(test, lhv_vmx_msr_bit(0xc0001fff), 2048 * 8 - 1);

	KUNIT_EXPECT_EQ(test, lhv_vmx_msr_bit(0x2000), -1);
	KUNIT_EXPECT_EQ(test, lhv_vmx_msr_bit(0xbfffffff), -1);
	KUNIT_EXPECT_EQ(test, lhv_vmx_msr_bit(0xc0002000), -1);
	KUNIT_EXPECT_EQ(test, lhv_vmx_msr_bit(0xc0010000), -1);
	KUNIT_EXPECT_EQ(test, lhv_vmx_msr_bit(0xffffffff), -1);
}

static void msr_intercept(struct kunit *test)
{
	unsigned long *map = lhv_vmx_msr_bitmap_alloc();
	int read = lhv_vmx_msr_bit(MSR_GS_BASE), write = read + 2048 * 8;

	KUNIT_ASSERT_NOT_NULL(test, map);
	KUNIT_EXPECT_TRUE(test, test_bit(read, map));
	KUNIT_EXPECT_TRUE(test, test_bit(write, map));

	lhv_vmx_msr_intercept(map, MSR_GS_BASE, false, true);
	KUNIT_EXPECT_FALSE(test, test_bit(read, map));
	KUNIT_EXPECT_TRUE(test, test_bit(write, map));
	KUNIT_EXPECT_TRUE(test, test_bit(read - 1, map));
	KUNIT_EXPECT_TRUE(test, test_bit(read + 1, map));

	lhv_vmx_msr_intercept(map, MSR_GS_BASE, true, false);
	KUNIT_EXPECT_TRUE(test, test_bit(read, map));
	KUNIT_EXPECT_FALSE(test, test_bit(write, map));
	lhv_vmx_msr_bitmap_free(map);
}

static void exit_reasons(struct kunit *test)
{
	static const struct {
		u32 code;
		u8 reason;
	} rows[] = {
		{ EXIT_REASON_EXCEPTION_NMI, LHV_EXIT_EXCEPTION },
		{ EXIT_REASON_EXTERNAL_INTERRUPT, LHV_EXIT_INTR },
		{ EXIT_REASON_TRIPLE_FAULT, LHV_EXIT_SHUTDOWN },
		{ EXIT_REASON_INTERRUPT_WINDOW, LHV_EXIT_IRQ_WINDOW },
		{ EXIT_REASON_NMI_WINDOW, LHV_EXIT_NMI_WINDOW },
		{ EXIT_REASON_TASK_SWITCH, LHV_EXIT_TASK_SWITCH },
		{ EXIT_REASON_CPUID, LHV_EXIT_CPUID },
		{ 11, LHV_EXIT_VIRT_INSN },	/* GETSEC */
		{ EXIT_REASON_HLT, LHV_EXIT_HLT },
		{ EXIT_REASON_VMCALL, LHV_EXIT_HYPERCALL },
		{ EXIT_REASON_VMCLEAR, LHV_EXIT_VIRT_INSN },
		{ EXIT_REASON_VMON, LHV_EXIT_VIRT_INSN },
		{ EXIT_REASON_CR_ACCESS, LHV_EXIT_CR },
		{ EXIT_REASON_DR_ACCESS, LHV_EXIT_DR },
		{ EXIT_REASON_IO_INSTRUCTION, LHV_EXIT_PIO },
		{ EXIT_REASON_MSR_READ, LHV_EXIT_MSR },
		{ EXIT_REASON_MSR_WRITE, LHV_EXIT_MSR },
		{ EXIT_REASON_TPR_BELOW_THRESHOLD, LHV_EXIT_APIC },
		{ EXIT_REASON_PREEMPTION_TIMER, LHV_EXIT_TIMER },
		{ EXIT_REASON_EPT_VIOLATION, LHV_EXIT_FAULT },
		{ EXIT_REASON_EPT_MISCONFIG, LHV_EXIT_FAULT },
		{ EXIT_REASON_XSETBV, LHV_EXIT_XSETBV },
		{ 76, LHV_EXIT_VIRT_INSN },	/* SEAMCALL */
		{ 77, LHV_EXIT_VIRT_INSN },	/* TDCALL */
		/* Never asked for, and not defined. */
		{ EXIT_REASON_SIPI_SIGNAL, LHV_NR_EXIT_REASONS },
		{ EXIT_REASON_APIC_ACCESS, LHV_NR_EXIT_REASONS },
		{ 35, LHV_NR_EXIT_REASONS },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		KUNIT_EXPECT_EQ_MSG(test, lhv_vmx_reasons[rows[i].code].reason,
				    rows[i].reason < LHV_NR_EXIT_REASONS ? rows[i].reason + 1 : 0,
				    "exit reason %u", rows[i].code);
}

/* SDM Vol 3C "VM Exits: Recording VM-Exit Information and Updating VM-Entry Control Fields" */
static void exit_information(struct kunit *test)
{
	static const struct {
		u32 code;
		u8 says;
	} rows[] = {
		{ EXIT_REASON_EXCEPTION_NMI, LHV_VMX_SAYS_QUALIFICATION |
			LHV_VMX_SAYS_VECTORING | LHV_VMX_SAYS_EVENT },
		{ EXIT_REASON_EXTERNAL_INTERRUPT, LHV_VMX_SAYS_EVENT },
		{ EXIT_REASON_TRIPLE_FAULT, LHV_VMX_SAYS_VECTORING },
		{ EXIT_REASON_TASK_SWITCH, LHV_VMX_SAYS_QUALIFICATION | LHV_VMX_SAYS_VECTORING },
		{ EXIT_REASON_CPUID, LHV_VMX_SAYS_LENGTH },
		{ EXIT_REASON_CR_ACCESS, LHV_VMX_SAYS_QUALIFICATION | LHV_VMX_SAYS_LENGTH },
		{ EXIT_REASON_DR_ACCESS, LHV_VMX_SAYS_QUALIFICATION | LHV_VMX_SAYS_LENGTH },
		{ EXIT_REASON_IO_INSTRUCTION, LHV_VMX_SAYS_QUALIFICATION |
			LHV_VMX_SAYS_LENGTH | LHV_VMX_SAYS_OPERAND },
		{ EXIT_REASON_EPT_VIOLATION, LHV_VMX_SAYS_QUALIFICATION |
			LHV_VMX_SAYS_VECTORING | LHV_VMX_SAYS_ADDRESS },
		{ EXIT_REASON_EPT_MISCONFIG, LHV_VMX_SAYS_VECTORING | LHV_VMX_SAYS_ADDRESS },
		{ EXIT_REASON_EOI_INDUCED, LHV_VMX_SAYS_QUALIFICATION },
		{ EXIT_REASON_APIC_WRITE, LHV_VMX_SAYS_QUALIFICATION },
		{ EXIT_REASON_INTERRUPT_WINDOW, 0 },
		{ EXIT_REASON_PREEMPTION_TIMER, 0 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		KUNIT_EXPECT_EQ_MSG(test, lhv_vmx_reasons[rows[i].code].says, rows[i].says,
				    "exit reason %u", rows[i].code);
}

static void ept_access(struct kunit *test)
{
	/* "Exit Qualification for EPT Violations" */
	KUNIT_EXPECT_EQ(test, lhv_vmx_ept_access(0x181), 0U);		/* data read */
	KUNIT_EXPECT_EQ(test, lhv_vmx_ept_access(0x182), LHV_ACC_WRITE);
	KUNIT_EXPECT_EQ(test, lhv_vmx_ept_access(0x184), LHV_ACC_EXEC);
	/* A write that met read and execute permission. */
	KUNIT_EXPECT_EQ(test, lhv_vmx_ept_access(0x1aa), LHV_ACC_WRITE | LHV_ACC_PRESENT);
	/* Of a guest's paging structure: linear address valid, not its translation. */
	KUNIT_EXPECT_EQ(test, lhv_vmx_ept_access(0x081), LHV_ACC_GUEST_PT);
	/* No linear address at all: PDPTEs at MOV CR3. */
	KUNIT_EXPECT_EQ(test, lhv_vmx_ept_access(0x001), 0U);
}

static void io_decode(struct kunit *test)
{
	struct lhv_io io;

	/* "Exit Qualification for I/O Instructions": OUT 0x3f8, AL */
	lhv_vmx_io_decode(0x03f80000, false, 0, &io);
	KUNIT_EXPECT_EQ(test, io.port, 0x3f8);
	KUNIT_EXPECT_EQ(test, io.size, 1);
	KUNIT_EXPECT_FALSE(test, io.in || io.string || io.rep);
	KUNIT_EXPECT_EQ(test, io.seg, LHV_NR_SEGS);

	/* IN EAX, 0xcfc */
	lhv_vmx_io_decode(0x0cfc000b, true, 0, &io);
	KUNIT_EXPECT_EQ(test, io.port, 0xcfc);
	KUNIT_EXPECT_EQ(test, io.size, 4);
	KUNIT_EXPECT_TRUE(test, io.in);

	/* REP OUTSW from FS with 64-bit addresses */
	lhv_vmx_io_decode(0x01f00031, true, 4 << 15 | 2 << 7, &io);
	KUNIT_EXPECT_EQ(test, io.size, 2);
	KUNIT_EXPECT_TRUE(test, io.string && io.rep && !io.in);
	KUNIT_EXPECT_EQ(test, io.addr_size, 8);
	KUNIT_EXPECT_EQ(test, io.seg, LHV_FS);

	/* The same on a CPU that does not tell: the decoder has to look. */
	lhv_vmx_io_decode(0x01f00031, false, 4 << 15 | 2 << 7, &io);
	KUNIT_EXPECT_EQ(test, io.addr_size, 0);
	KUNIT_EXPECT_EQ(test, io.seg, LHV_NR_SEGS);

	/* INS always writes to ES. */
	lhv_vmx_io_decode(0x01f00018, true, 3 << 15 | 1 << 7, &io);
	KUNIT_EXPECT_EQ(test, io.addr_size, 4);
	KUNIT_EXPECT_EQ(test, io.seg, LHV_ES);
}

static void requeue(struct kunit *test)
{
	const u32 valid = VECTORING_INFO_VALID_MASK;
	struct lhv_event ev = {};

	KUNIT_EXPECT_FALSE(test, lhv_vmx_requeue(&ev, X86_TRAP_PF | INTR_TYPE_HARD_EXCEPTION, 0,
						 false));

	KUNIT_EXPECT_TRUE(test, lhv_vmx_requeue(&ev, valid | 0x31 | INTR_TYPE_EXT_INTR, 0, false));
	KUNIT_EXPECT_TRUE(test, ev.irq.injected);
	KUNIT_EXPECT_FALSE(test, ev.irq.soft);
	KUNIT_EXPECT_EQ(test, ev.irq.vector, 0x31);
	KUNIT_EXPECT_FALSE(test, ev.exc.injected || ev.nmi_injected);

	memset(&ev, 0, sizeof(ev));
	KUNIT_EXPECT_TRUE(test, lhv_vmx_requeue(&ev, valid | X86_TRAP_PF |
						INTR_TYPE_HARD_EXCEPTION |
						VECTORING_INFO_DELIVER_CODE_MASK, 6, false));
	KUNIT_EXPECT_TRUE(test, ev.exc.injected && ev.exc.has_error && !ev.exc.has_payload);
	KUNIT_EXPECT_EQ(test, ev.exc.vector, X86_TRAP_PF);
	KUNIT_EXPECT_EQ(test, ev.exc.error, 6);

	memset(&ev, 0, sizeof(ev));
	KUNIT_EXPECT_TRUE(test, lhv_vmx_requeue(&ev, valid | X86_TRAP_NMI | INTR_TYPE_NMI_INTR, 0,
						false));
	KUNIT_EXPECT_TRUE(test, ev.nmi_injected);

	/* INT 0x80, INT1 and the guest's INT3 run again by themselves. */
	memset(&ev, 0, sizeof(ev));
	KUNIT_EXPECT_FALSE(test, lhv_vmx_requeue(&ev, valid | 0x80 | INTR_TYPE_SOFT_INTR, 0,
						 false));
	KUNIT_EXPECT_FALSE(test, lhv_vmx_requeue(&ev, valid | X86_TRAP_DB |
						 INTR_TYPE_PRIV_SW_EXCEPTION, 0, false));
	KUNIT_EXPECT_FALSE(test, lhv_vmx_requeue(&ev, valid | X86_TRAP_BP |
						 INTR_TYPE_SOFT_EXCEPTION, 0, false));
	KUNIT_EXPECT_FALSE(test, ev.exc.injected || ev.irq.injected || ev.nmi_injected);
	/* The VMM's is nobody's instruction. */
	KUNIT_EXPECT_TRUE(test, lhv_vmx_requeue(&ev, valid | X86_TRAP_BP |
						INTR_TYPE_SOFT_EXCEPTION, 0, true));
	KUNIT_EXPECT_TRUE(test, ev.exc.injected);
}

static void segment_ar(struct kunit *test)
{
	/* "Format of Access Rights" */
	const struct kvm_segment code = {
		.type = 0xb, .s = 1, .present = 1, .l = 1, .g = 1,
	}, user = {
		.type = 0x3, .s = 1, .dpl = 3, .present = 1, .db = 1, .g = 1, .avl = 1,
	}, null = { .unusable = 1, .present = 1 }, absent = {};

	KUNIT_EXPECT_EQ(test, lhv_vmx_segment_ar(&code), 0xa09bU);
	KUNIT_EXPECT_EQ(test, lhv_vmx_segment_ar(&user), 0xd0f3U);
	KUNIT_EXPECT_TRUE(test, lhv_vmx_segment_ar(&null) & BIT(16));
	KUNIT_EXPECT_TRUE(test, lhv_vmx_segment_ar(&absent) & BIT(16));
}

static struct kunit_case vmx_cases[] = {
	KUNIT_CASE(msr_bits),
	KUNIT_CASE(msr_intercept),
	KUNIT_CASE(exit_reasons),
	KUNIT_CASE(exit_information),
	KUNIT_CASE(ept_access),
	KUNIT_CASE(io_decode),
	KUNIT_CASE(requeue),
	KUNIT_CASE(segment_ar),
	{}
};

static struct kunit_suite vmx_suite = {
	.name = "lhv_vmx",
	.test_cases = vmx_cases,
};

kunit_test_suite(vmx_suite);
