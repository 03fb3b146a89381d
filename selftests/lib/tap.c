// SPDX-License-Identifier: GPL-2.0
/* The TAP harness; see tap.h. */
#include <cpuid.h>
#include <fnmatch.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

enum { PASS = 0, FAILED = 1, SKIP = 4 };	/* as kselftest's */

#define DEFAULT_TIMEOUT	60
#define MAX_EXCLUDES	16
#define CPUID_HYPERVISOR_LEAF 0x40000000

static struct test *first, **last = &first;
static const char *device = "/dev/lhv";

void test_register(struct test *test)
{
	*last = test;
	last = &test->next;
}

const char *test_device(void)
{
	return device;
}

bool test_in_emulator(void)
{
	unsigned int a, sig[3];

	__cpuid(CPUID_HYPERVISOR_LEAF, a, sig[0], sig[1], sig[2]);
	return !memcmp(sig, "TCGTCGTCGTCG", sizeof(sig));
}

static void say(const char *where, const char *fmt, va_list ap)
{
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	printf("# %s%s\n", where, text);
	fflush(stdout);
}

void test_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("", fmt, ap);
	va_end(ap);
}

void test_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("", fmt, ap);
	va_end(ap);
	_exit(SKIP);
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	const char *base = strrchr(file, '/');
	char where[128];
	va_list ap;

	snprintf(where, sizeof(where), "%s:%d: ", base ? base + 1 : file, line);
	va_start(ap, fmt);
	say(where, fmt, ap);
	va_end(ap);
	_exit(FAILED);
}

/* Wait for @pid at most @seconds; false when the time is up. */
static bool reap(pid_t pid, unsigned int seconds, int *status)
{
	struct timespec left = { .tv_sec = seconds };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (;;) {
		if (waitpid(pid, status, WNOHANG) == pid)
			return true;
		if (sigtimedwait(&set, NULL, &left) < 0 && errno == EAGAIN)
			return waitpid(pid, status, WNOHANG) == pid;
	}
}

/* For long forms and slow machines: the factor by which to wait longer. */
static unsigned int patience(void)
{
	const char *given = getenv("TAP_PATIENCE");

	return (given ? atoi(given) : 0) ?: 1;
}

static int run(const struct test *test)
{
	unsigned int timeout = (test->timeout ?: DEFAULT_TIMEOUT) * patience();
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		test_note("fork: %s", strerror(errno));
		return FAILED;
	}
	if (!pid) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		test->fn(test->arg);
		_exit(PASS);
	}
	if (!reap(pid, timeout, &status)) {
		test_note("no end after %u s", timeout);
		/* A last chance to say where it hangs */
		kill(pid, SIGALRM);
		if (reap(pid, 2, &status)) {
			kill(-pid, SIGKILL);
			return FAILED;
		}
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
		if (!reap(pid, 5, &status))
			test_note("can't be killed: stuck in the kernel");
		return FAILED;
	}
	kill(-pid, SIGKILL);	/* what it forked itself */
	if (WIFSIGNALED(status)) {
		test_note("killed by signal %d", WTERMSIG(status));
		return FAILED;
	}
	return WEXITSTATUS(status);
}

static bool matches(char *const *patterns, int n, const char *name)
{
	while (n--)
		if (!fnmatch(*patterns++, name, 0))
			return true;
	return false;
}

static void usage(const char *self)
{
	fprintf(stderr, "usage: %s [-l] [-x PATTERN]... [-d DEVICE] [PATTERN...]\n", self);
	exit(2);
}

int main(int argc, char **argv)
{
	int n = 0, i = 0, failed = 0, skipped = 0, expected = 0, again = 0, nr_excluded = 0, opt;
	char *excluded[MAX_EXCLUDES];
	bool emulated, list = false;
	struct test *test;
	sigset_t set;

	/* What a test said is not lost with it, also where nobody watches a terminal. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	device = getenv("LHV_DEV") ?: device;
	while ((opt = getopt(argc, argv, "d:lx:")) != -1) {
		switch (opt) {
		case 'd':
			device = optarg;
			break;
		case 'l':
			list = true;
			break;
		case 'x':
			if (nr_excluded == MAX_EXCLUDES)
				usage(argv[0]);
			excluded[nr_excluded++] = optarg;
			break;
		default:
			usage(argv[0]);
		}
	}
	argv += optind;
	argc -= optind;

	for (test = first; test; test = test->next) {
		if ((argc && !matches(argv, argc, test->name)) ||
		    matches(excluded, nr_excluded, test->name))
			test->fn = NULL;
		if (!test->fn)
			continue;
		n++;
		if (list)
			puts(test->name);
	}
	if (list)
		return 0;

	if (!n) {
		fprintf(stderr, "no such case\n");
		return 2;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	emulated = test_in_emulator();

	printf("TAP version 13\n1..%d\n", n);
	for (test = first; test; test = test->next) {
		int ret;

		if (!test->fn)
			continue;
		ret = run(test);
		/*
		 * With a thread for each CPU (the lab's --parallel, which sets TAP_AGAIN), TCG triple-
		 * faults a guest at a random point now and then: 1 of 42 boots of a Linux guest on
		 * lhv, 1 of 12 on KVM (QEMU 7.2). A case that fails twice has another reason. With one
		 * thread there is no such excuse.
		 */
		if (ret && ret != SKIP && !test->emulator && emulated && getenv("TAP_AGAIN")) {
			printf("# %s failed, once more\n", test->name);
			again++;
			ret = run(test);
		}
		i++;
		if (ret == SKIP) {
			skipped++;
			printf("ok %d %s # SKIP\n", i, test->name);
		} else if (!ret) {
			printf("ok %d %s\n", i, test->name);
		} else if (test->emulator && emulated) {
			expected++;
			printf("ok %d %s # XFAIL emulator: %s\n", i, test->name, test->emulator);
		} else {
			failed++;
			printf("not ok %d %s\n", i, test->name);
		}
	}
	printf("# Totals: pass:%d fail:%d xfail:%d skip:%d, run twice:%d\n",
	       n - failed - skipped - expected, failed, expected, skipped, again);
	if (failed)
		return FAILED;
	return skipped == n ? SKIP : PASS;
}
