// SPDX-License-Identifier: GPL-2.0
/* What the module says, as it is shown. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "../mgmt_priv.h"

/* A process can call itself anything; its name is for root's terminal, and for JSON. */
static void command(void **state)
{
	struct nlattr *tb[LHV_A_VM_MAX + 1], *nest;
	struct nl_msg *msg = nlmsg_alloc();
	struct vm_info vm;

	(void)state;
	assert_non_null(msg);
	assert_non_null(nlmsg_put(msg, 0, 0, NLMSG_MIN_TYPE, 0, 0));
	nest = nla_nest_start(msg, LHV_A_VM_OWNER);
	assert_int_equal(nla_put_string(msg, LHV_A_OWNER_COMM, "a~ \033[2J\n\177\200\377z"), 0);
	nla_nest_end(msg, nest);
	assert_int_equal(nlmsg_parse(nlmsg_hdr(msg), 0, tb, LHV_A_VM_MAX, NULL), 0);
	mgmt_parse_vm(&vm, tb);
	assert_string_equal(vm.comm, "a~ ?[2J????z");
	nlmsg_free(msg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
