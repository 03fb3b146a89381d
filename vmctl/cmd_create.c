// SPDX-License-Identifier: GPL-2.0
/* vmctl create: an empty disk. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>

#include "vmctl.h"

#define SECTOR	512

int cmd_create(int argc, char **argv)
{
	const char *size = NULL, *path;
	uint64_t bytes;
	int c, fd;

	optind = 1;
	while ((c = getopt(argc, argv, "s:")) != -1) {
		if (c != 's')
			return command_usage("create");
		size = optarg;
	}
	if (!size || argc - optind != 1)
		return command_usage("create");
	path = argv[optind];
	if (parse_size(size, &bytes) || bytes < SECTOR || bytes % SECTOR || bytes > INT64_MAX) {
		report("-s %s: not the size of a disk", size);
		return STATUS_USAGE;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		report_errno(errno, "cannot create %s", path);
		return STATUS_ERROR;
	}
	/* A hole: it takes room as the guest writes. */
	if (ftruncate(fd, bytes) < 0) {
		report_errno(errno, "%s", path);
		close(fd);
		unlink(path);
		return STATUS_ERROR;
	}
	close(fd);
	return STATUS_OK;
}
