// SPDX-License-Identifier: GPL-2.0
/*
 * Runs random instructions on the CPU and through kmod/cpu/emulate.c, with operands in memory
 * and in a pretended device, and compares registers, flags and memory. Each is emulated with the
 * device in the kernel, with the device in the VMM, and with accesses that have to wait for the
 * slow tier: the device must see the same accesses each time. TAP output.
 *
 *	emulate_check [SEED [COUNT]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lhv.h"

/* Guest memory, at the same address for the CPU and the emulator. */
#define BASE		0x10000000UL
#define NR_PAGES	8
#define SIZE		(NR_PAGES * PAGE_SIZE)
#define CODE		(BASE + SIZE)
#define DEVICE_FIRST	(BASE + 3 * PAGE_SIZE)	/* two pages in the middle */
#define DEVICE_END	(BASE + 5 * PAGE_SIZE)
#define FLAGS		0x8d5ULL

static u64 seed;

static u32 rnd(void)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return seed >> 33;
}

static u64 rnd64(void)
{
	return (u64)rnd() << 40 ^ (u64)rnd() << 20 ^ rnd();
}

static bool is_device(u64 addr)
{
	return addr >= DEVICE_FIRST && addr < DEVICE_END;
}

/* ---- the CPU ---- */

struct machine {
	u64 regs[LHV_NR_REGS];
	u64 flags;
	u8 xmm[16][16];
};

struct machine cpu;
u64 saved_rsp;
void *code = (void *)CODE;
void run_on_cpu(void);
void back_from_code(void);

#define X(insn, n)	"movups " insn "\n"
asm(".text\n"
    "run_on_cpu:\n"
    "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp, saved_rsp\n"
    "lea cpu+136, %rax\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "movups \\n*16(%rax), %xmm\\n\n"
    ".endr\n"
    "pushq cpu+128\npopfq\n"
    "mov cpu+8, %rcx\nmov cpu+16, %rdx\nmov cpu+24, %rbx\nmov cpu+32, %rsp\n"
    "mov cpu+40, %rbp\nmov cpu+48, %rsi\nmov cpu+56, %rdi\nmov cpu+64, %r8\nmov cpu+72, %r9\n"
    "mov cpu+80, %r10\nmov cpu+88, %r11\nmov cpu+96, %r12\nmov cpu+104, %r13\n"
    "mov cpu+112, %r14\nmov cpu+120, %r15\nmov cpu, %rax\n"
    "jmp *code\n"
    "back_from_code:\n"
    "mov %rax, cpu\nmov %rcx, cpu+8\nmov %rdx, cpu+16\nmov %rbx, cpu+24\nmov %rsp, cpu+32\n"
    "mov %rbp, cpu+40\nmov %rsi, cpu+48\nmov %rdi, cpu+56\nmov %r8, cpu+64\nmov %r9, cpu+72\n"
    "mov %r10, cpu+80\nmov %r11, cpu+88\nmov %r12, cpu+96\nmov %r13, cpu+104\n"
    "mov %r14, cpu+112\nmov %r15, cpu+120\n"
    "mov saved_rsp, %rsp\npushfq\npopq cpu+128\ncld\n"
    "lea cpu+136, %rax\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "movups %xmm\\n, \\n*16(%rax)\n"
    ".endr\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n");

/* ---- what the emulator sees ---- */

enum how { IN_KERNEL, IN_VMM, SLEEPY, NR_HOW };

static enum how how;
static struct lhv_vm vm;
static struct lhv_vcpu vcpu;
static struct xregs_state fpu;
static u8 trace[4096];		/* device accesses: kind and length, and the address's low byte */
static unsigned int nr_trace;
static bool failed_insn;

static struct {
	gpa_t gpa;
	unsigned int len;
	bool write, pending, answered;
	u8 data[16];
} request;

void *current;

bool need_resched(void)
{
	return how != IN_KERNEL && rnd() % 4 == 0;
}

