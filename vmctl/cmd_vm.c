// SPDX-License-Identifier: GPL-2.0
/* vmctl status, pause, unpause, stop, wait, console: one VM, or all of them. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mgmt.h"
#include "runtime.h"
#include "terminal.h"
#include "vmctl.h"

#define VCPUS_SHOWN	256

static const struct option json_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ 0 }
};

/* ---- status ---- */

static const char *user_name(uid_t uid, char *buf, size_t len)
{
	const struct passwd *pw = getpwuid(uid);

	if (pw)
		snprintf(buf, len, "%s", pw->pw_name);
	else
		snprintf(buf, len, "%u", (unsigned int)uid);
	return buf;
}

/* Three digits and a unit, as OpenBSD prints sizes. */
static const char *human_size(uint64_t bytes, char *buf, size_t len)
{
	static const char units[] = "BKMGTPE";
	unsigned int unit = 0;
	double v = bytes;

	if (!bytes)
		return "-";
	while (v >= 1000 && unit < sizeof(units) - 2) {
		v /= 1024;
		unit++;
	}
	snprintf(buf, len, v < 10 && unit ? "%.1f%c" : "%.0f%c", v, units[unit]);
	return buf;
}

static bool has_console(const struct vm_info *vm)
{
	char path[RUNTIME_PATH_MAX];

	return !runtime_path(path, vm->uid, vm->id) && !access(path, F_OK);
}

static void print_head(void)
{
	printf("%5s %5s %5s %7s %7s %7s %12s %8s %s\n", "ID", "PID", "VCPUS", "MAXMEM",
	       "CURMEM", "TTY", "OWNER", "STATE", "NAME");
}

static void print_vm(const struct vm_info *vm)
{
	char max[16], cur[16], pid[16] = "-", owner[64];

	if (vm->pid && !vm->owner_gone)
		snprintf(pid, sizeof(pid), "%u", vm->pid);
	printf("%5llu %5s %5u %7s %7s %7s %12s %8s %s\n", (unsigned long long)vm->id, pid,
	       vm->vcpus, human_size(vm->memory, max, sizeof(max)),
	       human_size(vm->resident, cur, sizeof(cur)), has_console(vm) ? "socket" : "-",
	       user_name(vm->uid, owner, sizeof(owner)), vm_state_name(vm->state), vm->name);
}

static void print_vcpus(struct mgmt *m, const struct vm_info *vm)
{
	struct vcpu_info v[VCPUS_SHOWN];
	size_t n, i;

	if (mgmt_vcpus(m, vm->id, v, VCPUS_SHOWN, &n))
		return;
	for (i = 0; i < n; i++) {
		printf("      vcpu %u: %s", v[i].id, vcpu_state_name(v[i].state));
		if (v[i].thread)
			printf(", thread %u", v[i].thread);
		if (v[i].cpu >= 0)
			printf(", on CPU %d", v[i].cpu);
		putchar('\n');
	}
}

static struct json_object *vm_json(struct mgmt *m, const struct vm_info *vm, bool vcpus)
{
	struct json_object *o = json_object_new_object(), *w = json_object_new_object(), *a, *c;
	struct vcpu_info v[VCPUS_SHOWN];
	size_t n, i;

