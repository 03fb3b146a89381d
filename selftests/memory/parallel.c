// SPDX-License-Identifier: GPL-2.0
/* Faults of several vCPUs at once: none waits for another. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/utsname.h>

#include "checker.h"

#define CPUS	4
#define SIZE	(32 * MIB)
#define PAGES	(SIZE / PAGE_SIZE)
#define LOCKS	"/proc/lock_stat"

static volatile uint64_t ready, leave, touched[CPUS];

/* ---- the host's page of one vCPU does not come; the others go on ---- */

static void touch(uint64_t id)
{
	uint64_t i;

	for (i = id; i < 256; i += CPUS) {
		*(volatile uint64_t *)(GUEST_EXTRA + i * PAGE_SIZE) = i;
		touched[id]++;
	}
	g_done();
}

static void g_touch0(void) { touch(0); }
static void g_touch1(void) { touch(1); }
static void g_touch2(void) { touch(2); }
static void g_touch3(void) { touch(3); }

static const guest_fn touches[CPUS] = { g_touch0, g_touch1, g_touch2, g_touch3 };

TEST(fault_that_waits)
{
	uint8_t *mem = map_memory(MIB, PAGE_SIZE);
	struct vm *vm = machine(0);
	struct uffdio_zeropage zero = { .range.len = PAGE_SIZE };
	struct pollfd poll_fd = { .events = POLLIN };
	pthread_t threads[CPUS];
	struct uffd_msg msg;
	int i;

	/* Only the first page of vCPU 0 is not there. */
	advise(mem, MIB, MADV_NOHUGEPAGE);
	memset(mem + PAGE_SIZE, 0, MIB - PAGE_SIZE);
	poll_fd.fd = missing_faults(mem, PAGE_SIZE);
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, MIB, mem);
	for (i = 0; i < CPUS; i++)
		machine_vcpu(vm, touches[i]);
	threads[0] = vcpu_thread(&vm->vcpus[0]);
	CHECK_EQ(poll(&poll_fd, 1, 30000), 1);
	CHECK_EQ(read(poll_fd.fd, &msg, sizeof(msg)), sizeof(msg));
	CHECK_EQ(msg.event, UFFD_EVENT_PAGEFAULT);
	for (i = 1; i < CPUS; i++)
		threads[i] = vcpu_thread(&vm->vcpus[i]);
	/* From the first to the last fault of the others, it waits. */
	for (i = 1; i < CPUS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	CHECK_EQ(((volatile uint64_t *)guest_ptr(vm, touched))[0], 0);
	/* Even the host's own changes elsewhere go on. */
	CHECK_OK(madvise(mem + 4 * PAGE_SIZE, PAGE_SIZE, MADV_DONTNEED));
	zero.range.start = (uintptr_t)mem;
	CHECK_OK(ioctl(poll_fd.fd, UFFDIO_ZEROPAGE, &zero));
	CHECK(!pthread_join(threads[0], NULL));
}

/*
 * A slot can't go before that fault has ended, and may be used until then. But what the VMM takes
 * away from it meanwhile is gone at once: the pages are the host's again.
 */

#define GOING	(GUEST_EXTRA + 2 * MIB)
#define GOING_SIZE (8 * MIB)

static void g_touch_one(void)
{
	store((void *)GUEST_EXTRA, 1);
	g_done();
}

static void g_write_on(void)
{
	uint64_t i;

	for (i = 1; ; i++)
		store((void *)GOING, i);
}

static void g_use_more(void)
{
	uint64_t page;

	for (page = GOING + PAGE_SIZE; page < GOING + GOING_SIZE; page += PAGE_SIZE) {
		store((void *)page, 1);
		g_sync(0);
	}
	g_done();
}

static void *run_until_mmio(void *arg)
{
	struct vcpu *vcpu = arg;

	do {
		CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	} while (vcpu->run->exit_reason == KVM_EXIT_IO && vcpu->run->io.port == PORT_SYNC);
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_MMIO);
	return NULL;
}

static void *delete_slot(void *vm)
{
	vm_set_slot(vm, 2, 0, GOING, 0, NULL);
	return NULL;
}

