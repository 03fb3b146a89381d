/* SPDX-License-Identifier: GPL-2.0 */
/* How bench tells count.c where it is: no-ops with a displacement that nobody else has. */
#ifndef MARK_H
#define MARK_H

#define MARK_OPCODE	"\x0f\x1f\x80"	/* NOP with a 32-bit displacement */
#define MARK_LEN	7

#define MARK_ROW	0x6c687601	/* the samples of another row follow */
#define MARK_FROM	0x6c687602
#define MARK_TO		0x6c687603
#define MARK_OVER	0x6c687604	/* what follows is not counted */

/* sched/cost.c: from and to; where functions are: the low half of an address in the no-op behind it */
#define MARK_GATE_FROM	0x6c687605
#define MARK_GATE_TO	0x6c687606
#define MARK_GATE	0x6c687607	/* counted, with what it calls */
#define MARK_SCHEDULE	0x6c687608	/* but for this */
#define MARK_WAKE	0x6c687609	/* and this, which is counted apart */

#define MARK_TEXT_(x)	#x
#define MARK_TEXT(x)	MARK_TEXT_(x)
#define MARK(what)	\
	asm volatile(".byte 0x0f, 0x1f, 0x80; .long " MARK_TEXT(what) : : : "memory")

#endif
