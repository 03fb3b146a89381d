// SPDX-License-Identifier: GPL-2.0
/*
 * All state is read and written back, again and again, at random moments of a guest that has
 * something of everything on its way and checks itself all the time: it must not notice. Also
 * into a VM that was made a moment ago, as a migration does, with the same memory behind it.
 *
 * What is read when follows from what runs on while the vCPUs stand still: timers. MSRs come
 * before the LAPIC, so that a deadline which passes in between is seen twice rather than never.
 */
#include <linux/kvm_para.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define MSR_MTRR_VAR(n)		(0x200 + (n))	/* base and mask in turn */
#define MSR_MTRR_DEF_TYPE	0x2ff
#define MSR_MTRR_FIX64K		0x250
#define MSR_MTRR_FIX16K		0x258
#define MSR_MTRR_FIX4K_C0	0x268
#define MSR_MTRR_FIX4K_F8	0x26f
#define MSR_MC0_CTL		0x400
#define MSR_MC0_STATUS		0x401
#define MSR_MC0_ADDR		0x402
#define MSR_MC0_MISC		0x403

#define NR_CPUS		2
#define VEC_TIMER	0x41
#define VEC_IPI		0x51
#define VEC_PIT		0x61

/* ---- the guest ---- */

#define AUX		0x1000	/* TSC_AUX of the first vCPU */
#define AREA_SIZE	832	/* XSAVE with YMM */
#define AREA_X87	32
#define AREA_MXCSR	24
#define AREA_HEADER	512
#define AREA_YMM	576
#define XCR0_SSE	3
#define XCR0_AVX	7
#define STRING		2048

static struct {
	uint8_t want[AREA_SIZE], is[AREA_SIZE];		/* extended state */
	uint64_t from[STRING / 8], to[STRING / 8];
	struct pvclock clock __attribute__((aligned(64)));
	struct kvm_steal_time steal __attribute__((aligned(64)));
	volatile uint32_t pv_eoi, unended;
	volatile uint64_t ticks, ipis, nmis, breaks, rounds;
	uint64_t last_tsc, last_clock, last_stolen;
} cpus[NR_CPUS] __attribute__((aligned(64)));

static volatile uint64_t rt_stop, rt_avx, rt_done, rt_pit, rt_split;

static uint32_t cpuid_id(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	return r[1] >> 24;
}

/* Without an exit, which would end the offer to skip the EOI */
static uint32_t my_id(void)
{
	uint32_t aux, lo, hi;

	asm volatile("rdtscp" : "=c"(aux), "=a"(lo), "=d"(hi));
	return aux - AUX;
}

static bool by_deadline(uint32_t id)
{
	return id;
}

static void arm_deadline(void)
{
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + 2000000);
}

/* As Linux does: the EOI is skipped when the host says that it may be. */
static void end_irq(struct frame *frame)
{
	bool skip;

	asm volatile("btrl $0, %1; setc %0" : "=q"(skip), "+m"(cpus[my_id()].pv_eoi) : : "cc");
	if (!skip)
		g_eoi(frame);
	else
		cpus[my_id()].unended++;
}

static void on_timer(struct frame *frame)
{
	uint32_t id = my_id();

	cpus[id].ticks++;
	if (by_deadline(id))
		arm_deadline();
	end_irq(frame);
}

static void on_ipi(struct frame *frame)
{
	cpus[my_id()].ipis++;
	end_irq(frame);
}

static void on_pit(struct frame *frame)
{
	rt_pit++;
	end_irq(frame);
}

static void on_nmi(struct frame *frame)
{
	(void)frame;
	cpus[my_id()].nmis++;
}

static void on_break(struct frame *frame)
{
	(void)frame;
	cpus[my_id()].breaks++;
}

static void area_save(uint8_t *area)
{
	if (rt_avx)
		asm volatile("xsave (%0)" : : "r"(area), "a"(XCR0_AVX), "d"(0) : "memory");
	else
		asm volatile("fxsave (%0)" : : "r"(area) : "memory");
}

static void area_load(uint8_t *area)
{
	if (rt_avx)
		asm volatile("xrstor (%0)" : : "r"(area), "a"(XCR0_AVX), "d"(0) : "memory");
	else
		asm volatile("fxrstor (%0)" : : "r"(area) : "memory");
}

