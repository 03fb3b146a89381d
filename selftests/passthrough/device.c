// SPDX-License-Identifier: GPL-2.0
/* See device.h. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "device.h"

#define DEVICES		"/sys/bus/pci/devices"
#define DMA_MS		5000	/* until a transfer has to be over; QEMU takes 100 ms */

/* ---- which there are ---- */

static unsigned int id_of(const char *address, const char *what)
{
	unsigned int id = 0;
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), DEVICES "/%s/%s", address, what);
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (fscanf(f, "%x", &id) != 1)
		id = 0;
	fclose(f);
	return id;
}

static bool alone(const char *address)
{
	char path[512];

	snprintf(path, sizeof(path), DEVICES "/%.11s1", address);
	return address[11] == '0' && access(path, F_OK);
}

static const char *find(unsigned int vendor, unsigned int device, int nth, bool single)
{
	struct dirent **names;
	char *found = NULL;
	int i, n;

	n = CHECK_OK(scandir(DEVICES, &names, NULL, alphasort));
	for (i = 0; i < n; i++) {
		char *a = names[i]->d_name;

		if (!found && id_of(a, "vendor") == vendor && id_of(a, "device") == device &&
		    (!single || alone(a)) && !nth--)
			found = strdup(a);
	}
	if (!found)
		test_skip("no PCI function %04x:%04x", vendor, device);
	return found;
}

const char *find_function(unsigned int vendor, unsigned int device, int nth)
{
	return find(vendor, device, nth, false);
}

const char *find_edu(int nth)
{
	return find(EDU_VENDOR, EDU_DEVICE, nth, true);
}

bool driven_by(const char *address, const char *driver)
{
	char path[512], link[512];
	ssize_t n;

	snprintf(path, sizeof(path), DEVICES "/%s/driver", address);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return !*driver;
	link[n] = '\0';
	return *driver && !strcmp(strrchr(link, '/') + 1, driver);
}

void read_real(const char *address, uint8_t *config)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", address);
	fd = CHECK_OK(open(path, O_RDONLY));
	CHECK_EQ(read(fd, config, PCI_CFG_SPACE_SIZE), PCI_CFG_SPACE_SIZE);
	close(fd);
}

void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		FAIL("%s: %s", path, strerror(errno));
	close(fd);
}

/* ---- who has them ---- */

int device_cmd(struct nl *nl, int cmd, const char *address, uint64_t vm, bool force)
{
	struct msg *m = msg_new(cmd);

	msg_str(m, LHV_A_DEVICE_ADDRESS, address);
	if (vm)
		msg_u64(m, LHV_A_DEVICE_VM_ID, vm);
	if (force)
		msg_flag(m, LHV_A_DEVICE_FORCE);
	return nl_do(nl, m, NULL, NULL);
}

void take(struct nl *nl, const char *address)
{
	int left = 50, ret = 0;

	/* A driver that has just got it back may still look for partitions, with the disk open. */
	while (!driven_by(address, "lhv") && left--) {
		ret = device_cmd(nl, LHV_CMD_DEVICE_BIND, address, 0, false);
		if (ret != -EBUSY)
			break;
		nap(100);
	}
	CHECK_EQ(ret, 0);
	CHECK(driven_by(address, "lhv"));
}

void give_back(struct nl *nl, const char *address)
{
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_UNBIND, address, 0, false), 0);
	CHECK(!driven_by(address, "lhv"));
}

int open_device(int vm_fd, const char *address)
{
	unsigned int domain, bus, slot, fn;
	struct lhv_device_address at;

	CHECK_EQ(sscanf(address, "%x:%x:%x.%x", &domain, &bus, &slot, &fn), 4);
	at = (struct lhv_device_address){
		.domain = domain, .bus = bus, .devfn = slot << 3 | fn,
	};
	return ioctl(vm_fd, LHV_DEVICE_OPEN, &at);
}

uint32_t config_read(int fd, unsigned int offset, unsigned int len)
{
	struct lhv_device_config c = { .offset = offset, .len = len };

	CHECK_OK(ioctl(fd, LHV_DEVICE_CONFIG, &c));
	return c.value;
}

void config_write(int fd, unsigned int offset, unsigned int len, uint32_t value)
{
	struct lhv_device_config c = { .offset = offset, .len = len, .write = 1, .value = value };

	CHECK_OK(ioctl(fd, LHV_DEVICE_CONFIG, &c));
}

/* ---- edu ---- */

struct edu edu_open(int vm_fd, const char *address)
{
	struct edu e = { .fd = CHECK_OK(open_device(vm_fd, address)) };

