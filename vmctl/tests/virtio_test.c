// SPDX-License-Identifier: GPL-2.0
/*
 * The virtio transport and virtio-blk, driven as a guest's driver would, on a
 * machine without a hypervisor: PCI probing, requests, and a driver that lies.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/filter.h>
#include <linux/pci_regs.h>
#include <linux/seccomp.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../vmm/virtio.h"

#define MEM_SIZE	0x40000
#define DESC_GPA	0x1000
#define AVAIL_GPA	0x2000
#define USED_GPA	0x3000
#define HDR_GPA		0x4000
#define STATUS_GPA	0x4800
#define DATA_GPA	0x5000
#define QUEUE		16
#define DISK_SECTORS	64
#define BAR_GPA		0xd0000000ULL
#define NOTIFY_GPA	(BAR_GPA + 0x3000)
#define DEVICE_GPA	(BAR_GPA + 0x2000)

struct fixture {
	struct vm vm;
	struct vm_config cfg;
	struct vm_disk disk;
	struct virtio_dev *dev;
	bool rng;
	char path[32];
	uint8_t *ram;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
};

static uint32_t bar(struct fixture *f, uint64_t addr, unsigned int len, int64_t v)
{
	uint8_t d[8];

	bus_put(d, 8, v);
	pthread_mutex_lock(&f->vm.lock);
	bus_access(&f->vm.mmio, addr, d, len, v >= 0);
	pthread_mutex_unlock(&f->vm.lock);
	return bus_get(d, len);
}

static void cfg_write(struct fixture *f, unsigned int reg, unsigned int len,
		      uint32_t v)
{
	uint8_t a[4], d[4];

	bus_put(a, 4, 1U << 31 | 1 << 11 | (reg & ~3U));
	bus_put(d, 4, v);
	pthread_mutex_lock(&f->vm.lock);
	bus_access(&f->vm.pio, PORT_PCI_ADDR, a, 4, true);
	bus_access(&f->vm.pio, PORT_PCI_DATA + (reg & 3), d, len, true);
	pthread_mutex_unlock(&f->vm.lock);
}

static uint8_t status(struct fixture *f)
{
	return bar(f, BAR_GPA + VIRTIO_PCI_COMMON_STATUS, 1, -1);
}

/* The driver's way to DRIVER_OK, with rings of QUEUE entries. */
static void drive(struct fixture *f)
{
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_STATUS, 1, 0);
	memset(f->ram, 0, MEM_SIZE);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_STATUS, 1,
	    VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_GF, 4, 1 << (VIRTIO_F_VERSION_1 - 32));
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(status(f) & VIRTIO_CONFIG_S_FEATURES_OK);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_Q_SIZE, 2, QUEUE);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_Q_DESCLO, 4, DESC_GPA);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_Q_AVAILLO, 4, AVAIL_GPA);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_Q_USEDLO, 4, USED_GPA);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_int_equal(bar(f, BAR_GPA + VIRTIO_PCI_COMMON_Q_ENABLE, 2, -1), 1);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_DRIVER_OK);
}

