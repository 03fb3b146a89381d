// SPDX-License-Identifier: GPL-2.0
/* Guests that execute random bytes from a random state. */
#include <sys/time.h>

#include "abuse.h"
#include "stats.h"

#define CODE	0x100000	/* random bytes, beside those at GUEST_BLOB */
#define CODE_SIZE 0x100000
#define RAM	(CODE + CODE_SIZE)
#define MAX_EXITS 200

/* Mostly the state that vcpu_mode() made, with some of it broken. */
static void break_state(struct rng *r, struct vcpu *vcpu)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	spare_emulator(&sregs);
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &sregs));
	fill_random(r, &regs, sizeof(regs));
	regs.rip = below(r, 4) ? CODE + below(r, CODE_SIZE) : below(r, 0x10000);
	if (!(sregs.cr0 & X86_CR0_PE))
		regs.rip &= 0xffff;
	regs.rsp = below(r, RAM);
	regs.rflags = X86_EFLAGS_FIXED | (rng64(r) & 0x3f7fd7);
	if (below(r, 2))
		regs.rflags &= ~X86_EFLAGS_TF;
	switch (below(r, 8)) {
	case 0:
		sregs.cr4 ^= 1ull << below(r, 23);
		break;
	case 1:
		sregs.cr0 ^= 1ull << below(r, 32);
		break;
	case 2:
		sregs.efer ^= 1ull << below(r, 16);
		break;
	case 3:
		fill_random(r, &sregs.cs, sizeof(sregs.cs));
		break;
	case 4:
		fill_random(r, &sregs.ss, sizeof(sregs.ss));
		fill_random(r, &sregs.ldt, sizeof(sregs.ldt));
		break;
	case 5:
		sregs.idt.base = below(r, RAM);
		sregs.gdt.base = below(r, RAM);
		sregs.idt.limit = rng64(r);
		break;
	case 6:
		sregs.cr3 = odd(r);
		break;
	}
	spare_emulator(&sregs);
	/* Refused states are fine. */
	ioctl(vcpu->fd, KVM_SET_SREGS, &sregs);
	ioctl(vcpu->fd, KVM_SET_REGS, &regs);
}

/* ---- the rest of a vCPU's state ---- */

enum { DEBUGREGS, EVENTS, FPU, XSAVE, XCRS, MSRS, MP_STATE, STATES };

static const char *const state_names[STATES] = {
	"debug registers", "events", "FPU", "XSAVE", "XCRs", "MSRs", "MP state",
};

union state {
	struct kvm_debugregs debug;
	struct kvm_vcpu_events events;
	struct kvm_fpu fpu;
	struct kvm_xsave xsave;
	struct kvm_xcrs xcrs;
	struct kvm_mp_state mp;
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e;
	} msr;
};

/* What a guest can do the most with; none that counts by itself. */
static const uint32_t msrs[] = {
	0x1b, 0x48, 0xd90, 0x174, 0x175, 0x176, 0x1a0, 0x1d9, 0x200, 0x201, 0x250, 0x277, 0x2ff,
	0x179, 0x17a, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
	0xc0000101, 0xc0000102, 0xc0000103, 0xc0010015, 0xc0010117, 0x4b564d00, 0x4b564d01,
	0x4b564d02, 0x4b564d03, 0x4b564d04,
};

static int get_state(struct vcpu *vcpu, unsigned int kind, uint32_t msr, union state *s)
{
	memset(s, 0, sizeof(*s));
	switch (kind) {
	case DEBUGREGS:
		return ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &s->debug);
	case EVENTS:
		return ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &s->events);
	case FPU:
		return ioctl(vcpu->fd, KVM_GET_FPU, &s->fpu);
	case XSAVE:
		return ioctl(vcpu->fd, KVM_GET_XSAVE, &s->xsave);
	case XCRS:
		return ioctl(vcpu->fd, KVM_GET_XCRS, &s->xcrs);
	case MP_STATE:
		return ioctl(vcpu->fd, KVM_GET_MP_STATE, &s->mp);
	}
	s->msr.head.nmsrs = 1;
	s->msr.e.index = msr;
	return ioctl(vcpu->fd, KVM_GET_MSRS, &s->msr) == 1 ? 0 : -1;
}

/* -1 when it was refused; of MSRs that is told by the number of those set. */
static int set_state(struct vcpu *vcpu, unsigned int kind, union state *s)
{
	switch (kind) {
	case DEBUGREGS:
		return ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &s->debug);
	case EVENTS:
		return ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &s->events);
	case FPU:
		return ioctl(vcpu->fd, KVM_SET_FPU, &s->fpu);
	case XSAVE:
		return ioctl(vcpu->fd, KVM_SET_XSAVE, &s->xsave);
	case XCRS:
		return ioctl(vcpu->fd, KVM_SET_XCRS, &s->xcrs);
	case MP_STATE:
		return ioctl(vcpu->fd, KVM_SET_MP_STATE, &s->mp);
	}
	errno = EINVAL;
	return ioctl(vcpu->fd, KVM_SET_MSRS, &s->msr) == 1 ? 0 : -1;
}

