/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Generic netlink by hand: the tests have to send what no library would, and to see
 * exactly what comes back.
 */
#ifndef NL_H
#define NL_H

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/lhv_netlink.h>

#include <pthread.h>

#include "vm.h"

#define NL_ATTRS	64
#define NL_ROOM		4096

/* A parsed message or nest: the last attribute of each type. */
struct attrs {
	const struct nlattr *at[NL_ATTRS];
};

struct msg {
	struct nlmsghdr head;
	struct genlmsghdr genl;
	uint8_t data[NL_ROOM];
};

struct nl {
	int fd;
	uint32_t seq;
	uint16_t family;
	uint32_t group_vm, group_vcpu;
	bool intr;		/* the last dump had NLM_F_DUMP_INTR */
	int parts;		/* datagrams that it came in */
	char said[256];		/* the last refusal's message, "" when it had none */
	uint8_t buf[65536];
};

/* fn(): one message of the answer; @cmd is its command */
typedef void (*nl_fn)(void *arg, int cmd, const struct attrs *attrs);

/* NULL when the family is not there. */
struct nl *nl_try_open(void);
struct nl *nl_open(void);
void nl_close(struct nl *nl);
void nl_join(struct nl *nl, uint32_t group);
int nl_try_join(struct nl *nl, uint32_t group);

struct msg *msg_new(int cmd);
void *msg_put(struct msg *m, int type, const void *data, size_t len);
void msg_u64(struct msg *m, int type, uint64_t v);
void msg_u32(struct msg *m, int type, uint32_t v);
void msg_str(struct msg *m, int type, const char *text);
void msg_flag(struct msg *m, int type);

void attrs_parse(struct attrs *a, const void *data, size_t len);
void attrs_nest(struct attrs *a, const struct nlattr *nest);
/* The attribute has to be there and of that size. */
uint64_t attr_u64(const struct attrs *a, int type);
uint32_t attr_u32(const struct attrs *a, int type);
const char *attr_str(const struct attrs *a, int type);

/* These consume @m. 0 or -errno. */
int nl_do(struct nl *nl, struct msg *m, nl_fn fn, void *arg);
int nl_dump(struct nl *nl, struct msg *m, nl_fn fn, void *arg);
/* The next event, waiting up to @ms: its command; 0 when none came; -errno. */
int nl_event(struct nl *nl, int ms, struct attrs *attrs);

/* ---- what many tests do ---- */

/* A command on one VM, by its id. */
int vm_cmd(struct nl *nl, int cmd, uint64_t id);
/* The VM's id, from the ioctl. */
uint64_t vm_id(int vm_fd);
int vm_state(struct nl *nl, uint64_t id);

int new_vm(int sys);
/* The most open files that root may have. */
void raise_files(void);
/* Until *@over. */
void vms_come_and_go(int *sys, volatile bool *over);
/* In a dump, with one filter unless @attr is 0. */
int count_vms(struct nl *nl, int attr, uint32_t value);
/* All of the work, however long it takes? Else what a slow machine does in some seconds. */
bool in_full(void);

/* For a dump of VMs: how many there are of those that last, and of others. */
struct listing {
	uint64_t last, first_lasting, last_lasting;
	int lasting, others;
};

void listing_add(void *arg, int cmd, const struct attrs *a);

#define REFUSED(nl, call, err, text)					\
	do {								\
		CHECK_EQ(-(call), err);					\
		if (!strstr((nl)->said, text))				\
			FAIL("refused with \"%s\", which lacks \"%s\"",	\
			     (nl)->said, text);				\
	} while (0)

/* ---- guests ---- */

/* Real-mode code. */
/*
 * 1: sti; cli; jmp 1b; nothing comes through in between. A loop that never changes IF hangs in Bochs.
 */
#define DEAF_SPIN	"\xfb\xfa\xeb\xfc"
#define SPIN		"\xfb\xeb\xfd"		/* 1: sti; jmp 1b */
#define HALT		"\xf4\xeb\xfd"			/* 1: hlt; jmp 1b */
#define OUT_LOOP	"\xba\x00\x02\xee\xeb\xfd"	/* mov $0x200, %dx; 1: out %al, %dx; jmp 1b */
#define IN_LOOP		"\xba\x40\x00\xec\xeb\xfd"	/* mov $0x40, %dx; 1: in %dx, %al; jmp 1b */

/* KVM_RUN in a thread, again after each signal, until it fails or exits otherwise. */
struct runner {
	struct vcpu *vcpu;
	pthread_t thread;
	int ret, err;		/* of the last KVM_RUN */
};

void runner_start(struct runner *r, struct vcpu *vcpu);
void runner_join(struct runner *r);

uint64_t now_ns(void);

#endif
