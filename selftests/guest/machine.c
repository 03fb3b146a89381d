// SPDX-License-Identifier: GPL-2.0
/* The driver's machine and the guests' small runtime; see guest.h. */
#include <asm/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"

extern const char g_entries[], g_entries32[];
extern const char __executable_start[], _end[];

#define ENTRY_SIZE	16
#define FIFO_SIZE	0x10000
#define DESC_P		(1ull << 47)
#define DESC_S		(1ull << 44)
#define DESC_DPL3	(3ull << 45)
#define DESC_L		(1ull << 53)
#define DESC_DB		(1ull << 54)
#define DESC_G		(1ull << 55)
#define DESC_FLAT	(0xf00000000ffffull | DESC_P | DESC_S | DESC_G)
#define DESC_CODE	(0xbull << 40)	/* execute, read, accessed */
#define DESC_DATA	(0x3ull << 40)	/* read, write, accessed */
#define TSS_LIMIT	0x67
#define TSS_IOMAP	0x66
#define TYPE_BUSY_TSS	0xb
#define GATE_INT	0x8e
#define GATE_INT_USER	0xee

/* Guest's runtime */

volatile struct guest_report g_report;
volatile uint64_t g_count[256];
volatile struct frame g_frame;
g_handler g_handlers[256];
volatile uint64_t g_fixup, g_fault, g_error, g_fault_rip, g_cr2;
void (*volatile g_ap_main)(uint32_t apic_id);
volatile uint64_t g_aps, g_tsc_khz;

void g_trap(struct frame *frame)
{
	uint64_t vector = frame->vector;

	atomic_add(&g_count[vector], 1);
	if (vector >= 32 && frame->rip == (uintptr_t)g_hlt_of_sti)
		frame->rip++;		/* see sti_hlt() */
	g_frame = *frame;
	if (g_handlers[vector]) {
		g_handlers[vector](frame);
		return;
	}
	if (vector >= 32 || vector == NMI || vector == BP)
		return;
	if (vector == PF)
		g_cr2 = READ_CR(2);
	g_fault_rip = frame->rip;
	if (!g_fixup)
		g_fail("unexpected exception", vector, "at, error", frame->rip, frame->error);
	g_fault = vector;
	g_error = frame->error;
	frame->rip = g_fixup;
	g_fixup = 0;
}

void g_eoi(struct frame *frame)
{
	(void)frame;
	if (rdmsr(MSR_APIC_BASE) & APIC_BASE_X2)
		x2apic_write(APIC_EOI, 0);
	else
		xapic_eoi();
}

static uint64_t g_next_table;

static uint64_t g_table(void)
{
	uint64_t *table = (uint64_t *)(GUEST_PTES + PAGE_SIZE * g_next_table++);
	int i;

	for (i = 0; i < 512; i++)
		table[i] = 0;
	return (uint64_t)table | PTE_P | PTE_W | PTE_U;
}

volatile uint64_t *g_pte(uint64_t gva)
{
	volatile uint64_t *table = (uint64_t *)GUEST_PML4, *entry;
	int level, i;

	for (level = 3; level; level--) {
		entry = &table[gva >> (12 + 9 * level) & 511];
		if (level == 1 && (*entry & PTE_PS)) {
			uint64_t base = *entry & ~(PTE_PS | 0x1ffffful), flags = *entry & 0xf;
			uint64_t split = g_table();

			/* This code may lie in there. */
			for (i = 0; i < 512; i++)
				store((void *)((split & ~0xffful) + 8 * i),
				      (base + PAGE_SIZE * i) | flags);
			*entry = split;
		} else if (!(*entry & PTE_P)) {
			*entry = g_table();
		}
		table = (uint64_t *)(*entry & 0xffffffffff000ul);
	}
	return &table[gva >> 12 & 511];
}

void g_map(uint64_t gva, uint64_t gpa, uint64_t flags)
{
	*g_pte(gva) = gpa | flags;
	WRITE_CR(3, READ_CR(3));
}

