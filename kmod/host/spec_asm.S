/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv host/ - speculation mitigations around guest entry: macros for the world
 * switch. Included, not compiled.
 *
 * Pieces of <asm/nospec-branch.h> that end in symbols closed to us (write_ibpb,
 * x86_verw_sel) are spelt out.
 */
#ifndef LHV_HOST_SPEC_ASM_S
#define LHV_HOST_SPEC_ASM_S

#include <linux/linkage.h>
#include <linux/stringify.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>

/* Last thing before the guest runs: no stale buffer contents. Clobbers ZF. */
.macro LHV_CLEAR_CPU_BUFFERS
#ifdef X86_FEATURE_CLEAR_CPU_BUF_VM
	ALTERNATIVE "jmp .Llhv_no_verw_\@", "", X86_FEATURE_CLEAR_CPU_BUF_VM
	verw	lhv_host_verw_sel(%rip)
.Llhv_no_verw_\@:
#endif
.endm

/* The return stack holds the guest's addresses. Clobbers RAX. */
.macro LHV_FILL_RSB
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT
.endm

/*
 * The guest may have trained the predictors that the host's returns use (Retbleed, SRSO).
 * Before the first RET. Clobbers RAX, RCX, RDX.
 */
.macro LHV_UNTRAIN_RET
	CALL_UNTRAIN_RET
#ifdef X86_FEATURE_ENTRY_IBPB
#ifdef X86_FEATURE_IBPB_ON_VMEXIT
	ALTERNATIVE_2 "jmp .Llhv_no_ibpb_\@", "", X86_FEATURE_ENTRY_IBPB, \
		      "", X86_FEATURE_IBPB_ON_VMEXIT
#else
	ALTERNATIVE "jmp .Llhv_no_ibpb_\@", "", X86_FEATURE_ENTRY_IBPB
#endif
	movl	$MSR_IA32_PRED_CMD, %ecx
	movl	$PRED_CMD_IBPB, %eax
	xorl	%edx, %edx
	wrmsr
#ifdef X86_BUG_IBPB_NO_RET
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_BUG_IBPB_NO_RET
#endif
.Llhv_no_ibpb_\@:
#endif
.endm

#endif
