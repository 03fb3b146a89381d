// SPDX-License-Identifier: GPL-2.0
/*
 * vmctl: control virtual machines on lhv.
 *
 * What it is for: the shell user's one tool. What enters: a command line.
 * What leaves: one line per error, an exit status. It must not know how a
 * command does its work.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "vmctl.h"

/* No file gets the number of one of the three that the caller has closed; to write there fails. */
static void fill_standard(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	int status;

	fill_standard();
	status = command_run(argc, argv);
	errno = EIO;			/* when it went wrong before */
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	report_errno(errno, "cannot write to standard output");
	return status ? status : STATUS_ERROR;
}
