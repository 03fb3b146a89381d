// SPDX-License-Identifier: GPL-2.0
/*
 * Time in the guest: TSC offset and rate, kvmclock, wall clock, steal time.
 *
 * kvmclock on a host with a stable TSC is one (host TSC, nanoseconds) pair per VM that
 * advances at the TSC's rate. Every vCPU's page is computed from that pair, so all vCPUs
 * agree to the nanosecond, which is what PVCLOCK_TSC_STABLE_BIT promises; it is given only
 * while the vCPUs also share one TSC offset and rate, because guests read vCPU 0's page on all of
 * them. A TSC is stable that the CPU calls invariant, or by which the host tells its own time. On
 * other hosts each page is sampled when it is written and the bit is withheld.
 */
#include <linux/clocksource.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/notifier.h>
#include <linux/pvclock_gtod.h>
#include <linux/sched/stat.h>
#include <linux/timekeeper_internal.h>
#include <asm/kvm_para.h>
#include <asm/pvclock-abi.h>
#include <asm/tsc.h>

#include "lhv.h"
#include "cpu/cpu_priv.h"

/* Guest TSC writes by the VMM within this span of what the TSC would read mean "synchronise". */
#define SYNC_WINDOW_NS		NSEC_PER_SEC
/* KVM_SET_TSC_KHZ: what counts as the host's own rate, and needs no scaling. */
#define TSC_TOLERANCE_PPM	250
/* Writes that are further apart are not meant to be the same moment. */
#define MAX_SYNC_NS		BIT_ULL(52)
/* How long a guest goes by one sample of a clock that is not the TSC. */
#define REFRESH_PERIOD		HZ

/* The host tells its own time by the TSC, whatever the CPU promises (tsc=reliable, for one). */
static bool host_trusts_tsc;

struct clock_note {
	struct notifier_block nb;
	bool tsc;
};

static int note_clock(struct notifier_block *nb, unsigned long was_set, void *data)
{
	const struct timekeeper *tk = data;

	container_of(nb, struct clock_note, nb)->tsc =
		tk->tkr_mono.clock->vdso_clock_mode == VDSO_CLOCKMODE_TSC;
	return 0;
}

/**
 * lhv_clock_setup() - what is the host's clock?
 *
 * Module init. The host may turn to another one later; what it finds wrong with the TSC then,
 * check_tsc_unstable() says. Process context.
 */
void lhv_clock_setup(void)
{
	struct clock_note note = { .nb.notifier_call = note_clock };

	/* It is told at once. */
	if (!pvclock_gtod_register_notifier(&note.nb))
		pvclock_gtod_unregister_notifier(&note.nb);
	host_trusts_tsc = note.tsc;
}

bool lhv_host_tsc_invariant(void)
{
	return boot_cpu_has(X86_FEATURE_CONSTANT_TSC) && boot_cpu_has(X86_FEATURE_NONSTOP_TSC) &&
	       !check_tsc_unstable();
}

/* Good enough for kvmclock. What it is lost by is never undone. */
bool lhv_host_tsc_stable(void)
{
	return lhv_host_tsc_invariant() || (host_trusts_tsc && !check_tsc_unstable());
}

/**
 * lhv_tsc_scale() - factors from cycles to nanoseconds, as pvclock wants them
 * @khz: cycles per millisecond, not 0
 * @mul: 32-bit binary fraction, at least 1/2
 * @shift: ns = (cycles << shift) * mul >> 32
 */
void lhv_tsc_scale(u32 khz, u32 *mul, s8 *shift)
{
	const u64 num = (u64)NSEC_PER_SEC << 32;
	u64 hz = khz * 1000ull;
	u64 q = div64_u64(num, hz);
	int s = 0;

	while (q >> 32)
		q = div64_u64(num >> ++s, hz);
	while (q < BIT(31))
		q = div64_u64(num, hz >> -(--s));
	*mul = q;
	*shift = s;
}

static u64 cycles_to_ns(const struct lhv_clock *clock, u64 cycles)
{
	return mul_u64_u32_shr(cycles, clock->mul, 32 - clock->shift);
}

/* Cycles of the guest's TSC. */
u64 lhv_tsc_to_ns(struct lhv_vcpu *vcpu, u64 cycles)
{
	const struct lhv_cpu *cpu = &vcpu->cpu_state;

	return mul_u64_u32_shr(cycles, cpu->tsc_mul, 32 - cpu->tsc_shift);
}

