// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - what /sys/kernel/debug/lhv/ shows.
 *
 * exits	how often each vCPU left the guest, by reason: a line per vCPU and reason that
 *		occurred, with VM id, vCPU id, reason, count. The counters are written by the
 *		vCPU's own thread and only ever grow.
 * memory	what is mapped: a line per VM, with VM id, process, pages that its second-stage
 *		tables take, 4 KiB, 2 MiB and 1 GiB leaves in them.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "debugfs.h"
#include "lhv.h"

static const char * const reason_names[] = {
#define X(name) #name,
	LHV_EXIT_REASONS(X)
#undef X
};

static struct dentry *dir;

static void show_vcpu(struct seq_file *m, struct lhv_vcpu *vcpu)
{
	int reason;

	for (reason = 0; reason < LHV_NR_EXIT_REASONS; reason++) {
		u64 n = READ_ONCE(vcpu->exits[reason]);

		if (n)
			seq_printf(m, "%llu %u %s %llu\n", vcpu->vm->id, vcpu->id,
				   reason_names[reason], n);
	}
}

static int exits_show(struct seq_file *m, void *unused)
{
	struct lhv_vcpu *vcpu;
	struct lhv_vm *vm;
	unsigned long id;
	int i;

	mutex_lock(&lhv_vms_lock);
	lhv_for_each_vm(id, vm) {
		lhv_for_each_vcpu(i, vcpu, vm)
			show_vcpu(m, vcpu);
	}
	mutex_unlock(&lhv_vms_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(exits);

static int memory_show(struct seq_file *m, void *unused)
{
	struct lhv_mem *mem;
	struct lhv_vm *vm;
	unsigned long id;

	mutex_lock(&lhv_vms_lock);
	lhv_for_each_vm(id, vm) {
		mem = &vm->mem;
		seq_printf(m, "%llu %d %ld %ld %ld %ld\n", vm->id, vm->pid,
			   atomic_long_read(&mem->nr_tables),
			   atomic_long_read(&mem->nr_pages[0]),
			   atomic_long_read(&mem->nr_pages[1]),
			   atomic_long_read(&mem->nr_pages[2]));
	}
	mutex_unlock(&lhv_vms_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(memory);

/* Without debugfs there is nothing to see, and nothing fails. */
void lhv_debugfs_init(void)
{
	dir = debugfs_create_dir("lhv", NULL);
	debugfs_create_file("exits", 0400, dir, NULL, &exits_fops);
	debugfs_create_file("memory", 0400, dir, NULL, &memory_fops);
}

void lhv_debugfs_exit(void)
{
	debugfs_remove_recursive(dir);
}
