// SPDX-License-Identifier: GPL-2.0
/*
 * What do those who watch cost those who are watched? For a machine whose TSC counts
 * instructions (lab --icount): a guest's exits with ten listeners and a reader of all counters ten
 * times a second, beside the same exits with none.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "nl.h"

#define BATCH		20000	/* exits that the guest makes at a go */
#define BATCHES		25
#define LISTENERS	10
#define READS_HZ	10
#define MOST_PERCENT	2

/*
 * mov $0x200, %dx (0x21, %dx);  1: mov $BATCH, %ecx;  2: out %al, %dx (in %dx, %al);  dec %ecx;
 * jnz 2b;  mov $0x201, %dx; out %al, %dx; mov $0x200, %dx (0x21, %dx);  jmp 1b
 */
#define LOOP(port, op)	"\xba" port "\x66\xb9\x20\x4e\x00\x00" op "\x66\x49\x75\xfb" \
			"\xba\x01\x02\xee\xba" port "\xeb\xec"
#define TO_VMM		LOOP("\x00\x02", "\xee")
#define IN_KERNEL	LOOP("\x21\x00", "\xec")
#define PORT_BATCH	0x201

static uint64_t tsc(void)
{
	return __builtin_ia32_rdtsc();
}

static void batch(struct vcpu *vcpu)
{
	do {
		CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
		CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);
	} while (vcpu->run->io.port != PORT_BATCH);
}

struct figures {
	uint64_t median, mean;	/* instructions for an exit */
};

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* All that the CPU does meanwhile is in the mean. */
static struct figures measure(struct vcpu *vcpu)
{
	uint64_t t[BATCHES], sum = 0;
	int i;

	batch(vcpu);
	for (i = 0; i < BATCHES; i++) {
		t[i] = tsc();
		batch(vcpu);
		t[i] = tsc() - t[i];
		sum += t[i];
	}
	qsort(t, BATCHES, sizeof(t[0]), by_value);
	return (struct figures){ t[BATCHES / 2] / BATCH, sum / BATCHES / BATCH };
}

static void on_stats(void *arg, int cmd, const struct attrs *a)
{
	(void)cmd;
	(void)a;
	++*(int *)arg;
}

/* Says how often it read once it was told to end. */
static void watch(uint64_t id, int in, int out)
{
	struct timespec pause = { .tv_nsec = 1000000000 / READS_HZ };
	struct nl *nl = nl_open();
	int reads = 0, n;
	struct msg *m;
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	do {
		n = 0;
		CHECK_EQ(nl_dump(nl, msg_new(LHV_CMD_STATS_GET), on_stats, &n), 0);
		m = msg_new(LHV_CMD_STATS_GET);
		msg_u64(m, LHV_A_STATS_VM_ID, id);
		CHECK_EQ(nl_do(nl, m, on_stats, &n), 0);
		CHECK(n >= 2);
		reads++;
		nanosleep(&pause, NULL);
	} while (read(in, &c, 1) < 0);
	CHECK_EQ(write(out, &reads, sizeof(reads)), sizeof(reads));
	_exit(0);
}

static void compare(const char *what, const char *code, size_t size)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	struct vcpu *vcpu = guest_in(vm, code, size);
	struct nl *ear[LISTENERS];
	struct figures alone, watched;
	uint64_t id = vm_id(vm->fd);
	int to[2], from[2], i, reads;
	pid_t pid;

	alone = measure(vcpu);
	CHECK_OK(pipe2(to, O_NONBLOCK));
	CHECK_OK(pipe(from));
	for (i = 0; i < LISTENERS; i++) {
		ear[i] = nl_open();
		nl_join(ear[i], ear[i]->group_vm);
		nl_join(ear[i], ear[i]->group_vcpu);
	}
	pid = CHECK_OK(fork());
	if (!pid)
		watch(id, to[0], from[1]);
	close(from[1]);
	watched = measure(vcpu);
	CHECK_EQ(write(to[1], "", 1), 1);
	CHECK_EQ(read(from[0], &reads, sizeof(reads)), sizeof(reads));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	for (i = 0; i < LISTENERS; i++)
		nl_close(ear[i]);
	test_note("%s: %llu instructions an exit (mean %llu), watched %llu (mean %llu, %d reads)",
		  what, (unsigned long long)alone.median, (unsigned long long)alone.mean,
		  (unsigned long long)watched.median, (unsigned long long)watched.mean, reads);
	CHECK(reads > 1);
	CHECK(watched.median * 100 <= alone.median * (100 + MOST_PERCENT));
}

TEST(measure_watched_vmm, .timeout = 200)
{
	compare("port I/O to the VMM", TO_VMM, sizeof(TO_VMM) - 1);
}

TEST(measure_watched_kernel, .timeout = 200)
{
	compare("port I/O in the kernel", IN_KERNEL, sizeof(IN_KERNEL) - 1);
}
