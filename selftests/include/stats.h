/* SPDX-License-Identifier: GPL-2.0 */
/* The counters of VMs and vCPUs, as KVM_GET_STATS_FD gives them. */
#ifndef STATS_H
#define STATS_H

#include <stddef.h>
#include <stdint.h>
#include <linux/kvm.h>

struct stats {
	struct kvm_stats_header head;
	char id[64];
	uint8_t *descs;
	size_t desc_size;
};

/* Reads the descriptors of @fd, and checks that they are what the ABI says. */
void stats_open(int fd, struct stats *s);
/* One counter, now. Fails the test when there is none of that name. */
uint64_t stats_get(int fd, struct stats *s, const char *name);

#endif
