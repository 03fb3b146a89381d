// SPDX-License-Identifier: GPL-2.0
/* lhv cpu/ - stepping over instructions, and the small ones that exit. */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/uaccess.h>
#include <asm/msr.h>

#include "lhv.h"
#include "cpu/cpu_priv.h"

/* ---- length and retirement ---- */

/*
 * The instruction that causes an exit, as compilers and people write it: without redundant
 * prefixes. Little-endian. Only for CPUs that do not tell the length.
 */
struct plain_form {
	u8 len;
	u32 bytes, mask;
};

static const struct plain_form plain_forms[LHV_NR_EXIT_REASONS] = {
	[LHV_EXIT_CPUID] = { 2, 0xa20f, 0xffff },
	[LHV_EXIT_MSR] = { 2, 0x300f, 0xfdff },		/* 0f 30 and 0f 32 */
	[LHV_EXIT_HLT] = { 1, 0xf4, 0xff },
	[LHV_EXIT_RDPMC] = { 2, 0x330f, 0xffff },
	[LHV_EXIT_PAUSE] = { 2, 0x90f3, 0xffff },
	[LHV_EXIT_INVD] = { 2, 0x080f, 0xffff },
	[LHV_EXIT_WBINVD] = { 2, 0x090f, 0xffff },
	[LHV_EXIT_HYPERCALL] = { 3, 0xc1010f, 0xe7ffff },	/* 0f 01 c1 and 0f 01 d9 */
	[LHV_EXIT_XSETBV] = { 3, 0xd1010f, 0xffffff },
	[LHV_EXIT_MONITOR] = { 3, 0xc8010f, 0xffffff },
	[LHV_EXIT_MWAIT] = { 3, 0xc9010f, 0xffffff },
};

/*
 * A page walk per exit would cost more than the rest of the exit. So what the last one to this
 * page found is taken, and the bytes behind it are compared with what must be there.
 * Should the guest have remapped the page since: the CPU says which instruction this is, so
 * the only way to be wrong is the same instruction at the same place, plain in the old page
 * and with a redundant prefix in the new one; and then RIP ends inside the guest's own code.
 */
static unsigned int plain_length(struct lhv_vcpu *vcpu)
{
	const struct plain_form *form = &plain_forms[vcpu->exit.reason];
	const struct lhv_code_page *code;
	u64 base, lin;
	u32 bytes;
	int ret;

	lin = vcpu->rip;
	if (unlikely(static_call(lhv_get_code)(vcpu, &base) != LHV_MODE_64))
		lin = (u32)(base + lin);
	code = lhv_code_page(&vcpu->mem, lin);
	if (!code->page || code->cr0 != vcpu->cr0 || code->cr4 != (vcpu->cr4 & LHV_WALK_CR4) ||
	    code->efer != vcpu->efer || code->cr3 != static_call(lhv_get_cr3)(vcpu) ||
	    offset_in_page(lin) > PAGE_SIZE - sizeof(bytes))
		return 0;
	pagefault_disable();
	ret = __get_user(bytes, (const u32 __user *)(code->page + offset_in_page(lin)));
	pagefault_enable();
	return !ret && (bytes & form->mask) == form->bytes ? form->len : 0;
}

/* Leaves the page where the next plain_length() finds it. */
static noinline unsigned int decoded_length(struct lhv_vcpu *vcpu, enum lhv_next *next)
{
	struct lhv_insn insn;

	return lhv_decode_at_rip(vcpu, &insn, next) ? insn.len : 0;
}

/* lhv_insn_len() where the CPU does not tell. */
unsigned int lhv_insn_len_unknown(struct lhv_vcpu *vcpu, enum lhv_next *next)
{
	unsigned int len = plain_length(vcpu);

	return likely(len) ? len : decoded_length(vcpu, next);
}

