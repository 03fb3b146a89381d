// SPDX-License-Identifier: GPL-2.0
/*
 * Cross-checks the module's instruction decoder against objdump, and its arithmetic against
 * the CPU this runs on. TAP output.
 *
 *	decode_check [SEED [COUNT]]
 *
 * Random instructions (prefixes, opcode, 15 bytes of anything) are decoded by kmod/cpu/decode.c
 * and by "objdump -D -b binary"; the lengths must agree for each that both accept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/kernel.h>

#include "../../kmod/cpu/decode.h"

#define SLOT	32	/* bytes per case; what follows the instruction is nops */

static u64 state;

static u32 rnd(void)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return state >> 33;
}

struct target {
	u8 map, opcode;
	int reg;	/* ModRM.reg, -1: any */
};

/* Whatever exits or can reach a device. */
static const struct target targets[] = {
	{ 1, 0xa2, -1 }, { 1, 0x32, -1 }, { 1, 0x30, -1 }, { 0, 0xf4, -1 }, { 1, 0x08, -1 },
	{ 1, 0x09, -1 }, { 1, 0x31, -1 }, { 1, 0x33, -1 }, { 1, 0x01, 0 }, { 1, 0x01, 1 },
	{ 1, 0x01, 2 }, { 1, 0x01, 3 }, { 1, 0x01, 4 }, { 1, 0x01, 6 }, { 1, 0x01, 7 },
	{ 1, 0x20, -1 }, { 1, 0x21, -1 }, { 1, 0x22, -1 }, { 1, 0x23, -1 }, { 1, 0x06, -1 },
	{ 1, 0xaa, -1 }, { 0, 0x90, -1 },
	{ 0, 0xe4, -1 }, { 0, 0xe5, -1 }, { 0, 0xe6, -1 }, { 0, 0xe7, -1 }, { 0, 0xec, -1 },
	{ 0, 0xed, -1 }, { 0, 0xee, -1 }, { 0, 0xef, -1 }, { 0, 0x6c, -1 }, { 0, 0x6d, -1 },
	{ 0, 0x6e, -1 }, { 0, 0x6f, -1 }, { 0, 0xcc, -1 }, { 0, 0xf1, -1 }, { 0, 0xcf, -1 },
	{ 0, 0xcd, -1 }, { 2, 0x82, -1 }, { 1, 0x00, -1 },
	{ 0, 0x88, -1 }, { 0, 0x89, -1 }, { 0, 0x8a, -1 }, { 0, 0x8b, -1 }, { 0, 0xa0, -1 },
	{ 0, 0xa1, -1 }, { 0, 0xa2, -1 }, { 0, 0xa3, -1 }, { 0, 0xc6, 0 }, { 0, 0xc7, 0 },
	{ 0, 0xa4, -1 }, { 0, 0xa5, -1 }, { 0, 0xa6, -1 }, { 0, 0xa7, -1 }, { 0, 0xaa, -1 },
	{ 0, 0xab, -1 }, { 0, 0xac, -1 }, { 0, 0xad, -1 }, { 0, 0xae, -1 }, { 0, 0xaf, -1 },
	{ 1, 0xb6, -1 }, { 1, 0xb7, -1 }, { 1, 0xbe, -1 }, { 1, 0xbf, -1 }, { 0, 0x63, -1 },
	{ 2, 0xf0, -1 }, { 2, 0xf1, -1 }, { 1, 0xc3, -1 },
	{ 0, 0x00, -1 }, { 0, 0x01, -1 }, { 0, 0x02, -1 }, { 0, 0x03, -1 }, { 0, 0x0b, -1 },
	{ 0, 0x11, -1 }, { 0, 0x19, -1 }, { 0, 0x21, -1 }, { 0, 0x29, -1 }, { 0, 0x31, -1 },
	{ 0, 0x38, -1 }, { 0, 0x3b, -1 }, { 0, 0x80, -1 }, { 0, 0x81, -1 }, { 0, 0x83, -1 },
	{ 0, 0x84, -1 }, { 0, 0x85, -1 }, { 0, 0xf6, -1 }, { 0, 0xf7, -1 }, { 0, 0xfe, 0 },
	{ 0, 0xfe, 1 }, { 0, 0xff, 0 }, { 0, 0xff, 1 }, { 0, 0xff, 6 }, { 0, 0x8f, 0 },
	{ 0, 0x86, -1 }, { 0, 0x87, -1 }, { 1, 0xb0, -1 }, { 1, 0xb1, -1 }, { 1, 0xc0, -1 },
	{ 1, 0xc1, -1 }, { 1, 0xc7, 1 }, { 1, 0xa3, -1 }, { 1, 0xab, -1 }, { 1, 0xb3, -1 },
	{ 1, 0xbb, -1 }, { 1, 0xba, 4 }, { 1, 0xba, 5 }, { 1, 0xba, 6 }, { 1, 0xba, 7 },
	{ 1, 0x90, -1 }, { 1, 0x9f, -1 },
	{ 1, 0x10, -1 }, { 1, 0x11, -1 }, { 1, 0x28, -1 }, { 1, 0x29, -1 }, { 1, 0x6e, -1 },
	{ 1, 0x6f, -1 }, { 1, 0x7e, -1 }, { 1, 0x7f, -1 }, { 1, 0xd6, -1 }, { 1, 0xe7, -1 },
	{ 1, 0x2b, -1 }, { 1, 0x13, -1 }, { 1, 0x17, -1 }, { 2, 0x2a, -1 },
	/* not emulated, but a guest may put anything there */
	{ 0, 0x50, -1 }, { 0, 0x68, -1 }, { 0, 0x69, -1 }, { 0, 0x6a, -1 }, { 0, 0x6b, -1 },
	{ 0, 0xb0, -1 }, { 0, 0xb8, -1 }, { 0, 0xc0, -1 }, { 0, 0xc1, -1 }, { 0, 0xc8, -1 },
	{ 0, 0xd1, -1 }, { 0, 0xd9, 7 }, { 1, 0xa4, -1 }, { 1, 0xac, -1 }, { 1, 0xc2, -1 },
	{ 1, 0xc6, -1 }, { 1, 0x70, -1 }, { 3, 0x0f, -1 }, { 2, 0x00, -1 }, { 1, 0x40, -1 },
	{ 1, 0x1f, -1 }, { 1, 0xae, 3 }, { 1, 0xaf, -1 }, { 1, 0xc8, -1 },
};

