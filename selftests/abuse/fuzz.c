// SPDX-License-Identifier: GPL-2.0
/*
 * Random ioctls with random and nearly valid arguments, from several threads on the
 * same fds, while the guest runs random bytes and its memory is mapped and unmapped.
 *
 * A round is a process with a VM of its own, so that a VM that is stopped or stuffed
 * with slots does not stay so for ever, and the process's end is part of the test.
 */
#include "abuse.h"
#include "kvm_younger.h"
#include <linux/lhv.h>
#include <sys/eventfd.h>

#define THREADS		4
#define VCPUS		2
#define RAM		(2u << 20)
#define EVENTFDS	4
#define BUF		(64u << 10)
#define CALLS		2500	/* of one round */
#define RING		PAGE_SIZE	/* bytes of a dirty ring */

struct target {
	struct vm *vm;
	uint64_t seed;
	int eventfds[EVENTFDS];
	uint8_t *pool;		/* memory that slots show, sometimes absent */
	uint8_t *hole;		/* a page with nothing behind it */
	struct kvm_dirty_gfn *rings[VCPUS];	/* NULL in the rounds without */
	int device;		/* VFIO's */
	uint64_t left;		/* calls, atomic */
	uint64_t round;
};

struct row {
	int fd;			/* 0 system, 1 VM, 2 vCPU, 3 a device of the VM */
	unsigned long cmd;
	const char *name;
	unsigned long get;	/* ioctl that fills the argument sensibly */
};

#define R(fd, cmd)		{ fd, cmd, #cmd, 0 }
#define PAIR(fd, set, get)	{ fd, get, #get, 0 }, { fd, set, #set, get }