/* lhv_retire_quiet() where more than RIP and RF changes, or might. */
bool lhv_retire_rare(struct lhv_vcpu *vcpu, unsigned int len)
{
	u64 rip = vcpu->rip + len;

	/* IP past 64 KiB is left for the CPU: the next fetch meets the segment limit. */
	if (unlikely((rip ^ vcpu->rip) >> 32) && lhv_insn_mode(vcpu) != LHV_MODE_64)
		rip = (u32)rip;
	vcpu->rip = rip;
	vcpu->rflags &= ~(u64)X86_EFLAGS_RF;
	if (lhv_backend->get_shadow(vcpu))
		lhv_backend->set_shadow(vcpu, 0);
	vcpu->exit.shadow = false;
	if (unlikely(vcpu->cpu_state.guest_debug & KVM_GUESTDBG_SINGLESTEP))
		return true;
	if (unlikely(vcpu->rflags & X86_EFLAGS_TF))
		lhv_queue_payload(vcpu, X86_TRAP_DB, DR_STEP);
	return false;
}

enum lhv_next lhv_debug_exit(struct lhv_vcpu *vcpu, u8 vector, u64 dr6)
{
	struct kvm_debug_exit_arch *arch = &vcpu->run->debug.arch;

	*arch = (struct kvm_debug_exit_arch) {
		.exception = vector,
		.pc = lhv_linear_rip(vcpu),
		.dr6 = dr6 | DR6_RESERVED,
		.dr7 = lhv_effective_dr7(&vcpu->cpu_state),
	};
	vcpu->run->exit_reason = KVM_EXIT_DEBUG;
	return LHV_EXIT_USER;
}

/* lhv_skip() where the CPU does not tell. */
enum lhv_next lhv_skip_unknown(struct lhv_vcpu *vcpu)
{
	enum lhv_next next;
	unsigned int len = lhv_insn_len_unknown(vcpu, &next);

	return len ? lhv_retire(vcpu, len) : next;
}

/* ---- instructions ---- */

/* What a check or a write to a register said: -EAGAIN asks for the slow tier, the rest is #GP. */
static enum lhv_next refused(struct lhv_vcpu *vcpu, int err)
{
	if (err == -EAGAIN && vcpu->atomic)
		return LHV_SLEEP;
	return lhv_inject_gp(vcpu);
}

/* A leaf that the VMM did not list. */
static noinline void cpuid_beyond(struct lhv_vcpu *vcpu)
{
	u32 eax = vcpu->regs[LHV_RAX], ecx = vcpu->regs[LHV_RCX], ebx, edx;

	lhv_cpuid_query(vcpu, &eax, &ebx, &ecx, &edx);
	vcpu->regs[LHV_RAX] = eax;
	vcpu->regs[LHV_RBX] = ebx;
	vcpu->regs[LHV_RCX] = ecx;
	vcpu->regs[LHV_RDX] = edx;
}

enum lhv_next lhv_cpuid_exec(struct lhv_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *e;
	u64 *regs = vcpu->regs;
	enum lhv_next next;
	unsigned int len = lhv_insn_len(vcpu, &next);

	if (!len)
		return next;
	e = lhv_cpuid_find(vcpu, regs[LHV_RAX], regs[LHV_RCX]);
	if (likely(e)) {
		regs[LHV_RAX] = e->eax;
		regs[LHV_RBX] = e->ebx;
		regs[LHV_RCX] = e->ecx;
		regs[LHV_RDX] = e->edx;
	} else {
		cpuid_beyond(vcpu);
	}
	return lhv_retire(vcpu, len);
}

/* By the VMM, something that would be served here. */
static __always_inline bool denied(struct lhv_vcpu *vcpu, u32 access)
{
	return static_branch_unlikely(&lhv_msrs_denied.key) && READ_ONCE(vcpu->vm->msrs_denied) &&
	       !lhv_msr_allowed(vcpu, vcpu->regs[LHV_RCX], access);
}

enum lhv_next lhv_rdmsr_exec(struct lhv_vcpu *vcpu)
{
	enum lhv_next next;
	unsigned int len = lhv_insn_len(vcpu, &next);
	u64 data = 0;
	int ret;

