// SPDX-License-Identifier: GPL-2.0
/*
 * The machine: built, run and torn down in one function, vm_run(). A reboot is
 * a new machine on the same configuration, so nothing of the old one survives.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "console.h"
#include "pci.h"
#include "pci_host.h"
#include "pm.h"
#include "rtc.h"
#include "virtio.h"
#include "vmm.h"

#define KVM_API		12

struct machine {
	struct vm vm;
	struct virtio_dev *rng;
	struct virtio_dev **disk;
	struct pci_host **host;
};

/* What the machine can't do without, and what its absence means. */
static const struct {
	int cap;
	const char *name;
} required[] = {
	{ KVM_CAP_USER_MEMORY, "user memory slots" },
	{ KVM_CAP_IRQCHIP, "in-kernel interrupt controllers" },
	{ KVM_CAP_IRQ_ROUTING, "interrupt routing" },
	{ KVM_CAP_PIT2, "the in-kernel timer" },
	{ KVM_CAP_SET_TSS_ADDR, "a TSS address" },
	{ KVM_CAP_EXT_CPUID, "CPUID tables" },
};

static void report_busy(const char *path)
{
	report("%s: VT-x/AMD-V belongs to another hypervisor; if it is KVM and unused: modprobe -r kvm_amd kvm_intel kvm",
	       path);
}

static void report_open(const char *path, int err)
{
	switch (err) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		if (!strcmp(path, VMCTL_DEFAULT_ACCEL))
			report("%s: the module isn't loaded; load it with: modprobe lhv",
			       path);
		else
			report("%s: no such device; is its module loaded?",
			       path);
		break;
	case EACCES:
	case EPERM:
		report("%s: permission denied; join its group: adduser USER kvm",
		       path);
		break;
	case EBUSY:
		report_busy(path);
		break;
	default:
		report_errno(err, "cannot open %s", path);
	}
}

/**
 * accel_open() - open a hypervisor's device node
 * @path: /dev/lhv, /dev/kvm
 *
 * Return: the file descriptor, or -errno with the error reported.
 */
int accel_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), version, err;

	if (fd < 0) {
		err = errno;
		report_open(path, err);
		return -err;
	}
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version == KVM_API)
		return fd;
	if (version < 0)
		report("%s is not a hypervisor's device", path);
	else
		report("%s speaks version %d of the API, not %d", path, version,
		       KVM_API);
	close(fd);
	return -EPROTO;
}

/**
 * vm_has() - ask for a capability
 * @vm: machine
 * @cap: KVM_CAP_*
 *
 * Return: 0 when absent, else its value.
 */
int vm_has(const struct vm *vm, int cap)
{
	int ret = ioctl(vm->cfg->sys_fd, KVM_CHECK_EXTENSION,
			(unsigned long)cap);

	return ret < 0 ? 0 : ret;
}

/**
 * vm_finish() - end the machine
 * @vm: machine
 * @end: why; only the first reason counts
 */
void vm_finish(struct vm *vm, enum vm_end end)
{
	int running = VM_RUNNING;
	uint64_t one = 1;

	if (!atomic_compare_exchange_strong(&vm->end, &running, end))
		return;
	if (write(vm->end_fd, &one, sizeof(one)) < 0)
		report_errno(errno, "%s: cannot end", vm->cfg->name);
}

/**
 * vm_was_killed() - the hypervisor does nothing more for us: was it ended under us?
 * @vm: machine
 * @err: errno of an ioctl that does not fail of itself
 *
 * Return: true, and then the machine is at its end.
 */
bool vm_was_killed(struct vm *vm, int err)
{
	if (err != EIO)
		return false;
	if (atomic_load(&vm->end) == VM_RUNNING)
		report("%s was ended from outside; if nobody did, the kernel's log tells why",
		       vm->cfg->name);
	vm_finish(vm, VM_STOPPED);
	return true;
}

static int create_fd(struct vm *vm)
{
	const struct vm_config *cfg = vm->cfg;
	unsigned int i, max;
	int err;

	for (i = 0; i < ARRAY_SIZE(required); i++) {
		if (vm_has(vm, required[i].cap))
			continue;
		report("%s doesn't offer %s", cfg->accel, required[i].name);
		return -EOPNOTSUPP;
	}
	max = vm_has(vm, KVM_CAP_MAX_VCPUS);
	if (!max)
		max = vm_has(vm, KVM_CAP_NR_VCPUS);
	if (max && cfg->vcpus > max) {
		report("%s allows %u vCPUs in a VM, not %u (-p)", cfg->accel,
		       max, cfg->vcpus);
		return -EINVAL;
	}
	do {
		vm->fd = ioctl(cfg->sys_fd, KVM_CREATE_VM, 0);
	} while (vm->fd < 0 && errno == EINTR);
	if (vm->fd >= 0)
		return 0;
	err = errno;
	if (err == EBUSY)
		report_busy(cfg->accel);
	else
		report_errno(err, "%s: cannot create a VM", cfg->accel);
	return -err;
}

