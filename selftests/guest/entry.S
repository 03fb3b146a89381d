/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How guests are interrupted, and how other vCPUs get from SIPI to 64-bit mode.
 */
#include <asm/processor-flags.h>
#include "layout.h"

#define MSR_EFER	0xc0000080
#define EFER_LME_BIT	8
#define ERROR_CODES	0x60227d00	/* vectors that push one: 8 10-14 17 21 29 30 */

/* One entry for each vector, of 16 bytes, so that the driver can compute them. */
	.text
	.code64
	.balign 16
	.globl g_entries
g_entries:
	.set vector, 0
	.rept 256
	.balign 16
	.if vector >= 32 || !((ERROR_CODES >> (vector & 31)) & 1)
	pushq	$0
	.endif
	pushq	$vector
	jmp	common
	.set vector, vector + 1
	.endr

	.globl sti_hlt, g_hlt_of_sti
sti_hlt:
	sti
g_hlt_of_sti:
	hlt
	ret

	.balign 16
common:
	cld
	push	%rax
	push	%rcx
	push	%rdx
	push	%rbx
	push	%rbp
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, %rdi
	mov	%rsp, %rbp
	and	$-16, %rsp
	call	g_trap
	mov	%rbp, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rbp
	pop	%rbx
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

/* The same for 32-bit guests: note the vector, go on at g_fixup. */
	.code32
	.balign 16
	.globl g_entries32
g_entries32:
	.set vector, 0
	.rept 256
	.balign 16
	.if vector >= 32 || !((ERROR_CODES >> (vector & 31)) & 1)
	pushl	$0
	.endif
	pushl	$vector
	jmp	common32
	.set vector, vector + 1
	.endr

	.balign 16
common32:
	push	%eax
	mov	4(%esp), %eax
	mov	%eax, g_fault
	mov	8(%esp), %eax
	mov	%eax, g_error
	mov	12(%esp), %eax
	mov	%eax, g_fault_rip
	mov	g_fixup, %eax
	test	%eax, %eax
	jz	1f
	mov	%eax, 12(%esp)
	movl	$0, g_fixup
1:	pop	%eax
	add	$8, %esp
	iret

/* Copied to GUEST_TRAMPOLINE. */
	.globl g_ap_begin, g_ap_end
	.code16
g_ap_begin:
	cli
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	gdtr - g_ap_begin
	lidtl	idtr - g_ap_begin
	mov	$(X86_CR4_PAE | X86_CR4_OSFXSR), %eax
	mov	%eax, %cr4
	mov	$GUEST_PML4, %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	bts	$EFER_LME_BIT, %eax
	wrmsr
	mov	$(X86_CR0_PG | X86_CR0_PE | X86_CR0_NE | X86_CR0_ET | X86_CR0_WP), %eax
	mov	%eax, %cr0
	ljmpl	$SEL_CODE64, $ap_long
	.balign 8
gdtr:	.word	GDT_SIZE - 1
	.long	GUEST_GDT
	.balign 8
idtr:	.word	0xfff
	.long	GUEST_IDT
g_ap_end:

	.code64
ap_long:
	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$1, %eax
	cpuid
	shr	$24, %ebx
	mov	%ebx, %edi
	/* vCPU n's stack ends where vCPU n + 1's begins. */
	lea	1(%rdi), %rax
	imul	$GUEST_STACK, %rax, %rax
	lea	GUEST_STACKS(%rax), %rsp
	lock incq g_aps
	mov	g_ap_main, %rax
	call	*%rax
1:	cli
	hlt
	jmp	1b

	.section .note.GNU-stack, "", @progbits
