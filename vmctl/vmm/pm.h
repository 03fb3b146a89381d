/* SPDX-License-Identifier: GPL-2.0 */
/* ACPI fixed hardware: PM1 event and control, the PM timer; reset. */
#ifndef VMM_PM_H
#define VMM_PM_H

/* Offsets from PORT_PM. */
#define PM_EVENT	0
#define PM_EVENT_LEN	4
#define PM_CONTROL	4
#define PM_CONTROL_LEN	2
#define PM_TIMER	8
#define PM_TIMER_LEN	4
#define PM_LEN		12

struct pm;
struct vm;

struct pm *pm_create(struct vm *vm);
void pm_destroy(struct pm *pm);
void pm_power_button(struct pm *pm);

#endif
