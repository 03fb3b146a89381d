// SPDX-License-Identifier: GPL-2.0
/* MMIO that the VMM serves: every form of mov, strings, read-modify-write. */
#include "guest.h"

#define M ((volatile uint64_t *)MMIO_DEV)
#define M32 ((volatile uint32_t *)MMIO_DEV)

/* rbx holds the device's address, rax the data. */
#define STORE(insn, value, want)					\
	do {								\
		M[0] = 0x1111111111111111;				\
		asm volatile(insn : : "b"(MMIO_DEV), "a"((uint64_t)(value)), "c"(2ul)	\
			     : "memory", "rsi", "r9", "r12", "r13", "r14"); \
		G_EQ(M[0], want);					\
	} while (0)

#define LOAD(insn, old, want)						\
	do {								\
		uint64_t v_ = (old);					\
									\
		asm volatile(insn : "+a"(v_) : "b"(MMIO_DEV), "c"(2ul)	\
			     : "memory", "r10", "r15");			\
		G_EQ(v_, want);						\
	} while (0)

static void g_mov(void)
{
	STORE("movb %%al, (%%rbx)", 0x22, 0x1111111111111122);
	STORE("movb %%ah, (%%rbx)", 0x3322, 0x1111111111111133);
	STORE("movw %%ax, (%%rbx)", 0x3322, 0x1111111111113322);
	STORE("movl %%eax, (%%rbx)", 0x55443322, 0x1111111155443322);
	STORE("movq %%rax, (%%rbx)", 0x9988776655443322, 0x9988776655443322);
	STORE("movb $0x22, (%%rbx)", 0, 0x1111111111111122);
	STORE("movw $0x3322, (%%rbx)", 0, 0x1111111111113322);
	STORE("movl $0x55443322, (%%rbx)", 0, 0x1111111155443322);
	STORE("movq $-2, (%%rbx)", 0, 0xfffffffffffffffe);
	/* Addressing */
	STORE("movb %%al, 1(%%rbx)", 0x22, 0x1111111111112211);
	STORE("movb %%al, 0x100-0xfe(%%rbx)", 0x22, 0x1111111111221111);
	STORE("sub $0x1000, %%rbx; movw %%ax, 0x1002(%%rbx); add $0x1000, %%rbx", 0x3322,
	      0x1111111133221111);
	STORE("movb %%al, (%%rbx,%%rcx)", 0x22, 0x1111111111221111);
	STORE("movb %%al, 1(%%rbx,%%rcx,2)", 0x22, 0x1111221111111111);
	STORE("mov %%rax, %%r9; mov %%rbx, %%r13; movl %%r9d, (%%r13)", 0x55443322,
	      0x1111111155443322);
	STORE("mov %%rax, %%rsi; mov %%rbx, %%r12; movb %%sil, 3(%%r12)", 0x22,
	      0x1111111122111111);
	STORE("mov %%rcx, %%r14; movb %%al, -2(%%rbx,%%r14,2)", 0x22, 0x1111111111221111);
	STORE("addr32 movl %%eax, (%%ebx)", 0x55443322, 0x1111111155443322);
	STORE("movabs %%al, 0xd0000000", 0x22, 0x1111111111111122);
	STORE("movabs %%eax, 0xd0000000", 0x55443322, 0x1111111155443322);
	STORE("movabs %%rax, 0xd0000000", 0x9988776655443322, 0x9988776655443322);
	STORE(".byte 0x2e, 0x48; movw %%ax, (%%rbx)", 0x3322, 0x1111111111113322);

	M[0] = 0x8877665544332211;
	LOAD("movb (%%rbx), %%al", ~0ull, 0xffffffffffffff11);
	LOAD("movb 1(%%rbx), %%ah", ~0ull, 0xffffffffffff22ff);
	LOAD("movw (%%rbx), %%ax", ~0ull, 0xffffffffffff2211);
	LOAD("movl (%%rbx), %%eax", ~0ull, 0x44332211);
	LOAD("movq (%%rbx), %%rax", 0, 0x8877665544332211);
	LOAD("movl 4(%%rbx), %%eax", 0, 0x88776655);
	LOAD("movabs 0xd0000000, %%al", ~0ull, 0xffffffffffffff11);
	LOAD("movabs 0xd0000000, %%eax", ~0ull, 0x44332211);
	LOAD("movabs 0xd0000000, %%rax", 0, 0x8877665544332211);
	LOAD("movzbl 7(%%rbx), %%eax", ~0ull, 0x88);
	LOAD("movzbw 7(%%rbx), %%ax", ~0ull, 0xffffffffffff0088);
	LOAD("movzwl 6(%%rbx), %%eax", ~0ull, 0x8877);
	LOAD("movzwq 6(%%rbx), %%rax", ~0ull, 0x8877);
	LOAD("movsbl 7(%%rbx), %%eax", 0, 0xffffff88);
	LOAD("movsbq 7(%%rbx), %%rax", 0, 0xffffffffffffff88);
	LOAD("movswl 6(%%rbx), %%eax", 0, 0xffff8877);
	LOAD("movswq 6(%%rbx), %%rax", 0, 0xffffffffffff8877);
	LOAD("movslq 4(%%rbx), %%rax", 0, 0xffffffff88776655);
	LOAD("movb (%%rbx,%%rcx), %%al", 0, 0x33);
	LOAD("mov %%rbx, %%r15; movl (%%r15), %%r10d; mov %%r10, %%rax", 0, 0x44332211);
	g_done();
}

