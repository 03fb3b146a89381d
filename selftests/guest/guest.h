/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's side, for C guests. They run in 64-bit mode, flat, in ring 0,
 * with GUEST_IDT pointing to entry.S. Everything here is called by guests only,
 * except the declarations under "driver".
 *
 * A guest function must not call the C library: the files are compiled without
 * SSE, red zone and builtins.
 */
#ifndef GUEST_H
#define GUEST_H

#include <asm/processor-flags.h>
#include <pthread.h>

#include "layout.h"
#include "vm.h"

#define MSR_APIC_BASE		0x1b
#define MSR_TSC			0x10
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_EFER		0xc0000080
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_CSTAR		0xc0000083
#define MSR_SYSCALL_MASK	0xc0000084
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_TSC_AUX		0xc0000103
#define MSR_PAT			0x277
#define MSR_SYSENTER_CS		0x174
#define MSR_SYSENTER_ESP	0x175
#define MSR_SYSENTER_EIP	0x176
#define EFER_SCE		(1u << 0)
#define EFER_LME		(1u << 8)
#define EFER_LMA		(1u << 10)
#define EFER_NX			(1u << 11)

/* Vectors */
enum {
	DE = 0, DB = 1, NMI = 2, BP = 3, OF = 4, BR = 5, UD = 6, NM = 7, DF = 8,
	TS = 10, NP = 11, SS = 12, GP = 13, PF = 14, MF = 16, AC = 17,
	NO_FAULT = 0xff
};

/* What entry.S pushes */
struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

struct guest_report {
	const char *file, *what;
	uint64_t line, is, want;
};

extern volatile struct guest_report g_report;

/* Interrupts and exceptions, as counted by entry.S's C half */
extern volatile uint64_t g_count[256];
extern volatile struct frame g_frame;	/* the last one */
typedef void (*g_handler)(struct frame *frame);
extern g_handler g_handlers[256];

/* G_TRY()'s: where to go on after a fault, and the fault that came */
extern volatile uint64_t g_fixup, g_fault, g_error, g_fault_rip, g_cr2;