bool signal_pending(void *task)
{
	(void)task;
	return false;
}

struct xregs_state *lhv_host_fpu_area(void *area)
{
	(void)area;
	return &fpu;
}

static void get_seg(struct lhv_vcpu *v, enum lhv_seg seg, struct kvm_segment *out)
{
	(void)v;
	(void)seg;
	memset(out, 0, sizeof(*out));
	out->l = 1;
	out->present = 1;
}

int lhv_get_code(struct lhv_vcpu *v, u64 *base)
{
	(void)v;
	*base = 0;
	return LHV_MODE_64;
}

int lhv_get_cpl(struct lhv_vcpu *v)
{
	(void)v;
	return 0;
}

static const struct lhv_backend backend = { .get_seg = get_seg };
const struct lhv_backend *lhv_backend = &backend;

static bool not_resident(void)
{
	return how == SLEEPY && vcpu.atomic && rnd() % 3 == 0;
}

int lhv_gva_to_gpa(struct lhv_vcpu *v, u64 gva, u32 access, gpa_t *gpa, struct lhv_fault *fault)
{
	(void)v;
	(void)access;
	(void)fault;
	if (not_resident())
		return -EAGAIN;
	*gpa = gva;
	return 0;
}

int lhv_read_gva(struct lhv_vcpu *v, u64 gva, void *data, unsigned int len, u32 access,
		 gpa_t *gpa, struct lhv_fault *fault)
{
	(void)v;
	(void)access;
	(void)fault;
	*gpa = gva;
	if (not_resident())
		return -EAGAIN;
	if (is_device(gva))
		return -ENXIO;
	memcpy(data, (void *)gva, len);
	return 0;
}

int lhv_read_code(struct lhv_vcpu *v, u64 lin, void *data, unsigned int len, u32 user,
		  struct lhv_fault *fault)
{
	gpa_t gpa;

	return lhv_read_gva(v, lin, data, len, user, &gpa, fault);
}

bool lhv_code_is(struct lhv_vcpu *v, u64 lin, u32 user, const u8 *bytes)
{
	(void)v;
	(void)user;
	return !memcmp((void *)lin, bytes, LHV_INSN_MAX);
}

int lhv_write_gva(struct lhv_vcpu *v, u64 gva, const void *data, unsigned int len, u32 access,
		  gpa_t *gpa, struct lhv_fault *fault)
{
	(void)v;
	(void)access;
	(void)fault;
	*gpa = gva;
	if (not_resident())
		return -EAGAIN;
	if (is_device(gva))
		return -ENXIO;
	memcpy((void *)gva, data, len);
	return 0;
}

static void device(gpa_t gpa, void *data, unsigned int len, bool write)
{
	if (nr_trace + 2 <= sizeof(trace)) {
		trace[nr_trace++] = len | write << 7;
		trace[nr_trace++] = gpa;
	}
	if (!is_device(gpa) || !is_device(gpa + len - 1))
		failed_insn = true;
	if (write)
		memcpy((void *)gpa, data, len);
	else
		memcpy(data, (void *)gpa, len);
}

static int mmio(gpa_t gpa, void *data, unsigned int len, bool write)
{
	if (request.answered && !write && request.gpa == gpa && request.len == len) {
		memcpy(data, request.data, len);
		request.answered = false;
		return 0;
	}
	if (request.pending || request.answered)
		failed_insn = true;
	if (not_resident())
		return -EAGAIN;
	if (how != IN_VMM) {
		device(gpa, data, len, write);
		return 0;
	}
	request.gpa = gpa;
	request.len = len;
	request.write = write;
	request.pending = true;
	if (write)
		memcpy(request.data, data, len);
	return -EINPROGRESS;
}

int lhv_mmio_read(struct lhv_vcpu *v, gpa_t gpa, void *data, unsigned int len)
{
	(void)v;
	return mmio(gpa, data, len, false);
}

