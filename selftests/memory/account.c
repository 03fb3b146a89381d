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

/* The tables that map 64 MiB in small pages: at least 32 of them, charged and counted as such. */
TEST(tables_are_charged)
{
	uint64_t kernel, tables, least = PAGES / 512 * PAGE_SIZE, most = -1;
	const char *cg = own_cgroup();
	uint8_t *mem = map_memory(SIZE, HUGE);
	struct vm *vm;

	advise(mem, SIZE, MADV_NOHUGEPAGE);
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
 * Figures, not a test: kernel memory of a VM, and of a vCPU that has run and faulted, as the
 * memory cgroup has it, without page tables that are in use and without stacks; and what the
 * whole system has less, tables and guest memory included.
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

/* KVM counts a table when it comes into use, we when it is allocated. */
static uint64_t tables_in_use(const char *cg)
{
	unsigned long long tables;
	uint64_t sum = 0;
	FILE *f;
	int pid;

	if (on_kvm())
		return charged(cg, "sec_pagetables");
	f = fopen("/sys/kernel/debug/lhv/memory", "r");
	if (!f)
		test_skip("no debugfs");
	while (fscanf(f, "%*u %d %llu%*[^\n]", &pid, &tables) == 2)
		if (pid == getpid())
			sum += tables * PAGE_SIZE;
	fclose(f);
	return sum;
}

struct cost {
	uint64_t charged, whole;
};

static struct cost cost_now(const char *cg)
{
	sleep(5);	/* see await_charged() */
	return (struct cost){ charged(cg, "kernel") - tables_in_use(cg) -
			      charged(cg, "pagetables") - charged(cg, "kernel_stack"),
			      free_memory() };
}

static void print_cost(const char *what, const char *name, struct cost from, struct cost to,
		       unsigned int n)
{
	test_note("figure %s%s: %lld bytes charged, %lld bytes less free", what, name,
		  (long long)(to.charged - from.charged) / n,
		  (long long)(from.whole - to.whole) / n);
}

static void run_once(struct vm *vm)
{
	struct vcpu *vcpu = machine_vcpu(vm, g_once);
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };

	CHECK_OK(ioctl(vcpu->fd, KVM_SET_MP_STATE, &state));
	vcpu_done(vcpu);
}

static void cost_of(const char *name, unsigned int flags)
{
	const char *cg = own_cgroup();
	struct cost start, made, full;
	struct vm *vms[VMS];
	int i, j;

	/* What is allocated once for all */
	run_once(machine(flags));
	start = cost_now(cg);
	for (i = 0; i < VMS; i++)
		vms[i] = machine(flags);
	made = cost_now(cg);
	for (i = 0; i < VMS; i++)
		for (j = 0; j < VCPUS; j++)
			run_once(vms[i]);
	full = cost_now(cg);
	print_cost("VM", name, start, made, VMS);
	print_cost("vCPU", name, made, full, VMS * VCPUS);
}

TEST(figures_plain)
{
	cost_of("", 0);
}

TEST(figures_irqchip)
{
	cost_of(" with irqchip", VM_IRQCHIP);
}
