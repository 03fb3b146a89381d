// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: the pure logic of svm/.
 */
#include <kunit/test.h>
#include <asm/trap_pf.h>

#include "svm/svm.h"

static void msrpm_bits(struct kunit *test)
{
	/* APM Vol 2 "MSR Intercepts": byte offsets of the three ranges. */
	KUNIT_EXPECT_EQ(test, lhv_svm_msrpm_bit(0), 0);
	KUNIT_EXPECT_EQ(test, lhv_svm_msrpm_bit(1), 2);
	KUNIT_EXPECT_EQ(test, lhv_svm_msrpm_bit(0x1fff), 0x800 * 8 - 2);
	KUNIT_EXPECT_EQ(test, lhv_svm_msrpm_bit(0xc0000000), 0x800 * 8);
	KUNIT_EXPECT_EQ(test, lhv_svm_msrpm_bit(MSR_EFER), 0x800 * 8 + 0x80 * 2);
	KUNIT_EXPECT_EQ(test, lhv_svm_msrpm_bit(0xc0001fff), 0x1000 * 8 - 2);
	KUNIT_EXPECT_EQ(test, lhv_svm_msrpm_bit(0xc0010000), 0x1000 * 8);
	KUNIT_EXPECT_EQ(test, lhv_svm_msrpm_bit(0xc0011fff), 0x1800 * 8 - 2);

	KUNIT_EXPECT_EQ(test, lhv_svm_msrpm_bit(0x2000), -1);
	KUNIT_EXPECT_EQ(test, lhv_svm_msrpm_bit(0xbfffffff), -1);
	KUNIT_EXPECT_EQ(test, lhv_svm_msrpm_bit(0xc0002000), -1);
	KUNIT_EXPECT_EQ(test, lhv_svm_msrpm_bit(0xc0012000), -1);
	KUNIT_EXPECT_EQ(test, lhv_svm_msrpm_bit(0xffffffff), -1);
}

static void msrpm_set(struct kunit *test)
{
	unsigned long *map = lhv_svm_msrpm_alloc();
	int bit = lhv_svm_msrpm_bit(MSR_LSTAR);

	KUNIT_ASSERT_NOT_NULL(test, map);
	KUNIT_EXPECT_TRUE(test, test_bit(bit, map));
	KUNIT_EXPECT_TRUE(test, test_bit(bit + 1, map));

	lhv_svm_msrpm_set(map, MSR_LSTAR, false, true);
	KUNIT_EXPECT_FALSE(test, test_bit(bit, map));
	KUNIT_EXPECT_TRUE(test, test_bit(bit + 1, map));
	KUNIT_EXPECT_TRUE(test, test_bit(bit - 1, map));
	KUNIT_EXPECT_TRUE(test, test_bit(bit + 2, map));

	lhv_svm_msrpm_set(map, MSR_LSTAR, true, false);
	KUNIT_EXPECT_TRUE(test, test_bit(bit, map));
	KUNIT_EXPECT_FALSE(test, test_bit(bit + 1, map));
	lhv_svm_msrpm_free(map);
}

