// SPDX-License-Identifier: GPL-2.0
/* Error lines and the parsing of command line arguments. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "vmctl.h"

#define NAME_MAX_LEN	64

static bool to_syslog;

/* From now on there is no terminal to report to. */
void report_to_syslog(const char *ident)
{
	openlog(ident, LOG_PID, LOG_DAEMON);
	to_syslog = true;
}

static void vreport(int err, const char *fmt, va_list ap)
{
	char line[1024];
	int n;

	n = vsnprintf(line, sizeof(line), fmt, ap);
	if (n < 0)
		return;
	if (to_syslog) {
		syslog(LOG_ERR, "%s%s%s", line, err ? ": " : "", err ? strerror(err) : "");
		return;
	}
	/* The terminal may be raw: a line end needs its carriage return. */
	fprintf(stderr, "vmctl: %s%s%s%s\n", line, err ? ": " : "",
		err ? strerror(err) : "", isatty(STDERR_FILENO) ? "\r" : "");
	fflush(stderr);
}

/**
 * report() - print one error line
 * @fmt: what was wrong, with what, and what to do
 */
void report(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vreport(0, fmt, ap);
	va_end(ap);
}

/**
 * report_errno() - print one error line that ends in the text of an errno
 * @err: positive errno
 * @fmt: what was being done
 */
void report_errno(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vreport(err, fmt, ap);
	va_end(ap);
}

/**
 * parse_size() - parse a memory size: a number with K, M, G or T
 * @s: text; without a suffix it counts mebibytes, as vmctl(8) has it
 * @bytes: result
 *
 * Return: 0, -EINVAL for a malformed number, -ERANGE for one too large.
 */
int parse_size(const char *s, uint64_t *bytes)
{
	unsigned int shift = 20;
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)s[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno)
		return -ERANGE;
	switch (toupper((unsigned char)*end)) {
	case '\0':
		break;
	case 'B':
		shift = 0;
		end++;
		break;
	case 'K':
		shift = 10;
		end++;
		break;
	case 'M':
		end++;
		break;
	case 'G':
		shift = 30;
		end++;
		break;
	case 'T':
		shift = 40;
		end++;
		break;
	default:
		return -EINVAL;
	}
	if (*end)
		return -EINVAL;
	if (v > UINT64_MAX >> shift)
		return -ERANGE;
	*bytes = (uint64_t)v << shift;
	return 0;
}

/**
 * parse_uint() - parse a decimal number within limits
 * @s: text
 * @min: smallest value taken
 * @max: largest value taken
 * @value: result
 *
 * Return: 0, -EINVAL for no number, -ERANGE outside of the limits.
 */
int parse_uint(const char *s, unsigned int min, unsigned int max,
	       unsigned int *value)
{
	unsigned long v;
	char *end;

	if (!isdigit((unsigned char)s[0]))
		return -EINVAL;
	errno = 0;
	v = strtoul(s, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno || v < min || v > max)
		return -ERANGE;
	*value = v;
	return 0;
}

/**
 * valid_vm_name() - may this be the name of a VM?
 * @name: starts with a letter, goes on with letters, digits, '-', '_', '.'
 */
bool valid_vm_name(const char *name)
{
	size_t i;

	if (!isalpha((unsigned char)name[0]) || strlen(name) >= NAME_MAX_LEN)
		return false;
	for (i = 1; name[i]; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i]))
			return false;
	return true;
}

/**
 * command_find() - look a command up by its name or an unambiguous prefix
 * @table: commands
 * @n: how many
 * @name: what the user typed
 * @ambiguous: set when several commands begin so
 */
const struct command *command_find(const struct command *table, unsigned int n,
				   const char *name, bool *ambiguous)
{
	const struct command *found = NULL;
	size_t len = strlen(name);
	unsigned int i;

	*ambiguous = false;
	if (!len)
		return NULL;
	for (i = 0; i < n; i++) {
		if (!strcmp(table[i].name, name)) {
			*ambiguous = false;
			return &table[i];
		}
		if (strncmp(table[i].name, name, len))
			continue;
		if (found)
			*ambiguous = true;
		found = &table[i];
	}
	return *ambiguous ? NULL : found;
}
