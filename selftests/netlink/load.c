// SPDX-License-Identifier: GPL-2.0
/*
 * Somebody without privileges asks lhv while it is being loaded, and reads the answer when that has
 * failed. Not in the list of cases that run beside the module: NETLINK_LOAD says how to load it.
 */
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nl.h"

#define TRIES		5

/* Hears of families that come, and needs none. */
static struct nl *waiter(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	struct nl *nl = calloc(1, sizeof(*nl));

	CHECK(nl);
	nl->fd = CHECK_OK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
	CHECK_OK(bind(nl->fd, (struct sockaddr *)&addr, sizeof(addr)));
	nl_join(nl, GENL_ID_CTRL);
	return nl;
}

/* Begin a dump, of which the first part lies in the socket: the rest is made when that is read. */
static void park_dump(struct nl *nl, uint16_t family)
{
	struct msg *m = msg_new(LHV_CMD_POOL_GET);

	m->head.nlmsg_type = family;
	m->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	CHECK_OK(send(nl->fd, m, m->head.nlmsg_len, 0));
	free(m);
}

/* True: it came. False: whoever holds the other end of @until gave up before. */
static bool await_family(struct nl *nl, int until, uint16_t *family)
{
	struct pollfd p[2] = { { .fd = nl->fd, .events = POLLIN }, { .fd = until, .events = POLLIN } };
	struct attrs a;

	for (;;) {
		CHECK_OK(poll(p, 2, -1));
		if (!(p[0].revents & POLLIN))
			return false;
		if (nl_event(nl, 0, &a) == CTRL_CMD_NEWFAMILY &&
		    !strcmp(attr_str(&a, CTRL_ATTR_FAMILY_NAME), LHV_FAMILY_NAME)) {
			memcpy(family, a.at[CTRL_ATTR_FAMILY_ID] + 1, sizeof(*family));
			return true;
		}
	}
}

/* Load it; what insmod says, and whether the family came, and a dump of it goes on behind that. */
static int load(const char *command, bool *came)
{
	struct nl *nl = waiter();
	int pipes[2], status;
	uint16_t family;
	struct attrs a;
	pid_t pid;

	CHECK_OK(pipe(pipes));
	pid = CHECK_OK(fork());
	if (!pid) {
		close(pipes[0]);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	close(pipes[1]);
	*came = await_family(nl, pipes[0], &family);
	if (*came)
		park_dump(nl, family);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	if (*came) {
		/* The first part, and what comes behind it. */
		CHECK(nl_event(nl, 1000, &a) > 0);
		nl_event(nl, 1000, &a);
	}
	close(pipes[0]);
	nl_close(nl);
	return WEXITSTATUS(status);
}

static const char *how_to_load(void)
{
	const char *command = getenv("NETLINK_LOAD");

	if (!command)
		test_skip("NETLINK_LOAD does not say how to load it");
	return command;
}

/* Nobody gets to know the family of a module that is not loaded in the end. */
TEST(load_fails)
{
	const char *command = how_to_load();
	bool came;
	int i;

	for (i = 0; i < TRIES; i++) {
		CHECK(load(command, &came));
		CHECK(!came);
	}
}

/* And of one that is, a dump that is begun amid loading is whole. */
TEST(load_works)
{
	bool came;

	CHECK_EQ(load(how_to_load(), &came), 0);
	CHECK(came);
}