/* Driver */

struct gate {
	uint16_t offset0, selector;
	uint8_t ist, type;
	uint16_t offset1;
	uint32_t offset2, reserved;
};

static struct {
	uint8_t ports[PORT_DEV_SIZE];
	uint8_t mmio[MMIO_DEV_SIZE];
	uint8_t fifo[FIFO_SIZE];
	uint32_t head, tail;
	uint32_t count, last;
} dev;

void *guest_ptr(struct vm *vm, const volatile void *sym)
{
	return vm->ram + (uintptr_t)sym;
}

static void load_tables(struct vm *vm)
{
	uint64_t *gdt = (void *)(vm->ram + GUEST_GDT);
	uint64_t *pdpt = (void *)(vm->ram + GUEST_PDPT);
	uint64_t *pae = (void *)(vm->ram + GUEST_PAE_PDPT);
	uint64_t *pd = (void *)(vm->ram + GUEST_PD);
	uint32_t *pd32 = (void *)(vm->ram + GUEST_PD32);
	struct gate *idt = (void *)(vm->ram + GUEST_IDT);
	uint64_t *idt32 = (void *)(vm->ram + GUEST_IDT32);
	uint64_t i;

	gdt[SEL_CODE64 / 8] = DESC_FLAT | DESC_CODE | DESC_L;
	gdt[SEL_DATA / 8] = DESC_FLAT | DESC_DATA | DESC_DB;
	gdt[SEL_TSS / 8] = TSS_LIMIT | (uint64_t)(GUEST_TSS & 0xffffff) << 16 |
			   (uint64_t)TYPE_BUSY_TSS << 40 | DESC_P;
	gdt[SEL_CODE32 / 8] = DESC_FLAT | DESC_CODE | DESC_DB;
	gdt[SEL_CODE16 / 8] = 0xffff | (uint64_t)GUEST_BLOB << 16 | DESC_P | DESC_S | DESC_CODE;
	gdt[SEL_DATA16 / 8] = 0xffff | (uint64_t)GUEST_BLOB << 16 | DESC_P | DESC_S | DESC_DATA;
	gdt[SEL_USER_DATA / 8] = DESC_FLAT | DESC_DATA | DESC_DB | DESC_DPL3;
	gdt[SEL_USER_CODE / 8] = DESC_FLAT | DESC_CODE | DESC_L | DESC_DPL3;

	*(uint64_t *)(vm->ram + GUEST_PML4) = GUEST_PDPT | PTE_P | PTE_W | PTE_U;
	for (i = 0; i < 4; i++) {
		pdpt[i] = (GUEST_PD + PAGE_SIZE * i) | PTE_P | PTE_W | PTE_U;
		pae[i] = (GUEST_PD + PAGE_SIZE * i) | PTE_P;
	}
	for (i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | PTE_P | PTE_W | PTE_U | PTE_PS;
	for (i = 0; i < 1024; i++)
		pd32[i] = i << 22 | PTE_P | PTE_W | PTE_U | PTE_PS;

	for (i = 0; i < 256; i++) {
		uint64_t entry = (uintptr_t)g_entries + ENTRY_SIZE * i;
		uint64_t entry32 = (uintptr_t)g_entries32 + ENTRY_SIZE * i;

		idt[i] = (struct gate){
			.offset0 = entry, .offset1 = entry >> 16, .offset2 = entry >> 32,
			.selector = SEL_CODE64,
			.type = i == BP || i == OF ? GATE_INT_USER : GATE_INT,
		};
		idt32[i] = (entry32 & 0xffff) | SEL_CODE32 << 16 | (uint64_t)GATE_INT << 40 |
			   (entry32 >> 16) << 48;
	}
	/* Interrupts from ring 3 come in on the first stack's lower half. */
	*(uint64_t *)(vm->ram + GUEST_TSS + 4) = GUEST_STACKS + GUEST_STACK / 2;
	/* No port is ring 3's: the map begins behind the limit. */
	*(uint16_t *)(vm->ram + GUEST_TSS + TSS_IOMAP) = TSS_LIMIT + 1;
}

struct vm *machine(unsigned int flags)
{
	struct vm *vm = vm_create(flags);
	uintptr_t start = (uintptr_t)__executable_start;
	size_t size = _end - __executable_start;

	CHECK(start + size <= GUEST_RAM);
	vm_ram(vm, GUEST_RAM);
	memcpy(vm->ram + start, __executable_start, size);
	memcpy(vm->ram + GUEST_TRAMPOLINE, g_ap_begin, g_ap_end - g_ap_begin);
	load_tables(vm);
	return vm;
}

static void set_segment(struct kvm_segment *s, uint16_t selector, uint64_t base, uint32_t limit,
			int type, int db, int l, int g)
{
	*s = (struct kvm_segment){
		.selector = selector, .base = base, .limit = limit, .type = type,
		.present = 1, .s = 1, .db = db, .l = l, .g = g,
	};
}

void vcpu_mode(struct vcpu *vcpu, enum mode mode, uint64_t rip)
{
	uint64_t top = GUEST_STACKS + GUEST_STACK * (vcpu->id + 1);
	struct kvm_regs regs = { .rip = rip, .rflags = X86_EFLAGS_FIXED, .rsp = top };
	struct kvm_segment *data;
	struct kvm_sregs sregs;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	if (mode == REAL) {
		sregs.cs.selector = GUEST_BLOB >> 4;
		sregs.cs.base = GUEST_BLOB;
		sregs.ds = sregs.es = sregs.ss = sregs.cs;
		sregs.ds.type = sregs.es.type = sregs.ss.type = 3;
		regs.rsp = 0xfff0;
		goto set;
	}

	sregs.cr0 = X86_CR0_PE | X86_CR0_NE | X86_CR0_ET;
	sregs.gdt.base = GUEST_GDT;
	sregs.gdt.limit = GDT_SIZE - 1;
	sregs.idt.base = mode == LONG ? GUEST_IDT : GUEST_IDT32;
	sregs.idt.limit = PAGE_SIZE - 1;
	sregs.tr = (struct kvm_segment){
		.selector = SEL_TSS, .base = GUEST_TSS, .limit = TSS_LIMIT,
		.type = TYPE_BUSY_TSS, .present = 1,
	};
	switch (mode) {
	case PROT16:
		set_segment(&sregs.cs, SEL_CODE16, GUEST_BLOB, 0xffff, 0xb, 0, 0, 0);
		break;
	case LONG:
		set_segment(&sregs.cs, SEL_CODE64, 0, ~0u, 0xb, 0, 1, 1);
		break;
	default:
		set_segment(&sregs.cs, SEL_CODE32, 0, ~0u, 0xb, 1, 0, 1);
	}
	data = &sregs.ds;
	if (mode == PROT16) {
		set_segment(data, SEL_DATA16, GUEST_BLOB, 0xffff, 0x3, 0, 0, 0);
		regs.rsp = 0xfff0;
	} else {
		set_segment(data, SEL_DATA, 0, ~0u, 0x3, 1, 0, 1);
	}
	sregs.es = sregs.ss = sregs.fs = sregs.gs = *data;
	switch (mode) {
	case LONG:
		sregs.efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NX;
		sregs.cr0 |= X86_CR0_PG | X86_CR0_WP;
		sregs.cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
		sregs.cr3 = GUEST_PML4;
		break;
	case PAE:
		sregs.cr0 |= X86_CR0_PG;
		sregs.cr4 = X86_CR4_PAE;
		sregs.cr3 = GUEST_PAE_PDPT;
		break;
	case PAGED32:
		sregs.cr0 |= X86_CR0_PG;
		sregs.cr4 = X86_CR4_PSE;
		sregs.cr3 = GUEST_PD32;
		break;
	default:
		break;
	}
set:
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &sregs));
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_REGS, &regs));
}

