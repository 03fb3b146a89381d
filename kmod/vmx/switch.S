/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv vmx/ - the world switch.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/asm.h>
#include <asm/msr-index.h>
#include <asm/unwind_hints.h>

#include "host/spec_asm.S"
#include "vmx/asm.h"

/* Byte offsets into vcpu->regs[], which is in the order of the instruction encoding. */
#define REG_RAX	(0 * 8)
#define REG_RCX	(1 * 8)
#define REG_RDX	(2 * 8)
#define REG_RBX	(3 * 8)
#define REG_RBP	(5 * 8)
#define REG_RSI	(6 * 8)
#define REG_RDI	(7 * 8)
#define REG_R8	(8 * 8)
#define REG_R9	(9 * 8)
#define REG_R10	(10 * 8)
#define REG_R11	(11 * 8)
#define REG_R12	(12 * 8)
#define REG_R13	(13 * 8)
#define REG_R14	(14 * 8)
#define REG_R15	(15 * 8)

/* What lies on the stack while the guest runs, from RSP up. */
#define STACK_REGS		(0 * 8)
#define STACK_GUEST_SPEC	(1 * 8)
#define STACK_HOST_SPEC		(2 * 8)
#define STACK_SIZE		(3 * 8)

.text

/**
 * lhv_vmx_switch - run the guest until the next VM exit
 * @regs: RDI  vcpu->regs; all but RSP, which lives in the VMCS
 * @launched: ESI  VMRESUME rather than VMLAUNCH
 * @host_rsp: RDX  what HOST_RSP holds in the current VMCS
 * @guest_spec: RCX  SPEC_CTRL for the guest
 * @host_spec: R8  SPEC_CTRL of the host
 *
 * Context: interrupts off. The CPU comes back with the host's segments and RSP, with
 * RFLAGS clear, and with the guest's general registers. An NMI may hit before or after,
 * with either's SPEC_CTRL.
 *
 * Return: 0; 1: the instruction failed or faulted, no guest ran.
 */
SYM_FUNC_START(lhv_vmx_switch)
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	pushq	%r8
	pushq	%rcx
	pushq	%rdi

	cmpq	%rsp, (%rdx)
	je	.Lsame_rsp
	movq	%rsp, (%rdx)
	movl	$LHV_VMCS_HOST_RSP, %eax
	vmwrite	%rsp, %rax
.Lsame_rsp:
	cmpq	%r8, %rcx
	je	.Lsame_spec
	movq	%rcx, %rax
	movq	%rcx, %rdx
	shrq	$32, %rdx
	movl	$MSR_IA32_SPEC_CTRL, %ecx
	wrmsr
.Lsame_spec:

	/* CF := launched. MOV leaves the flags alone, VERW all but ZF. */
	btl	$0, %esi

	movq	REG_RAX(%rdi), %rax
	movq	REG_RCX(%rdi), %rcx
	movq	REG_RDX(%rdi), %rdx
	movq	REG_RBX(%rdi), %rbx
	movq	REG_RBP(%rdi), %rbp
	movq	REG_RSI(%rdi), %rsi
	movq	REG_R8(%rdi), %r8
	movq	REG_R9(%rdi), %r9
	movq	REG_R10(%rdi), %r10
	movq	REG_R11(%rdi), %r11
	movq	REG_R12(%rdi), %r12
	movq	REG_R13(%rdi), %r13
	movq	REG_R14(%rdi), %r14
	movq	REG_R15(%rdi), %r15
	movq	REG_RDI(%rdi), %rdi

	LHV_CLEAR_CPU_BUFFERS_VMX

	UNWIND_HINT_SAVE
	jnc	.Llaunch
.Lresume:
	vmresume
	jmp	.Lfailed
.Llaunch:
	vmlaunch
	jmp	.Lfailed
	/* Where another took the CPU out of VMX operation, as on the way to a crash kernel. */
	_ASM_EXTABLE(.Lresume, .Lfailed)
	_ASM_EXTABLE(.Llaunch, .Lfailed)

/* HOST_RIP. The hardware comes here by no branch, so there is no ENDBR. */
SYM_INNER_LABEL_ALIGN(lhv_vmx_exit_point, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ANNOTATE_NOENDBR

	pushq	%rax
	movq	(8 + STACK_REGS)(%rsp), %rax
	popq	REG_RAX(%rax)
	movq	%rcx, REG_RCX(%rax)
	movq	%rdx, REG_RDX(%rax)
	movq	%rbx, REG_RBX(%rax)
	movq	%rbp, REG_RBP(%rax)
	movq	%rsi, REG_RSI(%rax)
	movq	%rdi, REG_RDI(%rax)
	movq	%r8, REG_R8(%rax)
	movq	%r9, REG_R9(%rax)
	movq	%r10, REG_R10(%rax)
	movq	%r11, REG_R11(%rax)
	movq	%r12, REG_R12(%rax)
	movq	%r13, REG_R13(%rax)
	movq	%r14, REG_R14(%rax)
	movq	%r15, REG_R15(%rax)
	xorl	%ebx, %ebx

.Lclear:
	/* No guest value may be around when the host speculates. */
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	xorl	%ebp, %ebp
	xorl	%esi, %esi
	xorl	%edi, %edi
	xorl	%r8d, %r8d
	xorl	%r9d, %r9d
	xorl	%r10d, %r10d
	xorl	%r11d, %r11d
	xorl	%r12d, %r12d
	xorl	%r13d, %r13d
	xorl	%r14d, %r14d
	xorl	%r15d, %r15d

	/* All of this before the first RET. */
	LHV_FILL_RSB
	LHV_RESTORE_SPEC_CTRL STACK_GUEST_SPEC(%rsp), STACK_HOST_SPEC(%rsp)
	LHV_CLEAR_BRANCH_HISTORY

	movl	%ebx, %eax
	addq	$STACK_SIZE, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	RET

.Lfailed:
	movl	$1, %ebx
	jmp	.Lclear
SYM_FUNC_END(lhv_vmx_switch)
/* The guest has RBP. */
STACK_FRAME_NON_STANDARD_FP lhv_vmx_switch

#ifdef LHV_BHB_FEATURE
/**
 * lhv_host_clear_bhb - fill the branch history with branches of no interest
 *
 * The kernel's own is closed to modules. Intel's "Branch History Injection" gives counts: five
 * times five taken branches, a call deeper each time, cover the processors that need it.
 * Clobbers RAX, RCX.
 */
SYM_FUNC_START_LOCAL(lhv_host_clear_bhb)
	movl	$5, %ecx
	ANNOTATE_INTRA_FUNCTION_CALL
	call	1f
	jmp	5f
	.balign	64
	ANNOTATE_INTRA_FUNCTION_CALL
1:	call	2f
	RET
	.balign	64
2:	movl	$5, %eax
3:	jmp	4f
	nop
4:	subl	$1, %eax
	jnz	3b
	subl	$1, %ecx
	jnz	1b
	RET
5:	lfence
	RET
SYM_FUNC_END(lhv_host_clear_bhb)
STACK_FRAME_NON_STANDARD lhv_host_clear_bhb
#endif
