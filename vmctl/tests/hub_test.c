// SPDX-License-Identifier: GPL-2.0
/* The hub: one terminal types, all see it, late ones too, and who waits is told the end. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "../hub.h"
#include "../mgmt.h"
#include "../runtime.h"
#include "talk.h"

#define ID		7ULL
#define PLACES		32

struct fixture {
	struct hub *hub;
	int console;		/* the guest's end */
	int first;		/* the terminal that is there from the beginning */
	char dir[64];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int con[2], term[2];

	snprintf(f->dir, sizeof(f->dir), "/tmp/hub_test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	setenv("XDG_RUNTIME_DIR", f->dir, 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, con), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, term), 0);
	f->console = con[1];
	f->first = term[0];
	f->hub = hub_create(con[0], term[1]);
	assert_non_null(f->hub);
	hub_listen(f->hub, ID);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->hub) {
		close(f->console);
		hub_finish(f->hub, 0);
	}
	close(f->first);
	free(f);
	return 0;
}

static void nothing(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, 200), 0);
}

static void terminals(void **state)
{
	struct fixture *f = *state;
	int second;

	send_text(f->console, "boot\n");
	expect(f->first, "boot\n");
	send_text(f->first, "ls\n");
	expect(f->console, "ls\n");
	second = runtime_connect(getuid(), ID, HUB_CONSOLE);
	assert_true(second >= 0);
	expect(second, "this one watches");
	send_text(second, "rm\n");
	nothing(f->console);
	send_text(f->console, "more\n");
	expect(f->first, "more\n");
	expect(second, "more\n");
	/* The first leaves: the second types. */
	shutdown(f->first, SHUT_RDWR);
	usleep(200000);
	send_text(second, "id\n");
	expect(f->console, "id\n");
	close(second);
}

static void backlog(void **state)
{
	struct fixture *f = *state;
	int late;

	send_text(f->console, "long ago\n");
	expect(f->first, "long ago\n");
	late = runtime_connect(getuid(), ID, HUB_CONSOLE);
	assert_true(late >= 0);
	expect(late, "long ago\n");
	close(late);
}

static void wait_end(void **state)
{
	struct fixture *f = *state;
	int waiter = runtime_connect(getuid(), ID, HUB_WAIT);
	char path[RUNTIME_PATH_MAX];

	assert_true(waiter >= 0);
	usleep(200000);
	nothing(waiter);
	close(f->console);
	hub_finish(f->hub, 5);
	f->hub = NULL;
	expect(waiter, "5\n");
	close(waiter);
	assert_int_equal(runtime_path(path, getuid(), ID), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(runtime_connect(getuid(), ID, HUB_WAIT), -ENOENT);
}

static void *finish(void *hub)
{
	hub_finish(hub, 4);
	return NULL;
}

/* Who comes while the VM ends is told, too. */
static void late_waiter(void **state)
{
	struct fixture *f = *state;
	int waiter = runtime_connect(getuid(), ID, "");
	pthread_t thread;

	assert_true(waiter >= 0);
	close(f->console);
	assert_int_equal(pthread_create(&thread, NULL, finish, f->hub), 0);
	f->hub = NULL;
	usleep(200000);
	send_text(waiter, HUB_WAIT);
	expect(waiter, "4\n");
	pthread_join(thread, NULL);
	close(waiter);
}

/* Nor is anybody lost on the way in: many times, for it is a race. */
static void race(void **state)
{
	unsigned int i;

	for (i = 0; i < 50; i++) {
		struct fixture *f = *state;
		int waiter = runtime_connect(getuid(), ID, HUB_WAIT);

		assert_true(waiter >= 0);
		close(f->console);
		hub_finish(f->hub, 4);
		f->hub = NULL;
		expect(waiter, "4\n");
		close(waiter);
		teardown(state);
		setup(state);
	}
}

/* One for whom there is no room is told so, and those that are there are not disturbed. */
static void full(void **state)
{
	struct fixture *f = *state;
	int waiter[PLACES];
	unsigned int i;

	/* The first terminal has a place. */
	for (i = 0; i < PLACES; i++) {
		waiter[i] = runtime_connect(getuid(), ID, HUB_WAIT);
		assert_true(waiter[i] >= 0);
	}
	expect(waiter[PLACES - 1], HUB_FULL);
	close(f->console);
	hub_finish(f->hub, 5);
	f->hub = NULL;
	for (i = 0; i < PLACES - 1; i++) {
		expect(waiter[i], "5\n");
		close(waiter[i]);
	}
	close(waiter[i]);
}

static void nonsense(void **state)
{
	struct fixture *f = *state;
	int fd = runtime_connect(getuid(), ID, "nonsense, and a lot of it, without an end of line");
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;

	assert_true(fd >= 0);
	assert_int_equal(poll(&p, 1, TIMEOUT_MS), 1);
	assert_true(read(fd, &c, 1) <= 0);
	close(fd);
	send_text(f->console, "alive\n");
	expect(f->first, "alive\n");
}

/* The socket is for its owner alone, and a folder that is open to others is refused. */
static void modes(void **state)
{
	char path[RUNTIME_PATH_MAX], dir[RUNTIME_PATH_MAX];
	struct stat st;

	(void)state;
	assert_int_equal(runtime_path(path, getuid(), ID), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	strcpy(dir, path);
	*strrchr(dir, '/') = '\0';
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(runtime_listen(path, ID + 1), -EPERM);
	assert_int_equal(chmod(dir, 0700), 0);
}

/* Whose end it is counts, not where it lies: a link may lead anywhere. */
static void foreign(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	if (getuid())
		skip();
	assert_int_equal(runtime_path(addr.sun_path, getuid(), ID + 2), 0);
	unlink(addr.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(seteuid(65534), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(runtime_connect(getuid(), ID + 2, HUB_WAIT), -EPERM);
	unlink(addr.sun_path);
	close(fd);
}

static void matches(void **state)
{
	struct vm_info vm = { .id = 12, .name = "web" };

	(void)state;
	assert_true(vm_matches(&vm, "12"));
	assert_true(vm_matches(&vm, "web"));
	assert_false(vm_matches(&vm, "1"));
	assert_false(vm_matches(&vm, "we"));
	assert_false(vm_matches(&vm, ""));
	assert_string_equal(vm_state_name(LHV_VM_STATE_PAUSED), "paused");
	assert_string_equal(vm_event_name(LHV_VM_EVENT_OWNER_GONE), "owner-gone");
	assert_string_equal(vm_state_name(99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(terminals, setup, teardown),
		cmocka_unit_test_setup_teardown(backlog, setup, teardown),
		cmocka_unit_test_setup_teardown(wait_end, setup, teardown),
		cmocka_unit_test_setup_teardown(late_waiter, setup, teardown),
		cmocka_unit_test_setup_teardown(race, setup, teardown),
		cmocka_unit_test_setup_teardown(full, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(modes, setup, teardown),
		cmocka_unit_test_setup_teardown(foreign, setup, teardown),
		cmocka_unit_test(matches),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
