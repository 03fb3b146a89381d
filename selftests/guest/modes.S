/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Micro-guests for the other CPU modes: a table of name, mode, begin, end and
 * what they must end with. Each ends with DONE; a failed CHECK says its line.
 *
 * REAL and PROT16 guests are copied to GUEST_BLOB, which is the base of all
 * their segments, so that labels count from their begin. The others run where
 * they are linked.
 */
#include <asm/processor-flags.h>
#include "layout.h"

#define MODE_REAL	0		/* enum mode */
#define MODE_PROT16	1
#define MODE_PROT32	2
#define MODE_PAGED32	3
#define MODE_PAE	4
#define MODE_LONG	5
#define MSR_EFER	0xc0000080
#define EFER_LME	(1 << 8)
#define UD		6
#define GP		13
#define NO_FAULT	0xff
#define INTEL_EBX	0x756e6547	/* CPUID 0: "Genu" */

	.macro guest name, mode
	.pushsection .rodata
9:	.asciz	"\name"
	.popsection
	.pushsection guests, "a"
	.quad	9b, begin_\name, end_\name
	.long	\mode, PASS
	.popsection
	.text
begin_\name:
	.endm

	.macro endguest name
	mov	$PASS, %eax
	mov	$PORT_DONE, %dx
	out	%eax, %dx
end_\name:
	.endm

	.macro check_ operand, value, line
	cmp	\value, \operand
	je	8f
	mov	$(BAD_LINE + \line), %eax
	mov	$PORT_DONE, %dx
	out	%eax, %dx
8:
	.endm
#define CHECK(operand, value) check_ operand, value, __LINE__

/* 32-bit guests: run an instruction, expect the vector of a fault; ecx is lost. */
	.macro try_ vector, line, insn:vararg
	movl	$NO_FAULT, g_fault
	movl	$7f, g_fixup
	\insn
7:	movl	$0, g_fixup
	mov	g_fault, %ecx
	check_	%ecx, $\vector, \line
	.endm
#define TRY(vector, ...) try_ vector, __LINE__, __VA_ARGS__

/* ---- real mode ---- */

	.code16
	guest	real_io, MODE_REAL
	mov	$PORT_DEV, %dx
	mov	$0x44332211, %eax
	out	%eax, %dx
	xor	%eax, %eax
	in	%dx, %al
	CHECK(%eax, $0x11)
	in	%dx, %ax
	CHECK(%eax, $0x2211)
	in	%dx, %eax
	CHECK(%eax, $0x44332211)
	endguest real_io

	guest	real_cpuid_msr, MODE_REAL
	mov	$1, %eax
	xor	%edx, %edx
	cpuid
	and	$1, %edx		/* x87 */
	CHECK(%edx, $1)
	mov	$MSR_EFER, %ecx
	rdmsr
	CHECK(%eax, $0)
	endguest real_cpuid_msr

/* Segment arithmetic: base is selector * 16, and the limit is 64 KiB */
	guest	real_segments, MODE_REAL
	mov	$0x5000, %ax
	mov	%ax, %es
	movw	$0x1234, %es:0x10
	mov	$0x5001, %ax
	mov	%ax, %fs
	mov	%fs:0, %ax
	CHECK(%ax, $0x1234)
	push	%cs
	pop	%ax
	CHECK(%ax, $(GUEST_BLOB >> 4))
	lcall	$(GUEST_BLOB >> 4), $(1f - begin_real_segments)
	jmp	2f
1:	mov	$0x55aa, %bx
	lret
2:	CHECK(%bx, $0x55aa)
	endguest real_segments

/* Software interrupt, #UD and #DE through the vector table at 0 */
	guest	real_interrupts, MODE_REAL
	xor	%ax, %ax
	mov	%ax, %es
	xor	%cx, %cx
	movw	$(3f - begin_real_interrupts), %es:(0x80 * 4)
	movw	%cs, %es:(0x80 * 4 + 2)
	movw	$(4f - begin_real_interrupts), %es:(UD * 4)
	movw	%cs, %es:(UD * 4 + 2)
	movw	$(5f - begin_real_interrupts), %es:0
	movw	%cs, %es:2
	int	$0x80
	CHECK(%cx, $1)
	int	$0x80
	CHECK(%cx, $2)
	ud2
	CHECK(%cx, $0x102)
	mov	$1, %ax
	xor	%dx, %dx
	xor	%bx, %bx
	div	%bx
	CHECK(%cx, $0x1102)
	jmp	6f