static void exit_reasons(struct kunit *test)
{
	static const struct {
		u32 code;
		u8 reason;
	} rows[] = {
		{ SVM_EXIT_READ_CR0, LHV_EXIT_CR },
		{ SVM_EXIT_WRITE_CR8, LHV_EXIT_CR },
		{ SVM_EXIT_CR0_SEL_WRITE, LHV_EXIT_CR },
		{ SVM_EXIT_READ_DR0, LHV_EXIT_DR },
		{ SVM_EXIT_WRITE_DR7, LHV_EXIT_DR },
		{ SVM_EXIT_EXCP_BASE + X86_TRAP_DB, LHV_EXIT_EXCEPTION },
		{ SVM_EXIT_EXCP_BASE + X86_TRAP_AC, LHV_EXIT_EXCEPTION },
		{ SVM_EXIT_EXCP_BASE + X86_TRAP_MC, LHV_EXIT_MCE },
		{ SVM_EXIT_INTR, LHV_EXIT_INTR },
		{ SVM_EXIT_NMI, LHV_EXIT_NMI },
		{ SVM_EXIT_VINTR, LHV_EXIT_IRQ_WINDOW },
		{ SVM_EXIT_IRET, LHV_EXIT_NMI_WINDOW },
		{ SVM_EXIT_CPUID, LHV_EXIT_CPUID },
		{ SVM_EXIT_HLT, LHV_EXIT_HLT },
		{ SVM_EXIT_IOIO, LHV_EXIT_PIO },
		{ SVM_EXIT_MSR, LHV_EXIT_MSR },
		{ SVM_EXIT_SHUTDOWN, LHV_EXIT_SHUTDOWN },
		{ SVM_EXIT_VMMCALL, LHV_EXIT_HYPERCALL },
		{ SVM_EXIT_VMRUN, LHV_EXIT_VIRT_INSN },
		{ SVM_EXIT_SKINIT, LHV_EXIT_VIRT_INSN },
		{ SVM_EXIT_XSETBV, LHV_EXIT_XSETBV },
		{ SVM_EXIT_TASK_SWITCH, LHV_EXIT_TASK_SWITCH },
		{ SVM_EXIT_NPF, LHV_EXIT_FAULT },
		/* Never asked for, reserved, and the failed entry. */
		{ SVM_EXIT_IDTR_READ, LHV_EXIT_OTHER },
		{ SVM_EXIT_NPF - 1, LHV_EXIT_OTHER },
		{ SVM_EXIT_NPF + 1, LHV_EXIT_OTHER },
		{ (u32)SVM_EXIT_ERR, LHV_EXIT_OTHER },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		KUNIT_EXPECT_EQ_MSG(test, lhv_svm_exit_reason(rows[i].code), rows[i].reason,
				    "exit code 0x%x", rows[i].code);
}

static void npf_access(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, lhv_svm_npf_access(0), 0U);
	KUNIT_EXPECT_EQ(test, lhv_svm_npf_access(X86_PF_USER | BIT_ULL(32)), 0U);
	KUNIT_EXPECT_EQ(test, lhv_svm_npf_access(X86_PF_PROT | X86_PF_WRITE | X86_PF_USER),
			LHV_ACC_PRESENT | LHV_ACC_WRITE);
	KUNIT_EXPECT_EQ(test, lhv_svm_npf_access(X86_PF_INSTR), LHV_ACC_EXEC);
	KUNIT_EXPECT_EQ(test, lhv_svm_npf_access(X86_PF_RSVD | BIT_ULL(33)),
			LHV_ACC_RSVD | LHV_ACC_GUEST_PT);
}

static void io_decode(struct kunit *test)
{
	struct lhv_io io;

	/* OUT 0x3f8, AL */
	lhv_svm_io_decode(0x03f80000 | BIT(SVM_IOIO_SIZE_SHIFT), false, &io);
	KUNIT_EXPECT_EQ(test, io.port, 0x3f8);
	KUNIT_EXPECT_EQ(test, io.size, 1);
	KUNIT_EXPECT_FALSE(test, io.in || io.string || io.rep);
	KUNIT_EXPECT_EQ(test, io.seg, LHV_NR_SEGS);

	/* IN EAX, 0xcfc */
	lhv_svm_io_decode(0x0cfc0000 | BIT(SVM_IOIO_SIZE_SHIFT + 2) | 1, true, &io);
	KUNIT_EXPECT_EQ(test, io.port, 0xcfc);
	KUNIT_EXPECT_EQ(test, io.size, 4);
	KUNIT_EXPECT_TRUE(test, io.in);

	/* REP OUTSW from FS with 64-bit addresses */
	lhv_svm_io_decode(0x01f00000 | BIT(SVM_IOIO_SIZE_SHIFT + 1) | SVM_IOIO_STR_MASK |
			  SVM_IOIO_REP_MASK | BIT(SVM_IOIO_ASIZE_SHIFT + 2) | LHV_FS << 10,
			  true, &io);
	KUNIT_EXPECT_EQ(test, io.size, 2);
	KUNIT_EXPECT_TRUE(test, io.string && io.rep && !io.in);
	KUNIT_EXPECT_EQ(test, io.addr_size, 8);
	KUNIT_EXPECT_EQ(test, io.seg, LHV_FS);

	/* The same without decode assists: the decoder has to look. */
	lhv_svm_io_decode(0x01f00000 | BIT(SVM_IOIO_SIZE_SHIFT + 1) | SVM_IOIO_STR_MASK |
			  BIT(SVM_IOIO_ASIZE_SHIFT), false, &io);
	KUNIT_EXPECT_EQ(test, io.addr_size, 2);
	KUNIT_EXPECT_EQ(test, io.seg, LHV_NR_SEGS);

	/* INS always writes to ES. */
	lhv_svm_io_decode(1 | BIT(SVM_IOIO_SIZE_SHIFT) | SVM_IOIO_STR_MASK |
			  BIT(SVM_IOIO_ASIZE_SHIFT + 1), false, &io);
	KUNIT_EXPECT_EQ(test, io.addr_size, 4);
	KUNIT_EXPECT_EQ(test, io.seg, LHV_ES);
}

