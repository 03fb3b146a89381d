// SPDX-License-Identifier: GPL-2.0
/*
 * vmctl start: check and open all that the VM needs, then run it.
 *
 * The VM runs in a child, which goes on by itself once the VM runs; its console is
 * reached through its hub. With -c this process is the first terminal there. With
 * --foreground the VM runs in this process and writes to standard output.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/lhv.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hub.h"
#include "mgmt.h"
#include "terminal.h"
#include "vmctl.h"
#include "vmm/console.h"
#include "vmm/vmm.h"

#define DEFAULT_MEM	MIB(512)

enum { OPT_INITRD = 256, OPT_APPEND, OPT_ACCEL, OPT_NO_REBOOT, OPT_FOREGROUND, OPT_DEVICE };

static const struct option long_options[] = {
	{ "initrd", required_argument, NULL, OPT_INITRD },
	{ "append", required_argument, NULL, OPT_APPEND },
	{ "accel", required_argument, NULL, OPT_ACCEL },
	{ "no-reboot", no_argument, NULL, OPT_NO_REBOOT },
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "foreground", no_argument, NULL, OPT_FOREGROUND },
	{ 0 }
};

struct start {
	struct vm_config cfg;
	bool console;
	bool foreground;
	bool no_reboot;
	/* The VM's process. Descriptors are -1 when there are none. */
	struct supervisor sup;
	int ctl;		/* to the terminal of -c */
	int ready;		/* pipe: the VM's id, once it runs */
	int terminal;		/* the terminal's socket, for the hub */
	struct hub *hub;
	uint64_t id;		/* 0: the hypervisor has no ids */
	bool detached;
};

enum { SUP_SIGNAL, SUP_CTL, SUP_STOP };

static int add_disk(struct vm_config *cfg, const char *path)
{
	struct vm_disk *d = realloc(cfg->disks, (cfg->ndisks + 1) * sizeof(*d));

	if (!d) {
		report_errno(ENOMEM, "%s", path);
		return STATUS_ERROR;
	}
	cfg->disks = d;
	d[cfg->ndisks++] = (struct vm_disk){ .path = path, .fd = -1 };
	return STATUS_OK;
}

/* ADDRESS[,force]; the text stays as it is, so the address is copied. */
static int add_device(struct vm_config *cfg, const char *text)
{
	size_t len = strcspn(text, ",");
	struct vm_device *d;

	if (text[len] && strcmp(text + len, ",force")) {
		report("--device %s: ADDRESS or ADDRESS,force", text);
		return STATUS_USAGE;
	}
	d = realloc(cfg->devices, (cfg->ndevices + 1) * sizeof(*d));
	if (d) {
		cfg->devices = d;
		d[cfg->ndevices] = (struct vm_device){ .address = strndup(text, len),
						       .force = text[len] };
	}
	if (!d || !d[cfg->ndevices].address) {
		report_errno(ENOMEM, "%s", text);
		return STATUS_ERROR;
	}
	cfg->ndevices++;
	return STATUS_OK;
}

static int parse_memory(struct vm_config *cfg, const char *text)
{
	int ret = parse_size(text, &cfg->mem);

	if (ret == -EINVAL) {
		report("-m %s: not a size (a number with M or G)", text);
		return STATUS_USAGE;
	}
	cfg->mem &= ~(MIB(2) - 1);
	if (ret || cfg->mem > MEM_MAX) {
		report("-m %s: too much memory", text);
		return STATUS_USAGE;
	}
	if (cfg->mem < MEM_MIN) {
		report("-m %s: too little memory, the least is %uM", text,
		       (unsigned int)(MEM_MIN >> 20));
		return STATUS_USAGE;
	}
	return STATUS_OK;
}

static int parse_vcpus(struct vm_config *cfg, const char *text)
{
	if (!parse_uint(text, 1, VCPUS_MAX, &cfg->vcpus))
		return STATUS_OK;
	report("-p %s: the number of vCPUs must be 1 to %u", text, VCPUS_MAX);
	return STATUS_USAGE;
}

static int parse_option(struct start *st, int c)
{
	struct vm_config *cfg = &st->cfg;

	switch (c) {
	case 'c':
		st->console = true;
		return STATUS_OK;
	case 'b':
		cfg->kernel = optarg;
		return STATUS_OK;
	case 'd':
		return add_disk(cfg, optarg);
	case 'm':
		return parse_memory(cfg, optarg);
	case 'p':
		return parse_vcpus(cfg, optarg);
	case OPT_INITRD:
		cfg->initrd = optarg;
		return STATUS_OK;
	case OPT_APPEND:
		cfg->append = optarg;
		return STATUS_OK;
	case OPT_ACCEL:
		cfg->accel = optarg;
		return STATUS_OK;
	case OPT_NO_REBOOT:
		st->no_reboot = true;
		return STATUS_OK;
	case OPT_DEVICE:
		return add_device(cfg, optarg);
	case OPT_FOREGROUND:
		st->foreground = true;
		return STATUS_OK;
	default:
		return command_usage("start");
	}
}