static int create_irqchip(struct vm *vm)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t identity = IDENTITY_MAP_ADDR;

	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)TSS_ADDR) < 0)
		return -errno;
	if (vm_has(vm, KVM_CAP_SET_IDENTITY_MAP_ADDR) &&
	    ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
		return -errno;
	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0 ||
	    ioctl(vm->fd, KVM_CREATE_PIT2, &pit) < 0)
		return -errno;
	return irq_init(vm);
}

static int create_memory(struct vm *vm)
{
	int ret = mem_init(&vm->mem, vm->cfg->mem);

	if (!ret)
		ret = mem_register(&vm->mem, vm->fd);
	if (ret)
		report_errno(-ret, "%s: cannot give the guest %llu MiB of memory",
			     vm->cfg->name,
			     (unsigned long long)(vm->cfg->mem >> 20));
	return ret;
}

static int create_host_devices(struct machine *m)
{
	const struct vm_config *cfg = m->vm.cfg;
	unsigned int i;
	int ret;

	m->host = calloc(cfg->ndevices + 1, sizeof(struct pci_host *));
	if (!m->host) {
		report_errno(ENOMEM, "%s", cfg->name);
		return -ENOMEM;
	}
	for (i = 0; i < cfg->ndevices; i++) {
		ret = cfg->supervisor->attach(cfg->supervisor, &cfg->devices[i]);
		if (ret)
			return ret;
		m->host[i] = pci_host_create(&m->vm, cfg->devices[i].address, i);
		if (!m->host[i]) {
			report_errno(errno, "device %s", cfg->devices[i].address);
			return -EINVAL;
		}
	}
	return 0;
}

static int create_devices(struct machine *m)
{
	struct vm *vm = &m->vm;
	const struct vm_config *cfg = vm->cfg;
	unsigned int i;
	int ret;

	vm->pm = pm_create(vm);
	vm->rtc = rtc_create(vm);
	vm->pci = pci_create(vm);
	m->disk = calloc(cfg->ndisks + 1, sizeof(struct virtio_dev *));
	if (!vm->pm || !vm->rtc || !vm->pci || !m->disk) {
		report_errno(ENOMEM, "%s", cfg->name);
		return -ENOMEM;
	}
	ret = console_connect(cfg->console, vm);
	if (ret) {
		report_errno(-ret, "%s: console", cfg->name);
		return ret;
	}
	for (i = 0; i < cfg->ndisks; i++) {
		m->disk[i] = virtio_blk_create(vm, &cfg->disks[i], i);
		if (m->disk[i])
			continue;
		if (errno == ENODATA)
			report("disk %s is empty: it has not even one sector",
			       cfg->disks[i].path);
		else
			report_errno(errno, "disk %s", cfg->disks[i].path);
		return -EINVAL;
	}
	m->rng = virtio_rng_create(vm);
	if (!m->rng) {
		report_errno(errno, "%s: virtio-rng", cfg->name);
		return -EINVAL;
	}
	return create_host_devices(m);
}

static int create_vcpus(struct vm *vm)
{
	unsigned int i;
	int ret = 0;

	vm->vcpus = calloc(vm->cfg->vcpus, sizeof(*vm->vcpus));
	if (!vm->vcpus)
		return -ENOMEM;
	for (i = 0; i < vm->cfg->vcpus; i++)
		vm->vcpus[i].fd = -1;
	for (; vm->nvcpus < vm->cfg->vcpus && !ret; vm->nvcpus++)
		ret = vcpu_init(vm, &vm->vcpus[vm->nvcpus], vm->nvcpus);
	for (i = 0; i < vm->nvcpus && !ret; i++)
		ret = vcpu_setup(&vm->vcpus[i]);
	if (ret)
		report_errno(-ret, "%s: cannot set the vCPUs up", vm->cfg->name);
	return ret;
}

