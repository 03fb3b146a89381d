// SPDX-License-Identifier: GPL-2.0
/* Devices by netlink: see mgmt.h. */
#include <errno.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt.h"
#include "mgmt_priv.h"

struct device_sink {
	struct device_info *devices;
	size_t n, room;
	bool failed;
};

static struct device_info *more(struct device_sink *sink)
{
	size_t room = sink->room ? 2 * sink->room : 64;
	struct device_info *devices;

	if (sink->n < sink->room)
		return &sink->devices[sink->n++];
	devices = realloc(sink->devices, room * sizeof(*devices));
	if (!devices) {
		sink->failed = true;
		return NULL;
	}
	sink->devices = devices;
	sink->room = room;
	return &devices[sink->n++];
}

static void get_text(char *to, size_t room, struct nlattr **tb, int attr)
{
	to[0] = '\0';
	if (tb[attr])
		nla_strlcpy(to, tb[attr], room);
}

static int on_device(struct nl_msg *msg, void *arg)
{
	struct nlattr *tb[LHV_A_DEVICE_MAX + 1];
	struct device_sink *sink = arg;
	struct device_info *d;

	if (genlmsg_parse(nlmsg_hdr(msg), 0, tb, LHV_A_DEVICE_MAX, NULL))
		return NL_OK;
	d = more(sink);
	if (!d)
		return NL_OK;
	get_text(d->address, sizeof(d->address), tb, LHV_A_DEVICE_ADDRESS);
	get_text(d->driver, sizeof(d->driver), tb, LHV_A_DEVICE_DRIVER);
	get_text(d->former, sizeof(d->former), tb, LHV_A_DEVICE_FORMER);
	get_text(d->members, sizeof(d->members), tb, LHV_A_DEVICE_MEMBERS);
	get_text(d->blocked, sizeof(d->blocked), tb, LHV_A_DEVICE_BLOCKED);
	get_text(d->users, sizeof(d->users), tb, LHV_A_DEVICE_USERS);
	d->vendor = mgmt_u32(tb, LHV_A_DEVICE_VENDOR);
	d->device = mgmt_u32(tb, LHV_A_DEVICE_DEVICE);
	d->class = mgmt_u32(tb, LHV_A_DEVICE_CLASS);
	d->group = tb[LHV_A_DEVICE_GROUP] ? (int)mgmt_u32(tb, LHV_A_DEVICE_GROUP) : -1;
	d->can_reset = mgmt_u32(tb, LHV_A_DEVICE_CAN_RESET);
	d->isolated = mgmt_u32(tb, LHV_A_DEVICE_ISOLATED);
	d->vm_id = mgmt_u64(tb, LHV_A_DEVICE_VM_ID);
	return NL_OK;
}

/**
 * mgmt_devices() - all PCI devices of the host
 * @m: connection
 * @devices: result, to be freed
 * @n: how many
 *
 * Return: 0 or -errno; mgmt_error() has the reason.
 */
int mgmt_devices(struct mgmt *m, struct device_info **devices, size_t *n)
{
	struct device_sink sink = { 0 };
	int ret = mgmt_talk(m, mgmt_request(m, LHV_CMD_DEVICE_GET, NLM_F_DUMP), on_device, &sink);

	if (!ret && sink.failed)
		ret = -ENOMEM;
	if (ret) {
		free(sink.devices);
		return ret;
	}
	*devices = sink.devices;
	*n = sink.n;
	return 0;
}

int mgmt_device_change(struct mgmt *m, int cmd, const char *address, uint64_t vm, bool force)
{
	struct nl_msg *msg = mgmt_request(m, cmd, 0);
	char full[64];

	/* lspci leaves the first domain out. */
	snprintf(full, sizeof(full), "%s%s",
		 strchr(address, ':') == strrchr(address, ':') ? "0000:" : "", address);
	if (msg && (nla_put_string(msg, LHV_A_DEVICE_ADDRESS, full) < 0 ||
		    (vm && nla_put_u64(msg, LHV_A_DEVICE_VM_ID, vm) < 0) ||
		    (force && nla_put_flag(msg, LHV_A_DEVICE_FORCE) < 0))) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	return mgmt_talk(m, msg, NULL, NULL);
}
