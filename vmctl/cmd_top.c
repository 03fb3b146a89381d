// SPDX-License-Identifier: GPL-2.0
/*
 * vmctl top: what the VMs use now, redrawn in place; page after page of plain text when
 * standard output is no terminal.
 */
#include <curses.h>
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "figures.h"
#include "mgmt.h"
#include "vmctl.h"

#define LINE_ROOM	256
#define NS_PER_SEC	1000000000.0
#define MIB		1048576.0
#define FIRST_ROW	4	/* below title, help and heads */

/* One VM, and what it used since the last look. Times are shares of one CPU. */
struct row {
	struct vm_info vm;
	struct vm_stats stats;
	bool fresh;		/* no look before this one */
	double run, host, steal, exits, share;
	struct figures fig;
};

enum view { USAGE = 1, SHARES = 2, TIMES = 4, ALL = 7 };

/**
 * struct column - what is shown, in this order, and sorted by
 * @head: above it
 * @key: sorts by it
 * @width: without the blank behind it
 * @digits: behind the point
 * @views: that show it
 * @rate: it takes two looks
 * @value: the number, negative where there is none; NULL for text
 */
struct column {
	const char *head;
	char key;
	int width, digits;
	enum view views;
	bool rate;
	double (*value)(const struct row *r);
};

#define VALUE(name, what)						\
	static double name(const struct row *r)				\
	{								\
		return what;						\
	}

VALUE(get_id, r->vm.id)
VALUE(get_run, r->run)
VALUE(get_host, r->host)
VALUE(get_steal, r->steal)
VALUE(get_exits, r->exits)
VALUE(get_mem, r->vm.resident / MIB)
VALUE(get_share, r->share)
VALUE(get_utilisation, r->fig.utilisation)
VALUE(get_wait, figures_percent(r->fig.s.wait, r->fig.ns))
VALUE(get_throttled, figures_percent(r->fig.s.throttled, r->fig.ns))
VALUE(get_throughput, r->fig.throughput)
VALUE(get_slices, figures_per_second(r->fig.s.slices, r->fig.ns))
VALUE(get_response, r->fig.response / 1000)
VALUE(get_p50, r->vm.sched.p50 / 1000.0)
VALUE(get_p99, r->vm.sched.p99 / 1000.0)
VALUE(get_turnaround, r->fig.turnaround / 1000)

enum { COL_ID, COL_RUN, COL_STATE = 16, COL_NAME, NCOLS };

static const struct column columns[NCOLS] = {
	[COL_ID] = { "ID", 'i', 5, 0, ALL, false, get_id },
	[COL_RUN] = { "RUN%", 'r', 7, 1, USAGE, true, get_run },
	{ "HOST%", 'h', 7, 1, USAGE, true, get_host },
	{ "STEAL%", 's', 7, 1, USAGE, true, get_steal },
	{ "EXITS/S", 'e', 9, 0, USAGE, true, get_exits },
	{ "MEM(MiB)", 'm', 9, 1, USAGE, false, get_mem },
	{ "SHARE%", 'a', 7, 1, SHARES, true, get_share },
	{ "UTIL%", 'u', 7, 1, SHARES, true, get_utilisation },
	{ "WAIT%", 'w', 7, 1, SHARES, true, get_wait },
	{ "THROT%", 't', 7, 1, SHARES, true, get_throttled },
	{ "BURSTS/S", 'b', 8, 0, SHARES, true, get_throughput },
	{ "SLICES/S", 'c', 8, 0, TIMES, true, get_slices },
	{ "RESP(us)", 'o', 8, 0, TIMES, true, get_response },
	{ "P50(us)", '5', 7, 0, TIMES, false, get_p50 },
	{ "P99(us)", 'p', 7, 0, TIMES, false, get_p99 },
	{ "TURN(us)", 'T', 8, 0, TIMES, true, get_turnaround },
	[COL_STATE] = { "STATE", 'S', 8, 0, ALL, false, NULL },
	[COL_NAME] = { "NAME", 'n', 20, 0, ALL, false, NULL },
};

struct top {
	struct row *row;
	size_t n;
	double at;
	int sort;
	bool reverse;
	enum view view;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / NS_PER_SEC;
}

static const struct row *before(const struct top *old, uint64_t id)
{
	size_t i;

	for (i = 0; i < old->n; i++)
		if (old->row[i].vm.id == id)
			return &old->row[i];
	return NULL;
}

