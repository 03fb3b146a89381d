// SPDX-License-Identifier: GPL-2.0
/* vCPUs and their state: what is written can be read again, what is wrong is refused. */
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vm.h"

static struct vcpu *new_vcpu(unsigned int flags)
{
	struct vcpu *vcpu = vcpu_add(vm_create(flags), 0);

	vcpu_set_cpuid(vcpu);
	return vcpu;
}

TEST(create_vcpu)
{
	struct vm *vm = vm_create(0);
	int max = vm_cap(vm, KVM_CAP_MAX_VCPU_ID), a;

	CHECK_OK(ioctl(vm->fd, KVM_CREATE_VCPU, 0));
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_VCPU, 0), EEXIST);
	CHECK_OK(ioctl(vm->fd, KVM_CREATE_VCPU, 5));
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_VCPU, max), EINVAL);
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_VCPU, -1L), EINVAL);
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_VCPU, 1ul << 31), EINVAL);
	/* Closing the fd does not free the id: the vCPU lives as long as its VM. */
	a = CHECK_OK(ioctl(vm->fd, KVM_CREATE_VCPU, 1));
	close(a);
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_VCPU, 1), EEXIST);
}

/* No room for the fd: no vCPU either. */
TEST(create_vcpu_no_fd)
{
	struct vm *vm = vm_create(0);
	int next = CHECK_OK(dup(0));
	struct rlimit limit = { next, 4096 };

	close(next);
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_VCPU, 3), EMFILE);
	limit.rlim_cur = 1024;
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	CHECK_OK(ioctl(vm->fd, KVM_CREATE_VCPU, 3));
}

/* A refused boot CPU leaves the old one. */
TEST(boot_cpu_id)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	struct kvm_sregs s;

	CHECK_ERR(ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 100000), EINVAL);
	CHECK_OK(ioctl(vcpu_add(vm, 0)->fd, KVM_GET_SREGS, &s));
	CHECK_EQ(s.apic_base, 0xfee00900);
	CHECK_ERR(ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 1), EBUSY);
	CHECK_ERR(ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 100000), EBUSY);
}

static void expect_boot_cpu(struct vcpu *vcpu, bool boot)
{
	struct kvm_mp_state mp;
	struct kvm_sregs s;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &s));
	CHECK_EQ(s.apic_base, boot ? 0xfee00900 : 0xfee00800);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp));
	CHECK_EQ(mp.mp_state, boot ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED);
}

/* Another than vCPU 0: smp_boot_cpu runs it. */
TEST(boot_cpu_other)
{
	struct vm *vm = vm_create(VM_IRQCHIP);

	need_cap(vm->fd, KVM_CAP_SET_BOOT_CPU_ID);
	CHECK_OK(ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 2));
	CHECK_OK(ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 1));
	expect_boot_cpu(vcpu_add(vm, 0), false);
	CHECK_ERR(ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 0), EBUSY);
	expect_boot_cpu(vcpu_add(vm, 1), true);
	expect_boot_cpu(vcpu_add(vm, 2), false);
	CHECK_ERR(ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 1), EBUSY);
	expect_boot_cpu(&vm->vcpus[0], false);
}

/* More than one table of ours holds, and the highest id; all of them are found again. */
TEST(create_many_vcpus)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	int i;

	for (i = 0; i < 130; i++)
		CHECK_OK(ioctl(vm->fd, KVM_CREATE_VCPU, i));
	CHECK_OK(ioctl(vm->fd, KVM_CREATE_VCPU, 1023));
	CHECK_ERR(ioctl(vm->fd, KVM_CREATE_VCPU, 1023), EEXIST);
	for (i = 0; i < 130; i++)
		CHECK_ERR(ioctl(vm->fd, KVM_CREATE_VCPU, i), EEXIST);
}