/* The state that there is with some of it random: half the time within what may be. */
static void change_state(struct rng *r, unsigned int kind, union state *s)
{
	bool wild = below(r, 2);

	switch (kind) {
	case DEBUGREGS:
		fill_random(r, s->debug.db, sizeof(s->debug.db));
		s->debug.dr6 = wild ? odd(r) : 0xffff0ff0 | below(r, 16);
		s->debug.dr7 = wild ? odd(r) : 0x400 | (rng64(r) & 0xffff03ff);
		/*
		 * TCG leaves breakpoints in place when the guest exits, and dies of an assertion of
		 * its own, with lhv in one of five runs and with KVM in one of ten.
		 */
		if (test_in_emulator())
			s->debug.dr7 &= ~0xffull;
		break;
	case EVENTS:
		if (wild) {
			fill_random(r, &s->events, sizeof(s->events));
			break;
		}
		s->events.exception.injected = below(r, 2);
		s->events.exception.nr = below(r, 8) ? 13 : 14;
		s->events.exception.has_error_code = 1;
		s->events.exception.error_code = below(r, 32);
		s->events.interrupt.nr = 32 + below(r, 224);
		s->events.interrupt.injected = below(r, 2);
		s->events.nmi.pending = below(r, 2);
		s->events.nmi.masked = below(r, 2);
		break;
	case FPU:
		fill_random(r, &s->fpu, sizeof(s->fpu));
		if (!wild)
			s->fpu.mxcsr &= 0xffff;
		break;
	case XSAVE:
		/* The legacy part; then the header, which says what there is behind it. */
		fill_random(r, &s->xsave, wild ? 576 : 24);
		if (!wild)
			s->xsave.region[6] = below(r, 0x10000);
		break;
	case XCRS:
		s->xcrs.xcrs[0].value = wild ? odd(r) : 1 | below(r, 4) * 2;
		s->xcrs.xcrs[0].xcr = below(r, 16) ? 0 : odd(r);
		if (wild)
			s->xcrs.nr_xcrs = below(r, KVM_MAX_XCRS + 2);
		break;
	case MSRS:
		s->msr.e.data = wild ? rng64(r) : odd(r);
		break;
	case MP_STATE:
		s->mp.mp_state = wild ? odd(r) : below(r, 2) * below(r, 5);
		break;
	}
}

/* A change that is refused is none. */
static void break_more(struct rng *r, struct vcpu *vcpu, uint64_t *accepted, uint64_t *refused)
{
	union state old, is, wanted;
	unsigned int kind;

	for (kind = 0; kind < STATES; kind++) {
		uint32_t msr = msrs[below(r, sizeof(msrs) / sizeof(msrs[0]))];

		if (below(r, 4))
			continue;
		if (get_state(vcpu, kind, msr, &old))
			continue;	/* not every vCPU has every MSR */
		wanted = old;
		change_state(r, kind, &wanted);
		if (!set_state(vcpu, kind, &wanted)) {
			accepted[kind]++;
			continue;
		}
		if (errno != EINVAL)
			FAIL("%s: %s", state_names[kind], strerror(errno));
		refused[kind]++;
		CHECK_OK(get_state(vcpu, kind, msr, &is));
		if (memcmp(&is, &old, sizeof(is)))
			FAIL("%s %#x: refused, and another than before", state_names[kind],
			     kind == MSRS ? msr : 0);
	}
}

/* Its LAPIC takes interrupts, from now on in most cases. */
static void lapic_on(struct rng *r, struct vcpu *vcpu)
{
	struct kvm_lapic_state lapic;
	uint32_t *svr = (uint32_t *)(lapic.regs + APIC_SVR);
	uint32_t *tpr = (uint32_t *)(lapic.regs + APIC_TPR);

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic));
	*svr = below(r, 4) ? 0x1ff : below(r, 0x200);
	*tpr = below(r, 2) ? 0 : below(r, 0x100);
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic));
}

