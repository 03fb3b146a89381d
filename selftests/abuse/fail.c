// SPDX-License-Identifier: GPL-2.0
/*
 * Allocations that fail, one after the other: each operation is repeated with the 1st, 2nd,
 * 3rd... allocation failing in it, until it ends without having met the failure. It has to
 * say so by an errno (or do without), to change nothing, and to work when asked again.
 *
 * Needs a kernel with fault injection: /proc/thread-self/fail-nth.
 */
#include "abuse.h"
#include <fcntl.h>
#include <sys/eventfd.h>

/* syslog(2); no header has names for them. */
#define SYSLOG_ACTION_READ_ALL	3
#define SYSLOG_ACTION_CLEAR	5
#define MAX_NTH	400
#define TOUCHED	(8u << 20)	/* RAM that KVM_RUN touches first */
#define RING_SIZE	(4 * PAGE_SIZE)

static int nth_fd;

static bool set_knob(const char *dir, const char *knob, const char *value)
{
	char path[128];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", dir, knob);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return false;
	ok = write(fd, value, strlen(value)) > 0;
	close(fd);
	return ok;
}

static void need_injection(void)
{
	static const char * const dirs[] = { "failslab", "fail_page_alloc" };
	unsigned int i;

	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR);
	if (nth_fd < 0)
		test_skip("no fault injection in this kernel");
	for (i = 0; i < 2; i++) {
		if (!set_knob(dirs[i], "ignore-gfp-wait", "N"))
			test_skip("no %s", dirs[i]);
		set_knob(dirs[i], "verbose", "0");
	}
	set_knob("fail_page_alloc", "min-order", "0");
	set_knob("fail_page_alloc", "ignore-gfp-highmem", "N");
	set_knob("fail_usercopy", "verbose", "0");
}

static void arm(int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", n);
	if (pwrite(nth_fd, text, strlen(text), 0) <= 0)
		FAIL("fail-nth: %s", strerror(errno));
}

/* Did the failure strike? */
static bool disarm(void)
{
	char text[16] = "";
	bool struck;

	/* When the read itself met it, the operation did not. */
	if (pread(nth_fd, text, sizeof(text) - 1, 0) <= 0)
		return false;
	struck = atoi(text) == 0;
	/* Or the write */
	if (!struck && pwrite(nth_fd, "0", 1, 0) <= 0)
		arm(0);
	return struck;
}

struct world {
	struct vm *vm;
	struct vcpu *vcpu;
	int efd, efd2, stats;
	struct cpuid cpuid;
};

struct op {
	const char *name;
	unsigned int flags;	/* of vm_create() */
	bool vcpu, run;
	int (*fn)(struct world *w);
	void (*undo)(struct world *w, int ret);	/* after success */
	void (*prepare)(struct world *w);
	void (*check)(struct world *w, int ret);	/* that what was made is whole */
};

static int op_create_vm(struct world *w)
{
	return ioctl(w->vm->sys, KVM_CREATE_VM, 0);
}

static void undo_close(struct world *w, int ret)
{
	(void)w;
	close(ret);
}

static int op_create_vcpu(struct world *w)
{
	return ioctl(w->vm->fd, KVM_CREATE_VCPU, 0);
}

static int op_create_vcpu_7(struct world *w)
{
	return ioctl(w->vm->fd, KVM_CREATE_VCPU, 7);
}

static void check_lapic(struct world *w, int fd)
{
	struct kvm_lapic_state lapic;

	(void)w;
	CHECK_OK(ioctl(fd, KVM_GET_LAPIC, &lapic));
}

static void use_ring(struct world *w)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { RING_SIZE } };

	CHECK_OK(ioctl(w->vm->fd, KVM_ENABLE_CAP, &cap));
}

