/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The person's side of "vmctl start -c" and "vmctl console": joins the terminal to
 * the guest's console and stays a process of its own, so that the terminal is put
 * right whatever becomes of the VM's process.
 */
#ifndef VMCTL_TERMINAL_H
#define VMCTL_TERMINAL_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <sys/types.h>

/* One byte each, from the terminal to the VM's process and back. */
#define CTL_DETACH	'd'	/* the terminal leaves, the VM goes on */
#define CTL_STOP	's'	/* end the VM */
#define CTL_ENDED	'e'	/* from the VM: all output is on its way */

/* The escape, recognized at the beginning of a line. */
enum escape_action { ESCAPE_NONE, ESCAPE_DETACH, ESCAPE_STOP, ESCAPE_HELP };

struct escape {
	enum { LINE_START, LINE_MIDDLE, TILDE } state;
};

enum escape_action escape_filter(struct escape *e, const uint8_t *in, size_t n,
				 size_t *used, uint8_t *out, size_t *nout);

int terminal_run(pid_t vm, int console, int ctl, const char *name);
int terminal_attach(int console, const char *name);

#endif
