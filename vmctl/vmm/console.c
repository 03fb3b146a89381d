// SPDX-License-Identifier: GPL-2.0
/* The console: see console.h. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "console.h"
#include "serial.h"
#include "vmm.h"

#define RING_SIZE	65536U		/* a power of two */
#define WRITE_CHUNK	1024U
/* The guest waits from here on; it may have a FIFO's worth under way. */
#define ROOM_MIN	(4 * SERIAL_FIFO)
#define ROOM_AGAIN	(RING_SIZE / 2)
#define DRAIN_SECONDS	5
#define WRITE_POLL_MS	100
/* A guest sends a byte at a time: what comes within this goes out together. */
#define GATHER_NS	2000000

struct console {
	int in_fd;
	int out_fd;
	/* Output ring, under @lock; the writer waits for @wake. */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t writer;
	uint8_t ring[RING_SIZE];
	unsigned int head, tail;	/* free running */
	bool starved;			/* the guest waits for room */
	bool stop;
	bool broken;			/* nobody will ever read this */
	bool attached;
	int room_fd;
	/* The machine's side, under its device lock. */
	struct vm *vm;
	struct loop_source in_src;
	struct loop_source room_src;
	struct bus_range range;
	bool reading;
};

static unsigned int ring_used(const struct console *c)
{
	return c->head - c->tail;
}

/* Not for ever: the reader may detach meanwhile. */
static bool wait_writable(struct console *c)
{
	struct pollfd p = { .fd = c->out_fd, .events = POLLOUT };

	return poll(&p, 1, WRITE_POLL_MS) > 0;
}

/* Under @lock */
static void gather(struct console *c)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += GATHER_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	while (ring_used(c) < WRITE_CHUNK && !c->stop)
		if (pthread_cond_timedwait(&c->wake, &c->lock, &until))
			break;
}

static void *writer_thread(void *arg)
{
	struct console *c = arg;
	uint8_t chunk[WRITE_CHUNK];
	unsigned int n, i;
	uint64_t one = 1;
	ssize_t done;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		while (!ring_used(c) && !c->stop)
			pthread_cond_wait(&c->wake, &c->lock);
		gather(c);
		n = ring_used(c);
		if (!n)
			break;
		if (n > WRITE_CHUNK)
			n = WRITE_CHUNK;
		for (i = 0; i < n; i++)
			chunk[i] = c->ring[(c->tail + i) % RING_SIZE];
		pthread_mutex_unlock(&c->lock);

		done = wait_writable(c) ? write(c->out_fd, chunk, n) : 0;
		if (done < 0 && (errno == EINTR || errno == EAGAIN))
			done = 0;

		pthread_mutex_lock(&c->lock);
		if (done < 0) {
			/* The reader is gone: output goes nowhere from now. */
			c->broken = true;
			done = ring_used(c);
		} else if (!done && !c->attached) {
			done = ring_used(c);
		}
		c->tail += done;
		if (c->starved && RING_SIZE - ring_used(c) >= ROOM_AGAIN) {
			c->starved = false;
			if (write(c->room_fd, &one, sizeof(one)) < 0)
				c->broken = true;
		}
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/**
 * console_create() - make a console
 * @in_fd: input for the guest, -1 for none; must be pollable
 * @out_fd: where its output goes
 *
 * Return: the console, or NULL with errno set.
 */
struct console *console_create(int in_fd, int out_fd)
{
	struct console *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	int ret;

	if (!c)
		return NULL;
	c->in_fd = in_fd;
	c->out_fd = out_fd;
	c->attached = true;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &attr);
	pthread_condattr_destroy(&attr);
	c->room_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->room_fd < 0) {
		free(c);
		return NULL;
	}
	ret = pthread_create(&c->writer, NULL, writer_thread, c);
	if (ret) {
		close(c->room_fd);
		free(c);
		errno = ret;
		return NULL;
	}
	return c;
}

/**
 * console_destroy() - write the rest of the output out and end
 * @c: console; no machine is connected
 *
 * A terminal that takes no output for some seconds is given up, and the
 * writer's memory with it, because it can't be freed under the writer.
 */