/* What the CPU makes of the host's TSC before it adds the offset. */
static u64 scaled(u64 host_tsc, u64 ratio)
{
	if (likely(ratio == LHV_TSC_UNSCALED))
		return host_tsc;
	return mul_u64_u64_shr(host_tsc, ratio, LHV_TSC_FRACTION);
}

u64 lhv_guest_tsc(struct lhv_vcpu *vcpu, u64 host_tsc)
{
	const struct lhv_cpu *cpu = &vcpu->cpu_state;

	return scaled(host_tsc, cpu->tsc_ratio) + cpu->tsc_offset;
}

/* ---- kvmclock's base ---- */

/*
 * The TSC was found to be unstable after all: go on from where the clock is, at the pace
 * of the host's clock.
 */
static void check_stable(struct lhv_clock *clock)
{
	u64 now;

	lockdep_assert_held(&clock->lock);
	if (!clock->stable || lhv_host_tsc_stable())
		return;
	now = clock->base_ns + cycles_to_ns(clock, rdtsc() - clock->base_tsc);
	clock->offset = now - ktime_get_boottime_ns();
	clock->stable = false;
}

/* kvmclock and the host TSC at one moment. */
static u64 sample(struct lhv_clock *clock, u64 *host_tsc)
{
	lockdep_assert_held(&clock->lock);
	lockdep_assert_irqs_disabled();

	check_stable(clock);
	*host_tsc = rdtsc();
	if (clock->stable)
		return clock->base_ns + cycles_to_ns(clock, *host_tsc - clock->base_tsc);
	return ktime_get_boottime_ns() + clock->offset;
}

static void set_base(struct lhv_clock *clock, u64 ns)
{
	lockdep_assert_held(&clock->lock);
	clock->base_tsc = rdtsc();
	clock->base_ns = ns;
	clock->offset = ns - ktime_get_boottime_ns();
}

/**
 * lhv_clock_init_vm() - start the VM's clock and TSC at 0
 * @vm: the VM, not yet published
 */
void lhv_clock_init_vm(struct lhv_vm *vm)
{
	struct lhv_clock *clock = &vm->clock;
	unsigned long flags;

	raw_spin_lock_init(&clock->lock);
	clock->tsc_khz = lhv_host_tsc_khz();
	clock->guest_khz = clock->tsc_khz;
	clock->tsc_ratio = LHV_TSC_UNSCALED;
	lhv_tsc_scale(clock->tsc_khz, &clock->mul, &clock->shift);
	raw_spin_lock_irqsave(&clock->lock, flags);
	clock->stable = lhv_host_tsc_stable();
	set_base(clock, 0);
	clock->tsc_base_host = clock->base_tsc;
	clock->tsc_base_guest = 0;
	raw_spin_unlock_irqrestore(&clock->lock, flags);
}

/* Every page has to be written anew: the base or somebody's TSC offset changed. */
static void update_all(struct lhv_vm *vm)
{
	struct lhv_vcpu *vcpu;
	int i;

	lhv_for_each_vcpu(i, vcpu, vm)
		lhv_request(vcpu, LHV_REQ_CLOCK);
}

/**
 * lhv_get_clock() - the body of KVM_GET_CLOCK
 * @vm: the VM
 * @data: result
 *
 * Return: 0.
 */
int lhv_get_clock(struct lhv_vm *vm, struct kvm_clock_data *data)
{
	struct lhv_clock *clock = &vm->clock;
	unsigned long flags;

	memset(data, 0, sizeof(*data));
	raw_spin_lock_irqsave(&clock->lock, flags);
	data->clock = sample(clock, &data->host_tsc);
	data->realtime = ktime_get_real_ns();
	if (clock->stable)
		data->flags = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	if (!data->flags) {
		data->realtime = 0;
		data->host_tsc = 0;
	}
	return 0;
}

/**
 * lhv_set_clock() - the body of KVM_SET_CLOCK
 * @vm: the VM
 * @data: with KVM_CLOCK_REALTIME the time that passed since then is added
 *
 * Return: 0 or -EINVAL.
 */