static const struct row rows[] = {
	R(0, KVM_GET_API_VERSION), R(0, KVM_CHECK_EXTENSION), R(0, KVM_GET_VCPU_MMAP_SIZE),
	R(0, KVM_GET_SUPPORTED_CPUID), R(0, KVM_GET_EMULATED_CPUID), R(0, KVM_GET_MSR_INDEX_LIST),
	R(0, KVM_GET_MSR_FEATURE_INDEX_LIST), R(0, KVM_GET_MSRS), R(0, KVM_CREATE_VM),
	R(0, KVM_X86_GET_MCE_CAP_SUPPORTED), R(0, KVM_HAS_DEVICE_ATTR), R(0, KVM_GET_DEVICE_ATTR),

	R(1, KVM_CHECK_EXTENSION), R(1, KVM_CREATE_VCPU), R(1, KVM_GET_DIRTY_LOG),
	R(1, KVM_SET_USER_MEMORY_REGION), R(1, KVM_SET_USER_MEMORY_REGION),
	R(1, KVM_SET_USER_MEMORY_REGION), R(1, KVM_CLEAR_DIRTY_LOG), R(1, KVM_CREATE_IRQCHIP),
	PAIR(1, KVM_SET_IRQCHIP, KVM_GET_IRQCHIP), R(1, KVM_CREATE_PIT), R(1, KVM_CREATE_PIT2),
	PAIR(1, KVM_SET_PIT2, KVM_GET_PIT2), R(1, KVM_REINJECT_CONTROL), R(1, KVM_IRQ_LINE),
	R(1, KVM_IRQ_LINE_STATUS), R(1, KVM_SIGNAL_MSI), R(1, KVM_SET_GSI_ROUTING),
	R(1, KVM_IRQFD), R(1, KVM_IRQFD), R(1, KVM_IOEVENTFD), R(1, KVM_IOEVENTFD),
	R(1, KVM_REGISTER_COALESCED_MMIO), R(1, KVM_UNREGISTER_COALESCED_MMIO),
	PAIR(1, KVM_SET_CLOCK, KVM_GET_CLOCK), R(1, KVM_SET_TSS_ADDR),
	R(1, KVM_SET_IDENTITY_MAP_ADDR), R(1, KVM_SET_BOOT_CPU_ID), R(1, KVM_ENABLE_CAP),
	R(1, KVM_ENABLE_CAP), R(1, KVM_X86_SET_MSR_FILTER), R(1, KVM_SET_USER_MEMORY_REGION2),
	R(1, KVM_SET_USER_MEMORY_REGION2), R(1, KVM_RESET_DIRTY_RINGS), R(1, KVM_CREATE_DEVICE),
	R(1, KVM_SET_NR_MMU_PAGES), R(1, KVM_GET_NR_MMU_PAGES), R(1, KVM_GET_TSC_KHZ),
	R(1, KVM_SET_TSC_KHZ), R(1, KVM_GET_STATS_FD), R(1, LHV_GET_VM_ID),
	R(1, LHV_SET_STOP_EVENTFD), R(1, LHV_DEVICE_OPEN),

	R(2, KVM_RUN), R(2, KVM_RUN), R(2, KVM_RUN), R(2, KVM_RUN),
	PAIR(2, KVM_SET_REGS, KVM_GET_REGS), PAIR(2, KVM_SET_SREGS, KVM_GET_SREGS),
	PAIR(2, KVM_SET_FPU, KVM_GET_FPU), PAIR(2, KVM_SET_XSAVE, KVM_GET_XSAVE),
	R(2, KVM_GET_XSAVE2), PAIR(2, KVM_SET_XCRS, KVM_GET_XCRS), R(2, KVM_GET_MSRS),
	R(2, KVM_SET_MSRS), R(2, KVM_SET_MSRS), PAIR(2, KVM_SET_CPUID2, KVM_GET_CPUID2),
	PAIR(2, KVM_SET_LAPIC, KVM_GET_LAPIC), PAIR(2, KVM_SET_DEBUGREGS, KVM_GET_DEBUGREGS),
	R(2, KVM_SET_GUEST_DEBUG), PAIR(2, KVM_SET_VCPU_EVENTS, KVM_GET_VCPU_EVENTS),
	PAIR(2, KVM_SET_MP_STATE, KVM_GET_MP_STATE), R(2, KVM_INTERRUPT), R(2, KVM_NMI),
	R(2, KVM_SET_SIGNAL_MASK), R(2, KVM_GET_TSC_KHZ), R(2, KVM_SET_TSC_KHZ),
	R(2, KVM_KVMCLOCK_CTRL), R(2, KVM_X86_SETUP_MCE), R(2, KVM_TRANSLATE),
	R(2, KVM_ENABLE_CAP), R(2, KVM_SET_CPUID), R(2, KVM_X86_SET_MCE), R(2, KVM_SMI),
	PAIR(2, KVM_SET_SREGS2, KVM_GET_SREGS2), R(2, KVM_SET_VAPIC_ADDR),
	R(2, KVM_HAS_DEVICE_ATTR), PAIR(2, KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR),
	R(2, KVM_PRE_FAULT_MEMORY), R(2, KVM_GET_STATS_FD),

	R(3, KVM_HAS_DEVICE_ATTR), R(3, KVM_SET_DEVICE_ATTR), R(3, KVM_SET_DEVICE_ATTR),
};

/* ---- arguments ---- */

static const uint32_t caps[] = {
	KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_DISABLE_QUIRKS2,
	KVM_CAP_X86_DISABLE_EXITS, KVM_CAP_X86_USER_SPACE_MSR, KVM_CAP_DISABLE_QUIRKS,
	KVM_CAP_X2APIC_API, KVM_CAP_X86_APIC_BUS_CYCLES_NS, KVM_CAP_MAX_VCPU_ID,
	KVM_CAP_EXIT_ON_EMULATION_FAILURE, KVM_CAP_MSR_PLATFORM_INFO, KVM_CAP_EXCEPTION_PAYLOAD,
	KVM_CAP_X86_TRIPLE_FAULT_EVENT, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_CAP_DIRTY_LOG_RING,
	KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_CAP_ENFORCE_PV_FEATURE_CPUID,
};

static void msr_filter(struct target *t, struct rng *r, struct kvm_msr_filter *f)
{
	static const uint32_t bases[] = { 0x10, 0x174, 0xfe, 0xc0000080, 0xc0000100, 0x4b564d00 };
	int i;

	memset(f, 0, sizeof(*f));
	f->flags = below(r, 8) ? below(r, 2) : odd(r);
	for (i = below(r, 4); i >= 0; i--) {
		f->ranges[i].flags = below(r, 8) ? 1 + below(r, 3) : odd(r);
		f->ranges[i].nmsrs = below(r, 8) ? below(r, 64) : odd(r);
		f->ranges[i].base = below(r, 8) ? bases[below(r, 6)] : odd(r);
		f->ranges[i].bitmap = below(r, 8) ? t->pool : (uint8_t *)odd(r);
	}
}