int lhv_mmio_write(struct lhv_vcpu *v, gpa_t gpa, const void *data, unsigned int len)
{
	(void)v;
	return mmio(gpa, (void *)data, len, true);
}

/* The VMM has done it by now. */
enum lhv_next lhv_mmio_complete(struct lhv_vcpu *v)
{
	(void)v;
	device(request.gpa, request.data, request.len, request.write);
	request.pending = false;
	request.answered = !request.write;
	return LHV_RESUME;
}

bool lhv_mmio_take(struct lhv_vcpu *v, u64 *val)
{
	(void)v;
	if (!request.answered)
		failed_insn = true;
	request.answered = false;
	*val = 0;
	memcpy(val, request.data, request.len);
	return true;
}

void lhv_mmio_cancel(struct lhv_vcpu *v)
{
	(void)v;
	failed_insn = true;
}

void lhv_queue_fault(struct lhv_vcpu *v, const struct lhv_fault *fault)
{
	(void)v;
	(void)fault;
	failed_insn = true;
}

enum lhv_next lhv_inject_gp(struct lhv_vcpu *v)
{
	(void)v;
	failed_insn = true;
	return LHV_RESUME;
}

enum lhv_next lhv_inject_ud(struct lhv_vcpu *v)
{
	return lhv_inject_gp(v);
}

bool lhv_retire_quiet(struct lhv_vcpu *v, unsigned int len)
{
	v->rip += len;
	return false;
}

enum lhv_next lhv_debug_exit(struct lhv_vcpu *v, u8 vector, u64 dr6)
{
	(void)vector;
	(void)dr6;
	return lhv_inject_gp(v);
}

enum lhv_next lhv_internal_error(struct lhv_vcpu *v, u32 suberror, u32 n, const u64 *data)
{
	(void)suberror;
	(void)n;
	(void)data;
	failed_insn = true;
	v->rip = 0;
	return LHV_RESUME;
}

/* ---- cases ---- */

struct kind {
	const char *prefix;
	u8 map, opcode;
	s8 reg;
	u8 imm;			/* immediate: 1 byte; 2: by operand size */
	bool byte, lock, string, vector, bit, w, rep, undefined_af;
};

#define ALU(b)							\
	{ .opcode = (b), .reg = -1, .byte = true, .lock = true },	\
	{ .opcode = (b) + 1, .reg = -1, .lock = true },		\
	{ .opcode = (b) + 2, .reg = -1, .byte = true }, { .opcode = (b) + 3, .reg = -1 }
#define IMM(r)								\
	{ .opcode = 0x80, .reg = r, .imm = 1, .byte = true, .lock = r != 7 },	\
	{ .opcode = 0x81, .reg = r, .imm = 2, .lock = r != 7 },		\
	{ .opcode = 0x83, .reg = r, .imm = 1, .lock = r != 7 }
#define VEC(p, m, o)	{ .prefix = p, .map = m, .opcode = o, .reg = -1, .vector = true }

