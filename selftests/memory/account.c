// SPDX-License-Identifier: GPL-2.0
/* What a VM costs the host, and who is charged for it. */
#include "checker.h"

#define SIZE	(64 * MIB)
#define PAGES	(SIZE / PAGE_SIZE)

static void g_touch(void)
{
	uint64_t i;

	for (i = 0; i < PAGES; i++)
		*(volatile uint64_t *)(GUEST_EXTRA + i * PAGE_SIZE) = i;
	g_done();
}

static uint64_t charged(const char *cg, const char *key)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/memory.stat", cg);
	return file_value(path, key);
}

/* From 6.9 on the statistics may lag behind by two seconds; nothing tells when they are flushed. */
static uint64_t await_charged(const char *cg, const char *key, uint64_t at_least, uint64_t at_most)
{
	uint64_t end = now_ms() + 20000, n;

	do {
		n = charged(cg, key);
		if (n >= at_least && n <= at_most)
			return n;
		usleep(100000);
	} while (now_ms() < end);
	FAIL("%s: %llu bytes, not %llu to %llu", key, (unsigned long long)n,
	     (unsigned long long)at_least, (unsigned long long)at_most);
}

/* The tables that map 64 MiB in small pages: at least 32 of them, charged and counted as such. */
TEST(tables_are_charged)
{
	uint64_t kernel, tables, least = PAGES / 512 * PAGE_SIZE, most = -1;
	const char *cg = own_cgroup();
	uint8_t *mem = map_memory(SIZE, HUGE);
	struct vm *vm;

	CHECK_OK(madvise(mem, SIZE, MADV_NOHUGEPAGE));
	memset(mem, 0, SIZE);
	CHECK_EQ(charged(cg, "sec_pagetables"), 0);
	vm = machine(0);
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, SIZE, mem);
	machine_vcpu(vm, NULL);
	kernel = charged(cg, "kernel");
	vcpu_mode(&vm->vcpus[0], LONG, (uintptr_t)g_touch);
	vcpu_done(&vm->vcpus[0]);
	/* Ours are counted exactly: those in use, and the few that the vCPU keeps at hand. */
	if (!on_kvm()) {
		CHECK(vm_mapped(vm).tables * PAGE_SIZE >= least);
		least = vm_mapped(vm).tables * PAGE_SIZE;
		most = least + 6 * PAGE_SIZE;
	}
	tables = await_charged(cg, "sec_pagetables", least, most);
	/* And charged: what is kernel memory counts against the limit. */
	test_note("tables: %llu bytes, kernel memory: %llu bytes more", (unsigned long long)tables,
		  (unsigned long long)(await_charged(cg, "kernel", kernel + PAGES / 512 * PAGE_SIZE, -1) -
				       kernel));
	close(vm->vcpus[0].fd);
	munmap(vm->vcpus[0].run, vm->run_size);
	close(vm->fd);
	await_charged(cg, "sec_pagetables", 0, 0);
}

/*
 * Figures, not a test: kernel memory of a VM and of a vCPU that has run, as the memory cgroup
 * has it, without second-stage tables; and what the whole system has less.
 */

#define VMS	8
#define VCPUS	8

static void g_once(void)
{
	g_done();
}

static uint64_t free_memory(void)
{
	return (file_value("/proc/meminfo", "MemFree:") + file_value("/proc/meminfo", "Cached:")) << 10;
}

struct cost {
	uint64_t charged, whole;
};

static struct cost cost_now(const char *cg)
{
	sleep(5);	/* see await_charged() */
	return (struct cost){ charged(cg, "kernel") - charged(cg, "sec_pagetables") -
			      charged(cg, "pagetables") - charged(cg, "kernel_stack"),
			      free_memory() };
}

static void print_cost(const char *what, struct cost from, struct cost to, unsigned int n)
{
	test_note("figure %s: %lld bytes charged, %lld bytes less free", what,
		  (long long)(to.charged - from.charged) / n,
		  (long long)(from.whole - to.whole) / n);
}

static void cost_of(const char *name, unsigned int flags, const char *cg)
{
	static struct vm *vms[VMS];
	struct cost start, made, full;
	char what[64];
	int i, j;

	/* What is allocated once for all */
	vcpu_done(machine_vcpu(machine(flags), g_once));
	for (i = 0; i < VMS; i++) {
		vms[i] = calloc(1, sizeof(*vms[i]));
		memset(vms[i], 0xff, sizeof(*vms[i]));
	}
	start = cost_now(cg);
	for (i = 0; i < VMS; i++) {
		vms[i]->sys = dev_open();
		vms[i]->fd = CHECK_OK(ioctl(vms[i]->sys, KVM_CREATE_VM, 0));
		if (flags & VM_IRQCHIP)
			CHECK_OK(ioctl(vms[i]->fd, KVM_CREATE_IRQCHIP, 0));
	}
	made = cost_now(cg);
	for (i = 0; i < VMS; i++) {
		vms[i]->run_size = CHECK_OK(ioctl(vms[i]->sys, KVM_GET_VCPU_MMAP_SIZE, 0));
		vms[i]->nr_vcpus = 0;
		for (j = 0; j < VCPUS; j++) {
			struct vcpu *vcpu = vcpu_add(vms[i], j);

			vcpu_set_cpuid(vcpu);
			/* Without memory nothing runs, but it was tried. */
			if (!j || !(flags & VM_IRQCHIP))
				ioctl(vcpu->fd, KVM_RUN, 0);
		}
	}
	full = cost_now(cg);
	snprintf(what, sizeof(what), "VM%s", name);
	print_cost(what, start, made, VMS);
	snprintf(what, sizeof(what), "vCPU%s", name);
	print_cost(what, made, full, VMS * VCPUS);
}

TEST(figures_plain)
{
	cost_of("", 0, own_cgroup());
}

TEST(figures_irqchip)
{
	cost_of(" with irqchip", VM_IRQCHIP, own_cgroup());
}
