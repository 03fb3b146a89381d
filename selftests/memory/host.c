// SPDX-License-Identifier: GPL-2.0
/* What the cases need of the host: files, swap, a memory cgroup; see checker.h. */
#include <fcntl.h>
#include <linux/loop.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <time.h>

#include "checker.h"

void advise(void *mem, size_t size, int advice)
{
	/* PREEMPT_RT kernels have none, and then the advice against them is no advice either. */
	if (access("/sys/kernel/mm/transparent_hugepage", F_OK)) {
		if (advice == MADV_NOHUGEPAGE)
			return;
		if (advice == MADV_HUGEPAGE)
			test_skip("this kernel has no transparent huge pages");
	}
	CHECK_OK(madvise(mem, size, advice));
}

uint64_t file_number(const char *path)
{
	FILE *f = fopen(path, "r");
	unsigned long long value = 0;

	if (f && fscanf(f, "%llu", &value) != 1)
		value = 0;
	if (f)
		fclose(f);
	return value;
}

uint64_t smaps_bytes(const void *mem, const char *key)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long long start, end, kb;
	bool inside = false;
	uint64_t sum = 0;
	char line[512];

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx ", &start, &end) == 2)
			inside = start <= (uintptr_t)mem && (uintptr_t)mem < end;
		else if (inside && !strncmp(line, key, strlen(key)) && line[strlen(key)] == ':' &&
			 sscanf(line + strlen(key) + 1, "%llu", &kb) == 1)
			sum += kb << 10;
	}
	fclose(f);
	return sum;
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

bool slow_kernel(void)
{
	return !access("/sys/kernel/debug/kmemleak", F_OK);
}

/* The header of a swap area: linux/swap.h's union swap_header, and what mkswap(8) writes. */
struct swap_page {
	uint8_t boot[1024];
	uint32_t version, last_page, nr_bad;
	uint8_t rest[PAGE_SIZE - 1024 - 12 - 10];
	char magic[10];
};

#define SWAP_SIZE	(128 * MIB)

void need_swap(void)
{
	struct swap_page head = { .version = 1, .last_page = SWAP_SIZE / PAGE_SIZE - 1 };
	int file, control, loop, n;
	char name[32];

	if (file_value("/proc/meminfo", "SwapTotal:"))
		return;
	control = open("/dev/loop-control", O_RDWR);
	if (control < 0)
		test_skip("no loop devices to swap to");
	file = CHECK_OK(open("/tmp/swap", O_RDWR | O_CREAT, 0600));
	memcpy(head.magic, "SWAPSPACE2", sizeof(head.magic));
	CHECK_OK(ftruncate(file, SWAP_SIZE));
	CHECK_EQ(write(file, &head, sizeof(head)), sizeof(head));
	n = CHECK_OK(ioctl(control, LOOP_CTL_GET_FREE));
	snprintf(name, sizeof(name), "/dev/loop%d", n);
	loop = CHECK_OK(open(name, O_RDWR));
	CHECK_OK(ioctl(loop, LOOP_SET_FD, file));
	CHECK_OK(swapon(name, 0));
	close(loop);
	close(file);
	close(control);
}
