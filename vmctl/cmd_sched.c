// SPDX-License-Identifier: GPL-2.0
/* vmctl sched: pools, policies and what each VM gets of them. */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "figures.h"
#include "mgmt.h"
#include "vmctl.h"

#define SETTINGS_MAX	16
#define REMEDY_MAX	(LIST_MAX + 64)
#define WIDE		190	/* columns that a VM takes in one line, its name included */

static const struct option json_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ 0 }
};

/* ---- show ---- */

/* All VMs and what each got: of list.vm[i] figures[i]. */
struct look {
	struct pool_info pools[POOLS_MAX];
	size_t npools;
	struct vm_list list;
	struct figures *figures;
};

static uint64_t pool_run(const struct look *l, uint32_t pool)
{
	uint64_t run = 0;
	size_t i;

	for (i = 0; i < l->list.n; i++)
		if (l->list.vm[i].sched.pool == pool)
			run += l->figures[i].s.run;
	return run;
}

/* A line of the table: of @vm, or with NULL the heads. */
static void print_line(const struct vm_info *vm, const struct figures *f, double share,
		       bool settings, bool times)
{
	char id[24] = "ID", line[FIGURES_LINE];

	if (vm)
		snprintf(id, sizeof(id), "%llu", (unsigned long long)vm->id);
	printf("%5s ", id);
	if (settings) {
		figures_settings(vm, f, share, line);
		printf("%s ", line);
	}
	if (times) {
		figures_times(vm, f, line);
		printf("%s ", line);
	}
	puts(vm ? vm->name : "NAME");
}

static void print_vms(uint32_t pool, const struct look *l, bool settings, bool times)
{
	uint64_t run = pool_run(l, pool);
	bool any = false;
	size_t i;

	for (i = 0; i < l->list.n; i++) {
		if (l->list.vm[i].sched.pool != pool)
			continue;
		if (!any)
			print_line(NULL, NULL, 0, settings, times);
		any = true;
		print_line(&l->list.vm[i], &l->figures[i],
			   figures_share(l->figures[i].s.run, run), settings, times);
	}
}

static void print_pool(const struct pool_info *p, const struct look *l, bool wide)
{
	char quantum[16], fairness[32] = "";

	if (p->admin)
		snprintf(fairness, sizeof(fairness), ", fairness %.3f", p->jain / 1e6);
	printf("pool %s: policy %s, %u slot%s (%u busy, %u waiting), CPUs %s, quantum %s%s%s%s\n",
	       p->name, p->policy, p->slots, p->slots == 1 ? "" : "s", p->busy, p->waiting,
	       *p->cpus ? p->cpus : "all", figures_time(p->quantum, quantum), fairness,
	       *p->status ? ", " : "", p->status);
	print_vms(p->id, l, true, wide);
	if (!wide)
		print_vms(p->id, l, false, true);
}

static void add(struct json_object *o, const char *name, uint64_t value)
{
	json_object_object_add(o, name, json_object_new_int64(value));
}

/* To a thousandth: a double's seventeen digits are nothing anybody measured. */
static void add_real(struct json_object *o, const char *name, double value)
{
	char text[32];

	snprintf(text, sizeof(text), "%.3f", value);
	json_object_object_add(o, name, value < 0 ? NULL :
			       json_object_new_double_s(value, text));
}

/* Names with blanks between them. */
static struct json_object *names_json(const char *names)
{
	struct json_object *a = json_object_new_array();
	size_t len;

	for (; *names; names += len) {
		names += strspn(names, " ");
		len = strcspn(names, " ");
		if (len)
			json_object_array_add(a, json_object_new_string_len(names, len));
	}
	return a;
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
	json_object_object_add(o, "status", json_object_new_string(p->status));
	json_object_object_add(o, "policies", names_json(p->policies));
	json_object_object_add(o, "vms", p->admin ? json_object_new_int64(p->vms) : NULL);
	json_object_object_add(o, "jain_millionths",
			       p->admin ? json_object_new_int64(p->jain) : NULL);
	return o;
}

static struct json_object *sched_json(const struct vm_info *vm, const struct figures *f,
				      double share)
{
	const struct sched_info *s = &f->s;
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
	add(o, "entitled_ns", s->entitled);
	add(o, "interval_ns", f->ns);
	add_real(o, "utilisation_percent", f->utilisation);
	add_real(o, "throughput_per_s", f->throughput);
	add_real(o, "share_percent", share);
	return o;
}