static const struct kind kinds[] = {
	ALU(0x00), ALU(0x08), ALU(0x10), ALU(0x18), ALU(0x20), ALU(0x28), ALU(0x30),
	{ .opcode = 0x38, .reg = -1, .byte = true }, { .opcode = 0x39, .reg = -1 },
	{ .opcode = 0x3a, .reg = -1, .byte = true }, { .opcode = 0x3b, .reg = -1 },
	IMM(0), IMM(1), IMM(2), IMM(3), IMM(4), IMM(5), IMM(6), IMM(7),
	{ .opcode = 0x84, .reg = -1, .byte = true }, { .opcode = 0x85, .reg = -1 },
	{ .opcode = 0x86, .reg = -1, .byte = true, .lock = true },
	{ .opcode = 0x87, .reg = -1, .lock = true },
	{ .opcode = 0x88, .reg = -1, .byte = true }, { .opcode = 0x89, .reg = -1 },
	{ .opcode = 0x8a, .reg = -1, .byte = true }, { .opcode = 0x8b, .reg = -1 },
	{ .opcode = 0xc6, .reg = 0, .imm = 1, .byte = true }, { .opcode = 0xc7, .reg = 0, .imm = 2 },
	{ .opcode = 0x63, .reg = -1, .w = true },
	{ .opcode = 0xf6, .reg = 0, .imm = 1, .byte = true }, { .opcode = 0xf7, .reg = 0, .imm = 2 },
	{ .opcode = 0xf6, .reg = 2, .byte = true, .lock = true },
	{ .opcode = 0xf7, .reg = 2, .lock = true },
	{ .opcode = 0xf6, .reg = 3, .byte = true, .lock = true },
	{ .opcode = 0xf7, .reg = 3, .lock = true },
	{ .opcode = 0xfe, .reg = 0, .byte = true, .lock = true },
	{ .opcode = 0xfe, .reg = 1, .byte = true, .lock = true },
	{ .opcode = 0xff, .reg = 0, .lock = true }, { .opcode = 0xff, .reg = 1, .lock = true },
	{ .opcode = 0xff, .reg = 6 }, { .opcode = 0x8f, .reg = 0 },
	{ .map = 1, .opcode = 0xb0, .reg = -1, .byte = true, .lock = true },
	{ .map = 1, .opcode = 0xb1, .reg = -1, .lock = true },
	{ .map = 1, .opcode = 0xc0, .reg = -1, .byte = true, .lock = true },
	{ .map = 1, .opcode = 0xc1, .reg = -1, .lock = true },
	{ .map = 1, .opcode = 0xc7, .reg = 1, .lock = true },
	{ .map = 1, .opcode = 0xa3, .reg = -1, .bit = true },
	{ .map = 1, .opcode = 0xab, .reg = -1, .bit = true, .lock = true },
	{ .map = 1, .opcode = 0xb3, .reg = -1, .bit = true, .lock = true },
	{ .map = 1, .opcode = 0xbb, .reg = -1, .bit = true, .lock = true },
	{ .map = 1, .opcode = 0xba, .reg = 4, .imm = 1, .bit = true },
	{ .map = 1, .opcode = 0xba, .reg = 5, .imm = 1, .bit = true, .lock = true },
	{ .map = 1, .opcode = 0xba, .reg = 6, .imm = 1, .bit = true, .lock = true },
	{ .map = 1, .opcode = 0xba, .reg = 7, .imm = 1, .bit = true, .lock = true },
	{ .map = 1, .opcode = 0xb6, .reg = -1 }, { .map = 1, .opcode = 0xb7, .reg = -1 },
	{ .map = 1, .opcode = 0xbe, .reg = -1 }, { .map = 1, .opcode = 0xbf, .reg = -1 },
	{ .map = 1, .opcode = 0x92, .reg = -1, .byte = true },
	{ .map = 1, .opcode = 0x9e, .reg = -1, .byte = true },
	{ .map = 2, .opcode = 0xf0, .reg = -1 }, { .map = 2, .opcode = 0xf1, .reg = -1 },
	VEC("", 1, 0x10), VEC("\x66", 1, 0x10), VEC("\xf3", 1, 0x10), VEC("\xf2", 1, 0x10),
	VEC("", 1, 0x11), VEC("\xf3", 1, 0x11), VEC("\xf2", 1, 0x11),
	VEC("", 1, 0x13), VEC("", 1, 0x17), VEC("\x66", 1, 0x6e), VEC("\x66", 1, 0x7e),
	VEC("\xf3", 1, 0x7e), VEC("\xf3", 1, 0x6f), VEC("\xf3", 1, 0x7f), VEC("\x66", 1, 0xd6),
	{ .opcode = 0xa4, .string = true, .byte = true }, { .opcode = 0xa5, .string = true },
	{ .opcode = 0xa6, .string = true, .byte = true }, { .opcode = 0xa7, .string = true },
	{ .opcode = 0xaa, .string = true, .byte = true }, { .opcode = 0xab, .string = true },
	{ .opcode = 0xac, .string = true, .byte = true }, { .opcode = 0xad, .string = true },
	{ .opcode = 0xae, .string = true, .byte = true }, { .opcode = 0xaf, .string = true },
};