TEST(reset_state)
{
	struct vcpu *vcpu = vcpu_add(vm_create(VM_IRQCHIP), 0);
	struct kvm_sregs s;
	struct kvm_regs r;
	struct kvm_fpu f;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_REGS, &r));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &s));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_FPU, &f));
	CHECK_EQ(r.rip, 0xfff0);
	CHECK_EQ(r.rflags, 2);
	CHECK_EQ(r.rax | r.rbx | r.rcx | r.rsp, 0);
	CHECK_EQ(s.cs.base, 0xffff0000);
	CHECK_EQ(s.cs.selector, 0xf000);
	CHECK_EQ(s.cs.limit, 0xffff);
	CHECK_EQ(s.cs.present, 1);
	CHECK_EQ(s.ds.base, 0);
	CHECK_EQ(s.ds.limit, 0xffff);
	CHECK_EQ(s.gdt.base, 0);
	CHECK_EQ(s.gdt.limit, 0xffff);
	CHECK_EQ(s.idt.limit, 0xffff);
	CHECK_EQ(s.cr0, 0x60000010);
	CHECK_EQ(s.cr2 | s.cr3 | s.cr4 | s.cr8 | s.efer, 0);
	CHECK_EQ(s.apic_base, 0xfee00900);
	CHECK_EQ(s.tr.limit, 0xffff);
	CHECK_EQ(f.fcw, 0x37f);
}

TEST(regs)
{
	struct vcpu *vcpu = new_vcpu(0);
	struct kvm_regs r, back;
	uint64_t *word = (uint64_t *)&r;
	size_t i;

	for (i = 0; i < sizeof(r) / 8; i++)
		word[i] = 0x0101010101010101 * (i + 1);
	r.rflags = 0x246;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_REGS, &r));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_REGS, &back));
	CHECK(!memcmp(&r, &back, sizeof(r)));
	/* Bit 1 is always set. */
	r.rflags = 0;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_REGS, &r));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_REGS, &back));
	CHECK_EQ(back.rflags, 2);
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_REGS, NULL), EFAULT);
	CHECK_ERR(ioctl(vcpu->fd, KVM_GET_REGS, NULL), EFAULT);
}

TEST(sregs)
{
	struct vcpu *vcpu = new_vcpu(VM_IRQCHIP);
	struct kvm_sregs s, back;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &s));
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &s));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &back));
	CHECK(!memcmp(&s, &back, sizeof(s)));

	/* Long mode */
	s.cs = (struct kvm_segment){
		.selector = 8, .limit = ~0u, .type = 0xb, .present = 1, .s = 1, .l = 1, .g = 1,
	};
	s.ds = s.es = s.ss = s.fs = s.gs = (struct kvm_segment){
		.selector = 16, .limit = ~0u, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1,
	};
	s.fs.base = 0x7f0000001000;
	s.gs.base = 0xffff888000000000;
	s.tr = (struct kvm_segment){
		.selector = 24, .base = 0x5000, .limit = 0x67, .type = 0xb, .present = 1,
	};
	s.gdt.base = 0x6000;
	s.gdt.limit = 0x3f;
	s.idt.base = 0xffffffff00007000;
	s.idt.limit = 0xfff;
	s.cr0 = 0x80010033;
	s.cr2 = 0x123456789abc;
	s.cr3 = 0x8000;
	s.cr4 = 0x6a0 & ~0x80;
	s.cr8 = 9;
	s.efer = 0xd01;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &s));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &back));
	CHECK(!memcmp(&s.cs, &back.cs, sizeof(s.cs)));
	CHECK(!memcmp(&s.ds, &back.ds, sizeof(s.ds)));
	CHECK(!memcmp(&s.ss, &back.ss, sizeof(s.ss)));
	CHECK_EQ(back.fs.base, s.fs.base);
	CHECK_EQ(back.gs.base, s.gs.base);
	CHECK(!memcmp(&s.tr, &back.tr, sizeof(s.tr)));
	CHECK_EQ(back.gdt.base, s.gdt.base);
	CHECK_EQ(back.gdt.limit, s.gdt.limit);
	CHECK_EQ(back.idt.base, s.idt.base);
	CHECK_EQ(back.cr0, s.cr0);
	CHECK_EQ(back.cr2, s.cr2);
	CHECK_EQ(back.cr3, s.cr3);
	CHECK_EQ(back.cr4, s.cr4);
	CHECK_EQ(back.cr8, s.cr8);
	CHECK_EQ(back.efer, s.efer);
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_SREGS, NULL), EFAULT);
}

TEST(sregs_bad)
{
	struct vcpu *vcpu = new_vcpu(VM_IRQCHIP);
	struct kvm_sregs good, s, back;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &good));