int lhv_set_clock(struct lhv_vm *vm, const struct kvm_clock_data *data)
{
	struct lhv_clock *clock = &vm->clock;
	unsigned long irqflags;
	u64 ns = data->clock, real;

	if (data->flags & ~(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC))
		return -EINVAL;

	raw_spin_lock_irqsave(&clock->lock, irqflags);
	check_stable(clock);
	if (data->flags & KVM_CLOCK_REALTIME) {
		real = ktime_get_real_ns();
		/* A host whose clock is behind must not turn the guest's back. */
		if (real > data->realtime)
			ns += real - data->realtime;
	}
	set_base(clock, ns);
	raw_spin_unlock_irqrestore(&clock->lock, irqflags);
	update_all(vm);
	return 0;
}

/* ---- the guest's TSC ---- */

/* Offset or rate. */
static void tsc_changed(struct lhv_vcpu *vcpu)
{
	lhv_backend->set_tsc_offset(vcpu, vcpu->cpu_state.tsc_offset);
	if (vcpu->lapic)
		lhv_lapic_restart_timer(vcpu);
	lhv_request_self(vcpu, LHV_REQ_CLOCK);
	update_all(vcpu->vm);
}

static void set_offset(struct lhv_vcpu *vcpu, u64 offset)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;

	if (cpu->tsc_offset == offset)
		return;
	WRITE_ONCE(cpu->tsc_offset, offset);
	tsc_changed(vcpu);
}

/* What makes a vCPU of this rate run in step with its siblings. */
static u64 base_offset(const struct lhv_clock *clock, u64 ratio)
{
	lockdep_assert_held(&clock->lock);
	return clock->tsc_base_guest - scaled(clock->tsc_base_host, ratio);
}

/* Can guests have TSCs of another rate than the host's? */
bool lhv_tsc_scales(void)
{
	return lhv_backend->max_tsc_ratio && lhv_backend->max_tsc_ratio();
}

/*
 * The ratio for a rate; 0 for one that can't be had. What the host's differs by less is not
 * scaled, and then @khz is the host's.
 */
static u64 ratio_of(const struct lhv_clock *clock, u32 *khz)
{
	u32 own = clock->tsc_khz;
	u32 slack = div_u64((u64)own * TSC_TOLERANCE_PPM, USEC_PER_SEC);
	u64 ratio;

	if (!*khz || (*khz >= own - slack && *khz <= own + slack)) {
		*khz = own;
		return LHV_TSC_UNSCALED;
	}
	/* The quotient has to fit, and rates to be positive as a return value. */
	if (!lhv_tsc_scales() || *khz > S32_MAX || *khz / own >= BIT(63 - LHV_TSC_FRACTION))
		return 0;
	ratio = mul_u64_u32_div(LHV_TSC_UNSCALED, *khz, own);
	return ratio < lhv_backend->max_tsc_ratio() ? ratio : 0;
}

static void set_rate(struct lhv_cpu *cpu, u32 khz, u64 ratio)
{
	cpu->tsc_khz = khz;
	WRITE_ONCE(cpu->tsc_ratio, ratio);
	lhv_tsc_scale(khz, &cpu->tsc_mul, &cpu->tsc_shift);
}

/* A new vCPU gets the TSC that its siblings have. The backend hears of it at reset. */
void lhv_clock_create(struct lhv_vcpu *vcpu)
{
	struct lhv_clock *clock = &vcpu->vm->clock;
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	u32 khz = READ_ONCE(clock->guest_khz);
	unsigned long flags;

	set_rate(cpu, khz, ratio_of(clock, &khz));
	raw_spin_lock_irqsave(&clock->lock, flags);
	clock->tsc_ratio = cpu->tsc_ratio;
	cpu->tsc_offset = base_offset(clock, cpu->tsc_ratio);
	cpu->tsc_lost = clock->tsc_lost;
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	cpu->clock_refresh = jiffies;
}

/*
 * A VMM that restores or resets a VM writes each vCPU's TSC in turn, and means all of them
 * to run in step although time passes in between: what is close to the value that the last
 * write would have reached by now, and a plain 0, join the others.
 */
