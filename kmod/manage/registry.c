// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - the registry of all VMs: by id, and by owner and name.
 *
 * Ids count up and are never reused, so a listing that goes by id and remembers the
 * last one neither repeats a VM nor misses one that lives throughout, whatever comes
 * and goes meanwhile.
 */
#include <linux/ctype.h>
#include <linux/hashtable.h>
#include <linux/jhash.h>
#include <linux/user_namespace.h>
#include <linux/xarray.h>

#include "lhv.h"

#define LHV_NAME_BITS	10

DEFINE_MUTEX(lhv_vms_lock);
DEFINE_XARRAY(lhv_vms);
static DEFINE_HASHTABLE(names, LHV_NAME_BITS);	/* lhv_vms_lock */
static u64 last_id;				/* lhv_vms_lock */
static u32 version = 1;				/* lhv_vms_lock; never 0 */

static bool same_owner(const struct lhv_owner *a, const struct lhv_owner *b)
{
	return uid_eq(a->uid, b->uid) && a->user_ns == b->user_ns;
}

static u32 name_hash(const struct lhv_owner *owner, const char *name)
{
	return jhash(name, strlen(name), __kuid_val(owner->uid));
}

static bool name_taken(const struct lhv_owner *owner, const char *name)
{
	struct lhv_vm *vm;

	lockdep_assert_held(&lhv_vms_lock);
	hash_for_each_possible(names, vm, manage.by_name, name_hash(owner, name)) {
		if (same_owner(&vm->manage.owner, owner) && !strcmp(vm->manage.name, name))
			return true;
	}
	return false;
}

static bool name_char(char c)
{
	return isalnum(c) || c == '-' || c == '_' || c == '.';
}

/**
 * lhv_name_valid() - may a VM be called so?
 * @name: terminated, at most LHV_NAME_MAX bytes
 */
bool lhv_name_valid(const char *name)
{
	if (!isascii(*name) || !(isalpha(*name) || *name == '_'))
		return false;
	for (; *name; name++) {
		if (!isascii(*name) || !name_char(*name))
			return false;
	}
	return true;
}

/* The VMM's command made a name; the second VM of that name gets its id behind it. */
static void default_name(struct lhv_vm *vm)
{
	const struct lhv_owner *owner = &vm->manage.owner;
	char base[TASK_COMM_LEN + 1], *p = base;
	char *name = vm->manage.name;
	unsigned int n;
	const char *c;

	if (!isascii(owner->comm[0]) || !isalpha(owner->comm[0]))
		*p++ = '_';
	for (c = owner->comm; *c; c++)
		*p++ = isascii(*c) && name_char(*c) ? *c : '_';
	*p = '\0';

	strscpy(name, base, sizeof(vm->manage.name));
	if (name_taken(owner, name))
		snprintf(name, sizeof(vm->manage.name), "%s-%llu", base, vm->id);
	for (n = 2; name_taken(owner, name); n++)
		snprintf(name, sizeof(vm->manage.name), "%s-%llu-%u", base, vm->id, n);
}

static void changed(void)
{
	lockdep_assert_held(&lhv_vms_lock);
	if (!++version)
		version = 1;
}

/**
 * lhv_registry_add() - give the VM its id and name; from now on others can find it
 * @vm: complete, its owner is known
 *
 * Context: process. Return: 0 or -ENOMEM.
 */
int lhv_registry_add(struct lhv_vm *vm)
{
	int ret;

	mutex_lock(&lhv_vms_lock);
	vm->id = last_id + 1;
	default_name(vm);
	ret = xa_err(xa_store(&lhv_vms, vm->id, vm, GFP_KERNEL));
	if (ret) {
		vm->id = 0;
	} else {
		last_id = vm->id;
		hash_add(names, &vm->manage.by_name,
			 name_hash(&vm->manage.owner, vm->manage.name));
		changed();
	}
	mutex_unlock(&lhv_vms_lock);
	return ret;
}

/* Nothing to do for a VM that never was in it. Context: process. */
void lhv_registry_del(struct lhv_vm *vm)
{
	if (!vm->id)
		return;
	mutex_lock(&lhv_vms_lock);
	xa_erase(&lhv_vms, vm->id);
	hash_del(&vm->manage.by_name);
	changed();
	mutex_unlock(&lhv_vms_lock);
}

/**
 * lhv_registry_rename() - give the VM another name
 * @vm: in the registry
 * @name: a valid one
 * @old: room for LHV_NAME_MAX + 1 bytes: the name before
 *
 * Context: process. Return: 0, or -EEXIST when another VM of the owner has it.
 */
int lhv_registry_rename(struct lhv_vm *vm, const char *name, char *old)
{
	int ret = 0;

	mutex_lock(&lhv_vms_lock);
	strscpy(old, vm->manage.name, LHV_NAME_MAX + 1);
	if (strcmp(old, name)) {
		if (name_taken(&vm->manage.owner, name)) {
			ret = -EEXIST;
		} else {
			hash_del(&vm->manage.by_name);
			strscpy(vm->manage.name, name, sizeof(vm->manage.name));
			hash_add(names, &vm->manage.by_name, name_hash(&vm->manage.owner, name));
		}
	}
	mutex_unlock(&lhv_vms_lock);
	return ret;
}

/**
 * lhv_registry_next() - the VM with the next higher id
 * @after: 0 for the first
 *
 * Context: lhv_vms_lock is held, and keeps the VM. Return: the VM or NULL.
 */
struct lhv_vm *lhv_registry_next(u64 after)
{
	unsigned long id = after;
	struct lhv_vm *vm;

	lockdep_assert_held(&lhv_vms_lock);
	while ((vm = xa_find_after(&lhv_vms, &id, ULONG_MAX, XA_PRESENT))) {
		/* On its way out: its last fd is closed. */
		if (refcount_read(&vm->refs))
			return vm;
	}
	return NULL;
}

/**
 * lhv_registry_find() - look a VM up
 * @id: its id
 *
 * Context: process. Return: the VM with a reference for the caller, or NULL.
 */
struct lhv_vm *lhv_registry_find(u64 id)
{
	struct lhv_vm *vm;

	mutex_lock(&lhv_vms_lock);
	vm = xa_load(&lhv_vms, id);
	if (vm && !refcount_inc_not_zero(&vm->refs))
		vm = NULL;
	mutex_unlock(&lhv_vms_lock);
	return vm;
}

/* Changes whenever a VM comes or goes; never 0. Context: lhv_vms_lock is held. */
u32 lhv_registry_version(void)
{
	lockdep_assert_held(&lhv_vms_lock);
	return version;
}

u64 lhv_registry_last_id(void)
{
	u64 id;

	mutex_lock(&lhv_vms_lock);
	id = last_id;
	mutex_unlock(&lhv_vms_lock);
	return id;
}