/* Each page of it is there, and empty. */
static void check_ring(struct world *w, int fd)
{
	struct kvm_dirty_gfn *ring;
	size_t i;

	(void)w;
	ring = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    KVM_DIRTY_LOG_PAGE_OFFSET * PAGE_SIZE);
	CHECK(ring != MAP_FAILED);
	for (i = 0; i < RING_SIZE / sizeof(*ring); i++)
		CHECK_EQ(ring[i].flags, 0);
	CHECK_OK(munmap(ring, RING_SIZE));
}

static int op_device(struct world *w)
{
	struct kvm_create_device dev = { .type = KVM_DEV_TYPE_VFIO };

	return ioctl(w->vm->fd, KVM_CREATE_DEVICE, &dev) ? -1 : (int)dev.fd;
}

static void check_device(struct world *w, int fd)
{
	struct kvm_device_attr attr = {
		.group = KVM_DEV_VFIO_GROUP, .attr = KVM_DEV_VFIO_GROUP_ADD,
	};

	(void)w;
	CHECK_OK(ioctl(fd, KVM_HAS_DEVICE_ATTR, &attr));
}

static int op_vm_stats(struct world *w)
{
	return ioctl(w->vm->fd, KVM_GET_STATS_FD, 0);
}

static int op_vcpu_stats(struct world *w)
{
	return ioctl(w->vcpu->fd, KVM_GET_STATS_FD, 0);
}

static void check_stats(struct world *w, int fd)
{
	struct kvm_stats_header head;

	(void)w;
	CHECK_EQ(pread(fd, &head, sizeof(head), 0), sizeof(head));
	CHECK(head.num_desc > 0);
}

static void open_stats(struct world *w)
{
	w->stats = CHECK_OK(op_vm_stats(w));
}

static int op_read_stats(struct world *w)
{
	struct kvm_stats_header head;
	ssize_t ret = pread(w->stats, &head, sizeof(head), 0);

	if (ret >= 0 && ret != sizeof(head))
		errno = EIO;
	return ret == sizeof(head) ? 0 : -1;
}

static int op_irqchip(struct world *w)
{
	return ioctl(w->vm->fd, KVM_CREATE_IRQCHIP, 0);
}

static int op_split(struct world *w)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };

	return ioctl(w->vm->fd, KVM_ENABLE_CAP, &cap);
}

static int op_filter(struct world *w)
{
	static uint64_t bits;
	struct kvm_msr_filter filter = {
		.ranges = {
			{ KVM_MSR_FILTER_READ, 8, 0xc0000080, (uint8_t *)&bits },
			{ KVM_MSR_FILTER_WRITE, 8, 0x174, (uint8_t *)&bits },
		},
	};

	return ioctl(w->vm->fd, KVM_X86_SET_MSR_FILTER, &filter);
}

static void undo_filter(struct world *w, int ret)
{
	struct kvm_msr_filter none = { 0 };

	(void)ret;
	CHECK_OK(ioctl(w->vm->fd, KVM_X86_SET_MSR_FILTER, &none));
}

static int op_pit(struct world *w)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	return ioctl(w->vm->fd, KVM_CREATE_PIT2, &pit);
}