static int parse(struct start *st, int argc, char **argv)
{
	int c, ret;

	optind = 1;
	while ((c = getopt_long(argc, argv, "cb:d:m:p:", long_options,
				NULL)) != -1) {
		ret = parse_option(st, c);
		if (ret)
			return ret;
	}
	if (argc - optind != 1)
		return command_usage("start");
	st->cfg.name = argv[optind];
	if (!valid_vm_name(st->cfg.name)) {
		report("%s: not a VM's name: a letter, then letters, digits, '-', '_', '.'",
		       st->cfg.name);
		return STATUS_USAGE;
	}
	if (st->console && st->foreground) {
		report("-c and --foreground exclude each other");
		return STATUS_USAGE;
	}
	if (!st->cfg.kernel) {
		report("which kernel? say -b KERNEL");
		return STATUS_USAGE;
	}
	return STATUS_OK;
}

static int open_file(const char *what, const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		report_errno(errno, "cannot open %s %s", what, path);
		return -1;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		report("%s %s: not a regular file", what, path);
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * Locked by open file description: released whenever the VM's process ends. A block device, which
 * may have several nodes, is claimed from the host, too: O_EXCL means this of block devices alone.
 */
static int open_disk(struct vm_disk *disk)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	bool block;
	struct stat st;

	block = stat(disk->path, &st) == 0 && S_ISBLK(st.st_mode);
	disk->fd = open(disk->path, O_RDWR | O_CLOEXEC | (block ? O_EXCL : 0));
	if (disk->fd < 0 && block && errno == EBUSY) {
		report("disk %s is in use by the host or by another VM", disk->path);
		return -1;
	}
	if (disk->fd < 0) {
		report_errno(errno, "cannot open disk %s", disk->path);
		return -1;
	}
	if (fstat(disk->fd, &st) < 0 ||
	    !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))) {
		report("disk %s: neither a file nor a block device",
		       disk->path);
		return -1;
	}
	if (fcntl(disk->fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		report("disk %s is in use by another VM", disk->path);
	else
		report_errno(errno, "cannot lock disk %s", disk->path);
	return -1;
}

static int open_all(struct vm_config *cfg)
{
	unsigned int i;

	cfg->kernel_fd = open_file("kernel", cfg->kernel);
	if (cfg->kernel_fd < 0)
		return -1;
	if (cfg->initrd) {
		cfg->initrd_fd = open_file("initrd", cfg->initrd);
		if (cfg->initrd_fd < 0)
			return -1;
	}
	for (i = 0; i < cfg->ndisks; i++)
		if (open_disk(&cfg->disks[i]) < 0)
			return -1;
	cfg->sys_fd = accel_open(cfg->accel);
	return cfg->sys_fd < 0 ? -1 : 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void close_files(struct vm_config *cfg)
{
	unsigned int i;

	close_fd(cfg->kernel_fd);
	close_fd(cfg->initrd_fd);
	close_fd(cfg->sys_fd);
	cfg->kernel_fd = -1;
	cfg->initrd_fd = -1;
	cfg->sys_fd = -1;
	for (i = 0; i < cfg->ndisks; i++)
		close_fd(cfg->disks[i].fd);
	free(cfg->disks);
	cfg->disks = NULL;
	cfg->ndisks = 0;
	while (cfg->ndevices)
		free((char *)cfg->devices[--cfg->ndevices].address);
	free(cfg->devices);
	cfg->devices = NULL;
}

static void close_all(struct start *st)
{
	close_files(&st->cfg);
	close_fd(st->ctl);
	close_fd(st->ready);
	close_fd(st->terminal);
	close_fd(st->sup.fd[SUP_SIGNAL]);
	close_fd(st->sup.fd[SUP_STOP]);
}

/* ---- the VM's process ---- */

/* No terminal is left: messages go to the system's log. */
static void leave_terminal(struct start *st)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	report_to_syslog("vmctl");
	if (null >= 0) {
		dup2(null, STDERR_FILENO);
		close(null);
	}
	st->detached = true;
}

/* The outside asks: a signal, a word from the terminal's side, vmctl stop. */
static enum wish outside_wants(struct supervisor *sup, unsigned int i)
{
	struct start *st = container_of(sup, struct start, sup);
	struct signalfd_siginfo si;
	uint64_t count;
	char c;

	switch (i) {
	case SUP_SIGNAL:
		return read(sup->fd[i], &si, sizeof(si)) == sizeof(si) ?
			WISH_STOP : WISH_NOTHING;
	case SUP_STOP:
		return read(sup->fd[i], &count, sizeof(count)) == sizeof(count) ?
			WISH_POWER_BUTTON : WISH_NOTHING;
	default:
		if (recv(sup->fd[i], &c, 1, 0) != 1)
			c = CTL_STOP;		/* it was killed: end with it */
		if (c == CTL_STOP)
			return WISH_STOP;
		sup->fd[i] = -1;
		leave_terminal(st);
		return WISH_NOTHING;
	}
}

/* Give the VM its name; only another VM of ours with it is a reason not to go on. */
static int name_vm(struct start *st)
{
	struct mgmt *m = mgmt_open(true);
	int ret;

	if (!m)
		return 0;
	ret = mgmt_rename(m, st->id, st->cfg.name);
	if (ret == -EEXIST)
		report("%s: there is a VM of this name already", st->cfg.name);
	else if (ret)
		report("%s: the VM goes by another name: %s", st->cfg.name, mgmt_error(m));
	mgmt_close(m);
	return ret == -EEXIST ? ret : 0;
}

/* KVM knows nothing of ids or of being asked; the VM runs there all the same. */
static int vm_created(struct supervisor *sup, int vm_fd)
{
	struct start *st = container_of(sup, struct start, sup);
	int ret;

	if (ioctl(vm_fd, LHV_GET_VM_ID, &st->id) < 0) {
		st->id = 0;
		return 0;
	}
	/* Before it has its name: vmctl wait finds the socket of whatever it finds by name. */
	if (st->hub)
		hub_listen(st->hub, st->id);
	ret = name_vm(st);
	if (ret)
		return ret;
	if (ioctl(vm_fd, LHV_SET_STOP_EVENTFD, &sup->fd[SUP_STOP]) < 0)
		report_errno(errno, "%s: vmctl stop will not work", st->cfg.name);
	return 0;
}

static int vm_attach(struct supervisor *sup, const struct vm_device *device)
{
	struct start *st = container_of(sup, struct start, sup);
	struct mgmt *m;
	int ret;

	if (!st->id) {
		report("device %s: %s can't hand devices over", device->address, st->cfg.accel);
		return -EOPNOTSUPP;
	}
	m = mgmt_open(false);
	if (!m)
		return -EOPNOTSUPP;
	ret = mgmt_device_change(m, LHV_CMD_DEVICE_ATTACH, device->address, st->id,
				 device->force);
	if (ret)
		report("device %s: %s", device->address,
		       *mgmt_error(m) ? mgmt_error(m) : strerror(-ret));
	mgmt_close(m);
	return ret;
}

static void vm_started(struct supervisor *sup)
{
	struct start *st = container_of(sup, struct start, sup);

	if (st->ready < 0)
		return;
	if (write(st->ready, &st->id, sizeof(st->id)) < 0)
		report_errno(errno, "%s", st->cfg.name);
	close(st->ready);
	st->ready = -1;
	leave_terminal(st);
}

static void vm_ended(struct supervisor *sup)
{
	struct start *st = container_of(sup, struct start, sup);

	if (st->hub)
		hub_unlisten(st->hub);
}

static int supervise(struct start *st)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	/* Every thread inherits the mask: signals come by descriptor alone. */
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	signal(SIGPIPE, SIG_IGN);
	st->sup.fd[SUP_SIGNAL] = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	st->sup.fd[SUP_STOP] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	st->sup.fd[SUP_CTL] = st->ctl;
	st->sup.wish = outside_wants;
	st->sup.created = vm_created;
	st->sup.attach = vm_attach;
	st->sup.started = vm_started;
	st->sup.ended = vm_ended;
	st->cfg.supervisor = &st->sup;
	return st->sup.fd[SUP_SIGNAL] < 0 || st->sup.fd[SUP_STOP] < 0 || vcpu_signal_init() ?
		-1 : 0;
}