static void print_text(const struct look *l, unsigned int seconds, bool wide)
{
	size_t i;

	for (i = 0; i < l->npools; i++)
		print_pool(&l->pools[i], l, wide);
	if (l->npools)
		printf("policies: %s\n", l->pools[0].policies);
	if (seconds)
		printf("counted: %u s; P50 and P99, since each VM was created\n", seconds);
	else
		printf("counted: since each VM was created; see -s\n");
}

static void print_json(const struct look *l)
{
	struct json_object *all = json_object_new_object(), *a = json_object_new_array();
	size_t i;

	for (i = 0; i < l->npools; i++)
		json_object_array_add(a, pool_json(&l->pools[i]));
	json_object_object_add(all, "pools", a);
	a = json_object_new_array();
	for (i = 0; i < l->list.n; i++) {
		const struct vm_info *vm = &l->list.vm[i];
		uint64_t run = pool_run(l, vm->sched.pool);

		json_object_array_add(a, sched_json(vm, &l->figures[i],
						    figures_share(l->figures[i].s.run, run)));
	}
	json_object_object_add(all, "vms", a);
	puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(all);
}

/* As VMs' times of creation are told. */
static uint64_t boot_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static const struct sched_info *before(const struct vm_list *old, uint64_t id)
{
	size_t i;

	for (i = 0; i < old->n; i++)
		if (old->vm[i].id == id)
			return &old->vm[i].sched;
	return NULL;
}

/* What was since each VM was created, or within the seconds from now on. */
static int take(struct mgmt *m, unsigned int seconds, struct look *l)
{
	struct vm_list old = { 0 };
	uint64_t then = 0, now;
	size_t i;

	if (seconds) {
		then = boot_time();
		if (mgmt_list(m, &old))
			return -1;
		sleep(seconds);
	}
	now = boot_time();
	if (!mgmt_pools(m, l->pools, POOLS_MAX, &l->npools) && !mgmt_list(m, &l->list))
		l->figures = calloc(l->list.n + 1, sizeof(*l->figures));
	for (i = 0; l->figures && i < l->list.n; i++) {
		const struct vm_info *vm = &l->list.vm[i];
		const struct sched_info *was = before(&old, vm->id);
		uint64_t since = was ? then : vm->created;

		figures_of(&l->figures[i], &vm->sched, was, now > since ? now - since : 0);
	}
	vm_list_free(&old);
	return l->figures ? 0 : -1;
}

static bool terminal_is_wide(void)
{
	struct winsize size;

	return !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col >= WIDE;
}

static int show(struct mgmt *m, bool json, unsigned int seconds, bool wide)
{
	struct look *l = calloc(1, sizeof(*l));
	int status = STATUS_ERROR;

	if (!l || take(m, seconds, l)) {
		report("cannot list the pools%s%s", *mgmt_error(m) ? ": " : "", mgmt_error(m));
	} else {
		if (json)
			print_json(l);
		else
			print_text(l, seconds, wide || terminal_is_wide());
		status = STATUS_OK;
	}
	if (l) {
		vm_list_free(&l->list);
		free(l->figures);
	}
	free(l);
	return status;
}

/* ---- set ---- */

enum kind { NUMBER, TIME, PERCENT, YESNO, TEXT, POLICY, FLAG, POOL };

/*
 * @takes: what a value looks like, for who typed another; @min, @max: of a NUMBER; @under: the policies that go
 * by it, or NULL: all but none; @usual: what a VM has that was given nothing
 */
struct key {
	const char *name;
	enum kind kind;
	int attr;
	bool wide;
	const char *takes;
	unsigned int min, max;
	const char *under;
	uint64_t usual;
};

#define A_TIME	"a time such as 500us, 10ms or 1.5s"

