// SPDX-License-Identifier: GPL-2.0
/*
 * lhv cpu/ - carrying out the instructions that touch device memory.
 *
 * An instruction is run from its start until an access has to wait (for the slow tier or for
 * the VMM), and later from its start again. So that no device sees an access twice, those
 * already made are kept in a log and answered from there. Registers change only at the end.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/swab.h>
#include <asm/fpu/types.h>

#include "lhv.h"

/* Repetitions before the run loop may look at interrupts again. */
#define MAX_REPEAT	512

#define NO_GPA		(~(gpa_t)0)

/**
 * struct emu - one run of an instruction
 * @vcpu: the vCPU
 * @state: its log and the fault that led here
 * @insn: the instruction
 * @seq: device accesses so far in this run
 * @posted: the VMM still has to take the last write
 * @unfinished: a repeated string instruction that stays at its RIP
 * @fault: what to inject, with -EFAULT
 */
struct emu {
	struct lhv_vcpu *vcpu;
	struct lhv_emul *state;
	const struct lhv_insn *insn;
	unsigned int seq;
	bool posted, unfinished;
	struct lhv_fault fault;
};

/* ---- memory and devices ---- */

static int device_access(struct emu *e, gpa_t gpa, void *buf, unsigned int len, bool write)
{
	struct lhv_emul *s = e->state;
	unsigned int i = e->seq++;
	int ret;

	if (i == ARRAY_SIZE(s->log))
		return -EOPNOTSUPP;
	if (i < s->nr_log && s->log[i].gpa == gpa && s->log[i].len == len &&
	    s->log[i].write == write) {
		if (!write)
			memcpy(buf, s->log[i].data, len);
		return 0;
	}
	s->nr_log = i;		/* memory changed in between: the rest is another story */
	s->log[i].gpa = gpa;
	s->log[i].len = len;
	s->log[i].write = write;
	if (write)
		ret = lhv_mmio_write(e->vcpu, gpa, buf, len);
	else
		ret = lhv_mmio_read(e->vcpu, gpa, buf, len);
	if (!ret) {
		memcpy(s->log[i].data, buf, len);
		s->nr_log++;
	}
	return ret;
}

/* Within a page. The CPU translated the address that faulted; that walk need not be repeated. */
static int page_access(struct emu *e, u64 lin, void *buf, unsigned int len, bool write)
{
	const struct lhv_emul *s = e->state;
	u32 access = lhv_access_user(e->vcpu);
	gpa_t gpa = s->gpa;
	int ret;

	if (gpa != NO_GPA && offset_in_page(gpa) == offset_in_page(lin) &&
	    !!(s->access & LHV_ACC_WRITE) == write)
		return device_access(e, gpa, buf, len, write);
	if (write)
		ret = lhv_write_gva(e->vcpu, lin, buf, len, access, &gpa, &e->fault);
	else
		ret = lhv_read_gva(e->vcpu, lin, buf, len, access, &gpa, &e->fault);
	return ret == -ENXIO ? device_access(e, gpa, buf, len, write) : ret;
}

static int mem_read(struct emu *e, u64 lin, void *buf, unsigned int len)
{
	unsigned int n = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(lin));
	int ret = page_access(e, lin, buf, n, false);

	if (!ret && n < len)
		ret = page_access(e, lin + n, buf + n, len - n, false);
	return ret;
}

/* The last access of every instruction (of an iteration): what the VMM has to take is posted. */
static int mem_write(struct emu *e, u64 lin, void *buf, unsigned int len)
{
	unsigned int n = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(lin));
	u32 access = lhv_access_user(e->vcpu) | LHV_ACC_WRITE;
	gpa_t gpa;
	int ret;

	if (n < len) {
		/* Both pages must be there before either is written, and nothing may wait then. */
		if (e->vcpu->atomic)
			return -EAGAIN;
		ret = lhv_gva_to_gpa(e->vcpu, lin + n, access, &gpa, &e->fault);
		if (ret)
			return ret;
		ret = page_access(e, lin, buf, n, true);
		if (ret)
			return ret;
	}
	ret = page_access(e, n < len ? lin + n : lin, n < len ? buf + n : buf,
			  n < len ? len - n : len, true);
	if (ret == -EINPROGRESS) {
		e->posted = true;
		ret = 0;
	}
	return ret;
}

static int linear(struct emu *e, enum lhv_seg seg, u64 ea, unsigned int len, bool write, u64 *lin)
{
	return lhv_linear(e->vcpu, seg, ea, len, write, lin, &e->fault) ? 0 : -EFAULT;
}