	json_object_object_add(o, "id", json_object_new_int64(vm->id));
	json_object_object_add(o, "name", json_object_new_string(vm->name));
	json_object_object_add(o, "state", json_object_new_string(vm_state_name(vm->state)));
	json_object_object_add(o, "vcpus", json_object_new_int64(vm->vcpus));
	json_object_object_add(o, "memory", json_object_new_int64(vm->memory));
	json_object_object_add(o, "resident", json_object_new_int64(vm->resident));
	json_object_object_add(o, "tables", json_object_new_int64(vm->tables));
	json_object_object_add(o, "created_ns", json_object_new_int64(vm->created));
	json_object_object_add(o, "can_stop", json_object_new_boolean(vm->can_stop));
	json_object_object_add(o, "console", json_object_new_boolean(has_console(vm)));
	json_object_object_add(w, "pid", vm->pid ? json_object_new_int64(vm->pid) : NULL);
	json_object_object_add(w, "start_time_ns", json_object_new_int64(vm->start_time));
	json_object_object_add(w, "uid", json_object_new_int64(vm->uid));
	json_object_object_add(w, "command", json_object_new_string(vm->comm));
	json_object_object_add(w, "user_ns", json_object_new_int64(vm->user_ns));
	json_object_object_add(w, "cgroup", vm->cgroup ? json_object_new_int64(vm->cgroup) : NULL);
	json_object_object_add(w, "gone", json_object_new_boolean(vm->owner_gone));
	json_object_object_add(o, "owner", w);
	if (!vcpus || mgmt_vcpus(m, vm->id, v, VCPUS_SHOWN, &n))
		return o;
	a = json_object_new_array();
	for (i = 0; i < n; i++) {
		c = json_object_new_object();
		json_object_object_add(c, "id", json_object_new_int64(v[i].id));
		json_object_object_add(c, "state",
				       json_object_new_string(vcpu_state_name(v[i].state)));
		json_object_object_add(c, "thread", v[i].thread ?
				       json_object_new_int64(v[i].thread) : NULL);
		json_object_object_add(c, "cpu", v[i].cpu >= 0 ?
				       json_object_new_int(v[i].cpu) : NULL);
		json_object_array_add(a, c);
	}
	json_object_object_add(o, "vcpu", a);
	return o;
}

static bool selected(const struct vm_info *vm, int argc, char **argv)
{
	int i;

	for (i = 0; i < argc; i++)
		if (vm_matches(vm, argv[i]))
			return true;
	return !argc;
}

/* Every VM that was asked for has to be there. */
static int check_selection(const struct vm_list *list, int argc, char **argv)
{
	int i, status = STATUS_OK;
	size_t j;

	for (i = 0; i < argc; i++) {
		for (j = 0; j < list->n && !vm_matches(&list->vm[j], argv[i]); j++)
			;
		if (j == list->n) {
			report("%s: no such VM", argv[i]);
			status = STATUS_ERROR;
		}
	}
	return status;
}

int cmd_status(int argc, char **argv)
{
	bool json = false, verbose = false;
	struct json_object *all, *vms;
	struct vm_list list;
	struct mgmt *m;
	int c, status;
	size_t i;

	optind = 1;
	while ((c = getopt_long(argc, argv, "jv", json_options, NULL)) != -1) {
		if (c == 'j')
			json = true;
		else if (c == 'v')
			verbose = true;
		else
			return command_usage("status");
	}
	argc -= optind;
	argv += optind;
	m = mgmt_open(false);
	if (!m)
		return STATUS_ERROR;
	if (mgmt_list(m, &list)) {
		mgmt_close(m);
		return STATUS_ERROR;
	}
	all = json_object_new_object();
	vms = json_object_new_array();
	if (!json)
		print_head();
	for (i = 0; i < list.n; i++) {
		if (!selected(&list.vm[i], argc, argv))
			continue;
		if (json) {
			json_object_array_add(vms, vm_json(m, &list.vm[i], verbose));
			continue;
		}
		print_vm(&list.vm[i]);
		if (verbose)
			print_vcpus(m, &list.vm[i]);
	}
	json_object_object_add(all, "vms", vms);
	if (json)
		puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(all);
	status = check_selection(&list, argc, argv);
	vm_list_free(&list);
	mgmt_close(m);
	return status;
}

/* ---- pause, unpause ---- */

static int refused(struct mgmt *m, const struct vm_info *vm, int ret)
{
	report("%s: %s", vm->name, *mgmt_error(m) ? mgmt_error(m) : strerror(-ret));
	return STATUS_ERROR;
}

