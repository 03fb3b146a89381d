// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin of the lab's QEMU that counts what the host executes for a guest: instructions, and
 * the costly ones among them. The guest's own are told apart: what follows a VMRUN is the guest's
 * until the instruction behind that VMRUN is reached. For machines of one CPU.
 *
 * bench.c marks with no-ops (mark.h) where a row and each sample of it begin and end; a row is
 * the median of its samples. Further, all that the host executed from the first VMRUN to the
 * last. Blocks of translated code are counted as a whole when they are entered.
 *
 * Each iteration of a string instruction with REP counts, as in the emulator's own time; how many
 * were not an instruction's first is counted apart, because a CPU's counter of retired instructions
 * has such an instruction once.
 *
 * sched/cost.c tells where functions of the host are: what is executed from the entry of a
 * MARK_GATE one to its return is counted apart, without what MARK_SCHEDULE and MARK_WAKE ones
 * take within. A return is known by a shadow of each of the host's stacks, since threads are
 * switched in between.
 *
 * At the end writes to the file that the argument out= names, "row N HOST CLASS..." with N counted
 * from 1, "gate SCHEDULED INSTRUCTIONS WAKING {SLEPT CALLS AWAKE CALLS}..." per pair of marks, with the
 * instructions and calls of each MARK_GATE function, those within which the thread slept apart, and "vmrun NUMBER HOST CLASS... ITERATIONS".
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <qemu-plugin.h>

#include "mark.h"

#define ROWS		64
#define SAMPLES		4096
#define VMRUN_LEN	3

enum count { HOST, WRMSR, RDMSR, VMLOAD, XSAVE, LOCKED, CRDR, COUNTS };

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static const char *out = "count.out";
static uint64_t now[COUNTS], from[COUNTS], first[COUNTS], last[COUNTS], vmruns;
static bool in_guest, sampling;
static uint64_t resume;		/* where the host goes on */
static uint64_t repeated;	/* the REP instruction that the last block ended with */
static uint64_t iterations, first_iterations, last_iterations;
static uint32_t samples[ROWS][COUNTS][SAMPLES];
static unsigned int nr_samples[ROWS], nr_rows;

/* ---- what an instruction is ---- */

struct insn {
	const uint8_t *b;
	size_t len;
	bool lock, rep;
};

/* Behind the prefixes. */
static struct insn strip(const uint8_t *b, size_t len)
{
	struct insn i = { b, len, false, false };

	for (; i.len > 1; i.b++, i.len--) {
		if (*i.b == 0xf0)
			i.lock = true;
		else if (*i.b == 0xf2 || *i.b == 0xf3)
			i.rep = true;
		else if (!memchr("\x66\x67\xf2\xf3\x2e\x36\x3e\x26\x64\x65", *i.b, 10) &&
			 (*i.b & 0xf0) != 0x40)
			break;
	}
	return i;
}

/* INS, OUTS, MOVS, CMPS, STOS, LODS, SCAS */
static bool is_repeated(struct insn i)
{
	return i.rep && ((*i.b & 0xfc) == 0x6c || (*i.b & 0xfc) == 0xa4 || (*i.b >= 0xaa && *i.b <= 0xaf));
}

static bool is_vmrun(struct insn i)
{
	return i.len == 3 && !memcmp(i.b, "\x0f\x01\xd8", 3);
}

/* HOST for what costs nothing special. */
static enum count class_of(struct insn i)
{
	uint8_t modrm = i.len > 2 ? i.b[2] : 0, reg = modrm >> 3 & 7;
	bool memory = modrm < 0xc0;

