// SPDX-License-Identifier: GPL-2.0
/* The virtqueue against drivers that obey the rules and ones that don't. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "../vmm/iov.h"
#include "../vmm/virtqueue.h"

#define MEM_SIZE	0x10000
#define DESC_GPA	0x1000
#define AVAIL_GPA	0x2000
#define USED_GPA	0x3000
#define DATA_GPA	0x4000
#define SIZE		8

struct fixture {
	struct guest_mem mem;
	struct virtqueue vq;
	struct vq_chain chain;
	uint8_t *ram;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->ram = calloc(1, MEM_SIZE);
	f->mem.nregions = 1;
	f->mem.size = MEM_SIZE;
	f->mem.region[0] = (struct mem_region){ 0, MEM_SIZE, f->ram };
	f->vq.mem = &f->mem;
	vq_reset(&f->vq, SIZE);
	f->vq.desc_gpa = DESC_GPA;
	f->vq.avail_gpa = AVAIL_GPA;
	f->vq.used_gpa = USED_GPA;
	assert_int_equal(vq_enable(&f->vq, false), 0);
	f->desc = (void *)(f->ram + DESC_GPA);
	f->avail = (void *)(f->ram + AVAIL_GPA);
	f->used = (void *)(f->ram + USED_GPA);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	free(f->ram);
	free(f);
	return 0;
}

static void put(struct fixture *f, unsigned int i, uint64_t addr, uint32_t len,
		uint16_t flags, uint16_t next)
{
	f->desc[i] = (struct vring_desc){ addr, len, flags, next };
}

static void offer(struct fixture *f, uint16_t head)
{
	f->avail->ring[f->avail->idx % SIZE] = head;
	f->avail->idx++;
}

static void good_chain(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(vq_pop(&f->vq, &f->chain), 0);
	put(f, 3, DATA_GPA, 16, VRING_DESC_F_NEXT, 5);
	put(f, 5, DATA_GPA + 0x100, 512, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 0);
	put(f, 0, DATA_GPA + 0x400, 1, VRING_DESC_F_WRITE, 0);
	offer(f, 3);
	assert_int_equal(vq_pop(&f->vq, &f->chain), 1);
	assert_int_equal(f->chain.head, 3);
	assert_int_equal(f->chain.nout, 1);
	assert_int_equal(f->chain.nin, 2);
	assert_int_equal(f->chain.out_len, 16);
	assert_int_equal(f->chain.in_len, 513);
	assert_ptr_equal(f->chain.iov[1].iov_base, f->ram + DATA_GPA + 0x100);
	assert_int_equal(vq_pop(&f->vq, &f->chain), 0);
	assert_int_equal(vq_rearm(&f->vq), 0);
	vq_push(&f->vq, 3, 513);
	assert_int_equal(f->used->idx, 1);
	assert_int_equal(f->used->ring[0].id, 3);
	assert_int_equal(f->used->ring[0].len, 513);
	assert_true(vq_need_signal(&f->vq));
	assert_false(vq_need_signal(&f->vq));
}

static void indirect_chain(void **state)
{
	struct fixture *f = *state;
	struct vring_desc *t = (void *)(f->ram + 0x5000);

	t[0] = (struct vring_desc){ DATA_GPA, 16, VRING_DESC_F_NEXT, 1 };
	t[1] = (struct vring_desc){ DATA_GPA + 16, 1, VRING_DESC_F_WRITE, 0 };
	put(f, 0, 0x5000, 2 * sizeof(*t), VRING_DESC_F_INDIRECT, 0);
	offer(f, 0);
	assert_int_equal(vq_pop(&f->vq, &f->chain), 1);
	assert_int_equal(f->chain.nout + f->chain.nin, 2);
}

static void refused(struct fixture *f, uint16_t head)
{
	offer(f, head);
	assert_int_equal(vq_pop(&f->vq, &f->chain), -EINVAL);
	/* And it stays refused: the queue doesn't run past it. */
	assert_int_equal(vq_pop(&f->vq, &f->chain), -EINVAL);
}