	e.bar = mmap(NULL, EDU_BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, e.fd, 0);
	CHECK(e.bar != MAP_FAILED);
	CHECK_EQ(edu_get(&e, EDU_REG_ID), EDU_ID);
	config_write(e.fd, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	return e;
}

uint32_t edu_get(struct edu *e, unsigned int reg)
{
	return *(volatile uint32_t *)(e->bar + reg);
}

void edu_set(struct edu *e, unsigned int reg, uint32_t value)
{
	*(volatile uint32_t *)(e->bar + reg) = value;
}

static void wait_idle(struct edu *e)
{
	uint64_t end = now_ns() + DMA_MS * 1000000ULL;

	while (edu_get(e, EDU_REG_CMD) & EDU_RUN) {
		CHECK(now_ns() < end);
		nap(1);
	}
}

static void start(struct edu *e, uint64_t from, uint64_t to, int to_ram, size_t size)
{
	*(volatile uint64_t *)(e->bar + EDU_REG_SRC) = from;
	*(volatile uint64_t *)(e->bar + EDU_REG_DST) = to;
	*(volatile uint64_t *)(e->bar + EDU_REG_COUNT) = size;
	*(volatile uint64_t *)(e->bar + EDU_REG_CMD) = EDU_RUN | to_ram;
}

void edu_start(struct edu *e, uint64_t from, uint64_t to, int to_ram)
{
	start(e, from, to, to_ram, EDU_DMA_SIZE);
}

void edu_send(struct edu *e, uint64_t to)
{
	wait_idle(e);
	start(e, EDU_BUFFER, to, EDU_TO_RAM, 4);
	wait_idle(e);
}

void edu_dma(struct edu *e, uint64_t from, uint64_t to, int to_ram)
{
	wait_idle(e);
	edu_start(e, from, to, to_ram);
	wait_idle(e);
}

void edu_fill(struct edu *e, uint8_t *ram, uint8_t byte)
{
	memset(ram, byte, EDU_DMA_SIZE);
	edu_dma(e, 0, EDU_BUFFER, 0);
	memset(ram, 0, EDU_DMA_SIZE);
}

/* ---- memory ---- */

void *shared_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

uint64_t host_physical(const void *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;

	if (fd < 0) {
		test_note("this kernel does not say where memory is");
		return 0;
	}
	CHECK_EQ(pread(fd, &entry, 8, (uintptr_t)p / PAGE_SIZE * 8), 8);
	close(fd);
	CHECK(entry >> 63);
	return (entry & ((1ULL << 55) - 1)) * PAGE_SIZE;
}

uint64_t sum(const void *p, size_t size)
{
	const uint64_t *w = p;
	uint64_t s = 0;
	size_t i;

	for (i = 0; i < size / 8; i++)
		s = s * 31 + w[i];
	return s;
}

/* ---- what the kernel counts ---- */

long number_in(const char *path, const char *name)
{
	char line[256];
	size_t len = strlen(name);
	long n = -1;
	FILE *f = fopen(path, "r");

	CHECK(f);
	while (n < 0 && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, name, len) && strchr(" \t:", line[len]))
			n = strtol(line + len + strspn(line + len, " \t:"), NULL, 10);
	}
	fclose(f);
	return n;
}

long locked_kb(pid_t pid)
{
	char path[64] = "/proc/self/status";

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return number_in(path, "VmLck");
}

/* While somebody holds mmap_lock, pages are given back a little later. */
bool none_locked(pid_t pid)
{
	int i;

	for (i = 0; i < 5000 && locked_kb(pid); i++)
		usleep(1000);
	return !locked_kb(pid);
}

/* The counters of the CPUs are added up when somebody asks for that. */
static void refresh(void)
{
	int fd = open("/proc/sys/vm/stat_refresh", O_WRONLY);

	if (fd >= 0) {
		if (write(fd, "1", 1) != 1)
			test_note("stat_refresh: %s", strerror(errno));
		close(fd);
	}
}

long pins(void)
{
	refresh();
	return number_in("/proc/vmstat", "nr_foll_pin_acquired") -
	       number_in("/proc/vmstat", "nr_foll_pin_released");
}

long iommu_pages(void)
{
	refresh();
	return number_in("/proc/vmstat", "nr_iommu_pages");
}

int log_lines(const char *with, const char *also)
{
	int size = CHECK_OK(klogctl(10, NULL, 0)), n, count = 0;
	char *log = malloc(size + 1), *line;

	CHECK(log);
	n = CHECK_OK(klogctl(3, log, size));
	log[n] = '\0';
	for (line = strtok(log, "\n"); line; line = strtok(NULL, "\n"))
		count += strstr(line, with) && strstr(line, also);
	free(log);
	return count;
}

int iommu_faults(void)
{
	return log_lines("DMAR:", "fault addr") + log_lines("IO_PAGE_FAULT", "");
}

bool amd_iommu(void)
{
	return access("/sys/class/iommu/dmar0", F_OK);
}

int rounds(int brief, int full)
{
	const char *all = getenv("DEVICE_FULL");

	return all && *all ? full : brief;
}

void nap(unsigned int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}