	if (i.lock || ((*i.b == 0x86 || *i.b == 0x87) && i.len > 1 && i.b[1] < 0xc0))
		return LOCKED;
	if (*i.b != 0x0f || i.len < 2)
		return HOST;
	switch (i.b[1]) {
	case 0x30:
		return WRMSR;
	case 0x32:
		return RDMSR;
	case 0x20 ... 0x23:
		return CRDR;
	case 0x01:	/* VMLOAD, VMSAVE; XSETBV */
		return modrm == 0xda || modrm == 0xdb ? VMLOAD : modrm == 0xd1 ? XSAVE : HOST;
	case 0xae:	/* XSAVE, XRSTOR, XSAVEOPT; FXSAVE, FXRSTOR */
		return memory && (reg == 4 || reg == 5 || reg == 6 || reg < 2) ? XSAVE : HOST;
	case 0xc7:	/* XRSTORS, XSAVEC, XSAVES */
		return memory && reg >= 3 && reg <= 5 ? XSAVE : HOST;
	default:
		return HOST;
	}
}

/* CALL */
static bool is_call(struct insn i)
{
	return *i.b == 0xe8 || (*i.b == 0xff && i.len > 1 && (i.b[1] >> 3 & 7) == 2);
}

/* Over a few bytes, for a return that goes elsewhere: an indirect jump that cannot be predicted */
static bool is_detour(struct insn i)
{
	int32_t over;

	if (*i.b != 0xe8 || i.len != 5)
		return false;
	memcpy(&over, i.b + 1, 4);
	return over > -64 && over < 64;
}

/* ---- the gate ---- */

#define PLACES		32
#define STACKS		4096		/* of the host's threads; a power of two */
#define STACK		(16 << 10)	/* so large are they, and so aligned */
#define DEPTH		128

enum mode { ELSEWHERE, GATE, WAKE };

static struct place {
	uint64_t vaddr;
	uint32_t what;			/* MARK_* */
} places[PLACES];
static unsigned int nr_places, nr_entries;

/* Calls that have not returned. */
static struct stack {
	uint64_t base;
	unsigned int depth;
	struct call {
		uint64_t sp, ret;
		bool changed;		/* the mode: back to what follows then */
		enum mode mode;
		struct call *outer;
		int entry;		/* of a MARK_GATE function: which, or -1 */
		bool slept;
		uint64_t took;
	} calls[DEPTH];
} stacks[STACKS], *stack = stacks;

static enum mode mode;
static uint64_t gate[WAKE + 1], scheduled;
static struct call *inside;		/* whose gate[GATE] is */
static struct functions {
	uint64_t took[PLACES][2], calls[PLACES][2];	/* the second: its thread slept */
} functions;
static struct { uint64_t scheduled, gate, wake; struct functions functions; } gates[ROWS];
static unsigned int nr_gates;

/* They are told in one go, MARK_GATE first, before anything is counted. */
static void add_place(uint64_t vaddr, uint32_t what)
{
	unsigned int i;

	for (i = 0; i < nr_places; i++)
		if (places[i].vaddr == vaddr)
			return;
	if (nr_places == PLACES)
		return;
	places[nr_places++] = (struct place){ vaddr, what };
	nr_entries += what == MARK_GATE;
}

static struct call *top(void)
{
	return stack->depth ? &stack->calls[stack->depth - 1] : NULL;
}

static void pop(void)
{
	struct call *c = &stack->calls[--stack->depth];

	if (!c->changed)
		return;
	mode = c->mode;
	inside = c->outer;
	if (c->entry >= 0) {
		functions.took[c->entry][c->slept] += c->took;
		functions.calls[c->entry][c->slept]++;
	}
}

/* Until the function returns that was entered. */
static void change(enum mode to, int entry)
{
	struct call *c = top();

	if (!c || c->changed)
		return;
	c->changed = true;
	c->mode = mode;
	c->outer = inside;
	c->entry = entry;
	if (entry >= 0)
		inside = c;
	mode = to;
}

/* A block of the host begins. */
static void follow(uint64_t vaddr)
{
	unsigned int i;

	if (stack->depth && top()->ret == vaddr)
		pop();
	for (i = 0; i < nr_places && places[i].vaddr != vaddr; i++)
		;
	if (i == nr_places)
		return;
	if (places[i].what == MARK_GATE && mode == ELSEWHERE) {
		change(GATE, i);
	} else if (places[i].what == MARK_WAKE && mode == GATE) {
		change(WAKE, -1);
	} else if (places[i].what == MARK_SCHEDULE && mode == GATE) {
		scheduled++;
		inside->slept = true;
		change(ELSEWHERE, -1);
	}
}