static u64 synchronise(struct lhv_clock *clock, const struct lhv_cpu *cpu, u64 data)
{
	u64 now_ns = ktime_get_boottime_ns(), now_tsc = rdtsc(), window, expected;
	u64 passed = now_ns - clock->last_write_ns;

	lockdep_assert_held(&clock->lock);
	window = div_u64(SYNC_WINDOW_NS, NSEC_PER_MSEC) * cpu->tsc_khz;
	if (clock->last_write_ns && passed < MAX_SYNC_NS) {
		expected = clock->last_write_tsc +
			   mul_u64_u32_div(passed, cpu->tsc_khz, NSEC_PER_MSEC);
		if (data - expected + window <= 2 * window)
			return base_offset(clock, cpu->tsc_ratio);
	}
	if (data) {
		clock->last_write_tsc = data;
		clock->last_write_ns = now_ns;
		clock->tsc_base_guest = data;
		clock->tsc_base_host = now_tsc;
	}
	return base_offset(clock, cpu->tsc_ratio);
}

/**
 * lhv_clock_write_tsc() - MSR_IA32_TSC is written
 * @vcpu: the vCPU; either tier
 * @data: the new value
 * @host: by the VMM
 */
void lhv_clock_write_tsc(struct lhv_vcpu *vcpu, u64 data, bool host)
{
	struct lhv_clock *clock = &vcpu->vm->clock;
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	unsigned long flags;
	u64 offset;

	if (host) {
		raw_spin_lock_irqsave(&clock->lock, flags);
		offset = synchronise(clock, cpu, data);
		raw_spin_unlock_irqrestore(&clock->lock, flags);
	} else {
		offset = data - scaled(rdtsc(), cpu->tsc_ratio);
		/* SDM Vol 3B "IA32_TSC_ADJUST Register and TSC Support" */
		cpu->tsc_adjust += offset - cpu->tsc_offset;
	}
	set_offset(vcpu, offset);
}

/**
 * lhv_clock_set_offset() - KVM_VCPU_TSC_OFFSET is set
 * @vcpu: the vCPU, its lock held
 * @offset: what the guest's TSC is ahead of the host's, at the guest's rate
 *
 * vCPUs that come later, and TSCs written from now on, keep in step with this one.
 */
void lhv_clock_set_offset(struct lhv_vcpu *vcpu, u64 offset)
{
	struct lhv_clock *clock = &vcpu->vm->clock;
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	unsigned long flags;

	raw_spin_lock_irqsave(&clock->lock, flags);
	clock->tsc_base_host = rdtsc();
	clock->tsc_base_guest = scaled(clock->tsc_base_host, cpu->tsc_ratio) + offset;
	clock->last_write_ns = ktime_get_boottime_ns();
	clock->last_write_tsc = clock->tsc_base_guest;
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	set_offset(vcpu, offset);
}

void lhv_clock_adjust(struct lhv_vcpu *vcpu, u64 delta)
{
	set_offset(vcpu, vcpu->cpu_state.tsc_offset + delta);
}

/**
 * lhv_set_tsc_khz() - the body of KVM_SET_TSC_KHZ
 * @vcpu: the vCPU, its lock held
 * @khz: the rate that the guest is to see; 0: the host's
 *
 * Its TSC is what it would be, had it had this rate from the beginning.
 * Return: 0, or -EINVAL: the CPU can't scale its TSC, or not by so much.
 */
int lhv_set_tsc_khz(struct lhv_vcpu *vcpu, u32 khz)
{
	struct lhv_clock *clock = &vcpu->vm->clock;
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	u64 ratio = ratio_of(clock, &khz), delta;
	unsigned long flags;

	if (!ratio)
		return -EINVAL;
	if (ratio == cpu->tsc_ratio)
		return 0;
	raw_spin_lock_irqsave(&clock->lock, flags);
	clock->tsc_ratio = ratio;
	delta = base_offset(clock, ratio) - base_offset(clock, cpu->tsc_ratio);
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	set_rate(cpu, khz, ratio);
	/* The rate alone would be news enough. */
	WRITE_ONCE(cpu->tsc_offset, cpu->tsc_offset + delta);
	tsc_changed(vcpu);
	return 0;
}

/**
 * lhv_set_vm_tsc_khz() - KVM_SET_TSC_KHZ of a VM: the rate that its vCPUs start with
 * @vm: the VM, its lock held
 * @khz: as above
 *
 * Return: 0, or -EINVAL: as above, or it has vCPUs already.
 */
int lhv_set_vm_tsc_khz(struct lhv_vm *vm, u32 khz)
{
	if (!ratio_of(&vm->clock, &khz) || lhv_nr_vcpus(vm))
		return -EINVAL;
	WRITE_ONCE(vm->clock.guest_khz, khz);
	return 0;
}