static const u8 prefixes[] = {
	0x66, 0x67, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0xf0, 0xf2, 0xf3,
};

/* A case: up to three prefixes, maybe REX, opcode, anything. */
static void make_case(u8 *p, enum lhv_insn_mode mode)
{
	const struct target *t = &targets[rnd() % ARRAY_SIZE(targets)];
	unsigned int n = rnd() % 4, i;
	u8 *end = p + SLOT;

	memset(p, 0x90, SLOT);
	if (rnd() % 3)
		n = rnd() % 2;
	for (i = 0; i < n; i++)
		*p++ = prefixes[rnd() % sizeof(prefixes)];
	if (mode == LHV_MODE_64 && rnd() % 2)
		*p++ = 0x40 | (rnd() & 0xf);
	if (t->map)
		*p++ = 0x0f;
	if (t->map > 1)
		*p++ = t->map == 2 ? 0x38 : 0x3a;
	*p++ = t->opcode;
	*p = rnd();
	if (t->reg >= 0)
		*p = (*p & 0xc7) | t->reg << 3;
	for (p++; p < end - 12; p++)
		*p = rnd();
}

/*
 * objdump shows the case at file offset @i * SLOT, told to start there. It splits some redundant
 * prefixes off as lines of their own, so the length is taken to the end of the first line that
 * is more than prefixes.
 */