/* Every x87 and vector register holds what it was given; then they are given the next. */
static void check_vectors(uint32_t id, uint64_t n)
{
	uint8_t *want = cpus[id].want, *is = cpus[id].is;
	int i;

	area_save(is);
	for (i = AREA_X87; i < AREA_HEADER - 96; i += 8)
		G_EQ(load(is + i), load(want + i));
	G_EQ(*(uint32_t *)(is + AREA_MXCSR), *(uint32_t *)(want + AREA_MXCSR));
	G_EQ(*(uint32_t *)is, *(uint32_t *)want);	/* control and status word */
	G_EQ(is[4], want[4]);				/* tags */
	for (i = AREA_YMM; rt_avx && i < AREA_SIZE; i += 8)
		G_EQ(load(is + i), load(want + i));

	for (i = 160; i < AREA_HEADER - 96; i += 8)
		store(want + i, load(want + i) + 0x0123456789abcdef * (n | 1));
	for (i = AREA_YMM; rt_avx && i < AREA_SIZE; i += 8)
		store(want + i, load(want + i) + 0x1032547698badcfe * (n | 1));
	/* A mantissa with its top bit set is a number, whatever follows. */
	for (i = 0; i < 3; i++)
		store(want + AREA_X87 + 16 * i, n * 0x9e3779b97f4a7c15 | 1ull << 63);
	area_load(want);
}

static void vectors_begin(uint32_t id)
{
	uint8_t *want = cpus[id].want;
	uint32_t mxcsr = 0x1f80 | (id ? 0x6000 : 0x2000);	/* rounding modes */

	if (rt_avx)
		WRITE_CR(4, READ_CR(4) | X86_CR4_OSXSAVE);
	asm volatile("fninit; fldpi; fldl2e; fldln2; ldmxcsr %0" : : "m"(mxcsr));
	area_save(want);
	if (rt_avx)
		store(want + AREA_HEADER, XCR0_AVX);
	area_load(want);
}

static void check_strings(uint32_t id, uint64_t n)
{
	void *from = cpus[id].from, *to = cpus[id].to;
	uint64_t count = STRING;
	bool same;
	int i;

	for (i = 0; i < STRING / 8; i++)
		cpus[id].from[i] = n * i + id;
	asm volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
	from = cpus[id].from;
	to = cpus[id].to;
	count = STRING;
	asm volatile("repe cmpsb; sete %3" : "+S"(from), "+D"(to), "+c"(count), "=q"(same)
		     : : "memory", "cc");
	G_CHECK(same);

	/* Through the VMM; there is one FIFO. */
	if (id)
		return;
	from = cpus[id].from;
	count = 64;
	asm volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(PORT_FIFO) : "memory");
	to = cpus[id].to;
	count = 64;
	for (i = 0; i < 8; i++)
		cpus[id].to[i] = ~0ull;
	asm volatile("rep insb" : "+D"(to), "+c"(count) : "d"(PORT_FIFO) : "memory");
	for (i = 0; i < 8; i++)
		G_EQ(cpus[id].to[i], cpus[id].from[i]);
}

/* General registers over a while in which nothing touches them. */
static void check_regs(uint64_t n)
{
	uint64_t bad;

	asm volatile("push %%rbp\n\t"
		     "mov %1, %%rax; lea 1(%%rax), %%rbx; lea 2(%%rax), %%rdx\n\t"
		     "lea 3(%%rax), %%rsi; lea 4(%%rax), %%rdi; lea 5(%%rax), %%rbp\n\t"
		     "lea 6(%%rax), %%r8; lea 7(%%rax), %%r9; lea 8(%%rax), %%r10\n\t"
		     "lea 9(%%rax), %%r11; lea 10(%%rax), %%r12; lea 11(%%rax), %%r13\n\t"
		     "lea 12(%%rax), %%r14; lea 13(%%rax), %%r15\n\t"
		     "mov $300, %%ecx\n"
		     "1:\tdec %%ecx\n\t"
		     "jnz 1b\n\t"
		     "add $13, %%rax\n\t"
		     "lea 12(%%rbx), %%rbx; xor %%rax, %%rbx; or %%rbx, %%rcx\n\t"
		     "lea 11(%%rdx), %%rdx; xor %%rax, %%rdx; or %%rdx, %%rcx\n\t"
		     "lea 10(%%rsi), %%rsi; xor %%rax, %%rsi; or %%rsi, %%rcx\n\t"
		     "lea 9(%%rdi), %%rdi; xor %%rax, %%rdi; or %%rdi, %%rcx\n\t"
		     "lea 8(%%rbp), %%rbp; xor %%rax, %%rbp; or %%rbp, %%rcx\n\t"
		     "lea 7(%%r8), %%r8; xor %%rax, %%r8; or %%r8, %%rcx\n\t"
		     "lea 6(%%r9), %%r9; xor %%rax, %%r9; or %%r9, %%rcx\n\t"
		     "lea 5(%%r10), %%r10; xor %%rax, %%r10; or %%r10, %%rcx\n\t"
		     "lea 4(%%r11), %%r11; xor %%rax, %%r11; or %%r11, %%rcx\n\t"
		     "lea 3(%%r12), %%r12; xor %%rax, %%r12; or %%r12, %%rcx\n\t"
		     "lea 2(%%r13), %%r13; xor %%rax, %%r13; or %%r13, %%rcx\n\t"
		     "lea 1(%%r14), %%r14; xor %%rax, %%r14; or %%r14, %%rcx\n\t"
		     "xor %%rax, %%r15; or %%r15, %%rcx\n\t"
		     "pop %%rbp"
		     : "=c"(bad) : "0"(n)
		     : "rax", "rbx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
		       "r14", "r15", "memory", "cc");
	G_EQ(bad, 0);
}

