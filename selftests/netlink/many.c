// SPDX-License-Identifier: GPL-2.0
/* Thousands of VMs: what each costs, and that a listing of them takes time by their number. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nl.h"

#define MANY		1000
#define MAKERS		5
#define MOST		10000
#define LOOKS		5	/* the quickest of so many listings counts */
#define STORM_DUMPS	200	/* until one was disturbed */
#define SLOWER		5	/* an emulated CPU may take so many times as long for a VM of a long listing */
#define LONGER_PERCENT	20	/* and execute so many more instructions */

static long available_kib(void)
{
	char line[128];
	long kib = 0;
	FILE *f = fopen("/proc/meminfo", "r");

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "MemAvailable: %ld", &kib);
	fclose(f);
	return kib;
}

/* In ns, of at least @n VMs. */
static uint64_t list_time(struct nl *nl, int n)
{
	uint64_t best = ~0ULL, t;
	int i;

	for (i = 0; i < LOOKS; i++) {
		t = now_ns();
		CHECK(count_vms(nl, 0, 0) >= n);
		t = now_ns() - t;
		best = t < best ? t : best;
	}
	return best;
}

static uint64_t all(struct nl *nl, int cmd, const uint64_t *id, int n)
{
	uint64_t t = now_ns();
	int i;

	for (i = 0; i < n; i++)
		CHECK_EQ(vm_cmd(nl, cmd, id[i]), 0);
	return now_ns() - t;
}

static unsigned long long us_each(uint64_t ns, int n)
{
	return ns / 1000 / n;
}

/* A thousand VMs of one vCPU: created, listed, paused, resumed, killed, closed. */
TEST(thousand, .timeout = 240)
{
	static uint64_t id[MANY];
	static int vm[MANY], vcpu[MANY];
	uint64_t created, listed, paused, resumed, killed, closed;
	int sys = dev_open(), i;
	struct nl *nl = nl_open();
	long before, after;

	raise_files();
	before = available_kib();
	created = now_ns();
	for (i = 0; i < MANY; i++) {
		vm[i] = new_vm(sys);
		vcpu[i] = CHECK_OK(ioctl(vm[i], KVM_CREATE_VCPU, 0));
	}
	created = now_ns() - created;
	after = available_kib();
	for (i = 0; i < MANY; i++)
		id[i] = vm_id(vm[i]);
	listed = list_time(nl, MANY);
	paused = all(nl, LHV_CMD_VM_PAUSE, id, MANY);
	CHECK_EQ(count_vms(nl, LHV_A_VM_STATE, LHV_VM_STATE_PAUSED), MANY);
	resumed = all(nl, LHV_CMD_VM_RESUME, id, MANY);
	CHECK_EQ(count_vms(nl, LHV_A_VM_STATE, LHV_VM_STATE_PAUSED), 0);
	killed = all(nl, LHV_CMD_VM_KILL, id, MANY);
	CHECK_EQ(count_vms(nl, LHV_A_VM_STATE, LHV_VM_STATE_KILLED), MANY);
	closed = now_ns();
	for (i = 0; i < MANY; i++) {
		close(vcpu[i]);
		close(vm[i]);
	}
	closed = now_ns() - closed;
	test_note("%d VMs of one vCPU, each: created %llu us, listed %llu us, paused %llu us, resumed %llu us, killed %llu us, closed %llu us; %ld KiB",
		  MANY, us_each(created, MANY), us_each(listed, MANY), us_each(paused, MANY),
		  us_each(resumed, MANY), us_each(killed, MANY), us_each(closed, MANY),
		  (before - after) / MANY);
}

/* ---- ten thousand ---- */

/* Processes that make VMs: one alone would have all their notifiers in its memory map. */
struct maker {
	pid_t pid;
	int to, from;
};

static void make(int in, int out)
{
	int sys = dev_open(), n;
	uint64_t last = 0;

	raise_files();
	while (read(in, &n, sizeof(n)) == sizeof(n)) {
		for (; n > 0; n--)
			last = vm_id(new_vm(sys));
		CHECK_EQ(write(out, &last, sizeof(last)), sizeof(last));
	}
	_exit(0);
}

static void start_makers(struct maker *m)
{
	int to[2], from[2], i, fd;

	for (i = 0; i < MAKERS; i++) {
		CHECK_OK(pipe(to));
		CHECK_OK(pipe(from));
		m[i].pid = CHECK_OK(fork());
		if (!m[i].pid) {
			/* Another one's pipe would keep that one alive. */
			for (fd = 3; fd < 256; fd++)
				if (fd != to[0] && fd != from[1])
					close(fd);
			make(to[0], from[1]);
		}
		close(to[0]);
		close(from[1]);
		m[i].to = to[1];
		m[i].from = from[0];
	}
}

