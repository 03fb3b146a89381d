// SPDX-License-Identifier: GPL-2.0
/*
 * Loads a kernel for the next boot without the firmware's help, and starts it.
 *
 *	kexec load|crash KERNEL INITRD COMMAND-LINE
 *	kexec start
 *
 * "load" is started by "start", "crash" by the kernel's death (it needs crashkernel=).
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_or_die(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

int main(int argc, char **argv)
{
	unsigned long flags = 0;

	if (argc == 2 && !strcmp(argv[1], "start")) {
		syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
			LINUX_REBOOT_CMD_KEXEC, NULL);
		err(1, "reboot");
	}
	if (argc != 5 || (strcmp(argv[1], "load") && strcmp(argv[1], "crash")))
		errx(2, "usage: kexec load|crash KERNEL INITRD COMMAND-LINE, or kexec start");
	if (!strcmp(argv[1], "crash"))
		flags = KEXEC_FILE_ON_CRASH;
	if (syscall(SYS_kexec_file_load, open_or_die(argv[2]), open_or_die(argv[3]),
		    strlen(argv[4]) + 1, argv[4], flags))
		err(1, "kexec_file_load");
	return 0;
}
