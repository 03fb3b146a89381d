// SPDX-License-Identifier: GPL-2.0
/* The console's escape: "~." and its kin at the beginning of a line. */
#include "terminal.h"

/**
 * escape_filter() - take escapes out of what the person types
 * @e: state, kept between calls; zeroed at first
 * @in: typed bytes
 * @n: how many
 * @used: how many of them were consumed
 * @out: what the guest gets; room for @n + 1 bytes
 * @nout: how much of it
 *
 * Return: what to do; bytes behind an escape wait for the next call.
 */
enum escape_action escape_filter(struct escape *e, const uint8_t *in, size_t n,
				 size_t *used, uint8_t *out, size_t *nout)
{
	size_t i;

	*nout = 0;
	for (i = 0; i < n; i++) {
		uint8_t c = in[i];

		if (e->state == LINE_START && c == '~') {
			e->state = TILDE;
			continue;
		}
		if (e->state == TILDE) {
			*used = i + 1;
			e->state = LINE_START;
			switch (c) {
			case '.':
				return ESCAPE_DETACH;
			case 'q':
				return ESCAPE_STOP;
			case '?':
				return ESCAPE_HELP;
			default:
				/* "~~" sends one, others were no escape. */
				out[(*nout)++] = '~';
				if (c == '~') {
					e->state = LINE_MIDDLE;
					continue;
				}
			}
		}
		e->state = c == '\r' || c == '\n' ? LINE_START : LINE_MIDDLE;
		out[(*nout)++] = c;
	}
	*used = n;
	return ESCAPE_NONE;
}
