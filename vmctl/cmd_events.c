// SPDX-License-Identifier: GPL-2.0
/* vmctl events: one line per event, as they come. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "mgmt.h"
#include "vmctl.h"

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ 0 }
};

static void print_text(const struct mgmt_event *e)
{
	size_t i;

	if (e->lost) {
		puts("events were lost");
		return;
	}
	printf("%" PRIu64 ".%06" PRIu64 " vm %" PRIu64, e->time / 1000000000,
	       e->time % 1000000000 / 1000, e->vm.id);
	if (e->vcpu) {
		printf(" vcpu %d %s\n", e->vcpu_id, vcpu_event_name(e->event));
		return;
	}
	printf(" %s %s", e->vm.name, vm_event_name(e->event));
	switch (e->event) {
	case LHV_VM_EVENT_STOPPED:
		printf(" (%s)", stop_reason_name(e->reason));
		break;
	case LHV_VM_EVENT_RENAMED:
		printf(" from %s", e->old_name);
		break;
	case LHV_VM_EVENT_CRASHED:
		printf(" vcpu %d exit %u", e->vcpu_id, e->exit_reason);
		if (e->suberror >= 0)
			printf(" suberror %d", e->suberror);
		for (i = 0; i < e->nregs; i++)
			printf(" %s %#" PRIx64, e->regs[i].name, e->regs[i].value);
		break;
	}
	putchar('\n');
}

/* 64-bit registers as text: many readers of JSON know doubles only. */
static struct json_object *regs_json(const struct mgmt_event *e)
{
	struct json_object *o = json_object_new_object();
	char text[24];
	size_t i;

	for (i = 0; i < e->nregs; i++) {
		snprintf(text, sizeof(text), "0x%" PRIx64, e->regs[i].value);
		json_object_object_add(o, e->regs[i].name, json_object_new_string(text));
	}
	return o;
}

static void print_json(const struct mgmt_event *e)
{
	struct json_object *o = json_object_new_object();

	if (e->lost) {
		json_object_object_add(o, "event", json_object_new_string("lost"));
	} else {
		json_object_object_add(o, "time_ns", json_object_new_int64(e->time));
		json_object_object_add(o, "vm", json_object_new_int64(e->vm.id));
		json_object_object_add(o, "event", json_object_new_string(e->vcpu ?
				       vcpu_event_name(e->event) : vm_event_name(e->event)));
	}
	if (!e->lost && e->vcpu_id >= 0)
		json_object_object_add(o, "vcpu", json_object_new_int(e->vcpu_id));
	if (!e->lost && !e->vcpu) {
		json_object_object_add(o, "name", json_object_new_string(e->vm.name));
		json_object_object_add(o, "state",
				       json_object_new_string(vm_state_name(e->vm.state)));
		json_object_object_add(o, "uid", json_object_new_int64(e->vm.uid));
		if (e->event == LHV_VM_EVENT_STOPPED)
			json_object_object_add(o, "reason", json_object_new_string(
					       stop_reason_name(e->reason)));
		if (e->event == LHV_VM_EVENT_RENAMED)
			json_object_object_add(o, "old_name",
					       json_object_new_string(e->old_name));
		if (e->event == LHV_VM_EVENT_CRASHED) {
			json_object_object_add(o, "exit_reason",
					       json_object_new_int64(e->exit_reason));
			if (e->suberror >= 0)
				json_object_object_add(o, "suberror",
						       json_object_new_int(e->suberror));
			json_object_object_add(o, "regs", regs_json(e));
		}
	}
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

/* vCPUs' events have no name: a VM given by name is looked for by its id, too. */
static bool wanted(const struct mgmt_event *e, int argc, char **argv, const uint64_t *ids)
{
	int i;

	for (i = 0; i < argc; i++)
		if (e->lost || (ids[i] && ids[i] == e->vm.id) || vm_matches(&e->vm, argv[i]))
			return true;
	return !argc;
}

#define VMS_MAX	64

int cmd_events(int argc, char **argv)
{
	uint64_t ids[VMS_MAX] = { 0 };
	struct mgmt_event e;
	struct vm_list list;
	bool json = false;
	struct mgmt *m;
	int c, i, ret;
	size_t j;

	optind = 1;
	while ((c = getopt_long(argc, argv, "j", options, NULL)) != -1) {
		if (c != 'j')
			return command_usage("events");
		json = true;
	}
	argc -= optind;
	argv += optind;
	if (argc > VMS_MAX)
		return command_usage("events");
	m = mgmt_open(false);
	if (!m)
		return STATUS_ERROR;
	if (!mgmt_list(m, &list)) {
		for (i = 0; i < argc; i++)
			for (j = 0; j < list.n; j++)
				if (vm_matches(&list.vm[j], argv[i]))
					ids[i] = list.vm[j].id;
		vm_list_free(&list);
	}
	ret = mgmt_listen(m, true, true);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (!ret) {
		ret = mgmt_next_event(m, &e, -1);
		if (ret == -EINTR)
			ret = 0;
		if (ret <= 0)
			continue;
		ret = 0;
		if (!wanted(&e, argc, argv, ids))
			continue;
		if (json)
			print_json(&e);
		else
			print_text(&e);
		/* The reader of our output is gone. */
		if (ferror(stdout))
			break;
	}
	mgmt_close(m);
	return ret ? STATUS_ERROR : STATUS_OK;
}