struct vcpu *machine_vcpu(struct vm *vm, guest_fn fn)
{
	struct vcpu *vcpu = vcpu_add(vm, vm->nr_vcpus);

	vcpu_set_cpuid(vcpu);
	GUEST_VAR(vm, g_tsc_khz) = CHECK_OK(ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0));
	if (fn) {
		struct kvm_regs regs;

		vcpu_mode(vcpu, LONG, (uintptr_t)fn);
		/* As if called: the stack is 8 bytes off its alignment. */
		CHECK_OK(ioctl(vcpu->fd, KVM_GET_REGS, &regs));
		regs.rsp -= 8;
		CHECK_OK(ioctl(vcpu->fd, KVM_SET_REGS, &regs));
	}
	return vcpu;
}

void vcpu_dump(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_sregs s;
	struct kvm_regs r;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_REGS, &r));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &s));
	test_note("vCPU %d: exit %u, rip %llx rsp %llx rflags %llx rax %llx rcx %llx rdx %llx",
		  vcpu->id, run->exit_reason, r.rip, r.rsp, r.rflags, r.rax, r.rcx, r.rdx);
	test_note("  cs %x base %llx, cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx",
		  s.cs.selector, s.cs.base, s.cr0, s.cr2, s.cr3, s.cr4, s.efer);
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		test_note("  internal error %u, data %llx %llx %llx", run->internal.suberror,
			  run->internal.data[0], run->internal.data[1], run->internal.data[2]);
	if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		test_note("  entry failed: %llx",
			  run->fail_entry.hardware_entry_failure_reason);
}

