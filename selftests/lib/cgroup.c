// SPDX-License-Identifier: GPL-2.0
/* The kernel's files of numbers, and what a memory cgroup is charged; see cgroup.h. */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "tap.h"

bool try_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

void write_file(const char *path, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!try_write_file(path, text))
		FAIL("%s does not take \"%s\": %s", path, text, strerror(errno));
}

uint64_t file_value(const char *path, const char *key)
{
	FILE *f = fopen(path, "r");
	unsigned long long value;
	bool found = false;
	char name[128];

	CHECK(f);
	while (!found && fscanf(f, "%127s %llu%*[^\n]", name, &value) == 2)
		found = !strcmp(name, key);
	fclose(f);
	if (!found)
		FAIL("%s has no %s", path, key);
	return value;
}

const char *new_cgroup(void)
{
	static char dir[64];

	mkdir("/tmp/cgroup", 0755);
	if (access("/tmp/cgroup/cgroup.procs", F_OK) &&
	    mount("cgroup2", "/tmp/cgroup", "cgroup2", 0, NULL))
		test_skip("no cgroup2: %s", strerror(errno));
	if (!try_write_file("/tmp/cgroup/cgroup.subtree_control", "+memory"))
		test_skip("no memory cgroup");
	snprintf(dir, sizeof(dir), "/tmp/cgroup/%d", getpid());
	CHECK_OK(mkdir(dir, 0755));
	return dir;
}

void join_cgroup(const char *dir)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	write_file(path, "%d", getpid());
}

const char *own_cgroup(void)
{
	const char *dir = new_cgroup();

	join_cgroup(dir);
	return dir;
}

uint64_t charged(const char *cg, const char *key)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/memory.stat", cg);
	return file_value(path, key);
}

/* From 6.9 on the statistics may lag behind by two seconds; nothing tells when they are flushed. */
uint64_t await_charged(const char *cg, const char *key, uint64_t at_least, uint64_t at_most)
{
	uint64_t n;
	int tries = 200;

	do {
		n = charged(cg, key);
		if (n >= at_least && n <= at_most)
			return n;
		usleep(100000);
	} while (--tries);
	FAIL("%s: %llu bytes, not %llu to %llu", key, (unsigned long long)n,
	     (unsigned long long)at_least, (unsigned long long)at_most);
}