static void region(struct target *t, struct rng *r, struct kvm_userspace_memory_region *m)
{
	size_t pages = RAM / PAGE_SIZE, at = below(r, pages);

	m->slot = below(r, 10) ? below(r, 12) : odd(r);
	m->flags = below(r, 5) ? below(r, 4) : odd(r);
	m->guest_phys_addr = below(r, 10) ? below(r, 1024) * PAGE_SIZE : odd(r);
	m->memory_size = below(r, 10) ? below(r, pages - at + 1) * PAGE_SIZE : odd(r);
	m->userspace_addr = below(r, 10) ? (uintptr_t)t->pool + at * PAGE_SIZE : odd(r);
	if (!below(r, 3))
		m->memory_size = 0;
}

static void region2(struct target *t, struct rng *r, struct kvm_userspace_memory_region2 *m)
{
	struct kvm_userspace_memory_region old;

	region(t, r, &old);
	memset(m, 0, sizeof(*m));
	m->slot = old.slot;
	m->flags = old.flags;
	m->guest_phys_addr = old.guest_phys_addr;
	m->memory_size = old.memory_size;
	m->userspace_addr = old.userspace_addr;
	if (!below(r, 10))
		fill_random(r, &m->guest_memfd_offset, 64);
}

/* The vCPU's TSC offset, the system's XSAVE features, the groups of the VFIO device */
static void attribute(struct target *t, struct rng *r, struct kvm_device_attr *a)
{
	a->flags = below(r, 20) ? 0 : odd(r);
	a->group = below(r, 10) ? below(r, 2) : odd(r);
	a->attr = below(r, 10) ? below(r, 4) : odd(r);
	a->addr = below(r, 10) ? (uintptr_t)t->pool + below(r, RAM / 8) * 8 : odd(r);
}

static const uint32_t msrs[] = {
	0x10, 0x1b, 0x3a, 0x48, 0x49, 0x8b, 0xc1, 0xfe, 0x122, 0x174, 0x175, 0x176, 0x179, 0x17a, 0x17b,
	0x198, 0x1a0, 0x1d9, 0x200, 0x201, 0x20f, 0x250, 0x258, 0x268, 0x277, 0x2ff, 0x400, 0x401,
	0x47f, 0x6e0, 0x800, 0x802, 0x808, 0x80b, 0x80f, 0x830, 0x832, 0x838, 0x83f, 0xda0,
	0x4b564d00, 0x4b564d01, 0x4b564d02, 0x4b564d03, 0x4b564d04, 0x4b564d05, 0x4b564d06,
	0xc0000081, 0xc0000082, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102,
	0xc0000103, 0xc0010015, 0xc0010117, 0xc001001f, 0xc0011029, 0x11, 0x12,
};

static void msr_list(struct rng *r, struct kvm_msrs *m)
{
	uint32_t i, n = below(r, 20);

	m->nmsrs = below(r, 20) ? n : odd(r);
	m->pad = 0;
	for (i = 0; i < n; i++) {
		m->entries[i].index = below(r, 5) ?
			msrs[below(r, sizeof(msrs) / sizeof(msrs[0]))] : odd(r);
		m->entries[i].reserved = 0;
		m->entries[i].data = odd(r);
	}
}

static void routing(struct rng *r, struct kvm_irq_routing *m)
{
	uint32_t i, n = below(r, 40);

	m->nr = below(r, 20) ? n : odd(r);
	m->flags = below(r, 30) ? 0 : odd(r);
	for (i = 0; i < n; i++) {
		struct kvm_irq_routing_entry *e = &m->entries[i];

		memset(e, 0, sizeof(*e));
		e->gsi = below(r, 50) ? below(r, 64) : odd(r);
		e->type = below(r, 50) ? 1 + below(r, 2) : odd(r);
		if (e->type == KVM_IRQ_ROUTING_IRQCHIP) {
			e->u.irqchip.irqchip = below(r, 50) ? below(r, 3) : odd(r);
			e->u.irqchip.pin = below(r, 50) ? below(r, 8) : odd(r);
		} else {
			e->u.msi.address_lo = 0xfee00000 | below(r, 0x40000);
			e->u.msi.data = odd(r);
		}
	}
}

