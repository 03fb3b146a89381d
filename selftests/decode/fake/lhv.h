/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Just enough of the module's objects and of the kernel to run kmod/cpu/emulate.c and fetch.c
 * in user space. Names and meanings as in kmod/.
 */
#ifndef STUB_LHV_H
#define STUB_LHV_H

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <linux/kernel.h>
#include <linux/types.h>
#include <asm/processor-flags.h>

#include "../../../kmod/cpu/decode.h"

typedef u64 gpa_t;
typedef int32_t s32;

#define PAGE_SIZE		4096UL
#define PAGE_MASK		(~(PAGE_SIZE - 1))
#define offset_in_page(p)	((unsigned long)(p) & ~PAGE_MASK)
#define BIT(n)			(1UL << (n))
#define min_t(t, a, b)		((t)(a) < (t)(b) ? (t)(a) : (t)(b))
#define lower_32_bits(n)	((u32)(n))
#define upper_32_bits(n)	((u32)((u64)(n) >> 32))
#define READ_ONCE(x)		(x)
#define U32_MAX			0xffffffffU
#define U16_MAX			0xffffU
#define ilog2(n)		(31 - __builtin_clz(n))
#define swab64(x)		__builtin_bswap64(x)
#define boot_cpu_has(x)		1
#define unlikely(x)		(x)
#define noinline __attribute__((noinline))
#define likely(x)		(x)

static inline s64 sign_extend64(u64 val, int index)
{
	return (s64)(val << (63 - index)) >> (63 - index);
}

#define X86_EFLAGS_TF		0x100
#define X86_EFLAGS_DF		0x400
#define X86_EFLAGS_VM		0x20000
#define X86_CR4_LA57		0x1000
#define X86_TRAP_DB		1
#define X86_TRAP_SS		12
#define X86_TRAP_GP		13
#define DR_STEP			0x4000
#define XFEATURE_MASK_SSE	2
#define KVM_GUESTDBG_SINGLESTEP	2
#define KVM_INTERNAL_ERROR_EMULATION	1
#define KVM_INTERNAL_ERROR_DELIVERY_EV	3
#define KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES	1

enum lhv_next { LHV_RESUME, LHV_SLEEP, LHV_EXIT_USER, LHV_FATAL };
enum lhv_reg {
	LHV_RAX, LHV_RCX, LHV_RDX, LHV_RBX, LHV_RSP, LHV_RBP, LHV_RSI, LHV_RDI,
	LHV_R8, LHV_R9, LHV_R10, LHV_R11, LHV_R12, LHV_R13, LHV_R14, LHV_R15,
	LHV_NR_REGS
};
enum lhv_seg { LHV_ES, LHV_CS, LHV_SS, LHV_DS, LHV_FS, LHV_GS };

#define LHV_ACC_WRITE		BIT(0)
#define LHV_ACC_EXEC		BIT(1)
#define LHV_ACC_USER		BIT(2)
#define LHV_ACC_GUEST_PT	BIT(4)

struct lhv_fault {
	u64 gva;
	u32 error_code;
	u8 vector;
};

struct kvm_segment {
	u64 base;
	u32 limit;
	u8 type, present, db, l, unusable;
};

struct xregs_state {
	struct {
		u32 xmm_space[64];
	} i387;
	struct {
		u64 xfeatures;
	} header;
};

struct lhv_decoded {
	struct lhv_insn insn;
	u64 rip;
	u8 bytes[LHV_INSN_MAX];
	bool known;
};

#define LHV_DECODED	16

struct lhv_emul {
	struct lhv_decoded *last;
	struct lhv_decoded decoded[LHV_DECODED];
	u64 rip;
	gpa_t gpa;
	u32 access;
	bool waiting, debug, written;
	u8 nr_log;
	struct {
		gpa_t gpa;
		u8 len;
		bool write;
		u8 data[16];
	} log[4];
};

struct lhv_vm {
	bool exit_on_emulation_failure;
};