TEST(slot_goes_amid_fault)
{
	uint8_t *mem = map_memory(PAGE_SIZE, PAGE_SIZE), *going = map_memory(GOING_SIZE, PAGE_SIZE);
	struct uffdio_zeropage zero = { .range = { (uintptr_t)mem, PAGE_SIZE } };
	struct pollfd poll_fd = { .events = POLLIN };
	struct vm *vm = machine(0);
	pthread_t waits, writes, deletes;

	advise(going, GOING_SIZE, MADV_NOHUGEPAGE);
	poll_fd.fd = missing_faults(mem, PAGE_SIZE);
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, PAGE_SIZE, mem);
	vm_set_slot(vm, 2, 0, GOING, GOING_SIZE, going);
	machine_vcpu(vm, g_touch_one);
	machine_vcpu(vm, g_write_on);
	machine_vcpu(vm, g_use_more);

	waits = vcpu_thread(&vm->vcpus[0]);
	CHECK_EQ(poll(&poll_fd, 1, 30000), 1);
	CHECK(!pthread_create(&writes, NULL, run_until_mmio, &vm->vcpus[1]));
	while (!load(going))
		sched_yield();
	CHECK(!pthread_create(&deletes, NULL, delete_slot, vm));
	/* Until it finds no slot where it has not been before. */
	run_until_mmio(&vm->vcpus[2]);
	CHECK(mremap(going, GOING_SIZE, GOING_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
		     map_memory(GOING_SIZE, PAGE_SIZE)) != MAP_FAILED);
	CHECK(!pthread_join(writes, NULL));
	CHECK_OK(ioctl(poll_fd.fd, UFFDIO_ZEROPAGE, &zero));
	CHECK(!pthread_join(deletes, NULL));
	CHECK(!pthread_join(waits, NULL));
}

/* Nobody brings the page, and a signal is to end KVM_RUN all the same. */

static void *run_until_signal(void *arg)
{
	CHECK_EQ(vcpu_go(arg, NULL), GO_INTR);
	return NULL;
}

static void on_signal(int sig)
{
	(void)sig;
}

TEST(fault_interrupted)
{
	struct sigaction sa = { .sa_handler = on_signal };
	uint8_t *mem = map_memory(MIB, PAGE_SIZE);
	struct pollfd poll_fd = { .events = POLLIN };
	struct vm *vm = machine(0);
	struct uffd_msg msg;
	struct utsname name;
	int major, minor;
	pthread_t t;

	CHECK_OK(uname(&name));
	CHECK_EQ(sscanf(name.release, "%d.%d", &major, &minor), 2);
	if (major == 6 && minor < 2)
		test_skip("this kernel waits for pages until they come");
	sigaction(SIGUSR1, &sa, NULL);
	advise(mem, MIB, MADV_NOHUGEPAGE);
	poll_fd.fd = missing_faults(mem, MIB);
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, MIB, mem);
	machine_vcpu(vm, g_touch0);
	CHECK(!pthread_create(&t, NULL, run_until_signal, &vm->vcpus[0]));
	CHECK_EQ(poll(&poll_fd, 1, 30000), 1);
	CHECK_EQ(read(poll_fd.fd, &msg, sizeof(msg)), sizeof(msg));
	CHECK(!pthread_kill(t, SIGUSR1));
	CHECK(!pthread_join(t, NULL));
	/* It is not lost: the page comes, the guest goes on. */
	close(poll_fd.fd);
	vcpu_done(&vm->vcpus[0]);
}

/* ---- four vCPUs fault as fast as they can; what the lock statistics say ---- */

static void sweep(uint64_t id)
{
	uint64_t i;

	atomic_add(&ready, 1);
	g_await(&ready, CPUS);
	for (i = id; i < PAGES; i += CPUS)
		*(volatile uint64_t *)(GUEST_EXTRA + i * PAGE_SIZE) = i;
	g_done();
}

static void g_sweep0(void) { sweep(0); }
static void g_sweep1(void) { sweep(1); }
static void g_sweep2(void) { sweep(2); }
static void g_sweep3(void) { sweep(3); }

static const guest_fn sweeps[CPUS] = { g_sweep0, g_sweep1, g_sweep2, g_sweep3 };

/*
 * Sum of how often somebody waited for a lock of ours (or of KVM): any that is taken by the module,
 * whatever it is called. Below the line of a class come up to four places where it was waited for, each
 * with a count, an address and its symbol; then those that held it meanwhile; each after a line of dashes.
 */
