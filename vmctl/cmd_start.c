// SPDX-License-Identifier: GPL-2.0
/*
 * vmctl start: check and open all that the VM needs, then run it.
 *
 * Without -c the VM runs in this process. With -c it runs in a child, whose
 * console is a pseudo terminal, and this process is the terminal's side.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "terminal.h"
#include "vmctl.h"
#include "vmm/console.h"
#include "vmm/vmm.h"

#define DEFAULT_MEM	MIB(512)
#define PTY_NAME_MAX	64

enum { OPT_INITRD = 256, OPT_APPEND, OPT_ACCEL, OPT_NO_REBOOT };

static const struct option long_options[] = {
	{ "initrd", required_argument, NULL, OPT_INITRD },
	{ "append", required_argument, NULL, OPT_APPEND },
	{ "accel", required_argument, NULL, OPT_ACCEL },
	{ "no-reboot", no_argument, NULL, OPT_NO_REBOOT },
	{ 0 }
};

struct start {
	struct vm_config cfg;
	bool console;
	bool no_reboot;
	/* The VM's side of the pair of processes; -1 without -c. */
	struct supervisor sup;
	int pty_master, pty_slave, ctl;
	char pty_name[PTY_NAME_MAX];
	bool detached;
};

enum { SUP_SIGNAL, SUP_CTL };

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

/* Locked by open file description: released whenever the VM's process ends. */
static int open_disk(struct vm_disk *disk)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat st;

	disk->fd = open(disk->path, O_RDWR | O_CLOEXEC);
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
}

static void close_all(struct start *st)
{
	close_files(&st->cfg);
	close_fd(st->pty_master);
	close_fd(st->pty_slave);
	close_fd(st->ctl);
	close_fd(st->sup.fd[SUP_SIGNAL]);
}

/* The outside asks: a signal, or a word from the terminal's side. */
static bool stop_wanted(struct supervisor *sup, unsigned int i)
{
	struct start *st = container_of(sup, struct start, sup);
	struct signalfd_siginfo si;
	char c;

	if (i == SUP_SIGNAL)
		return read(sup->fd[i], &si, sizeof(si)) == sizeof(si);
	if (recv(sup->fd[i], &c, 1, 0) != 1)
		c = CTL_STOP;		/* it was killed: end with it */
	if (c == CTL_STOP)
		return true;
	console_set_attached(st->cfg.console, false);
	st->detached = true;
	sup->fd[i] = -1;
	return false;
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
	st->sup.fd[SUP_CTL] = st->ctl;
	st->sup.stop = stop_wanted;
	st->cfg.supervisor = &st->sup;
	return st->sup.fd[SUP_SIGNAL] < 0 || vcpu_signal_init() ? -1 : 0;
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

/* Run the VM in this process, through its reboots. */
static int run_vm(struct start *st)
{
	enum vm_end end = VM_ERROR;

	if (supervise(st) < 0) {
		report_errno(errno, "%s: signals", st->cfg.name);
		return STATUS_ERROR;
	}
	st->cfg.console = st->console ?
		console_create(st->pty_master, st->pty_master) :
		console_create(-1, STDOUT_FILENO);
	if (!st->cfg.console) {
		report_errno(errno, "%s: console", st->cfg.name);
		return STATUS_ERROR;
	}
	do {
		end = vm_run(&st->cfg);
	} while (end == VM_REBOOT && !st->no_reboot);
	console_destroy(st->cfg.console);
	wait_terminal(st);
	return exit_status(end);
}

static int open_pty(struct start *st)
{
	struct termios raw;

	st->pty_master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (st->pty_master < 0 || grantpt(st->pty_master) < 0 ||
	    unlockpt(st->pty_master) < 0 ||
	    ptsname_r(st->pty_master, st->pty_name, sizeof(st->pty_name)))
		return -1;
	st->pty_slave = open(st->pty_name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (st->pty_slave < 0 || tcgetattr(st->pty_slave, &raw) < 0)
		return -1;
	/* The guest's own terminal driver does all the work. */
	cfmakeraw(&raw);
	if (tcsetattr(st->pty_slave, TCSANOW, &raw) < 0)
		return -1;
	return fcntl(st->pty_master, F_SETFL, O_NONBLOCK);
}

static int run_with_console(struct start *st)
{
	int pair[2], null, status;
	pid_t pid;

	if (open_pty(st) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		report_errno(errno, "%s: cannot make a console", st->cfg.name);
		return STATUS_ERROR;
	}
	pid = fork();
	if (pid < 0) {
		report_errno(errno, "%s", st->cfg.name);
		close(pair[0]);
		close(pair[1]);
		return STATUS_ERROR;
	}
	if (!pid) {
		/* Away from the terminal: its signals are the other side's. */
		setsid();
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (null >= 0) {
			dup2(null, STDIN_FILENO);
			dup2(null, STDOUT_FILENO);
			close(null);
		}
		close(pair[0]);
		/* The slave stays open here, so that it outlives a detaching. */
		st->ctl = pair[1];
		return run_vm(st);
	}
	close(pair[1]);
	/* The VM and its disks' locks are the child's alone. */
	close_files(&st->cfg);
	close_fd(st->pty_master);
	st->pty_master = -1;
	status = terminal_run(pid, st->pty_slave, st->pty_name, pair[0],
			      st->cfg.name);
	return status;
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
		.sup = { .fd = { -1, -1 } },
		.pty_master = -1,
		.pty_slave = -1,
		.ctl = -1,
	};
	int ret = parse(&st, argc, argv);

	if (!ret) {
		if (open_all(&st.cfg) < 0)
			ret = STATUS_ERROR;
		else if (st.console)
			ret = run_with_console(&st);
		else
			ret = run_vm(&st);
	}
	close_all(&st);
	return ret;
}
