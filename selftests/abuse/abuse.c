// SPDX-License-Identifier: GPL-2.0
/* What the cases share; see abuse.h. */
#include <dirent.h>
#include <fcntl.h>

#include "abuse.h"
#include "cgroup.h"

/* ---- random numbers ---- */

uint64_t abuse_seed(void)
{
	const char *given = getenv("ABUSE_SEED");
	uint64_t seed;

	if (given)
		seed = strtoull(given, NULL, 0);
	else
		seed = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
	test_note("ABUSE_SEED=%#llx", (unsigned long long)seed);
	return seed;
}

void rng_init(struct rng *r, uint64_t seed, uint64_t stream)
{
	r->s = (seed ^ (stream + 1) * 0x9e3779b97f4a7c15u) | 1;
	rng64(r);
}

/* xorshift64* */
uint64_t rng64(struct rng *r)
{
	r->s ^= r->s >> 12;
	r->s ^= r->s << 25;
	r->s ^= r->s >> 27;
	return r->s * 0x2545f4914f6cdd1du;
}

uint64_t below(struct rng *r, uint64_t n)
{
	return n ? (rng64(r) >> 11) % n : 0;
}

uint64_t odd(struct rng *r)
{
	switch (below(r, 6)) {
	case 0:
		return below(r, 20);
	case 1:
		return -below(r, 20);
	case 2:
		return (1ull << below(r, 64)) + below(r, 3) - 1;
	case 3:
		return (uint32_t)rng64(r);
	case 4:
		return below(r, 512) << 12;
	default:
		return rng64(r);
	}
}

void fill_random(struct rng *r, void *p, size_t n)
{
	uint8_t *b = p;

	for (; n >= 8; n -= 8, b += 8) {
		uint64_t v = rng64(r);

		memcpy(b, &v, 8);
	}
	while (n--)
		*b++ = rng64(r) >> 32;
}

/* ---- how long ---- */

uint64_t amount(uint64_t brief, uint64_t thorough)
{
	return getenv("ABUSE_LONG") ? thorough : brief;
}

uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

void msleep(unsigned int ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

bool slow_kernel(void)
{
	return !access("/sys/kernel/debug/kmemleak", F_OK);
}

/* ---- the module ---- */

void expect_users(int n)
{
	const char *path = on_kvm() ? "/sys/module/kvm_amd/refcnt" : "/sys/module/lhv/refcnt";
	uint64_t end = now() + 10000;
	char buf[32];
	int users;

	do {
		int fd = open(path, O_RDONLY);

		if (fd < 0)
			return;
		memset(buf, 0, sizeof(buf));
		CHECK_OK(read(fd, buf, sizeof(buf) - 1));
		close(fd);
		users = atoi(buf);
		if (users == n)
			return;
		msleep(20);
	} while (now() < end);
	FAIL("%d users of the module, not %d: something is left", users, n);
}

/* kmemleak knows nothing of pages. */
static uint64_t table_kib(void)
{
	/* The CPUs' own counts are added to the sum. */
	try_write_file("/proc/sys/vm/stat_refresh", "1");
	return file_value("/proc/meminfo", "SecPageTables:");
}

static uint64_t tables_before;

__attribute__((constructor)) static void note_tables(void)
{
	tables_before = table_kib();
}

void expect_nothing(void)
{
	uint64_t end = now() + 10000, kib;

	expect_users(0);
	while ((kib = table_kib()) > tables_before) {
		if (now() > end)
			FAIL("%llu KiB of guests' page tables, %llu before", (unsigned long long)kib,
			     (unsigned long long)tables_before);
		msleep(10);
	}
}

/* It aborts when it needs a TSS and TR is none, or busy. */
void spare_emulator(struct kvm_sregs *sregs)
{
	if (!test_in_emulator())
		return;
	sregs->tr.type = 9;
	sregs->tr.present = 1;
	sregs->tr.s = 0;
}

/* ---- a process per VMM ---- */

pid_t spawn(void (*fn)(void *arg), void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = CHECK_OK(fork());
	if (pid)
		return pid;
	fn(arg);
	_exit(0);
}

void *map_shared(void)
{
	void *p = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* Where the threads of a process that does not end are. */
static void tell_threads(pid_t pid)
{
	static const char *const files[] = { "status", "syscall", "stack" };
	char path[64], line[256];
	struct dirent *entry;
	unsigned int i;
	DIR *dir;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		test_note("thread %.16s:", entry->d_name);
		for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
			snprintf(path, sizeof(path), "/proc/%d/task/%.16s/%s", pid, entry->d_name,
				 files[i]);
			f = fopen(path, "r");
			while (f && fgets(line, sizeof(line), f)) {
				line[strcspn(line, "\n")] = 0;
				if (i || !strncmp(line, "State", 5) || !strncmp(line, "Sig", 3) ||
				    !strncmp(line, "ShdPnd", 6))
					test_note("  %s", line);
			}
			if (f)
				fclose(f);
		}
	}
	if (dir)
		closedir(dir);
}

int reap_child(pid_t pid, unsigned int seconds)
{
	uint64_t end = now() + seconds * 1000ull;
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (now() > end) {
			tell_threads(pid);
			FAIL("process %d does not end", pid);
		}
		msleep(2);
	}
	return status;
}
