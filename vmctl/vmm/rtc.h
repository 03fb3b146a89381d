/* SPDX-License-Identifier: GPL-2.0 */
/* The MC146818 clock and its RAM: tells the time, takes no alarms. */
#ifndef VMM_RTC_H
#define VMM_RTC_H

#include <stdint.h>
#include <time.h>

struct rtc;
struct vm;

struct rtc *rtc_create(struct vm *vm);
void rtc_destroy(struct rtc *rtc);
uint8_t rtc_register(const struct tm *tm, const uint8_t *ram, uint8_t index);

#endif