/**
 * lhv_clock_moved() - the vCPU is about to enter on another CPU than last time
 * @vcpu: the vCPU
 *
 * Context: the vCPU's thread with preemption off. Nothing to do where the TSC is the
 * same everywhere; elsewhere the guest must not see its TSC go back, and its page is
 * sampled on this CPU.
 */
void lhv_clock_moved(struct lhv_vcpu *vcpu)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	u64 now;

	if (likely(READ_ONCE(vcpu->vm->clock.stable) && !check_tsc_unstable()))
		return;
	now = rdtsc();
	if (cpu->load_tsc > now)
		set_offset(vcpu, cpu->tsc_offset + scaled(cpu->load_tsc - now, cpu->tsc_ratio));
	cpu->load_tsc = now;
	if (cpu->kvmclock_msr & KVM_MSR_ENABLED)
		lhv_request_self(vcpu, LHV_REQ_CLOCK);
}

/*
 * Suspend may stop the TSC or set it back to 0. kvmclock goes on with the host's boot time,
 * which counts the time asleep; the guests' TSCs go on from where they were, each when its
 * vCPU serves LHV_REQ_CLOCK. Tasks are frozen, so nobody changes the list of VMs.
 */
static u64 suspend_tsc;

void lhv_clock_suspend(void)
{
	struct lhv_vm *vm;
	unsigned long id;
	u64 tsc;

	lockdep_assert_irqs_disabled();
	lhv_for_each_vm(id, vm) {
		raw_spin_lock(&vm->clock.lock);
		vm->clock.offset = sample(&vm->clock, &tsc) - ktime_get_boottime_ns();
		raw_spin_unlock(&vm->clock.lock);
	}
	suspend_tsc = rdtsc();
}

void lhv_clock_resume(void)
{
	u64 now = rdtsc(), lost = suspend_tsc > now ? suspend_tsc - now : 0;
	struct lhv_vm *vm;
	unsigned long id;

	lockdep_assert_irqs_disabled();
	lhv_for_each_vm(id, vm) {
		raw_spin_lock(&vm->clock.lock);
		vm->clock.tsc_lost += lost;
		vm->clock.tsc_base_guest += scaled(lost, vm->clock.tsc_ratio);
		set_base(&vm->clock, ktime_get_boottime_ns() + vm->clock.offset);
		raw_spin_unlock(&vm->clock.lock);
		update_all(vm);
	}
}

static void catch_up(struct lhv_vcpu *vcpu)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	u64 lost = READ_ONCE(vcpu->vm->clock.tsc_lost) - cpu->tsc_lost;

	if (likely(!lost))
		return;
	cpu->tsc_lost += lost;
	set_offset(vcpu, cpu->tsc_offset + scaled(lost, cpu->tsc_ratio));
}

/* ---- pages that the guest reads ---- */

static bool tscs_match(struct lhv_vm *vm)
{
	u64 first = 0, first_ratio = 0;
	struct lhv_vcpu *vcpu;
	int i;

	lhv_for_each_vcpu(i, vcpu, vm) {
		u64 offset = READ_ONCE(vcpu->cpu_state.tsc_offset);
		u64 ratio = READ_ONCE(vcpu->cpu_state.tsc_ratio);

		if (!i) {
			first = offset;
			first_ratio = ratio;
		} else if (offset != first || ratio != first_ratio) {
			return false;
		}
	}
	return true;
}

/* Version odd, contents, version even: a reader on another CPU tries again. */
static void publish(struct lhv_vcpu *vcpu, gpa_t gpa, void *record, unsigned int len,
		    u32 *version, gpa_t version_gpa)
{
	/* A guest that left it odd has not initialised it. */
	*version = (*version + 1) | 1;
	if (lhv_write_gpa(vcpu, version_gpa, version, sizeof(*version)))
		return;
	smp_wmb();	/* pairs with the guest's read barriers */
	if (lhv_write_gpa(vcpu, gpa, record, len))
		return;
	smp_wmb();	/* as above */
	*version += 1;
	lhv_write_gpa(vcpu, version_gpa, version, sizeof(*version));
}

