// SPDX-License-Identifier: GPL-2.0
/* vmctl events: one line per event, as they come. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
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

/* The VMs that are asked for, by id: vCPUs' events have no name. They come, go, and are renamed. */
struct wanted {
	uint64_t *id;
	size_t n, room;
};

static bool is_wanted(const struct wanted *w, uint64_t id)
{
	size_t i;

	for (i = 0; i < w->n && w->id[i] != id; i++)
		;
	return i < w->n;
}

static void forget(struct wanted *w, uint64_t id)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		if (w->id[i] == id)
			w->id[i] = w->id[--w->n];
}

static int want(struct wanted *w, const struct vm_info *vm, int argc, char **argv)
{
	uint64_t *more;
	int i;

	for (i = 0; i < argc && !vm_matches(vm, argv[i]); i++)
		;
	if (i == argc || is_wanted(w, vm->id))
		return 0;
	if (w->n == w->room) {
		w->room = w->room ? 2 * w->room : 16;
		more = realloc(w->id, w->room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		w->id = more;
	}
	w->id[w->n++] = vm->id;
	return 0;
}

/* After we listen, so that none is missed in between. */
static int want_present(struct wanted *w, int argc, char **argv)
{
	struct mgmt *m = argc ? mgmt_open(false) : NULL;
	struct vm_list list;
	size_t i;
	int ret;

	if (!m)
		return argc ? -EPERM : 0;
	ret = mgmt_list(m, &list);
	for (i = 0; !ret && i < list.n; i++)
		ret = want(w, &list.vm[i], argc, argv);
	vm_list_free(&list);
	mgmt_close(m);
	return ret;
}

static int follow(struct mgmt *m, struct wanted *w, bool json, int argc, char **argv)
{
	struct mgmt_event e;
	bool show;
	int ret;

	do {
		ret = mgmt_next_event(m, &e, -1);
		if (ret == -EINTR || !ret)
			continue;
		if (ret > 0 && !e.lost && !e.vcpu && want(w, &e.vm, argc, argv))
			ret = -ENOMEM;
		if (ret < 0) {
			report_errno(-ret, "events");
			return ret;
		}
		show = !argc || e.lost || is_wanted(w, e.vm.id);
		if (!e.lost && !e.vcpu && e.event == LHV_VM_EVENT_STOPPED)
			forget(w, e.vm.id);
		if (!show)
			continue;
		if (json)
			print_json(&e);
		else
			print_text(&e);
		/* Until the reader of our output is gone. */
	} while (!ferror(stdout));
	return 0;
}

int cmd_events(int argc, char **argv)
{
	struct wanted w = { 0 };
	bool json = false;
	struct mgmt *m;
	int c, ret;

	optind = 1;
	while ((c = getopt_long(argc, argv, "j", options, NULL)) != -1) {
		if (c != 'j')
			return command_usage("events");
		json = true;
	}
	argc -= optind;
	argv += optind;
	m = mgmt_open(false);
	if (!m)
		return STATUS_ERROR;
	setvbuf(stdout, NULL, _IOLBF, 0);
	ret = mgmt_listen(m, true, true);
	if (!ret)
		ret = want_present(&w, argc, argv);
	if (!ret)
		ret = follow(m, &w, json, argc, argv);
	free(w.id);
	mgmt_close(m);
	return ret ? STATUS_ERROR : STATUS_OK;
}