3:	inc	%cx
	iret
4:	add	$0x100, %cx
	mov	%sp, %bp
	addw	$2, (%bp)
	iret
5:	add	$0x1000, %cx
	mov	%sp, %bp
	addw	$2, (%bp)
	iret
6:
	endguest real_interrupts

/* rep outs, ins: 16-bit counters wrap with the address size */
	guest	real_strings, MODE_REAL
	mov	$0x5000, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	$0x1000, %di
	mov	$256, %cx
	mov	$0xa5, %al
	rep stosb
	mov	$0x12345678, %eax
	mov	%eax, 0x1010
	mov	$PORT_FIFO, %dx
	mov	$0x1000, %si
	mov	$64, %cx
	rep outsl
	CHECK(%cx, $0)
	CHECK(%si, $0x1100)
	mov	$0x2000, %di
	mov	$128, %cx
	rep insw
	CHECK(%di, $0x2100)
	mov	0x2010, %eax
	CHECK(%eax, $0x12345678)
	/* 32-bit addresses in 16-bit code */
	mov	$0x3000, %edi
	mov	$4, %ecx
	mov	$0x1010, %esi
	addr32 rep outsb
	mov	$4, %ecx
	addr32 rep insb
	CHECK(%edi, $0x3004)
	mov	0x3000, %eax
	CHECK(%eax, $0x12345678)
	endguest real_strings

/* hlt with prefixes, rdtsc, wbinvd, clts */
	guest	real_misc, MODE_REAL
	rdtsc
	wbinvd
	clts
	smsw	%ax
	and	$1, %ax
	CHECK(%ax, $0)
	mov	%cr0, %eax
	mov	%eax, %cr0
	mov	%cr4, %eax
	CHECK(%eax, $0)
	endguest real_misc

/* "Unreal": limits loaded in protected mode stay. The MMIO device lies at 3.25 GiB. */
	guest	real_unreal, MODE_REAL
	lgdtl	6f - begin_real_unreal
	mov	%cr0, %eax
	or	$X86_CR0_PE, %al
	mov	%eax, %cr0
	mov	$SEL_DATA, %bx
	mov	%bx, %es
	and	$~X86_CR0_PE, %al
	mov	%eax, %cr0
	mov	$MMIO_DEV, %edi
	movl	$0x13572468, %es:(%edi)
	xor	%eax, %eax
	movw	%es:(%edi), %ax
	CHECK(%eax, $0x2468)
	movb	%es:3(%edi), %al
	CHECK(%al, $0x13)
	jmp	7f
6:	.word	GDT_SIZE - 1
	.long	GUEST_GDT
7:
	endguest real_unreal

/* From reset to 64-bit mode and back, as boot code does it */
	guest	real_to_long_and_back, MODE_REAL
	cli
	lgdtl	6f - begin_real_to_long_and_back
	mov	%cr0, %eax
	or	$X86_CR0_PE, %al
	mov	%eax, %cr0
	ljmpl	$SEL_CODE32, $1f
	.code32
1:	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %ss
	mov	%eax, %es
	mov	$(GUEST_BLOB + 0xfff0), %esp
	mov	$GUEST_PML4, %eax
	mov	%eax, %cr3
	mov	$X86_CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	mov	%cr0, %eax
	or	$X86_CR0_PG, %eax
	mov	%eax, %cr0
	ljmpl	$SEL_CODE64, $2f
	.code64
2:	mov	$0x123456789abcdef0, %rbx
	push	%rbx
	pop	%rax
	cmp	%rax, %rbx
	je	3f
	ud2
3:	mov	$MMIO_DEV, %edi
	mov	%rbx, (%rdi)
	mov	$MSR_EFER, %ecx
	rdmsr
	CHECK(%eax, $0x500)		/* LME and LMA */
	/* and back */
	lea	7f(%rip), %rax
	ljmp	*(%rax)
	.balign 8
7:	.long	4f
	.word	SEL_CODE32
	.code32
4:	mov	%cr0, %eax
	and	$~X86_CR0_PG, %eax
	mov	%eax, %cr0
	mov	$MSR_EFER, %ecx
	rdmsr
	CHECK(%eax, $0x100)		/* LMA is gone */
	and	$~EFER_LME, %eax
	wrmsr
	xor	%eax, %eax
	mov	%eax, %cr4
	mov	$SEL_DATA16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	ljmpl	$SEL_CODE16, $(5f - begin_real_to_long_and_back)
	.code16