static int slot(struct world *w, int id, uint32_t flags, uint64_t gpa, size_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = id, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (uintptr_t)w->vm->ram,
	};

	return ioctl(w->vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static int op_slot(struct world *w)
{
	return slot(w, 5, KVM_MEM_LOG_DIRTY_PAGES, GUEST_EXTRA, GUEST_RAM);
}

static void undo_slot(struct world *w, int ret)
{
	(void)ret;
	CHECK_OK(slot(w, 5, 0, GUEST_EXTRA, 0));
}

/* The table has room for 31 to begin with, one of them is there: 30 more fit, and the next makes it grow. */
static void fill_slots(struct world *w)
{
	int i;

	for (i = 1; i < 31; i++)
		CHECK_OK(slot(w, 100 + i, 0, 2ul * GUEST_EXTRA + i * PAGE_SIZE, PAGE_SIZE));
}

static int op_move(struct world *w)
{
	return slot(w, 0, 0, GUEST_EXTRA, GUEST_RAM);
}

static void undo_move(struct world *w, int ret)
{
	(void)ret;
	CHECK_OK(slot(w, 0, 0, 0, GUEST_RAM));
}

static int op_log(struct world *w)
{
	return slot(w, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, GUEST_RAM);
}

static void undo_log(struct world *w, int ret)
{
	(void)ret;
	CHECK_OK(slot(w, 0, 0, 0, GUEST_RAM));
}

static int op_delete(struct world *w)
{
	return slot(w, 0, 0, 0, 0);
}

static void undo_delete(struct world *w, int ret)
{
	(void)ret;
	CHECK_OK(slot(w, 0, 0, 0, GUEST_RAM));
}

static int op_routing(struct world *w)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry e[2];
	} r = {
		.head.nr = 2,
		.e[0] = { .gsi = 20, .type = KVM_IRQ_ROUTING_MSI, .u.msi.address_lo = 0xfee00000 },
		.e[1] = { .gsi = 5, .type = KVM_IRQ_ROUTING_IRQCHIP,
			  .u.irqchip = { KVM_IRQCHIP_IOAPIC, 5 } },
	};

	return ioctl(w->vm->fd, KVM_SET_GSI_ROUTING, &r);
}

static int do_irqfd(struct world *w, uint32_t flags)
{
	struct kvm_irqfd irqfd = {
		.fd = w->efd, .gsi = 5, .flags = flags, .resamplefd = w->efd2,
	};

	return ioctl(w->vm->fd, KVM_IRQFD, &irqfd);
}

static int op_irqfd(struct world *w)
{
	return do_irqfd(w, 0);
}

static int op_irqfd_resample(struct world *w)
{
	return do_irqfd(w, KVM_IRQFD_FLAG_RESAMPLE);
}

static void undo_irqfd(struct world *w, int ret)
{
	(void)ret;
	CHECK_OK(do_irqfd(w, KVM_IRQFD_FLAG_DEASSIGN));
}

static int do_ioeventfd(struct world *w, uint32_t flags)
{
	struct kvm_ioeventfd io = { .fd = w->efd, .addr = 0x700, .len = 4, .flags = flags };

	return ioctl(w->vm->fd, KVM_IOEVENTFD, &io);
}

static int op_ioeventfd(struct world *w)
{
	return do_ioeventfd(w, KVM_IOEVENTFD_FLAG_PIO);
}

static int op_ioeventfd_mmio(struct world *w)
{
	return do_ioeventfd(w, 0);
}

static void undo_ioeventfd(struct world *w, int ret)
{
	(void)ret;
	CHECK_OK(do_ioeventfd(w, KVM_IOEVENTFD_FLAG_DEASSIGN | KVM_IOEVENTFD_FLAG_PIO));
}

static void undo_ioeventfd_mmio(struct world *w, int ret)
{
	(void)ret;
	CHECK_OK(do_ioeventfd(w, KVM_IOEVENTFD_FLAG_DEASSIGN));
}

static int do_coalesced(struct world *w, unsigned long cmd)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = 0xe0000000, .size = 0x100 };

	return ioctl(w->vm->fd, cmd, &zone);
}

static int op_coalesced(struct world *w)
{
	return do_coalesced(w, KVM_REGISTER_COALESCED_MMIO);
}

static void undo_coalesced(struct world *w, int ret)
{
	(void)ret;
	CHECK_OK(do_coalesced(w, KVM_UNREGISTER_COALESCED_MMIO));
}

static int op_cpuid(struct world *w)
{
	return ioctl(w->vcpu->fd, KVM_SET_CPUID2, &w->cpuid.head);
}

static int op_supported(struct world *w)
{
	w->cpuid.head.nent = MAX_CPUID;
	return ioctl(w->vm->sys, KVM_GET_SUPPORTED_CPUID, &w->cpuid.head);
}