static inline void outb(uint16_t port, uint8_t v)
{
	asm volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void outw(uint16_t port, uint16_t v)
{
	asm volatile("outw %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t v)
{
	asm volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t v;

	asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint64_t rdmsr(uint32_t index)
{
	uint32_t lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(index) : "memory");
	return lo | (uint64_t)hi << 32;
}

static inline void wrmsr(uint32_t index, uint64_t v)
{
	asm volatile("wrmsr" : : "c"(index), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	asm volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return lo | (uint64_t)hi << 32;
}

/* Of the guest's TSC, before it starts; and what @ticks of it are in ns */
extern volatile uint64_t g_tsc_khz;

static inline uint64_t g_ns(uint64_t ticks)
{
	return ticks / g_tsc_khz * 1000000 + ticks % g_tsc_khz * 1000000 / g_tsc_khz;
}

/* struct pvclock_vcpu_time_info, which is no installed header's */
struct pvclock {
	uint32_t version, pad0;
	uint64_t tsc_timestamp, system_time;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad[2];
} __attribute__((packed));

/* What this clock says now, in ns */
uint64_t kvmclock(const struct pvclock *clock);

static inline void cpuid(uint32_t leaf, uint32_t index, uint32_t *r)
{
	asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
		     : "a"(leaf), "c"(index) : "memory");
}

/* Which of the two instructions is a hypercall. */
static inline bool g_is_intel(void)
{
	uint32_t r[4];

	cpuid(0, 0, r);
	return r[1] == 0x756e6547;	/* "Genu" */
}

#define READ_CR(n)	({ uint64_t v_; asm volatile("mov %%cr" #n ", %0" : "=r"(v_) : : "memory"); v_; })
#define WRITE_CR(n, v)	asm volatile("mov %0, %%cr" #n : : "r"((uint64_t)(v)) : "memory")
#define READ_DR(n)	({ uint64_t v_; asm volatile("mov %%dr" #n ", %0" : "=r"(v_) : : "memory"); v_; })
#define WRITE_DR(n, v)	asm volatile("mov %0, %%dr" #n : : "r"((uint64_t)(v)) : "memory")

static inline void sti(void) { asm volatile("sti" : : : "memory"); }
static inline void cli(void) { asm volatile("cli" : : : "memory"); }
static inline void sti_nop(void) { asm volatile("sti; nop; nop" : : : "memory"); }

/*
 * STI holds interrupts back until HLT has begun, so none is missed. TCG's VMRUN forgets
 * that shadow when the exit before it came right behind the STI: the interrupt is taken
 * before the HLT, which then waits for ever; under KVM too. g_trap() steps over it.
 */
extern const char g_hlt_of_sti[];
void sti_hlt(void);
static inline void relax(void) { asm volatile("pause" : : : "memory"); }

/*
 * For loops with interrupts off that may never exit. Nothing comes through in between; but Bochs
 * takes none of the host's interrupts before the guest has changed IF (see SPIN in api/run.c).
 */
static inline void g_touch_if(void) { asm volatile("sti; cli" : : : "memory"); }

static inline uint64_t rflags(void)
{
	uint64_t v;

	asm volatile("pushfq; popq %0" : "=r"(v) : : "memory");
	return v;
}

static inline uint64_t load(const volatile void *p) { return *(const volatile uint64_t *)p; }
static inline void store(volatile void *p, uint64_t v) { *(volatile uint64_t *)p = v; }
static inline uint64_t atomic_add(volatile uint64_t *p, uint64_t v)
{
	return __atomic_add_fetch(p, v, __ATOMIC_SEQ_CST);
}

static inline void __attribute__((noreturn)) g_done(void)
{
	for (;;)
		outl(PORT_DONE, PASS);
}

static inline void g_sync(uint32_t stage)
{
	outl(PORT_SYNC, stage);
}

static inline void __attribute__((noreturn))
g_fail(const char *file, int line, const char *what, uint64_t is, uint64_t want)
{
	g_report.file = file;
	g_report.line = line;
	g_report.what = what;
	g_report.is = is;
	g_report.want = want;
	for (;;)
		outl(PORT_FAIL, 0);
}

#define G_EQ(is, want)							\
	do {								\
		uint64_t is_ = (uint64_t)(is), want_ = (uint64_t)(want); \
									\
		if (is_ != want_)					\
			g_fail(__FILE__, __LINE__, #is, is_, want_);	\
	} while (0)

#define G_CHECK(cond)							\
	do {								\
		if (!(cond))						\
			g_fail(__FILE__, __LINE__, #cond, 0, 1);	\
	} while (0)

/*
 * G_TRY("instruction", asm operands): run it; the vector of the fault it raised,
 * else NO_FAULT. Output operands keep what they had when it faults.
 */
#define G_TRY(insn, ...)						\
	({								\
		g_fault = NO_FAULT;					\
		asm volatile("movq $.Lfix%=, g_fixup\n\t"		\
			     insn "\n"					\
			     ".Lfix%=: movq $0, g_fixup"		\
			     __VA_ARGS__);				\
		g_fault;						\
	})

/* xAPIC registers */
#define APIC_PAGE	0xfee00000
#define APIC_ID		0x20
#define APIC_VER	0x30
#define APIC_TPR	0x80
#define APIC_PPR	0xa0
#define APIC_EOI	0xb0
#define APIC_LDR	0xd0
#define APIC_DFR	0xe0
#define APIC_SVR	0xf0
#define APIC_ISR	0x100
#define APIC_IRR	0x200
#define APIC_ESR	0x280
#define APIC_ICR	0x300
#define APIC_ICR2	0x310
#define APIC_LVTT	0x320
#define APIC_LVTPC	0x340
#define APIC_LVT0	0x350
#define APIC_LVT1	0x360
#define APIC_TMICT	0x380
#define APIC_TMCCT	0x390
#define APIC_TDCR	0x3e0
#define APIC_SELF	0x3f0	/* x2APIC only */
#define APIC_MASKED	(1u << 16)
#define APIC_PERIODIC	(1u << 17)
#define APIC_DEADLINE	(2u << 17)
#define APIC_DIV_1	0xb
#define APIC_EXTINT	(7u << 8)
#define APIC_NMI	(4u << 8)
#define APIC_INIT	(5u << 8)
#define APIC_SIPI	(6u << 8)
#define APIC_ASSERT	(1u << 14)
#define APIC_TO_SELF	(1u << 18)
#define APIC_TO_ALL	(2u << 18)
#define APIC_TO_OTHERS	(3u << 18)
#define APIC_LOGICAL	(1u << 11)
#define APIC_BUSY	(1u << 12)
#define APIC_BASE_X2	(1u << 10)
#define APIC_BASE_EN	(1u << 11)

static inline uint32_t xapic_read(uint32_t reg)
{
	uint32_t v;

	asm volatile("movl %1, %0" : "=r"(v) : "m"(*(volatile uint32_t *)(uintptr_t)(APIC_PAGE + reg)));
	return v;
}

static inline void xapic_write(uint32_t reg, uint32_t v)
{
	asm volatile("movl %1, %0" : "=m"(*(volatile uint32_t *)(uintptr_t)(APIC_PAGE + reg)) : "r"(v));
}

static inline void xapic_on(void) { xapic_write(APIC_SVR, 0x1ff); }
static inline void xapic_eoi(void) { xapic_write(APIC_EOI, 0); }

static inline void xapic_ipi(uint32_t dest, uint32_t icr)
{
	xapic_write(APIC_ICR2, dest << 24);
	xapic_write(APIC_ICR, icr);
}

static inline uint64_t x2apic_read(uint32_t reg) { return rdmsr(0x800 + (reg >> 4)); }
static inline void x2apic_write(uint32_t reg, uint64_t v) { wrmsr(0x800 + (reg >> 4), v); }
static inline void x2apic_on(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_X2 | APIC_BASE_EN);
	x2apic_write(APIC_SVR, 0x1ff);
}

/* Acknowledge in whichever mode the LAPIC is: a handler for G_ON() */
void g_eoi(struct frame *frame);

/* Wait until *@p reaches @n. The driver's time limit ends it when it never does. */
static inline void g_await(volatile uint64_t *p, uint64_t n)
{
	while (*p < n)
		relax();
}

/* Map @gpa at @gva with 4 KiB pages and @flags, in tables made at GUEST_PTES; flushes the TLB. */
void g_map(uint64_t gva, uint64_t gpa, uint64_t flags);
volatile uint64_t *g_pte(uint64_t gva);
#define PTE_P	1ul
#define PTE_W	2ul
#define PTE_U	4ul
#define PTE_A	0x20ul
#define PTE_D	0x40ul
#define PTE_PS	0x80ul
#define PTE_NX	(1ul << 63)

static inline void invlpg(uint64_t gva)
{
	asm volatile("invlpg (%0)" : : "r"(gva) : "memory");
}

/* driver */

enum mode { REAL, PROT16, PROT32, PAGED32, PAE, LONG };

/* What vcpu_go() came back with; other values are KVM_EXIT_*. */
#define GO_DONE	0x1000
#define GO_SYNC	0x1001
#define GO_INTR	0x1002

typedef void (*guest_fn)(void);

/* A VM with RAM, tables and the image in it, no vCPU yet */
struct vm *machine(unsigned int flags);
/* Add the next vCPU, ready to run @fn in 64-bit mode (NULL: leave it at reset, or waiting for SIPI) */
struct vcpu *machine_vcpu(struct vm *vm, guest_fn fn);
void vcpu_mode(struct vcpu *vcpu, enum mode mode, uint64_t rip);
/* Run until the guest says something; the value that it said is in *@value. */
int vcpu_go(struct vcpu *vcpu, uint32_t *value);
/* Run until DONE (or SYNC @stage); anything else fails the case. */
void vcpu_done(struct vcpu *vcpu);
/* Does the CPU deliver interrupts to an x2APIC, and end them, by itself? */
bool cpu_delivers(void);
void vcpu_sync(struct vcpu *vcpu, uint32_t stage);
/* Run in a thread of its own until DONE. */
pthread_t vcpu_thread(struct vcpu *vcpu);
void vcpu_dump(struct vcpu *vcpu);
/* The driver's view of a guest variable */
void *guest_ptr(struct vm *vm, const volatile void *sym);
#define GUEST_VAR(vm, var) (*(typeof(var) *)guest_ptr(vm, &(var)))
/* One vCPU, one function, until DONE */
void run_guest(guest_fn fn, unsigned int flags);
void run_guest_smp(guest_fn fn, unsigned int flags, int nr_vcpus);

/* Other vCPUs, once INIT and SIPI have brought them through ap.S, call this. */
extern void (*volatile g_ap_main)(uint32_t apic_id);
extern volatile uint64_t g_aps;		/* how many arrived */
extern const char g_ap_begin[], g_ap_end[];

#endif