	if (!len)
		return next;
	if (denied(vcpu, KVM_MSR_FILTER_READ))
		return lhv_msr_refused(vcpu, len, false, -EACCES);
	ret = lhv_msr_read(vcpu, vcpu->regs[LHV_RCX], &data, false);
	if (ret)
		return lhv_msr_refused(vcpu, len, false, ret);
	lhv_set_edx_eax(vcpu, data);
	return lhv_retire(vcpu, len);
}

enum lhv_next lhv_wrmsr_exec(struct lhv_vcpu *vcpu)
{
	enum lhv_next next;
	unsigned int len = lhv_insn_len(vcpu, &next);
	int ret;

	if (!len)
		return next;
	if (denied(vcpu, KVM_MSR_FILTER_WRITE))
		return lhv_msr_refused(vcpu, len, true, -EACCES);
	ret = lhv_msr_write(vcpu, vcpu->regs[LHV_RCX], lhv_edx_eax(vcpu), false);
	return ret ? lhv_msr_refused(vcpu, len, true, ret) : lhv_retire(vcpu, len);
}

enum lhv_next lhv_hlt_exec(struct lhv_vcpu *vcpu)
{
	enum lhv_next next = lhv_skip(vcpu);

	/* A fault on the way or a #DB for the step ends the halt before it begins. */
	if (next != LHV_RESUME || vcpu->ev.exc.pending)
		return next;
	if (!vcpu->lapic) {
		vcpu->run->exit_reason = KVM_EXIT_HLT;
		return LHV_EXIT_USER;
	}
	vcpu->mp_state = KVM_MP_STATE_HALTED;
	lhv_request_self(vcpu, LHV_REQ_UNBLOCK);
	return LHV_RESUME;
}

enum lhv_next lhv_xsetbv_exec(struct lhv_vcpu *vcpu)
{
	enum lhv_next next;
	unsigned int len;
	int ret;

	if (static_call(lhv_get_cpl)(vcpu) || (u32)vcpu->regs[LHV_RCX])
		return lhv_inject_gp(vcpu);
	len = lhv_insn_len(vcpu, &next);
	if (!len)
		return next;
	ret = lhv_set_xcr0(vcpu, lhv_edx_eax(vcpu));
	return ret ? refused(vcpu, ret) : lhv_retire(vcpu, len);
}

/* No PMU is offered, so every counter is out of range. */
enum lhv_next lhv_rdpmc_exec(struct lhv_vcpu *vcpu)
{
	return lhv_inject_gp(vcpu);
}

enum lhv_next lhv_nop_exec(struct lhv_vcpu *vcpu)
{
	return lhv_skip(vcpu);
}

/*
 * Write back what a device that does not snoop is to read. The guest's lines may be in the cache
 * of any CPU that it has been on, so all of them write back.
 */
enum lhv_next lhv_wbinvd_exec(struct lhv_vcpu *vcpu)
{
	if (lhv_noncoherent(vcpu->vm)) {
		if (vcpu->atomic)
			return LHV_SLEEP;
		wbinvd_on_all_cpus();
	}
	return lhv_skip(vcpu);
}

/* MONITOR and MWAIT: nothing happens, and an MWAIT may always end early. */
enum lhv_next lhv_mwait_exec(struct lhv_vcpu *vcpu)
{
	if (!lhv_has_quirk(vcpu->vm, KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS) &&
	    !lhv_has(&vcpu->cpu_state, LHV_F_MWAIT))
		return lhv_inject_ud(vcpu);
	return lhv_skip(vcpu);
}

enum lhv_next lhv_pause_exec(struct lhv_vcpu *vcpu)
{
	if (vcpu->atomic)
		return LHV_SLEEP;
	/* The guest spins, most likely for a vCPU that waits for a CPU: let the scheduler decide. */
	cond_resched();
	return lhv_skip(vcpu);
}

/* ---- MOV to and from control registers, CLTS, LMSW, SMSW ---- */

/* The second opcode byte and the ModRM.reg of those that share one. */
#define OP_GRP7		0x01
#define OP_CLTS		0x06
#define OP_MOV_FROM_CR	0x20
#define OP_MOV_FROM_DR	0x21
#define OP_MOV_TO_CR	0x22
#define OP_MOV_TO_DR	0x23
#define GRP7_SMSW	4
#define GRP7_LMSW	6