static int some_eventfd(struct target *t, struct rng *r)
{
	return below(r, 20) ? t->eventfds[below(r, EVENTFDS)] : (int)odd(r);
}

/* What a number alone can't say: arguments that get past the first check. */
static void sensible(struct target *t, struct rng *r, unsigned long cmd, void *buf)
{
	struct kvm_ioeventfd *io = buf;
	struct kvm_irqfd *irqfd = buf;
	struct kvm_create_device *device = buf;
	struct kvm_pre_fault_memory *prefault = buf;
	uint32_t *u32 = buf;

	switch (cmd) {
	case KVM_SET_USER_MEMORY_REGION:
		region(t, r, buf);
		break;
	case KVM_SET_USER_MEMORY_REGION2:
		region2(t, r, buf);
		break;
	case KVM_HAS_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_SET_DEVICE_ATTR:
		attribute(t, r, buf);
		break;
	case KVM_CREATE_DEVICE:
		device->type = below(r, 10) ? KVM_DEV_TYPE_VFIO : odd(r);
		device->flags = below(r, 5) ? 0 : odd(r);
		break;
	case KVM_PRE_FAULT_MEMORY:
		memset(prefault, 0, sizeof(*prefault));
		prefault->gpa = below(r, 10) ? below(r, 1024) * PAGE_SIZE : odd(r);
		prefault->size = below(r, 10) ? below(r, 600) * PAGE_SIZE : odd(r);
		prefault->flags = below(r, 20) ? 0 : odd(r);
		break;
	case KVM_SET_VAPIC_ADDR:
		*(uint64_t *)buf = below(r, 2) ? 0 : odd(r);
		break;
	case LHV_SET_STOP_EVENTFD:
		u32[0] = below(r, 4) ? some_eventfd(t, r) : -1;
		break;
	case KVM_GET_MSRS:
	case KVM_SET_MSRS:
		msr_list(r, buf);
		break;
	case KVM_SET_GSI_ROUTING:
		routing(r, buf);
		break;
	case KVM_IRQFD:
		memset(irqfd, 0, sizeof(*irqfd));
		irqfd->fd = some_eventfd(t, r);
		irqfd->gsi = below(r, 20) ? below(r, 32) : odd(r);
		irqfd->flags = below(r, 20) ? below(r, 4) : odd(r);
		irqfd->resamplefd = some_eventfd(t, r);
		break;
	case KVM_IOEVENTFD:
		memset(io, 0, sizeof(*io));
		io->fd = some_eventfd(t, r);
		io->len = below(r, 20) ? 1u << below(r, 4) : odd(r);
		io->addr = below(r, 20) ? below(r, 0x10) * 8 : odd(r);
		io->flags = below(r, 20) ? below(r, 8) : odd(r);
		io->datamatch = below(r, 3);
		break;
	case KVM_IRQ_LINE:
	case KVM_IRQ_LINE_STATUS:
		u32[0] = below(r, 20) ? below(r, 26) : odd(r);
		u32[1] = below(r, 2);
		break;
	case KVM_SIGNAL_MSI:
		memset(buf, 0, sizeof(struct kvm_msi));
		u32[0] = 0xfee00000 | below(r, 0x40000);
		u32[2] = odd(r);
		break;
	case KVM_SET_SIGNAL_MASK:
		u32[0] = below(r, 4) ? 8 : odd(r);
		break;
	case KVM_SET_MP_STATE:
		u32[0] = below(r, 8);
		break;
	case KVM_INTERRUPT:
		u32[0] = below(r, 300);
		break;
	case KVM_ENABLE_CAP:
		memset(buf, 0, sizeof(struct kvm_enable_cap));
		u32[0] = below(r, 4) ? caps[below(r, sizeof(caps) / sizeof(caps[0]))] : odd(r);
		*(uint64_t *)(u32 + 2) = below(r, 10) ? below(r, 30) : odd(r);
		break;
	case KVM_X86_SET_MSR_FILTER:
		msr_filter(t, r, buf);
		break;
	case KVM_GET_SUPPORTED_CPUID:
	case KVM_GET_EMULATED_CPUID:
	case KVM_GET_CPUID2:
	case KVM_GET_MSR_INDEX_LIST:
	case KVM_GET_MSR_FEATURE_INDEX_LIST:
		u32[0] = below(r, 4) ? 256 : odd(r);
		break;
	case KVM_GET_DIRTY_LOG:
		memset(buf, 0, sizeof(struct kvm_dirty_log));
		u32[0] = below(r, 12);
		((struct kvm_dirty_log *)buf)->dirty_bitmap = (uint8_t *)buf + 4096;
		break;
	case KVM_CLEAR_DIRTY_LOG:
		memset(buf, 0, sizeof(struct kvm_clear_dirty_log));
		u32[0] = below(r, 12);
		u32[1] = below(r, 4) ? below(r, 9) * 64 : odd(r);
		((struct kvm_clear_dirty_log *)buf)->first_page = below(r, 4) ? below(r, 9) * 64 : odd(r);
		((struct kvm_clear_dirty_log *)buf)->dirty_bitmap = (uint8_t *)buf + 4096;
		break;
	}
}