static void requeue(struct kunit *test)
{
	struct lhv_event ev = {};

	KUNIT_EXPECT_FALSE(test, lhv_svm_requeue(&ev, X86_TRAP_PF | SVM_EXITINTINFO_TYPE_EXEPT, 0));

	KUNIT_EXPECT_TRUE(test, lhv_svm_requeue(&ev, SVM_EXITINTINFO_VALID | 0x31 |
						SVM_EXITINTINFO_TYPE_INTR, 0));
	KUNIT_EXPECT_TRUE(test, ev.irq.injected);
	KUNIT_EXPECT_FALSE(test, ev.irq.soft);
	KUNIT_EXPECT_EQ(test, ev.irq.vector, 0x31);
	KUNIT_EXPECT_FALSE(test, ev.exc.injected || ev.nmi_injected);

	memset(&ev, 0, sizeof(ev));
	KUNIT_EXPECT_TRUE(test, lhv_svm_requeue(&ev, SVM_EXITINTINFO_VALID | X86_TRAP_PF |
						SVM_EXITINTINFO_TYPE_EXEPT |
						SVM_EXITINTINFO_VALID_ERR, 6));
	KUNIT_EXPECT_TRUE(test, ev.exc.injected && ev.exc.has_error && !ev.exc.has_payload);
	KUNIT_EXPECT_EQ(test, ev.exc.vector, X86_TRAP_PF);
	KUNIT_EXPECT_EQ(test, ev.exc.error, 6);

	memset(&ev, 0, sizeof(ev));
	KUNIT_EXPECT_TRUE(test, lhv_svm_requeue(&ev, SVM_EXITINTINFO_VALID | X86_TRAP_NMI |
						SVM_EXITINTINFO_TYPE_NMI, 0));
	KUNIT_EXPECT_TRUE(test, ev.nmi_injected);

	/* INT 0x80, INT3 and INTO run again by themselves. */
	memset(&ev, 0, sizeof(ev));
	KUNIT_EXPECT_FALSE(test, lhv_svm_requeue(&ev, SVM_EXITINTINFO_VALID | 0x80 |
						 SVM_EXITINTINFO_TYPE_SOFT, 0));
	KUNIT_EXPECT_FALSE(test, lhv_svm_requeue(&ev, SVM_EXITINTINFO_VALID | X86_TRAP_BP |
						 SVM_EXITINTINFO_TYPE_EXEPT, 0));
	KUNIT_EXPECT_FALSE(test, lhv_svm_requeue(&ev, SVM_EXITINTINFO_VALID | X86_TRAP_OF |
						 SVM_EXITINTINFO_TYPE_EXEPT, 0));
	KUNIT_EXPECT_FALSE(test, ev.exc.injected || ev.irq.injected || ev.nmi_injected);
}

static struct kunit_case svm_cases[] = {
	KUNIT_CASE(msrpm_bits),
	KUNIT_CASE(msrpm_set),
	KUNIT_CASE(exit_reasons),
	KUNIT_CASE(npf_access),
	KUNIT_CASE(io_decode),
	KUNIT_CASE(requeue),
	{}
};

static struct kunit_suite svm_suite = {
	.name = "lhv_svm",
	.test_cases = svm_cases,
};

kunit_test_suite(svm_suite);