struct lhv_vcpu {
	struct lhv_vm *vm;
	u64 regs[LHV_NR_REGS];
	u64 rip, rflags;
	unsigned long pending;
	bool atomic;
	u64 cr0, cr4, efer;
	struct {
		u8 nr_bytes, bytes[15];
		u32 code;
		u64 info1, info2;
	} exit;
	struct {
		struct {
			bool injected;
		} exc, irq;
		bool nmi_injected;
	} ev;
	struct {
		struct lhv_emul emul;
		u32 guest_debug;
		void *fpu;
	} cpu_state;
	enum lhv_next (*complete)(struct lhv_vcpu *vcpu);
};

struct lhv_backend {
	void (*get_seg)(struct lhv_vcpu *vcpu, enum lhv_seg seg, struct kvm_segment *out);
};

extern const struct lhv_backend *lhv_backend;

#define static_call(name) name
int lhv_get_code(struct lhv_vcpu *vcpu, u64 *base);
int lhv_get_cpl(struct lhv_vcpu *vcpu);

static inline bool lhv_long_mode(const struct lhv_vcpu *vcpu)
{
	return vcpu->efer;
}

static inline bool lhv_protected_mode(const struct lhv_vcpu *vcpu)
{
	return vcpu->cr0;
}

extern void *current;
bool need_resched(void);
bool signal_pending(void *task);
struct xregs_state *lhv_host_fpu_area(void *fpu);

/* mem/ and bus/ */
int lhv_read_gva(struct lhv_vcpu *vcpu, u64 gva, void *data, unsigned int len, u32 access,
		 gpa_t *gpa, struct lhv_fault *fault);
int lhv_read_code(struct lhv_vcpu *vcpu, u64 lin, void *data, unsigned int len, u32 user,
		  struct lhv_fault *fault);
bool lhv_code_is(struct lhv_vcpu *vcpu, u64 lin, u32 user, const u8 *bytes);
int lhv_write_gva(struct lhv_vcpu *vcpu, u64 gva, const void *data, unsigned int len, u32 access,
		  gpa_t *gpa, struct lhv_fault *fault);
int lhv_gva_to_gpa(struct lhv_vcpu *vcpu, u64 gva, u32 access, gpa_t *gpa, struct lhv_fault *fault);
int lhv_mmio_read(struct lhv_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len);
int lhv_mmio_write(struct lhv_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len);
enum lhv_next lhv_mmio_complete(struct lhv_vcpu *vcpu);
bool lhv_mmio_take(struct lhv_vcpu *vcpu, u64 *val);
void lhv_mmio_cancel(struct lhv_vcpu *vcpu);

/* cpu/ */
enum lhv_insn_mode lhv_insn_mode(struct lhv_vcpu *vcpu);
u64 lhv_linear_rip(struct lhv_vcpu *vcpu);
u32 lhv_access_user(struct lhv_vcpu *vcpu);
int lhv_fetch_insn(struct lhv_vcpu *vcpu, u8 buf[15], unsigned int *len, struct lhv_fault *fault);
bool lhv_decode_emul(struct lhv_vcpu *vcpu, enum lhv_next *next);
bool lhv_decode_at_rip(struct lhv_vcpu *vcpu, struct lhv_insn *insn, enum lhv_next *next);
bool lhv_linear(struct lhv_vcpu *vcpu, enum lhv_seg seg, u64 ea, unsigned int len, bool write,
		u64 *lin, struct lhv_fault *fault);
enum lhv_next lhv_emulation_failure(struct lhv_vcpu *vcpu);
enum lhv_next lhv_mmio_exec(struct lhv_vcpu *vcpu, gpa_t gpa, u32 access);
void lhv_queue_fault(struct lhv_vcpu *vcpu, const struct lhv_fault *fault);
enum lhv_next lhv_inject_gp(struct lhv_vcpu *vcpu);
enum lhv_next lhv_inject_ud(struct lhv_vcpu *vcpu);
bool lhv_retire_quiet(struct lhv_vcpu *vcpu, unsigned int len);
enum lhv_next lhv_debug_exit(struct lhv_vcpu *vcpu, u8 vector, u64 dr6);
enum lhv_next lhv_internal_error(struct lhv_vcpu *vcpu, u32 suberror, u32 n, const u64 *data);

#endif