static int op_xsave(struct world *w)
{
	static struct kvm_xsave xsave;
	int ret = ioctl(w->vcpu->fd, KVM_GET_XSAVE, &xsave);

	return ret ?: ioctl(w->vcpu->fd, KVM_SET_XSAVE, &xsave);
}

static int op_lapic(struct world *w)
{
	struct kvm_lapic_state lapic;
	int ret = ioctl(w->vcpu->fd, KVM_GET_LAPIC, &lapic);

	return ret ?: ioctl(w->vcpu->fd, KVM_SET_LAPIC, &lapic);
}

static int op_msrs(struct world *w)
{
	static struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e[3];
	} m = {
		.head.nmsrs = 3,
		.e = { { .index = 0x4b564d01, .data = 0x2001 },
		       { .index = 0x4b564d03, .data = 0x3001 }, { .index = MSR_TSC } },
	};
	int ret = ioctl(w->vcpu->fd, KVM_SET_MSRS, &m);

	return ret < 0 ? ret : 0;
}

/* Faults in tables and pages; a page table of its own each time. */
static void g_touch(void)
{
	uint64_t i;

	for (;;) {
		for (i = 0; i < 8; i++)
			store((void *)(uintptr_t)(TOUCHED + i * 0x40000), i);
		outb(PORT_DEV, 1);
		g_sync(1);
	}
}

static int op_run(struct world *w)
{
	int ret;

	for (;;) {
		ret = ioctl(w->vcpu->fd, KVM_RUN, 0);
		if (ret)
			return ret;
		if (w->vcpu->run->exit_reason == KVM_EXIT_MMIO)
			continue;
		if (w->vcpu->run->exit_reason != KVM_EXIT_IO) {
			vcpu_dump(w->vcpu);
			FAIL("exit %u", w->vcpu->run->exit_reason);
		}
		if (w->vcpu->run->io.port == PORT_SYNC)
			return 0;
	}
}

/* All translations are gone, and the pages with them. */
static void undo_run(struct world *w, int ret)
{
	(void)ret;
	CHECK_OK(slot(w, 0, 0, 0, 0));
	CHECK_OK(slot(w, 0, 0, 0, GUEST_RAM));
	CHECK_OK(madvise(w->vm->ram + TOUCHED, GUEST_RAM - TOUCHED, MADV_DONTNEED));
}