/* An instruction with its operand at rBX or r11, plus a displacement. Returns its length. */
static unsigned int make_insn(const struct kind *k, u8 *p)
{
	u8 *start = p, rex = 0, reg = k->reg < 0 ? rnd() & 7 : (u8)k->reg;
	bool p66 = !k->vector && !k->byte && rnd() % 4 == 0;
	unsigned int i, imm;

	if (k->lock && rnd() % 2)
		*p++ = 0xf0;
	if (k->string && rnd() % 3)
		*p++ = rnd() % 2 ? 0xf2 : 0xf3;
	if (p66)
		*p++ = 0x66;
	if (k->prefix)
		for (i = 0; k->prefix[i]; i++)
			*p++ = k->prefix[i];
	if (rnd() % 2)
		rex = 0x40 | (rnd() & (k->map == 1 && k->opcode == 0xc7 ? 0x1 : 0xd));
	if (k->w)
		rex |= 0x48;
	if (k->string || (k->opcode == 0xff && k->reg == 6) || k->opcode == 0x8f)
		rex &= 0x48;
	if (k->string && rex)
		rex = 0x48;
	/* rSP as an operand would be the stack of whoever runs this. */
	if (!k->vector && k->reg < 0 && reg == 4 && !(k->byte && !rex))
		reg = 5;
	if (rex)
		*p++ = rex;
	if (k->map)
		*p++ = 0x0f;
	if (k->map == 2)
		*p++ = 0x38;
	*p++ = k->opcode;
	if (k->string)
		return p - start;
	*p++ = 0x40 | reg << 3 | 3;
	*p++ = rnd();
	imm = k->imm == 2 ? (p66 && !(rex & 8) ? 2 : 4) : k->imm;
	for (i = 0; i < imm; i++)
		*p++ = rnd();
	return p - start;
}

static void make_state(const struct kind *k, struct machine *m)
{
	unsigned int i, j;

	for (i = 0; i < LHV_NR_REGS; i++)
		m->regs[i] = k->bit ? (u64)((s64)(rnd() % 32768) - 16384) : rnd64();
	m->regs[LHV_RBX] = DEVICE_FIRST + rnd() % (2 * PAGE_SIZE);
	if (rnd() % 2)		/* near an edge */
		m->regs[LHV_RBX] = DEVICE_FIRST + rnd() % 3 * PAGE_SIZE + rnd() % 32 - 16;
	m->regs[LHV_R11] = m->regs[LHV_RBX];
	m->regs[LHV_RSP] = BASE + PAGE_SIZE + 8 * (rnd() % 16);
	if (k->string) {
		m->regs[LHV_RSI] = DEVICE_FIRST - PAGE_SIZE / 2 + rnd() % (3 * PAGE_SIZE);
		m->regs[LHV_RDI] = DEVICE_FIRST - PAGE_SIZE / 2 + rnd() % (3 * PAGE_SIZE);
		m->regs[LHV_RCX] = rnd() % 12;
		if (rnd() % 4 == 0)
			memset((void *)BASE, 0x41, SIZE);
	}
	m->flags = (rnd() & FLAGS) | 2 | (k->string && rnd() % 2 ? X86_EFLAGS_DF : 0);
	for (i = 0; i < 16; i++)
		for (j = 0; j < 16; j++)
			m->xmm[i][j] = rnd();
	/* CMPXCHG should sometimes find what it compares with. */
	if (rnd() % 2 && !k->string) {
		memcpy(&m->regs[LHV_RAX], (void *)m->regs[LHV_RBX], 8);
		m->regs[LHV_RDX] = m->regs[LHV_RAX] >> 32;
	}
}

