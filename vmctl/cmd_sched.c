// SPDX-License-Identifier: GPL-2.0
/* vmctl sched: pools, policies and what each VM gets of them. */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt.h"
#include "vmctl.h"

#define BAR		20
#define SETTINGS_MAX	16

static const struct option json_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ 0 }
};

/* ---- show ---- */

/* Three digits and a unit. */
static const char *duration(uint64_t ns, char buf[16])
{
	static const char * const units[] = { "ns", "us", "ms", "s" };
	double v = ns;
	int u = 0;

	while (v >= 1000 && u < 3) {
		v /= 1000;
		u++;
	}
	snprintf(buf, 16, v < 10 && u ? "%.1f%s" : "%.0f%s", v, units[u]);
	return buf;
}

static uint64_t mean(uint64_t sum, uint64_t n)
{
	return n ? sum / n : 0;
}

static void print_vm(const struct vm_info *vm, uint64_t pool_run)
{
	const struct sched_info *s = &vm->sched;
	char wait[16], resp[16], p99[16], cap[16] = "-", promise[40] = "-", bar[BAR + 1];
	char a[16], b[16];
	double share = pool_run ? (double)s->run / pool_run : 0;
	int filled = share * BAR + .5;

	memset(bar, '#', filled);
	memset(bar + filled, '.', BAR - filled);
	bar[BAR] = '\0';
	if (s->cap)
		snprintf(cap, sizeof(cap), "%.1f%%", s->cap / 10.0);
	if (s->period)
		snprintf(promise, sizeof(promise), "%s/%s%s", duration(s->budget, a),
			 duration(s->period, b), s->hybrid ? "+" : "");
	printf("%5llu %6u %4u %7s %12s %s %5.1f%% %7s %7s %7s %s\n", (unsigned long long)vm->id,
	       s->weight, s->priority, cap, promise, bar, share * 100, duration(s->wait, wait),
	       duration(mean(s->response, s->wakeups), resp), duration(s->p99, p99), vm->name);
}

static void print_pool(const struct pool_info *p, const struct vm_list *list)
{
	char quantum[16], fairness[32] = "";
	uint64_t run = 0;
	size_t i, n = 0;

	for (i = 0; i < list->n; i++) {
		if (list->vm[i].sched.pool == p->id) {
			run += list->vm[i].sched.run;
			n++;
		}
	}
	if (p->admin)
		snprintf(fairness, sizeof(fairness), ", fairness %.3f", p->jain / 1e6);
	printf("pool %s: policy %s, %u slot%s (%u busy, %u waiting), CPUs %s, quantum %s%s%s%s\n",
	       p->name, p->policy, p->slots, p->slots == 1 ? "" : "s", p->busy, p->waiting,
	       *p->cpus ? p->cpus : "all", duration(p->quantum, quantum), fairness,
	       *p->status ? ", " : "", p->status);
	if (!n)
		return;
	printf("%5s %6s %4s %7s %12s %-*s %6s %7s %7s %7s %s\n", "ID", "WEIGHT", "PRIO", "CAP",
	       "RESERVED", BAR, "SHARE", "", "WAITED", "RESP", "P99", "NAME");
	for (i = 0; i < list->n; i++)
		if (list->vm[i].sched.pool == p->id)
			print_vm(&list->vm[i], run);
}

static void add(struct json_object *o, const char *name, uint64_t value)
{
	json_object_object_add(o, name, json_object_new_int64(value));
}

static struct json_object *pool_json(const struct pool_info *p)
{
	struct json_object *o = json_object_new_object();

	add(o, "id", p->id);
	json_object_object_add(o, "name", json_object_new_string(p->name));
	json_object_object_add(o, "policy", json_object_new_string(p->policy));
	json_object_object_add(o, "cpus", json_object_new_string(p->cpus));
	add(o, "slots", p->slots);
	add(o, "busy", p->busy);
	add(o, "waiting", p->waiting);
	add(o, "quantum_ns", p->quantum);
	json_object_object_add(o, "vms", p->admin ? json_object_new_int64(p->vms) : NULL);
	json_object_object_add(o, "jain_millionths",
			       p->admin ? json_object_new_int64(p->jain) : NULL);
	return o;
}