static void rate(struct row *r, const struct row *old, double seconds)
{
	const struct vm_stats *a = &old->stats, *b = &r->stats;
	double percent = 100 / NS_PER_SEC / seconds;

	r->run = (b->run_ns - a->run_ns) * percent;
	r->host = (b->host_ns - a->host_ns) * percent;
	r->steal = (b->steal_ns - a->steal_ns) * percent;
	r->exits = (b->total_exits - a->total_exits) / seconds;
	figures_of(&r->fig, &r->vm.sched, &old->vm.sched, seconds * NS_PER_SEC);
	r->fresh = false;
}

/* Of the CPU time that the VMs of a pool had meanwhile, each one's part. */
static void shares(struct top *t)
{
	uint64_t sum[POOLS_MAX] = { 0 };
	size_t i;

	for (i = 0; i < t->n; i++)
		if (t->row[i].vm.sched.pool < POOLS_MAX)
			sum[t->row[i].vm.sched.pool] += t->row[i].fig.s.run;
	for (i = 0; i < t->n; i++) {
		struct row *r = &t->row[i];
		uint32_t pool = r->vm.sched.pool;

		r->share = figures_share(r->fig.s.run, pool < POOLS_MAX ? sum[pool] : 0);
	}
}

/* Look at all VMs; those that went meanwhile are left out. */
static int look(struct mgmt *m, struct top *t)
{
	struct top old = *t;
	struct vm_list list;
	size_t i;

	if (mgmt_list(m, &list))
		return -1;
	t->row = calloc(list.n + 1, sizeof(*t->row));
	t->n = 0;
	t->at = now();
	for (i = 0; t->row && i < list.n; i++) {
		struct row *r = &t->row[t->n];
		const struct row *was;

		r->vm = list.vm[i];
		if (mgmt_stats(m, r->vm.id, -1, &r->stats))
			continue;
		r->fresh = true;
		was = before(&old, r->vm.id);
		if (was && t->at > old.at)
			rate(r, was, t->at - old.at);
		t->n++;
	}
	if (t->row)
		shares(t);
	free(old.row);
	vm_list_free(&list);
	return t->row ? 0 : -1;
}

static int compare_numbers(double a, double b)
{
	return a < b ? 1 : a > b ? -1 : 0;
}

static int compare(const void *pa, const void *pb, void *arg)
{
	const struct row *a = pa, *b = pb;
	const struct top *t = arg;
	const struct column *col = &columns[t->sort];
	int c = 0;

	if (t->sort == COL_NAME)
		c = strcmp(a->vm.name, b->vm.name);
	else if (t->sort == COL_STATE)
		c = compare_numbers(a->vm.state, b->vm.state);
	else if (t->sort != COL_ID)
		c = compare_numbers(col->value(a), col->value(b));
	if (!c)
		c = compare_numbers(b->vm.id, a->vm.id);
	return t->reverse ? -c : c;
}

static void put_cell(const struct column *col, const struct row *r, char *cell, size_t room)
{
	if (col == &columns[COL_NAME])
		snprintf(cell, room, "%s", r->vm.name);
	else if (col == &columns[COL_STATE])
		snprintf(cell, room, "%-*s ", col->width, vm_state_name(r->vm.state));
	else if ((col->rate && r->fresh) || col->value(r) < 0)
		snprintf(cell, room, "%*s ", col->width, "-");
	else
		snprintf(cell, room, "%*.*f ", col->width, col->digits, col->value(r));
}

/* @r NULL: the heads */
static void put_line(enum view view, const struct row *r, char *line, size_t room)
{
	const struct column *col;
	size_t n = 0;

	line[0] = '\0';
	for (col = columns; col < columns + NCOLS; col++) {
		if (!(col->views & view))
			continue;
		if (r)
			put_cell(col, r, line + n, room - n);
		else
			snprintf(line + n, room - n, col->value ? "%*s " : "%-*s ", col->width,
				 col->head);
		n = strlen(line);
	}
}

static int width_of(enum view view)
{
	int i, n = 0;

	for (i = 0; i < NCOLS; i++)
		if (columns[i].views & view)
			n += columns[i].width + 1;
	return n;
}

static void print_page(struct top *t)
{
	char line[LINE_ROOM];
	size_t i;

	put_line(ALL, NULL, line, sizeof(line));
	puts(line);
	for (i = 0; i < t->n; i++) {
		put_line(ALL, &t->row[i], line, sizeof(line));
		puts(line);
	}
	putchar('\n');
	fflush(stdout);
}

/* @view, and as many of the next ones as the terminal has room for. */
static enum view fitting(enum view view, int cols)
{
	enum view next = view;

	do {
		next = next == TIMES ? USAGE : next << 1;
		if (width_of(view | next) > cols)
			break;
		view |= next;
	} while (view != ALL);
	return view;
}

