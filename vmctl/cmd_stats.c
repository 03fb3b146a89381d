// SPDX-License-Identifier: GPL-2.0
/* vmctl stats, metrics: counters of a VM, or of all of them. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
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

static void print_latency(const struct exit_count *e)
{
	unsigned int i;

	for (i = 0; i < LHV_LATENCY_BUCKETS; i++)
		if (e->latency[i])
			printf("%20s >= %llu ns: %u\n", "", 1ULL << i, e->latency[i]);
}

static void print_text(const struct vm_stats *s, bool verbose)
{
	const struct stats_field *f;
	size_t i, n;

	f = stats_fields(&n);
	for (i = 0; i < n; i++)
		if (!f[i].vm_only || s->vcpu_id < 0)
			printf("%-16s %llu\n", f[i].name,
			       (unsigned long long)stats_get(s, &f[i]));
	for (i = 0; i < s->nexits; i++) {
		printf("exits_%-10s %llu\n", s->exits[i].reason,
		       (unsigned long long)s->exits[i].count);
		if (verbose && s->exits[i].has_latency)
			print_latency(&s->exits[i]);
	}
}

static void print_json(const struct vm_stats *s)
{
	struct json_object *o = json_object_new_object(), *exits = json_object_new_object();
	struct json_object *lat = json_object_new_object(), *a;
	const struct stats_field *f;
	bool any = false;
	size_t i, n;
	int j;

	json_object_object_add(o, "vm_id", json_object_new_int64(s->vm_id));
	json_object_object_add(o, "vcpu_id", s->vcpu_id >= 0 ?
			       json_object_new_int(s->vcpu_id) : NULL);
	f = stats_fields(&n);
	for (i = 0; i < n; i++)
		if (!f[i].vm_only || s->vcpu_id < 0)
			json_object_object_add(o, f[i].name,
					       json_object_new_int64(stats_get(s, &f[i])));
	for (i = 0; i < s->nexits; i++) {
		json_object_object_add(exits, s->exits[i].reason,
				       json_object_new_int64(s->exits[i].count));
		if (!s->exits[i].has_latency)
			continue;
		any = true;
		a = json_object_new_array();
		for (j = 0; j < LHV_LATENCY_BUCKETS; j++)
			json_object_array_add(a, json_object_new_int64(s->exits[i].latency[j]));
		json_object_object_add(lat, s->exits[i].reason, a);
	}
	json_object_object_add(o, "exits", exits);
	json_object_object_add(o, "latency_log2_ns", any ? lat : NULL);
	if (!any)
		json_object_put(lat);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

int cmd_stats(int argc, char **argv)
{
	bool json = false, verbose = false;
	unsigned int vcpu = 0;
	struct vm_stats stats;
	struct vm_info vm;
	struct mgmt *m;
	int c, ret;

	optind = 1;
	while ((c = getopt_long(argc, argv, "jv", options, NULL)) != -1) {
		if (c == 'j')
			json = true;
		else if (c == 'v')
			verbose = true;
		else
			return command_usage("stats");
	}
	argc -= optind;
	argv += optind;
	if (argc < 1 || argc > 2)
		return command_usage("stats");
	if (argc == 2 && parse_uint(argv[1], 0, UINT32_MAX >> 1, &vcpu)) {
		report("%s: not a vCPU's id", argv[1]);
		return STATUS_USAGE;
	}
	m = mgmt_open(false);
	if (!m)
		return STATUS_ERROR;
	ret = mgmt_find(m, argv[0], &vm);
	if (!ret) {
		ret = mgmt_stats(m, vm.id, argc == 2 ? (int)vcpu : -1, &stats);
		if (ret)
			report("%s: %s", vm.name, *mgmt_error(m) ? mgmt_error(m) :
			       strerror(-ret));
	}
	mgmt_close(m);
	if (ret)
		return STATUS_ERROR;
	if (json)
		print_json(&stats);
	else
		print_text(&stats, verbose);
	return STATUS_OK;
}

/* ---- metrics: the Prometheus text format ---- */

/* Names need no quoting: the kernel lets nothing into them that would. */
static void labels(const struct vm_info *vm)
{
	printf("{id=\"%llu\",name=\"%s\",uid=\"%u\"", (unsigned long long)vm->id, vm->name,
	       vm->uid);
}

static bool is_level(const struct stats_field *f)
{
	return f->vm_only;
}

static void metric(const struct stats_field *f, const struct vm_list *list,
		   const struct vm_stats *stats, const bool *ok)
{
	const char *suffix = is_level(f) ? "" : "_total";
	size_t i;

	printf("# TYPE lhv_vm_%s%s %s\n", f->name, suffix, is_level(f) ? "gauge" : "counter");
	for (i = 0; i < list->n; i++) {
		if (!ok[i])
			continue;
		printf("lhv_vm_%s%s", f->name, suffix);
		labels(&list->vm[i]);
		printf("} %llu\n", (unsigned long long)stats_get(&stats[i], f));
	}
}

static void exits(const struct vm_list *list, const struct vm_stats *stats, const bool *ok)
{
	size_t i, j;

	puts("# TYPE lhv_vm_exits_total counter");
	for (i = 0; i < list->n; i++) {
		for (j = 0; ok[i] && j < stats[i].nexits; j++) {
			printf("lhv_vm_exits_total");
			labels(&list->vm[i]);
			printf(",reason=\"%s\"} %llu\n", stats[i].exits[j].reason,
			       (unsigned long long)stats[i].exits[j].count);
		}
	}
}

static void print_metrics(struct mgmt *m, const struct vm_list *list, struct vm_stats *stats,
			  bool *ok)
{
	const struct stats_field *f;
	size_t i, n;

	/* One that has gone meanwhile is not there. */
	for (i = 0; i < list->n; i++)
		ok[i] = !mgmt_stats(m, list->vm[i].id, -1, &stats[i]);
	printf("# TYPE lhv_vms gauge\nlhv_vms %zu\n", list->n);
	puts("# TYPE lhv_vm_info gauge");
	for (i = 0; i < list->n; i++) {
		printf("lhv_vm_info");
		labels(&list->vm[i]);
		printf(",state=\"%s\",pid=\"%u\"} 1\n", vm_state_name(list->vm[i].state),
		       list->vm[i].pid);
	}
	f = stats_fields(&n);
	for (i = 0; i < n; i++)
		metric(&f[i], list, stats, ok);
	exits(list, stats, ok);
}

int cmd_metrics(int argc, char **argv)
{
	struct vm_stats *stats = NULL;
	struct vm_list list;
	int status = STATUS_ERROR;
	bool *ok = NULL;
	struct mgmt *m;

	(void)argv;
	if (argc != 1)
		return command_usage("metrics");
	m = mgmt_open(false);
	if (!m)
		return STATUS_ERROR;
	if (!mgmt_list(m, &list)) {
		stats = calloc(list.n + 1, sizeof(*stats));
		ok = calloc(list.n + 1, sizeof(*ok));
		if (stats && ok) {
			print_metrics(m, &list, stats, ok);
			status = STATUS_OK;
		} else {
			report_errno(ENOMEM, "metrics");
		}
		vm_list_free(&list);
	}
	free(stats);
	free(ok);
	mgmt_close(m);
	return status;
}
