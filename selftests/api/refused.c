// SPDX-License-Identifier: GPL-2.0
/*
 * States that VT-x refuses to enter with, one by one: KVM_RUN says FAIL_ENTRY, and the log says
 * which check it was. The conditions are those of the SDM, Vol 3C "Checks on the Guest State Area".
 */
#include <cpuid.h>
#include <fcntl.h>
#include <unistd.h>

#include "vm.h"

#define CPUID_VMX	(1 << 5)	/* leaf 1, ECX */
#define ENTRY_FAILED	(1u << 31)	/* of an exit reason */
#define INVALID_STATE	33		/* exit reason: VM-entry failure due to invalid guest state */
#define NOT_CANONICAL	(1ull << 62)
/* Records of the log per 5 s and place are limited. */
#define NAP_EVERY	8

/* Real mode: mov $0x200, %dx; 1: out %al, %dx; jmp 1b */
#define OUT_LOOP "\xba\x00\x02\xee\xeb\xfd"

struct state {
	struct kvm_sregs s;
	struct kvm_regs r;
	struct kvm_vcpu_events ev;
};

static void cr3(struct state *st) { st->s.cr3 = ~0ull; }
static void fs_base(struct state *st) { st->s.fs.base = NOT_CANONICAL; }
static void tr_base(struct state *st) { st->s.tr.base = NOT_CANONICAL; }
static void gdt_base(struct state *st) { st->s.gdt.base = NOT_CANONICAL; }
static void tr_in_ldt(struct state *st) { st->s.tr.selector |= 4; }
static void cs_type(struct state *st) { st->s.cs.type = 1; }
static void cs_gone(struct state *st) { st->s.cs.s = 0; }
static void ss_type(struct state *st) { st->s.ss.type = 0xb; }
static void ds_system(struct state *st) { st->s.ds.s = 0; }
static void wide_rip(struct state *st) { st->r.rip |= 1ull << 32; }

static void irq_while_off(struct state *st)
{
	st->ev.interrupt.injected = 1;
	st->ev.interrupt.nr = 0x40;
}

static const struct {
	void (*spoil)(struct state *st);
	const char *words;
} rows[] = {
	{ cr3, "CR3 beyond the physical address width" },
	{ fs_base, "base of FS, GS or TR not canonical" },
	{ tr_base, "base of FS, GS or TR not canonical" },
	{ gdt_base, "base of GDTR or IDTR not canonical" },
	{ tr_in_ldt, "TR selects the LDT" },
	{ cs_type, "CS type" },
	{ cs_gone, "CS not present, or no code or data segment" },
	{ ss_type, "SS type" },
	{ ds_system, "a data segment that is none, or not present" },
	{ wide_rip, "RIP bits 63:32 outside 64-bit code" },
	{ irq_while_off, "an interrupt to deliver with RFLAGS.IF off" },
};

static void get(struct vcpu *vcpu, struct state *st)
{
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &st->s));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_REGS, &st->r));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &st->ev));
}

static void set(struct vcpu *vcpu, struct state *st)
{
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &st->s));
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_REGS, &st->r));
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &st->ev));
}

/* How many new records of the log have @words, up to the log's end. */
static unsigned int logged(int log, const char *words)
{
	unsigned int n = 0;
	char line[1024];
	ssize_t len;

	while ((len = read(log, line, sizeof(line) - 1)) > 0) {
		line[len] = 0;
		n += !!strstr(line, words);
	}
	return n;
}

static void run(struct vcpu *vcpu, unsigned int reason)
{
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(vcpu->run->exit_reason, reason);
}

TEST(entry_refused)
{
	struct vcpu *vcpu = GUEST(vm_create(VM_IRQCHIP), OUT_LOOP);
	unsigned int i, a, b, c, d;
	struct state good, bad;
	char first[160];
	int log;

	__cpuid(1, a, b, c, d);
	if (!(c & CPUID_VMX))
		test_skip("no VT-x");
	log = CHECK_OK(open("/dev/kmsg", O_RDONLY | O_NONBLOCK));
	run(vcpu, KVM_EXIT_IO);
	get(vcpu, &good);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (i % NAP_EVERY == 0)
			sleep(6);
		bad = good;
		rows[i].spoil(&bad);
		set(vcpu, &bad);
		lseek(log, 0, SEEK_END);
		test_note("%s", rows[i].words);
		run(vcpu, KVM_EXIT_FAIL_ENTRY);
		CHECK_EQ(vcpu->run->fail_entry.hardware_entry_failure_reason,
			 ENTRY_FAILED | INVALID_STATE);
		if (!on_kvm()) {
			snprintf(first, sizeof(first), "VM entry failed: %s", rows[i].words);
			CHECK_EQ(logged(log, first), 1);
		}
		/* Put right, it goes on where it was. */
		set(vcpu, &good);
		run(vcpu, KVM_EXIT_IO);
	}
	close(log);
}
