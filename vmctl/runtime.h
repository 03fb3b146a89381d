/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where a VM's process is reached: a socket in a folder of its user's own.
 *
 * /run/lhv for root, else $XDG_RUNTIME_DIR/lhv (/run/user/UID/lhv); the folder has mode
 * 0700 and the socket, ID.sock, 0600. A client says in its first line what it wants:
 *
 *	console		bytes of the guest's console from now on, both ways
 *	wait		one line when the VM ends: vmctl's exit status
 *
 * One for whom there is no room gets HUB_FULL, and the end, whatever it wants.
 */
#ifndef VMCTL_RUNTIME_H
#define VMCTL_RUNTIME_H

#include <stdint.h>
#include <sys/types.h>

#define RUNTIME_PATH_MAX	108	/* sun_path */
#define HUB_CONSOLE		"console\n"
#define HUB_WAIT		"wait\n"
#define HUB_FULL		"[too many terminals]\r\n"

int runtime_path(char *path, uid_t uid, uint64_t id);
int runtime_listen(char *path, uint64_t id);
int runtime_connect(uid_t uid, uint64_t id, const char *what);

#endif