static void fifo(uint8_t *data, uint32_t len, bool write)
{
	while (len--) {
		if (write)
			dev.fifo[dev.head++ % FIFO_SIZE] = *data++;
		else
			*data++ = dev.fifo[dev.tail++ % FIFO_SIZE];
	}
}

static void device(uint8_t *mem, uint8_t *data, uint32_t len, bool write)
{
	memcpy(write ? mem : data, write ? data : mem, len);
	dev.count++;
	dev.last = len | (write ? LAST_WRITE : 0);
}

static void port_access(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	bool write = run->io.direction == KVM_EXIT_IO_OUT;
	uint32_t i;

	for (i = 0; i < run->io.count; i++, data += run->io.size) {
		uint16_t port = run->io.port;

		if (port == PORT_FIFO) {
			fifo(data, run->io.size, write);
		} else if (port >= PORT_DEV && port < PORT_DEV + PORT_DEV_SIZE) {
			device(dev.ports + port - PORT_DEV, data, run->io.size, write);
		} else if (port == PORT_COUNT && !write) {
			memcpy(data, &dev.count, run->io.size);
		} else if (port == PORT_LAST && !write) {
			memcpy(data, &dev.last, run->io.size);
		} else {
			vcpu_dump(vcpu);
			FAIL("port %#x, size %u, %s", port, run->io.size, write ? "out" : "in");
		}
	}
}

static void mmio_access(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint64_t addr = run->mmio.phys_addr;

	if (addr < MMIO_DEV || addr + run->mmio.len > MMIO_DEV + MMIO_DEV_SIZE ||
	    run->mmio.len > 8) {
		vcpu_dump(vcpu);
		FAIL("MMIO at %#llx, size %u, write %d", (unsigned long long)addr,
		     run->mmio.len, run->mmio.is_write);
	}
	device(dev.mmio + addr - MMIO_DEV, run->mmio.data, run->mmio.len, run->mmio.is_write);
}

static void guest_failed(struct vcpu *vcpu)
{
	struct guest_report *r = guest_ptr(vcpu->vm, &g_report);
	const char *base = strrchr(r->file, '/');

	vcpu_dump(vcpu);
	FAIL("guest: %s:%u: %s is %#llx, not %#llx", base ? base + 1 : r->file,
	     (unsigned int)r->line, r->what, (unsigned long long)r->is,
	     (unsigned long long)r->want);
}

