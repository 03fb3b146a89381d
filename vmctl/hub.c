// SPDX-License-Identifier: GPL-2.0
/* The hub: see hub.h. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "hub.h"
#include "runtime.h"
#include "vmctl.h"

#define CLIENTS_MAX	32
#define QUEUE		65536U		/* per client, and what newcomers are shown */
#define CHUNK		4096U
#define LINE_MAX_LEN	32
#define FLUSH_MS	5000
#define HELLO_MS	1000		/* who comes at the end says so long what he wants */

enum kind { NEWCOMER, CONSOLE, WAITER };

struct queue {
	char bytes[QUEUE];
	unsigned int head, tail;	/* free running */
};

struct client {
	int fd;
	enum kind kind;
	char line[LINE_MAX_LEN];
	size_t nline;
	struct queue out;
};

struct hub {
	pthread_mutex_t lock;		/* listen, retired, joining, path, status, done */
	pthread_t thread;
	int console, listen, wake;
	int retired;			/* a listener that the thread closes, or -1 */
	int joining;			/* a client that comes without the socket, or -1 */
	char path[RUNTIME_PATH_MAX];
	int status;
	bool done;			/* the VM has ended */
	/* The thread's own. */
	bool eof;
	struct client *client[CLIENTS_MAX];	/* in the order in which they came */
	unsigned int n;
	struct queue backlog;		/* the last output, for who comes later */
	char in[CHUNK];			/* for the guest */
	size_t in_off, in_len;
};

static unsigned int used(const struct queue *q)
{
	return q->head - q->tail;
}

static unsigned int room(const struct queue *q)
{
	return QUEUE - used(q);
}

static void put(struct queue *q, const char *data, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		q->bytes[q->head++ % QUEUE] = data[i];
}

/* The last bytes count: older ones go. */
static void remember(struct queue *q, const char *data, unsigned int n)
{
	if (room(q) < n)
		q->tail += n - room(q);
	put(q, data, n);
}

static void say(struct client *c, const char *text)
{
	if (room(&c->out) >= strlen(text))
		put(&c->out, text, strlen(text));
}

static void drop(struct hub *hub, unsigned int i)
{
	close(hub->client[i]->fd);
	free(hub->client[i]);
	hub->n--;
	memmove(&hub->client[i], &hub->client[i + 1],
		(hub->n - i) * sizeof(hub->client[0]));
}

/* Who may type: the oldest on the console. */
static struct client *writer(struct hub *hub)
{
	unsigned int i;

	for (i = 0; i < hub->n; i++)
		if (hub->client[i]->kind == CONSOLE)
			return hub->client[i];
	return NULL;
}

static void welcome(struct hub *hub, struct client *c)
{
	struct client *first = writer(hub);
	unsigned int i;

	c->kind = CONSOLE;
	for (i = hub->backlog.tail; i != hub->backlog.head; i++)
		put(&c->out, &hub->backlog.bytes[i % QUEUE], 1);
	if (first && first != c)
		say(c, "\r\n[another terminal types; this one watches]\r\n");
}

/* False: it asks for what there is not. */
static bool hello(struct hub *hub, struct client *c, const char *data, size_t n)
{
	while (n--) {
		if (c->nline == sizeof(c->line) - 1)
			return false;
		c->line[c->nline++] = *data;
		if (*data++ != '\n')
			continue;
		c->line[c->nline] = '\0';
		if (!strcmp(c->line, HUB_CONSOLE))
			welcome(hub, c);
		else if (!strcmp(c->line, HUB_WAIT))
			c->kind = WAITER;
		else
			return false;
		/* What is typed together with it is lost: nobody does that. */
		return true;
	}
	return true;
}

static bool read_client(struct hub *hub, struct client *c)
{
	char buf[CHUNK];
	ssize_t n;

	/* Its typing waits until the guest has taken what came before. */
	if (c->kind == CONSOLE && c == writer(hub) && hub->in_len)
		return true;
	n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (!n)
		return false;
	if (c->kind == NEWCOMER)
		return hello(hub, c, buf, n);
	if (c->kind == CONSOLE && c == writer(hub)) {
		memcpy(hub->in, buf, n);
		hub->in_off = 0;
		hub->in_len = n;
	}
	return true;
}