static int simple(int argc, char **argv, int cmd)
{
	struct vm_info vm;
	struct mgmt *m;
	int ret, status = STATUS_ERROR;

	if (argc != 2 || argv[1][0] == '-')
		return command_usage(argv[0]);
	m = mgmt_open(false);
	if (!m)
		return STATUS_ERROR;
	if (!mgmt_find(m, argv[1], &vm)) {
		ret = mgmt_command(m, cmd, vm.id);
		status = ret ? refused(m, &vm, ret) : STATUS_OK;
	}
	mgmt_close(m);
	return status;
}

int cmd_pause(int argc, char **argv)
{
	return simple(argc, argv, LHV_CMD_VM_PAUSE);
}

int cmd_resume(int argc, char **argv)
{
	return simple(argc, argv, LHV_CMD_VM_RESUME);
}

/* ---- wait ---- */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* vmctl's own VMs say how they ended: their exit status; -ENODATA when this one did not. */
static int wait_by_socket(const struct vm_info *vm)
{
	int fd = runtime_connect(vm->uid, vm->id, HUB_WAIT);
	char line[16];
	ssize_t n, got = 0;

	if (fd < 0)
		return fd;
	while ((n = read(fd, line + got, sizeof(line) - 1 - got)) > 0)
		got += n;
	close(fd);
	line[got] = '\0';
	return isdigit((unsigned char)line[0]) ? atoi(line) : -ENODATA;
}

/* Any VMM's: until the kernel says that it is no more. -ETIMEDOUT after @ms, -1: never. */
static int wait_gone(struct mgmt *m, uint64_t id, int ms)
{
	int64_t end = now_ms() + ms;
	struct mgmt *ear = mgmt_open(true);
	struct mgmt_event e;
	struct vm_info vm;
	int ret = -EPERM, left;

	if (!ear || mgmt_listen(ear, true, false)) {
		mgmt_close(ear);
		return ret;
	}
	for (;;) {
		/* It may have gone before we listened, or while we lost events. */
		ret = mgmt_get(m, id, &vm);
		if (ret == -ENOENT || (!ret && vm.state == LHV_VM_STATE_KILLED)) {
			ret = 0;
			break;
		}
		do {
			left = ms < 0 ? -1 : end > now_ms() ? end - now_ms() : 0;
			ret = mgmt_next_event(ear, &e, left);
		} while (ret == -EINTR || (ret > 0 && !e.lost &&
					   (e.vm.id != id || e.event != LHV_VM_EVENT_STOPPED)));
		if (ret < 0)
			report_errno(-ret, "events");
		if (ret <= 0 || !e.lost) {
			ret = !ret ? -ETIMEDOUT : ret < 0 ? ret : 0;
			break;
		}
	}
	mgmt_close(ear);
	return ret;
}

static int wait_vm(struct mgmt *m, const struct vm_info *vm)
{
	int status = wait_by_socket(vm);
	struct vm_info now;
	bool silent;

	if (status >= 0)
		return status;
	/* No socket: another program's, unless it went just now, and its socket with it. */
	silent = status == -ENODATA || mgmt_get(m, vm->id, &now) == -ENOENT;
	if (wait_gone(m, vm->id, -1))
		return STATUS_ERROR;
	if (silent)
		report("%s has ended, and nobody says how", vm->name);
	return silent ? STATUS_UNKNOWN : STATUS_OK;
}

int cmd_wait(int argc, char **argv)
{
	int status = STATUS_ERROR;
	struct vm_info vm;
	struct mgmt *m;

	if (argc != 2 || argv[1][0] == '-')
		return command_usage("wait");
	m = mgmt_open(false);
	if (!m)
		return STATUS_ERROR;
	if (!mgmt_find(m, argv[1], &vm))
		status = wait_vm(m, &vm);
	mgmt_close(m);
	return status;
}

/* ---- stop ---- */

struct stop {
	bool force, wait, all;
	unsigned int seconds;
};

static int ask_to_stop(struct mgmt *m, const struct vm_info *vm, const struct stop *how)
{
	int ret;

	ret = mgmt_command(m, how->force ? LHV_CMD_VM_KILL : LHV_CMD_VM_STOP, vm->id);
	if (ret)
		return refused(m, vm, ret);
	if (vm->state == LHV_VM_STATE_PAUSED && !how->force)
		report("%s is paused: it will stop once it is unpaused", vm->name);
	if (!how->wait)
		fprintf(stderr, "%s: %s\n", vm->name, how->force ? "ended" : "asked to stop");
	return STATUS_OK;
}