static const struct {
	uint32_t index;
	uint64_t value;
} kept[] = {
	{ MSR_STAR, 0x1234567800000000 },
	{ MSR_LSTAR, 0xffffffff81234560 },
	{ MSR_CSTAR, 0xffffffff81234570 },
	{ MSR_SYSCALL_MASK, 0x47700 },
	{ MSR_KERNEL_GS_BASE, 0xffff888012345670 },
	{ MSR_SYSENTER_CS, 0x10 },
	{ MSR_SYSENTER_ESP, 0xfffffe0000002200 },
	{ MSR_SYSENTER_EIP, 0xffffffff81001000 },
	{ MSR_PAT, 0x0007010600070406 },
	{ MSR_MTRR_VAR(2), 0x80000006 },
	{ MSR_MTRR_VAR(3), 0xc0000800 },
	{ MSR_MTRR_FIX4K_C0, 0x0606060606060606 },
	{ MSR_MC0_CTL, 0 },
	{ MSR_MC0_ADDR, 0x123456789000 },
	{ MSR_MC0_MISC, 0x8c },
};

static void set_kept(uint32_t id)
{
	size_t i;

	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		wrmsr(kept[i].index, kept[i].value);
	wrmsr(MSR_TSC_AUX, AUX + id);
	wrmsr(MSR_FS_BASE, 0x7f0012340000 + id);
	WRITE_DR(0, 0x1000 + id);
	WRITE_DR(1, 0x2000 + id);
	WRITE_DR(2, 0x3000 + id);
	WRITE_DR(3, 0x4000 + id);
	WRITE_CR(2, 0xabcde000 + id);
}

static void check_kept(uint32_t id)
{
	size_t i;

	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		G_EQ(rdmsr(kept[i].index), kept[i].value);
	G_EQ(my_id(), id);
	G_EQ(rdmsr(MSR_FS_BASE), 0x7f0012340000 + id);
	G_EQ(READ_DR(0), 0x1000 + id);
	G_EQ(READ_DR(1), 0x2000 + id);
	G_EQ(READ_DR(2), 0x3000 + id);
	G_EQ(READ_DR(3), 0x4000 + id);
	G_EQ(READ_DR(7), 0x400);
	G_EQ(READ_CR(2), 0xabcde000 + id);
}

/* Neither clock goes back, and kvmclock does not stand still: a round takes many nanoseconds. */
static void check_clocks(uint32_t id)
{
	uint64_t tsc = rdtsc(), ns = kvmclock(&cpus[id].clock);

	if (tsc <= cpus[id].last_tsc)
		g_fail(__FILE__, __LINE__, "TSC", tsc, cpus[id].last_tsc);
	if (ns <= cpus[id].last_clock)
		g_fail(__FILE__, __LINE__, "kvmclock", ns, cpus[id].last_clock);
	cpus[id].last_tsc = tsc;
	cpus[id].last_clock = ns;
}

/* What was stolen is added up, whoever adds to it. */
static void check_stolen(uint32_t id)
{
	volatile struct kvm_steal_time *steal = &cpus[id].steal;
	uint32_t version;
	uint64_t ns;

	do {
		version = steal->version;
		ns = steal->steal;
	} while ((version & 1) || steal->version != version);
	if (ns < cpus[id].last_stolen)
		g_fail(__FILE__, __LINE__, "steal time", ns, cpus[id].last_stolen);
	cpus[id].last_stolen = ns;
}

static void send(uint32_t id, uint32_t dest, uint32_t icr)
{
	if (id)
		x2apic_write(APIC_ICR, (uint64_t)dest << 32 | icr);
	else
		xapic_ipi(dest, icr);
}

static void check_events(uint32_t id, uint64_t n)
{
	uint64_t before;

	/* Each is counted once: none is lost, none comes twice. */
	send(id, id, APIC_NMI | APIC_ASSERT);
	g_await(&cpus[id].nmis, n + 1);
	G_EQ(cpus[id].nmis, n + 1);
	asm volatile("int3");
	G_EQ(cpus[id].breaks, n + 1);
	send(id, !id, VEC_IPI | APIC_ASSERT);
	g_await(&cpus[!id].ipis, n + 1);
	G_EQ(cpus[!id].ipis, n + 1);
	if (!id) {
		G_EQ(G_TRY("ud2", : : : "memory"), UD);
		G_EQ(G_TRY("mov %%rax, (%%rbx)", : : "b"(1ull << 63) : "memory"), GP);
	}

	*(volatile uint64_t *)(uintptr_t)(MMIO_DEV + 8 * id) = n;
	G_EQ(*(volatile uint64_t *)(uintptr_t)(MMIO_DEV + 8 * id), n);
	/* The timers go on, whoever waits, and however. */
	if (n % 4 == id) {
		cli();
		before = cpus[id].ticks;
		while (cpus[id].ticks == before) {
			sti_hlt();
			cli();
		}
		sti();
	}
	if (n % 16 == 3 && !id) {
		before = rt_pit;
		g_await(&rt_pit, before + 1);
	}
}

