// SPDX-License-Identifier: GPL-2.0
/*
 * lhv bus/ - port I/O: IN, OUT and their string forms.
 *
 * IN and OUT are over when the VMM has answered, that is at its next KVM_RUN: one
 * that looks at the vCPU in between finds RIP on the instruction.
 * String forms move as many elements as fit and leave the registers as the CPU
 * would between two iterations; what is left comes as another exit.
 */
#include <linux/mm.h>

#include "../lhv.h"

/* Old VMMs look at RIP when this one is written, and want it behind the instruction. */
#define PORT_OVER_BEFORE	0x7e

#define MAX_KERNEL_ELEMENTS	1024	/* of one exit, for a device in the kernel */

/* What a register holds of OUT's operand; @size is 1, 2 or 4. */
static u32 low_bytes(u64 reg, u8 size)
{
	return size == 1 ? (u8)reg : size == 2 ? (u16)reg : (u32)reg;
}

static void set_rax(struct lhv_vcpu *vcpu, u32 val, u8 size)
{
	u64 *rax = &vcpu->regs[LHV_RAX];

	switch (size) {
	case 1:
		*rax = (*rax & ~0xffULL) | (u8)val;
		break;
	case 2:
		*rax = (*rax & ~0xffffULL) | (u16)val;
		break;
	default:
		*rax = val;
	}
}

/* The data page is mapped by the VMM: whatever is taken from it is taken once. */
static void *data_page(struct lhv_vcpu *vcpu)
{
	return page_address(vcpu->pages[KVM_PIO_PAGE_OFFSET]);
}

static enum lhv_next ask_vmm(struct lhv_vcpu *vcpu, const struct lhv_io *io, u32 count)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = io->in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = io->size;
	run->io.port = io->port;
	run->io.count = count;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	return LHV_EXIT_USER;
}

static void await_answer(struct lhv_vcpu *vcpu, const struct lhv_io *io, u32 count,
			 enum lhv_next (*complete)(struct lhv_vcpu *vcpu))
{
	vcpu->pio.io = *io;
	vcpu->pio.count = count;
	vcpu->pio.rip = vcpu->rip;
	vcpu->complete = complete;
}

/* ---- IN and OUT ---- */

static enum lhv_next complete_in(struct lhv_vcpu *vcpu)
{
	u8 size = vcpu->pio.io.size;
	u32 val = 0;

	/* The VMM moved the vCPU elsewhere: the answer is nobody's. */
	if (vcpu->rip != vcpu->pio.rip)
		return LHV_RESUME;
	memcpy(&val, data_page(vcpu), size);
	set_rax(vcpu, val, size);
	return lhv_skip(vcpu);
}

static enum lhv_next in_from_vmm(struct lhv_vcpu *vcpu, const struct lhv_io *io)
{
	await_answer(vcpu, io, 1, complete_in);
	return ask_vmm(vcpu, io, 1);
}

static enum lhv_next complete_out(struct lhv_vcpu *vcpu)
{
	return vcpu->rip == vcpu->pio.rip ? lhv_skip(vcpu) : LHV_RESUME;
}

static enum lhv_next complete_stepped(struct lhv_vcpu *vcpu)
{
	return lhv_debug_exit(vcpu, X86_TRAP_DB, DR_STEP);
}

static enum lhv_next out_to_vmm(struct lhv_vcpu *vcpu, const struct lhv_io *io, u32 val)
{
	enum lhv_next next;
	unsigned int len;

	if (unlikely(io->port == PORT_OVER_BEFORE) &&
	    lhv_has_quirk(vcpu->vm, KVM_X86_QUIRK_OUT_7E_INC_RIP)) {
		len = lhv_insn_len(vcpu, &next);
		if (!len)
			return next;
		memcpy(data_page(vcpu), &val, io->size);
		vcpu->complete = lhv_retire_quiet(vcpu, len) ? complete_stepped : NULL;
		return ask_vmm(vcpu, io, 1);
	}
	memcpy(data_page(vcpu), &val, io->size);
	await_answer(vcpu, io, 1, complete_out);
	return ask_vmm(vcpu, io, 1);
}

/* ---- INS and OUTS; slow tier ---- */

static u64 addr_mask(const struct lhv_io *io)
{
	return io->addr_size == 8 ? ~0ULL : GENMASK_ULL(io->addr_size * 8 - 1, 0);
}

/* A write to a 32-bit register clears its upper half, one to a 16-bit register does not. */
static void add_reg(struct lhv_vcpu *vcpu, const struct lhv_io *io, enum lhv_reg reg, s64 delta)
{
	u64 mask = addr_mask(io), val = (vcpu->regs[reg] + delta) & mask;

	vcpu->regs[reg] = io->addr_size == 2 ? (vcpu->regs[reg] & ~mask) | val : val;
}

