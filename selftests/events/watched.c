// SPDX-License-Identifier: GPL-2.0
/* What the cases share; see events.h. */
#include <fcntl.h>

#include "events.h"

struct task {
	int vcpus;
	volatile uint64_t *rounds;
};

static void watch(void *arg)
{
	const struct task *task = arg;
	struct busy b = { 0 };

	busy_start(&b, task->vcpus, BUSY_ALL, false);
	for (;;) {
		busy_alive(&b, 60);
		++*task->rounds;
	}
}

void watched_start(struct watched *w, int vcpus)
{
	struct task task = { .vcpus = vcpus };
	void *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			  -1, 0);

	CHECK(page != MAP_FAILED);
	w->rounds = page;
	task.rounds = page;
	w->pid = spawn(watch, &task);
	watched_alive(w, 60);
}

void watched_alive(struct watched *w, unsigned int seconds)
{
	uint64_t want = *w->rounds + 2, end = now() + seconds * 1000ull;
	int status;

	while (*w->rounds < want) {
		if (waitpid(w->pid, &status, WNOHANG) == w->pid)
			FAIL("the VMM ended: status %#x", status);
		if (now() > end)
			FAIL("the guest does not go on");
		msleep(1);
	}
}

void watched_end(struct watched *w)
{
	kill(w->pid, SIGKILL);
	CHECK(WIFSIGNALED(reap_child(w->pid, 30)));
	munmap((void *)w->rounds, PAGE_SIZE);
	expect_users(0);
}

bool put_text(const char *path, const char *text)
{
	ssize_t ret;
	int fd, err;

	fd = open(path, O_WRONLY);
	if (fd < 0)
		return false;
	ret = write(fd, text, strlen(text));
	err = errno;
	close(fd);
	errno = err;
	return ret >= 0;
}

bool has_word(const char *path, const char *word)
{
	char line[256] = "";
	FILE *f = fopen(path, "r");
	bool found;

	if (!f)
		return false;
	found = fgets(line, sizeof(line), f) && strstr(line, word);
	fclose(f);
	return found;
}