/* IOAPIC pin 0, edge, to the first vCPU; the 8254 every 5 ms */
static void begin_pit(void)
{
	*(volatile uint32_t *)0xfec00000 = 0x11;
	*(volatile uint32_t *)0xfec00010 = 0;
	*(volatile uint32_t *)0xfec00000 = 0x10;
	*(volatile uint32_t *)0xfec00010 = VEC_PIT;
	outb(0x43, 0x34);
	outb(0x40, 5966 & 0xff);
	outb(0x40, 5966 >> 8);
}

static void begin(uint32_t id)
{
	g_handlers[VEC_TIMER] = on_timer;
	g_handlers[VEC_IPI] = on_ipi;
	g_handlers[VEC_PIT] = on_pit;
	g_handlers[NMI] = on_nmi;
	g_handlers[BP] = on_break;
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (uint64_t)&cpus[id].clock | 1);
	wrmsr(MSR_KVM_STEAL_TIME, (uint64_t)&cpus[id].steal | 1);
	wrmsr(MSR_KVM_PV_EOI_EN, (uint64_t)&cpus[id].pv_eoi | 1);
	vectors_begin(id);
	set_kept(id);
	if (id) {
		x2apic_on();
		x2apic_write(APIC_LVTT, VEC_TIMER | APIC_DEADLINE);
		arm_deadline();
	} else {
		xapic_on();
		xapic_write(APIC_LVT0, APIC_MASKED);	/* not by way of the 8259 */
		xapic_write(APIC_TPR, 0x10);
		xapic_write(APIC_TDCR, APIC_DIV_1);
		xapic_write(APIC_LVTT, VEC_TIMER | APIC_PERIODIC);
		xapic_write(APIC_TMICT, 2000000);
		if (!rt_split)
			begin_pit();
	}
	atomic_add(&g_aps, 1);
	sti();
	g_await(&g_aps, NR_CPUS);
}

static void g_busy(void)
{
	uint32_t id = cpuid_id();
	uint64_t n;

	begin(id);
	for (n = 0; !rt_stop; n++) {
		check_vectors(id, n);
		check_regs(n << 32 | id);
		check_strings(id, n);
		check_kept(id);
		check_clocks(id);
		check_stolen(id);
		check_events(id, n);
		if (!id)
			G_EQ(xapic_read(APIC_TPR), 0x10);
		cpus[id].rounds = n + 1;
	}
	/* The other may still wait for an answer. */
	atomic_add(&rt_done, 1);
	while (rt_done < NR_CPUS)
		relax();
	g_done();
}

/* ---- the driver ---- */

#define MAX_MSRS 128

struct vcpu_state {
	struct cpuid cpuid;
	struct kvm_regs regs;
	struct kvm_sregs2 sregs;
	struct kvm_sregs old_sregs;
	struct kvm_fpu fpu;
	uint8_t xsave[16384] __attribute__((aligned(64)));
	struct kvm_xcrs xcrs;
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[MAX_MSRS];
	} msrs;
	struct kvm_lapic_state lapic;
	struct kvm_debugregs debug;
	struct kvm_mp_state mp;
	struct kvm_vcpu_events events;
	int tsc_khz;
};

struct vm_state {
	struct kvm_irqchip chip[3];
	struct kvm_pit_state2 pit;
	struct kvm_clock_data clock;
	struct vcpu_state vcpu[NR_CPUS];
};

static struct {
	struct kvm_msr_list head;
	uint32_t index[MAX_MSRS];
} msr_list;

/* What the list leaves out and a VMM saves all the same. */
static const uint32_t more_msrs[] = {
	MSR_MTRR_DEF_TYPE, MSR_MTRR_VAR(0), MSR_MTRR_VAR(1), MSR_MTRR_VAR(2), MSR_MTRR_VAR(3),
	MSR_MTRR_FIX64K, MSR_MTRR_FIX16K, MSR_MTRR_FIX4K_C0, MSR_MTRR_FIX4K_F8,
	MSR_MC0_CTL, MSR_MC0_STATUS, MSR_MC0_ADDR, MSR_MC0_MISC,
	MSR_FS_BASE, MSR_GS_BASE,
};