static int general_protection(struct emu *e)
{
	e->fault = (struct lhv_fault) { .vector = X86_TRAP_GP };
	return -EFAULT;
}

/* ---- operands ---- */

static u64 get_reg(const struct emu *e, u8 nr, unsigned int size)
{
	return lhv_insn_get_reg(e->insn, e->vcpu->regs, nr, size);
}

static void set_reg(struct emu *e, u8 nr, unsigned int size, u64 val)
{
	lhv_insn_set_reg(e->insn, e->vcpu->regs, nr, size, val);
}

static u64 sign_extend(u64 val, unsigned int size)
{
	return sign_extend64(val, size * 8 - 1);
}

static bool writes_memory(const struct lhv_insn *insn)
{
	switch (insn->op) {
	case LHV_OP_CMP:
	case LHV_OP_TEST:
	case LHV_OP_BT:
	case LHV_OP_PUSH:
		return false;
	case LHV_OP_XCHG:
		return true;
	default:
		return insn->form != LHV_FORM_RM;
	}
}

/* Linear address of the r/m operand. */
static int memory_operand(struct emu *e, u64 *lin)
{
	const struct lhv_insn *insn = e->insn;
	u64 ea = lhv_insn_ea(insn, e->vcpu->regs, e->vcpu->rip);

	if (insn->op >= LHV_OP_BT && insn->op <= LHV_OP_BTC && insn->form == LHV_FORM_MR) {
		/* The bit number reaches beyond the operand. */
		s64 bit = sign_extend(get_reg(e, insn->reg, insn->op_size), insn->op_size);

		ea += (bit >> (ilog2(insn->op_size) + 3)) * insn->op_size;
	} else if (insn->op == LHV_OP_POP && insn->base == LHV_RSP) {
		ea += insn->op_size;	/* addressed after the pop */
	}
	ea &= lhv_size_mask(insn->addr_size);
	if ((insn->flags & LHV_INSN_ALIGNED) && (ea & (insn->mem_size - 1)))
		return general_protection(e);
	return linear(e, insn->seg, ea, insn->mem_size, writes_memory(insn), lin);
}

/* ---- the instructions ---- */

static int do_alu(struct emu *e, u64 lin)
{
	const struct lhv_insn *insn = e->insn;
	u64 flags = e->vcpu->rflags, mem = 0, dst, src, res;
	unsigned int size = insn->op_size;
	int ret = mem_read(e, lin, &mem, size);

	if (ret)
		return ret;
	dst = mem;
	src = insn->imm;
	if (insn->form == LHV_FORM_MR) {
		src = get_reg(e, insn->reg, size);
	} else if (insn->form == LHV_FORM_RM) {
		dst = get_reg(e, insn->reg, size);
		src = mem;
	}
	res = lhv_alu(insn->op, size, dst, src, &flags);
	if (writes_memory(insn)) {
		ret = mem_write(e, lin, &res, size);
		if (ret)
			return ret;
	} else if (insn->form == LHV_FORM_RM && insn->op != LHV_OP_CMP) {
		set_reg(e, insn->reg, size, res);
	}
	e->vcpu->rflags = flags;
	return 0;
}

/* MOV and its like: what memory has into the register. */
static void mov_loaded(struct emu *e, u64 val)
{
	const struct lhv_insn *insn = e->insn;

	if (insn->op == LHV_OP_MOVSX)
		val = sign_extend(val, insn->mem_size);
	else if (insn->op == LHV_OP_MOVBE)
		val = swab64(val) >> (64 - insn->mem_size * 8);
	set_reg(e, insn->reg, insn->op_size, val);
}

/* What goes into memory. */
static u64 mov_to_store(const struct emu *e)
{
	const struct lhv_insn *insn = e->insn;
	u64 val = insn->imm;

	if (insn->form == LHV_FORM_MR)
		val = get_reg(e, insn->reg, insn->op_size);
	if (insn->op == LHV_OP_MOVBE)
		val = swab64(val) >> (64 - insn->mem_size * 8);
	return val;
}

static int do_mov(struct emu *e, u64 lin)
{
	const struct lhv_insn *insn = e->insn;
	u64 val = 0;
	int ret;

	if (insn->form == LHV_FORM_RM) {
		ret = mem_read(e, lin, &val, insn->mem_size);
		if (!ret)
			mov_loaded(e, val);
		return ret;
	}
	val = mov_to_store(e);
	return mem_write(e, lin, &val, insn->mem_size);
}

