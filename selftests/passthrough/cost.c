// SPDX-License-Identifier: GPL-2.0
/*
 * From a device's interrupt to the guest's handler: out of the guest, the host's handler, and in
 * again. The guest makes the device raise it, by a register that it has mapped.
 */
#include <asm/kvm.h>
#include <sys/mman.h>

#include "../guest/guest.h"
#include "device.h"

#define SAMPLES		201
#define VECTOR		0x40
#define MSI_ADDRESS	0xfee00000

static volatile uint32_t g_samples[SAMPLES];
static volatile uint64_t g_arrived;

static void g_interrupt(struct frame *frame)
{
	(void)frame;
	g_arrived = rdtsc();
	x2apic_write(APIC_EOI, 0);
}

static inline void g_reg(unsigned int reg, uint32_t value)
{
	*(volatile uint32_t *)(GUEST_EXTRA + (uintptr_t)reg) = value;
}

static void g_device(void)
{
	uint64_t from;
	int i;

	x2apic_on();
	g_handlers[VECTOR] = g_interrupt;
	sti();
	for (i = 0; i < SAMPLES; i++) {
		g_arrived = 0;
		from = rdtsc();
		g_reg(EDU_REG_RAISE, 1);
		while (!g_arrived)
			relax();
		g_samples[i] = g_arrived - from;
		g_reg(EDU_REG_ACK, 1);
	}
	g_done();
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * In a machine whose TSC counts instructions (lab --icount) DEVICE_COST is how many there may be, all
 * of the host's and the guest's own included.
 */
TEST(interrupt_cost)
{
	const char *address = find_edu(0), *most = getenv("DEVICE_COST");
	struct lhv_device_irq irq = { .type = LHV_DEVICE_IRQ_MSI };
	struct lhv_device_vector v = { .address = MSI_ADDRESS, .data = VECTOR };
	struct vm *vm = machine(VM_IRQCHIP);
	struct vcpu *vcpu = machine_vcpu(vm, g_device);
	struct nl *nl = nl_open();
	uint32_t *samples;
	struct edu edu;

	take(nl, address);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, address, vm_id(vm->fd), true), 0);
	edu = edu_open(vm->fd, address);
	CHECK_OK(ioctl(edu.fd, LHV_DEVICE_VECTOR, &v));
	CHECK_OK(ioctl(edu.fd, LHV_DEVICE_IRQ, &irq));
	vm_set_slot(vm, 1, 0, GUEST_EXTRA, EDU_BAR_SIZE, (void *)edu.bar);
	CHECK_OK(ioctl(vcpu->fd, KVM_RUN, 0));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);
	CHECK_EQ(vcpu->run->io.port, PORT_DONE);
	samples = guest_ptr(vm, g_samples);
	qsort(samples, SAMPLES, sizeof(*samples), by_value);
	test_note("%u ticks of the TSC, the least %u", samples[SAMPLES / 2], samples[0]);
	if (most)
		CHECK(samples[SAMPLES / 2] <= strtoul(most, NULL, 0));
	give_back(nl, address);
}