static int setup_device(void **state, bool rng)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->path, "/tmp/vmctl-test-XXXXXX");
	f->disk.fd = mkstemp(f->path);
	f->disk.path = f->path;
	if (f->disk.fd < 0 || ftruncate(f->disk.fd, DISK_SECTORS * 512))
		return -1;
	unlink(f->path);
	f->cfg = (struct vm_config){ .name = "test", .sys_fd = -1 };
	f->vm.cfg = &f->cfg;
	f->vm.fd = -1;
	f->vm.end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	atomic_init(&f->vm.end, VM_RUNNING);
	pthread_mutex_init(&f->vm.lock, NULL);
	f->vm.loop = loop_create(&f->vm.lock);
	mem_init(&f->vm.mem, MEM_SIZE);
	f->ram = f->vm.mem.region[0].hva;
	f->vm.pci = pci_create(&f->vm);
	f->rng = rng;
	f->dev = rng ? virtio_rng_create(&f->vm) : virtio_blk_create(&f->vm, &f->disk, 0);
	if (!f->dev || loop_start(f->vm.loop))
		return -1;
	/* Memory decoding on; MSI-X on, so that no line is driven. */
	cfg_write(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	cfg_write(f, 0x40 + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	f->desc = (void *)(f->ram + DESC_GPA);
	f->avail = (void *)(f->ram + AVAIL_GPA);
	f->used = (void *)(f->ram + USED_GPA);
	*state = f;
	drive(f);
	return 0;
}

static int setup(void **state)
{
	return setup_device(state, false);
}

static bool no_uring;		/* as on a host that does not offer it */

static int setup_no_uring(void **state)
{
	int ret;

	no_uring = true;
	ret = setup_device(state, false);
	no_uring = false;
	return ret;
}

static int setup_rng(void **state)
{
	return setup_device(state, true);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	loop_stop(f->vm.loop);
	if (f->rng)
		virtio_rng_destroy(f->dev);
	else
		virtio_blk_destroy(f->dev);
	pci_destroy(f->vm.pci);
	loop_destroy(f->vm.loop);
	mem_destroy(&f->vm.mem);
	pthread_mutex_destroy(&f->vm.lock);
	close(f->vm.end_fd);
	close(f->disk.fd);
	free(f);
	return 0;
}

static void pause_ms(unsigned int ms)
{
	const struct timespec ts = { 0, ms * 1000000L };

	nanosleep(&ts, NULL);
}

static void notify(struct fixture *f)
{
	bar(f, NOTIFY_GPA, 2, 0);
}

/* Offer a chain of header, data, status. */
static void offer(struct fixture *f, uint32_t type, uint64_t sector, uint32_t len, bool to_guest)
{
	struct virtio_blk_outhdr hdr = { .type = type, .sector = sector };
	unsigned int n = 0;

	memcpy(f->ram + HDR_GPA, &hdr, sizeof(hdr));
	f->ram[STATUS_GPA] = 0xff;
	f->desc[n++] = (struct vring_desc){ HDR_GPA, sizeof(hdr),
					    VRING_DESC_F_NEXT, 1 };
	if (len) {
		f->desc[n] = (struct vring_desc){ DATA_GPA, len,
			VRING_DESC_F_NEXT | (to_guest ? VRING_DESC_F_WRITE : 0), 2 };
		n++;
	}
	f->desc[n] = (struct vring_desc){ STATUS_GPA, 1, VRING_DESC_F_WRITE, 0 };
	f->avail->ring[f->avail->idx % QUEUE] = 0;
	__atomic_store_n(&f->avail->idx, f->avail->idx + 1, __ATOMIC_RELEASE);
	notify(f);
}

/* And wait for it: its status byte. */
static uint8_t request(struct fixture *f, uint32_t type, uint64_t sector,
		       uint32_t len, bool to_guest)
{
	uint16_t used = f->used->idx;
	unsigned int i;

	offer(f, type, sector, len, to_guest);
	for (i = 0; i < 2000; i++) {
		if (__atomic_load_n(&f->used->idx, __ATOMIC_ACQUIRE) != used)
			return f->ram[STATUS_GPA];
		if (status(f) & VIRTIO_CONFIG_S_NEEDS_RESET)
			return 0xfe;
		pause_ms(1);
	}
	return 0xff;
}

static void configuration(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(bar(f, DEVICE_GPA, 4, -1), DISK_SECTORS);
	assert_int_equal(bar(f, BAR_GPA + VIRTIO_PCI_COMMON_NUMQ, 2, -1), 1);
	/* Past the configuration's end nothing answers. */
	assert_int_equal(bar(f, DEVICE_GPA + 0xffe, 2, -1), 0xffff);
	assert_int_equal(bar(f, BAR_GPA + 0xffc, 8, -1), UINT32_MAX);
}

static void read_and_write(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	for (i = 0; i < 4096; i++)
		f->ram[DATA_GPA + i] = i * 7;
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 8, 4096, false),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(request(f, VIRTIO_BLK_T_FLUSH, 0, 0, false),
			 VIRTIO_BLK_S_OK);
	memset(f->ram + DATA_GPA, 0, 4096);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 8, 4096, true),
			 VIRTIO_BLK_S_OK);
	for (i = 0; i < 4096; i++)
		assert_int_equal(f->ram[DATA_GPA + i], (uint8_t)(i * 7));
	assert_int_equal(f->used->ring[2].len, 4097);
}

static void set_range(struct fixture *f, uint64_t sector, uint32_t n,
		      uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes r = { sector, n, flags };

	memcpy(f->ram + DATA_GPA, &r, sizeof(r));
}

