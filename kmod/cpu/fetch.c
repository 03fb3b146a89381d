// SPDX-License-Identifier: GPL-2.0
/* lhv cpu/ - from RIP to a decoded instruction, and from a logical to a linear address. */
#include <linux/mm.h>
#include <linux/string.h>

#include "lhv.h"

enum lhv_insn_mode lhv_insn_mode(struct lhv_vcpu *vcpu)
{
	u64 base;

	return static_call(lhv_get_code)(vcpu, &base);
}

u64 lhv_linear_rip(struct lhv_vcpu *vcpu)
{
	u64 base;

	if (static_call(lhv_get_code)(vcpu, &base) == LHV_MODE_64)
		return vcpu->rip;
	return (u32)(base + vcpu->rip);
}

u32 lhv_access_user(struct lhv_vcpu *vcpu)
{
	return static_call(lhv_get_cpl)(vcpu) == 3 ? LHV_ACC_USER : 0;
}

/* Not the page that RIP is in. */
static int fetch(struct lhv_vcpu *vcpu, u64 lin, u8 *buf, unsigned int len, struct lhv_fault *fault)
{
	gpa_t gpa;

	return lhv_read_gva(vcpu, lin, buf, len, LHV_ACC_EXEC | lhv_access_user(vcpu), &gpa, fault);
}

int lhv_fetch_insn(struct lhv_vcpu *vcpu, u8 buf[15], unsigned int *len, struct lhv_fault *fault)
{
	struct lhv_fault ignored;
	unsigned int first;
	u64 lin;
	int ret;

	if (vcpu->exit.nr_bytes) {
		*len = min_t(unsigned int, vcpu->exit.nr_bytes, LHV_INSN_MAX);
		memcpy(buf, vcpu->exit.bytes, *len);
		return 0;
	}
	lin = lhv_linear_rip(vcpu);
	first = min_t(unsigned int, LHV_INSN_MAX, PAGE_SIZE - offset_in_page(lin));
	ret = lhv_read_code(vcpu, lin, buf, first, lhv_access_user(vcpu), fault);
	if (ret)
		return ret;
	*len = first;
	if (first < LHV_INSN_MAX &&
	    !fetch(vcpu, lin + first, buf + first, LHV_INSN_MAX - first, &ignored))
		*len = LHV_INSN_MAX;
	return 0;
}

/* The bytes at hand end within the instruction: read on, one at a time, as far as it goes. */
static enum lhv_insn_status decode_more(struct lhv_vcpu *vcpu, struct lhv_insn *insn, u8 *buf,
					unsigned int len, int *err, struct lhv_fault *fault)
{
	enum lhv_insn_mode mode = lhv_insn_mode(vcpu);
	u64 lin = lhv_linear_rip(vcpu);
	enum lhv_insn_status status = LHV_INSN_SHORT;

	for (; len < LHV_INSN_MAX && status == LHV_INSN_SHORT; len++) {
		u64 at = lin + len;

		if (mode != LHV_MODE_64)
			at = (u32)at;
		*err = fetch(vcpu, at, buf + len, 1, fault);
		if (*err)
			return status;
		status = lhv_decode(insn, buf, len + 1, mode);
	}
	return status;
}

/* The bytes that were read are in @buf: all of it, unless the code ends there. */
static bool decode_at_rip(struct lhv_vcpu *vcpu, struct lhv_insn *insn, u8 buf[LHV_INSN_MAX],
			  bool *all, enum lhv_next *next)
{
	enum lhv_insn_status status = LHV_INSN_BAD;
	struct lhv_fault fault;
	unsigned int len;
	int ret;

	ret = lhv_fetch_insn(vcpu, buf, &len, &fault);
	if (!ret) {
		*all = len == LHV_INSN_MAX;
		status = lhv_decode(insn, buf, len, lhv_insn_mode(vcpu));
		if (status == LHV_INSN_SHORT)
			status = decode_more(vcpu, insn, buf, len, &ret, &fault);
	}
	if (ret == -EAGAIN) {
		*next = LHV_SLEEP;
	} else if (ret == -EFAULT) {
		lhv_queue_fault(vcpu, &fault);
		*next = LHV_RESUME;
	} else if (ret || status == LHV_INSN_BAD) {
		*next = lhv_emulation_failure(vcpu);
	} else if (status != LHV_INSN_OK) {
		*next = lhv_inject_gp(vcpu);	/* over-long */
	} else {
		return true;
	}
	return false;
}

bool lhv_decode_at_rip(struct lhv_vcpu *vcpu, struct lhv_insn *insn, enum lhv_next *next)
{
	u8 buf[LHV_INSN_MAX];
	bool all;

	return decode_at_rip(vcpu, insn, buf, &all, next);
}

/* Two words that overlap cover them. */
static __always_inline bool same_bytes(const u8 a[LHV_INSN_MAX], const u8 b[LHV_INSN_MAX])
{
	const unsigned int last = LHV_INSN_MAX - sizeof(u64);
	u64 a0, a1, b0, b1;

	memcpy(&a0, a, sizeof(u64));
	memcpy(&b0, b, sizeof(u64));
	memcpy(&a1, a + last, sizeof(u64));
	memcpy(&b1, b + last, sizeof(u64));
	return a0 == b0 && a1 == b1;
}

