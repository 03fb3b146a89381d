// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU: its first state, its thread, and the exits that reach userspace.
 */
#include <asm/processor-flags.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vmm.h"

#define KICK_SIGNAL		SIGRTMIN
#define KICK_RETRY_NS		10000000L

/* <asm/msr-index.h> isn't an installed header. */
#define MSR_IA32_MISC_ENABLE	0x1a0
#define MISC_ENABLE_FAST_STRING	(1ULL << 0)
#define MSR_MTRR_DEF_TYPE	0x2ff
#define MSR_K7_HWCR		0xc0010015
#define HWCR_TSC_FREQ_SEL	(1ULL << 24)
#define MTRR_DEF_ENABLE		(1ULL << 11)
#define MTRR_TYPE_WB		6
#define EFER_LME		(1ULL << 8)
#define EFER_LMA		(1ULL << 10)

#define APIC_REG_LVT0		0x350
#define APIC_REG_LVT1		0x360
#define APIC_LVT_NMI		(4U << 8)
#define APIC_LVT_EXTINT		(7U << 8)

/* Its coming is all: it ends KVM_RUN. */
static void on_kick(int sig)
{
	(void)sig;
}

/**
 * vcpu_signal_init() - install the handler of the signal that stops a vCPU
 */
int vcpu_signal_init(void)
{
	struct sigaction sa = { .sa_handler = on_kick };

	sigemptyset(&sa.sa_mask);
	return sigaction(KICK_SIGNAL, &sa, NULL) < 0 ? -errno : 0;
}

/**
 * vcpu_init() - create a vCPU
 * @vm: machine
 * @vcpu: to fill
 * @id: number, which is its APIC id too
 *
 * Return: 0 or -errno.
 */
int vcpu_init(struct vm *vm, struct vcpu *vcpu, unsigned int id)
{
	int size;

	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)id);
	if (vcpu->fd < 0)
		return -errno;
	size = ioctl(vm->cfg->sys_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < 0)
		return -errno;
	if ((size_t)size < sizeof(*vcpu->run))
		return -EPROTO;
	vcpu->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		return -errno;
	}
	vcpu->run_size = size;
	return 0;
}

/* Not every hypervisor knows every register: what it refuses stays at reset. */
static void set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = {
		.head.nmsrs = 1,
		.entry = { .index = index, .data = value },
	};

	ioctl(vcpu->fd, KVM_SET_MSRS, &msrs);
}

/* A PC's firmware leaves the BSP's pins so: PIC on LINT0, NMI on LINT1. */
static int setup_lapic(struct vcpu *vcpu)
{
	struct kvm_lapic_state lapic;
	uint32_t lvt;

	if (ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic) < 0)
		return -errno;
	lvt = APIC_LVT_EXTINT;
	memcpy(&lapic.regs[APIC_REG_LVT0], &lvt, sizeof(lvt));
	lvt = APIC_LVT_NMI;
	memcpy(&lapic.regs[APIC_REG_LVT1], &lvt, sizeof(lvt));
	return ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic) < 0 ? -errno : 0;
}

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type,
				       bool code)
{
	return (struct kvm_segment) {
		.limit = UINT32_MAX,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = code,
		.db = !code,
	};
}

/*
 * The 64-bit boot protocol's entry state (Documentation/arch/x86/boot.rst):
 * long mode, identity paging, flat segments, interrupts off.
 */
static int setup_boot_cpu(struct vcpu *vcpu)
{
	const struct boot_info *boot = &vcpu->vm->boot;
	struct kvm_regs regs = {
		.rflags = X86_EFLAGS_FIXED,
		.rip = boot->entry,
		.rsi = boot->params,
	};
	struct kvm_sregs s;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &s) < 0)
		return -errno;
	s.cs = flat_segment(0x10, 0xb, true);
	s.ds = flat_segment(0x18, 0x3, false);
	s.es = s.ds;
	s.fs = s.ds;
	s.gs = s.ds;
	s.ss = s.ds;
	s.tr = (struct kvm_segment){ .limit = 0x67, .type = 0xb, .present = 1 };
	s.ldt = (struct kvm_segment){ .unusable = 1, .type = 2 };
	s.gdt.base = boot->gdt;
	s.gdt.limit = 4 * sizeof(uint64_t) - 1;
	s.idt.base = 0;
	s.idt.limit = 0;
	s.cr0 = X86_CR0_PG | X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP;
	s.cr3 = boot->page_table;
	s.cr4 = X86_CR4_PAE;
	s.efer |= EFER_LME | EFER_LMA;
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &s) < 0 ||
	    ioctl(vcpu->fd, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}