static struct json_object *sched_json(const struct vm_info *vm)
{
	const struct sched_info *s = &vm->sched;
	struct json_object *o = json_object_new_object();

	add(o, "id", vm->id);
	json_object_object_add(o, "name", json_object_new_string(vm->name));
	add(o, "pool", s->pool);
	add(o, "weight", s->weight);
	add(o, "cap", s->cap);
	add(o, "priority", s->priority);
	add(o, "length_ns", s->length);
	add(o, "period_ns", s->period);
	add(o, "budget_ns", s->budget);
	json_object_object_add(o, "hybrid", json_object_new_boolean(s->hybrid));
	add(o, "run_ns", s->run);
	add(o, "wait_ns", s->wait);
	add(o, "throttled_ns", s->throttled);
	add(o, "slices", s->slices);
	add(o, "wakeups", s->wakeups);
	add(o, "response_ns", s->response);
	add(o, "bursts", s->bursts);
	add(o, "turnaround_ns", s->turnaround);
	add(o, "misses", s->misses);
	add(o, "p50_ns", s->p50);
	add(o, "p99_ns", s->p99);
	return o;
}

static int show(struct mgmt *m, bool json)
{
	struct pool_info *pools = calloc(POOLS_MAX, sizeof(*pools));
	struct json_object *all, *a;
	struct vm_list list;
	size_t n, i;

	if (!pools || mgmt_pools(m, pools, POOLS_MAX, &n) || mgmt_list(m, &list)) {
		free(pools);
		report("cannot list the pools%s%s", *mgmt_error(m) ? ": " : "", mgmt_error(m));
		return STATUS_ERROR;
	}
	if (json) {
		all = json_object_new_object();
		a = json_object_new_array();
		for (i = 0; i < n; i++)
			json_object_array_add(a, pool_json(&pools[i]));
		json_object_object_add(all, "pools", a);
		a = json_object_new_array();
		for (i = 0; i < list.n; i++)
			json_object_array_add(a, sched_json(&list.vm[i]));
		json_object_object_add(all, "vms", a);
		puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(all);
	} else {
		for (i = 0; i < n; i++)
			print_pool(&pools[i], &list);
		if (n)
			printf("policies: %s\n", pools[0].policies);
	}
	vm_list_free(&list);
	free(pools);
	return STATUS_OK;
}

/* ---- set ---- */

enum kind { NUMBER, TIME, PERCENT, YESNO, TEXT, FLAG, POOL };

struct key {
	const char *name;
	enum kind kind;
	int attr;
	bool wide;
};

static const struct key vm_keys[] = {
	{ "pool", POOL, LHV_A_SCHED_POOL, false },
	{ "weight", NUMBER, LHV_A_SCHED_WEIGHT, false },
	{ "cap", PERCENT, LHV_A_SCHED_CAP, false },
	{ "priority", NUMBER, LHV_A_SCHED_PRIORITY, false },
	{ "length", TIME, LHV_A_SCHED_LENGTH, true },
	{ "period", TIME, LHV_A_SCHED_PERIOD, true },
	{ "budget", TIME, LHV_A_SCHED_BUDGET, true },
	{ "hybrid", YESNO, LHV_A_SCHED_HYBRID, false },
	{ 0 }
};

static const struct key pool_keys[] = {
	{ "create", FLAG, LHV_A_POOL_CREATE, false },
	{ "remove", FLAG, LHV_A_POOL_REMOVE, false },
	{ "policy", TEXT, LHV_A_POOL_POLICY, false },
	{ "cpus", TEXT, LHV_A_POOL_CPUS, false },
	{ "slots", NUMBER, LHV_A_POOL_SLOTS, false },
	{ "quantum", TIME, LHV_A_POOL_QUANTUM, true },
	{ 0 }
};

