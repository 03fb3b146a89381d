/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vmctl: what the commands share: the command table's shape, exit statuses,
 * one way to report an error, parsing of arguments.
 */
#ifndef VMCTL_H
#define VMCTL_H

#include <stdbool.h>
#include <stdint.h>

#define VMCTL_DEFAULT_ACCEL	"/dev/lhv"

/* Exit statuses of vmctl, documented in vmctl(8). */
enum vmctl_status {
	STATUS_OK	= 0,	/* done; of start: the guest powered off */
	STATUS_ERROR	= 1,	/* vmctl or the host failed */
	STATUS_USAGE	= 2,	/* the command line is wrong */
	STATUS_REBOOT	= 3,	/* the guest rebooted and --no-reboot was given */
	STATUS_CRASH	= 4,	/* the guest crashed: triple fault, internal error */
	STATUS_STOPPED	= 5,	/* stopped from outside: a signal or the escape */
	STATUS_UNKNOWN	= 6,	/* of wait: it has ended, and nobody says how */
};

/**
 * struct command - one line of the command table
 * @name: what the user types, or an unambiguous prefix of it
 * @run: gets argv from the command's own name on; returns the exit status
 * @usage: the arguments, for the usage text
 */
struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage;
};

int cmd_console(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_device(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_metrics(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_sched(int argc, char **argv);
int cmd_start(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_wait(int argc, char **argv);
int cmd_host(int argc, char **argv);

const struct command *command_find(const struct command *table, unsigned int n,
				   const char *name, bool *ambiguous);
int command_usage(const char *name);
int command_run(int argc, char **argv);

void report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void report_to_syslog(const char *ident);
void report_errno(int err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

int parse_size(const char *s, uint64_t *bytes);
int parse_uint(const char *s, unsigned int min, unsigned int max,
	       unsigned int *value);
bool valid_vm_name(const char *name);

#endif