/* @end: when to give up, if a number of seconds was given */
static int await_stop(struct mgmt *m, const struct vm_info *vm, const struct stop *how,
		      int64_t end)
{
	int64_t left = end > now_ms() ? end - now_ms() : 0;
	int ret = wait_gone(m, vm->id, how->seconds ? left : -1);

	if (ret == -ETIMEDOUT)
		report("%s has not stopped within %u seconds; vmctl stop -f ends it", vm->name,
		       how->seconds);
	return ret ? STATUS_ERROR : STATUS_OK;
}

/* All are asked before any is waited for. */
static int stop_these(struct mgmt *m, struct vm_info *vms, size_t n, const struct stop *how)
{
	int64_t end = now_ms() + how->seconds * 1000LL;
	int status = STATUS_OK;
	size_t i, asked = 0;

	for (i = 0; i < n; i++) {
		if (ask_to_stop(m, &vms[i], how))
			status = STATUS_ERROR;
		else
			vms[asked++] = vms[i];
	}
	for (i = 0; how->wait && i < asked; i++)
		if (await_stop(m, &vms[i], how, end))
			status = STATUS_ERROR;
	return status;
}

static int stop_all(struct mgmt *m, const struct stop *how)
{
	struct vm_list list;
	size_t i, n = 0;
	int status;

	if (mgmt_list(m, &list))
		return STATUS_ERROR;
	for (i = 0; i < list.n; i++)
		if (list.vm[i].state != LHV_VM_STATE_KILLED)
			list.vm[n++] = list.vm[i];
	status = stop_these(m, list.vm, n, how);
	vm_list_free(&list);
	return status;
}

int cmd_stop(int argc, char **argv)
{
	struct stop how = { 0 };
	struct vm_info vm;
	struct mgmt *m;
	int c, status;

	optind = 1;
	while ((c = getopt(argc, argv, "aft:w")) != -1) {
		switch (c) {
		case 'a':
			how.all = true;
			break;
		case 'f':
			how.force = true;
			break;
		case 'w':
			how.wait = true;
			break;
		case 't':
			if (parse_uint(optarg, 1, 1000000, &how.seconds)) {
				report("-t %s: not a number of seconds", optarg);
				return STATUS_USAGE;
			}
			break;
		default:
			return command_usage("stop");
		}
	}
	if (argc - optind != !how.all)
		return command_usage("stop");
	m = mgmt_open(false);
	if (!m)
		return STATUS_ERROR;
	if (how.all)
		status = stop_all(m, &how);
	else if (mgmt_find(m, argv[optind], &vm))
		status = STATUS_ERROR;
	else
		status = stop_these(m, &vm, 1, &how);
	mgmt_close(m);
	return status;
}

/* ---- console ---- */

int cmd_console(int argc, char **argv)
{
	struct vm_info vm;
	struct mgmt *m;
	int fd, ret;

	if (argc != 2 || argv[1][0] == '-')
		return command_usage("console");
	m = mgmt_open(false);
	if (!m)
		return STATUS_ERROR;
	ret = mgmt_find(m, argv[1], &vm);
	mgmt_close(m);
	if (ret)
		return STATUS_ERROR;
	fd = runtime_connect(vm.uid, vm.id, HUB_CONSOLE);
	if (fd == -ENOENT || fd == -ECONNREFUSED) {
		report("%s has no console to attach to: its VMM is %s (process %u)", vm.name,
		       vm.comm, vm.pid);
		return STATUS_ERROR;
	}
	if (fd == -EPERM) {
		report("%s: its socket is not its owner's", vm.name);
		return STATUS_ERROR;
	}
	if (fd < 0) {
		report_errno(-fd, "%s: console", vm.name);
		return STATUS_ERROR;
	}
	return terminal_attach(fd, vm.name);
}
