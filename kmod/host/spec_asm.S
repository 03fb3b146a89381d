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

/*
 * The same for VT-x: older kernels have one switch for user space and guests. What is asked
 * for only because a guest may own a device (MMIO Stale Data) is done for every guest.
 */
.macro LHV_CLEAR_CPU_BUFFERS_VMX
#ifdef X86_FEATURE_CLEAR_CPU_BUF
#ifdef X86_FEATURE_CLEAR_CPU_BUF_VM_MMIO
	ALTERNATIVE_2 "jmp .Llhv_no_verw_\@", "", X86_FEATURE_CLEAR_CPU_BUF_VM, \
		      "", X86_FEATURE_CLEAR_CPU_BUF_VM_MMIO
#elif defined(X86_FEATURE_CLEAR_CPU_BUF_VM)
	ALTERNATIVE_2 "jmp .Llhv_no_verw_\@", "", X86_FEATURE_CLEAR_CPU_BUF, \
		      "", X86_FEATURE_CLEAR_CPU_BUF_VM
#else
	ALTERNATIVE "jmp .Llhv_no_verw_\@", "", X86_FEATURE_CLEAR_CPU_BUF
#endif
	verw	lhv_host_verw_sel(%rip)
.Llhv_no_verw_\@:
#endif
.endm

/*
 * The return stack holds the guest's addresses. Where eIBRS guards it, one entry is enough
 * (post-barrier RSB). Clobbers RAX.
 */
.macro LHV_FILL_RSB
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, \
			   X86_FEATURE_RSB_VMEXIT_LITE
.endm

/*
 * Back to the host's SPEC_CTRL, unless it is in force already. Where the kernel relies on
 * legacy IBRS it has to be written in any case: the guest's write guards nobody but the guest.
 * The LFENCE keeps the skipped write from being only a prediction. Clobbers RAX, RCX, RDX.
 */
.macro LHV_RESTORE_SPEC_CTRL from:req to:req
	movq	\to, %rax
	ALTERNATIVE "cmpq \from, %rax", "testq %rsp, %rsp", X86_FEATURE_KERNEL_IBRS
	je	.Llhv_same_spec_\@
	movq	%rax, %rdx
	shrq	$32, %rdx
	movl	$MSR_IA32_SPEC_CTRL, %ecx
	wrmsr
.Llhv_same_spec_\@:
	lfence
.endm

/* Branch history is the guest's (BHI), where no control of the hardware shuts it off. */
#ifdef X86_FEATURE_CLEAR_BHB_VMEXIT
#define LHV_BHB_FEATURE	X86_FEATURE_CLEAR_BHB_VMEXIT
#elif defined(X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT)
#define LHV_BHB_FEATURE	X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT
#endif
.macro LHV_CLEAR_BRANCH_HISTORY
#ifdef LHV_BHB_FEATURE
	ALTERNATIVE "", "call lhv_host_clear_bhb", LHV_BHB_FEATURE
#endif
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
