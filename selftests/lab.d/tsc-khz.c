// SPDX-License-Identifier: GPL-2.0
/* Prints the frequency of this machine's TSC in kHz. */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Of a few tries, the one in which nobody came in between. */
static void read_both(int64_t *ns, int64_t *tsc)
{
	int64_t best = INT64_MAX, before, after, ticks;
	int i;

	for (i = 0; i < 100; i++) {
		before = now_ns();
		ticks = __rdtsc();
		after = now_ns();
		if (after - before >= best)
			continue;
		best = after - before;
		*ns = before + best / 2;
		*tsc = ticks;
	}
}

int main(void)
{
	const struct timespec pause = { .tv_nsec = 100000000 };
	int64_t ns[2], tsc[2];

	read_both(&ns[0], &tsc[0]);
	nanosleep(&pause, NULL);
	read_both(&ns[1], &tsc[1]);
	printf("%lld\n", (long long)((tsc[1] - tsc[0]) * 1000000 / (ns[1] - ns[0])));
	return 0;
}
