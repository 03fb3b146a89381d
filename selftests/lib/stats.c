// SPDX-License-Identifier: GPL-2.0
/* The counters of VMs and vCPUs, as KVM_GET_STATS_FD gives them. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stats.h"
#include "tap.h"

static struct kvm_stats_desc *stats_desc(struct stats *s, uint32_t i)
{
	return (struct kvm_stats_desc *)(s->descs + i * s->desc_size);
}

void stats_open(int fd, struct stats *s)
{
	struct kvm_stats_header *h = &s->head;
	uint32_t i, j, type, unit, base;

	CHECK_EQ(pread(fd, h, sizeof(*h), 0), sizeof(*h));
	CHECK_EQ(h->flags, 0);
	CHECK(h->name_size && h->name_size <= sizeof(s->id) && h->num_desc);
	CHECK(h->id_offset >= sizeof(*h) && h->desc_offset >= h->id_offset + h->name_size);
	s->desc_size = sizeof(struct kvm_stats_desc) + h->name_size;
	CHECK(h->data_offset >= h->desc_offset + h->num_desc * s->desc_size);
	CHECK_EQ(pread(fd, s->id, h->name_size, h->id_offset), h->name_size);
	CHECK(strnlen(s->id, h->name_size) && strnlen(s->id, h->name_size) < h->name_size);
	s->descs = malloc(h->num_desc * s->desc_size);
	CHECK(s->descs);
	CHECK_EQ(pread(fd, s->descs, h->num_desc * s->desc_size, h->desc_offset),
		 h->num_desc * s->desc_size);
	for (i = 0; i < h->num_desc; i++) {
		struct kvm_stats_desc *d = stats_desc(s, i);

		type = d->flags & KVM_STATS_TYPE_MASK;
		unit = d->flags & KVM_STATS_UNIT_MASK;
		base = d->flags & KVM_STATS_BASE_MASK;
		CHECK(type <= KVM_STATS_TYPE_MAX && unit <= KVM_STATS_UNIT_MAX &&
		      base <= KVM_STATS_BASE_MAX);
		CHECK(unit == KVM_STATS_UNIT_SECONDS ? d->exponent <= 0 : d->exponent >= 0);
		CHECK_EQ(d->size, 1);
		CHECK_EQ(d->bucket_size, 0);
		CHECK_EQ(d->offset % 8, 0);
		CHECK(d->name[0] && strnlen(d->name, h->name_size) < h->name_size);
		for (j = 0; j < i; j++) {
			CHECK(strcmp(d->name, stats_desc(s, j)->name));
			CHECK(d->offset != stats_desc(s, j)->offset);
		}
	}
}

uint64_t stats_get(int fd, struct stats *s, const char *name)
{
	uint64_t value;
	uint32_t i;

	for (i = 0; i < s->head.num_desc; i++) {
		struct kvm_stats_desc *d = stats_desc(s, i);

		if (strcmp(d->name, name))
			continue;
		CHECK_EQ(pread(fd, &value, 8, s->head.data_offset + d->offset), 8);
		return value;
	}
	FAIL("no counter %s", name);
}