#define BAD(change)							\
	do {								\
		s = good;						\
		change;							\
		CHECK_ERR(ioctl(vcpu->fd, KVM_SET_SREGS, &s), EINVAL);	\
		CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &back));	\
		CHECK(!memcmp(&good, &back, sizeof(good)));		\
	} while (0)
	BAD(s.cr4 = 1ull << 63);
	BAD(s.cr4 = 1ull << 30);
	BAD(s.cr0 = 1ull << 32);
	BAD(s.cr0 = 0x80000000);			/* PG without PE */
	BAD(s.cr0 = 0x20000000);			/* NW without CD */
	BAD((s.cr0 = 0x80000011, s.efer = 0x100));	/* long mode without PAE */
	BAD((s.cr0 = 0x11, s.efer = 0x500));		/* LMA without paging */
	BAD(s.apic_base = 0xfee00900ull | 1ull << 63);
	BAD(s.apic_base = 0xfee00500);			/* x2APIC but not enabled */
#undef BAD
}

TEST(sregs_interrupt_bitmap)
{
	struct vcpu *vcpu = new_vcpu(0);
	struct kvm_interrupt irq = { .irq = 0x45 };
	struct kvm_sregs s;

	CHECK_OK(ioctl(vcpu->fd, KVM_INTERRUPT, &irq));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &s));
	CHECK_EQ(s.interrupt_bitmap[0x45 / 64], 1ull << 0x45 % 64);
	s.interrupt_bitmap[0x45 / 64] = 0;
	s.interrupt_bitmap[0x80 / 64] = 1;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &s));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &s));
	CHECK_EQ(s.interrupt_bitmap[0x80 / 64], 1);
}

TEST(fpu)
{
	struct vcpu *vcpu = new_vcpu(0);
	struct kvm_fpu f, back;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_FPU, &f));
	memset(f.fpr, 0x5a, sizeof(f.fpr));
	memset(f.xmm, 0xa5, sizeof(f.xmm));
	f.fcw = 0x27f;
	f.ftwx = 0xff;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_FPU, &f));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_FPU, &back));
	CHECK_EQ(back.fcw, f.fcw);
	CHECK_EQ(back.ftwx, f.ftwx);
	CHECK(!memcmp(f.xmm, back.xmm, sizeof(f.xmm)));
	CHECK(!memcmp(f.fpr[0], back.fpr[0], 10));
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_FPU, NULL), EFAULT);
}

#define XSAVE_MXCSR	(24 / 4)
#define XSAVE_XMM	(160 / 4)
#define XSAVE_HEADER	(512 / 4)
#define XSAVE_YMM	(576 / 4)

TEST(xsave)
{
	struct vcpu *vcpu = new_vcpu(0);
	static struct kvm_xsave x, back;
	int i;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_XSAVE, &x));
	CHECK_EQ(x.region[XSAVE_MXCSR], 0x1f80);
	x.region[XSAVE_HEADER] = 7;
	for (i = 0; i < 64; i++) {
		x.region[XSAVE_XMM + i] = 0x1000 + i;
		x.region[XSAVE_YMM + i] = 0x2000 + i;
	}
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_XSAVE, &x));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_XSAVE, &back));
	CHECK_EQ(back.region[XSAVE_HEADER] & 7, 7);
	CHECK(!memcmp(&x.region[XSAVE_XMM], &back.region[XSAVE_XMM], 256));
	CHECK(!memcmp(&x.region[XSAVE_YMM], &back.region[XSAVE_YMM], 256));
	/* FPU and XSAVE show the same state. */
	{
		struct kvm_fpu f;

		CHECK_OK(ioctl(vcpu->fd, KVM_GET_FPU, &f));
		CHECK(!memcmp(f.xmm, &x.region[XSAVE_XMM], 256));
	}
	/* Out of the header: YMM is in its reset state, zero. */
	x.region[XSAVE_HEADER] = 3;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_XSAVE, &x));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_XSAVE, &back));
	if (back.region[XSAVE_HEADER] & 4)
		CHECK_EQ(back.region[XSAVE_YMM], 0);
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_XSAVE, NULL), EFAULT);
}