TEST(mmio_mov)
{
	run_guest(g_mov, 0);
}

/* One instruction, one exit, of the right size */
static void g_mov_once(void)
{
	uint32_t n = inl(PORT_COUNT);
	uint64_t v;

	asm volatile("movb %%al, (%0)" : : "b"(MMIO_DEV), "a"(0) : "memory");
	G_EQ(inl(PORT_LAST), LAST_WRITE | 1);
	asm volatile("movw %%ax, (%0)" : : "b"(MMIO_DEV), "a"(0) : "memory");
	G_EQ(inl(PORT_LAST), LAST_WRITE | 2);
	asm volatile("movl %%eax, (%0)" : : "b"(MMIO_DEV), "a"(0) : "memory");
	G_EQ(inl(PORT_LAST), LAST_WRITE | 4);
	asm volatile("movq %%rax, (%0)" : : "b"(MMIO_DEV), "a"(0) : "memory");
	G_EQ(inl(PORT_LAST), LAST_WRITE | 8);
	asm volatile("movb (%1), %%al" : "=a"(v) : "b"(MMIO_DEV) : "memory");
	G_EQ(inl(PORT_LAST), 1);
	asm volatile("movzwl (%1), %%eax" : "=a"(v) : "b"(MMIO_DEV) : "memory");
	G_EQ(inl(PORT_LAST), 2);
	asm volatile("movl (%1), %%eax" : "=a"(v) : "b"(MMIO_DEV) : "memory");
	G_EQ(inl(PORT_LAST), 4);
	asm volatile("movq (%1), %%rax" : "=a"(v) : "b"(MMIO_DEV) : "memory");
	G_EQ(inl(PORT_LAST), 8);
	G_EQ(inl(PORT_COUNT) - n, 8);
	g_done();
}

TEST(mmio_once)
{
	run_guest(g_mov_once, 0);
}

/* Strings between memory and MMIO, both ways, both directions */