/* "1.5ms" and the like; plain numbers are ns. */
static int parse_time(const char *s, uint64_t *ns)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = { { "", 1 }, { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 } };
	char *end;
	double v = strtod(s, &end);
	size_t i;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (end != s && v >= 0 && v < 1e9 && !strcmp(end, units[i].unit)) {
			*ns = v * units[i].ns;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_percent(const char *s, uint64_t *mille)
{
	char *end;
	double v = strtod(s, &end);

	if (*end == '%')
		end++;
	/* Not a number is not in the range either. */
	if (end == s || *end || !(v >= 0 && v <= 1e6))
		return -EINVAL;
	*mille = v * 10 + .5;
	return 0;
}

static int pool_id(struct mgmt *m, const char *name, uint64_t *id)
{
	struct pool_info *pools = calloc(POOLS_MAX, sizeof(*pools));
	int ret = -ENOENT;
	size_t n = 0, i;

	if (pools && !mgmt_pools(m, pools, POOLS_MAX, &n)) {
		for (i = 0; i < n; i++) {
			if (strcmp(pools[i].name, name))
				continue;
			*id = pools[i].id;
			ret = 0;
		}
	}
	free(pools);
	return ret;
}

static int parse_value(struct mgmt *m, const struct key *key, const char *value,
		       struct setting *set)
{
	unsigned int number;
	int ret = 0;

	switch (key->kind) {
	case TEXT:
		set->text = value;
		break;
	case TIME:
		ret = parse_time(value, &set->value);
		break;
	case PERCENT:
		ret = parse_percent(value, &set->value);
		break;
	case YESNO:
		set->value = !strcmp(value, "yes");
		ret = set->value || !strcmp(value, "no") ? 0 : -EINVAL;
		break;
	case POOL:
		ret = pool_id(m, value, &set->value);
		break;
	default:
		ret = parse_uint(value, 0, 1000000, &number);
		set->value = ret ? 0 : number;
	}
	if (ret)
		report("%s=%s: %s", key->name, value,
		       ret == -ENOENT ? "no such pool" : "not a value for that");
	return ret;
}

/* How many there were, or -EINVAL. */
static int parse_settings(struct mgmt *m, const struct key *keys, int argc, char **argv,
			  struct setting *set)
{
	const struct key *key;
	size_t len;
	int i;

	for (i = 0; i < argc; i++) {
		len = strcspn(argv[i], "=");
		for (key = keys; key->name; key++)
			if (strlen(key->name) == len && !strncmp(key->name, argv[i], len))
				break;
		if (!key->name || (argv[i][len] == '=') == (key->kind == FLAG)) {
			report("%s: nothing that can be set", argv[i]);
			return -EINVAL;
		}
		set[i] = (struct setting) { .attr = key->attr, .wide = key->wide };
		if (key->kind != FLAG && parse_value(m, key, argv[i] + len + 1, &set[i]))
			return -EINVAL;
	}
	return argc;
}

static int change(struct mgmt *m, int argc, char **argv)
{
	struct setting set[SETTINGS_MAX];
	bool pool = !strcmp(argv[0], "pool");
	struct vm_info vm;
	const char *name;
	int n, ret;

	if (argc < 2 + pool || argc > SETTINGS_MAX)
		return command_usage("sched");
	name = argv[pool];
	n = parse_settings(m, pool ? pool_keys : vm_keys, argc - 1 - pool, argv + 1 + pool, set);
	if (n < 0)
		return STATUS_USAGE;
	if (pool)
		ret = mgmt_set_pool(m, name, set, n);
	else if (mgmt_find(m, name, &vm))
		return STATUS_ERROR;
	else
		ret = mgmt_set_sched(m, vm.id, set, n);
	if (!ret)
		return STATUS_OK;
	report("%s: %s", name, *mgmt_error(m) ? mgmt_error(m) : strerror(-ret));
	return STATUS_ERROR;
}

int cmd_sched(int argc, char **argv)
{
	bool json = false;
	struct mgmt *m;
	int c, status;

	optind = 1;
	while ((c = getopt_long(argc, argv, "+j", json_options, NULL)) != -1) {
		if (c != 'j')
			return command_usage("sched");
		json = true;
	}
	m = mgmt_open(false);
	if (!m)
		return STATUS_ERROR;
	status = optind == argc ? show(m, json) : change(m, argc - optind, argv + optind);
	mgmt_close(m);
	return status;
}