static int create(struct machine *m)
{
	struct vm *vm = &m->vm;
	int ret;

	vm->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	vm->loop = loop_create(&vm->lock);
	if (vm->end_fd < 0 || !vm->loop) {
		report_errno(errno, "%s", vm->cfg->name);
		return -EMFILE;
	}
	ret = create_fd(vm);
	if (!ret)
		ret = vm->cfg->supervisor->created(vm->cfg->supervisor, vm->fd);
	if (ret)
		return ret;
	ret = create_irqchip(vm);
	if (ret) {
		report_errno(-ret, "%s: interrupt controllers", vm->cfg->name);
		return ret;
	}
	ret = create_memory(vm);
	if (!ret)
		ret = create_devices(m);
	if (ret)
		return ret;
	ret = boot_load(vm);
	return ret ? ret : create_vcpus(vm);
}

/* The one teardown, for a machine in any stage. */
static void destroy(struct machine *m)
{
	struct vm *vm = &m->vm;
	unsigned int i;

	for (i = 0; i < vm->nvcpus; i++)
		vcpu_stop(&vm->vcpus[i]);
	loop_stop(vm->loop);
	/* No thread is left: devices may go, while the loop still exists. */
	for (i = 0; m->disk && i < vm->cfg->ndisks; i++)
		if (m->disk[i])
			virtio_blk_destroy(m->disk[i]);
	if (m->rng)
		virtio_rng_destroy(m->rng);
	free(m->disk);
	for (i = 0; m->host && i < vm->cfg->ndevices; i++)
		if (m->host[i])
			pci_host_destroy(m->host[i]);
	free(m->host);
	console_disconnect(vm->cfg->console);
	rtc_destroy(vm->rtc);
	pm_destroy(vm->pm);
	for (i = 0; i < vm->nvcpus; i++)
		vcpu_destroy(&vm->vcpus[i]);
	free(vm->vcpus);
	if (vm->fd >= 0)
		irq_destroy(vm);
	pci_destroy(vm->pci);
	loop_destroy(vm->loop);
	if (vm->fd >= 0)
		close(vm->fd);
	mem_destroy(&vm->mem);
	if (vm->end_fd >= 0)
		close(vm->end_fd);
	pthread_mutex_destroy(&vm->lock);
	free(m);
}

static void fulfil(struct vm *vm, enum wish wish)
{
	switch (wish) {
	case WISH_STOP:
		vm_finish(vm, VM_STOPPED);
		break;
	case WISH_POWER_BUTTON:
		pthread_mutex_lock(&vm->lock);
		pm_power_button(vm->pm);
		pthread_mutex_unlock(&vm->lock);
		break;
	case WISH_NOTHING:
		break;
	}
}

static void wait_end(struct vm *vm)
{
	struct supervisor *sup = vm->cfg->supervisor;
	struct pollfd p[1 + SUPERVISOR_FDS];
	unsigned int i;

	while (atomic_load(&vm->end) == VM_RUNNING) {
		p[0] = (struct pollfd){ .fd = vm->end_fd, .events = POLLIN };
		for (i = 0; i < SUPERVISOR_FDS; i++)
			p[1 + i] = (struct pollfd){ .fd = sup->fd[i],
						    .events = POLLIN };
		if (poll(p, ARRAY_SIZE(p), -1) <= 0)
			continue;
		for (i = 0; i < SUPERVISOR_FDS; i++)
			if (p[1 + i].revents)
				fulfil(vm, sup->wish(sup, i));
	}
}

/**
 * vm_run() - build a machine, run it, tear it down
 * @cfg: what to run
 *
 * Return: how it ended; VM_ERROR with the error reported.
 */
enum vm_end vm_run(const struct vm_config *cfg)
{
	struct machine *m = calloc(1, sizeof(*m));
	enum vm_end end = VM_ERROR;
	struct vm *vm;
	unsigned int i;
	int ret;

	if (!m) {
		report_errno(ENOMEM, "%s", cfg->name);
		return VM_ERROR;
	}
	vm = &m->vm;
	vm->cfg = cfg;
	vm->fd = -1;
	vm->end_fd = -1;
	atomic_init(&vm->end, VM_RUNNING);
	pthread_mutex_init(&vm->lock, NULL);
	ret = create(m);
	if (!ret) {
		ret = loop_start(vm->loop);
		for (i = 0; i < vm->nvcpus && !ret; i++)
			ret = vcpu_start(&vm->vcpus[i]);
		if (ret) {
			report_errno(-ret, "%s: cannot start its threads",
				     cfg->name);
			vm_finish(vm, VM_ERROR);
		} else {
			cfg->supervisor->started(cfg->supervisor);
		}
		wait_end(vm);
		end = atomic_load(&vm->end);
	}
	destroy(m);
	cfg->supervisor->ended(cfg->supervisor);
	return end;
}
