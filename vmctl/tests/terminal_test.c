// SPDX-License-Identifier: GPL-2.0
/* "vmctl console" at a terminal that this program plays: escapes, and a terminal that is stuck. */
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../terminal.h"
#include "talk.h"

struct fixture {
	pid_t pid;
	int tty;		/* what a person sees and types */
	int console;		/* the guest's end */
};

/* @out: standard output; -1: the terminal. */
static void attach(struct fixture *f, int out)
{
	int con[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, con), 0);
	f->pid = forkpty(&f->tty, NULL, NULL, NULL);
	assert_true(f->pid >= 0);
	if (!f->pid) {
		close(con[0]);
		if (out >= 0)
			dup2(out, STDOUT_FILENO);
		_exit(terminal_attach(con[1], "test"));
	}
	close(con[1]);
	f->console = con[0];
}

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->pid > 0) {
		kill(f->pid, SIGKILL);
		waitpid(f->pid, NULL, 0);
	}
	close(f->tty);
	close(f->console);
	free(f);
	return 0;
}

static void ends(struct fixture *f)
{
	unsigned int i;
	int status;

	for (i = 0; i < TIMEOUT_MS / 10; i++) {
		if (waitpid(f->pid, &status, WNOHANG) == f->pid) {
			f->pid = 0;
			assert_true(WIFEXITED(status));
			assert_int_equal(WEXITSTATUS(status), 0);
			return;
		}
		usleep(10000);
	}
	fail_msg("it does not end");
}

/* The terminal is raw, so all of it is read at once. */
static void escapes(void **state)
{
	struct fixture *f = *state;

	attach(f, -1);
	expect(f->tty, "attached");
	send_text(f->tty, "~?one~?\r~?~?two\r");
	expect(f->console, "one~?\rtwo\r");
	expect(f->tty, "this text");
	send_text(f->tty, "~~.\rlast\r~.");
	expect(f->console, "~.\rlast\r");
	ends(f);
}

static void hang_up(void **state)
{
	struct fixture *f = *state;

	attach(f, -1);
	expect(f->tty, "attached");
	send_text(f->console, "bye");
	expect(f->tty, "bye");
	close(f->console);
	expect(f->tty, "its console is closed");
	ends(f);
}

/* Nobody reads what it writes: it can be ended all the same. */
static void stuck(struct fixture *f, int out, int stays)
{
	static char text[4096];
	struct pollfd p;

	attach(f, out);
	close(out);
	expect(f->tty, "attached");
	memset(text, 'x', sizeof(text));
	/* Until it takes no more. */
	p = (struct pollfd){ .fd = f->console, .events = POLLOUT };
	while (poll(&p, 1, 500) == 1)
		assert_true(send(f->console, text, sizeof(text), MSG_DONTWAIT) > 0);
	kill(f->pid, SIGTERM);
	ends(f);
	close(stays);
}

static void stuck_pipe(void **state)
{
	int out[2];

	assert_int_equal(pipe(out), 0);
	stuck(*state, out[1], out[0]);
}

static void stuck_terminal(void **state)
{
	int other, out;

	assert_int_equal(openpty(&other, &out, NULL, NULL, NULL), 0);
	stuck(*state, out, other);
}

int main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(escapes), T(hang_up), T(stuck_pipe), T(stuck_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