static const struct key vm_keys[] = {
	{ .name = "pool", POOL, LHV_A_SCHED_POOL },
	{ .name = "weight", NUMBER, LHV_A_SCHED_WEIGHT, .min = 1, .max = 10000,
	  .takes = "a number from 1 to 10000", .under = "credit gang edf", .usual = 100 },
	{ .name = "cap", PERCENT, LHV_A_SCHED_CAP,
	  .takes = "percent of one CPU, such as 250%; 0, no cap" },
	{ .name = "priority", NUMBER, LHV_A_SCHED_PRIORITY, .max = 99,
	  .takes = "a number from 0 to 99", .under = "prio", .usual = 50 },
	{ .name = "length", TIME, LHV_A_SCHED_LENGTH, true, .takes = A_TIME "; 0, learn it",
	  .under = "sjf" },
	{ .name = "period", TIME, LHV_A_SCHED_PERIOD, true, .takes = A_TIME "; 0, no reservation",
	  .under = "edf" },
	{ .name = "budget", TIME, LHV_A_SCHED_BUDGET, true, .takes = A_TIME "; 0, no reservation",
	  .under = "edf" },
	{ .name = "hybrid", YESNO, LHV_A_SCHED_HYBRID, .takes = "yes or no", .under = "edf" },
	{ 0 }
};

static const struct key pool_keys[] = {
	{ .name = "create", FLAG, LHV_A_POOL_CREATE },
	{ .name = "remove", FLAG, LHV_A_POOL_REMOVE },
	{ .name = "policy", POLICY, LHV_A_POOL_POLICY },
	{ .name = "cpus", TEXT, LHV_A_POOL_CPUS },
	{ .name = "slots", NUMBER, LHV_A_POOL_SLOTS, .max = 1000000,
	  .takes = "a number; 0, one for each CPU" },
	{ .name = "quantum", TIME, LHV_A_POOL_QUANTUM, true, .takes = A_TIME },
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

/* Of a pool by its name; 1 when none has it, and @names are those there are. */
static int pool_id(struct mgmt *m, const char *name, uint64_t *id, char names[REMEDY_MAX])
{
	struct pool_info *pools = calloc(POOLS_MAX, sizeof(*pools));
	size_t n = 0, i, len = 0;
	int ret = -EINVAL;

	names[0] = '\0';
	if (pools && !mgmt_pools(m, pools, POOLS_MAX, &n)) {
		ret = 1;
		for (i = 0; i < n && ret; i++) {
			*id = pools[i].id;
			ret = strcmp(pools[i].name, name) ? 1 : 0;
			len += snprintf(names + len, REMEDY_MAX - len, " %s", pools[i].name);
			if (len >= REMEDY_MAX)
				len = REMEDY_MAX - 1;
		}
	}
	free(pools);
	return ret;
}

static bool among(const char *word, const char *words)
{
	size_t len = strlen(word);

	for (words += strspn(words, " "); *words; words += strspn(words, " ")) {
		if (strcspn(words, " ") == len && !strncmp(words, word, len))
			return true;
		words += strcspn(words, " ");
	}
	return false;
}

/* Is there a policy of this name? 1 when not, and @names are those there are. */
static int policy_exists(struct mgmt *m, const char *name, char names[REMEDY_MAX])
{
	struct pool_info *pools = calloc(POOLS_MAX, sizeof(*pools));
	size_t n = 0;
	int ret = -EINVAL;

	names[0] = '\0';
	if (pools && !mgmt_pools(m, pools, POOLS_MAX, &n) && n) {
		snprintf(names, REMEDY_MAX, " %s", pools[0].policies);
		ret = among(name, names) ? 0 : 1;
	}
	free(pools);
	return ret;
}

static int parse_value(struct mgmt *m, const struct key *key, const char *value,
		       struct setting *set)
{
	char names[REMEDY_MAX] = "";
	unsigned int number;
	int ret = 0;

	switch (key->kind) {
	case TEXT:
		set->text = value;
		break;
	case POLICY:
		set->text = value;
		ret = policy_exists(m, value, names);
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
		ret = pool_id(m, value, &set->value, names);
		break;
	default:
		ret = parse_uint(value, key->min, key->max, &number);
		set->value = ret ? 0 : number;
	}
	if (ret > 0)
		report("%s=%s: no such %s; there are:%s", key->name, value, key->name, names);
	else if (ret && key->takes)
		report("%s=%s: not a value for that, which takes %s", key->name, value, key->takes);
	else if (ret)
		report("%s=%s: %s", key->name, value,
		       *mgmt_error(m) ? mgmt_error(m) : "cannot list the pools");
	return ret;
}

static void report_keys(const char *what, const struct key *keys)
{
	char all[128] = "";
	size_t len = 0;

	for (; keys->name && len < sizeof(all); keys++)
		len += snprintf(all + len, sizeof(all) - len, " %s%s", keys->name,
				keys->kind == FLAG ? "" : "=");
	report("%s: nothing that can be set, which is:%s", what, all);
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
			report_keys(argv[i], keys);
			return -EINVAL;
		}
		set[i] = (struct setting) { .attr = key->attr, .wide = key->wide };
		if (key->kind != FLAG && parse_value(m, key, argv[i] + len + 1, &set[i]))
			return -EINVAL;
	}
	return argc;
}