static void list_msrs(int sys)
{
	size_t i;

	msr_list.head.nmsrs = MAX_MSRS - sizeof(more_msrs) / sizeof(more_msrs[0]);
	CHECK_OK(ioctl(sys, KVM_GET_MSR_INDEX_LIST, &msr_list.head));
	for (i = 0; i < sizeof(more_msrs) / sizeof(more_msrs[0]); i++)
		msr_list.index[msr_list.head.nmsrs++] = more_msrs[i];
}

#define GET(fd, name, where)	CHECK_OK(ioctl(fd, KVM_GET_##name, where))
#define SET(fd, name, where)	CHECK_OK(ioctl(fd, KVM_SET_##name, where))

static void get_vcpu(int fd, struct vcpu_state *s)
{
	static struct kvm_xsave old;
	uint32_t i;

	memset(s, 0, sizeof(*s));
	s->cpuid.head.nent = MAX_CPUID;
	GET(fd, CPUID2, &s->cpuid.head);
	GET(fd, REGS, &s->regs);
	GET(fd, SREGS2, &s->sregs);
	GET(fd, SREGS, &s->old_sregs);
	GET(fd, FPU, &s->fpu);
	GET(fd, XSAVE2, s->xsave);
	GET(fd, XSAVE, &old);
	CHECK(!memcmp(&old, s->xsave, sizeof(old)));
	GET(fd, XCRS, &s->xcrs);
	s->msrs.head.nmsrs = msr_list.head.nmsrs;
	for (i = 0; i < msr_list.head.nmsrs; i++)
		s->msrs.entries[i].index = msr_list.index[i];
	CHECK_EQ(ioctl(fd, KVM_GET_MSRS, &s->msrs.head), msr_list.head.nmsrs);
	GET(fd, LAPIC, &s->lapic);
	GET(fd, DEBUGREGS, &s->debug);
	GET(fd, MP_STATE, &s->mp);
	GET(fd, VCPU_EVENTS, &s->events);
	s->tsc_khz = ioctl(fd, KVM_GET_TSC_KHZ, 0);
}

/*
 * Both hold the x87's and the SSE registers, and the one that comes last says what they are: now
 * this one does, now that one, and the other has something else there.
 */
static void set_fpu(int fd, const struct vcpu_state *s)
{
	static uint8_t xsave[sizeof(s->xsave)] __attribute__((aligned(64)));
	static unsigned int turn;
	struct kvm_fpu fpu = s->fpu;

	/* A state that XSAVE has as its first one is so only where XSAVE comes last. */
	if (turn++ % 3 || (s->xsave[AREA_HEADER] & XCR0_SSE) != XCR0_SSE) {
		memset(fpu.fpr, 0x5a, sizeof(fpu.fpr));
		memset(fpu.xmm, 0x5a, sizeof(fpu.xmm));
		fpu.fcw ^= 0xc00;	/* the way of rounding */
		fpu.mxcsr ^= 0x6000;
		SET(fd, FPU, &fpu);
		SET(fd, XSAVE, s->xsave);
		return;
	}
	memcpy(xsave, s->xsave, sizeof(xsave));
	memset(xsave + AREA_X87, 0x5a, AREA_HEADER - 96 - AREA_X87);
	*(uint16_t *)xsave ^= 0xc00;
	*(uint32_t *)(xsave + AREA_MXCSR) ^= 0x6000;
	SET(fd, XSAVE, xsave);
	SET(fd, FPU, &fpu);
}

/* MTRRs and the like need CPUID; the LAPIC its base; the deadline the LAPIC and the TSC. */
static void set_vcpu(int fd, struct vcpu_state *s)
{
	static unsigned int sregs_turn;

	CHECK_OK(ioctl(fd, KVM_SET_CPUID2, &s->cpuid.head));
	CHECK_OK(ioctl(fd, KVM_SET_TSC_KHZ, s->tsc_khz));
	SET(fd, REGS, &s->regs);
	SET(fd, XCRS, &s->xcrs);
	/* No multiple of the vCPUs: each has both. */
	if (sregs_turn++ % 3)
		SET(fd, SREGS2, &s->sregs);
	else
		SET(fd, SREGS, &s->old_sregs);
	set_fpu(fd, s);
	SET(fd, LAPIC, &s->lapic);
	CHECK_EQ(ioctl(fd, KVM_SET_MSRS, &s->msrs.head), msr_list.head.nmsrs);
	SET(fd, DEBUGREGS, &s->debug);
	SET(fd, MP_STATE, &s->mp);
	SET(fd, VCPU_EVENTS, &s->events);
}

static void get_vm(struct vm *vm, struct vm_state *s, bool split)
{
	int i;

	GET(vm->fd, CLOCK, &s->clock);
	s->clock.flags = 0;
	for (i = 0; i < NR_CPUS; i++)
		get_vcpu(vm->vcpus[i].fd, &s->vcpu[i]);
	if (split)
		return;
	GET(vm->fd, PIT2, &s->pit);
	for (i = 0; i < 3; i++) {
		s->chip[i].chip_id = i;
		GET(vm->fd, IRQCHIP, &s->chip[i]);
	}
}