static const struct op ops[] = {
	{ "KVM_CREATE_VM", 0, false, false, op_create_vm, undo_close, NULL, NULL },
	{ "KVM_CREATE_VCPU", 0, false, false, op_create_vcpu, NULL, NULL, NULL },
	{ "KVM_CREATE_VCPU with LAPIC", VM_IRQCHIP, false, false, op_create_vcpu_7, NULL, NULL,
	  check_lapic },
	{ "KVM_CREATE_VCPU, split irqchip", VM_SPLIT, false, false, op_create_vcpu_7, NULL, NULL,
	  check_lapic },
	{ "KVM_CREATE_VCPU with a dirty ring", 0, false, false, op_create_vcpu, NULL, use_ring,
	  check_ring },
	{ "KVM_CREATE_DEVICE", 0, false, false, op_device, undo_close, NULL, check_device },
	{ "KVM_GET_STATS_FD, VM", 0, false, false, op_vm_stats, undo_close, NULL, check_stats },
	{ "KVM_GET_STATS_FD, vCPU", 0, true, false, op_vcpu_stats, undo_close, NULL, check_stats },
	{ "statistics read", 0, false, false, op_read_stats, NULL, open_stats, NULL },
	{ "KVM_CREATE_IRQCHIP", 0, false, false, op_irqchip, NULL, NULL, NULL },
	{ "KVM_CAP_SPLIT_IRQCHIP", 0, false, false, op_split, NULL, NULL, NULL },
	{ "KVM_X86_SET_MSR_FILTER", VM_IRQCHIP, true, false, op_filter, undo_filter, NULL, NULL },
	{ "KVM_CREATE_PIT2", VM_IRQCHIP, false, false, op_pit, NULL, NULL, NULL },
	{ "a slot", 0, false, false, op_slot, undo_slot, NULL, NULL },
	{ "a slot more than the table has room for", 0, false, false, op_slot, undo_slot, fill_slots, NULL },
	{ "a slot moved", 0, false, false, op_move, undo_move, NULL, NULL },
	{ "a slot logged", 0, false, false, op_log, undo_log, NULL, NULL },
	{ "a slot deleted", 0, false, false, op_delete, undo_delete, NULL, NULL },
	{ "KVM_SET_GSI_ROUTING", VM_IRQCHIP, false, false, op_routing, NULL, NULL, NULL },
	{ "irqfd", VM_IRQCHIP, false, false, op_irqfd, undo_irqfd, NULL, NULL },
	{ "irqfd, resampling", VM_IRQCHIP, false, false, op_irqfd_resample, undo_irqfd, NULL, NULL },
	{ "ioeventfd, port", 0, false, false, op_ioeventfd, undo_ioeventfd, NULL, NULL },
	{ "ioeventfd, MMIO", 0, false, false, op_ioeventfd_mmio, undo_ioeventfd_mmio, NULL, NULL },
	{ "coalesced MMIO", 0, false, false, op_coalesced, undo_coalesced, NULL, NULL },
	{ "KVM_GET_SUPPORTED_CPUID", 0, false, false, op_supported, NULL, NULL, NULL },
	{ "KVM_SET_CPUID2", VM_IRQCHIP, true, false, op_cpuid, NULL, NULL, NULL },
	{ "KVM_GET_XSAVE and SET", 0, true, false, op_xsave, NULL, NULL, NULL },
	{ "KVM_GET_LAPIC and SET", VM_IRQCHIP, true, false, op_lapic, NULL, NULL, NULL },
	{ "KVM_SET_MSRS", VM_IRQCHIP, true, false, op_msrs, NULL, NULL, NULL },
	{ "KVM_RUN", VM_IRQCHIP, true, true, op_run, undo_run, NULL, NULL },
};

static void make_world(struct world *w, const struct op *op)
{
	w->vm = machine(op->flags);
	cpuid_supported(w->vm->sys, &w->cpuid);
	w->efd = CHECK_OK(eventfd(0, EFD_NONBLOCK));
	w->efd2 = CHECK_OK(eventfd(0, EFD_NONBLOCK));
	w->stats = -1;
	if (op->prepare)
		op->prepare(w);
	w->vcpu = op->vcpu ? machine_vcpu(w->vm, op->run ? g_touch : NULL) : NULL;
}

static void end_world(struct world *w)
{
	if (w->vcpu) {
		munmap(w->vcpu->run, w->vm->run_size);
		close(w->vcpu->fd);
	}
	close(w->vm->fd);
	close(w->vm->sys);
	close(w->efd);
	close(w->efd2);
	if (w->stats >= 0)
		close(w->stats);
	munmap(w->vm->ram, w->vm->ram_size);
	free(w->vm);
}

/* The lowest that is free: a file that failed to be made has left none behind. */
static int next_fd(void)
{
	int fd = CHECK_OK(dup(0));

	close(fd);
	return fd;
}

/* False: it met no failure any more. */
static bool try_nth(const struct op *op, int n)
{
	int ret, err, fd;
	struct world w;
	bool struck;

	make_world(&w, op);
	fd = next_fd();
	arm(n);
	ret = op->fn(&w);
	err = errno;
	struck = disarm();
	if (ret < 0) {
		if (!struck)
			FAIL("%s: %s without a failure", op->name, strerror(err));
		if (err != ENOMEM && err != EFAULT && err != EINTR)
			FAIL("%s, allocation %d: %s", op->name, n, strerror(err));
		if (next_fd() != fd)
			FAIL("%s, allocation %d failed, and left a file", op->name, n);
		ret = op->fn(&w);
		if (ret < 0)
			FAIL("%s, allocation %d failed, then: %s", op->name, n, strerror(errno));
	}
	if (op->check)
		op->check(&w, ret);
	if (op->undo) {
		op->undo(&w, ret);
		ret = op->fn(&w);
		if (ret < 0)
			FAIL("%s, allocation %d failed, undone, then: %s", op->name, n,
			     strerror(errno));
		op->undo(&w, ret);
	} else if (ret > 2) {
		close(ret);
	}
	end_world(&w);
	return struck;
}