static struct stack *stack_of(uint64_t sp)
{
	uint64_t base = sp & -STACK;
	unsigned int i, n = base / STACK;

	if (stack->base == base)
		return stack;
	for (i = 0; i < STACKS; i++) {
		struct stack *s = &stacks[(n + i) % STACKS];

		if (!s->base)
			s->base = base;
		if (s->base == base)
			return s;
	}
	abort();
}

/*
 * Which of the accesses that follow is the call's own: QEMU 7.2 tells of those of later instructions,
 * too, if a helper makes them; of a return's it does not tell.
 */
static uint64_t calling;

static void on_call(unsigned int cpu, void *ret)
{
	calling = in_guest ? 0 : (uintptr_t)ret;
}

static void on_push(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t vaddr, void *arg)
{
	uint64_t ret = calling;

	calling = 0;
	if (!ret || !(vaddr >> 63))	/* a program's */
		return;
	stack = stack_of(vaddr);
	while (stack->depth && (top()->sp <= vaddr || stack->depth == DEPTH))
		pop();
	stack->calls[stack->depth++] = (struct call){ .sp = vaddr, .ret = ret };
}

/* ---- at work ---- */

struct block {
	uint64_t vaddr;
	uint32_t n;
	uint64_t rep;	/* address of the last instruction, if it is repeated */
};

static void on_block(unsigned int cpu, void *arg)
{
	const struct block *b = arg;

	if (in_guest && b->vaddr == resume)
		in_guest = false;
	if (!in_guest) {
		now[HOST] += b->n;
		iterations += b->vaddr == repeated;
		if (nr_places)
			follow(b->vaddr);
		gate[mode] += b->n;
		if (mode == GATE)
			inside->took += b->n;
	}
	repeated = b->rep;
}

static void on_costly(unsigned int cpu, void *arg)
{
	if (!in_guest)
		now[(uintptr_t)arg]++;
}

static void on_vmrun(unsigned int cpu, void *arg)
{
	const struct block *b = arg;

	/* The guest's own would be an exit. */
	if (in_guest)
		return;
	if (!vmruns++) {
		memcpy(first, now, sizeof(now));
		first_iterations = iterations;
	}
	memcpy(last, now, sizeof(now));
	last_iterations = iterations;
	in_guest = true;
	resume = b->vaddr + VMRUN_LEN;
}

static void on_mark(unsigned int cpu, void *arg)
{
	unsigned int row = nr_rows - 1, i, n;

	switch ((uintptr_t)arg) {
	case MARK_ROW:
		nr_rows += nr_rows < ROWS;
		sampling = true;
		break;
	case MARK_OVER:
		sampling = false;
		break;
	case MARK_GATE_FROM:
		gate[GATE] = gate[WAKE] = scheduled = 0;
		functions = (struct functions){ };
		break;
	case MARK_GATE_TO:
		if (nr_gates == ROWS)
			break;
		gates[nr_gates].scheduled = scheduled;
		gates[nr_gates].gate = gate[GATE];
		gates[nr_gates].functions = functions;
		gates[nr_gates++].wake = gate[WAKE];
		break;
	case MARK_FROM:
		memcpy(from, now, sizeof(now));
		break;
	case MARK_TO:
		if (!sampling || !nr_rows || nr_samples[row] == SAMPLES)
			break;
		n = nr_samples[row]++;
		for (i = 0; i < COUNTS; i++)
			samples[row][i][n] = now[i] - from[i];
		break;
	}
}

static void *block(struct block is)
{
	struct block *b = malloc(sizeof(*b));	/* lives as long as QEMU's translation may */

	if (!b)
		abort();
	*b = is;
	return b;
}