static void set_vm(struct vm *vm, struct vm_state *s, bool split)
{
	int i;

	for (i = 0; i < NR_CPUS; i++)
		set_vcpu(vm->vcpus[i].fd, &s->vcpu[i]);
	for (i = 0; i < 3 && !split; i++)
		SET(vm->fd, IRQCHIP, &s->chip[i]);
	if (!split)
		SET(vm->fd, PIT2, &s->pit);
	SET(vm->fd, CLOCK, &s->clock);
}

/* The VMM's own time between the begin of reading and the end of reading back */
static void compare_msrs(const struct vcpu_state *is, const struct vcpu_state *was, uint64_t ns)
{
	uint64_t cycles = ns * was->tsc_khz / 1000000;
	uint32_t i;

	for (i = 0; i < msr_list.head.nmsrs; i++) {
		uint32_t index = was->msrs.entries[i].index;
		uint64_t a = is->msrs.entries[i].data, b = was->msrs.entries[i].data;

		/*
		 * Time goes on, as fast as it does; a TSC that was read after another vCPU's is set
		 * in step with that one. A deadline that has passed reads as 0.
		 */
		if (a == b || (index == MSR_TSC && a - b + cycles <= 2 * cycles) ||
		    (index == MSR_TSC_DEADLINE && !a))
			continue;
		FAIL("MSR %#x is %#llx, not %#llx", index, (unsigned long long)a,
		     (unsigned long long)b);
	}
}

/* Timers go on: the current count, and what they ask for in the meantime. */
static void compare_lapic(const struct kvm_lapic_state *is, const struct kvm_lapic_state *was)
{
	unsigned int reg, n;

	for (reg = 0; reg < sizeof(is->regs); reg += 16) {
		uint32_t a = *(const uint32_t *)(is->regs + reg);
		uint32_t b = *(const uint32_t *)(was->regs + reg), may = 0;

		if (reg == APIC_TMCCT)
			continue;
		n = (reg - APIC_IRR) / 16;
		if (n == VEC_TIMER / 32)
			may |= 1u << VEC_TIMER % 32;
		if (n == VEC_PIT / 32)
			may |= 1u << VEC_PIT % 32;
		if ((a & ~may) != (b & ~may) || (b & ~a))
			FAIL("LAPIC register %#x is %#x, not %#x", reg, a, b);
	}
}