/* Is something set that @policy does not go by? One that came in another module may go by all. */
static bool ignores(const char *policy, const struct setting *set)
{
	const struct key *key = vm_keys;

	while (key->name && key->attr != set->attr)
		key++;
	if (!key->name || key->kind == POOL || set->value == key->usual)
		return false;
	if (!strcmp(policy, "none"))
		return true;
	return key->under && !among(policy, key->under) &&
	       among(policy, "fcfs sjf prio rr credit gang edf");
}

/* What is the policy that goes by all of @set that @policy does not? NULL: there is none. */
static const char *better_policy(const char *policy, const struct setting *set, int n)
{
	static const char * const policies[] = { "credit", "prio", "sjf", "edf" };
	size_t p;
	int i;

	for (p = 0; p < sizeof(policies) / sizeof(policies[0]); p++) {
		for (i = 0; i < n; i++)
			if (ignores(policy, &set[i]) && ignores(policies[p], &set[i]))
				break;
		if (i == n)
			return policies[p];
	}
	return NULL;
}

/* They are set, and the pool's policy may be another one tomorrow; but who set them may think that they count. */
static void warn_ignored(const char *name, const struct pool_info *pool,
			 const struct setting *set, int n)
{
	const char *better = better_policy(pool->policy, set, n);
	const struct key *key;
	char names[128] = "";
	size_t len = 0;
	int i;

	for (i = 0; i < n; i++) {
		if (!ignores(pool->policy, &set[i]))
			continue;
		for (key = vm_keys; key->attr != set[i].attr; key++)
			;
		if (len < sizeof(names))
			len += snprintf(names + len, sizeof(names) - len, "%s%s", len ? ", " : "",
					key->name);
	}
	if (len && better)
		report("%s: set, but policy %s of pool %s ignores %s; vmctl sched pool %s policy=%s",
		       name, pool->policy, pool->name, names, pool->name, better);
	else if (len)
		report("%s: set, but policy %s of pool %s ignores %s; no policy goes by all of these",
		       name, pool->policy, pool->name, names);
}

static void warn(struct mgmt *m, const char *name, uint64_t id, const struct setting *set, int n)
{
	struct pool_info *pools = calloc(POOLS_MAX, sizeof(*pools));
	size_t npools = 0, i;
	struct vm_info vm;

	/* Who is gone meanwhile needs no warning. */
	if (pools && !mgmt_get(m, id, &vm) && !mgmt_pools(m, pools, POOLS_MAX, &npools)) {
		for (i = 0; i < npools; i++)
			if (pools[i].id == vm.sched.pool)
				warn_ignored(name, &pools[i], set, n);
	}
	free(pools);
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
	if (!ret) {
		if (!pool)
			warn(m, name, vm.id, set, n);
		return STATUS_OK;
	}
	report("%s: %s%s", name, *mgmt_error(m) ? mgmt_error(m) : strerror(-ret),
	       pool && ret == -ENOENT ? "; \"create\" among the settings makes it" : "");
	return STATUS_ERROR;
}

int cmd_sched(int argc, char **argv)
{
	unsigned int seconds = 0;
	bool json = false, wide = false;
	struct mgmt *m;
	int c, status;

	optind = 1;
	while ((c = getopt_long(argc, argv, "+js:w", json_options, NULL)) != -1) {
		if (c != 'j' && c != 's' && c != 'w')
			return command_usage("sched");
		if (c == 'j') {
			json = true;
		} else if (c == 'w') {
			wide = true;
		} else if (parse_uint(optarg, 1, 1000000, &seconds)) {
			report("-s %s: not a number of seconds from 1 on", optarg);
			return STATUS_USAGE;
		}
	}
	if (optind != argc && (json || seconds || wide))
		return command_usage("sched");
	m = mgmt_open(false);
	if (!m)
		return STATUS_ERROR;
	status = optind == argc ? show(m, json, seconds, wide) :
				  change(m, argc - optind, argv + optind);
	mgmt_close(m);
	return status;
}
