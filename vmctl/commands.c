// SPDX-License-Identifier: GPL-2.0
/* The command table. */
#include <stdio.h>
#include <string.h>

#include "vmctl.h"

static const struct command commands[] = {
	{ "console", cmd_console, "id|name" },
	{ "create", cmd_create, "-s size disk" },
	{ "device", cmd_device, "list [-v] [--json] | bind address | unbind address | "
				"attach [-f] id|name address | detach address" },
	{ "events", cmd_events, "[--json] [id|name]..." },
	{ "host", cmd_host, "[--json] [--accel device]" },
	{ "list", cmd_status, "[-v] [--json] [id|name]..." },
	{ "metrics", cmd_metrics, "" },
	{ "pause", cmd_pause, "id|name" },
	{ "resume", cmd_resume, "id|name" },
	{ "sched", cmd_sched, "[--json] [-w] [-s seconds] | pool name [create|remove] [policy=p] "
			      "[cpus=list] [slots=n] [quantum=time] | id|name [pool=name] [weight=n] "
			      "[cap=percent] [priority=n] [length=time] [period=time] "
			      "[budget=time] [hybrid=yes|no]" },
	{ "show", cmd_status, "[-v] [--json] [id|name]..." },
	{ "start", cmd_start, "[-c] -b kernel [--initrd file] [--append text] "
			      "[-d disk]... [--device address[,force]]... [-m size] [-p vcpus] "
			      "[--accel device] [--foreground] [--no-reboot] name" },
	{ "stats", cmd_stats, "[-v] [--json] id|name [vcpu]" },
	{ "status", cmd_status, "[-v] [--json] [id|name]..." },
	{ "stop", cmd_stop, "[-fw] [-t seconds] id|name | -a [-fw]" },
	{ "top", cmd_top, "[-n times] [-s seconds]" },
	{ "unpause", cmd_resume, "id|name" },
	{ "wait", cmd_wait, "id|name" },
};

#define NCOMMANDS	(sizeof(commands) / sizeof(commands[0]))

/**
 * command_usage() - print how a command is used, or all of them
 * @name: a command's name, or NULL
 */
int command_usage(const char *name)
{
	size_t i;

	for (i = 0; i < NCOMMANDS; i++) {
		if (name && strcmp(name, commands[i].name))
			continue;
		fprintf(stderr, "%s vmctl %s %s\n",
			name || i == 0 ? "usage:" : "      ",
			commands[i].name, commands[i].usage);
	}
	return STATUS_USAGE;
}

/**
 * command_run() - find the command that was asked for and run it
 * @argc: of main()
 * @argv: of main()
 *
 * Return: the exit status.
 */
int command_run(int argc, char **argv)
{
	const struct command *cmd;
	bool ambiguous;

	if (argc < 2)
		return command_usage(NULL);
	cmd = command_find(commands, NCOMMANDS, argv[1], &ambiguous);
	if (!cmd) {
		report("%s command: %s", ambiguous ? "ambiguous" : "unknown",
		       argv[1]);
		return command_usage(NULL);
	}
	/* By its whole name from here on, for the usage. */
	argv[1] = (char *)cmd->name;
	return cmd->run(argc - 1, argv + 1);
}
