// SPDX-License-Identifier: GPL-2.0
/* The MC146818 clock, in UTC. A guest may set it; what it sets is an offset. */
#include <stdlib.h>

#include "rtc.h"
#include "vmm.h"

#define RTC_SECONDS	0x00
#define RTC_MINUTES	0x02
#define RTC_HOURS	0x04
#define RTC_WEEKDAY	0x06
#define RTC_DAY		0x07
#define RTC_MONTH	0x08
#define RTC_YEAR	0x09
#define RTC_REG_A	0x0a
#define RTC_REG_B	0x0b
#define RTC_REG_C	0x0c
#define RTC_REG_D	0x0d
#define RTC_CENTURY	0x32
#define RTC_RAM		128

#define REG_A_32KHZ	0x26	/* divider and rate as PC firmware sets them */
#define REG_B_24H	0x02
#define REG_B_BINARY	0x04
#define REG_B_SET	0x80
#define REG_D_VALID	0x80
#define INDEX_MASK	0x7f	/* bit 7 of the index port masks NMI on a PC */

struct rtc {
	uint8_t index;
	uint8_t ram[RTC_RAM];
	time_t offset;		/* guest's time less the host's */
	struct tm setting;	/* what the guest writes while REG_B_SET */
	struct bus_range range;
};

static uint8_t encode(const uint8_t *ram, int v)
{
	if (ram[RTC_REG_B] & REG_B_BINARY)
		return v;
	return (v / 10) << 4 | v % 10;
}

static int decode(const uint8_t *ram, uint8_t v)
{
	if (ram[RTC_REG_B] & REG_B_BINARY)
		return v;
	return (v >> 4) * 10 + (v & 0xf);
}

/**
 * rtc_register() - what a register reads as
 * @tm: the time
 * @ram: the other registers and the RAM
 * @index: which register
 */
uint8_t rtc_register(const struct tm *tm, const uint8_t *ram, uint8_t index)
{
	int hour = tm->tm_hour;

	switch (index & INDEX_MASK) {
	case RTC_SECONDS:
		return encode(ram, tm->tm_sec);
	case RTC_MINUTES:
		return encode(ram, tm->tm_min);
	case RTC_HOURS:
		if (ram[RTC_REG_B] & REG_B_24H)
			return encode(ram, hour);
		return encode(ram, hour % 12 ? hour % 12 : 12) |
		       (hour >= 12 ? 0x80 : 0);
	case RTC_WEEKDAY:
		return encode(ram, tm->tm_wday + 1);
	case RTC_DAY:
		return encode(ram, tm->tm_mday);
	case RTC_MONTH:
		return encode(ram, tm->tm_mon + 1);
	case RTC_YEAR:
		return encode(ram, (tm->tm_year + 1900) % 100);
	case RTC_CENTURY:
		return encode(ram, (tm->tm_year + 1900) / 100);
	case RTC_REG_A:
		return REG_A_32KHZ;	/* never an update in progress */
	case RTC_REG_C:
		return 0;
	case RTC_REG_D:
		return REG_D_VALID;
	default:
		return ram[index & INDEX_MASK];
	}
}

static void set_time(struct rtc *rtc, uint8_t index, uint8_t v)
{
	struct tm *tm = &rtc->setting;
	int n = decode(rtc->ram, v), year = tm->tm_year + 1900;

	switch (index) {
	case RTC_SECONDS:
		tm->tm_sec = n;
		break;
	case RTC_MINUTES:
		tm->tm_min = n;
		break;
	case RTC_HOURS:
		if (rtc->ram[RTC_REG_B] & REG_B_24H)
			tm->tm_hour = n;
		else
			tm->tm_hour = decode(rtc->ram, v & 0x7f) % 12 +
				      (v & 0x80 ? 12 : 0);
		break;
	case RTC_DAY:
		tm->tm_mday = n;
		break;
	case RTC_MONTH:
		tm->tm_mon = n - 1;
		break;
	case RTC_YEAR:
		tm->tm_year = year / 100 * 100 + n % 100 - 1900;
		break;
	case RTC_CENTURY:
		tm->tm_year = year % 100 + n * 100 - 1900;
		break;
	default:
		break;
	}
}

static void now(const struct rtc *rtc, struct tm *tm)
{
	time_t t = time(NULL) + rtc->offset;

	/* A guest may have set a year that these registers do not hold. */
	if (!gmtime_r(&t, tm) || tm->tm_year < -1900 || tm->tm_year > 9999 - 1900)
		*tm = (struct tm){ .tm_mday = 1, .tm_year = 70 };
}

static void rtc_write(struct rtc *rtc, uint8_t v)
{
	uint8_t index = rtc->index;
	bool was_set = rtc->ram[RTC_REG_B] & REG_B_SET;

	switch (index) {
	case RTC_REG_A:
	case RTC_REG_C:
	case RTC_REG_D:
		return;
	case RTC_REG_B:
		if (!was_set && (v & REG_B_SET))
			now(rtc, &rtc->setting);
		rtc->ram[index] = v;
		if (was_set && !(v & REG_B_SET))
			rtc->offset = timegm(&rtc->setting) - time(NULL);
		return;
	case RTC_SECONDS:
	case RTC_MINUTES:
	case RTC_HOURS:
	case RTC_WEEKDAY:
	case RTC_DAY:
	case RTC_MONTH:
	case RTC_YEAR:
	case RTC_CENTURY:
		if (!was_set)
			now(rtc, &rtc->setting);
		set_time(rtc, index, v);
		if (!was_set)
			rtc->offset = timegm(&rtc->setting) - time(NULL);
		return;
	default:
		rtc->ram[index] = v;
	}
}

static void rtc_access(void *arg, uint64_t off, uint8_t *data,
		       unsigned int len, bool write)
{
	struct rtc *rtc = arg;
	struct tm tm;

	if (len != 1)
		return;
	if (off == 0) {
		if (write)
			rtc->index = data[0] & INDEX_MASK;
		return;
	}
	if (write) {
		rtc_write(rtc, data[0]);
	} else {
		now(rtc, &tm);
		data[0] = rtc_register(&tm, rtc->ram, rtc->index);
	}
}

struct rtc *rtc_create(struct vm *vm)
{
	struct rtc *rtc = calloc(1, sizeof(*rtc));

	if (!rtc)
		return NULL;
	rtc->ram[RTC_REG_B] = REG_B_24H;
	rtc->range = (struct bus_range){ .base = PORT_RTC, .size = 2,
					 .fn = rtc_access, .arg = rtc };
	bus_add(&vm->pio, &rtc->range);
	return rtc;
}

void rtc_destroy(struct rtc *rtc)
{
	free(rtc);
}