/* An address that faulted: the first operand in the device, and what was tried. */
static bool where(const struct lhv_insn *insn, gpa_t *gpa, u32 *access)
{
	u64 lin[2] = { 0, 0 };
	unsigned int i, b;

	*access = rnd() % 2 ? LHV_ACC_WRITE : 0;
	if (insn->op == LHV_OP_MOV || insn->op == LHV_OP_MOVBE || insn->op == LHV_OP_VMOV ||
	    insn->op == LHV_OP_SETCC)
		*access = insn->form == LHV_FORM_RM ? 0 : LHV_ACC_WRITE;
	if (insn->op == LHV_OP_STOS)
		*access = LHV_ACC_WRITE;
	if (insn->form == LHV_FORM_STR) {
		if (insn->op != LHV_OP_STOS && insn->op != LHV_OP_SCAS)
			lin[0] = vcpu.regs[LHV_RSI];
		if (insn->op != LHV_OP_LODS)
			lin[1] = vcpu.regs[LHV_RDI];
	} else {
		u64 ea = lhv_insn_ea(insn, vcpu.regs, vcpu.rip);

		if (insn->op >= LHV_OP_BT && insn->op <= LHV_OP_BTC && insn->form == LHV_FORM_MR) {
			s64 bit = sign_extend64(lhv_insn_get_reg(insn, vcpu.regs, insn->reg,
								 insn->op_size),
						insn->op_size * 8 - 1);

			ea += (bit >> (ilog2(insn->op_size) + 3)) * insn->op_size;
		}
		lin[0] = ea;
	}
	for (i = 0; i < 2; i++)
		for (b = 0; b < insn->mem_size; b++)
			if (is_device(lin[i] + b)) {
				*gpa = lin[i] + b;
				return true;
			}
	/* No operand is in the device (any more): any address that fits none. */
	*gpa = DEVICE_FIRST | (((lin[0] ?: lin[1]) ^ 0x800) & 0xfff);
	return false;
}

static void emulate(const struct machine *before, const u8 *memory, unsigned int len)
{
	struct lhv_insn insn;
	enum lhv_next next;
	unsigned int rounds = 0;
	u32 access;
	gpa_t gpa;

	memcpy((void *)BASE, memory, SIZE);
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.cpu_state.emul.last = vcpu.cpu_state.emul.decoded;
	vcpu.vm = &vm;
	memset(&request, 0, sizeof(request));
	memcpy(vcpu.regs, before->regs, sizeof(vcpu.regs));
	vcpu.rflags = before->flags;
	vcpu.rip = CODE;
	vcpu.cr0 = 1;
	vcpu.efer = 1;
	memcpy(fpu.i387.xmm_space, before->xmm, sizeof(before->xmm));
	fpu.header.xfeatures = XFEATURE_MASK_SSE;
	nr_trace = 0;
	failed_insn = false;
	lhv_decode(&insn, (void *)CODE, 15, LHV_MODE_64);

	while (vcpu.rip == CODE && !failed_insn && rounds++ < 1000) {
		where(&insn, &gpa, &access);
		vcpu.atomic = true;
		next = lhv_mmio_exec(&vcpu, gpa, access);
		vcpu.atomic = false;
		if (next == LHV_SLEEP)
			next = lhv_mmio_exec(&vcpu, gpa, access);
		while (next == LHV_EXIT_USER) {
			enum lhv_next (*complete)(struct lhv_vcpu *v) = vcpu.complete;

			vcpu.complete = NULL;
			next = complete(&vcpu);
		}
	}
	if (vcpu.rip != CODE + len)
		failed_insn = true;
}

