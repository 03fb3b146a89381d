/* SPDX-License-Identifier: GPL-2.0 */
/* vmctl's tests: text over descriptors. */
#ifndef VMCTL_TESTS_TALK_H
#define VMCTL_TESTS_TALK_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS	5000

/* Read until @text has come. */
static inline void expect(int fd, const char *text)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[8192] = "";
	size_t n = 0;

	while (!strstr(buf, text)) {
		ssize_t got;

		assert_int_equal(poll(&p, 1, TIMEOUT_MS), 1);
		got = read(fd, buf + n, sizeof(buf) - 1 - n);
		assert_true(got > 0);
		n += got;
		buf[n] = '\0';
	}
}

static inline void send_text(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

#endif