static bool is_as_it_was(struct lhv_vcpu *vcpu, const struct lhv_decoded *d)
{
	u64 base, lin = vcpu->rip;
	enum lhv_insn_mode mode = static_call(lhv_get_code)(vcpu, &base);

	if (!d->known || d->rip != lin || d->insn.mode != mode)
		return false;
	if (vcpu->exit.nr_bytes)
		return vcpu->exit.nr_bytes == LHV_INSN_MAX && same_bytes(vcpu->exit.bytes, d->bytes);
	if (mode != LHV_MODE_64)
		lin = (u32)(base + lin);
	return lhv_code_is(vcpu, lin, lhv_access_user(vcpu), d->bytes);
}

bool lhv_decode_emul(struct lhv_vcpu *vcpu, enum lhv_next *next)
{
	struct lhv_emul *s = &vcpu->cpu_state.emul;
	struct lhv_decoded *d = s->last;
	bool all = false, ret;

	if (unlikely(d->rip != vcpu->rip)) {
		/* Functions are aligned. */
		d = &s->decoded[(vcpu->rip ^ vcpu->rip >> 4) % LHV_DECODED];
		s->last = d;
	}
	if (is_as_it_was(vcpu, d))
		return true;
	d->rip = vcpu->rip;
	ret = decode_at_rip(vcpu, &d->insn, d->bytes, &all, next);
	d->known = ret && all;
	return ret;
}

enum lhv_next lhv_emulation_failure(struct lhv_vcpu *vcpu)
{
	struct {
		u64 flags;
		u8 size, bytes[LHV_INSN_MAX];
		u64 code, info1, info2;
	} evidence = {
		.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES,
		.code = vcpu->exit.code,
		.info1 = vcpu->exit.info1,
		.info2 = vcpu->exit.info2,
	};
	u64 data[sizeof(evidence) / sizeof(u64)];
	struct lhv_fault fault;
	unsigned int len;

	if (vcpu->atomic)
		return LHV_SLEEP;
	/* A guest's user program must not end the guest, unless the VMM wants to see it. */
	if (static_call(lhv_get_cpl)(vcpu) == 3 &&
	    !READ_ONCE(vcpu->vm->exit_on_emulation_failure))
		return lhv_inject_ud(vcpu);
	if (lhv_fetch_insn(vcpu, evidence.bytes, &len, &fault))
		evidence.flags = 0;
	else
		evidence.size = len;
	memcpy(data, &evidence, sizeof(data));
	return lhv_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, ARRAY_SIZE(data), data);
}

static bool segment_fault(struct lhv_fault *fault, enum lhv_seg seg)
{
	fault->vector = seg == LHV_SS ? X86_TRAP_SS : X86_TRAP_GP;
	fault->error_code = 0;
	fault->gva = 0;
	return false;
}

static bool canonical(struct lhv_vcpu *vcpu, u64 lin)
{
	int shift = vcpu->cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;

	return (u64)((s64)(lin << shift) >> shift) == lin;
}

/* Segment types: bit 3 code, bit 2 expand-down (data), bit 1 writable (data) or readable (code). */
#define TYPE_CODE	0x8
#define TYPE_DOWN	0x4
#define TYPE_RW		0x2

static bool segment_allows(struct lhv_vcpu *vcpu, const struct kvm_segment *s, bool write)
{
	if (!lhv_protected_mode(vcpu) || (vcpu->rflags & X86_EFLAGS_VM))
		return true;
	if (s->unusable || !s->present)
		return false;
	if (s->type & TYPE_CODE)
		return !write && (s->type & TYPE_RW);
	return !write || (s->type & TYPE_RW);
}

static bool segment_contains(const struct kvm_segment *s, u64 ea, unsigned int len)
{
	u64 last = ea + len - 1;

	if ((s->type & (TYPE_CODE | TYPE_DOWN)) == TYPE_DOWN)
		return ea > s->limit && last <= (s->db ? U32_MAX : U16_MAX);
	return last <= s->limit;
}

bool lhv_linear(struct lhv_vcpu *vcpu, enum lhv_seg seg, u64 ea, unsigned int len, bool write,
		u64 *lin, struct lhv_fault *fault)
{
	struct kvm_segment s;

	if (lhv_insn_mode(vcpu) == LHV_MODE_64) {
		*lin = ea;
		if (seg == LHV_FS || seg == LHV_GS) {
			lhv_backend->get_seg(vcpu, seg, &s);
			*lin += s.base;
		}
		if (!canonical(vcpu, *lin) || !canonical(vcpu, *lin + len - 1))
			return segment_fault(fault, seg);
		return true;
	}
	lhv_backend->get_seg(vcpu, seg, &s);
	if (!segment_allows(vcpu, &s, write) || !segment_contains(&s, ea, len))
		return segment_fault(fault, seg);
	*lin = (u32)(s.base + ea);
	return true;
}
