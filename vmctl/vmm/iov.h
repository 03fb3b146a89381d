/* SPDX-License-Identifier: GPL-2.0 */
/* Scatter lists: copying from them and cutting pieces off, all bounded. */
#ifndef VMM_IOV_H
#define VMM_IOV_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/uio.h>

struct iov_list {
	struct iovec *iov;
	unsigned int n;
};

/* Drop @len bytes at the front; false when there are fewer. */
static inline bool iov_skip(struct iov_list *l, size_t len)
{
	while (l->n && len >= l->iov->iov_len) {
		len -= l->iov->iov_len;
		l->iov++;
		l->n--;
	}
	if (!len)
		return true;
	if (!l->n)
		return false;
	l->iov->iov_base = (char *)l->iov->iov_base + len;
	l->iov->iov_len -= len;
	return true;
}

/* Move @len bytes from the front into @buf; false when there are fewer. */
static inline bool iov_take(struct iov_list *l, void *buf, size_t len)
{
	char *p = buf;

	while (len) {
		size_t n;

		if (!l->n)
			return false;
		n = l->iov->iov_len < len ? l->iov->iov_len : len;
		memcpy(p, l->iov->iov_base, n);
		p += n;
		len -= n;
		iov_skip(l, n);
	}
	return true;
}

/* Fill the front from @buf; returns how much there was room for. */
static inline size_t iov_fill(struct iov_list *l, const void *buf, size_t len)
{
	const char *p = buf;
	size_t done = 0;

	while (done < len && l->n) {
		size_t n = l->iov->iov_len < len - done ?
			   l->iov->iov_len : len - done;

		memcpy(l->iov->iov_base, p + done, n);
		done += n;
		iov_skip(l, n);
	}
	return done;
}

static inline size_t iov_len(const struct iov_list *l)
{
	size_t len = 0;
	unsigned int i;

	for (i = 0; i < l->n; i++)
		len += l->iov[i].iov_len;
	return len;
}

#endif