/* An interrupt of some kind; what is refused is fine. */
static void interrupt(struct rng *r, struct vcpu *vcpu)
{
	struct kvm_irq_level line = { .irq = below(r, 24), .level = below(r, 2) };
	struct kvm_msi msi = {
		.address_lo = APIC_PAGE | (below(r, 8) ? 0 : below(r, 0x100000)),
		.data = below(r, 2) ? below(r, 0x100) : below(r, 0x10000),
	};

	switch (below(r, 8)) {
	case 0:
		ioctl(vcpu->vm->fd, KVM_IRQ_LINE, &line);
		break;
	case 1:
		ioctl(vcpu->fd, KVM_NMI, 0);
		break;
	default:
		ioctl(vcpu->vm->fd, KVM_SIGNAL_MSI, &msi);
	}
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* False when the vCPU can't go on. */
static bool run_bytes(struct rng *r, struct vcpu *vcpu, bool lapic)
{
	struct kvm_run *run = vcpu->run;
	uint64_t end = now() + 20;
	int i;

	for (i = 0; i < MAX_EXITS && now() < end; i++) {
		if (lapic && below(r, 2))
			interrupt(r, vcpu);
		if (ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			CHECK(errno != EIO);	/* a state that should not exist */
			return true;
		}
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			fill_random(r, (uint8_t *)run + run->io.data_offset,
				    run->io.size * run->io.count);
			break;
		case KVM_EXIT_MMIO:
			fill_random(r, run->mmio.data, 8);
			break;
		case KVM_EXIT_IRQ_WINDOW_OPEN:
		case KVM_EXIT_SET_TPR:
		case KVM_EXIT_IOAPIC_EOI:
		case KVM_EXIT_HLT:
		case KVM_EXIT_DEBUG:
			break;
		case KVM_EXIT_FAIL_ENTRY:
			/* TCG leaves the host's state in the guest's place. */
			return false;
		default:
			return true;
		}
	}
	return true;
}

/*
 * A signal every 5 ms; off while a VM is made: KVM_CREATE_VM is interrupted by signals and begins
 * anew, for ever where it takes longer than that (the debug kernel in Bochs).
 */
static void alarms(bool on)
{
	struct itimerval t = { 0 };
	struct sigaction sa = { .sa_handler = on_alarm };

	if (on)
		t.it_interval.tv_usec = t.it_value.tv_usec = 5000;
	CHECK_OK(sigaction(SIGALRM, &sa, NULL));
	CHECK_OK(setitimer(ITIMER_REAL, &t, NULL));
}

struct some {
	uint64_t seed, from, n;
	uint64_t *injected;	/* shared: what was brought into guests with a LAPIC */
	uint64_t *accepted, *refused;	/* shared: by kind of state */
};

static uint64_t injections(struct vcpu *vcpu)
{
	struct stats s;
	uint64_t n;
	int fd;

	if (on_kvm())
		return 0;
	fd = CHECK_OK(ioctl(vcpu->fd, KVM_GET_STATS_FD, 0));
	stats_open(fd, &s);
	n = stats_get(fd, &s, "injections");
	free(s.descs);
	close(fd);
	return n;
}

static void some_guests(void *arg)
{
	static const unsigned int chips[] = { 0, VM_IRQCHIP, VM_IRQCHIP | VM_PIT, VM_SPLIT };
	struct some *s = arg;
	struct kvm_mp_state runs = { .mp_state = KVM_MP_STATE_RUNNABLE };
	uint64_t i, j;
	struct rng r;

	for (i = s->from; i < s->from + s->n; i++) {
		struct kvm_sregs fresh;
		unsigned int flags;
		struct vcpu *vcpu;
		struct vm *vm;

		rng_init(&r, s->seed, i);
		flags = chips[below(&r, 4)];
		alarms(false);
		vm = machine(flags);
		vcpu = machine_vcpu(vm, NULL);
		CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &fresh));
		fill_random(&r, vm->ram + GUEST_BLOB, 0x10000);
		fill_random(&r, vm->ram + CODE, CODE_SIZE);
		alarms(true);
		for (j = 0; j < 20; j++) {
			CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &fresh));
			CHECK_OK(ioctl(vcpu->fd, KVM_SET_MP_STATE, &runs));
			vcpu_mode(vcpu, below(&r, LONG + 1), below(&r, RAM));
			break_state(&r, vcpu);
			break_more(&r, vcpu, s->accepted, s->refused);
			if (flags)
				lapic_on(&r, vcpu);
			if (!run_bytes(&r, vcpu, flags))
				break;
		}
		if (flags)
			*s->injected += injections(vcpu);
		munmap(vcpu->run, vm->run_size);
		close(vcpu->fd);
		close(vm->fd);
		close(vm->sys);
		munmap(vm->ram, vm->ram_size);
		free(vm);
	}
}

TEST(random_guests, .timeout = 240)
{
	struct some s = {
		.seed = abuse_seed(), .n = 5, .injected = map_shared(),
		.accepted = map_shared(), .refused = map_shared(),
	};
	unsigned int kind;
	uint64_t end = now() + amount(6000, 300000);

	for (; now() < end; s.from += s.n) {
		CHECK_EQ(reap_child(spawn(some_guests, &s), 100), 0);
		if (s.from % 100 == 95)
			test_note("at %llu", (unsigned long long)s.from + s.n);
	}
	test_note("%llu guests, %llu interrupts and exceptions brought into those with a LAPIC",
		  (unsigned long long)s.from, (unsigned long long)*s.injected);
	CHECK(on_kvm() || *s.injected > s.from / 2);
	for (kind = 0; kind < STATES; kind++) {
		test_note("%s: %llu accepted, %llu refused", state_names[kind],
			  (unsigned long long)s.accepted[kind], (unsigned long long)s.refused[kind]);
		CHECK(s.accepted[kind] || s.from < 20);
	}
	expect_nothing();
}
