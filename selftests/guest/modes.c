// SPDX-License-Identifier: GPL-2.0
/* Runs the micro-guests of modes.S: one case for each row of the table. */
#include "guest.h"

struct row {
	const char *name;
	const char *begin, *end;
	uint32_t mode, want;
};

extern const struct row __start_guests[], __stop_guests[];

static void run_row(const void *arg)
{
	const struct row *row = arg;
	bool copied = row->mode == REAL || row->mode == PROT16;
	struct vm *vm = machine(0);
	struct vcpu *vcpu = vcpu_add(vm, 0);
	uint32_t value;
	int ret;

	vcpu_set_cpuid(vcpu);
	if (copied)
		memcpy(vm->ram + GUEST_BLOB, row->begin, row->end - row->begin);
	vcpu_mode(vcpu, row->mode, copied ? 0 : (uintptr_t)row->begin);
	ret = vcpu_go(vcpu, &value);
	if (ret == GO_DONE && value == row->want)
		return;
	vcpu_dump(vcpu);
	if (ret == GO_DONE && (value & 0xffff0000) == BAD_LINE)
		FAIL("modes.S:%u: check failed", value & 0xffff);
	FAIL("ended with %d, %#x, not %#x", ret, value, row->want);
}

__attribute__((constructor)) static void register_rows(void)
{
	const struct row *row;

	for (row = __start_guests; row < __stop_guests; row++) {
		struct test *test = calloc(1, sizeof(*test));

		if (!test)
			abort();
		test->name = row->name;
		test->fn = run_row;
		test->arg = row;
		test_register(test);
	}
}