static int do_exchange(struct emu *e, u64 lin)
{
	const struct lhv_insn *insn = e->insn;
	unsigned int size = insn->op_size;
	u64 flags = e->vcpu->rflags, old = 0, new = get_reg(e, insn->reg, size);
	u64 acc = get_reg(e, LHV_RAX, size);
	int ret = mem_read(e, lin, &old, size);

	if (ret)
		return ret;
	if (insn->op == LHV_OP_XADD) {
		new = lhv_alu(LHV_OP_ADD, size, old, new, &flags);
	} else if (insn->op == LHV_OP_CMPXCHG) {
		lhv_alu(LHV_OP_CMP, size, acc, old, &flags);
		if (acc != old)
			new = old;	/* the CPU writes in either case */
	}
	ret = mem_write(e, lin, &new, size);
	if (ret)
		return ret;
	if (insn->op != LHV_OP_CMPXCHG)
		set_reg(e, insn->reg, size, old);
	else if (acc != old)
		set_reg(e, LHV_RAX, size, old);
	e->vcpu->rflags = flags;
	return 0;
}

static int do_cmpxchg8b(struct emu *e, u64 lin)
{
	struct lhv_vcpu *vcpu = e->vcpu;
	u64 acc = (u32)vcpu->regs[LHV_RAX] | vcpu->regs[LHV_RDX] << 32;
	u64 old = 0, new;
	int ret;

	if (e->insn->mem_size != sizeof(old))
		return -EOPNOTSUPP;	/* CMPXCHG16B */
	ret = mem_read(e, lin, &old, sizeof(old));
	if (ret)
		return ret;
	new = acc == old ? (u32)vcpu->regs[LHV_RBX] | vcpu->regs[LHV_RCX] << 32 : old;
	ret = mem_write(e, lin, &new, sizeof(new));
	if (ret)
		return ret;
	if (acc == old) {
		vcpu->rflags |= X86_EFLAGS_ZF;
	} else {
		vcpu->rflags &= ~(u64)X86_EFLAGS_ZF;
		vcpu->regs[LHV_RAX] = lower_32_bits(old);
		vcpu->regs[LHV_RDX] = upper_32_bits(old);
	}
	return 0;
}

static unsigned int stack_width(struct emu *e)
{
	struct kvm_segment ss;

	if (e->insn->mode == LHV_MODE_64)
		return 8;
	lhv_backend->get_seg(e->vcpu, LHV_SS, &ss);
	return ss.db ? 4 : 2;
}

static int do_push_pop(struct emu *e, u64 lin)
{
	unsigned int size = e->insn->op_size, width = stack_width(e);
	bool push = e->insn->op == LHV_OP_PUSH;
	u64 sp = get_reg(e, LHV_RSP, width), new_sp, val = 0, stack;
	int ret;

	e->state->gpa = NO_GPA;	/* two operands: which one faulted is not known */
	new_sp = (push ? sp - size : sp + size) & lhv_size_mask(width);
	ret = linear(e, LHV_SS, push ? new_sp : sp, size, push, &stack);
	if (!ret)
		ret = mem_read(e, push ? lin : stack, &val, size);
	if (!ret)
		ret = mem_write(e, push ? stack : lin, &val, size);
	if (!ret)
		set_reg(e, LHV_RSP, width, new_sp);
	return ret;
}

/*
 * The vector registers live in the CPU in the atomic tier, in the XSAVE area in the slow one.
 * A component that its header calls initial has stale bytes in the area.
 */
static int do_vector(struct emu *e, u64 lin)
{
	const struct lhv_insn *insn = e->insn;
	struct xregs_state *xsave;
	u8 *xmm, val[16] = {};
	int ret;

	if (e->vcpu->atomic)
		return -EAGAIN;
	xsave = lhv_host_fpu_area(e->vcpu->cpu_state.fpu);
	xmm = (u8 *)xsave->i387.xmm_space + insn->reg * sizeof(val);
	if (boot_cpu_has(X86_FEATURE_XSAVE) && !(xsave->header.xfeatures & XFEATURE_MASK_SSE)) {
		memset(xsave->i387.xmm_space, 0, sizeof(xsave->i387.xmm_space));
		xsave->header.xfeatures |= XFEATURE_MASK_SSE;
	}
	if (insn->form == LHV_FORM_RM) {
		ret = mem_read(e, lin, val, insn->mem_size);
		if (!ret)
			memcpy(xmm, val, sizeof(val));
		return ret;
	}
	memcpy(val, insn->flags & LHV_INSN_HIGH ? xmm + 8 : xmm, insn->mem_size);
	return mem_write(e, lin, val, insn->mem_size);
}

