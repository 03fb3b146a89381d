/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv svm/ - the world switch.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/asm.h>
#include <asm/msr-index.h>

#include "host/spec_asm.S"

/* Byte offsets into vcpu->regs[], which is in the order of the instruction encoding. */
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
#define STACK_HOST_PA		(1 * 8)
#define STACK_GUEST_SPEC	(2 * 8)
#define STACK_HOST_SPEC		(3 * 8)
#define STACK_SIZE		(4 * 8)

/* SPEC_CTRL := \to (64 bits in memory), unless \from is the same. Clobbers RAX, RCX, RDX. */
.macro SWITCH_SPEC_CTRL from:req to:req
	movq	\to, %rax
	cmpq	\from, %rax
	je	.Lsame_spec_\@
	movq	%rax, %rdx
	shrq	$32, %rdx
	movl	$MSR_IA32_SPEC_CTRL, %ecx
	wrmsr
.Lsame_spec_\@:
.endm

.text

/**
 * lhv_svm_switch - run the guest until the next #VMEXIT
 * @regs: RDI  vcpu->regs; all but RAX and RSP, which live in the VMCB
 * @vmcb_pa: RSI  physical address of the VMCB
 * @host_pa: RDX  physical address of the page that holds the host's VMSAVE state
 * @guest_spec: RCX  SPEC_CTRL for the guest; equal to @host_spec: leave the MSR alone
 * @host_spec: R8  SPEC_CTRL of the host
 *
 * Context: interrupts off, and off again on return. The global interrupt flag is
 * clear from before the guest's segments are loaded until the host's are back, so
 * that not even an NMI sees a foreign GS base. With V_INTR_MASKING it is the host's
 * RFLAGS.IF, at VMRUN, that lets physical interrupts end the guest's time: hence the
 * STI behind the CLGI; well before VMRUN, lest its interrupt shadow becomes the guest's
 * (QEMU does that). An NMI that ended the guest's time is taken at the STGI.
 */
SYM_FUNC_START(lhv_svm_switch)
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	pushq	%r8
	pushq	%rcx
	pushq	%rdx
	pushq	%rdi

	clgi
	sti

	SWITCH_SPEC_CTRL STACK_HOST_SPEC(%rsp), STACK_GUEST_SPEC(%rsp)

	movq	%rsi, %rax
	vmload	%rax

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

	LHV_CLEAR_CPU_BUFFERS

	vmrun	%rax
	cli

	/* RAX and RSP are the host's again, RAX still the VMCB's address. */
	vmsave	%rax

	movq	STACK_REGS(%rsp), %rax
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

	/* No guest value may be around when the host speculates. */
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	xorl	%ebx, %ebx
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

	movq	STACK_HOST_PA(%rsp), %rax
	vmload	%rax

	/* All of this before the first RET, and before an NMI may come in. */
	LHV_FILL_RSB
	SWITCH_SPEC_CTRL STACK_GUEST_SPEC(%rsp), STACK_HOST_SPEC(%rsp)
	LHV_UNTRAIN_RET

	stgi

	addq	$STACK_SIZE, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	RET
SYM_FUNC_END(lhv_svm_switch)
/* The guest has RBP. */
STACK_FRAME_NON_STANDARD_FP lhv_svm_switch