static void write_kvmclock(struct lhv_vcpu *vcpu)
{
	struct lhv_clock *clock = &vcpu->vm->clock;
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	gpa_t gpa = cpu->kvmclock_msr & ~(u64)KVM_MSR_ENABLED;
	bool match = tscs_match(vcpu->vm);
	struct pvclock_vcpu_time_info info;
	unsigned long irqflags;
	u64 tsc;
	u8 flags;

	if (!(cpu->kvmclock_msr & KVM_MSR_ENABLED) ||
	    lhv_read_gpa(vcpu, gpa, &info, sizeof(info)))
		return;

	/* The guest clears the flag once it has seen it. */
	flags = info.flags & PVCLOCK_GUEST_STOPPED;
	if (test_and_clear_bit(LHV_CLOCK_STOPPED, &cpu->clock_flags))
		flags |= PVCLOCK_GUEST_STOPPED;

	raw_spin_lock_irqsave(&clock->lock, irqflags);
	info.system_time = sample(clock, &tsc);
	if (clock->stable) {
		/* The pair itself, not a sample: no rounding differs between vCPUs. */
		info.system_time = clock->base_ns;
		tsc = clock->base_tsc;
		if (match)
			flags |= PVCLOCK_TSC_STABLE_BIT;
	}
	raw_spin_unlock_irqrestore(&clock->lock, irqflags);

	info.tsc_timestamp = lhv_guest_tsc(vcpu, tsc);
	info.tsc_to_system_mul = cpu->tsc_mul;
	info.tsc_shift = cpu->tsc_shift;
	info.flags = flags;
	info.pad0 = 0;
	memset(info.pad, 0, sizeof(info.pad));
	publish(vcpu, gpa, &info, sizeof(info), &info.version,
		gpa + offsetof(struct pvclock_vcpu_time_info, version));
}

static void write_wall_clock(struct lhv_vcpu *vcpu)
{
	gpa_t gpa = vcpu->cpu_state.wall_gpa;
	struct lhv_clock *clock = &vcpu->vm->clock;
	struct pvclock_wall_clock wall;
	unsigned long flags;
	u64 ns, tsc;
	u32 nsec;

	if (!gpa || lhv_read_gpa(vcpu, gpa, &wall, sizeof(wall)))
		return;
	raw_spin_lock_irqsave(&clock->lock, flags);
	ns = ktime_get_real_ns() - sample(clock, &tsc);
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	wall.sec = div_u64_rem(ns, NSEC_PER_SEC, &nsec);
	wall.nsec = nsec;
	publish(vcpu, gpa, &wall, sizeof(wall), &wall.version,
		gpa + offsetof(struct pvclock_wall_clock, version));
}

void lhv_clock_update(struct lhv_vcpu *vcpu)
{
	catch_up(vcpu);
	if (test_and_clear_bit(LHV_CLOCK_WALL, &vcpu->cpu_state.clock_flags))
		write_wall_clock(vcpu);
	write_kvmclock(vcpu);
}

/**
 * lhv_clock_tick() - has the guest gone by its sample of the clock for long enough?
 * @vcpu: the vCPU
 *
 * Without a stable TSC the page is a sample of the host's clock, from which the guest goes on
 * at the TSC's nominal rate: it drifts away from the host's clock until the next one.
 * Context: the run loop, once a jiffy at most, interrupts off.
 */
void lhv_clock_tick(struct lhv_vcpu *vcpu)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;

	if (likely(READ_ONCE(vcpu->vm->clock.stable)) || !(cpu->kvmclock_msr & KVM_MSR_ENABLED) ||
	    time_before(jiffies, cpu->clock_refresh))
		return;
	cpu->clock_refresh = jiffies + REFRESH_PERIOD;
	lhv_request_self(vcpu, LHV_REQ_CLOCK);
}

/**
 * lhv_kvmclock_ctrl() - the body of KVM_KVMCLOCK_CTRL
 * @vcpu: the vCPU, its lock held
 *
 * Return: 0, or -EINVAL when the guest uses no kvmclock.
 */
int lhv_kvmclock_ctrl(struct lhv_vcpu *vcpu)
{
	if (!(vcpu->cpu_state.kvmclock_msr & KVM_MSR_ENABLED))
		return -EINVAL;
	set_bit(LHV_CLOCK_STOPPED, &vcpu->cpu_state.clock_flags);
	lhv_request_self(vcpu, LHV_REQ_CLOCK);
	return 0;
}

/* ---- steal time ---- */

#ifdef CONFIG_SCHED_INFO
static u64 run_delay(void)
{
	return current->sched_info.run_delay;
}
#else
static u64 run_delay(void)
{
	return 0;
}
#endif