static struct kvm_xsave good_xsave(struct vcpu *vcpu)
{
	struct kvm_xsave x;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_XSAVE, &x));
	return x;
}

TEST(xsave_bad_mxcsr)
{
	struct vcpu *vcpu = new_vcpu(0);
	struct kvm_xsave x = good_xsave(vcpu);

	x.region[XSAVE_HEADER] = 7;
	x.region[XSAVE_MXCSR] = 0xffffffff;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_XSAVE, &x), EINVAL);
}

TEST(xsave_bad_header)
{
	struct vcpu *vcpu = new_vcpu(0);
	struct kvm_xsave x = good_xsave(vcpu);
	int i;

	x.region[XSAVE_HEADER + 1] = 0x40000000;	/* no such component */
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_XSAVE, &x), EINVAL);
	for (i = 2; i < 16; i++) {			/* no compaction, and reserved */
		x = good_xsave(vcpu);
		x.region[XSAVE_HEADER + i] = 1;
		CHECK_ERR(ioctl(vcpu->fd, KVM_SET_XSAVE, &x), EINVAL);
	}
	x = good_xsave(vcpu);
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_XSAVE, &x));
}

TEST(xcrs)
{
	struct vcpu *vcpu = new_vcpu(0);
	struct kvm_xcrs x;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_XCRS, &x));
	CHECK_EQ(x.nr_xcrs, 1);
	CHECK_EQ(x.xcrs[0].xcr, 0);
	CHECK_EQ(x.xcrs[0].value, 1);
	x.xcrs[0].value = 7;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_XCRS, &x));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_XCRS, &x));
	CHECK_EQ(x.xcrs[0].value, 7);
	x.xcrs[0].value = 6;		/* without x87 */
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_XCRS, &x), EINVAL);
	x.xcrs[0].value = 5;		/* AVX without SSE */
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_XCRS, &x), EINVAL);
	x.xcrs[0].value = 1ull << 62 | 1;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_XCRS, &x), EINVAL);
	x.xcrs[0].value = 7;
	x.flags = 1;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_XCRS, &x), EINVAL);
	x.flags = 0;
	x.nr_xcrs = KVM_MAX_XCRS + 1;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_XCRS, &x), EINVAL);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_XCRS, &x));
	CHECK_EQ(x.xcrs[0].value, 7);
}

TEST(debugregs)
{
	struct vcpu *vcpu = new_vcpu(0);
	struct kvm_debugregs d, back;
	int i;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &d));
	CHECK_EQ(d.dr6, 0xffff0ff0);
	CHECK_EQ(d.dr7, 0x400);
	for (i = 0; i < 4; i++)
		d.db[i] = 0x1000 * (i + 1);
	d.dr6 = 0xffff0ff1;
	d.dr7 = 0x403;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &d));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &back));
	CHECK(!memcmp(d.db, back.db, sizeof(d.db)));
	CHECK_EQ(back.dr6, d.dr6);
	CHECK_EQ(back.dr7, d.dr7);
	d.dr7 = 1ull << 32;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &d), EINVAL);
	d.dr7 = 0x400;
	d.dr6 = 1ull << 32;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &d), EINVAL);
	d.dr6 = 0;
	d.flags = 1;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &d), EINVAL);
}

TEST(vcpu_events)
{
	struct vcpu *vcpu = new_vcpu(VM_IRQCHIP);
	struct kvm_vcpu_events ev, back;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &ev));
	CHECK_EQ(ev.exception.injected | ev.interrupt.injected | ev.nmi.injected | ev.nmi.pending, 0);
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev));

	memset(&ev, 0, sizeof(ev));
	ev.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	ev.exception.injected = 1;
	ev.exception.nr = 13;
	ev.exception.has_error_code = 1;
	ev.exception.error_code = 0x10;
	ev.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	ev.nmi.masked = 1;
	ev.nmi.pending = 1;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &back));
	CHECK_EQ(back.exception.injected, 1);
	CHECK_EQ(back.exception.nr, 13);
	CHECK_EQ(back.exception.has_error_code, 1);
	CHECK_EQ(back.exception.error_code, 0x10);
	CHECK(back.interrupt.shadow);
	CHECK_EQ(back.nmi.masked, 1);
	CHECK_EQ(back.nmi.pending, 1);

	memset(&ev, 0, sizeof(ev));
	ev.interrupt.injected = 1;
	ev.interrupt.nr = 0x77;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &back));
	CHECK_EQ(back.interrupt.injected, 1);
	CHECK_EQ(back.interrupt.nr, 0x77);
	CHECK_EQ(back.exception.injected, 0);

	ev.flags = 1u << 31;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev), EINVAL);
	memset(&ev, 0, sizeof(ev));
	ev.exception.injected = 1;
	ev.exception.nr = 40;			/* not an exception */
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev), EINVAL);
	ev.exception.nr = 2;			/* NMI is not one either */
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev), EINVAL);
}