static int step(struct lhv_vcpu *vcpu, const struct lhv_io *io)
{
	return vcpu->rflags & X86_EFLAGS_DF ? -io->size : io->size;
}

static u64 elements_left(struct lhv_vcpu *vcpu, const struct lhv_io *io)
{
	return io->rep ? vcpu->regs[LHV_RCX] & addr_mask(io) : 1;
}

/* @n elements are done. */
static void advance(struct lhv_vcpu *vcpu, const struct lhv_io *io, u32 n)
{
	add_reg(vcpu, io, io->in ? LHV_RDI : LHV_RSI, (s64)step(vcpu, io) * n);
	if (io->rep)
		add_reg(vcpu, io, LHV_RCX, -(s64)n);
}

/* After some of the elements: interrupts and a debugger come between two of them, too. */
static enum lhv_next end(struct lhv_vcpu *vcpu, bool last)
{
	return last ? lhv_skip(vcpu) : lhv_retire(vcpu, 0);
}

static enum lhv_next complete_outs(struct lhv_vcpu *vcpu)
{
	return vcpu->rip == vcpu->pio.rip ? lhv_retire(vcpu, 0) : LHV_RESUME;
}

/* As advance(), of one that a device in memory had. True: it was the last. */
static bool advance_one(struct lhv_vcpu *vcpu, const struct lhv_io *io)
{
	u64 left = elements_left(vcpu, io);

	/* The VMM may have changed RCX meanwhile. */
	if (left)
		advance(vcpu, io, 1);
	return left <= 1;
}

/* Linear address of the element that is @i after the current one. */
static bool element(struct lhv_vcpu *vcpu, const struct lhv_io *io, u32 i, u64 *lin,
		    struct lhv_fault *fault)
{
	u64 ea = vcpu->regs[io->in ? LHV_RDI : LHV_RSI] + (s64)step(vcpu, io) * i;

	return lhv_linear(vcpu, io->seg, ea & addr_mask(io), io->size, io->in, lin, fault);
}

static bool in_one_page(const struct lhv_io *io, u64 lin)
{
	return offset_in_page(lin) + io->size <= PAGE_SIZE;
}

/*
 * 0, -EFAULT with @fault, -ENXIO where there is no memory. The current element may be a device's, if
 * it comes alone and does not lie astride two pages; -EINPROGRESS: the VMM's.
 */
static int load_element(struct lhv_vcpu *vcpu, const struct lhv_io *io, u32 i, void *data,
			struct lhv_fault *fault)
{
	gpa_t gpa;
	u64 lin;
	int ret;

	if (!element(vcpu, io, i, &lin, fault))
		return -EFAULT;
	ret = lhv_read_gva(vcpu, lin, data, io->size, lhv_access_user(vcpu), &gpa, fault);
	if (ret == -ENXIO && !i && in_one_page(io, lin))
		ret = lhv_mmio_read(vcpu, gpa, data, io->size);
	return ret;
}

static int store_element(struct lhv_vcpu *vcpu, const struct lhv_io *io, u32 i, const void *data,
			 bool alone, struct lhv_fault *fault)
{
	gpa_t gpa;
	u64 lin;
	int ret;

	if (!element(vcpu, io, i, &lin, fault))
		return -EFAULT;
	ret = lhv_write_gva(vcpu, lin, data, io->size, lhv_access_user(vcpu) | LHV_ACC_WRITE,
			    &gpa, fault);
	if (ret == -ENXIO && alone && in_one_page(io, lin))
		ret = lhv_mmio_write(vcpu, gpa, data, io->size);
	return ret;
}

/*
 * Could element @i be stored? Asked before a device is read, which cannot be undone. 0, or 1:
 * in a device.
 */
static int probe_element(struct lhv_vcpu *vcpu, const struct lhv_io *io, u32 i,
			 struct lhv_fault *fault)
{
	u32 access = lhv_access_user(vcpu) | LHV_ACC_WRITE;
	gpa_t gpa;
	u64 lin;
	int ret;

	if (!element(vcpu, io, i, &lin, fault))
		return -EFAULT;
	ret = lhv_gva_to_gpa(vcpu, lin, access, &gpa, fault);
	if (ret)
		return ret;
	if (!lhv_gpa_is_memory(vcpu->vm, gpa, true))
		return in_one_page(io, lin) ? 1 : -ENXIO;
	if (in_one_page(io, lin))
		return 0;
	ret = lhv_gva_to_gpa(vcpu, (lin + io->size - 1) & PAGE_MASK, access, &gpa, fault);
	if (ret)
		return ret;
	return lhv_gpa_is_memory(vcpu->vm, gpa, true) ? 0 : -ENXIO;
}