static bool write_client(struct client *c)
{
	unsigned int at = c->out.tail % QUEUE, n = used(&c->out);
	ssize_t done;

	if (n > QUEUE - at)
		n = QUEUE - at;
	if (!n)
		return true;
	done = send(c->fd, c->out.bytes + at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (done < 0)
		return errno == EAGAIN || errno == EINTR;
	c->out.tail += done;
	return true;
}

static void read_console(struct hub *hub)
{
	char buf[CHUNK];
	ssize_t n = read(hub->console, buf, sizeof(buf));
	struct client *first = writer(hub);
	unsigned int i, fits;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		hub->eof = true;
		return;
	}
	remember(&hub->backlog, buf, n);
	for (i = 0; i < hub->n; i++) {
		struct client *c = hub->client[i];

		if (c->kind != CONSOLE)
			continue;
		fits = room(&c->out);
		put(&c->out, buf, c == first || fits > (size_t)n ? (size_t)n : fits);
	}
}

static void write_console(struct hub *hub)
{
	ssize_t n = send(hub->console, hub->in + hub->in_off, hub->in_len,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		n = hub->in_len;
	hub->in_off += n;
	hub->in_len -= n;
}

static struct client *add_client(struct hub *hub, int fd)
{
	struct client *c;

	if (fd < 0)
		return NULL;
	c = hub->n < CLIENTS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		send(fd, HUB_FULL, strlen(HUB_FULL), MSG_DONTWAIT | MSG_NOSIGNAL);
		close(fd);
		return NULL;
	}
	c->fd = fd;
	hub->client[hub->n++] = c;
	return c;
}