static void head_out_of_range(void **state)
{
	refused(*state, SIZE);
}

static void head_far_out_of_range(void **state)
{
	refused(*state, UINT16_MAX);
}

static void next_out_of_range(void **state)
{
	put(*state, 0, DATA_GPA, 16, VRING_DESC_F_NEXT, SIZE);
	refused(*state, 0);
}

static void loop_of_two(void **state)
{
	put(*state, 0, DATA_GPA, 16, VRING_DESC_F_NEXT, 1);
	put(*state, 1, DATA_GPA, 16, VRING_DESC_F_NEXT, 0);
	refused(*state, 0);
}

static void outside_of_memory(void **state)
{
	put(*state, 0, MEM_SIZE, 16, 0, 0);
	refused(*state, 0);
}

static void across_the_end(void **state)
{
	put(*state, 0, MEM_SIZE - 8, 16, 0, 0);
	refused(*state, 0);
}

static void address_wraps(void **state)
{
	put(*state, 0, UINT64_MAX - 7, 16, 0, 0);
	refused(*state, 0);
}

static void longest_length(void **state)
{
	put(*state, 0, DATA_GPA, UINT32_MAX, 0, 0);
	refused(*state, 0);
}

static void empty_buffer(void **state)
{
	put(*state, 0, DATA_GPA, 0, 0, 0);
	refused(*state, 0);
}