/* Return: the youngest one's id. */
static uint64_t make_more(struct maker *m, int n)
{
	uint64_t last = 0, id;
	int i, each = n / MAKERS;

	for (i = 0; i < MAKERS; i++)
		CHECK_EQ(write(m[i].to, &each, sizeof(each)), sizeof(each));
	for (i = 0; i < MAKERS; i++) {
		if (read(m[i].from, &id, sizeof(id)) != sizeof(id))
			FAIL("a process could not make its VMs");
		last = id > last ? id : last;
	}
	return last;
}

static void end_makers(struct maker *m)
{
	int i;

	for (i = 0; i < MAKERS; i++)
		close(m[i].to);
	for (i = 0; i < MAKERS; i++)
		CHECK_EQ(waitpid(m[i].pid, NULL, 0), m[i].pid);
}

/* VMs come and go in a process of its own. */
static pid_t start_storm(void)
{
	pid_t pid = CHECK_OK(fork());
	volatile bool never = false;
	int sys;

	if (!pid) {
		sys = dev_open();
		vms_come_and_go(&sys, &never);
	}
	return pid;
}

static void dumps_in_storm(struct nl *nl, uint64_t first, uint64_t last)
{
	int i, disturbed = 0, others = 0;
	pid_t storm = start_storm();
	struct listing l;

	for (i = 0; i < STORM_DUMPS && !(disturbed && others && i >= 5); i++) {
		l = (struct listing){ .first_lasting = first, .last_lasting = last };
		CHECK_EQ(nl_dump(nl, msg_new(LHV_CMD_VM_GET), listing_add, &l), 0);
		CHECK_EQ(l.lasting, MOST);
		CHECK(nl->parts > 1);
		disturbed += nl->intr;
		others += l.others;
	}
	test_note("%d dumps in a storm, %d disturbed, %d passing VMs seen, %d parts each", i,
		  disturbed, others, nl->parts);
	CHECK(disturbed && others);
	kill(storm, SIGKILL);
	CHECK_EQ(waitpid(storm, NULL, 0), storm);
	/* What was in the making goes with its process; then nothing disturbs any more. */
	l = (struct listing){ .first_lasting = first, .last_lasting = last };
	CHECK_EQ(nl_dump(nl, msg_new(LHV_CMD_VM_GET), listing_add, &l), 0);
	CHECK(!nl->intr && l.lasting == MOST && !l.others);
}

/* For a machine whose TSC counts instructions: listing takes time by the number of VMs. */
TEST(measure_listing, .timeout = 400)
{
	static const int sizes[] = { 1000, 2000, 4000, 8000 };
	uint64_t t, of_first = 0;
	struct nl *nl = nl_open();
	struct maker m[MAKERS];
	unsigned int i;
	int n = 0;

	start_makers(m);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		make_more(m, sizes[i] - n);
		n = sizes[i];
		t = list_time(nl, n) / n;
		test_note("%d VMs listed in %llu instructions each", n, (unsigned long long)t);
		if (!i)
			of_first = t;
		CHECK(t * 100 <= of_first * (100 + LONGER_PERCENT));
	}
	end_makers(m);
}

/* Listed at several sizes; then while others come and go. */
TEST(ten_thousand, .timeout = 400)
{
	static const int sizes[] = { 1000, 2000, 4000, 8000, MOST };
	uint64_t first, last = 0, t, of_first = 0, made = 0, gone;
	struct nl *nl = nl_open();
	struct maker m[MAKERS];
	unsigned int i;
	long before;
	int n = 0;

	start_makers(m);
	first = make_more(m, MAKERS);
	last = first;
	before = available_kib();
	n = MAKERS;
	first -= MAKERS - 1;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		t = now_ns();
		last = make_more(m, sizes[i] - n);
		made += now_ns() - t;
		n = sizes[i];
		/* Nobody else makes any. */
		CHECK_EQ(last - first + 1, n);
		t = list_time(nl, n);
		test_note("%d VMs listed in %llu us, %llu ns each, %d parts", n,
			  (unsigned long long)t / 1000, (unsigned long long)t / n, nl->parts);
		if (!i)
			of_first = t / n;
		CHECK(t / n <= SLOWER * of_first);
	}
	test_note("%d VMs: made in %llu us each, %ld KiB each", n, us_each(made, n),
		  (before - available_kib()) / n);
	dumps_in_storm(nl, first, last);
	gone = now_ns();
	end_makers(m);
	gone = now_ns() - gone;
	CHECK_EQ(count_vms(nl, 0, 0), 0);
	test_note("closed in %llu us each", us_each(gone, n));
}