/* The VMM wrote the element to its device. */
static enum lhv_next complete_store(struct lhv_vcpu *vcpu)
{
	const struct lhv_io io = vcpu->pio.io;

	lhv_mmio_complete(vcpu);
	if (vcpu->rip != vcpu->pio.rip)
		return LHV_RESUME;
	return end(vcpu, advance_one(vcpu, &io));
}

/* The VMM read the element from its device, once: now it goes to the port. */
static enum lhv_next complete_load(struct lhv_vcpu *vcpu)
{
	const struct lhv_io io = vcpu->pio.io;
	bool last;
	u64 val;
	int ret;

	lhv_mmio_complete(vcpu);
	if (vcpu->rip != vcpu->pio.rip) {
		lhv_mmio_cancel(vcpu);
		return LHV_RESUME;
	}
	if (!lhv_mmio_take(vcpu, &val))
		return LHV_RESUME;
	ret = lhv_bus_write(vcpu, &vcpu->vm->pio_bus, io.port, io.size, &val);
	if (ret && ret != -EOPNOTSUPP)
		return lhv_emulation_failure(vcpu);
	last = advance_one(vcpu, &io);
	if (!ret)
		return end(vcpu, last);
	memcpy(data_page(vcpu), &val, io.size);
	await_answer(vcpu, &io, 1, last ? complete_out : complete_outs);
	return ask_vmm(vcpu, &io, 1);
}

/* What load_element(), store_element() and probe_element() refuse or wait for. */
static enum lhv_next hold(struct lhv_vcpu *vcpu, const struct lhv_io *io, int err,
			  const struct lhv_fault *fault)
{
	switch (err) {
	case -EFAULT:
		lhv_queue_fault(vcpu, fault);
		return LHV_RESUME;
	case -EINPROGRESS:
		await_answer(vcpu, io, 1, io->in ? complete_store : complete_load);
		return LHV_EXIT_USER;
	default:
		return lhv_emulation_failure(vcpu);
	}
}

/* How many of the next @n elements lie in the page of the first, at least one. */
static u32 within_page(struct lhv_vcpu *vcpu, const struct lhv_io *io, u64 n)
{
	struct lhv_fault fault;
	u32 offset, fit;
	u64 lin;

	if (!element(vcpu, io, 0, &lin, &fault))
		return 1;
	offset = offset_in_page(lin);
	fit = step(vcpu, io) < 0 ? offset / io->size + 1 : (PAGE_SIZE - offset) / io->size;
	return clamp_t(u64, n, 1, max(fit, 1U));
}

/* One element to or from a device in the kernel. As lhv_bus_read(), or as load_element(). */
static int one_in_kernel(struct lhv_vcpu *vcpu, const struct lhv_io *io, struct lhv_fault *fault)
{
	u32 val = 0;
	int ret;

	if (io->in) {
		ret = probe_element(vcpu, io, 0, fault);
		if (ret >= 0)
			ret = lhv_bus_read(vcpu, &vcpu->vm->pio_bus, io->port, io->size, &val);
		return ret ?: store_element(vcpu, io, 0, &val, true, fault);
	}
	ret = load_element(vcpu, io, 0, &val, fault);
	return ret ?: lhv_bus_write(vcpu, &vcpu->vm->pio_bus, io->port, io->size, &val);
}

static enum lhv_next complete_ins(struct lhv_vcpu *vcpu)
{
	const struct lhv_io io = vcpu->pio.io;
	u64 left = elements_left(vcpu, &io);
	/* The VMM may have changed RCX meanwhile. */
	u32 i, val, count = min_t(u64, vcpu->pio.count, left);
	bool last = left == count;
	struct lhv_fault fault;
	int ret;

	if (vcpu->rip != vcpu->pio.rip)
		return LHV_RESUME;
	for (i = 0; i < count; i++) {
		memcpy(&val, data_page(vcpu) + i * io.size, io.size);
		ret = store_element(vcpu, &io, i, &val, vcpu->pio.count == 1, &fault);
		if (ret) {
			advance(vcpu, &io, i);
			return hold(vcpu, &io, ret, &fault);
		}
	}
	advance(vcpu, &io, count);
	return end(vcpu, last);
}

static enum lhv_next ins_from_vmm(struct lhv_vcpu *vcpu, const struct lhv_io *io, u64 left)
{
	u32 count = within_page(vcpu, io, left);
	struct lhv_fault fault;
	int ret = probe_element(vcpu, io, 0, &fault);

	if (ret < 0)
		return hold(vcpu, io, ret, &fault);
	/* To a device one at a time. */
	if (count > 1 && (ret || probe_element(vcpu, io, count - 1, &fault)))
		count = 1;
	await_answer(vcpu, io, count, complete_ins);
	return ask_vmm(vcpu, io, count);
}