static void zero_and_discard(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	memset(f->ram + DATA_GPA, 0xaa, 512);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 5, 512, false), 0);
	set_range(f, 5, 1, 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, false), 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 5, 512, true), 0);
	for (i = 0; i < 512; i++)
		assert_int_equal(f->ram[DATA_GPA + i], 0);
	set_range(f, 0, 8, 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_DISCARD, 0, 16, false), 0);
	set_range(f, 0, 8, 2);
	assert_int_equal(request(f, VIRTIO_BLK_T_DISCARD, 0, 16, false),
			 VIRTIO_BLK_S_UNSUPP);
	set_range(f, DISK_SECTORS - 1, 2, 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_DISCARD, 0, 16, false),
			 VIRTIO_BLK_S_IOERR);
	set_range(f, UINT64_MAX, UINT32_MAX, 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, false),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 15, false),
			 VIRTIO_BLK_S_IOERR);
}

static void identity(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(request(f, VIRTIO_BLK_T_GET_ID, 0, 20, true), 0);
	assert_memory_equal(f->ram + DATA_GPA, "vmctl-test", 10);
}

static void bad_requests(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(request(f, VIRTIO_BLK_T_IN, DISK_SECTORS, 512, true),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, DISK_SECTORS - 1, 1024, true),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, UINT64_MAX, 512, false),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, UINT64_MAX >> 9, 512, false),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 100, true),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 0, true),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, 1234, 0, 512, true), VIRTIO_BLK_S_UNSUPP);
	assert_false(status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void lie_and_reset(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	f->desc[0] = (struct vring_desc){ 1ULL << 62, 16, VRING_DESC_F_NEXT, 1 };
	__atomic_store_n(&f->avail->idx, 1, __ATOMIC_RELEASE);
	notify(f);
	for (i = 0; i < 1000 && !(status(f) & VIRTIO_CONFIG_S_NEEDS_RESET); i++)
		pause_ms(1);
	assert_true(status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* Nothing moves it but a reset, after which it works again. */
	drive(f);
	assert_false(status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512, true), 0);
}

static void no_version_1(void **state)
{
	struct fixture *f = *state;

	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_STATUS, 1, 0);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_FEATURES_OK);
	assert_false(status(f) & VIRTIO_CONFIG_S_FEATURES_OK);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_GF, 4, UINT32_MAX);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_GF, 4, UINT32_MAX);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_FEATURES_OK);
	assert_false(status(f) & VIRTIO_CONFIG_S_FEATURES_OK);
}

static void bad_queue(void **state)
{
	struct fixture *f = *state;

	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_STATUS, 1, 0);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0x7fffffff);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_int_equal(bar(f, BAR_GPA + VIRTIO_PCI_COMMON_Q_ENABLE, 2, -1), 0);
	assert_true(status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_Q_SELECT, 2, 7);
	assert_int_equal(bar(f, BAR_GPA + VIRTIO_PCI_COMMON_Q_SIZE, 2, -1), 0);
	bar(f, BAR_GPA + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

/* What a driver does without end is told once. */
static void told_once(void **state)
{
	struct fixture *f = *state;
	int saved = dup(STDERR_FILENO), out = memfd_create("stderr", 0);
	char text[4096] = "", *line;
	unsigned int i;

	dup2(out, STDERR_FILENO);
	for (i = 0; i < 3; i++)
		bad_queue(state);
	drive(f);
	f->desc[0] = (struct vring_desc){ 1ULL << 62, 16, 0, 0 };
	__atomic_store_n(&f->avail->idx, 1, __ATOMIC_RELEASE);
	notify(f);
	for (i = 0; i < 1000 && !(status(f) & VIRTIO_CONFIG_S_NEEDS_RESET); i++)
		pause_ms(1);
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_int_not_equal(i, 1000);
	assert_true(pread(out, text, sizeof(text) - 1, 0) > 0);
	close(out);
	line = strchr(text, '\n');
	assert_non_null(line);
	assert_int_equal(line[1], '\0');
}

/*
 * A guest that always offers more: whenever the device is at one of its requests. These are called
 * in place of the C library's and liburing's own.
 */
static struct fixture *_Atomic endless;

static void offer_more(void)
{
	struct fixture *f = endless;

	if (f)
		__atomic_store_n(&f->avail->idx, f->used->idx + 2, __ATOMIC_RELEASE);
}

ssize_t getrandom(void *buf, size_t len, unsigned int flags)
{
	offer_more();
	return syscall(SYS_getrandom, buf, len, flags);
}

int fdatasync(int fd)
{
	offer_more();
	return syscall(SYS_fdatasync, fd);
}

int io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags)
{
	struct io_uring_params p = { .flags = flags };

	return no_uring ? -ENOSYS : io_uring_queue_init_params(entries, ring, &p);
}

/* In place of the device's own: how many requests does it take before it lets the lock go? */
static const struct virtio_ops *device_ops;
static unsigned int most_taken;