/* One round: wait, and move what can be moved. */
static void turn(struct hub *hub, int listener, int timeout)
{
	struct pollfd p[3 + CLIENTS_MAX];
	struct client *first = writer(hub);
	bool take = !hub->eof && (!first || room(&first->out) >= CHUNK);
	unsigned int i, n = hub->n;
	uint64_t v;

	p[0] = (struct pollfd){ .fd = hub->wake, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = listener, .events = POLLIN };
	p[2] = (struct pollfd){ .fd = hub->eof ? -1 : hub->console,
				.events = (take ? POLLIN : 0) | (hub->in_len ? POLLOUT : 0) };
	for (i = 0; i < n; i++) {
		struct client *c = hub->client[i];
		bool deaf = c == first && hub->in_len;

		p[3 + i] = (struct pollfd){ .fd = c->fd, .events = (deaf ? 0 : POLLIN) |
					    (used(&c->out) ? POLLOUT : 0) };
	}
	if (poll(p, 3 + n, timeout) <= 0)
		return;
	if (p[0].revents && read(hub->wake, &v, sizeof(v)) < 0)
		return;
	if (p[2].revents & POLLOUT)
		write_console(hub);
	if (take && (p[2].revents & (POLLIN | POLLHUP)))
		read_console(hub);
	/* Backwards, for who leaves moves those behind him. */
	for (i = n; i-- > 0;) {
		struct client *c = hub->client[i];
		bool stays = true;

		if (p[3 + i].revents & POLLOUT)
			stays = write_client(c);
		if (stays && (p[3 + i].revents & POLLIN))
			stays = read_client(hub, c);
		if (!stays || (p[3 + i].revents & (POLLERR | POLLNVAL)) ||
		    (p[3 + i].revents & (POLLHUP | POLLIN)) == POLLHUP)
			drop(hub, i);
	}
	if (p[1].revents & POLLIN)
		add_client(hub, accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static bool anything_queued(const struct hub *hub)
{
	unsigned int i;

	for (i = 0; i < hub->n; i++)
		if (used(&hub->client[i]->out))
			return true;
	return false;
}

static bool anybody_new(const struct hub *hub)
{
	unsigned int i;

	for (i = 0; i < hub->n; i++)
		if (hub->client[i]->kind == NEWCOMER)
			return true;
	return false;
}

/* Nobody else comes, and who has come already is let in. */
static void close_listener(struct hub *hub, int listener)
{
	int fd;

	shutdown(listener, SHUT_RD);
	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		add_client(hub, fd);
	close(listener);
}

/* The rest of the output to all, then the news to who waits; not for ever. */
static void farewell(struct hub *hub, int status)
{
	int64_t end = now_ms() + FLUSH_MS, hello = now_ms() + HELLO_MS;
	char line[LINE_MAX_LEN];
	unsigned int i;

	snprintf(line, sizeof(line), "%d\n", status);
	while (!hub->eof && now_ms() < end)
		turn(hub, -1, 100);
	while (anybody_new(hub) && now_ms() < hello)
		turn(hub, -1, 100);
	for (i = 0; i < hub->n; i++)
		if (hub->client[i]->kind == WAITER)
			say(hub->client[i], line);
	while (anything_queued(hub) && now_ms() < end)
		turn(hub, -1, 100);
	while (hub->n)
		drop(hub, hub->n - 1);
}

static void *hub_thread(void *arg)
{
	struct hub *hub = arg;
	int listener, status;
	struct client *c;
	bool done;

	for (;;) {
		pthread_mutex_lock(&hub->lock);
		listener = hub->listen;
		if (hub->retired >= 0)
			close_listener(hub, hub->retired);
		hub->retired = -1;
		c = add_client(hub, hub->joining);
		if (c)
			welcome(hub, c);
		hub->joining = -1;
		done = hub->done;
		status = hub->status;
		pthread_mutex_unlock(&hub->lock);
		if (done)
			break;
		turn(hub, listener, -1);
	}
	farewell(hub, status);
	return NULL;
}

static void wake(struct hub *hub)
{
	uint64_t one = 1;

	if (write(hub->wake, &one, sizeof(one)) < 0)
		report_errno(errno, "console hub");
}

/**
 * hub_create() - start a hub
 * @console: its end of a stream socket whose other end is the guest's console; it is the
 *	hub's from now on
 * @joining: a terminal that is there from the beginning, or -1; the hub's, too
 *
 * Return: the hub, or NULL with errno set.
 */
struct hub *hub_create(int console, int joining)
{
	struct hub *hub = calloc(1, sizeof(*hub));
	int ret;

	if (!hub)
		return NULL;
	hub->console = console;
	hub->listen = -1;
	hub->retired = -1;
	hub->joining = joining;
	pthread_mutex_init(&hub->lock, NULL);
	hub->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = hub->wake < 0 ? errno : pthread_create(&hub->thread, NULL, hub_thread, hub);
	if (ret) {
		free(hub);
		errno = ret;
		return NULL;
	}
	return hub;
}

/**
 * hub_listen() - let terminals come by the VM's socket
 * @hub: hub
 * @id: the VM; without one that works the VM runs all the same
 */
void hub_listen(struct hub *hub, uint64_t id)
{
	char path[RUNTIME_PATH_MAX];
	int fd = runtime_listen(path, id);

	if (fd < 0) {
		report_errno(-fd, "no console for other terminals");
		return;
	}
	pthread_mutex_lock(&hub->lock);
	hub->listen = fd;
	strcpy(hub->path, path);
	pthread_mutex_unlock(&hub->lock);
	wake(hub);
}

/**
 * hub_unlisten() - nobody comes any more; who is there stays
 * @hub: hub
 */
void hub_unlisten(struct hub *hub)
{
	pthread_mutex_lock(&hub->lock);
	/* Its thread may be looking at it right now. */
	if (hub->listen >= 0)
		hub->retired = hub->listen;
	hub->listen = -1;
	if (hub->path[0])
		unlink(hub->path);
	hub->path[0] = '\0';
	pthread_mutex_unlock(&hub->lock);
	wake(hub);
}

/**
 * hub_finish() - hand out the rest, tell who waits, and end
 * @hub: hub; the console's other end is closed
 * @status: vmctl's exit status
 */
void hub_finish(struct hub *hub, int status)
{
	hub_unlisten(hub);
	pthread_mutex_lock(&hub->lock);
	hub->done = true;
	hub->status = status;
	pthread_mutex_unlock(&hub->lock);
	wake(hub);
	pthread_join(hub->thread, NULL);
	close(hub->console);
	close(hub->wake);
	pthread_mutex_destroy(&hub->lock);
	free(hub);
}