static void g_strings(void)
{
	uint8_t *ram = (uint8_t *)GUEST_SHARED + 0xf00;
	volatile uint8_t *io = (volatile uint8_t *)MMIO_DEV;
	void *s, *d;
	uint64_t n;
	int i;

	for (i = 0; i < 512; i++)
		ram[i] = i * 3;
	s = ram, d = (void *)io, n = 512;
	asm volatile("rep movsb" : "+S"(s), "+D"(d), "+c"(n) : : "memory");
	G_EQ(n, 0);
	G_EQ((uint64_t)s, (uint64_t)ram + 512);
	G_EQ((uint64_t)d, MMIO_DEV + 512);
	for (i = 0; i < 512; i++)
		G_EQ(io[i], ram[i]);
	/* back, by four */
	s = (void *)io, d = ram + 0x1000, n = 128;
	asm volatile("rep movsl" : "+S"(s), "+D"(d), "+c"(n) : : "memory");
	for (i = 0; i < 512; i++)
		G_EQ(ram[0x1000 + i], ram[i]);
	/* MMIO to MMIO, by eight, down */
	s = (void *)(io + 56), d = (void *)(io + 0x1000 + 56), n = 8;
	asm volatile("std; rep movsq; cld" : "+S"(s), "+D"(d), "+c"(n) : : "memory");
	G_EQ((uint64_t)d, MMIO_DEV + 0x1000 - 8);
	for (i = 0; i < 64; i++)
		G_EQ(io[0x1000 + i], ram[i]);
	/* stos, every size */
	d = (void *)io, n = 5;
	asm volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(0x77ul) : "memory");
	G_EQ(io[4], 0x77);
	G_EQ(io[5], 15);
	d = (void *)io, n = 2;
	asm volatile("rep stosw" : "+D"(d), "+c"(n) : "a"(0x8899ul) : "memory");
	G_EQ(M32[0], 0x88998899);
	d = (void *)io, n = 2;
	asm volatile("rep stosl" : "+D"(d), "+c"(n) : "a"(0x12345678ul) : "memory");
	G_EQ(M[0], 0x1234567812345678);
	d = (void *)io, n = 3;
	asm volatile("rep stosq" : "+D"(d), "+c"(n) : "a"(0x1122334455667788ul) : "memory");
	G_EQ(M[2], 0x1122334455667788);
	G_EQ((uint64_t)d, MMIO_DEV + 24);
	/* Without rep; rep with a zero count does nothing */
	d = (void *)io;
	asm volatile("stosl" : "+D"(d) : "a"(0xabcdef01ul) : "memory");
	G_EQ(M32[0], 0xabcdef01);
	G_EQ((uint64_t)d, MMIO_DEV + 4);
	d = (void *)io, n = 0;
	asm volatile("rep stosl" : "+D"(d), "+c"(n) : "a"(0ul) : "memory");
	G_EQ(M32[0], 0xabcdef01);
	s = (void *)io;
	asm volatile("lodsl" : "=a"(n), "+S"(s) : : "memory");
	G_EQ(n, 0xabcdef01);
	g_done();
}

TEST(mmio_strings)
{
	run_guest(g_strings, 0);
}

/* Read-modify-write and compare: the flags count too */

#define RMW(insn, before, reg, after)					\
	do {								\
		M[0] = (before);					\
		asm volatile(insn : : "b"(MMIO_DEV), "a"((uint64_t)(reg)) : "memory", "cc"); \
		G_EQ(M[0], after);					\
	} while (0)

#define FLAG(insn, value, reg, set, want)				\
	do {								\
		uint8_t f_;						\
									\
		M[0] = (value);						\
		asm volatile(insn "\n\t" set " %0" : "=q"(f_)		\
			     : "b"(MMIO_DEV), "a"((uint64_t)(reg)) : "memory", "cc"); \
		G_EQ(f_, want);						\
	} while (0)