static void flip_bits(struct rng *r, uint8_t *buf, size_t size)
{
	int n = below(r, 6);

	while (n--)
		buf[below(r, size)] ^= 1 << below(r, 8);
}

/* ---- calls ---- */

static int target_fd(struct target *t, struct rng *r, int fd)
{
	if (!below(r, 200))
		fd = below(r, 4);	/* the wrong kind */
	switch (fd) {
	case 0:
		return t->vm->sys;
	case 1:
		return t->vm->fd;
	case 3:
		return t->device;
	default:
		return t->vm->vcpus[below(r, t->vm->nr_vcpus)].fd;
	}
}

static unsigned long argument(struct target *t, struct rng *r, const struct row *row, int fd,
			      uint8_t *buf)
{
	size_t size = row->cmd >> 16 & 0x3fff;

	/* Takes a number */
	if (!size && row->cmd != KVM_SET_IRQCHIP && row->cmd != KVM_REINJECT_CONTROL) {
		if (row->cmd == KVM_RUN)
			return below(r, 100) ? 0 : odd(r);
		if (row->cmd == KVM_SET_TSC_KHZ && below(r, 2))
			return 1000000 + below(r, 4000000);
		return below(r, 4) ? below(r, 8) : odd(r);
	}
	if (!below(r, 40))
		return below(r, 2) ? (uintptr_t)t->hole - below(r, 600) : odd(r);

	size = size > 8 ? size : 1024;
	switch (below(r, 4)) {
	case 0:
		fill_random(r, buf, size);
		break;
	case 1:
		memset(buf, 0, size);
		break;
	default:
		if (row->get == KVM_GET_CPUID2)
			*(uint32_t *)buf = 200;
		if (row->get == KVM_GET_IRQCHIP)
			*(uint32_t *)buf = below(r, 4);
		if (row->get)
			ioctl(fd, row->get, buf);
	}
	sensible(t, r, row->cmd, buf);
	if (!below(r, 2))
		flip_bits(r, buf, size);
	/* SREGS2 begins in the same way. */
	if (row->cmd == KVM_SET_SREGS || row->cmd == KVM_SET_SREGS2)
		spare_emulator((struct kvm_sregs *)buf);
	/* What would keep the ticks out of KVM_RUN makes for a dull round. */
	if (row->cmd == KVM_SET_SIGNAL_MASK)
		buf[4 + (SIGUSR1 - 1) / 8] &= ~(1 << (SIGUSR1 - 1) % 8);
	return (uintptr_t)buf;
}

/* Harvest some of a ring, or pretend to; it is the VMM's to scribble on, too. */
static void use_ring(struct rng *r, struct kvm_dirty_gfn *ring)
{
	struct kvm_dirty_gfn *e;
	int n;

	for (n = below(r, 64); n && ring; n--) {
		e = &ring[below(r, RING / sizeof(*ring))];
		if (below(r, 50))
			e->flags |= KVM_DIRTY_GFN_F_RESET;
		else
			fill_random(r, e, sizeof(*e));
	}
}