static int emulate_one(struct emu *e)
{
	u64 lin, val;
	int ret;

	if (!(e->insn->flags & LHV_INSN_MEM) || e->insn->op == LHV_OP_NONE)
		return -EOPNOTSUPP;
	ret = memory_operand(e, &lin);
	if (ret)
		return ret;
	switch (e->insn->op) {
	case LHV_OP_ADD ... LHV_OP_DEC:
		return do_alu(e, lin);
	case LHV_OP_MOV ... LHV_OP_MOVBE:
		return do_mov(e, lin);
	case LHV_OP_XCHG:
	case LHV_OP_CMPXCHG:
	case LHV_OP_XADD:
		return do_exchange(e, lin);
	case LHV_OP_CMPXCHG8B:
		return do_cmpxchg8b(e, lin);
	case LHV_OP_SETCC:
		val = lhv_condition(e->insn->opcode, e->vcpu->rflags);
		return mem_write(e, lin, &val, 1);
	case LHV_OP_PUSH:
	case LHV_OP_POP:
		return do_push_pop(e, lin);
	case LHV_OP_VMOV:
		return do_vector(e, lin);
	default:
		return -EOPNOTSUPP;
	}
}

/* ---- strings ---- */

static u64 index_reg(const struct emu *e, enum lhv_reg reg)
{
	return e->vcpu->regs[reg] & lhv_size_mask(e->insn->addr_size);
}

static void step_index(struct emu *e, enum lhv_reg reg)
{
	u64 step = e->insn->op_size;

	if (e->vcpu->rflags & X86_EFLAGS_DF)
		step = -step;
	set_reg(e, reg, e->insn->addr_size, index_reg(e, reg) + step);
}

/* One element. Nothing has changed unless 0 is returned. */
static int string_element(struct emu *e)
{
	const struct lhv_insn *insn = e->insn;
	unsigned int size = insn->op_size;
	bool src = insn->op != LHV_OP_STOS && insn->op != LHV_OP_SCAS;
	bool dst = insn->op != LHV_OP_LODS;
	bool write = insn->op == LHV_OP_MOVS || insn->op == LHV_OP_STOS;
	u64 src_lin = 0, dst_lin = 0, val, other = 0, flags = e->vcpu->rflags;
	int ret = 0;

	if (src)
		ret = linear(e, insn->seg, index_reg(e, LHV_RSI), size, false, &src_lin);
	if (!ret && dst)
		ret = linear(e, LHV_ES, index_reg(e, LHV_RDI), size, write, &dst_lin);
	val = get_reg(e, LHV_RAX, size);
	if (!ret && src) {
		val = 0;
		ret = mem_read(e, src_lin, &val, size);
	}
	if (!ret && dst && write)
		ret = mem_write(e, dst_lin, &val, size);
	else if (!ret && dst)
		ret = mem_read(e, dst_lin, &other, size);
	if (ret)
		return ret;

	if (insn->op == LHV_OP_LODS)
		set_reg(e, LHV_RAX, size, val);
	if (dst && !write)
		lhv_alu(LHV_OP_CMP, size, val, other, &flags);
	e->vcpu->rflags = flags;
	if (src)
		step_index(e, LHV_RSI);
	if (dst)
		step_index(e, LHV_RDI);
	return 0;
}

/* After an element: has the repetition come to its end? */
static bool repeat_ends(struct emu *e)
{
	const struct lhv_insn *insn = e->insn;
	u64 count = index_reg(e, LHV_RCX) - 1;

	set_reg(e, LHV_RCX, insn->addr_size, count);
	if (!(count & lhv_size_mask(insn->addr_size)))
		return true;
	if (insn->op != LHV_OP_CMPS && insn->op != LHV_OP_SCAS)
		return false;
	return !(e->vcpu->rflags & X86_EFLAGS_ZF) == !!(insn->flags & LHV_INSN_REP);
}

static bool must_pause(const struct emu *e)
{
	const struct lhv_vcpu *vcpu = e->vcpu;

	return e->posted || READ_ONCE(vcpu->pending) || need_resched() ||
	       signal_pending(current) || (vcpu->rflags & X86_EFLAGS_TF) ||
	       (vcpu->cpu_state.guest_debug & KVM_GUESTDBG_SINGLESTEP);
}

