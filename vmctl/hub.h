/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The hub: joins a VM's console to any number of terminals, and tells who waits how
 * the VM ended.
 *
 * What enters: the console's other end, and clients by the VM's socket (runtime.h). What
 * leaves: the guest's output to all of them; the input of one, the oldest, to the guest.
 * A thread of its own. The guest waits for the one who may type; who only watches and is
 * slow loses what does not fit.
 */
#ifndef VMCTL_HUB_H
#define VMCTL_HUB_H

#include <stdint.h>

struct hub;

struct hub *hub_create(int console, int joining);
void hub_listen(struct hub *hub, uint64_t id);
void hub_unlisten(struct hub *hub);
void hub_finish(struct hub *hub, int status);

#endif