/* What else a VMM does meanwhile. */
static void disturb(struct target *t, struct rng *r)
{
	size_t at = below(r, RAM / PAGE_SIZE) * PAGE_SIZE;
	size_t size = (below(r, 16) + 1) * PAGE_SIZE;
	struct vcpu *vcpu = &t->vm->vcpus[below(r, t->vm->nr_vcpus)];
	uint64_t one = 1;
	int fd;

	if (size > RAM - at)
		size = RAM - at;
	switch (below(r, 9)) {
	case 0:
		munmap(t->pool + at, size);
		break;
	case 1:
	case 2:
		mmap(t->pool + at, size, PROT_READ | PROT_WRITE,
		     MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		break;
	case 3:
		madvise(t->pool + at, size, MADV_DONTNEED);
		break;
	case 4:
		if (write(t->eventfds[below(r, EVENTFDS)], &one, sizeof(one)) < 0)
			return;
		break;
	case 5:
		/* An eventfd closes, with irqfds on it. */
		fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (fd >= 0)
			dup2(fd, t->eventfds[below(r, EVENTFDS)]);
		close(fd);
		break;
	case 6:
		vcpu->run->immediate_exit = !below(r, 4);
		vcpu->run->request_interrupt_window = below(r, 2);
		break;
	case 7:
		use_ring(r, t->rings[below(r, VCPUS)]);
		break;
	case 8:
		/* kvm_run is the VMM's to scribble on. */
		if (below(r, 4)) {
			vcpu->run->cr8 = 0;
			vcpu->run->immediate_exit = 0;
		} else {
			fill_random(r, (uint8_t *)vcpu->run + below(r, 4000), 64);
		}
		break;
	}
}

/* fds that nobody keeps */
static void close_new(struct rng *r, unsigned long cmd, int ret, uint8_t *buf, bool ours)
{
	const struct kvm_create_device *device = (void *)buf;

	switch (cmd) {
	case KVM_GET_STATS_FD:
		/* The buffer is the caller's thread's alone. */
		if (ret > 2 && pread(ret, buf, below(r, BUF), below(r, 2) ? 0 : odd(r)) < 0)
			CHECK(errno != EIO);
		/* fallthrough */
	case KVM_CREATE_VM:
	case KVM_CREATE_VCPU:
	case LHV_DEVICE_OPEN:
		if (ret > 2)
			close(ret);
		break;
	case KVM_CREATE_DEVICE:
		if (!ret && ours && !(device->flags & KVM_CREATE_DEVICE_TEST))
			close(device->fd);
		break;
	}
}

static void *caller(void *arg)
{
	static uint64_t next;
	struct target *t = arg;
	uint64_t id = __atomic_fetch_add(&next, 1, __ATOMIC_SEQ_CST);
	uint8_t *buf = map_memory(BUF, PAGE_SIZE);
	struct rng r;

	rng_init(&r, t->seed, t->round * THREADS + id);
	while ((int64_t)__atomic_fetch_sub(&t->left, 1, __ATOMIC_SEQ_CST) > 0) {
		const struct row *row = &rows[below(&r, sizeof(rows) / sizeof(rows[0]))];
		int fd = target_fd(t, &r, row->fd), ret;
		unsigned long cmd = row->cmd, arg;

		if (!below(&r, 10))
			disturb(t, &r);
		arg = argument(t, &r, row, fd, buf);
		if (!below(&r, 100))
			cmd ^= 1ul << below(&r, 32);
		ret = ioctl(fd, cmd, arg);
		close_new(&r, cmd, ret, buf, arg == (uintptr_t)buf);
	}
	return NULL;
}

static void on_tick(int sig)
{
	(void)sig;
}

/* Before there are vCPUs; half of the rounds have it. */
static bool enable_rings(struct target *t)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { RING } };

	if (t->round / 4 % 2 == 0 || !vm_cap(t->vm, KVM_CAP_DIRTY_LOG_RING))
		return false;
	CHECK_OK(ioctl(t->vm->fd, KVM_ENABLE_CAP, &cap));
	return true;
}