TEST(mp_state)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	struct vcpu *bsp = vcpu_add(vm, 0), *ap = vcpu_add(vm, 1);
	struct kvm_mp_state mp;

	CHECK_OK(ioctl(bsp->fd, KVM_GET_MP_STATE, &mp));
	CHECK_EQ(mp.mp_state, KVM_MP_STATE_RUNNABLE);
	CHECK_OK(ioctl(ap->fd, KVM_GET_MP_STATE, &mp));
	CHECK_EQ(mp.mp_state, KVM_MP_STATE_UNINITIALIZED);
	for (mp.mp_state = KVM_MP_STATE_RUNNABLE; mp.mp_state <= KVM_MP_STATE_SIPI_RECEIVED;
	     mp.mp_state++) {
		struct kvm_mp_state back;

		if (ioctl(ap->fd, KVM_SET_MP_STATE, &mp))
			FAIL("state %u: %s", mp.mp_state, strerror(errno));
		CHECK_OK(ioctl(ap->fd, KVM_GET_MP_STATE, &back));
		/* KVM turns SIPI_RECEIVED into INIT_RECEIVED with a SIPI pending. */
		if (mp.mp_state != KVM_MP_STATE_SIPI_RECEIVED)
			CHECK_EQ(back.mp_state, mp.mp_state);
	}
	mp.mp_state = 1000;
	CHECK_ERR(ioctl(ap->fd, KVM_SET_MP_STATE, &mp), EINVAL);
}

TEST(mp_state_no_irqchip)
{
	struct vcpu *vcpu = new_vcpu(0);
	struct kvm_mp_state mp;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp));
	CHECK_EQ(mp.mp_state, KVM_MP_STATE_RUNNABLE);
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp));
	mp.mp_state = KVM_MP_STATE_HALTED;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp), EINVAL);
}

TEST(cpuid2)
{
	struct vcpu *vcpu = new_vcpu(0);
	struct cpuid set, got;
	uint32_t i;

	cpuid_supported(vcpu->vm->sys, &set);
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_CPUID2, &set.head));
	got.head.nent = 1;
	CHECK_ERR(ioctl(vcpu->fd, KVM_GET_CPUID2, &got.head), E2BIG);
	got.head.nent = MAX_CPUID;
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_CPUID2, &got.head));
	/* KVM before 6.8 does not write it back. */
	CHECK(got.head.nent == set.head.nent || (on_kvm() && got.head.nent == MAX_CPUID));
	for (i = 0; i < set.head.nent; i++) {
		CHECK_EQ(got.entries[i].function, set.entries[i].function);
		CHECK_EQ(got.entries[i].index, set.entries[i].index);
	}
	/* Again, with less; bad memory; too many */
	set.head.nent = 2;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_CPUID2, &set.head));
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_CPUID2, NULL), EFAULT);
	set.head.nent = 10000;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_CPUID2, &set.head), E2BIG);
	set.head.nent = 0;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_CPUID2, &set.head));
}