static int emulate_string(struct emu *e)
{
	const struct lhv_insn *insn = e->insn;
	bool repeat = insn->flags & (LHV_INSN_REP | LHV_INSN_REPNE);
	unsigned int i;
	int ret;

	/* With two operands, which of them faulted is not known. */
	if (insn->op == LHV_OP_MOVS || insn->op == LHV_OP_CMPS)
		e->state->gpa = NO_GPA;
	if (!repeat)
		return string_element(e);
	if (!index_reg(e, LHV_RCX))
		return 0;
	for (i = 0; i < MAX_REPEAT; i++) {
		ret = string_element(e);
		if (ret)
			return ret;
		e->seq = 0;
		e->state->nr_log = 0;
		e->state->gpa = NO_GPA;
		if (repeat_ends(e))
			return 0;
		if (must_pause(e))
			break;
	}
	e->unfinished = true;
	return 0;
}

/* ---- from the exit to the end of the instruction ---- */

static enum lhv_next run(struct lhv_vcpu *vcpu);

/* The VMM answered. */
static enum lhv_next answered(struct lhv_vcpu *vcpu)
{
	struct lhv_emul *s = &vcpu->cpu_state.emul;
	enum lhv_next next = lhv_mmio_complete(vcpu);
	unsigned int i = s->nr_log;

	if (next != LHV_RESUME) {
		if (next == LHV_EXIT_USER)
			vcpu->complete = answered;
		return next;
	}
	if (s->written) {
		s->nr_log = 0;
		return s->debug ? lhv_debug_exit(vcpu, X86_TRAP_DB, DR_STEP) : LHV_RESUME;
	}
	if (vcpu->rip != s->rip) {	/* the VMM took the vCPU elsewhere */
		lhv_mmio_cancel(vcpu);
		return LHV_RESUME;
	}
	/* Take the answer of a read at once; a write is done. */
	if (!s->log[i].write && lhv_mmio_read(vcpu, s->log[i].gpa, s->log[i].data, s->log[i].len))
		return LHV_RESUME;
	s->nr_log++;
	return run(vcpu);
}

static enum lhv_next finish(struct emu *e)
{
	struct lhv_vcpu *vcpu = e->vcpu;
	bool debug = lhv_retire_quiet(vcpu, e->unfinished ? 0 : e->insn->len);

	e->state->nr_log = 0;
	if (e->posted) {
		e->state->written = true;
		e->state->debug = debug;
		vcpu->complete = answered;
		return LHV_EXIT_USER;
	}
	return debug ? lhv_debug_exit(vcpu, X86_TRAP_DB, DR_STEP) : LHV_RESUME;
}

/* An access could not be made at once. */
static enum lhv_next hold(struct emu *e, int err, enum lhv_next (*complete)(struct lhv_vcpu *vcpu))
{
	struct lhv_vcpu *vcpu = e->vcpu;
	struct lhv_emul *s = e->state;

	switch (err) {
	case -EINPROGRESS:
		s->written = false;
		vcpu->complete = complete;
		return LHV_EXIT_USER;
	case -EAGAIN:
		s->waiting = true;
		return vcpu->atomic ? LHV_SLEEP : LHV_RESUME;
	case -EFAULT:
		lhv_queue_fault(vcpu, &e->fault);
		return LHV_RESUME;
	default:
		return lhv_emulation_failure(vcpu);
	}
}

static enum lhv_next run(struct lhv_vcpu *vcpu)
{
	struct lhv_emul *s = &vcpu->cpu_state.emul;
	struct emu e = { .vcpu = vcpu, .state = s, .insn = &s->last->insn };
	int ret = s->last->insn.form == LHV_FORM_STR ? emulate_string(&e) : emulate_one(&e);

	return ret ? hold(&e, ret, answered) : finish(&e);
}

/*
 * What drivers do all day: one MOV between a register and a device, in 64-bit mode. The CPU
 * met no fault but the second stage's, so segment, rights and translation are in order, and
 * the address it says is the operand's, if its offset in the page is.
 */