static void read_after_write(void **state)
{
	put(*state, 0, DATA_GPA, 16, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	put(*state, 1, DATA_GPA, 16, 0, 0);
	refused(*state, 0);
}

static void index_jumps(void **state)
{
	struct fixture *f = *state;

	f->avail->idx = SIZE + 1;
	assert_int_equal(vq_pop(&f->vq, &f->chain), -EINVAL);
}

static void indirect_nested(void **state)
{
	struct fixture *f = *state;
	struct vring_desc *t = (void *)(f->ram + 0x5000);

	t[0] = (struct vring_desc){ 0x5000, sizeof(*t), VRING_DESC_F_INDIRECT, 0 };
	put(f, 0, 0x5000, sizeof(*t), VRING_DESC_F_INDIRECT, 0);
	refused(f, 0);
}

static void indirect_with_next(void **state)
{
	put(*state, 0, 0x5000, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1);
	refused(*state, 0);
}

static void indirect_odd_size(void **state)
{
	put(*state, 0, 0x5000, 17, VRING_DESC_F_INDIRECT, 0);
	refused(*state, 0);
}

static void indirect_outside(void **state)
{
	put(*state, 0, MEM_SIZE - 16, 32, VRING_DESC_F_INDIRECT, 0);
	refused(*state, 0);
}

static void too_many_segments(void **state)
{
	struct fixture *f = *state;
	struct vring_desc *t = (void *)(f->ram + 0x5000);
	unsigned int i, n = VQ_SEGS_MAX + 1;

	for (i = 0; i < n; i++)
		t[i] = (struct vring_desc){ DATA_GPA, 1,
					    i + 1 < n ? VRING_DESC_F_NEXT : 0,
					    i + 1 };
	put(f, 0, 0x5000, n * sizeof(*t), VRING_DESC_F_INDIRECT, 0);
	refused(f, 0);
}

static void event_index(void **state)
{
	struct fixture *f = *state;
	uint16_t *used_event = &f->avail->ring[SIZE];
	uint16_t *avail_event = (uint16_t *)&f->used->ring[SIZE];

	f->vq.enabled = false;
	assert_int_equal(vq_enable(&f->vq, true), 0);
	put(f, 0, DATA_GPA, 16, 0, 0);
	offer(f, 0);
	assert_int_equal(vq_pop(&f->vq, &f->chain), 1);
	assert_int_equal(vq_rearm(&f->vq), 0);
	assert_int_equal(*avail_event, 1);
	*used_event = 1;	/* after the second one */
	vq_push(&f->vq, 0, 0);
	assert_false(vq_need_signal(&f->vq));
	vq_push(&f->vq, 0, 0);
	assert_true(vq_need_signal(&f->vq));
}

static void impossible_rings(void **state)
{
	struct fixture *f = *state;
	struct virtqueue good = f->vq;

	f->vq.size = 0;
	assert_int_equal(vq_enable(&f->vq, false), -EINVAL);
	f->vq.size = 6;
	assert_int_equal(vq_enable(&f->vq, false), -EINVAL);
	f->vq.size = VQ_SIZE_MAX * 2;
	assert_int_equal(vq_enable(&f->vq, false), -EINVAL);
	f->vq = good;
	f->vq.desc_gpa += 8;
	assert_int_equal(vq_enable(&f->vq, false), -EINVAL);
	f->vq = good;
	f->vq.used_gpa = MEM_SIZE - 8;
	assert_int_equal(vq_enable(&f->vq, false), -EINVAL);
	f->vq = good;
	f->vq.avail_gpa = UINT64_MAX - 1;
	assert_int_equal(vq_enable(&f->vq, false), -EINVAL);
}

/* Any bytes at all: nothing but an answer may come of it. */
static void random_rings(void **state)
{
	struct fixture *f = *state;
	unsigned int i, round;

	srand(1);
	for (round = 0; round < 20000; round++) {
		uint16_t idx = f->vq.last_avail + rand() % 4;

		for (i = 0; i < SIZE; i++)
			put(f, i, rand() % (MEM_SIZE * 2), rand() % 0x8000,
			    rand() % 8, rand() % (SIZE + 2));
		for (i = 0; i < SIZE; i++)
			f->avail->ring[i] = rand() % (SIZE + 1);
		f->avail->idx = idx;
		if (vq_pop(&f->vq, &f->chain) > 0)
			vq_push(&f->vq, f->chain.head, 0);
		else
			f->vq.last_avail = idx;
	}
}

static void memory_edges(void **state)
{
	struct fixture *f = *state;

	assert_non_null(mem_at(&f->mem, MEM_SIZE - 1, 1));
	assert_null(mem_at(&f->mem, MEM_SIZE - 1, 2));
	assert_null(mem_at(&f->mem, MEM_SIZE, 0));
	assert_null(mem_at(&f->mem, UINT64_MAX, UINT64_MAX));
	assert_null(mem_at(&f->mem, 1, UINT64_MAX));
}

static void scatter_lists(void **state)
{
	char a[3] = "abc", b[5] = "defgh", out[8];
	struct iovec iov[2] = { { a, 3 }, { b, 5 } };
	struct iov_list l = { iov, 2 };

	(void)state;
	assert_true(iov_take(&l, out, 4));
	assert_memory_equal(out, "abcd", 4);
	assert_int_equal(iov_len(&l), 4);
	assert_false(iov_skip(&l, 5));
	l = (struct iov_list){ iov, 1 };
	iov[0] = (struct iovec){ a, 3 };
	assert_int_equal(iov_fill(&l, "12345", 5), 3);
	assert_false(iov_take(&l, out, 1));
}

int main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(good_chain), T(indirect_chain), T(head_out_of_range),
		T(head_far_out_of_range), T(next_out_of_range), T(loop_of_two),
		T(outside_of_memory), T(across_the_end), T(address_wraps),
		T(longest_length), T(empty_buffer), T(read_after_write),
		T(index_jumps), T(indirect_nested), T(indirect_with_next),
		T(indirect_odd_size), T(indirect_outside), T(too_many_segments),
		T(event_index), T(impossible_rings), T(random_rings),
		T(memory_edges), cmocka_unit_test(scatter_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