TEST(alloc_failures, .timeout = 240)
{
	unsigned int i;
	int n;

	need_injection();
	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		for (n = 1; try_nth(&ops[i], n); n++)
			CHECK(n < MAX_NTH);
		test_note("%s: %d", ops[i].name, n - 1);
		expect_nothing();
	}
}

/* ---- loading the module ---- */

static void set_hex(const char *knob, unsigned long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%#lx", value);
	CHECK(set_knob("failslab", knob, text));
	CHECK(set_knob("fail_page_alloc", knob, text));
	set_knob("fail_usercopy", knob, text);
}

/* Where a function of the kernel begins and ends. */
static void find_function(const char *wanted, unsigned long *start, unsigned long *end)
{
	unsigned long addr;
	char line[256], name[128];
	FILE *f = fopen("/proc/kallsyms", "r");

	CHECK(f);
	*start = *end = 0;
	while (!*end && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx %*c %127s", &addr, name) != 2)
			continue;
		if (*start && addr > *start)
			*end = addr;
		else if (!strcmp(name, wanted))
			*start = addr;
	}
	fclose(f);
	if (!*end)
		test_skip("no %s in /proc/kallsyms", wanted);
}

static void tell_loading(bool on)
{
	unsigned long start = 0, end = -1ul;

	if (on)
		find_function("do_one_initcall", &start, &end);
	set_hex("require-start", start);
	set_hex("require-end", end);
	/* The kernel prints a call trace when that one fails, whoever called. */
	start = 0, end = 0;
	if (on)
		find_function("__kmem_cache_create_args", &start, &end);
	set_hex("reject-start", start);
	set_hex("reject-end", end);
}

/* What the driver core prints, before it returns EINVAL for want of memory (module_add_driver()): since @log's position. */
static bool driver_core_failed(int log)
{
	static char record[8192];
	ssize_t n;

	/* EPIPE: the kernel has overwritten some. */
	while ((n = read(log, record, sizeof(record) - 1)) > 0 || errno == EPIPE) {
		record[n > 0 ? n : 0] = 0;
		if (strstr(record, "failed to create module links for lhv"))
			return true;
	}
	return false;
}

/*
 * What the module's own init function allocates fails, not what the kernel needs to get there: it
 * ends with ENOMEM, or does without, and can be loaded again each time. Each of them in the long
 * form, else some.
 */
TEST(load_failures, .timeout = 240)
{
	int n, ret, err, log, failed = 0, step = amount(7, 1);
	bool struck;

	need_injection();
	log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	CHECK_OK(log);
	/* What ended in the middle left it so. */
	tell_loading(false);
	module_load("");
	need_module();
	CHECK_OK(module_unload());
	tell_loading(true);
	for (n = 1; ; n += step) {
		CHECK(n < MAX_NTH);
		CHECK_OK(lseek(log, 0, SEEK_END));
		arm(n);
		ret = module_load("");
		err = errno;
		struck = disarm();
		if (!ret) {
			CHECK_OK(module_unload());
			if (!struck)
				break;
			continue;
		}
		failed++;
		if (!struck || (err != ENOMEM && !(err == EINVAL && driver_core_failed(log))))
			FAIL("allocation %d: %s", n, strerror(err));
	}
	close(log);
	tell_loading(false);
	CHECK_OK(module_load(""));
	test_note("each %d. of %d allocations, %d of them needed", step, n - 1, failed);
	CHECK(failed > 0);
}
