// SPDX-License-Identifier: GPL-2.0
/* Command names, sizes, numbers, VM names, the console's escape. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../terminal.h"
#include "../vmctl.h"

static void sizes(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(parse_size("512", &v), 0);
	assert_int_equal(v, 512ULL << 20);
	assert_int_equal(parse_size("512M", &v), 0);
	assert_int_equal(v, 512ULL << 20);
	assert_int_equal(parse_size("3g", &v), 0);
	assert_int_equal(v, 3ULL << 30);
	assert_int_equal(parse_size("1024K", &v), 0);
	assert_int_equal(v, 1ULL << 20);
	assert_int_equal(parse_size("4096B", &v), 0);
	assert_int_equal(v, 4096);
	assert_int_equal(parse_size("1T", &v), 0);
	assert_int_equal(v, 1ULL << 40);
	assert_int_equal(parse_size("0", &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(parse_size("", &v), -EINVAL);
	assert_int_equal(parse_size("-1M", &v), -EINVAL);
	assert_int_equal(parse_size(" 1M", &v), -EINVAL);
	assert_int_equal(parse_size("M", &v), -EINVAL);
	assert_int_equal(parse_size("1X", &v), -EINVAL);
	assert_int_equal(parse_size("1MB", &v), -EINVAL);
	assert_int_equal(parse_size("99999999999T", &v), -ERANGE);
	assert_int_equal(parse_size("99999999999999999999999", &v), -ERANGE);
}

static void numbers(void **state)
{
	unsigned int v;

	(void)state;
	assert_int_equal(parse_uint("4", 1, 255, &v), 0);
	assert_int_equal(v, 4);
	assert_int_equal(parse_uint("0", 1, 255, &v), -ERANGE);
	assert_int_equal(parse_uint("256", 1, 255, &v), -ERANGE);
	assert_int_equal(parse_uint("4294967297", 1, 255, &v), -ERANGE);
	assert_int_equal(parse_uint("4x", 1, 255, &v), -EINVAL);
	assert_int_equal(parse_uint("-4", 1, 255, &v), -EINVAL);
	assert_int_equal(parse_uint("", 1, 255, &v), -EINVAL);
}

static void names(void **state)
{
	char name[100];

	(void)state;
	assert_true(valid_vm_name("web-1.example_x"));
	assert_false(valid_vm_name(""));
	assert_false(valid_vm_name("1web"));
	assert_false(valid_vm_name("-web"));
	assert_false(valid_vm_name("we b"));
	assert_false(valid_vm_name("../web"));
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_false(valid_vm_name(name));
}

static void commands(void **state)
{
	static const struct command table[] = {
		{ "start", NULL, "" }, { "status", NULL, "" },
		{ "stop", NULL, "" }, { "host", NULL, "" }, { "hosts", NULL, "" },
	};
	bool ambiguous;

	(void)state;
	assert_ptr_equal(command_find(table, 5, "sto", &ambiguous), &table[2]);
	assert_ptr_equal(command_find(table, 5, "star", &ambiguous), &table[0]);
	assert_null(command_find(table, 5, "sta", &ambiguous));
	assert_true(ambiguous);
	assert_ptr_equal(command_find(table, 5, "host", &ambiguous), &table[3]);
	assert_false(ambiguous);
	assert_null(command_find(table, 5, "x", &ambiguous));
	assert_false(ambiguous);
	assert_null(command_find(table, 5, "", &ambiguous));
	assert_null(command_find(table, 5, "starting", &ambiguous));
}

static void usage_by_prefix(void **state)
{
	char name[] = "vmctl", prefix[] = "paus", text[256] = "", *argv[] = { name, prefix, NULL };
	int saved = dup(STDERR_FILENO), out = memfd_create("stderr", 0), status;

	(void)state;
	dup2(out, STDERR_FILENO);
	status = command_run(2, argv);
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_int_equal(status, STATUS_USAGE);
	assert_true(pread(out, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "usage: vmctl pause id|name\n");
	close(out);
}

static void escape_is(const char *typed, enum escape_action action,
		      const char *sent, size_t consumed)
{
	struct escape e = { 0 };
	uint8_t out[64];
	size_t used, nout;

	assert_int_equal(escape_filter(&e, (const uint8_t *)typed, strlen(typed),
				       &used, out, &nout), action);
	assert_int_equal(used, consumed);
	assert_int_equal(nout, strlen(sent));
	assert_memory_equal(out, sent, nout);
}

static void escapes(void **state)
{
	struct escape e = { 0 };
	uint8_t out[8];
	size_t used, nout;

	(void)state;
	escape_is("hello\r", ESCAPE_NONE, "hello\r", 6);
	escape_is("~.rest", ESCAPE_DETACH, "", 2);
	escape_is("~q", ESCAPE_STOP, "", 2);
	escape_is("~?", ESCAPE_HELP, "", 2);
	escape_is("ls\r~.", ESCAPE_DETACH, "ls\r", 5);
	escape_is("a~.", ESCAPE_NONE, "a~.", 3);
	escape_is("~~.", ESCAPE_NONE, "~.", 3);
	escape_is("~/x", ESCAPE_NONE, "~/x", 3);
	escape_is("~\r~.", ESCAPE_DETACH, "~\r", 4);
	/* In two pieces, as a person types. */
	assert_int_equal(escape_filter(&e, (const uint8_t *)"~", 1, &used, out,
				       &nout), ESCAPE_NONE);
	assert_int_equal(nout, 0);
	assert_int_equal(escape_filter(&e, (const uint8_t *)".", 1, &used, out,
				       &nout), ESCAPE_DETACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes), cmocka_unit_test(numbers),
		cmocka_unit_test(names), cmocka_unit_test(commands),
		cmocka_unit_test(usage_by_prefix), cmocka_unit_test(escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
