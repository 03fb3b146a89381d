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
			vcpu_mode(vcpu, below(&r, LONG + 1), below(&r, RAM));
			break_state(&r, vcpu);
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
	};
	uint64_t end = now() + amount(6000, 300000);

	for (; now() < end; s.from += s.n) {
		CHECK_EQ(reap_child(spawn(some_guests, &s), 100), 0);
		if (s.from % 100 == 95)
			test_note("at %llu", (unsigned long long)s.from + s.n);
	}
	test_note("%llu guests, %llu interrupts and exceptions brought into those with a LAPIC",
		  (unsigned long long)s.from, (unsigned long long)*s.injected);
	CHECK(on_kvm() || *s.injected > s.from / 2);
	expect_users(0);
}