static struct kvm_dirty_gfn *map_ring(struct vcpu *vcpu)
{
	void *ring = mmap(NULL, RING, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd,
			  KVM_DIRTY_LOG_PAGE_OFFSET * PAGE_SIZE);

	CHECK(ring != MAP_FAILED);
	return ring;
}

static void fuzz_round(void *arg)
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_VFIO };
	static const unsigned int chips[] = { 0, VM_IRQCHIP, VM_IRQCHIP | VM_PIT, VM_SPLIT };
	struct sigaction sa = { .sa_handler = on_tick };
	struct target *t = arg;
	unsigned int left = (1u << THREADS) - 1;
	pthread_t threads[THREADS];
	bool rings;
	struct rng r;
	int i;

	rng_init(&r, t->seed, ~t->round);
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	t->vm = machine(chips[t->round % 4]);
	t->pool = map_memory(RAM, PAGE_SIZE);
	t->hole = map_memory(2 * PAGE_SIZE, PAGE_SIZE) + PAGE_SIZE;
	CHECK_OK(munmap(t->hole, PAGE_SIZE));
	CHECK_OK(ioctl(t->vm->fd, KVM_CREATE_DEVICE, &device));
	t->device = device.fd;
	rings = enable_rings(t);
	/* Random bytes where the vCPUs start, as the CPU's reset and vcpu_mode() have it. */
	fill_random(&r, t->vm->ram + GUEST_BLOB, 0x10000);
	for (i = 0; i < VCPUS; i++) {
		struct vcpu *vcpu = machine_vcpu(t->vm, NULL);
		struct kvm_sregs sregs;

		t->rings[i] = rings ? map_ring(vcpu) : NULL;
		vcpu_mode(vcpu, below(&r, LONG + 1), below(&r, 0x8000));
		CHECK_OK(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
		spare_emulator(&sregs);
		CHECK_OK(ioctl(vcpu->fd, KVM_SET_SREGS, &sregs));
	}
	for (i = 0; i < EVENTFDS; i++)
		t->eventfds[i] = CHECK_OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	for (i = 0; i < THREADS; i++) {
		errno = pthread_create(&threads[i], NULL, caller, t);
		CHECK(!errno);
	}
	/* Whoever sits in KVM_RUN gets out again. */
	while ((int64_t)__atomic_load_n(&t->left, __ATOMIC_SEQ_CST) > 0) {
		usleep(2000);
		for (i = 0; i < THREADS; i++)
			pthread_kill(threads[i], SIGUSR1);
	}
	/* Sometimes nobody waits for the last call. */
	if (t->round % 3)
		return;
	/* One may wait for another, who has to be interrupted. */
	while (left) {
		for (i = 0; i < THREADS; i++) {
			if (!(left & 1u << i))
				continue;
			if (pthread_tryjoin_np(threads[i], NULL))
				pthread_kill(threads[i], SIGUSR1);
			else
				left &= ~(1u << i);
		}
		usleep(2000);
	}
}

TEST(fuzz, .timeout = 400)
{
	uint64_t total = amount(100000, 1000000), end = now() + amount(15000, -1u), done = 0;
	/* Each round's process says how far it came. */
	struct target *t = map_shared();
	uint64_t round = 0;

	/* Where another run failed */
	if (getenv("ABUSE_ROUND"))
		round = strtoull(getenv("ABUSE_ROUND"), NULL, 0);
	for (; done < total && now() < end; round++) {
		int64_t left;
		int status;

		*t = (struct target){ .seed = abuse_seed(), .round = round, .left = CALLS };
		status = reap_child(spawn(fuzz_round, t), 120);
		/* It may unmap what it stands on; a signal from that is its own fault. */
		if (WIFEXITED(status))
			CHECK_EQ(WEXITSTATUS(status), 0);
		left = t->left;
		done += CALLS - (left > 0 ? left : 0);
		/* Who watches the machine takes a silent one for hung. */
		if (round % 40 == 39)
			test_note("at %llu", (unsigned long long)done);
	}
	test_note("%llu calls in %llu VMs", (unsigned long long)done,
		  (unsigned long long)round);
	CHECK(done);
	expect_nothing();
}