void console_destroy(struct console *c)
{
	struct timespec ts;

	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += DRAIN_SECONDS;
	if (pthread_timedjoin_np(c->writer, NULL, &ts)) {
		pthread_detach(c->writer);
		return;
	}
	close(c->room_fd);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/**
 * console_set_attached() - say whether somebody reads the console
 * @c: console
 * @attached: if not, output that finds no room is dropped, so that the guest
 *	never waits for a reader who doesn't exist
 */
void console_set_attached(struct console *c, bool attached)
{
	pthread_mutex_lock(&c->lock);
	c->attached = attached;
	pthread_mutex_unlock(&c->lock);
}

static void con_irq(void *arg, bool level)
{
	struct console *c = arg;

	irq_line(c->vm, GSI_COM1, level);
}

static bool con_tx_room(void *arg)
{
	struct console *c = arg;
	bool room;

	pthread_mutex_lock(&c->lock);
	room = c->broken || RING_SIZE - ring_used(c) >= ROOM_MIN;
	if (!room)
		c->starved = true;
	pthread_mutex_unlock(&c->lock);
	return room;
}

static void con_tx(void *arg, uint8_t byte)
{
	struct console *c = arg;
	unsigned int used;

	pthread_mutex_lock(&c->lock);
	used = ring_used(c);
	/* A guest that ignores a full transmitter overruns it, as on a PC. */
	if (!c->broken && used < RING_SIZE) {
		c->ring[c->head++ % RING_SIZE] = byte;
		if (!used || used + 1 == WRITE_CHUNK)
			pthread_cond_signal(&c->wake);
	}
	pthread_mutex_unlock(&c->lock);
}

static void con_rx_ready(void *arg)
{
	struct console *c = arg;

	if (c->in_fd < 0 || c->reading)
		return;
	c->reading = !loop_mod(c->vm->loop, &c->in_src, EPOLLIN);
}

static const struct serial_ops console_serial_ops = {
	.irq = con_irq,
	.tx_room = con_tx_room,
	.tx = con_tx,
	.rx_ready = con_rx_ready,
};

static void on_input(void *arg, uint32_t events)
{
	struct console *c = arg;
	size_t room = serial_rx_room(c->vm->serial);
	uint8_t buf[SERIAL_FIFO];
	ssize_t n;

	(void)events;
	n = room ? read(c->in_fd, buf, room) : 0;
	if (n > 0)
		serial_rx(c->vm->serial, buf, n);
	else if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	else if (room) {
		/* The end of input: never look again. */
		loop_del(c->vm->loop, &c->in_src);
		return;
	}
	if (!serial_rx_room(c->vm->serial)) {
		loop_mod(c->vm->loop, &c->in_src, 0);
		c->reading = false;
	}
}

static void on_room(void *arg, uint32_t events)
{
	struct console *c = arg;
	uint64_t v;

	(void)events;
	if (read(c->room_fd, &v, sizeof(v)) < 0)
		return;
	serial_tx_ready(c->vm->serial);
}

/**
 * console_connect() - make a machine's serial port and plug the console in
 * @c: console
 * @vm: machine whose loop exists
 *
 * Return: 0 or -errno.
 */
int console_connect(struct console *c, struct vm *vm)
{
	int ret;

	vm->serial = serial_create(&console_serial_ops, c);
	if (!vm->serial)
		return -ENOMEM;
	c->vm = vm;
	c->reading = false;
	c->range = (struct bus_range){ .base = PORT_COM1, .size = 8,
				       .fn = serial_access, .arg = vm->serial };
	bus_add(&vm->pio, &c->range);
	c->room_src = (struct loop_source){ .fd = c->room_fd, .fn = on_room,
					    .arg = c };
	ret = loop_add(vm->loop, &c->room_src, EPOLLIN);
	if (ret || c->in_fd < 0)
		return ret;
	c->in_src = (struct loop_source){ .fd = c->in_fd, .fn = on_input,
					  .arg = c };
	return loop_add(vm->loop, &c->in_src, 0);
}

/**
 * console_disconnect() - unplug a machine that has stopped
 * @c: console
 */
void console_disconnect(struct console *c)
{
	if (!c->vm)
		return;
	serial_destroy(c->vm->serial);
	c->vm->serial = NULL;
	c->vm = NULL;
}
