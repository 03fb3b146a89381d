/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel's files of numbers, and what a memory cgroup is charged. */
#ifndef CGROUP_H
#define CGROUP_H

#include <stdbool.h>
#include <stdint.h>

void write_file(const char *path, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool try_write_file(const char *path, const char *text);
/* The number behind @key in a file of "key value" lines; a test fails without it */
uint64_t file_value(const char *path, const char *key);

/* A new memory cgroup; its folder. Skips where there are none. */
const char *new_cgroup(void);
/* This process moves into it. */
void join_cgroup(const char *dir);
/* Both */
const char *own_cgroup(void);
/* A value of its memory.stat, in bytes */
uint64_t charged(const char *cg, const char *key);
/* Fails unless it is between the two within 20 s. */
uint64_t await_charged(const char *cg, const char *key, uint64_t at_least, uint64_t at_most);

#endif
