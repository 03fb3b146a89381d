/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Events of the host under a running guest: CPUs that come and go, sleep, debuggers,
 * another hypervisor. The guest is abuse's busy one: it checks its memory, and every vCPU
 * has to go on right after each event.
 */
#ifndef EVENTS_H
#define EVENTS_H

#include "../abuse/abuse.h"

/* A VMM in a process of its own. It counts how often it saw every vCPU go on. */
struct watched {
	pid_t pid;
	volatile uint64_t *rounds;
};

void watched_start(struct watched *w, int vcpus);
/* Fail unless every vCPU goes on within @seconds. */
void watched_alive(struct watched *w, unsigned int seconds);
/* Kill it, with nothing left behind. */
void watched_end(struct watched *w);

/* Write @text to @path; false, with errno, when that fails. */
bool put_text(const char *path, const char *text);
/* Does the first line of @path have @word in it? */
bool has_word(const char *path, const char *word);

#endif