static enum lhv_next outs_to_vmm(struct lhv_vcpu *vcpu, const struct lhv_io *io, u64 left)
{
	u32 i, count = within_page(vcpu, io, left);
	struct lhv_fault fault;
	int ret;

	for (i = 0; i < count; i++) {
		u32 val = 0;

		/* A second time where the kernel's own device is read: the APICs do not mind. */
		ret = load_element(vcpu, io, i, &val, &fault);
		if (ret)
			break;
		memcpy(data_page(vcpu) + i * io->size, &val, io->size);
	}
	/* What was read goes out; the fault is met again by what is left. */
	if (!i)
		return hold(vcpu, io, ret, &fault);
	advance(vcpu, io, i);
	await_answer(vcpu, io, i, i == left ? complete_out : complete_outs);
	return ask_vmm(vcpu, io, i);
}

/*
 * What the CPU did not say about the memory operand (no decode assists, and QEMU leaves the
 * address size out): the segment of OUTS is DS, the address size the code segment's, unless
 * a prefix says otherwise.
 */
static int operand_from_prefixes(struct lhv_vcpu *vcpu, struct lhv_io *io,
				 struct lhv_fault *fault)
{
	u8 bytes[LHV_INSN_MAX], seg = LHV_DS;
	enum lhv_insn_mode mode = lhv_insn_mode(vcpu);
	bool other_size = false;
	unsigned int len, i;
	int ret = lhv_fetch_insn(vcpu, bytes, &len, fault);

	if (ret)
		return ret;
	for (i = 0; i < len; i++) {
		switch (bytes[i]) {
		case 0x26:
			seg = LHV_ES;
			continue;
		case 0x2e:
			seg = LHV_CS;
			continue;
		case 0x36:
			seg = LHV_SS;
			continue;
		case 0x3e:
			seg = LHV_DS;
			continue;
		case 0x64:
			seg = LHV_FS;
			continue;
		case 0x65:
			seg = LHV_GS;
			continue;
		case 0x67:	/* address size */
			other_size = true;
			continue;
		case 0x66:	/* operand size, LOCK, REPNE, REP */
		case 0xf0:
		case 0xf2:
		case 0xf3:
			continue;
		}
		break;	/* REX or the opcode: no prefix behind it counts */
	}

	if (io->seg >= LHV_NR_SEGS)
		io->seg = seg;
	if (!io->addr_size)
		io->addr_size = !other_size ? mode : mode == LHV_MODE_32 ? 2 : 4;
	return 0;
}

static noinline enum lhv_next string_exec(struct lhv_vcpu *vcpu, struct lhv_io io)
{
	struct lhv_fault fault;
	u64 left;
	u32 i;
	int ret;

	if (vcpu->atomic)
		return LHV_SLEEP;
	if (io.in)
		io.seg = LHV_ES;
	if (io.seg >= LHV_NR_SEGS || !io.addr_size) {
		ret = operand_from_prefixes(vcpu, &io, &fault);
		if (ret)
			return hold(vcpu, &io, ret, &fault);
	}

	left = elements_left(vcpu, &io);
	for (i = 0; left && i < MAX_KERNEL_ELEMENTS; i++) {
		ret = one_in_kernel(vcpu, &io, &fault);
		if (ret == -EOPNOTSUPP)
			return io.in ? ins_from_vmm(vcpu, &io, left) :
				       outs_to_vmm(vcpu, &io, left);
		if (ret)
			return hold(vcpu, &io, ret, &fault);
		advance(vcpu, &io, 1);
		left--;
	}
	return end(vcpu, !left);
}

/* See bus.h. */
enum lhv_next lhv_pio_exec(struct lhv_vcpu *vcpu, const struct lhv_io *io)
{
	u32 val = 0;
	int ret;

	if (unlikely(io->string))
		return string_exec(vcpu, *io);
	/* Stepping over it must not need to sleep after the device was touched. */
	if (unlikely(!vcpu->exit.insn_len && vcpu->atomic))
		return LHV_SLEEP;

	if (io->in) {
		ret = lhv_bus_read(vcpu, &vcpu->vm->pio_bus, io->port, io->size, &val);
		if (ret == -EOPNOTSUPP)
			return in_from_vmm(vcpu, io);
		if (unlikely(ret))
			return LHV_SLEEP;
		set_rax(vcpu, val, io->size);
	} else {
		val = low_bytes(vcpu->regs[LHV_RAX], io->size);
		ret = lhv_bus_write(vcpu, &vcpu->vm->pio_bus, io->port, io->size, &val);
		if (ret == -EOPNOTSUPP)
			return out_to_vmm(vcpu, io, val);
		if (unlikely(ret))
			return LHV_SLEEP;
	}
	return lhv_skip(vcpu);
}
