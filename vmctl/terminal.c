// SPDX-License-Identifier: GPL-2.0
/* The person's side of the console: see terminal.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "terminal.h"
#include "vmctl.h"

#define CHUNK		4096U
/* A pipe or terminal that can be written to takes so much without waiting. */
#define PIECE		256U
#define PATIENCE_MS	1000		/* with who takes nothing, when we want to leave */

struct session {
	pid_t vm;		/* 0: not our child */
	int console;		/* -1: it has ended */
	int ctl, sig;		/* ctl -1: only attached */
	const char *name;
	bool tty;		/* standard input is a terminal */
	bool detached;
	bool ending;		/* a signal has come */
	bool stuck;		/* standard output takes no more */
	struct escape escape;
	uint8_t in[CHUNK];	/* typed, not looked at yet */
	size_t in_off, in_len;
	uint8_t out[CHUNK + 1];	/* for the guest */
	size_t out_off, out_len;
	bool in_eof;
};

static struct termios saved;
static volatile sig_atomic_t is_raw;

static void restore(void)
{
	if (!is_raw)
		return;
	is_raw = 0;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
}

/* A crash of our own must not leave the terminal raw either. */
static void on_fatal(int sig)
{
	restore();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void make_raw(void)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT,
				     SIGQUIT };
	struct termios raw;
	size_t i;

	if (tcgetattr(STDIN_FILENO, &saved) < 0)
		return;
	for (i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		signal(fatal[i], on_fatal);
	atexit(restore);
	raw = saved;
	cfmakeraw(&raw);
	is_raw = 1;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

static void say(const struct session *s, const char *text)
{
	fprintf(stderr, "\r\n[%s: %s]\r\n", s->name, text);
}

static void send_ctl(struct session *s, char c)
{
	if (send(s->ctl, &c, 1, MSG_NOSIGNAL) < 0 && errno != EPIPE)
		report_errno(errno, "%s: cannot reach the VM's process", s->name);
}

static void heed_signal(struct session *s)
{
	struct signalfd_siginfo si;

	if (read(s->sig, &si, sizeof(si)) != sizeof(si))
		return;
	s->ending = true;
	if (s->ctl < 0)
		s->detached = true;
	else
		send_ctl(s, CTL_STOP);
}

/* A terminal may stand still: signals are heard meanwhile, and then it is not waited for long. */
static void show(struct session *s, const uint8_t *text, size_t n)
{
	while (n && !s->stuck) {
		struct pollfd p[] = {
			{ STDOUT_FILENO, POLLOUT, 0 },
			{ s->ending ? -1 : s->sig, POLLIN, 0 },
		};
		int ready = poll(p, 2, s->ending ? PATIENCE_MS : -1);
		ssize_t done = 0;

		if (p[1].revents)
			heed_signal(s);
		if (p[0].revents)
			done = write(STDOUT_FILENO, text, n < PIECE ? n : PIECE);
		if (!ready)
			s->stuck = true;
		if (done < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (done > 0) {
			text += done;
			n -= done;
		}
	}
}

/* Guest output that is there already; false when there's none. */
static bool copy_output(struct session *s)
{
	uint8_t buf[CHUNK];
	ssize_t n = s->console < 0 ? -1 : read(s->console, buf, sizeof(buf));

	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		s->console = -1;
	if (n <= 0)
		return false;
	show(s, buf, n);
	return true;
}

static void do_escape(struct session *s, enum escape_action action)
{
	switch (action) {
	case ESCAPE_DETACH:
		s->detached = true;
		break;
	case ESCAPE_STOP:
		if (s->ctl >= 0)
			send_ctl(s, CTL_STOP);
		else
			say(s, "vmctl stop -f ends it");
		break;
	case ESCAPE_HELP:
		say(s, "~. detach, the VM goes on; ~q end the VM; ~~ send ~; ~? this text");
		break;
	default:
		break;
	}
}

static void read_input(struct session *s)
{
	ssize_t n = read(STDIN_FILENO, s->in, sizeof(s->in));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	s->in_eof = n <= 0;
	s->in_off = 0;
	s->in_len = n > 0 ? n : 0;
}

static void filter_input(struct session *s)
{
	enum escape_action action = ESCAPE_NONE;
	size_t used = s->in_len;

	s->out_off = 0;
	if (s->tty) {
		action = escape_filter(&s->escape, s->in + s->in_off, s->in_len,
				       &used, s->out, &s->out_len);
	} else {
		/* A file is no typist: it passes as it is. */
		memcpy(s->out, s->in + s->in_off, s->in_len);
		s->out_len = s->in_len;
	}
	s->in_off += used;
	s->in_len -= used;
	do_escape(s, action);
}

static bool send_input(struct session *s)
{
	ssize_t n = write(s->console, s->out + s->out_off, s->out_len);

	if (n <= 0)
		return false;
	s->out_off += n;
	s->out_len -= n;
	return true;
}

/* What was typed before the escape is the guest's, if it takes it soon. */
static void send_rest(struct session *s)
{
	struct pollfd p = { .fd = s->console, .events = POLLOUT };

	while (s->out_len && s->console >= 0 && poll(&p, 1, PATIENCE_MS) > 0)
		if (!send_input(s))
			break;
}

/* Join the two until the VM ends (true) or the person leaves (false). */
static bool converse(struct session *s)
{
	enum { IN, CONSOLE, CTL, SIG, COUNT };

	while (!s->detached && (s->console >= 0 || s->ctl >= 0)) {
		bool want_in = !s->in_eof && !s->in_len && !s->out_len;
		struct pollfd p[COUNT] = {
			[IN] = { want_in ? STDIN_FILENO : -1, POLLIN, 0 },
			[CONSOLE] = { s->console, POLLIN | (s->out_len ? POLLOUT : 0), 0 },
			[CTL] = { s->ctl, POLLIN, 0 },
			[SIG] = { s->sig, POLLIN, 0 },
		};

		if (poll(p, COUNT, -1) < 0)
			continue;
		if (p[SIG].revents)
			heed_signal(s);
		if (p[CONSOLE].revents & (POLLIN | POLLHUP))
			copy_output(s);
		if (p[CONSOLE].revents & POLLOUT)
			send_input(s);
		if (p[IN].revents)
			read_input(s);
		/* An escape ends a piece: what follows it waits for nothing more. */
		while (s->in_len && !s->out_len && !s->detached)
			filter_input(s);
		if (p[CTL].revents)
			return true;
	}
	if (s->detached)
		send_rest(s);
	return !s->detached;
}

static int vm_status(struct session *s)
{
	int status;

	while (waitpid(s->vm, &status, 0) < 0)
		if (errno != EINTR)
			return STATUS_ERROR;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	report("%s: the VM's process was killed by signal %d (%s)", s->name,
	       WTERMSIG(status), strsignal(WTERMSIG(status)));
	return STATUS_ERROR;
}

static struct session *session_create(int console, int ctl, const char *name)
{
	struct session *s = calloc(1, sizeof(*s));
	sigset_t set;

	if (!s) {
		report_errno(ENOMEM, "%s", name);
		return NULL;
	}
	s->console = console;
	s->ctl = ctl;
	s->name = name;
	s->tty = isatty(STDIN_FILENO);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	s->sig = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	fcntl(console, F_SETFL, O_NONBLOCK);
	if (s->tty)
		make_raw();
	return s;
}

/**
 * terminal_run() - be the guest's terminal
 * @vm: the VM's process, our child
 * @console: socket to its console
 * @ctl: socket to the VM's process
 * @name: of the VM
 *
 * Return: the exit status of vmctl.
 */
int terminal_run(pid_t vm, int console, int ctl, const char *name)
{
	struct session *s = session_create(console, ctl, name);
	int status;

	if (!s)
		return STATUS_ERROR;
	s->vm = vm;
	if (converse(s)) {
		while (copy_output(s))
			;
		close(s->ctl);		/* now the VM may close its console */
		status = vm_status(s);
		restore();
	} else {
		send_ctl(s, CTL_DETACH);
		restore();
		fprintf(stderr, "[%s: detached; it goes on as process %d; vmctl console %s comes back]\n",
			name, (int)vm, name);
		status = STATUS_OK;
	}
	close(s->sig);
	free(s);
	return status;
}

/**
 * terminal_attach() - be one of the terminals of a VM that runs already
 * @console: socket to its console
 * @name: of the VM
 *
 * Return: the exit status of vmctl.
 */
int terminal_attach(int console, const char *name)
{
	struct session *s = session_create(console, -1, name);

	if (!s)
		return STATUS_ERROR;
	fprintf(stderr, "[%s: attached; ~. leaves]\r\n", name);
	if (converse(s))
		fprintf(stderr, "\r\n[%s: its console is closed]\r\n", name);
	restore();
	close(s->sig);
	close(console);
	free(s);
	return STATUS_OK;
}
