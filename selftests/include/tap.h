/* SPDX-License-Identifier: GPL-2.0 */
/*
 * TAP harness in the manner of kselftest.
 *
 * Each case runs in a process of its own under a time limit, so that a crash or
 * a hang fails that case alone. A failed check ends the case, from any thread.
 * Exit status of the program: 0 all passed, 1 some failed, 4 all skipped.
 *
 *	PROGRAM [-l] [-x PATTERN]... [-d DEVICE] [PATTERN...]
 *
 * DEVICE comes from -d, else from the environment's LHV_DEV, else /dev/lhv. Time limits
 * are multiplied by TAP_PATIENCE, if that is set. With TAP_AGAIN a case that failed in an
 * emulator is tried a second time.
 */
#ifndef TAP_H
#define TAP_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/**
 * struct test - one case
 * @name: what the command line and the report call it
 * @fn: the test; returning means that it passed
 * @arg: for @fn
 * @emulator: why QEMU's TCG can't pass it (KVM fails it there in the same way),
 *	with the evidence; NULL for a case that must pass everywhere
 * @timeout: seconds, 0 for the default
 */
struct test {
	const char *name;
	void (*fn)(const void *arg);
	const void *arg;
	const char *emulator;
	unsigned int timeout;
	struct test *next;
};

/* TEST(name, .emulator = "...") { ... } */
#define TEST(id, ...)							\
	static void test_##id(const void *arg);				\
	static struct test case_##id = {				\
		.name = #id, .fn = test_##id, ##__VA_ARGS__		\
	};								\
	__attribute__((constructor)) static void register_##id(void)	\
	{								\
		test_register(&case_##id);				\
	}								\
	static void test_##id(const void *arg __attribute__((unused)))

void test_register(struct test *test);

const char *test_device(void);
bool test_in_emulator(void);

void test_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void test_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void test_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), noreturn));

#define FAIL(fmt, ...) test_fail(__FILE__, __LINE__, fmt, ##__VA_ARGS__)

#define CHECK(cond)							\
	do {								\
		if (!(cond))						\
			FAIL("%s", #cond);				\
	} while (0)

/* CHECK_EQ(what is, what it should be) */
#define CHECK_EQ(is, want)						\
	do {								\
		unsigned long long is_ = (unsigned long long)(is);	\
		unsigned long long want_ = (unsigned long long)(want);	\
									\
		if (is_ != want_)					\
			FAIL("%s is %#llx, not %s = %#llx", #is, is_, #want, want_); \
	} while (0)

/* CHECK_OK(system call): not -1 */
#define CHECK_OK(call)							\
	({								\
		long ret_ = (long)(call);				\
									\
		if (ret_ == -1)						\
			FAIL("%s: %s", #call, strerror(errno));		\
		ret_;							\
	})

/* CHECK_ERR(system call, errno it must fail with) */
#define CHECK_ERR(call, err)						\
	do {								\
		long ret_ = (long)(call);				\
		int errno_ = errno;					\
									\
		if (ret_ != -1)						\
			FAIL("%s gave %ld, not %s", #call, ret_, #err);	\
		if (errno_ != (err))					\
			FAIL("%s: %s, not %s", #call, strerror(errno_), #err); \
	} while (0)

#endif