static int write_cr(struct lhv_vcpu *vcpu, int cr, u64 val)
{
	switch (cr) {
	case 0:
		return lhv_set_cr0(vcpu, val);
	case 2:
		vcpu->cr2 = val;
		return 0;
	case 3:
		return lhv_set_cr3(vcpu, val);
	case 4:
		return lhv_set_cr4(vcpu, val);
	default:
		return lhv_set_cr8(vcpu, val);
	}
}

static u64 read_cr(struct lhv_vcpu *vcpu, int cr)
{
	switch (cr) {
	case 0:
		return vcpu->cr0;
	case 2:
		return vcpu->cr2;
	case 3:
		return static_call(lhv_get_cr3)(vcpu);
	case 4:
		return vcpu->cr4;
	default:
		return vcpu->cr8;
	}
}

static enum lhv_next mov_cr(struct lhv_vcpu *vcpu, int cr, int reg, bool write,
			    enum lhv_insn_mode mode, unsigned int len)
{
	u64 mask = mode == LHV_MODE_64 ? ~0ULL : U32_MAX;
	u8 tpr = vcpu->cr8;
	enum lhv_next next;
	int ret;

	if ((cr > 4 && cr != 8) || cr == 1)
		return lhv_inject_ud(vcpu);
	if (!write) {
		vcpu->regs[reg] = read_cr(vcpu, cr) & mask;
		return lhv_retire(vcpu, len);
	}
	ret = write_cr(vcpu, cr, vcpu->regs[reg] & mask);
	if (ret)
		return refused(vcpu, ret);
	next = lhv_retire(vcpu, len);
	/* The VMM's LAPIC may hold back an interrupt that now comes through. */
	if (next == LHV_RESUME && cr == 8 && !vcpu->lapic && vcpu->cr8 < tpr) {
		vcpu->run->exit_reason = KVM_EXIT_SET_TPR;
		return LHV_EXIT_USER;
	}
	return next;
}

/* The memory operand of LMSW and SMSW. 0; or -1 when *next has to be returned. */
static int msw_memory(struct lhv_vcpu *vcpu, const struct lhv_insn *insn, u16 *msw, bool write,
		      enum lhv_next *next)
{
	u64 ea = lhv_insn_ea(insn, vcpu->regs, vcpu->rip), lin;
	u32 access = lhv_access_user(vcpu);
	struct lhv_fault fault;
	gpa_t gpa;
	int ret = -EFAULT;

	if (lhv_linear(vcpu, insn->seg, ea, sizeof(*msw), write, &lin, &fault)) {
		if (write)
			ret = lhv_write_gva(vcpu, lin, msw, sizeof(*msw), access | LHV_ACC_WRITE,
					    &gpa, &fault);
		else
			ret = lhv_read_gva(vcpu, lin, msw, sizeof(*msw), access, &gpa, &fault);
	}
	if (!ret)
		return 0;
	if (ret == -EAGAIN) {
		*next = LHV_SLEEP;
	} else if (ret == -EFAULT) {
		lhv_queue_fault(vcpu, &fault);
		*next = LHV_RESUME;
	} else {
		*next = lhv_emulation_failure(vcpu);
	}
	return -1;
}

static enum lhv_next smsw(struct lhv_vcpu *vcpu, const struct lhv_insn *insn)
{
	u16 msw = vcpu->cr0;
	enum lhv_next next;

	if (!(insn->flags & LHV_INSN_MEM))
		lhv_insn_set_reg(insn, vcpu->regs, insn->rm, insn->op_size, vcpu->cr0);
	else if (msw_memory(vcpu, insn, &msw, true, &next))
		return next;
	return lhv_retire(vcpu, insn->len);
}

static enum lhv_next lmsw(struct lhv_vcpu *vcpu, const struct lhv_insn *insn)
{
	const u64 loaded = X86_CR0_MP | X86_CR0_EM | X86_CR0_TS;
	u16 msw = vcpu->regs[insn->rm];
	enum lhv_next next;
	int ret;

