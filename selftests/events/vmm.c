// SPDX-License-Identifier: GPL-2.0
/* What befalls a VMM as any process: it is stopped, traced, dumped. */
#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "events.h"

TEST(stop_continue, .timeout = 120)
{
	int i, n = amount(10, 100), status;
	struct watched w;

	watched_start(&w, 4);
	for (i = 0; i < n; i++) {
		CHECK_OK(kill(w.pid, SIGSTOP));
		CHECK_OK(waitpid(w.pid, &status, WUNTRACED));
		CHECK(WIFSTOPPED(status));
		msleep(20);
		CHECK_OK(kill(w.pid, SIGCONT));
		watched_alive(&w, 30);
	}
	watched_end(&w);
}

/* Go on as @how says, to the next stop. */
static void stop_again(pid_t tid, int how)
{
	int status;

	CHECK_OK(ptrace(how, tid, 0, 0));
	msleep(5);
	/* A thread in KVM_RUN comes to its next stop when it leaves that. */
	CHECK_OK(ptrace(PTRACE_INTERRUPT, tid, 0, 0));
	CHECK_OK(waitpid(tid, &status, __WALL));
	if (!WIFSTOPPED(status))
		FAIL("thread %d: status %#x", tid, status);
}

/* What a debugger does to one thread: registers, system calls. */
static void trace(pid_t tid)
{
	uint64_t words[64];
	struct iovec regs = { words, sizeof(words) };
	int i, status;

	CHECK_OK(ptrace(PTRACE_SEIZE, tid, 0, PTRACE_O_TRACESYSGOOD));
	CHECK_OK(ptrace(PTRACE_INTERRUPT, tid, 0, 0));
	CHECK_OK(waitpid(tid, &status, __WALL));
	if (!WIFSTOPPED(status))
		FAIL("thread %d: status %#x", tid, status);
	for (i = 0; i < 10; i++) {
		CHECK_OK(ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &regs));
		CHECK_OK(ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &regs));
		stop_again(tid, i % 2 ? PTRACE_CONT : PTRACE_SYSCALL);
	}
	CHECK_OK(ptrace(PTRACE_DETACH, tid, 0, 0));
}

/* Every mapping, kvm_run's among them, as a debugger reads them. Returns the bytes got. */
static size_t read_memory(pid_t pid)
{
	static char to[1 << 16];
	char path[32], line[256];
	size_t sum = 0;
	FILE *maps;
	int mem;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "r");
	CHECK(maps);
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDONLY);
	CHECK(mem >= 0);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long from, end;

		if (sscanf(line, "%lx-%lx", &from, &end) != 2)
			continue;
		for (; from < end; from += sizeof(to)) {
			ssize_t n = pread(mem, to, sizeof(to), from);

			if (n > 0)
				sum += n;
		}
	}
	close(mem);
	fclose(maps);
	return sum;
}

TEST(traced, .timeout = 200)
{
	int i, n = amount(3, 10);
	struct watched w;
	struct dirent *e;
	char path[32];
	DIR *tasks;

	watched_start(&w, 2);
	snprintf(path, sizeof(path), "/proc/%d/task", w.pid);
	for (i = 0; i < n; i++) {
		tasks = opendir(path);
		CHECK(tasks);
		while ((e = readdir(tasks))) {
			if (e->d_name[0] != '.')
				trace(atoi(e->d_name));
		}
		closedir(tasks);
		CHECK(read_memory(w.pid) > GUEST_RAM);
		watched_alive(&w, 60);
	}
	watched_end(&w);
}

TEST(core_dump, .timeout = 120)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	int i, n = amount(3, 20), status;
	struct watched w;
	struct stat st;

	if (!put_text("/proc/sys/kernel/core_pattern", "/tmp/events.core"))
		test_skip("no core dumps in this kernel");
	signal(SIGQUIT, SIG_DFL);	/* a shell's background jobs have it ignored */
	CHECK_OK(setrlimit(RLIMIT_CORE, &unlimited));
	for (i = 0; i < n; i++) {
		watched_start(&w, 2);
		CHECK_OK(kill(w.pid, SIGQUIT));
		status = reap_child(w.pid, 60);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT);
		CHECK(WCOREDUMP(status));
		CHECK_OK(stat("/tmp/events.core", &st));
		CHECK(st.st_size > BUSY_SIZE);
		CHECK_OK(unlink("/tmp/events.core"));
		expect_users(0);
	}
	put_text("/proc/sys/kernel/core_pattern", "core");
}
