// SPDX-License-Identifier: GPL-2.0
/*
 * vmctl top: what the VMs use now, redrawn in place; page after page of plain text when
 * standard output is no terminal.
 */
#include <curses.h>
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mgmt.h"
#include "vmctl.h"

#define LINE_ROOM	256
#define NS_PER_SEC	1000000000.0

/* One VM, and what it used since the last look. Times are shares of one CPU. */
struct row {
	struct vm_info vm;
	struct vm_stats stats;
	bool fresh;		/* no look before this one */
	double run, host, steal, exits;
};

enum column { COL_ID, COL_RUN, COL_HOST, COL_STEAL, COL_EXITS, COL_MEM, COL_NAME, NCOLS };

static const struct {
	const char *head;
	int width;
} columns[NCOLS] = {
	[COL_ID] = { "ID", 5 },
	[COL_RUN] = { "RUN%", 7 },
	[COL_HOST] = { "HOST%", 7 },
	[COL_STEAL] = { "STEAL%", 7 },
	[COL_EXITS] = { "EXITS/S", 9 },
	[COL_MEM] = { "MEM(MiB)", 9 },
	[COL_NAME] = { "NAME", 20 },
};

struct top {
	struct row *row;
	size_t n;
	double at;
	enum column sort;
	bool reverse;
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

	r->run = (b->run_ns - a->run_ns) / NS_PER_SEC / seconds * 100;
	r->host = (b->host_ns - a->host_ns) / NS_PER_SEC / seconds * 100;
	r->steal = (b->steal_ns - a->steal_ns) / NS_PER_SEC / seconds * 100;
	r->exits = (b->total_exits - a->total_exits) / seconds;
	r->fresh = false;
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
	int c = 0;

	switch (t->sort) {
	case COL_RUN:
		c = compare_numbers(a->run, b->run);
		break;
	case COL_HOST:
		c = compare_numbers(a->host, b->host);
		break;
	case COL_STEAL:
		c = compare_numbers(a->steal, b->steal);
		break;
	case COL_EXITS:
		c = compare_numbers(a->exits, b->exits);
		break;
	case COL_MEM:
		c = compare_numbers(a->vm.resident, b->vm.resident);
		break;
	case COL_NAME:
		c = strcmp(a->vm.name, b->vm.name);
		break;
	default:
		break;
	}
	if (!c)
		c = compare_numbers(b->vm.id, a->vm.id);
	return t->reverse ? -c : c;
}

static void head_line(char *line, size_t room)
{
	size_t n = 0;
	int i;

	for (i = 0; i < COL_NAME; i++)
		n += snprintf(line + n, room - n, "%*s ", columns[i].width, columns[i].head);
	snprintf(line + n, room - n, "%-8s %s", "STATE", columns[COL_NAME].head);
}

static void row_line(const struct row *r, char *line, size_t room)
{
	const int *w = (const int[]){ 5, 7, 7, 7, 9, 9 };

	if (r->fresh)
		snprintf(line, room, "%*llu %*s %*s %*s %*s %*.1f %-8s %s", w[0],
			 (unsigned long long)r->vm.id, w[1], "-", w[2], "-", w[3], "-", w[4],
			 "-", w[5], r->vm.resident / 1048576.0, vm_state_name(r->vm.state),
			 r->vm.name);
	else
		snprintf(line, room, "%*llu %*.1f %*.1f %*.1f %*.0f %*.1f %-8s %s", w[0],
			 (unsigned long long)r->vm.id, w[1], r->run, w[2], r->host, w[3],
			 r->steal, w[4], r->exits, w[5], r->vm.resident / 1048576.0,
			 vm_state_name(r->vm.state), r->vm.name);
}

static void print_page(struct top *t)
{
	char line[LINE_ROOM];
	size_t i;

	head_line(line, sizeof(line));
	puts(line);
	for (i = 0; i < t->n; i++) {
		row_line(&t->row[i], line, sizeof(line));
		puts(line);
	}
	putchar('\n');
	fflush(stdout);
}

static void draw(struct top *t, unsigned int seconds)
{
	char line[LINE_ROOM];
	size_t i;

	erase();
	mvprintw(0, 0, "%zu VM%s, every %u s, sorted by %s%s", t->n, t->n == 1 ? "" : "s",
		 seconds, columns[t->sort].head, t->reverse ? ", reversed" : "");
	mvprintw(1, 0, "i r h s e m n: sort by a column, R: reverse, q: quit");
	attron(A_REVERSE);
	head_line(line, sizeof(line));
	mvprintw(3, 0, "%-*.*s", COLS, COLS, line);
	attroff(A_REVERSE);
	for (i = 0; i < t->n && (int)i + 4 < LINES; i++) {
		row_line(&t->row[i], line, sizeof(line));
		mvprintw(4 + i, 0, "%.*s", COLS, line);
	}
	refresh();
}

/* False: quit. */
static bool key(struct top *t, int c)
{
	static const char keys[NCOLS + 1] = "irhsemn";
	const char *p;

	if (c == 'q' || c == 'Q')
		return false;
	if (c == 'R')
		t->reverse = !t->reverse;
	p = c > 0 && c < 128 && c != 'R' ? strchr(keys, c) : NULL;
	if (p)
		t->sort = p - keys;
	return true;
}

static int screen(struct mgmt *m, struct top *t, unsigned int seconds, unsigned int times)
{
	unsigned int n = 0;
	double next = 0, left;
	int ret = 0, c;

	setlocale(LC_ALL, "");
	if (!newterm(NULL, stdout, stdin)) {
		report("this terminal (TERM=%s) cannot be drawn on", getenv("TERM") ?: "");
		return -1;
	}
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
		/* Nobody types any more. */
		if (c == ERR && left > 0 && feof(stdin))
			break;
	}
	endwin();
	return ret;
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

int cmd_top(int argc, char **argv)
{
	unsigned int seconds = 2, times = 0;
	struct top t = { .sort = COL_RUN };
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