static volatile sig_atomic_t timed_out;

static void on_timeout(int sig)
{
	(void)sig;
	timed_out = 1;
}

/* The harness sends SIGALRM when the time is up: a vCPU in KVM_RUN says where it hangs. */
__attribute__((constructor)) static void catch_timeout(void)
{
	struct sigaction sa = { .sa_handler = on_timeout };

	sigaction(SIGALRM, &sa, NULL);
}

int vcpu_go(struct vcpu *vcpu, uint32_t *value)
{
	struct kvm_run *run = vcpu->run;
	uint32_t dummy;

	value = value ?: &dummy;
	for (;;) {
		if (ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
			if (errno == EINTR && timed_out) {
				vcpu_dump(vcpu);
				FAIL("still running");
			}
			if (errno == EINTR)
				return GO_INTR;
			/* A vCPU that waited for SIPI got it. */
			if (errno == EAGAIN)
				continue;
			return -errno;
		}
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			memcpy(value, (uint8_t *)run + run->io.data_offset, sizeof(*value));
			if (run->io.direction != KVM_EXIT_IO_OUT) {
				port_access(vcpu);
			} else if (run->io.port == PORT_DONE) {
				return GO_DONE;
			} else if (run->io.port == PORT_SYNC) {
				return GO_SYNC;
			} else if (run->io.port == PORT_FAIL) {
				guest_failed(vcpu);
			} else {
				port_access(vcpu);
			}
			break;
		case KVM_EXIT_MMIO:
			mmio_access(vcpu);
			break;
		case KVM_EXIT_SET_TPR:
			break;
		default:
			return run->exit_reason;
		}
	}
}

static void expect(struct vcpu *vcpu, int want, uint32_t want_value)
{
	uint32_t value;
	int ret;

	do {
		ret = vcpu_go(vcpu, &value);
	} while (ret == GO_INTR);
	if (ret == want && value == want_value)
		return;
	if (ret < 0)
		test_note("KVM_RUN: %s", strerror(-ret));
	vcpu_dump(vcpu);
	FAIL("the guest ended with %d, %#x, not %d, %#x", ret, value, want, want_value);
}

static bool says(const char *path, const char *words)
{
	char text[4096] = "";
	FILE *f = fopen(path, "r");
	bool found;

	found = f && fread(text, 1, sizeof(text) - 1, f) && strstr(text, words);
	if (f)
		fclose(f);
	return found;
}

bool cpu_delivers(void)
{
	if (!strcmp(test_device(), "/dev/kvm"))
		return says("/sys/module/kvm_intel/parameters/enable_apicv", "Y");
	return says("/sys/module/lhv/parameters/features", "virtual-interrupt delivery: yes");
}

void vcpu_done(struct vcpu *vcpu)
{
	expect(vcpu, GO_DONE, PASS);
}

void vcpu_sync(struct vcpu *vcpu, uint32_t stage)
{
	expect(vcpu, GO_SYNC, stage);
}

static void *thread(void *vcpu)
{
	vcpu_done(vcpu);
	return NULL;
}

pthread_t vcpu_thread(struct vcpu *vcpu)
{
	pthread_t t;

	errno = pthread_create(&t, NULL, thread, vcpu);
	CHECK(!errno);
	return t;
}

void run_guest(guest_fn fn, unsigned int flags)
{
	vcpu_done(machine_vcpu(machine(flags), fn));
}

void run_guest_smp(guest_fn fn, unsigned int flags, int nr_vcpus)
{
	struct vm *vm = machine(flags);
	int i;

	for (i = 0; i < nr_vcpus; i++)
		machine_vcpu(vm, i ? NULL : fn);
	for (i = 1; i < nr_vcpus; i++)
		vcpu_thread(&vm->vcpus[i]);
	vcpu_done(&vm->vcpus[0]);
}