TEST(msrs_batch)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e[3];
	} m = { .head.nmsrs = 3 };
	struct vcpu *vcpu = new_vcpu(0);

	m.e[0].index = 0xc0000082;		/* LSTAR */
	m.e[0].data = 0x1000;
	m.e[1].index = 0x277;			/* PAT, with a bad type */
	m.e[1].data = 0x02;
	m.e[2].index = 0xc0000083;		/* CSTAR */
	m.e[2].data = 0x2000;
	/* It says how far it came. */
	CHECK_EQ(ioctl(vcpu->fd, KVM_SET_MSRS, &m.head), 1);
	CHECK_EQ(vcpu_get_msr(vcpu, 0xc0000082), 0x1000);
	CHECK_EQ(vcpu_get_msr(vcpu, 0xc0000083), 0);
	m.e[1].index = 0x12345678;
	CHECK_EQ(ioctl(vcpu->fd, KVM_GET_MSRS, &m.head), 1);
	m.e[1].index = 0xc0000084;
	m.e[1].data = 0x200;
	CHECK_EQ(ioctl(vcpu->fd, KVM_SET_MSRS, &m.head), 3);
	CHECK_EQ(ioctl(vcpu->fd, KVM_GET_MSRS, &m.head), 3);
	CHECK_EQ(m.e[1].data, 0x200);
	m.head.nmsrs = 0;
	CHECK_EQ(ioctl(vcpu->fd, KVM_SET_MSRS, &m.head), 0);
	m.head.nmsrs = 1u << 20;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_MSRS, &m.head), E2BIG);
	CHECK_ERR(ioctl(vcpu->fd, KVM_GET_MSRS, NULL), EFAULT);
}

/* What QEMU and Firecracker set and insist on */
TEST(msrs_of_clients)
{
	static const struct {
		uint32_t index;
		uint64_t value;
	} msrs[] = {
		{ 0x10, 12345 }, { 0x174, 0x10 }, { 0x175, 0x80001000 },
		{ 0x176, 0x81000000 }, { 0x277, 0x0007040600070406 },
		{ 0xc0000081, 0x0023001000000000 }, { 0xc0000082, 0xffffffff81000000 },
		{ 0xc0000083, 0xffffffff81000000 }, { 0xc0000084, 0x47700 },
		{ 0xc0000102, 0xffff888000000000 }, { 0x1a0, 1 },
		{ 0x2ff, 0xc06 }, { 0x2ff, 0x806 },
		{ 0x250, 0x0606060606060606 }, { 0x258, 0x0606060606060606 },
		{ 0x259, 0 }, { 0x268, 0x0505050505050505 }, { 0x269, 0 }, { 0x26a, 0 },
		{ 0x26b, 0 }, { 0x26c, 0 }, { 0x26d, 0 }, { 0x26e, 0 }, { 0x26f, 0 },
		{ 0x200, 0x06 }, { 0x201, 0xff80000800 }, { 0x20e, 0 }, { 0x20f, 0 },
		{ 0x17a, 0 }, { 0x11, 0x5001 }, { 0x12, 0 },
		/* The paravirtual ones: on, where that needs no memory slot, and off. */
		{ 0x4b564d00, 0x5000 }, { 0x4b564d00, 0 }, { 0x4b564d01, 0x5001 },
		{ 0x4b564d01, 0 }, { 0x4b564d02, 0 }, { 0x4b564d03, 0x6001 }, { 0x4b564d03, 0 },
		{ 0x4b564d04, 0 }, { 0x4b564d05, 0 }, { 0x4b564d05, 1 },
		{ 0x4b564d06, 0 }, { 0x4b564d07, 0 },
	};
	struct vcpu *vcpu = new_vcpu(VM_IRQCHIP);
	uint64_t mce = 0;
	size_t i;

	for (i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		vcpu_set_msr(vcpu, msrs[i].index, msrs[i].value);
		if (msrs[i].index != 0x10 && vcpu_get_msr(vcpu, msrs[i].index) != msrs[i].value)
			FAIL("MSR %#x is %#llx, not %#llx", msrs[i].index,
			     (unsigned long long)vcpu_get_msr(vcpu, msrs[i].index),
			     (unsigned long long)msrs[i].value);
	}
	CHECK(vcpu_get_msr(vcpu, 0x10) >= 12345);
	CHECK_OK(ioctl(vcpu->vm->sys, KVM_X86_GET_MCE_CAP_SUPPORTED, &mce));
	mce = (mce & ~0xffull) | 10;
	CHECK_OK(ioctl(vcpu->fd, KVM_X86_SETUP_MCE, &mce));
	vcpu_set_msr(vcpu, 0x17a, 0);
	vcpu_set_msr(vcpu, 0x17b, ~0ull);
	for (i = 0; i < 40; i += 4) {
		vcpu_set_msr(vcpu, 0x400 + i, ~0ull);
		vcpu_set_msr(vcpu, 0x401 + i, 0);
	}
	mce = 0xff;
	CHECK_ERR(ioctl(vcpu->fd, KVM_X86_SETUP_MCE, &mce), EINVAL);
}