static int only_prefixes(const char *text)
{
	static const char *const names[] = {
		"data16", "data32", "addr16", "addr32", "cs", "ds", "es", "ss", "fs", "gs", "lock",
		"rep", "repz", "repnz", "rex",
	};
	char copy[64], *word, *save;
	unsigned int i;

	snprintf(copy, sizeof(copy), "%s", text);
	for (word = strtok_r(copy, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		for (i = 0; i < ARRAY_SIZE(names); i++)
			if (!strcmp(word, names[i]) || !strncmp(word, "rex.", 4))
				break;
		if (i == ARRAY_SIZE(names))
			return 0;
	}
	return 1;
}

static unsigned int check_mode(enum lhv_insn_mode mode, const char *machine, unsigned int count,
			       unsigned int *compared)
{
	char file[] = "/tmp/decode_check.XXXXXX", cmd[256], line[512];
	u8 *bytes = malloc((size_t)count * SLOT);
	int *theirs = calloc(count, sizeof(*theirs));
	unsigned int i, bad = 0;
	FILE *f;
	int fd = mkstemp(file);

	if (!bytes || !theirs || fd < 0)
		exit(1);
	for (i = 0; i < count; i++)
		make_case(bytes + i * SLOT, mode);
	if (write(fd, bytes, (size_t)count * SLOT) != (ssize_t)count * SLOT)
		exit(1);
	close(fd);
	/* The nops at the end of each slot bring objdump back into step. */
	snprintf(cmd, sizeof(cmd), "objdump -D -z -w -b binary -m %s %s", machine, file);
	f = popen(cmd, "r");
	if (!f)
		exit(1);
	while (fgets(line, sizeof(line), f)) {
		unsigned long addr;
		unsigned int n = 0, slot;
		char *p, *text;

		if (sscanf(line, " %lx:", &addr) != 1)
			continue;
		slot = addr / SLOT;
		if (slot >= count || theirs[slot] > 0 || (addr % SLOT && !theirs[slot]))
			continue;
		p = strchr(line, '\t');
		text = p ? strchr(p + 1, '\t') : NULL;
		if (!text)
			continue;
		for (p++; p < text; p += 3)
			n += *p != ' ';
		text++;
		/* negative: so many bytes of prefixes so far */
		if (only_prefixes(text))
			theirs[slot] -= n;
		else if (strstr(text, "(bad)"))
			theirs[slot] = 1000;
		else
			theirs[slot] = n - theirs[slot];
	}
	pclose(f);
	unlink(file);
	for (i = 0; i < count; i++) {
		struct lhv_insn insn;
		enum lhv_insn_status status = lhv_decode(&insn, bytes + i * SLOT, 15, mode);
		unsigned int j;

		if (theirs[i] <= 0 || theirs[i] >= 1000 || status == LHV_INSN_LONG)
			continue;
		(*compared)++;
		if (status == LHV_INSN_OK && insn.len == theirs[i])
			continue;
		if (bad++ < 20) {
			printf("# mode %d: ours %d (%d), theirs %d:", mode, insn.len, status, theirs[i]);
			for (j = 0; j < 15; j++)
				printf(" %02x", bytes[i * SLOT + j]);
			printf("\n");
		}
	}
	free(bytes);
	free(theirs);
	return bad;
}

/* Every prefix of a decodable instruction must ask for more bytes, and no input may hang. */
static unsigned int check_short(unsigned int count)
{
	static const enum lhv_insn_mode modes[] = { LHV_MODE_16, LHV_MODE_32, LHV_MODE_64 };
	unsigned int i, len, bad = 0;
	struct lhv_insn insn, again;
	u8 bytes[SLOT];

	for (i = 0; i < count; i++) {
		enum lhv_insn_mode mode = modes[i % 3];

		make_case(bytes, mode);
		if (lhv_decode(&insn, bytes, 15, mode) != LHV_INSN_OK)
			continue;
		for (len = 0; len < insn.len; len++)
			bad += lhv_decode(&again, bytes, len, mode) != LHV_INSN_SHORT;
		bad += lhv_decode(&again, bytes, insn.len, mode) != LHV_INSN_OK ||
		       memcmp(&insn, &again, sizeof(insn));
	}
	return bad;
}

#define FLAGS	0x8d5ULL

#define RUN2(sz, insn, dst, src, fl)						\
	asm volatile("pushq %[f]; popfq; " insn " %" sz "[s], %" sz "[d]; pushfq; popq %[f]"	\
		     : [d] "+q" (dst), [f] "+r" (fl) : [s] "q" (src) : "cc", "memory")
#define RUN1(sz, insn, dst, fl)							\
	asm volatile("pushq %[f]; popfq; " insn " %" sz "[d]; pushfq; popq %[f]"	\
		     : [d] "+q" (dst), [f] "+r" (fl) : : "cc", "memory")

#define SIZES2(name)								\
	do {									\
		switch (size) {							\
		case 1: RUN2("b", name "b", d, s, f); break;			\
		case 2: RUN2("w", name "w", d, s, f); break;			\
		case 4: RUN2("k", name "l", d, s, f); break;			\
		case 8: RUN2("q", name "q", d, s, f); break;			\
		}								\
	} while (0)
#define SIZES1(name)								\
	do {									\
		switch (size) {							\
		case 1: RUN1("b", name "b", d, f); break;			\
		case 2: RUN1("w", name "w", d, f); break;			\
		case 4: RUN1("k", name "l", d, f); break;			\
		case 8: RUN1("q", name "q", d, f); break;			\
		}								\
	} while (0)
#define SIZESB(name)								\
	do {									\
		switch (size) {							\
		case 2: RUN2("w", name "w", d, s, f); break;			\
		case 4: RUN2("k", name "l", d, s, f); break;			\
		case 8: RUN2("q", name "q", d, s, f); break;			\
		}								\
	} while (0)

static void on_cpu(enum lhv_op op, unsigned int size, u64 *dst, u64 src, u64 *flags)
{
	u64 d = *dst, s = src, f = *flags | 2;

	switch (op) {
	case LHV_OP_ADD: SIZES2("add"); break;
	case LHV_OP_OR: SIZES2("or"); break;
	case LHV_OP_ADC: SIZES2("adc"); break;
	case LHV_OP_SBB: SIZES2("sbb"); break;
	case LHV_OP_AND: SIZES2("and"); break;
	case LHV_OP_SUB: SIZES2("sub"); break;
	case LHV_OP_XOR: SIZES2("xor"); break;
	case LHV_OP_CMP: SIZES2("cmp"); break;
	case LHV_OP_TEST: SIZES2("test"); break;
	case LHV_OP_NOT: SIZES1("not"); break;
	case LHV_OP_NEG: SIZES1("neg"); break;
	case LHV_OP_INC: SIZES1("inc"); break;
	case LHV_OP_DEC: SIZES1("dec"); break;
	case LHV_OP_BT: SIZESB("bt"); break;
	case LHV_OP_BTS: SIZESB("bts"); break;
	case LHV_OP_BTR: SIZESB("btr"); break;
	case LHV_OP_BTC: SIZESB("btc"); break;
	default: break;
	}
	*dst = d;
	*flags = f;
}

/* Flags that the manual leaves undefined are not compared. */
static u64 defined_flags(enum lhv_op op)
{
	switch (op) {
	case LHV_OP_AND: case LHV_OP_OR: case LHV_OP_XOR: case LHV_OP_TEST:
		return FLAGS & ~0x10ULL;
	case LHV_OP_BT: case LHV_OP_BTS: case LHV_OP_BTR: case LHV_OP_BTC:
		return 0x1;
	default:
		return FLAGS;
	}
}

static u64 interesting(unsigned int size)
{
	static const u64 edge[] = { 0, 1, 2, 0xf, 0x10, 0x7f, 0x80, 0xff, ~0ULL, 0x7fff, 0x8000,
				    0x7fffffff, 0x80000000, ~0ULL >> 1, 1ULL << 63 };
	u64 r = (u64)rnd() << 33 ^ (u64)rnd() << 11 ^ rnd();

	return (rnd() % 2 ? r : edge[rnd() % ARRAY_SIZE(edge)]) & lhv_size_mask(size);
}

static unsigned int check_alu(unsigned int count)
{
	unsigned int i, bad = 0;

	for (i = 0; i < count; i++) {
		enum lhv_op op = LHV_OP_ADD + rnd() % (LHV_OP_DEC - LHV_OP_ADD + 1);
		unsigned int size = 1u << rnd() % 4;
		u64 dst, src, flags = (rnd() & FLAGS) | 2, want, want_flags, got, got_flags;

		if (op >= LHV_OP_BT && op <= LHV_OP_BTC && size == 1)
			continue;
		dst = interesting(size);
		src = interesting(size);
		want = dst;
		want_flags = flags;
		got_flags = flags;
		on_cpu(op, size, &want, src, &want_flags);
		got = lhv_alu(op, size, dst, src, &got_flags);
		want &= lhv_size_mask(size);
		if (got == want && !((got_flags ^ want_flags) & defined_flags(op)))
			continue;
		if (bad++ < 20)
			printf("# op %d size %u %llx, %llx: %llx/%llx, want %llx/%llx\n", op, size,
			       (long long)dst, (long long)src, (long long)got, (long long)got_flags,
			       (long long)want, (long long)want_flags);
	}
	return bad;
}

static unsigned int check_conditions(void)
{
	unsigned int bad = 0, i, cc;

#define CC(n, name)								\
	do {									\
		u8 res;								\
		asm volatile("pushq %1; popfq; set" name " %0"			\
			     : "=q" (res) : "r" (flags) : "cc", "memory");	\
		if (cc == (n))							\
			bad += res != lhv_condition(n, flags);			\
	} while (0)
	for (i = 0; i < 4096; i++) {
		u64 flags = (i & FLAGS) | 2;

		for (cc = 0; cc < 16; cc++) {
			CC(0, "o"); CC(1, "no"); CC(2, "b"); CC(3, "ae"); CC(4, "e"); CC(5, "ne");
			CC(6, "be"); CC(7, "a"); CC(8, "s"); CC(9, "ns"); CC(10, "p"); CC(11, "np");
			CC(12, "l"); CC(13, "ge"); CC(14, "le"); CC(15, "g");
		}
	}
	return bad;
}

static int tests, failed;

static void result(const char *name, unsigned int bad, unsigned int of)
{
	tests++;
	failed += bad || !of;
	printf("%sok %d %s: %u wrong of %u\n", bad || !of ? "not " : "", tests, name, bad, of);
}

int main(int argc, char **argv)
{
	unsigned int count = argc > 2 ? strtoul(argv[2], NULL, 0) : 20000, of, bad;

	state = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	printf("TAP version 13\n1..6\n");
	of = 0;
	bad = check_mode(LHV_MODE_64, "i386:x86-64", count, &of);
	result("64-bit lengths as objdump", bad, of);
	of = 0;
	bad = check_mode(LHV_MODE_32, "i386", count, &of);
	result("32-bit lengths as objdump", bad, of);
	of = 0;
	bad = check_mode(LHV_MODE_16, "i8086", count, &of);
	result("16-bit lengths as objdump", bad, of);
	result("cut short", check_short(count), count);
	result("results and flags as the CPU", check_alu(count * 10), count * 10);
	result("conditions as the CPU", check_conditions(), 4096 * 16);
	return !!failed;
}