static int exit_status(enum vm_end end)
{
	switch (end) {
	case VM_POWEROFF:
		return STATUS_OK;
	case VM_REBOOT:
		return STATUS_REBOOT;
	case VM_CRASH:
		return STATUS_CRASH;
	case VM_STOPPED:
		return STATUS_STOPPED;
	default:
		return STATUS_ERROR;
	}
}

/* All output is in the pseudo terminal: let the other side read it first. */
static void wait_terminal(struct start *st)
{
	char c = CTL_ENDED;

	if (st->ctl < 0 || st->detached)
		return;
	if (send(st->ctl, &c, 1, MSG_NOSIGNAL) < 0)
		return;
	while (recv(st->ctl, &c, 1, 0) > 0)
		;
}

/* The console's two ends; the VM's end, or -1. */
static int make_hub(struct start *st)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	st->hub = hub_create(pair[0], st->terminal);
	if (!st->hub) {
		close(pair[0]);
		close(pair[1]);
		return -1;
	}
	st->terminal = -1;
	return pair[1];
}

/* Run the VM in this process, through its reboots. */
static int run_vm(struct start *st)
{
	enum vm_end end = VM_ERROR;
	int console = -1, status;

	if (supervise(st) < 0) {
		report_errno(errno, "%s: signals", st->cfg.name);
		return STATUS_ERROR;
	}
	if (!st->foreground)
		console = make_hub(st);
	if (st->foreground)
		st->cfg.console = console_create(-1, STDOUT_FILENO);
	else if (console >= 0)
		st->cfg.console = console_create(console, console);
	if (!st->cfg.console) {
		report_errno(errno, "%s: console", st->cfg.name);
		return STATUS_ERROR;
	}
	do {
		end = vm_run(&st->cfg);
	} while (end == VM_REBOOT && !st->no_reboot);
	console_destroy(st->cfg.console);
	status = exit_status(end);
	if (st->hub) {
		close(console);
		hub_finish(st->hub, status);
	}
	wait_terminal(st);
	return status;
}