/* An error that the VMM reports: recorded, counted as lost, raised, or fatal. */
TEST(set_mce)
{
	const uint64_t valid = 1ull << 63, over = 1ull << 62, uc = 1ull << 61;
	struct vcpu *vcpu = new_vcpu(VM_IRQCHIP);
	struct kvm_x86_mce mce = { .status = valid | 5, .addr = 0x1000, .bank = 1 };
	uint64_t cap = 10 | 1 << 8;
	struct kvm_vcpu_events ev;
	struct kvm_sregs s;

	CHECK_OK(ioctl(vcpu->fd, KVM_X86_SETUP_MCE, &cap));
	CHECK_OK(ioctl(vcpu->fd, KVM_X86_SET_MCE, &mce));
	CHECK_EQ(vcpu_get_msr(vcpu, 0x405), valid | 5);
	CHECK_EQ(vcpu_get_msr(vcpu, 0x406), 0x1000);
	CHECK_OK(ioctl(vcpu->fd, KVM_X86_SET_MCE, &mce));
	CHECK_EQ(vcpu_get_msr(vcpu, 0x405), valid | over | 5);

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &s));
	s.cr4 |= 1 << 6;	/* MCE */
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &s));
	mce.status = valid | uc;
	mce.mcg_status = 4;	/* MCIP */
	CHECK_OK(ioctl(vcpu->fd, KVM_X86_SET_MCE, &mce));
	CHECK_EQ(vcpu_get_msr(vcpu, 0x405), valid | over | uc);
	CHECK_EQ(vcpu_get_msr(vcpu, 0x17a), 4);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &ev));
	CHECK_EQ(ev.exception.injected, 1);
	CHECK_EQ(ev.exception.nr, 18);

	/* A second one while the first is being handled */
	CHECK_OK(ioctl(vcpu->fd, KVM_X86_SET_MCE, &mce));
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_SHUTDOWN);

	mce.bank = 10;
	CHECK_ERR(ioctl(vcpu->fd, KVM_X86_SET_MCE, &mce), EINVAL);
	mce.bank = 0;
	mce.status = 0;
	CHECK_ERR(ioctl(vcpu->fd, KVM_X86_SET_MCE, &mce), EINVAL);
}

/* Values that the guest too would be refused */
TEST(msrs_bad)
{
	struct vcpu *vcpu = new_vcpu(VM_IRQCHIP);

	CHECK_EQ(vcpu_try_set_msr(vcpu, 0x277, 0x0202020202020202), 0);
	CHECK_EQ(vcpu_try_set_msr(vcpu, 0xc0000080, 1ull << 40), 0);
	CHECK_EQ(vcpu_try_set_msr(vcpu, 0xc0000082, 1ull << 63), 0);
	CHECK_EQ(vcpu_try_set_msr(vcpu, 0xc0000102, 1ull << 63), 0);
	CHECK_EQ(vcpu_try_set_msr(vcpu, 0x1b, 1ull << 63), 0);
	CHECK_EQ(vcpu_try_set_msr(vcpu, 0x2ff, 0xff), 0);
	CHECK_EQ(vcpu_try_set_msr(vcpu, 0x250, 0xff), 0);
	CHECK_EQ(vcpu_try_set_msr(vcpu, 0x12345678, 0), 0);
}

