// SPDX-License-Identifier: GPL-2.0
/*
 * Power management: the ports through which a guest turns the machine off
 * (PM1 control) and resets it (the reset register, the keyboard controller's
 * pulse), the power button, and the ACPI timer.
 */
#include <stdlib.h>
#include <time.h>

#include "acpi.h"
#include "pm.h"
#include "vmm.h"

#define PM1_PWRBTN		(1U << 8)	/* status and enable */
#define PM1_SCI_EN		(1U << 0)
#define PM1_SLP_TYP_SHIFT	10
#define PM1_SLP_TYP_MASK	7U
#define PM1_SLP_EN		(1U << 13)
#define PM_TIMER_HZ		3579545ULL
#define NSEC_PER_SEC		1000000000ULL

#define RESET_CPU		(1U << 2)
#define I8042_PULSE_RESET	0xfe

struct pm {
	struct vm *vm;
	uint16_t status;
	uint16_t enable;
	struct bus_range range;
	struct bus_range reset;
	struct bus_range i8042;
};

static uint32_t pm_timer(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * PM_TIMER_HZ + ts.tv_nsec * PM_TIMER_HZ / NSEC_PER_SEC;
}

static void pm_control(struct pm *pm, uint16_t v)
{
	if ((v & PM1_SLP_EN) &&
	    ((v >> PM1_SLP_TYP_SHIFT) & PM1_SLP_TYP_MASK) == ACPI_SLP_TYP_S5)
		vm_finish(pm->vm, VM_POWEROFF);
}

/* The SCI is a level: it stays until the guest has cleared what it was told. */
static void update_sci(struct pm *pm)
{
	irq_line(pm->vm, GSI_SCI, (pm->status & pm->enable) != 0);
}

/**
 * pm_power_button() - press and release the power button
 * @pm: under the device lock
 */
void pm_power_button(struct pm *pm)
{
	pm->status |= PM1_PWRBTN;
	update_sci(pm);
}

/* Status bits are cleared by writing ones. */
static void pm_event(struct pm *pm, uint64_t off, uint32_t v, unsigned int len)
{
	if (off == PM_EVENT && len >= 2)
		pm->status &= ~v;
	if (off == PM_EVENT && len == 4)
		pm->enable = v >> 16;
	else if (off == PM_EVENT + 2 && len == 2)
		pm->enable = v;
	update_sci(pm);
}

static void pm_access(void *arg, uint64_t off, uint8_t *data, unsigned int len,
		      bool write)
{
	struct pm *pm = arg;
	uint8_t regs[PM_LEN] = { 0 };

	if (write) {
		if (off < PM_EVENT + PM_EVENT_LEN)
			pm_event(pm, off, bus_get(data, len), len);
		else if (off == PM_CONTROL && len >= 2)
			pm_control(pm, bus_get(data, len));
		else if (off == PM_CONTROL + 1 && len == 1)
			pm_control(pm, (uint16_t)(data[0] << 8));
		return;
	}
	bus_put(regs + PM_EVENT, 2, pm->status);
	bus_put(regs + PM_EVENT + 2, 2, pm->enable);
	/* There's no firmware to hand over from: ACPI is always on. */
	bus_put(regs + PM_CONTROL, PM_CONTROL_LEN, PM1_SCI_EN);
	bus_put(regs + PM_TIMER, PM_TIMER_LEN, pm_timer());
	bus_put(data, len, bus_get(regs + off, len));
}

static void reset_access(void *arg, uint64_t off, uint8_t *data,
			 unsigned int len, bool write)
{
	struct pm *pm = arg;

	(void)off;
	if (!write)
		bus_put(data, len, 0);
	else if (data[0] & RESET_CPU)
		vm_finish(pm->vm, VM_REBOOT);
}

/* No keyboard controller but this one command; reads say so (all ones). */
static void i8042_access(void *arg, uint64_t off, uint8_t *data,
			 unsigned int len, bool write)
{
	struct pm *pm = arg;

	(void)off;
	if (write && len == 1 && data[0] == I8042_PULSE_RESET)
		vm_finish(pm->vm, VM_REBOOT);
}

struct pm *pm_create(struct vm *vm)
{
	struct pm *pm = calloc(1, sizeof(*pm));

	if (!pm)
		return NULL;
	pm->vm = vm;
	pm->range = (struct bus_range){ .base = PORT_PM, .size = PM_LEN,
					.fn = pm_access, .arg = pm };
	pm->reset = (struct bus_range){ .base = PORT_RESET, .size = 1,
					.fn = reset_access, .arg = pm };
	pm->i8042 = (struct bus_range){ .base = PORT_I8042_STATUS, .size = 1,
					.fn = i8042_access, .arg = pm };
	bus_add(&vm->pio, &pm->range);
	bus_add(&vm->pio, &pm->reset);
	bus_add(&vm->pio, &pm->i8042);
	return pm;
}

void pm_destroy(struct pm *pm)
{
	free(pm);
}
