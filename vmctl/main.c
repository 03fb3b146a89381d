// SPDX-License-Identifier: GPL-2.0
/*
 * vmctl: control virtual machines on lhv.
 *
 * What it is for: the shell user's one tool. What enters: a command line.
 * What leaves: one line per error, an exit status. It must not know how a
 * command does its work.
 */
#include <errno.h>
#include <stdio.h>

#include "vmctl.h"

int main(int argc, char **argv)
{
	int status = command_run(argc, argv);

	errno = EIO;			/* when it went wrong before */
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	report_errno(errno, "cannot write to standard output");
	return status ? status : STATUS_ERROR;
}
