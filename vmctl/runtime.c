// SPDX-License-Identifier: GPL-2.0
/* The runtime folder and the sockets in it: see runtime.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime.h"
#include "vmctl.h"

static int folder(char *path, uid_t uid)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	int n;

	if (!uid)
		n = snprintf(path, RUNTIME_PATH_MAX, "/run/lhv");
	else if (uid == getuid() && xdg && xdg[0] == '/')
		n = snprintf(path, RUNTIME_PATH_MAX, "%s/lhv", xdg);
	else
		n = snprintf(path, RUNTIME_PATH_MAX, "/run/user/%u/lhv", (unsigned int)uid);
	return n >= RUNTIME_PATH_MAX ? -ENAMETOOLONG : 0;
}

/**
 * runtime_path() - where the socket of a VM is
 * @path: result, RUNTIME_PATH_MAX bytes
 * @uid: the VM's owner
 * @id: the VM
 *
 * Return: 0 or -ENAMETOOLONG.
 */
int runtime_path(char *path, uid_t uid, uint64_t id)
{
	char dir[RUNTIME_PATH_MAX];
	int ret = folder(dir, uid);

	if (ret)
		return ret;
	if (snprintf(path, RUNTIME_PATH_MAX, "%.80s/%llu.sock", dir,
		     (unsigned long long)id) >= RUNTIME_PATH_MAX || strlen(dir) > 80)
		return -ENAMETOOLONG;
	return 0;
}

static int make_folder(void)
{
	char dir[RUNTIME_PATH_MAX];
	struct stat st;
	int ret = folder(dir, getuid());

	if (ret)
		return ret;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	/* Somebody else's, or open to others: not a place for consoles. */
	if (lstat(dir, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return -EPERM;
	return 0;
}

static int address(struct sockaddr_un *addr, uid_t uid, uint64_t id)
{
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	return runtime_path(addr->sun_path, uid, id);
}

/**
 * runtime_listen() - make the socket of our own VM
 * @path: its path, to be removed at the end; RUNTIME_PATH_MAX bytes
 * @id: the VM
 *
 * Return: a listening socket, or -errno.
 */
int runtime_listen(char *path, uint64_t id)
{
	struct sockaddr_un addr;
	mode_t mask;
	int fd, ret;

	path[0] = '\0';
	ret = make_folder();
	if (!ret)
		ret = address(&addr, getuid(), id);
	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Ids are unique while the module is loaded: an old socket is a dead one's. */
	unlink(addr.sun_path);
	mask = umask(0177);
	ret = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	      listen(fd, SOMAXCONN) < 0 ? -errno : 0;
	umask(mask);
	if (ret) {
		close(fd);
		return ret;
	}
	strcpy(path, addr.sun_path);
	return fd;
}

/**
 * runtime_connect() - reach a VM's process
 * @uid: the VM's owner
 * @id: the VM
 * @what: HUB_CONSOLE or HUB_WAIT
 *
 * The folder is the owner's, who may have put there what he likes: only a socket whose other end is
 * his own is spoken to.
 *
 * Return: a socket, or -errno: ENOENT and ECONNREFUSED mean that it has no such socket, EPERM that
 * it is somebody else's.
 */
int runtime_connect(uid_t uid, uint64_t id, const char *what)
{
	struct sockaddr_un addr;
	int fd, ret = address(&addr, uid, id);
	socklen_t len = sizeof(struct ucred);
	struct ucred peer;

	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		ret = -errno;
	else if (peer.uid != uid)
		ret = -EPERM;
	/* One that has no room has gone already; what it said is there to be read. */
	else if (send(fd, what, strlen(what), MSG_NOSIGNAL) < 0 && errno != EPIPE)
		ret = -errno;
	if (!ret)
		return fd;
	close(fd);
	return ret;
}