/* The 8254 raises and lowers line 0. */
static void compare_chips(struct vm_state *is, struct vm_state *was)
{
	int i;

	for (i = 0; i < 2; i++) {
		struct kvm_pic_state a = is->chip[i].chip.pic, b = was->chip[i].chip.pic;

		if (!i) {
			a.irr = (a.irr & ~1) | (b.irr & 1);
			a.last_irr = (a.last_irr & ~1) | (b.last_irr & 1);
		}
		CHECK(!memcmp(&a, &b, sizeof(a)));
	}
	CHECK_EQ(is->chip[2].chip.ioapic.base_address, was->chip[2].chip.ioapic.base_address);
	CHECK_EQ(is->chip[2].chip.ioapic.ioregsel, was->chip[2].chip.ioapic.ioregsel);
	CHECK_EQ(is->chip[2].chip.ioapic.id, was->chip[2].chip.ioapic.id);
	CHECK_EQ(is->chip[2].chip.ioapic.irr & ~1, was->chip[2].chip.ioapic.irr & ~1);
	for (i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		CHECK_EQ(is->chip[2].chip.ioapic.redirtbl[i].bits,
			 was->chip[2].chip.ioapic.redirtbl[i].bits);
	for (i = 0; i < 3; i++) {
		struct kvm_pit_channel_state a = is->pit.channels[i], b = was->pit.channels[i];

		a.count_load_time = b.count_load_time;
		CHECK(!memcmp(&a, &b, sizeof(a)));
	}
	CHECK_EQ(is->pit.flags, was->pit.flags);
}

/* What does not change by itself reads as it was set. */
static void compare(struct vcpu_state *a, struct vcpu_state *b, uint64_t ns)
{
	compare_msrs(a, b, ns);
	compare_lapic(&a->lapic, &b->lapic);
	CHECK(!memcmp(&a->cpuid, &b->cpuid, sizeof(a->cpuid)));
	CHECK(!memcmp(&a->regs, &b->regs, sizeof(a->regs)));
	CHECK(!memcmp(&a->sregs, &b->sregs, sizeof(a->sregs)));
	CHECK(!memcmp(&a->old_sregs, &b->old_sregs, sizeof(a->old_sregs)));
	CHECK(!memcmp(&a->fpu, &b->fpu, sizeof(a->fpu)));
	CHECK(!memcmp(a->xsave, b->xsave, sizeof(a->xsave)));
	CHECK(!memcmp(&a->xcrs, &b->xcrs, sizeof(a->xcrs)));
	CHECK(!memcmp(&a->debug, &b->debug, sizeof(a->debug)));
	CHECK(!memcmp(&a->mp, &b->mp, sizeof(a->mp)));
	CHECK(!memcmp(&a->events, &b->events, sizeof(a->events)));
	CHECK_EQ(a->tsc_khz, b->tsc_khz);
}

static void compare_vm(struct vm_state *is, struct vm_state *was, bool split, uint64_t ns)
{
	int i;

	for (i = 0; i < NR_CPUS; i++)
		compare(&is->vcpu[i], &was->vcpu[i], ns);
	CHECK(is->clock.clock >= was->clock.clock &&
	      is->clock.clock - was->clock.clock <= ns);
	if (!split)
		compare_chips(is, was);
}

/* The vCPUs' threads: they run, and stand still between the two barriers. */

static pthread_barrier_t parked, released;
static volatile bool park_wanted;
static uint64_t eois;		/* that vCPU 0 had the VMM's IOAPIC told of */

static void *run_vcpu(void *arg)
{
	struct vcpu *vcpu = arg;
	uint32_t value;
	int ret;

	for (;;) {
		ret = vcpu_go(vcpu, &value);
		if (ret == GO_DONE && value == PASS)
			return NULL;
		if (ret == KVM_EXIT_IOAPIC_EOI && !vcpu->id) {
			CHECK_EQ(vcpu->run->eoi.vector, VEC_PIT);
			eois++;
			continue;
		}
		if (ret != GO_INTR) {
			vcpu_dump(vcpu);
			FAIL("vCPU %d ended with %d", vcpu->id, ret);
		}
		if (!park_wanted)
			continue;
		pthread_barrier_wait(&parked);
		pthread_barrier_wait(&released);
	}
}

static void on_kick(int sig)
{
	(void)sig;
}

static void park(struct vm *vm, pthread_t *threads)
{
	int i;

	park_wanted = true;
	for (i = 0; i < NR_CPUS; i++) {
		vm->vcpus[i].run->immediate_exit = 1;
		CHECK(!pthread_kill(threads[i], SIGUSR1));
	}
	pthread_barrier_wait(&parked);
}

static void release(struct vm *vm)
{
	int i;

	park_wanted = false;
	for (i = 0; i < NR_CPUS; i++)
		vm->vcpus[i].run->immediate_exit = 0;
	pthread_barrier_wait(&released);
}

/* With a split irqchip the VMM is the IOAPIC, whose pin 0 has a level interrupt. */

#define LEVEL_MSI	(VEC_PIT | APIC_ASSERT | 1u << 15)

static void route(struct vm *vm)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} table = {
		.head.nr = 1,
		.entry = {
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = APIC_PAGE, .data = LEVEL_MSI },
		},
	};

	CHECK_OK(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &table));
}

static void wait_us(struct vm *vm, unsigned int us, bool split)
{
	struct kvm_msi msi = { .address_lo = APIC_PAGE, .data = LEVEL_MSI };

	if (split)
		CHECK_OK(ioctl(vm->fd, KVM_SIGNAL_MSI, &msi));
	usleep(us);
}

static struct vm *new_vm(void *ram, size_t size, bool split)
{
	struct vm *vm = vm_create(split ? VM_SPLIT : VM_IRQCHIP | VM_PIT);
	int i;

	if (split)
		route(vm);
	vm->ram = ram;
	vm->ram_size = size;
	vm_set_slot(vm, 0, 0, 0, size, ram);
	for (i = 0; i < NR_CPUS; i++)
		vcpu_add(vm, i);
	return vm;
}

/* @vm goes on as another VM: new fds behind the old struct. */
static void replace(struct vm *vm, struct vm_state *state, bool split)
{
	struct vm *fresh = new_vm(vm->ram, vm->ram_size, split);
	int i;

	set_vm(fresh, state, split);
	for (i = 0; i < NR_CPUS; i++) {
		munmap(vm->vcpus[i].run, vm->run_size);
		close(vm->vcpus[i].fd);
		vm->vcpus[i].fd = fresh->vcpus[i].fd;
		vm->vcpus[i].run = fresh->vcpus[i].run;
	}
	close(vm->fd);
	close(vm->sys);
	vm->fd = fresh->fd;
	vm->sys = fresh->sys;
	free(fresh);
}