5:	mov	%cr0, %eax
	and	$~X86_CR0_PE, %al
	mov	%eax, %cr0
	ljmp	$(GUEST_BLOB >> 4), $(8f - begin_real_to_long_and_back)
6:	.word	GDT_SIZE - 1
	.long	GUEST_GDT
8:	mov	$(GUEST_BLOB >> 4), %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$0xfff0, %sp
	push	%ax
	pop	%bx
	CHECK(%bx, %ax)
	mov	$PORT_DEV, %dx
	mov	$0x5a, %al
	out	%al, %dx
	in	%dx, %al
	CHECK(%al, $0x5a)
	endguest real_to_long_and_back

/* ---- 16-bit protected mode ---- */

	guest	prot16_io_mmio, MODE_PROT16
	mov	$PORT_DEV, %dx
	mov	$0x2211, %ax
	out	%ax, %dx
	xor	%ax, %ax
	in	%dx, %al
	CHECK(%ax, $0x11)
	mov	$SEL_DATA, %ax
	mov	%ax, %es
	mov	$MMIO_DEV, %edi
	movl	$0x87654321, %es:(%edi)
	movzbl	%es:1(%edi), %eax
	CHECK(%eax, $0x43)
	movswl	%es:2(%edi), %eax
	CHECK(%eax, $0xffff8765)
	xor	%eax, %eax
	cpuid
	call	1f
	jmp	2f
1:	mov	$7, %bx
	ret
2:	CHECK(%bx, $7)
	endguest prot16_io_mmio

/* ---- 32-bit, no paging, 4 MiB pages, PAE ---- */

	.macro body32
	.code32
	/* ports */
	mov	$PORT_DEV, %edx
	mov	$0x44332211, %eax
	out	%eax, %dx
	in	%dx, %al
	CHECK(%eax, $0x44332211)
	.byte	0x66
	in	%dx, %eax		/* in %dx, %ax */
	/* MMIO: sizes and forms of 32-bit code, where 0x40..0x4f are inc and dec */
	mov	$MMIO_DEV, %ebx
	movl	$0x88776655, (%ebx)
	movw	$0x2211, 4(%ebx)
	movb	$0x99, 6(%ebx)
	mov	(%ebx), %ecx
	CHECK(%ecx, $0x88776655)
	mov	4(%ebx), %cx
	CHECK(%ecx, $0x88772211)
	movzbl	MMIO_DEV + 6, %ecx
	CHECK(%ecx, $0x99)
	movsbl	6(%ebx), %ecx
	CHECK(%ecx, $0xffffff99)
	mov	MMIO_DEV, %eax		/* moffs */
	CHECK(%eax, $0x88776655)
	mov	%al, MMIO_DEV + 1
	mov	MMIO_DEV, %eax
	CHECK(%eax, $0x88775555)
	mov	$2, %esi
	mov	(%ebx, %esi, 2), %cl
	CHECK(%cl, $0x11)
	addr16 mov %cl, 0x8000		/* 16-bit address, plain memory */
	push	$0x12345678
	mov	%esp, %esi
	mov	%ebx, %edi
	movsl
	pop	%eax
	mov	(%ebx), %ecx
	CHECK(%ecx, $0x12345678)
	/* strings to ports */
	mov	$PORT_FIFO, %edx
	mov	$GUEST_SHARED, %esi
	movl	$0xcafe, (%esi)
	mov	$4, %ecx
	rep outsb
	mov	$(GUEST_SHARED + 8), %edi
	mov	$2, %ecx
	rep insw
	CHECK(%edi, $(GUEST_SHARED + 12))
	cmpl	$0xcafe, GUEST_SHARED + 8
	je	6f
	ud2
