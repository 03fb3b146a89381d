// SPDX-License-Identifier: GPL-2.0
/*
 * vmctl: control virtual machines on lhv.
 *
 * What it is for: the shell user's one tool. What enters: a command line.
 * What leaves: one line per error, an exit status. It must not know how a
 * command does its work.
 */
#include "vmctl.h"

int main(int argc, char **argv)
{
	return command_run(argc, argv);
}