static bool is_plain_mov(const struct lhv_vcpu *vcpu, gpa_t gpa, u32 access)
{
	const struct lhv_insn *insn = &vcpu->cpu_state.emul.last->insn;

	return insn->op >= LHV_OP_MOV && insn->op <= LHV_OP_MOVBE && insn->flags & LHV_INSN_MEM &&
	       insn->mode == LHV_MODE_64 && insn->seg != LHV_FS && insn->seg != LHV_GS &&
	       (insn->form == LHV_FORM_RM) == !(access & LHV_ACC_WRITE) &&
	       offset_in_page(gpa) + insn->mem_size <= PAGE_SIZE &&
	       offset_in_page(gpa ^ lhv_insn_ea(insn, vcpu->regs, vcpu->rip)) == 0;
}

static enum lhv_next plain_mov(struct lhv_vcpu *vcpu, gpa_t gpa);

/* The VMM answered the read. */
static enum lhv_next plain_mov_answered(struct lhv_vcpu *vcpu)
{
	struct lhv_emul *s = &vcpu->cpu_state.emul;
	struct emu e = { .vcpu = vcpu, .state = s, .insn = &s->last->insn };
	enum lhv_next next = lhv_mmio_complete(vcpu);
	u64 val;

	if (next == LHV_EXIT_USER)
		vcpu->complete = plain_mov_answered;
	if (next != LHV_RESUME)
		return next;
	if (vcpu->rip != s->rip) {	/* the VMM took the vCPU elsewhere */
		lhv_mmio_cancel(vcpu);
		return LHV_RESUME;
	}
	if (!lhv_mmio_take(vcpu, &val))
		return plain_mov(vcpu, s->gpa);
	mov_loaded(&e, val);
	return finish(&e);
}

static enum lhv_next plain_mov(struct lhv_vcpu *vcpu, gpa_t gpa)
{
	struct lhv_emul *s = &vcpu->cpu_state.emul;
	struct emu e = { .vcpu = vcpu, .state = s, .insn = &s->last->insn };
	u64 val = 0;
	int ret;

	if (s->last->insn.form == LHV_FORM_RM) {
		ret = lhv_mmio_read(vcpu, gpa, &val, s->last->insn.mem_size);
		if (ret)
			return hold(&e, ret, plain_mov_answered);
		mov_loaded(&e, val);
		return finish(&e);
	}
	val = mov_to_store(&e);
	ret = lhv_mmio_write(vcpu, gpa, &val, s->last->insn.mem_size);
	if (ret && ret != -EINPROGRESS)
		return hold(&e, ret, NULL);
	e.posted = ret;
	return finish(&e);
}

static noinline enum lhv_next no_insn(struct lhv_vcpu *vcpu, u32 suberror, gpa_t gpa, u32 access)
{
	u64 data[] = { 0, gpa, access, vcpu->exit.code };

	return lhv_internal_error(vcpu, suberror, ARRAY_SIZE(data), data);
}

enum lhv_next lhv_mmio_exec(struct lhv_vcpu *vcpu, gpa_t gpa, u32 access)
{
	struct lhv_emul *s = &vcpu->cpu_state.emul;
	enum lhv_next next;

	/* Met while an event was being delivered: there is no instruction to carry out. */
	if (unlikely(vcpu->ev.exc.injected || vcpu->ev.irq.injected || vcpu->ev.nmi_injected))
		return no_insn(vcpu, KVM_INTERNAL_ERROR_DELIVERY_EV, gpa, access);
	/* A user program that jumps to where no memory is does not end the guest. */
	if (unlikely(access & LHV_ACC_EXEC) && !(access & LHV_ACC_GUEST_PT) &&
	    static_call(lhv_get_cpl)(vcpu) == 3 && !READ_ONCE(vcpu->vm->exit_on_emulation_failure))
		return lhv_inject_ud(vcpu);
	/* The guest's page tables, or its code, lie where no memory is. */
	if (unlikely(access & (LHV_ACC_GUEST_PT | LHV_ACC_EXEC)))
		return no_insn(vcpu, KVM_INTERNAL_ERROR_EMULATION, gpa, access);
	if (!s->waiting || s->rip != vcpu->rip) {
		s->nr_log = 0;
		s->gpa = gpa;
	} else if (s->gpa != gpa) {
		s->gpa = NO_GPA;	/* a string moved on since it faulted */
	}
	if (!lhv_decode_emul(vcpu, &next))
		return next;
	s->waiting = false;
	s->rip = vcpu->rip;
	s->access = access;
	if (likely(s->gpa == gpa && is_plain_mov(vcpu, gpa, access)))
		return plain_mov(vcpu, gpa);
	return run(vcpu);
}