static bool has_avx(struct vm *vm)
{
	struct kvm_cpuid_entry2 *e;
	struct cpuid c;

	cpuid_supported(vm->sys, &c);
	e = cpuid_find(&c, 1, 0);
	return e && (e->ecx & 1u << 28);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	CHECK_OK(clock_gettime(CLOCK_MONOTONIC, &t));
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* On one CPU they steal from each other, and hear of it wherever they are now. */
static void expect_stolen(struct vm *vm, pthread_t *threads, bool split)
{
	uint64_t before[NR_CPUS];
	cpu_set_t one;
	int i;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	for (i = 0; i < NR_CPUS; i++) {
		before[i] = GUEST_VAR(vm, cpus)[i].last_stolen;
		CHECK(!pthread_setaffinity_np(threads[i], sizeof(one), &one));
	}
	for (i = 0; i < NR_CPUS; i++)
		while (GUEST_VAR(vm, cpus)[i].last_stolen == before[i])
			wait_us(vm, 1000, split);
}

static void round_trips(int nr, bool fresh, bool split)
{
	static struct vm_state state, back;
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs = { { .value = XCR0_AVX } } };
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct sigaction sa = { .sa_handler = on_kick };
	uint64_t rounds[NR_CPUS], start = now_ns(), passed, parked_at;
	struct vm *vm = machine(split ? VM_SPLIT : VM_IRQCHIP | VM_PIT);
	pthread_t threads[NR_CPUS];
	unsigned int seed = getpid();
	int i, n;

	list_msrs(vm->sys);
	sigaction(SIGUSR1, &sa, NULL);
	CHECK(!pthread_barrier_init(&parked, NULL, NR_CPUS + 1));
	CHECK(!pthread_barrier_init(&released, NULL, NR_CPUS + 1));
	GUEST_VAR(vm, rt_avx) = has_avx(vm);
	GUEST_VAR(vm, rt_split) = split;
	if (split)
		route(vm);
	for (i = 0; i < NR_CPUS; i++) {
		struct vcpu *vcpu = machine_vcpu(vm, g_busy);

		if (has_avx(vm))
			CHECK_OK(ioctl(vcpu->fd, KVM_SET_XCRS, &xcrs));
		CHECK_OK(ioctl(vcpu->fd, KVM_SET_MP_STATE, &runnable));
	}
	for (i = 0; i < NR_CPUS; i++)
		CHECK(!pthread_create(&threads[i], NULL, run_vcpu, &vm->vcpus[i]));

	for (n = 0; n < nr; n++) {
		wait_us(vm, rand_r(&seed) % 1000, split);
		park(vm, threads);
		parked_at = now_ns();
		get_vm(vm, &state, split);
		if (fresh)
			replace(vm, &state, split);
		else
			set_vm(vm, &state, split);
		get_vm(vm, &back, split);
		compare_vm(&back, &state, split, now_ns() - parked_at);
		release(vm);
	}
	/* It was not only stopped: it got on. */
	for (i = 0; i < NR_CPUS; i++)
		rounds[i] = GUEST_VAR(vm, cpus)[i].rounds;
	for (i = 0; i < NR_CPUS; i++)
		while (GUEST_VAR(vm, cpus)[i].rounds < rounds[i] + 20)
			wait_us(vm, 1000, split);
	expect_stolen(vm, threads, split);
	/*
	 * PV EOI is in use, be it only now that nobody disturbs any more. A CPU that ends interrupts by
	 * itself has no need of it.
	 */
	for (i = 0; i < NR_CPUS; i++)
		while (!cpu_delivers() && !GUEST_VAR(vm, cpus)[i].unended)
			wait_us(vm, 1000, split);
	GUEST_VAR(vm, rt_stop) = 1;
	for (i = 0; i < NR_CPUS; i++)
		while (pthread_tryjoin_np(threads[i], NULL))
			wait_us(vm, 1000, split);
	/* No more than there was */
	passed = now_ns() - start;
	for (i = 0; i < NR_CPUS; i++) {
		CHECK(GUEST_VAR(vm, cpus)[i].last_stolen <= passed);
		CHECK(GUEST_VAR(vm, cpus)[i].last_clock <= passed);
		CHECK(GUEST_VAR(vm, cpus)[i].last_tsc / back.vcpu[i].tsc_khz <= passed / 1000000 + 1);
	}
	/* Each level interrupt's end was told, and told once. */
	CHECK_EQ(eois, split ? GUEST_VAR(vm, rt_pit) : 0);
	test_note("%d times, the guest's rounds: %llu and %llu", nr,
		  (unsigned long long)GUEST_VAR(vm, cpus)[0].rounds,
		  (unsigned long long)GUEST_VAR(vm, cpus)[1].rounds);
}

TEST(round_trip, .timeout = 200)
{
	round_trips(1000, false, false);
}

TEST(round_trip_fresh_vm, .timeout = 200)
{
	round_trips(300, true, false);
}

TEST(round_trip_split, .timeout = 200)
{
	round_trips(300, false, true);
}

TEST(round_trip_split_fresh_vm, .timeout = 200)
{
	round_trips(100, true, true);
}