static void g_alu(void)
{
	uint64_t v;

	RMW("orl %%eax, (%%rbx)", 0xf0, 0x0f, 0xff);
	RMW("andl %%eax, (%%rbx)", 0xff, 0x3c, 0x3c);
	RMW("xorb %%al, (%%rbx)", 0xff, 0x0f, 0xf0);
	RMW("addl $1, (%%rbx)", 41, 0, 42);
	RMW("subw $2, (%%rbx)", 44, 0, 42);
	RMW("orb $0x80, (%%rbx)", 1, 0, 0x81);
	RMW("andl $0xfffffffe, (%%rbx)", 0xff, 0, 0xfe);
	RMW("lock orl $2, (%%rbx)", 1, 0, 3);
	RMW("incl (%%rbx)", 1, 0, 2);
	RMW("decq (%%rbx)", 1, 0, 0);
	RMW("notl (%%rbx)", 0, 0, 0xffffffff);
	M[0] = 0x55;
	LOAD("orl (%%rbx), %%eax", 0xaa, 0xff);
	LOAD("addl (%%rbx), %%eax", 1, 0x56);
	LOAD("xchgl %%eax, (%%rbx)", 0x77, 0x55);
	G_EQ(M[0], 0x77);
	FLAG("testb $0x80, (%%rbx)", 0x80, 0, "setnz", 1);
	FLAG("testb $0x40, (%%rbx)", 0x80, 0, "setz", 1);
	FLAG("testl %%eax, (%%rbx)", 6, 1, "setz", 1);
	FLAG("cmpl $5, (%%rbx)", 5, 0, "sete", 1);
	FLAG("cmpl %%eax, (%%rbx)", 5, 6, "setb", 1);
	FLAG("cmpb $0x7f, (%%rbx)", 0x80, 0, "seta", 1);
	M[0] = 7;
	asm volatile("cmp (%1), %0; sete %b0" : "=a"(v) : "b"(MMIO_DEV), "0"(7ul) : "cc");
	G_EQ(v & 0xff, 1);
	g_done();
}

TEST(mmio_alu)
{
	run_guest(g_alu, 0);
}

/* Compare and exchange, condition bytes, push and pop with a device's operand */

static void g_exchange(void)
{
	uint32_t lo, hi;
	uint64_t v;
	uint8_t z;

	/* CMPXCHG8B: equal, then not */
	M[0] = 0x1111111122222222;
	lo = 0x22222222, hi = 0x11111111;
	asm volatile("lock cmpxchg8b (%4); setz %2" : "+a"(lo), "+d"(hi), "=q"(z)
		     : "c"(0x33333333), "D"(MMIO_DEV), "b"(0x44444444) : "memory", "cc");
	G_EQ(z, 1);
	G_EQ(M[0], 0x3333333344444444);
	lo = 0, hi = 0x33333333;
	asm volatile("cmpxchg8b (%4); setz %2" : "+a"(lo), "+d"(hi), "=q"(z)
		     : "c"(0), "D"(MMIO_DEV), "b"(0) : "memory", "cc");
	G_EQ(z, 0);
	G_EQ(lo, 0x44444444);
	G_EQ(hi, 0x33333333);
	G_EQ(M[0], 0x3333333344444444);

	M[0] = 5;
	v = 5;
	asm volatile("lock cmpxchgq %3, (%2); setz %1" : "+a"(v), "=q"(z)
		     : "b"(MMIO_DEV), "r"(7ul) : "memory", "cc");
	G_EQ(z, 1);
	G_EQ(M[0], 7);
	asm volatile("cmpxchgq %3, (%2); setz %1" : "+a"(v), "=q"(z)
		     : "b"(MMIO_DEV), "r"(9ul) : "memory", "cc");
	G_EQ(z, 0);
	G_EQ(v, 7);
	v = 3;
	asm volatile("lock xaddq %0, (%1)" : "+r"(v) : "b"(MMIO_DEV) : "memory", "cc");
	G_EQ(v, 7);
	G_EQ(M[0], 10);
	asm volatile("cmp %%eax, %%eax; setz (%0); setnz 1(%0)" : : "b"(MMIO_DEV) : "memory", "cc");
	G_EQ(M[0], 1);
	g_done();
}

TEST(mmio_exchange)
{
	run_guest(g_exchange, 0);
}