/* It wanted to run, and others did: by the host's choice, or at the gate. */
static u64 stolen(const struct lhv_vcpu *vcpu)
{
	return run_delay() + READ_ONCE(vcpu->sched.core.waited);
}

void lhv_steal_check(struct lhv_vcpu *vcpu)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;

	if ((cpu->steal_msr & KVM_MSR_ENABLED) &&
	    (cpu->steal_hinted || stolen(vcpu) != cpu->steal_last))
		lhv_request_self(vcpu, LHV_REQ_STEAL);
}

/**
 * lhv_steal_preempted() - the vCPU's thread has to give up its CPU
 * @vcpu: the vCPU; either tier, in the atomic one memory that is not present is left alone
 *
 * Tells the guest, so that no other vCPU spins for what this one holds. A halted one gives up
 * nothing: guests would not wake tasks on it. Taken back by the
 * next lhv_steal_update(), which lhv_steal_check() asks for.
 */
void lhv_steal_preempted(struct lhv_vcpu *vcpu)
{
	const u8 preempted = KVM_VCPU_PREEMPTED;
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	gpa_t gpa = cpu->steal_msr & KVM_STEAL_VALID_BITS;

	if (!(cpu->steal_msr & KVM_MSR_ENABLED) || cpu->steal_hinted ||
	    vcpu->mp_state != KVM_MP_STATE_RUNNABLE)
		return;
	cpu->steal_hinted = !lhv_write_gpa(vcpu, gpa + offsetof(struct kvm_steal_time, preempted),
					   &preempted, sizeof(preempted));
}

void lhv_steal_update(struct lhv_vcpu *vcpu)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	gpa_t gpa = cpu->steal_msr & KVM_STEAL_VALID_BITS;
	struct kvm_steal_time st;
	u64 delay = stolen(vcpu);

	cpu->steal_hinted = false;
	if (!(cpu->steal_msr & KVM_MSR_ENABLED) || lhv_read_gpa(vcpu, gpa, &st, sizeof(st)))
		return;
	/* What another thread had to wait for was not stolen from the guest. */
	if (cpu->steal_pid == current->pid)
		st.steal += delay - cpu->steal_last;
	cpu->steal_pid = current->pid;
	cpu->steal_last = delay;
	st.preempted = 0;
	publish(vcpu, gpa, &st, sizeof(st), &st.version,
		gpa + offsetof(struct kvm_steal_time, version));
}

/**
 * lhv_clock_reset() - reset or INIT: whoever runs next did not ask for these records
 * @vcpu: the vCPU
 *
 * What is where they were may be somebody else's memory by now.
 */
void lhv_clock_reset(struct lhv_vcpu *vcpu)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;

	cpu->kvmclock_msr = 0;
	cpu->steal_msr = 0;
	cpu->steal_hinted = false;
}

/* ---- MSRs ---- */

/**
 * lhv_clock_msr_write() - the guest says where it wants its clocks
 * @vcpu: the vCPU; either tier, memory is written later in the slow one
 * @index: MSR_KVM_SYSTEM_TIME, MSR_KVM_WALL_CLOCK (both kinds) or MSR_KVM_STEAL_TIME
 * @data: guest-physical address and enable bit
 *
 * Return: 0, or -EINVAL (#GP).
 */
int lhv_clock_msr_write(struct lhv_vcpu *vcpu, u32 index, u64 data)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;

	switch (index) {
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_NEW:
		cpu->kvmclock_msr = data;
		lhv_request_self(vcpu, LHV_REQ_CLOCK);
		return 0;
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_NEW:
		WRITE_ONCE(vcpu->vm->clock.wall_clock_msr, data);
		cpu->wall_gpa = data;
		set_bit(LHV_CLOCK_WALL, &cpu->clock_flags);
		lhv_request_self(vcpu, LHV_REQ_CLOCK);
		return 0;
	case MSR_KVM_STEAL_TIME:
		if (data & KVM_STEAL_RESERVED_MASK)
			return -EINVAL;
		/* Count from here. */
		cpu->steal_pid = current->pid;
		cpu->steal_last = stolen(vcpu);
		cpu->steal_msr = data;
		if (data & KVM_MSR_ENABLED)
			lhv_request_self(vcpu, LHV_REQ_STEAL);
		return 0;
	}
	return -EINVAL;
}