6:	/* exits in the kernel */
	xor	%eax, %eax
	cpuid
	.byte	0x66
	cpuid
	mov	$MSR_EFER, %ecx
	rdmsr
	wrmsr
	mov	%cr0, %eax
	mov	%eax, %cr0
	mov	%cr4, %eax
	mov	%eax, %cr4
	mov	%cr3, %eax
	mov	%eax, %cr3
	/* faults, with the IDT of 32-bit gates */
	TRY(UD, ud2)
	mov	$0x12345678, %ecx
	TRY(GP, rdmsr)
	TRY(NO_FAULT, nop)
	mov	$0x1008, %eax
	TRY(GP, mov %eax, %fs)
	mov	g_error, %ecx
	CHECK(%ecx, $0x1008)
	.endm

	guest	prot32, MODE_PROT32
	body32
	/* No long mode without PAE; the exit on the way is one that TCG got wrong (lab.d/qemu.patch). */
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	mov	$PORT_DEV, %edx
	out	%al, %dx
	mov	%cr0, %eax
	or	$X86_CR0_PG, %eax
	TRY(GP, mov %eax, %cr0)
	xor	$X86_CR0_PG, %eax
	mov	%cr0, %ecx
	CHECK(%ecx, %eax)
	mov	$MSR_EFER, %ecx
	rdmsr
	CHECK(%eax, $EFER_LME)
	endguest prot32

	guest	paged32, MODE_PAGED32
	body32
	/* A second mapping, and what becomes of it */
	mov	GUEST_PD32 + 4 * 0, %eax
	mov	%eax, GUEST_PD32 + 4 * 0x140	/* 0x50000000 is 0 */
	mov	%cr3, %eax
	mov	%eax, %cr3
	movl	$0x1357, GUEST_SHARED
	cmpl	$0x1357, 0x50000000 + GUEST_SHARED
	je	1f
	ud2
1:	movl	$0, GUEST_PD32 + 4 * 0x140
	invlpg	0x50000000 + GUEST_SHARED
	TRY(14, mov 0x50000000 + GUEST_SHARED, %eax)
	mov	%cr2, %eax
	CHECK(%eax, $(0x50000000 + GUEST_SHARED))
	endguest paged32

	guest	pae, MODE_PAE
	body32
	/* The four PDPTEs are read at CR3's load. */
	mov	GUEST_PD, %eax
	mov	%eax, GUEST_PD + 8 * 0x3ff	/* 0x7fe00000 is 0 */
	mov	%cr3, %eax
	mov	%eax, %cr3
	movl	$0x2468, GUEST_SHARED
	cmpl	$0x2468, 0x7fe00000 + GUEST_SHARED
	je	1f
	ud2
1:	movl	$0, GUEST_PD + 8 * 0x3ff
	invlpg	0x7fe00000 + GUEST_SHARED
	TRY(14, movl $1, 0x7fe00000 + GUEST_SHARED)
	mov	g_error, %ecx
	CHECK(%ecx, $2)
	/* Intel: and at some changes of CR4's, with their reserved bits checked. */
	xor	%eax, %eax
	cpuid
	cmp	$INTEL_EBX, %ebx
	jne	1f
	orl	$2, GUEST_PAE_PDPT + 8 * 3
	mov	%cr4, %eax
	xor	$X86_CR4_PGE, %eax
	TRY(GP, mov %eax, %cr4)
	mov	%cr4, %ecx
	xor	$X86_CR4_PGE, %ecx
	CHECK(%ecx, %eax)
	andl	$~2, GUEST_PAE_PDPT + 8 * 3
	TRY(NO_FAULT, mov %eax, %cr4)
1:
	endguest pae

/* Task switching by hardware is rare, but the busy TSS and its stack are not. */
	guest	prot32_ltr, MODE_PROT32
	movb	$0x89, GUEST_GDT + SEL_TSS + 5	/* available again */
	mov	$SEL_TSS, %eax
	ltr	%ax
	str	%ax
	CHECK(%ax, $SEL_TSS)
	cmpb	$0x8b, GUEST_GDT + SEL_TSS + 5
	je	1f
	ud2
1:
	endguest prot32_ltr

/* 16-bit code from 32-bit: a far jump each way */
	guest	prot32_compat, MODE_LONG
	.code64
	lea	2f(%rip), %rax
	ljmp	*(%rax)
	.balign 8
2:	.long	3f
	.word	SEL_CODE32
	.code32
3:	mov	$MMIO_DEV, %ebx
	movl	$0x31415926, (%ebx)
	mov	(%ebx), %ecx
	CHECK(%ecx, $0x31415926)
	inc	%ecx			/* 0x41: REX.B in 64-bit code */
	mov	$PORT_DEV, %edx
	mov	$0x11, %al
	out	%al, %dx
	in	%dx, %al
	CHECK(%al, $0x11)
	xor	%eax, %eax
	cpuid
	endguest prot32_compat

	.section .note.GNU-stack, "", @progbits