/**
 * vcpu_setup() - give a vCPU its first state
 * @vcpu: vCPU; all but the first wait for INIT and SIPI in the kernel
 *
 * Return: 0 or -errno.
 */
int vcpu_setup(struct vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid = cpuid_build(vcpu->vm, vcpu->id);
	int ret;

	if (!cpuid)
		return -errno;
	ret = ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0 ? -errno : 0;
	free(cpuid);
	if (ret)
		return ret;
	set_msr(vcpu, MSR_IA32_MISC_ENABLE, MISC_ENABLE_FAST_STRING);
	set_msr(vcpu, MSR_MTRR_DEF_TYPE, MTRR_DEF_ENABLE | MTRR_TYPE_WB);
	/* As on hardware, or Linux blames the firmware for it. */
	set_msr(vcpu, MSR_K7_HWCR, HWCR_TSC_FREQ_SEL);
	ret = setup_lapic(vcpu);
	if (ret || vcpu->id)
		return ret;
	return setup_boot_cpu(vcpu);
}

/* One line with what a bug report needs. */
static void dump_regs(struct vcpu *vcpu)
{
	struct kvm_regs r;
	struct kvm_sregs s;

	if (ioctl(vcpu->fd, KVM_GET_REGS, &r) < 0 ||
	    ioctl(vcpu->fd, KVM_GET_SREGS, &s) < 0)
		return;
	report("vcpu %u: rip %#" PRIx64 " rsp %#" PRIx64 " rflags %#" PRIx64
	       " rax %#" PRIx64 " rbx %#" PRIx64 " rcx %#" PRIx64 " rdx %#" PRIx64
	       " rsi %#" PRIx64 " rdi %#" PRIx64 " cr0 %#" PRIx64 " cr2 %#" PRIx64
	       " cr3 %#" PRIx64 " cr4 %#" PRIx64 " efer %#" PRIx64
	       " cs %#x:%#" PRIx64, vcpu->id, (uint64_t)r.rip, (uint64_t)r.rsp,
	       (uint64_t)r.rflags, (uint64_t)r.rax, (uint64_t)r.rbx,
	       (uint64_t)r.rcx, (uint64_t)r.rdx, (uint64_t)r.rsi,
	       (uint64_t)r.rdi, (uint64_t)s.cr0, (uint64_t)s.cr2,
	       (uint64_t)s.cr3, (uint64_t)s.cr4, (uint64_t)s.efer,
	       s.cs.selector, (uint64_t)s.cs.base);
}

static void crashed(struct vcpu *vcpu, const char *what, uint64_t detail)
{
	/* The first vCPU to fail tells; others may follow at the same moment. */
	if (atomic_load(&vcpu->vm->end) == VM_RUNNING) {
		report("%s: vcpu %u: %s (%#" PRIx64 ")", vcpu->vm->cfg->name,
		       vcpu->id, what, detail);
		dump_regs(vcpu);
	}
	vm_finish(vcpu->vm, VM_CRASH);
}

static void internal_error(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	char text[256];
	uint32_t i, n = run->internal.ndata;
	int len;

	if (n > ARRAY_SIZE(run->internal.data))
		n = ARRAY_SIZE(run->internal.data);
	len = snprintf(text, sizeof(text), "internal error %u, data",
		       run->internal.suberror);
	for (i = 0; i < n && len > 0 && (size_t)len < sizeof(text); i++)
		len += snprintf(text + len, sizeof(text) - len, " %#" PRIx64,
				(uint64_t)run->internal.data[i]);
	crashed(vcpu, text, run->internal.suberror);
}