	if ((insn->flags & LHV_INSN_MEM) && msw_memory(vcpu, insn, &msw, false, &next))
		return next;
	/* LMSW sets PE but never clears it. */
	ret = lhv_set_cr0(vcpu, (vcpu->cr0 & ~loaded) | (msw & (loaded | X86_CR0_PE)));
	return ret ? refused(vcpu, ret) : lhv_retire(vcpu, insn->len);
}

enum lhv_next lhv_cr_exec(struct lhv_vcpu *vcpu, int cr, int reg, bool write)
{
	struct lhv_insn insn;
	enum lhv_next next;
	unsigned int len;
	int ret;

	if (reg >= 0) {
		len = lhv_insn_len(vcpu, &next);
		return len ? mov_cr(vcpu, cr, reg & 15, write, lhv_insn_mode(vcpu), len) : next;
	}
	if (!lhv_decode_at_rip(vcpu, &insn, &next))
		return next;
	if (insn.map != 1)
		return lhv_emulation_failure(vcpu);
	switch (insn.opcode) {
	case OP_MOV_FROM_CR:
	case OP_MOV_TO_CR:
		/* LOCK MOV CR0 is how 32-bit code reaches CR8 (AltMovCr8). */
		if ((insn.flags & LHV_INSN_LOCK) && !insn.reg)
			insn.reg = 8;
		return mov_cr(vcpu, insn.reg, insn.rm, insn.opcode == OP_MOV_TO_CR, insn.mode,
			      insn.len);
	case OP_CLTS:
		ret = lhv_set_cr0(vcpu, vcpu->cr0 & ~X86_CR0_TS);
		return ret ? refused(vcpu, ret) : lhv_retire(vcpu, insn.len);
	case OP_GRP7:
		if ((insn.modrm >> 3 & 7) == GRP7_SMSW)
			return smsw(vcpu, &insn);
		if ((insn.modrm >> 3 & 7) == GRP7_LMSW)
			return lmsw(vcpu, &insn);
		break;
	}
	return lhv_emulation_failure(vcpu);
}

/* ---- MOV to and from debug registers ---- */

#define DR6_BD		BIT(13)	/* the guest touched a debug register under DR7.GD */

enum lhv_next lhv_dr_exec(struct lhv_vcpu *vcpu, int dr, int reg, bool write)
{
	enum lhv_insn_mode mode;
	struct lhv_insn insn;
	enum lhv_next next;
	unsigned int len;
	u64 val, mask;
	int ret;

	if (reg >= 0) {
		len = lhv_insn_len(vcpu, &next);
		if (!len)
			return next;
		mode = lhv_insn_mode(vcpu);
	} else {
		if (!lhv_decode_at_rip(vcpu, &insn, &next))
			return next;
		if (insn.map != 1 ||
		    (insn.opcode != OP_MOV_FROM_DR && insn.opcode != OP_MOV_TO_DR))
			return lhv_emulation_failure(vcpu);
		len = insn.len;
		mode = insn.mode;
		dr = insn.reg;
		reg = insn.rm;
		write = insn.opcode == OP_MOV_TO_DR;
	}
	if (static_call(lhv_get_cpl)(vcpu))
		return lhv_inject_gp(vcpu);
	if (dr > 7 || ((dr == 4 || dr == 5) && (vcpu->cr4 & X86_CR4_DE)))
		return lhv_inject_ud(vcpu);	/* goes before DR7.GD */
	if (vcpu->cpu_state.dr7 & LHV_DR7_GD) {
		lhv_queue_payload(vcpu, X86_TRAP_DB, DR6_BD);
		return LHV_RESUME;
	}
	reg &= 15;
	mask = mode == LHV_MODE_64 ? ~0ULL : U32_MAX;
	if (write) {
		ret = lhv_set_dr(vcpu, dr, vcpu->regs[reg] & mask);
	} else {
		ret = lhv_get_dr(vcpu, dr, &val);
		if (!ret)
			vcpu->regs[reg] = val & mask;
	}
	if (ret == X86_TRAP_UD)
		return lhv_inject_ud(vcpu);
	return ret ? refused(vcpu, ret) : lhv_retire(vcpu, len);
}