/* The displacement of a no-op; 0 if it is none. */
static uint32_t mark_of(struct insn in)
{
	uint32_t mark = 0;

	if (in.len == MARK_LEN && !memcmp(in.b, MARK_OPCODE, MARK_LEN - 4))
		memcpy(&mark, in.b + MARK_LEN - 4, 4);
	return mark;
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb), i;
	struct qemu_plugin_insn *end = qemu_plugin_tb_get_insn(tb, n - 1);
	struct insn last = strip(qemu_plugin_insn_data(end), qemu_plugin_insn_size(end));
	struct block b = { .vaddr = qemu_plugin_tb_vaddr(tb), .n = n };
	uint32_t before = 0;

	if (is_repeated(last))
		b.rep = qemu_plugin_insn_vaddr(end);
	if (is_call(last) && !is_detour(last)) {
		qemu_plugin_register_vcpu_insn_exec_cb(end, on_call, QEMU_PLUGIN_CB_NO_REGS,
			(void *)(qemu_plugin_insn_vaddr(end) + qemu_plugin_insn_size(end)));
		qemu_plugin_register_vcpu_mem_cb(end, on_push, QEMU_PLUGIN_CB_NO_REGS,
						 QEMU_PLUGIN_MEM_W, NULL);
	}
	qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_NO_REGS, block(b));
	for (i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		struct insn in = strip(qemu_plugin_insn_data(insn), qemu_plugin_insn_size(insn));
		enum count class = class_of(in);
		uint32_t mark;

		if (class != HOST)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_costly,
							       QEMU_PLUGIN_CB_NO_REGS,
							       (void *)class);
		if (is_vmrun(in))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_vmrun,
				QEMU_PLUGIN_CB_NO_REGS,
				block((struct block){ .vaddr = qemu_plugin_insn_vaddr(insn) }));
		mark = mark_of(in);
		if (before >= MARK_GATE && before <= MARK_WAKE)
			add_place(mark | ~0ULL << 32, before);
		before = mark;
		if (!mark)
			continue;
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, QEMU_PLUGIN_CB_NO_REGS,
						       (void *)(uintptr_t)mark);
	}
}

/* ---- at the end ---- */

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void on_end(qemu_plugin_id_t id, void *arg)
{
	FILE *f = fopen(out, "w");
	unsigned int row, i, n;

	if (!f) {
		perror(out);
		return;
	}
	for (row = 0; row < nr_rows; row++) {
		n = nr_samples[row];
		fprintf(f, "row %u", row + 1);
		for (i = 0; i < COUNTS && n; i++) {
			qsort(samples[row][i], n, sizeof(samples[row][i][0]), by_value);
			fprintf(f, " %" PRIu32, samples[row][i][n / 2]);
		}
		fputc('\n', f);
	}
	for (i = 0; i < nr_gates; i++) {
		fprintf(f, "gate %" PRIu64 " %" PRIu64 " %" PRIu64, gates[i].scheduled,
			gates[i].gate, gates[i].wake);
		for (n = 0; n < 2 * nr_entries; n++)
			fprintf(f, " %" PRIu64 " %" PRIu64, gates[i].functions.took[n / 2][!(n & 1)],
				gates[i].functions.calls[n / 2][!(n & 1)]);
		fputc('\n', f);
	}
	fprintf(f, "vmrun %" PRIu64, vmruns);
	for (i = 0; i < COUNTS; i++)
		fprintf(f, " %" PRIu64, last[i] - first[i]);
	fprintf(f, " %" PRIu64 "\n", last_iterations - first_iterations);
	fclose(f);
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
					   char **argv)
{
	int i;

	for (i = 0; i < argc; i++) {
		if (strncmp(argv[i], "out=", 4)) {
			fprintf(stderr, "count: no argument %s\n", argv[i]);
			return -1;
		}
		out = strdup(argv[i] + 4);
	}
	if (!info->system_emulation || info->system.smp_vcpus != 1) {
		fprintf(stderr, "count: for machines of one CPU\n");
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	qemu_plugin_register_atexit_cb(id, on_end, NULL);
	return 0;
}
