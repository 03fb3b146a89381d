/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The console: carries bytes between the guest's serial port and a file
 * descriptor (a pseudo terminal's master, or standard output alone). It
 * outlives the machine, so that a rebooting guest keeps its console.
 *
 * A thread of its own writes the output, so that a stopped terminal stops
 * neither vCPUs nor disks.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <stdbool.h>

struct console;
struct vm;

struct console *console_create(int in_fd, int out_fd);
void console_destroy(struct console *c);
void console_set_attached(struct console *c, bool attached);
int console_connect(struct console *c, struct vm *vm);
void console_disconnect(struct console *c);

#endif