static u64 compared_flags(const struct lhv_insn *insn)
{
	switch (insn->op) {
	case LHV_OP_AND: case LHV_OP_OR: case LHV_OP_XOR: case LHV_OP_TEST:
		return FLAGS & ~0x10ULL;
	case LHV_OP_BT: case LHV_OP_BTS: case LHV_OP_BTR: case LHV_OP_BTC:
		return 0x41;
	default:
		return FLAGS;
	}
}

static u8 memory_before[SIZE], memory_cpu[SIZE], first_trace[sizeof(trace)];

/* 0 right, 1 wrong, -1 not tried. */
static int one(void)
{
	const struct kind *k = &kinds[rnd() % ARRAY_SIZE(kinds)];
	static const u8 jump[] = { 0xff, 0x25, 0, 0, 0, 0 };
	u64 back = (u64)back_from_code;
	unsigned int len, first = 0, i;
	struct machine before, after;
	struct lhv_insn insn;
	u8 *p = (void *)CODE;
	u32 access;
	gpa_t gpa;
	int bad = 0;

	memset(p, 0x90, 64);
	len = make_insn(k, p);
	memcpy(p + len, jump, sizeof(jump));
	memcpy(p + len + sizeof(jump), &back, sizeof(back));
	for (i = 0; i < SIZE; i += 4)
		*(u32 *)(BASE + i) = rnd();
	make_state(k, &before);
	memcpy(memory_before, (void *)BASE, SIZE);
	if (lhv_decode(&insn, p, 15, LHV_MODE_64) != LHV_INSN_OK || insn.len != len) {
		printf("# not decoded\n");
		return 1;
	}
	memcpy(vcpu.regs, before.regs, sizeof(vcpu.regs));
	if (!where(&insn, &gpa, &access) && !k->string)
		return -1;
	if (insn.op == LHV_OP_NONE) {
		printf("# no operation: map %u opcode %02x\n", k->map, k->opcode);
		return 1;
	}

	cpu = before;
	run_on_cpu();
	after = cpu;
	memcpy(memory_cpu, (void *)BASE, SIZE);

	for (how = 0; how < NR_HOW; how++) {
		emulate(&before, memory_before, len);
		bad = failed_insn;
		if (!bad && memcmp(vcpu.regs, after.regs, sizeof(after.regs)))
			bad = 2;
		if (!bad && (vcpu.rflags ^ after.flags) & compared_flags(&insn))
			bad = 3;
		if (!bad && memcmp((void *)BASE, memory_cpu, SIZE))
			bad = 4;
		if (!bad && memcmp(fpu.i387.xmm_space, after.xmm, sizeof(after.xmm)))
			bad = 5;
		if (how == IN_KERNEL) {
			first = nr_trace;
			memcpy(first_trace, trace, nr_trace);
		} else if (!bad && (nr_trace != first || memcmp(trace, first_trace, first))) {
			bad = 6;
		}
		if (bad)
			break;
	}
	if (bad) {
		printf("# kind %d how %d:", bad, how);
		for (i = 0; i < len; i++)
			printf(" %02x", p[i]);
		printf(" flags %llx want %llx\n", (long long)vcpu.rflags, (long long)after.flags);
	}
	return !!bad;
}

int main(int argc, char **argv)
{
	unsigned int count = argc > 2 ? strtoul(argv[2], NULL, 0) : 20000, i, tried = 0, bad = 0;

	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	if (mmap((void *)BASE, SIZE + PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)BASE) {
		perror("mmap");
		return 1;
	}
	printf("TAP version 13\n1..1\n");
	for (i = 0; i < count && bad < 20; i++) {
		int ret = one();

		tried += ret >= 0;
		bad += ret > 0;
	}
	printf("%sok 1 emulation as the CPU: %u wrong of %u\n", bad || !tried ? "not " : "", bad,
	       tried);
	return bad || !tried;
}