TEST(lapic_state)
{
	struct vcpu *vcpu = new_vcpu(VM_IRQCHIP), *none = new_vcpu(0);
	struct kvm_lapic_state s, back;

	CHECK_ERR(ioctl(none->fd, KVM_GET_LAPIC, &s), EINVAL);
	CHECK_ERR(ioctl(none->fd, KVM_SET_LAPIC, &s), EINVAL);
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_LAPIC, &s));
	CHECK_EQ(*(uint32_t *)&s.regs[0xf0], 0xff);
	*(uint32_t *)&s.regs[0xf0] = 0x1ff;
	*(uint32_t *)&s.regs[0x350] = 0x700;	/* LVT0: ExtINT, as kvmtool does it */
	*(uint32_t *)&s.regs[0x360] = 0x400;	/* LVT1: NMI */
	*(uint32_t *)&s.regs[0x80] = 0x20;	/* TPR */
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_LAPIC, &s));
	CHECK_OK(ioctl(vcpu->fd, KVM_GET_LAPIC, &back));
	CHECK_EQ(*(uint32_t *)&back.regs[0xf0], 0x1ff);
	CHECK_EQ(*(uint32_t *)&back.regs[0x350], 0x700);
	CHECK_EQ(*(uint32_t *)&back.regs[0x360], 0x400);
	CHECK_EQ(*(uint32_t *)&back.regs[0x80], 0x20);
	/* The id is the vCPU's. */
	CHECK_EQ(*(uint32_t *)&back.regs[0x20], 0);
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_LAPIC, NULL), EFAULT);
}

TEST(tsc_khz)
{
	struct vcpu *vcpu = new_vcpu(0);
	int khz = CHECK_OK(ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0));

	CHECK(khz > 50000);	/* the slowest: Bochs in the lab, 100 MHz */
	/* The host's own frequency is always possible. */
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_TSC_KHZ, (long)khz));
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_TSC_KHZ, 0L));
	if (!vm_cap(vcpu->vm, KVM_CAP_TSC_CONTROL)) {
		CHECK_EQ(ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0), khz);
		return;
	}
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_TSC_KHZ, khz / 2l));
	CHECK_EQ(ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0), khz / 2);
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_TSC_KHZ, 1l << 31), EINVAL);
	if (!on_kvm())	/* which takes the low half alone */
		CHECK_ERR(ioctl(vcpu->fd, KVM_SET_TSC_KHZ, 1l << 32), EINVAL);
	CHECK_EQ(ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0), khz / 2);
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_TSC_KHZ, (long)khz));
	CHECK_EQ(ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0), khz);
}

TEST(kvmclock_ctrl)
{
	struct vcpu *vcpu = new_vcpu(0);

	/* The guest has not set a clock up. */
	CHECK_ERR(ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, 0), EINVAL);
}

TEST(interrupt)
{
	struct vcpu *vcpu = new_vcpu(0), *with = new_vcpu(VM_IRQCHIP);
	struct kvm_interrupt irq = { .irq = 256 };

	CHECK_ERR(ioctl(vcpu->fd, KVM_INTERRUPT, &irq), EINVAL);
	irq.irq = 0x20;
	CHECK_OK(ioctl(vcpu->fd, KVM_INTERRUPT, &irq));
	CHECK_ERR(ioctl(vcpu->fd, KVM_INTERRUPT, NULL), EFAULT);
	CHECK_ERR(ioctl(with->fd, KVM_INTERRUPT, &irq), ENXIO);
	CHECK_OK(ioctl(vcpu->fd, KVM_NMI, 0));
	CHECK_OK(ioctl(with->fd, KVM_NMI, 0));
}

TEST(signal_mask)
{
	struct {
		struct kvm_signal_mask head;
		uint64_t set;
	} __attribute__((packed)) m = { .head.len = 8 };
	struct vcpu *vcpu = new_vcpu(0);

	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, &m));
	m.head.len = 4;
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, &m), EINVAL);
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, NULL));
	CHECK_ERR(ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, 0x10), EFAULT);
}

TEST(guest_debug)
{
	struct vcpu *vcpu = new_vcpu(0);
	struct kvm_guest_debug d = {};

	need_cap(vcpu->vm->fd, KVM_CAP_SET_GUEST_DEBUG);
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &d));
	d.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &d));
	d.control = 0;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &d));
}

TEST(enable_cap)
{
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = vcpu_add(vm, 0);
	struct kvm_enable_cap cap = { .cap = 0x12345 };

	CHECK_ERR(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	CHECK(ioctl(vcpu->fd, KVM_ENABLE_CAP, &cap) < 0);
	CHECK(errno == EINVAL || errno == ENOTTY);
	CHECK_ERR(ioctl(vm->fd, KVM_ENABLE_CAP, NULL), EFAULT);
}