static uint64_t contentions(void)
{
	const char *module = on_kvm() ? "[kvm" : "[lhv]";
	FILE *f = fopen(LOCKS, "r");
	unsigned int dashes = 0;
	char line[512], *at;
	uint64_t sum = 0, n;

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		at = strstr(line, "[<");
		if (!at) {
			dashes = strstr(line, "--") ? dashes + 1 : 0;
			continue;
		}
		if (dashes != 1 || !strstr(at, module))
			continue;
		/* Back to the count. */
		while (at > line && at[-1] == ' ')
			at--;
		while (at > line && at[-1] >= '0' && at[-1] <= '9')
			at--;
		n = strtoull(at, NULL, 10);
		test_note("%.*s: waited for %llu times", (int)(at - line), line,
			  (unsigned long long)n);
		sum += n;
	}
	fclose(f);
	return sum;
}

static void lock_stat(bool on)
{
	if (on)
		write_file(LOCKS, "0");
	write_file("/proc/sys/kernel/lock_stat", on ? "1" : "0");
}

static void g_linger(void)
{
	ready = 1;
	g_await(&leave, 1);
	g_done();
}

static pid_t asker;

static void *ask(void *vcpu)
{
	struct kvm_regs regs;

	__atomic_store_n(&asker, gettid(), __ATOMIC_SEQ_CST);
	CHECK_OK(ioctl(((struct vcpu *)vcpu)->fd, KVM_GET_REGS, &regs));
	return NULL;
}

/* Does the thread sleep where no signal but SIGKILL wakes it? */
static bool sleeps(pid_t tid)
{
	char path[64], line[256] = "", *name;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = CHECK_OK(open(path, O_RDONLY));
	CHECK_OK(read(fd, line, sizeof(line) - 1));
	close(fd);
	name = strrchr(line, ')');
	return name && name[1] == ' ' && name[2] == 'D';
}

/* A wait that is sure to happen is seen: for the vCPU's lock, while it runs. */
static void see_a_wait(void)
{
	struct vm *vm = machine(0);
	struct vcpu *vcpu = machine_vcpu(vm, g_linger);
	pthread_t runs, asks;

	lock_stat(true);
	runs = vcpu_thread(vcpu);
	while (!GUEST_VAR(vm, ready))
		sched_yield();
	CHECK(!pthread_create(&asks, NULL, ask, vcpu));
	while (!__atomic_load_n(&asker, __ATOMIC_SEQ_CST) || !sleeps(asker))
		sched_yield();
	GUEST_VAR(vm, leave) = 1;
	CHECK(!pthread_join(asks, NULL));
	CHECK(!pthread_join(runs, NULL));
	lock_stat(false);
	CHECK(contentions());
	/* vm_mapped() wants to be asked about the only VM there is. */
	munmap(vcpu->run, vm->run_size);
	close(vcpu->fd);
	close(vm->fd);
}

TEST(faults_at_once, .timeout = 240)
{
	uint8_t *mem = map_memory(SIZE, HUGE);
	bool stats = !access(LOCKS, F_OK);
	pthread_t threads[CPUS];
	struct vm *vm = machine(0);
	uint64_t waits, start;
	int i;

	if (stats)
		see_a_wait();
	/* The host's part is done: what is left is ours. */
	advise(mem, SIZE, MADV_NOHUGEPAGE);
	memset(mem, 0, SIZE);
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, SIZE, mem);
	for (i = 0; i < CPUS; i++)
		machine_vcpu(vm, sweeps[i]);
	if (stats)
		lock_stat(true);
	start = now_ms();
	for (i = 0; i < CPUS; i++)
		threads[i] = vcpu_thread(&vm->vcpus[i]);
	for (i = 0; i < CPUS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	test_note("%lu faults of %d vCPUs in %llu ms", PAGES, CPUS,
		  (unsigned long long)(now_ms() - start));
	CHECK(vm_mapped(vm).pages[0] >= PAGES);
	if (!stats) {
		test_note("SKIP of who waited for whom: no lock statistics in this kernel");
		return;
	}
	lock_stat(false);
	waits = contentions();
	test_note("a lock was waited for %llu times", (unsigned long long)waits);
	/*
	 * The host's own changes, by its notifier, may be in the way now and then; no fault is of
	 * another. Seen: 0; with mmu_lock taken for writing by each fault, 8,214.
	 */
	if (!on_kvm())
		CHECK(waits <= PAGES / 1000);
}