static void g_push_pop(void)
{
	uint64_t v = 0, before, after;

	M[0] = 0x8877665544332211;
	asm volatile("mov %%rsp, %1; pushq (%3); popq %0; mov %%rsp, %2"
		     : "=&r"(v), "=&r"(before), "=&r"(after) : "b"(MMIO_DEV) : "memory");
	G_EQ(v, 0x8877665544332211);
	G_EQ(after, before);
	asm volatile("mov %%rsp, %0; pushq %2; popq 8(%3); mov %%rsp, %1"
		     : "=&r"(before), "=&r"(after) : "r"(0x1122334455667788ul), "b"(MMIO_DEV)
		     : "memory");
	G_EQ(M[1], 0x1122334455667788);
	G_EQ(after, before);
	v = 0;
	asm volatile("pushw 2(%1); popw %w0" : "+r"(v) : "b"(MMIO_DEV) : "memory");
	G_EQ(v, 0x4433);
	asm volatile("pushw %w0; popw (%1)" : : "r"(0x9999), "b"(MMIO_DEV) : "memory");
	G_EQ(M[0], 0x8877665544339999);
	g_done();
}

TEST(mmio_push_pop)
{
	run_guest(g_push_pop, 0);
}

/* An access astride two pages, MMIO on both, or RAM below and MMIO above it */

static void g_astride(void)
{
	uint64_t gva = 0x50000000;
	volatile uint64_t *p = (volatile uint64_t *)(MMIO_DEV + PAGE_SIZE - 3);

	*p = 0x8877665544332211;
	G_EQ(*(volatile uint8_t *)(MMIO_DEV + PAGE_SIZE - 1), 0x33);
	G_EQ(*(volatile uint8_t *)(MMIO_DEV + PAGE_SIZE), 0x44);
	G_EQ(*p, 0x8877665544332211);
	g_map(gva, GUEST_SHARED, PTE_P | PTE_W);
	g_map(gva + PAGE_SIZE, MMIO_DEV, PTE_P | PTE_W);
	p = (volatile uint64_t *)(gva + PAGE_SIZE - 4);
	*p = 0x0123456789abcdef;
	G_EQ(*(volatile uint32_t *)(GUEST_SHARED + PAGE_SIZE - 4), 0x89abcdef);
	G_EQ(M32[0], 0x01234567);
	G_EQ(*p, 0x0123456789abcdef);
	g_done();
}

TEST(mmio_astride)
{
	run_guest(g_astride, 0);
}

/* An MMIO instruction that itself lies astride two pages; the code page not touched before */

static void g_insn_astride(void)
{
	uint8_t *code = (uint8_t *)GUEST_EXTRA + PAGE_SIZE - 3;
	uint64_t v;
	int i;
	/* movl $0x55443322, (%rbx); ret */
	static const uint8_t insn[] = { 0xc7, 0x03, 0x22, 0x33, 0x44, 0x55, 0xc3 };

	for (i = 0; i < 7; i++)
		code[i] = insn[i];
	M[0] = 0;
	asm volatile("call *%0" : : "r"(code), "b"(MMIO_DEV) : "memory");
	v = M[0];
	G_EQ(v, 0x55443322);
	g_done();
}

TEST(mmio_insn_astride)
{
	struct vm *vm = machine(0);

	vm_set_slot(vm, 1, 0, GUEST_EXTRA, 1 << 20, map_memory(1 << 20, PAGE_SIZE));
	vcpu_done(machine_vcpu(vm, g_insn_astride));
}

/* The guest's own tables decide first. */

static void g_prot(void)
{
	uint64_t gva = 0x50000000;

	g_map(gva, MMIO_DEV, PTE_P);
	M[0] = 5;
	G_EQ(*(volatile uint64_t *)gva, 5);
	G_EQ(G_TRY("movl $1, (%0)", : : "r"(gva) : "memory"), PF);
	G_EQ(g_error, 3);
	G_EQ(g_cr2, gva);
	G_EQ(M[0], 5);
	g_done();
}

TEST(mmio_protection)
{
	run_guest(g_prot, 0);
}

/* By SSE registers, as a memcpy may */

static void g_sse(void)
{
	M[0] = 0x1111;
	M[1] = 0x2222;
	asm volatile("movdqu (%0), %%xmm0; movdqu %%xmm0, 0x20(%0)" : : "r"(MMIO_DEV) : "memory");
	G_EQ(M[4], 0x1111);
	G_EQ(M[5], 0x2222);
	g_done();
}

TEST(mmio_sse)
{
	run_guest(g_sse, 0);
}