static void handle_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint32_t i, size = run->io.size;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	struct vm *vm = vcpu->vm;

	if (run->io.data_offset > vcpu->run_size || size > 4 ||
	    (uint64_t)run->io.count * size >
	    vcpu->run_size - run->io.data_offset) {
		crashed(vcpu, "malformed port I/O exit", run->io.port);
		return;
	}
	pthread_mutex_lock(&vm->lock);
	for (i = 0; i < run->io.count; i++, data += size)
		bus_access(&vm->pio, run->io.port, data, size,
			   run->io.direction == KVM_EXIT_IO_OUT);
	pthread_mutex_unlock(&vm->lock);
}

static void handle_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct vm *vm = vcpu->vm;

	if (run->mmio.len > sizeof(run->mmio.data)) {
		crashed(vcpu, "malformed MMIO exit", run->mmio.phys_addr);
		return;
	}
	pthread_mutex_lock(&vm->lock);
	bus_access(&vm->mmio, run->mmio.phys_addr, run->mmio.data,
		   run->mmio.len, run->mmio.is_write);
	pthread_mutex_unlock(&vm->lock);
}

static void handle_system_event(struct vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		vm_finish(vcpu->vm, VM_POWEROFF);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		vm_finish(vcpu->vm, VM_REBOOT);
		break;
	default:
		crashed(vcpu, "system event", vcpu->run->system_event.type);
	}
}

static void handle_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		handle_io(vcpu);
		break;
	case KVM_EXIT_MMIO:
		handle_mmio(vcpu);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	case KVM_EXIT_SHUTDOWN:
		crashed(vcpu, "triple fault", 0);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		handle_system_event(vcpu);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		crashed(vcpu, "VM entry failed",
			run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		internal_error(vcpu);
		break;
	case KVM_EXIT_UNKNOWN:
		crashed(vcpu, "unknown hardware exit",
			run->hw.hardware_exit_reason);
		break;
	default:
		crashed(vcpu, "unexpected exit", run->exit_reason);
	}
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	struct vm *vm = vcpu->vm;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	while (atomic_load(&vm->end) == VM_RUNNING) {
		if (ioctl(vcpu->fd, KVM_RUN, 0) == 0) {
			handle_exit(vcpu);
			continue;
		}
		/* EAGAIN: woken while waiting for SIPI, as KVM has it. */
		if (errno == EINTR || errno == EAGAIN)
			continue;
		if (vm_was_killed(vm, errno))
			break;
		report_errno(errno, "%s: vcpu %u: KVM_RUN", vm->cfg->name,
			     vcpu->id);
		dump_regs(vcpu);
		vm_finish(vm, VM_ERROR);
	}
	return NULL;
}

int vcpu_start(struct vcpu *vcpu)
{
	int ret = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);

	vcpu->started = !ret;
	return -ret;
}

/**
 * vcpu_stop() - stop a vCPU's thread and wait for it
 * @vcpu: vCPU; vm->end says already that the machine ended
 */
void vcpu_stop(struct vcpu *vcpu)
{
	struct timespec ts;

	if (!vcpu->started)
		return;
	/*
	 * immediate_exit closes the gap between the thread's look at vm->end
	 * and KVM_RUN. A hypervisor without it needs the signal to hit inside
	 * KVM_RUN, so ask again.
	 */
	do {
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		pthread_kill(vcpu->thread, KICK_SIGNAL);
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_nsec += KICK_RETRY_NS;
		if (ts.tv_nsec >= 1000000000L) {
			ts.tv_nsec -= 1000000000L;
			ts.tv_sec++;
		}
	} while (pthread_timedjoin_np(vcpu->thread, NULL, &ts));
	vcpu->started = false;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	vcpu_stop(vcpu);
	if (vcpu->run)
		munmap(vcpu->run, vcpu->run_size);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	vcpu->run = NULL;
	vcpu->fd = -1;
}