static void count_taken(struct virtio_dev *dev, unsigned int q)
{
	uint16_t before = dev->vq[q].last_avail, n;

	device_ops->notify(dev, q);
	n = dev->vq[q].last_avail - before;
	if (n > most_taken)
		most_taken = n;
}

static uint16_t used_idx(const struct fixture *f)
{
	return __atomic_load_n(&f->used->idx, __ATOMIC_ACQUIRE);
}

/* Such a guest keeps nobody from the device lock, and nothing that it offered is forgotten. */
static void no_end(void **state)
{
	struct fixture *f = *state;
	struct virtio_ops ops;
	unsigned int i;
	uint16_t before;

	/* Also sets the chain up. */
	if (f->rng)
		f->desc[0] = (struct vring_desc){ DATA_GPA, 8, VRING_DESC_F_WRITE, 0 };
	else
		assert_int_equal(request(f, VIRTIO_BLK_T_FLUSH, 0, 0, false), 0);
	before = used_idx(f);
	pthread_mutex_lock(&f->vm.lock);
	device_ops = f->dev->ops;
	ops = *device_ops;
	ops.notify = count_taken;
	f->dev->ops = &ops;
	most_taken = 0;
	endless = f;
	f->avail->idx = before + 1;
	pthread_mutex_unlock(&f->vm.lock);
	notify(f);
	for (i = 0; i < 5000 && (uint16_t)(used_idx(f) - before) < 10 * QUEUE; i++)
		pause_ms(1);
	endless = NULL;
	assert_int_not_equal(i, 5000);
	for (i = 0; i < 5000 && used_idx(f) != f->avail->idx; i++)
		pause_ms(1);
	assert_int_not_equal(i, 5000);
	pthread_mutex_lock(&f->vm.lock);
	f->dev->ops = device_ops;
	pthread_mutex_unlock(&f->vm.lock);
	assert_int_equal(most_taken, QUEUE);
	assert_false(status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* From here on this process's requests to the host fail. */
static int refuse_submission(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog);
}

/* In a process of its own: the machine ends, and its end waits for nothing that was not begun. */
static void no_submission(void **state)
{
	pid_t pid = fork();
	struct fixture *f;
	int status, i;

	(void)state;
	assert_true(pid >= 0);
	if (!pid) {
		alarm(20);
		if (setup(state) || refuse_submission())
			_exit(1);
		f = *state;
		offer(f, VIRTIO_BLK_T_FLUSH, 0, 0, false);
		for (i = 0; i < 5000 && atomic_load(&f->vm.end) == VM_RUNNING; i++)
			pause_ms(1);
		status = atomic_load(&f->vm.end) == VM_ERROR ? 0 : 2;
		bar(f, BAR_GPA + VIRTIO_PCI_COMMON_STATUS, 1, 0);
		teardown(state);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Rings and registers of any content: the process must survive. */
static void random_driver(void **state)
{
	struct fixture *f = *state;
	unsigned int i, round;

	srand(4);
	for (round = 0; round < 300; round++) {
		drive(f);
		for (i = 0; i < QUEUE; i++)
			f->desc[i] = (struct vring_desc){
				rand() % (MEM_SIZE + 4096), rand() % 2048,
				rand() % 8, rand() % (QUEUE + 1) };
		for (i = 0; i < 0x400; i++)
			f->ram[HDR_GPA + i] = rand() % 16;
		for (i = 0; i < QUEUE; i++)
			f->avail->ring[i] = rand() % QUEUE;
		f->avail->idx = rand() % (QUEUE + 2);
		notify(f);
		for (i = 0; i < 20; i++)
			bar(f, BAR_GPA + (rand() % 0x5000), 1 << rand() % 4,
			    rand() % 2 ? rand() : -1);
		for (i = 0; i < 20; i++)
			cfg_write(f, rand() % 256, 1, rand() % 256);
		cfg_write(f, PCI_BASE_ADDRESS_0, 4, BAR_GPA);
		cfg_write(f, PCI_BASE_ADDRESS_1, 4, BAR_GPA + 0x4000);
		cfg_write(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY |
			  PCI_COMMAND_INTX_DISABLE);
		cfg_write(f, 0x40 + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	}
}

int main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(configuration), T(read_and_write), T(zero_and_discard),
		T(identity), T(bad_requests), T(lie_and_reset), T(no_version_1),
		T(bad_queue), T(told_once), T(random_driver),
		cmocka_unit_test(no_submission),
		cmocka_unit_test_setup_teardown(no_end, setup_no_uring, teardown),
		cmocka_unit_test_setup_teardown(no_end, setup_rng, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