static void put_keys(enum view view, char *line, size_t room)
{
	size_t n = 0;
	int i;

	for (i = 0; i < NCOLS; i++)
		if (columns[i].views & view)
			n += snprintf(line + n, room - n, "%c ", columns[i].key);
	line[n - 1] = ':';
	snprintf(line + n, room - n, " sort by a column, R: reverse%s, q: quit",
		 view == ALL ? "" : ", v: other columns");
}

static void draw(struct top *t, unsigned int seconds)
{
	enum view view = fitting(t->view, COLS);
	char line[LINE_ROOM];
	size_t i;

	erase();
	snprintf(line, sizeof(line), "%zu VM%s, every %u s, sorted by %s%s", t->n,
		 t->n == 1 ? "" : "s", seconds, columns[t->sort].head,
		 t->reverse ? ", reversed" : "");
	mvaddnstr(0, 0, line, COLS);
	put_keys(view, line, sizeof(line));
	mvaddnstr(1, 0, line, COLS);
	put_line(view, NULL, line, sizeof(line));
	attron(A_REVERSE);
	mvprintw(FIRST_ROW - 1, 0, "%-*.*s", COLS, COLS, line);
	attroff(A_REVERSE);
	for (i = 0; i < t->n && (int)i + FIRST_ROW < LINES; i++) {
		put_line(view, &t->row[i], line, sizeof(line));
		mvaddnstr(FIRST_ROW + i, 0, line, COLS);
	}
	refresh();
}

/* False: quit. */
static bool key(struct top *t, int c)
{
	int i;

	if (c == 'q' || c == 'Q')
		return false;
	if (c == 'R')
		t->reverse = !t->reverse;
	if (c == 'v')
		t->view = t->view == TIMES ? USAGE : t->view << 1;
	for (i = 0; i < NCOLS; i++)
		if (columns[i].key == c)
			t->sort = i;
	return true;
}

/* Nobody types any more: the terminal is gone. */
static bool hung_up(void)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL);
}

static int pages(struct mgmt *m, struct top *t, unsigned int seconds, unsigned int times)
{
	unsigned int n;

	for (n = 0; !times || n < times; n++) {
		if (n)
			sleep(seconds);
		if (look(m, t))
			return -1;
		qsort_r(t->row, t->n, sizeof(*t->row), compare, t);
		print_page(t);
		if (ferror(stdout))
			break;
	}
	return 0;
}

static int screen(struct mgmt *m, struct top *t, unsigned int seconds, unsigned int times)
{
	unsigned int n = 0;
	double next = 0, left;
	int ret = 0, c;

	setlocale(LC_ALL, "");
	if (!newterm(NULL, stdout, stdin))
		return pages(m, t, seconds, times);	/* it can't be drawn on */
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, TRUE);
	for (;;) {
		left = next - now();
		if (left <= 0) {
			if (times && n++ == times)
				break;
			ret = look(m, t);
			if (ret)
				break;
			next = now() + seconds;
			left = seconds;
		}
		qsort_r(t->row, t->n, sizeof(*t->row), compare, t);
		draw(t, seconds);
		timeout((int)(left * 1000) + 1);
		c = getch();		/* KEY_RESIZE too: drawn anew with the new size */
		if (c != ERR && !key(t, c))
			break;
		if (c == ERR && hung_up())
			break;
	}
	endwin();
	/* What was said meanwhile may have gone with the screen. */
	if (ret)
		report("%s", *mgmt_error(m) ? mgmt_error(m) : "cannot list VMs");
	return ret;
}

int cmd_top(int argc, char **argv)
{
	unsigned int seconds = 2, times = 0;
	struct top t = { .sort = COL_RUN, .view = USAGE };
	struct mgmt *m;
	int c, ret;

	optind = 1;
	while ((c = getopt(argc, argv, "n:s:")) != -1) {
		if (c != 'n' && c != 's')
			return command_usage("top");
		if (parse_uint(optarg, 1, 1000000, c == 'n' ? &times : &seconds)) {
			report("-%c %s: not a number from 1 on", c, optarg);
			return STATUS_USAGE;
		}
	}
	if (optind != argc)
		return command_usage("top");
	m = mgmt_open(false);
	if (!m)
		return STATUS_ERROR;
	if (isatty(STDOUT_FILENO) && isatty(STDIN_FILENO))
		ret = screen(m, &t, seconds, times);
	else
		ret = pages(m, &t, seconds, times);
	free(t.row);
	mgmt_close(m);
	return ret ? STATUS_ERROR : STATUS_OK;
}