/* What came through exec() is the caller's: ours are all closed by it. */
static void close_inherited(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;
	int fd;

	if (!dir)
		return;
	while ((e = readdir(dir))) {
		fd = atoi(e->d_name);
		if (fd > STDERR_FILENO && !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
			close(fd);
	}
	closedir(dir);
}

/*
 * Away from the terminal, whose signals are the other side's, and from all else that the caller has
 * open: a VM must not keep his file systems busy and his pipes from their end.
 */
static void become_daemon(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	close_inherited();
	if (chdir("/") < 0)
		report_errno(errno, "/");
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		close(null);
	}
}

static int run_with_console(struct start *st)
{
	int ctl[2], term[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ctl) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, term) < 0) {
		report_errno(errno, "%s: cannot make a console", st->cfg.name);
		return STATUS_ERROR;
	}
	pid = fork();
	if (pid < 0) {
		report_errno(errno, "%s", st->cfg.name);
		return STATUS_ERROR;
	}
	if (!pid) {
		become_daemon();
		close(ctl[0]);
		close(term[0]);
		st->ctl = ctl[1];
		st->terminal = term[1];
		return run_vm(st);
	}
	close(ctl[1]);
	close(term[1]);
	/* The VM and its disks' locks are the child's alone. */
	close_files(&st->cfg);
	return terminal_run(pid, term[0], ctl[0], st->cfg.name);
}

static int run_detached(struct start *st)
{
	uint64_t id = 0;
	int pair[2], status;
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC) < 0) {
		report_errno(errno, "%s", st->cfg.name);
		return STATUS_ERROR;
	}
	pid = fork();
	if (pid < 0) {
		report_errno(errno, "%s", st->cfg.name);
		return STATUS_ERROR;
	}
	if (!pid) {
		become_daemon();
		close(pair[0]);
		st->ready = pair[1];
		return run_vm(st);
	}
	close(pair[1]);
	close_files(&st->cfg);
	if (read(pair[0], &id, sizeof(id)) == sizeof(id)) {
		if (id)
			fprintf(stderr, "vmctl: started vm %llu successfully, vmctl console %s attaches\n",
				(unsigned long long)id, st->cfg.name);
		else
			fprintf(stderr, "vmctl: started %s as process %d\n", st->cfg.name,
				(int)pid);
		return STATUS_OK;
	}
	/* It did not get so far, and has said why. */
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return STATUS_ERROR;
	return WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_ERROR;
}

int cmd_start(int argc, char **argv)
{
	struct start st = {
		.cfg = {
			.accel = VMCTL_DEFAULT_ACCEL,
			.mem = DEFAULT_MEM,
			.vcpus = 1,
			.kernel_fd = -1,
			.initrd_fd = -1,
			.sys_fd = -1,
		},
		.sup = { .fd = { -1, -1, -1 } },
		.ctl = -1,
		.ready = -1,
		.terminal = -1,
	};
	int ret = parse(&st, argc, argv);

	if (!ret) {
		if (open_all(&st.cfg) < 0)
			ret = STATUS_ERROR;
		else if (st.console)
			ret = run_with_console(&st);
		else if (st.foreground)
			ret = run_vm(&st);
		else
			ret = run_detached(&st);
	}
	close_all(&st);
	return ret;
}
