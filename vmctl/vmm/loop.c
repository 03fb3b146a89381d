// SPDX-License-Identifier: GPL-2.0
/*
 * The I/O thread: waits for file descriptors and calls their handlers with the
 * device lock held. One event at a time, so that a source removed by a handler
 * or by a vCPU is never called afterwards. Sources outlive the thread.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm.h"

struct loop {
	int epfd;
	int wake_fd;
	pthread_t thread;
	bool started;
	atomic_bool stop;
	pthread_mutex_t *lock;
};

struct loop *loop_create(pthread_mutex_t *lock)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	struct epoll_event ev = { .events = EPOLLIN };

	if (!loop)
		return NULL;
	loop->lock = lock;
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->epfd < 0 || loop->wake_fd < 0 ||
	    epoll_ctl(loop->epfd, EPOLL_CTL_ADD, loop->wake_fd, &ev) < 0) {
		int err = errno;

		loop_destroy(loop);
		errno = err;
		return NULL;
	}
	return loop;
}

static void *loop_thread(void *arg)
{
	struct loop *loop = arg;
	struct loop_source *src;
	struct epoll_event ev;
	int n;

	while (!atomic_load(&loop->stop)) {
		n = epoll_wait(loop->epfd, &ev, 1, -1);
		src = ev.data.ptr;
		if (n <= 0 || !src)
			continue;
		pthread_mutex_lock(loop->lock);
		if (!src->dead)
			src->fn(src->arg, ev.events);
		pthread_mutex_unlock(loop->lock);
	}
	return NULL;
}

int loop_start(struct loop *loop)
{
	int ret = pthread_create(&loop->thread, NULL, loop_thread, loop);

	loop->started = !ret;
	return -ret;
}

/**
 * loop_add() - watch a file descriptor
 * @loop: loop
 * @src: fd, fn and arg are filled in
 * @events: EPOLLIN and the like; 0 to watch later
 */
int loop_add(struct loop *loop, struct loop_source *src, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = src };

	src->dead = false;
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, src->fd, &ev) < 0)
		return -errno;
	return 0;
}

int loop_mod(struct loop *loop, struct loop_source *src, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = src };

	if (epoll_ctl(loop->epfd, EPOLL_CTL_MOD, src->fd, &ev) < 0)
		return -errno;
	return 0;
}

void loop_del(struct loop *loop, struct loop_source *src)
{
	src->dead = true;
	epoll_ctl(loop->epfd, EPOLL_CTL_DEL, src->fd, NULL);
}

void loop_stop(struct loop *loop)
{
	uint64_t one = 1;

	if (!loop || !loop->started)
		return;
	atomic_store(&loop->stop, true);
	if (write(loop->wake_fd, &one, sizeof(one)) < 0)
		report_errno(errno, "cannot wake the I/O thread");
	pthread_join(loop->thread, NULL);
	loop->started = false;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	loop_stop(loop);
	if (loop->epfd >= 0)
		close(loop->epfd);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	free(loop);
}
