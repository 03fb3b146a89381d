// SPDX-License-Identifier: GPL-2.0
/* See sched.h. */
#include <time.h>

#include "sched.h"

struct nl *nl;

void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000l };

	while (nanosleep(&ts, &ts))
		;
}

int pool_set(const char *pool, const char *policy, int slots, const char *cpus)
{
	struct msg *m = msg_new(LHV_CMD_POOL_SET);

	msg_str(m, LHV_A_POOL_NAME, pool);
	if (policy)
		msg_str(m, LHV_A_POOL_POLICY, policy);
	if (slots >= 0)
		msg_u32(m, LHV_A_POOL_SLOTS, slots);
	if (cpus)
		msg_str(m, LHV_A_POOL_CPUS, cpus);
	return nl_do(nl, m, NULL, NULL);
}

int pool_set_quantum(const char *pool, uint64_t ns)
{
	struct msg *m = msg_new(LHV_CMD_POOL_SET);

	msg_str(m, LHV_A_POOL_NAME, pool);
	msg_u64(m, LHV_A_POOL_QUANTUM, ns);
	return nl_do(nl, m, NULL, NULL);
}

static int want_attr;
static uint64_t got;

static void on_pool(void *arg, int cmd, const struct attrs *a)
{
	(void)arg;
	(void)cmd;
	got = attr_u32(a, want_attr);
}

uint64_t pool_get(const char *pool, int attr)
{
	struct msg *m = msg_new(LHV_CMD_POOL_GET);

	msg_str(m, LHV_A_POOL_NAME, pool);
	want_attr = attr;
	CHECK_EQ(nl_do(nl, m, on_pool, NULL), 0);
	return got;
}

static bool is_wide(int attr)
{
	return attr == LHV_A_SCHED_LENGTH || attr == LHV_A_SCHED_PERIOD ||
	       attr == LHV_A_SCHED_BUDGET || attr > LHV_A_SCHED_PAD;
}

static size_t put(void *to, int attr, uint64_t value)
{
	struct nlattr *a = to;
	size_t len = is_wide(attr) ? 8 : 4;

	a->nla_type = attr;
	a->nla_len = NLA_HDRLEN + len;
	memcpy((char *)to + NLA_HDRLEN, &value, len);
	return NLA_ALIGN(a->nla_len);
}

int sched_set(uint64_t id, int attr, uint64_t value, int attr2, uint64_t value2)
{
	return sched_move(id, -1, attr, value, attr2, value2);
}

int sched_move(uint64_t id, int pool, int attr, uint64_t value, int attr2, uint64_t value2)
{
	struct msg *m = msg_new(LHV_CMD_VM_SET);
	uint8_t nest[64];
	size_t n = put(nest, attr, value);

	if (pool >= 0)
		n += put(nest + n, LHV_A_SCHED_POOL, pool);
	if (attr2)
		n += put(nest + n, attr2, value2);
	msg_u64(m, LHV_A_VM_ID, id);
	msg_put(m, LHV_A_VM_SCHED | NLA_F_NESTED, nest, n);
	return nl_do(nl, m, NULL, NULL);
}

static void on_vm(void *arg, int cmd, const struct attrs *a)
{
	struct attrs s;

	(void)arg;
	(void)cmd;
	CHECK(a->at[LHV_A_VM_SCHED]);
	attrs_nest(&s, a->at[LHV_A_VM_SCHED]);
	got = is_wide(want_attr) ? attr_u64(&s, want_attr) : attr_u32(&s, want_attr);
}

uint64_t sched_get(uint64_t id, int attr)
{
	struct msg *m = msg_new(LHV_CMD_VM_GET);

	msg_u64(m, LHV_A_VM_ID, id);
	want_attr = attr;
	CHECK_EQ(nl_do(nl, m, on_vm, NULL), 0);
	return got;
}

static void on_figures(void *arg, int cmd, const struct attrs *a)
{
	uint64_t *fig = arg;
	struct attrs s;
	int i;

	(void)cmd;
	CHECK(a->at[LHV_A_VM_SCHED]);
	attrs_nest(&s, a->at[LHV_A_VM_SCHED]);
	for (i = LHV_A_SCHED_RUN_NS; i < FIGURES; i++)
		fig[i] = attr_u64(&s, i);
}

void sched_figures(uint64_t id, uint64_t *fig)
{
	struct msg *m = msg_new(LHV_CMD_VM_GET);

	msg_u64(m, LHV_A_VM_ID, id);
	CHECK_EQ(nl_do(nl, m, on_figures, fig), 0);
}

void sched_setup(const char *policy, uint32_t slots)
{
	nl = nl_open();
	CHECK_EQ(pool_set("default", policy, slots, ""), 0);
	CHECK_EQ(pool_set_quantum("default", 10 * MS), 0);
	CHECK_EQ(pool_get("default", LHV_A_POOL_SLOTS), slots);
}

void crew_start(struct crew *c, int vcpus, guest_fn fn)
{
	crew_make(c, machine(0), vcpus, fn);
	crew_go(c);
}

void crew_make(struct crew *c, struct vm *vm, int vcpus, guest_fn fn)
{
	int i;

	memset(c, 0, sizeof(*c));
	c->vm = vm;
	c->id = vm_id(c->vm->fd);
	c->n = vcpus;
	for (i = 0; i < vcpus; i++)
		machine_vcpu(c->vm, fn);
}

void crew_go(struct crew *c)
{
	int i;

	for (i = 0; i < c->n; i++)
		runner_start(&c->runner[i], &c->vm->vcpus[i]);
}

uint64_t crew_work(const struct crew *c)
{
	volatile uint64_t *work = guest_ptr(c->vm, g_work);
	uint64_t sum = 0;
	int i;

	for (i = 0; i < c->n; i++)
		sum += work[i];
	return sum;
}

/* A dozen vCPUs, slices of a millisecond, on an emulator that others delay. */
#define BOUND	(5000 * MS)

uint64_t crews_move(const struct crew *c, int n)
{
	uint64_t before[8][8], t = now_ns();
	volatile uint64_t *work;
	int i, j;

	CHECK(n <= 8);
	for (i = 0; i < n; i++)
		memcpy(before[i], guest_ptr(c[i].vm, g_work), sizeof(before[i]));
	for (i = 0; i < n; i++) {
		work = guest_ptr(c[i].vm, g_work);
		for (j = 0; j < c[i].n; j++) {
			while (work[j] == before[i][j]) {
				if (now_ns() - t > BOUND)
					FAIL("vCPU %d of VM %d gets nothing", j, i);
				sleep_ms(1);
			}
		}
	}
	return now_ns() - t;
}

void crew_end(struct crew *c)
{
	int i;

	CHECK_EQ(vm_cmd(nl, LHV_CMD_VM_KILL, c->id), 0);
	for (i = 0; i < c->n; i++) {
		runner_join(&c->runner[i]);
		/* Or the signal of runner_join(), if that found it between two looks at its requests. */
		CHECK(c->runner[i].err == EIO || c->runner[i].err == EINTR);
		CHECK_ERR(ioctl(c->vm->vcpus[i].fd, KVM_RUN, 0), EIO);
	}
}
