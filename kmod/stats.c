// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - counters, and the file that KVM_GET_STATS_FD gives.
 *
 * The file: a header, the object's name, one descriptor per counter, the values. All but the
 * values never change. Whoever holds the fd may read it, wherever it was sent to.
 *
 * Names that KVM has for the same thing are KVM's. Rows are only ever added at the end.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "stats.h"

#define NAME_SIZE	48	/* with the NUL, as KVM's */

/**
 * struct stat_row - one counter
 * @name: what users call it
 * @flags: KVM_STATS_TYPE_*, KVM_STATS_UNIT_*, KVM_STATS_BASE_*
 * @exponent: power of the base that one unit is counted in: -9 for nanoseconds
 * @offset: of the first u64, in struct lhv_vm or struct lhv_vcpu
 * @nr: how many u64 there are to be summed up
 */
struct stat_row {
	const char *name;
	u32 flags;
	s16 exponent;
	u16 nr;
	u32 offset;
};

#define COUNT		(KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10)
#define NOW		(KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10)
#define TIME		(KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_SECONDS | KVM_STATS_BASE_POW10)
#define NANO		(-9)

#define ROW(obj, what, field, how, exp)					\
	{									\
		.name = what, .flags = how, .exponent = exp, .nr = 1,		\
		.offset = offsetof(struct lhv_##obj, field) +			\
			  BUILD_BUG_ON_ZERO(sizeof_field(struct lhv_##obj, field) != sizeof(u64)), \
	}

#define VM(what, field, how)	ROW(vm, what, field, how, 0)
#define VCPU(what, field)	ROW(vcpu, what, field, COUNT, 0)
#define VCPU_NS(what, field)	ROW(vcpu, what, field, TIME, NANO)
#define EXITS(what, reason)	VCPU(what, exits[LHV_EXIT_##reason])

static const struct stat_row vm_stats[] = {
	VM("pages_4k", mem.nr_pages[0], NOW),
	VM("pages_2m", mem.nr_pages[1], NOW),
	VM("pages_1g", mem.nr_pages[2], NOW),
	VM("table_pages", mem.nr_tables, NOW),
	VM("pages_zapped", mem.zap_seq, COUNT),
};

static const struct stat_row vcpu_stats[] = {
	{
		.name = "exits", .flags = COUNT, .nr = LHV_NR_EXIT_REASONS,
		.offset = offsetof(struct lhv_vcpu, exits),
	},
	EXITS("irq_exits", INTR),
	EXITS("nmi_exits", NMI),
	EXITS("smi_exits", SMI),
	EXITS("mce_exits", MCE),
	EXITS("init_exits", INIT),
	EXITS("exception_exits", EXCEPTION),
	EXITS("irq_window_exits", IRQ_WINDOW),
	EXITS("nmi_window_exits", NMI_WINDOW),
	EXITS("cpuid_exits", CPUID),
	EXITS("halt_exits", HLT),
	EXITS("io_exits", PIO),
	EXITS("msr_exits", MSR),
	EXITS("cr_exits", CR),
	EXITS("dr_exits", DR),
	EXITS("fault_exits", FAULT),
	EXITS("invlpg", INVLPG),
	EXITS("invd_exits", INVD),
	EXITS("wbinvd_exits", WBINVD),
	EXITS("rdpmc_exits", RDPMC),
	EXITS("rdtsc_exits", RDTSC),
	EXITS("monitor_exits", MONITOR),
	EXITS("mwait_exits", MWAIT),
	EXITS("pause_exits", PAUSE),
	EXITS("xsetbv_exits", XSETBV),
	EXITS("hypercalls", HYPERCALL),
	EXITS("virt_insn_exits", VIRT_INSN),
	EXITS("desc_table_exits", DESC_TABLE),
	EXITS("task_switch_exits", TASK_SWITCH),
	EXITS("shutdown_exits", SHUTDOWN),
	EXITS("apic_exits", APIC),
	EXITS("other_exits", OTHER),
	VCPU("mmio_exits", mem.mmio_faults),
	{
		.name = "pf_taken", .flags = COUNT, .nr = LHV_NR_FAULT_KINDS,
		.offset = offsetof(struct lhv_vcpu, mem.faults),
	},
	VCPU("injections", nr_injections),
	VCPU("user_exits", stat.user_exits),
	VCPU("signal_exits", stat.signal_exits),
	VCPU("halts", nr_halts),
	VCPU("halt_attempted_poll", stat.halt_polls),
	VCPU("halt_successful_poll", stat.halt_polls_won),
	VCPU_NS("halt_poll_success_ns", stat.halt_poll_won_ns),
	VCPU_NS("halt_poll_fail_ns", stat.halt_poll_lost_ns),
	VCPU_NS("halt_wait_ns", stat.halt_wait_ns),
};

static u64 value(const void *obj, const struct stat_row *stat)
{
	const u64 *first = obj + stat->offset;
	unsigned int i;
	u64 sum = 0;

	for (i = 0; i < stat->nr; i++)
		sum += READ_ONCE(first[i]);
	return sum;
}

/* ---- the file ---- */

/**
 * struct stats_file - what one fd reports
 * @vm: holds a reference
 * @obj: the VM or one of its vCPUs
 * @stats: its table
 * @nr: rows of it
 * @id: its name
 */
struct stats_file {
	struct lhv_vm *vm;
	const void *obj;
	const struct stat_row *stats;
	u32 nr;
	char id[NAME_SIZE];
};

/* The name stands right behind the fixed part, whether or not the header gives it a size. */
#define DESC_NAME	offsetof(struct kvm_stats_desc, name)
#define DESC_SIZE	(DESC_NAME + NAME_SIZE)
#define ID_AT		sizeof(struct kvm_stats_header)
#define DESC_AT		(ID_AT + NAME_SIZE)

static void fill(const struct stats_file *f, void *buf, size_t data_at)
{
	struct kvm_stats_header *head = buf;
	u64 *data = buf + data_at;
	u32 i;

	*head = (struct kvm_stats_header) {
		.name_size = NAME_SIZE,
		.num_desc = f->nr,
		.id_offset = ID_AT,
		.desc_offset = DESC_AT,
		.data_offset = data_at,
	};
	memcpy(buf + ID_AT, f->id, sizeof(f->id));
	for (i = 0; i < f->nr; i++) {
		const struct stat_row *stat = &f->stats[i];
		struct kvm_stats_desc *desc = buf + DESC_AT + i * DESC_SIZE;

		desc->flags = stat->flags;
		desc->exponent = stat->exponent;
		desc->size = 1;
		desc->offset = i * sizeof(u64);
		strscpy((char *)desc + DESC_NAME, stat->name, NAME_SIZE);
		data[i] = value(f->obj, stat);
	}
}

static ssize_t stats_read(struct file *file, char __user *user, size_t size, loff_t *pos)
{
	const struct stats_file *f = file->private_data;
	size_t data_at = DESC_AT + f->nr * DESC_SIZE;
	size_t total = data_at + f->nr * sizeof(u64);
	void *buf = kvzalloc(total, GFP_KERNEL);
	ssize_t ret;

	BUILD_BUG_ON(DESC_AT % sizeof(u64) || DESC_SIZE % sizeof(u64));
	if (!buf)
		return -ENOMEM;
	fill(f, buf, data_at);
	ret = simple_read_from_buffer(user, size, pos, buf, total);
	kvfree(buf);
	return ret;
}

static int stats_release(struct inode *inode, struct file *file)
{
	struct stats_file *f = file->private_data;

	lhv_vm_put(f->vm);
	kfree(f);
	return 0;
}

static const struct file_operations stats_fops = {
	.owner = THIS_MODULE,
	.release = stats_release,
	.read = stats_read,
	.llseek = noop_llseek,
};

/* See stats.h. */
int lhv_stats_open(struct lhv_vm *vm, struct lhv_vcpu *vcpu)
{
	struct stats_file *f;
	struct file *file;
	int fd, ret;

	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		return -ENOMEM;
	f->vm = vm;
	if (vcpu) {
		f->obj = vcpu;
		f->stats = vcpu_stats;
		f->nr = ARRAY_SIZE(vcpu_stats);
		snprintf(f->id, sizeof(f->id), "kvm-%d/vcpu-%u", vm->pid, vcpu->id);
	} else {
		f->obj = vm;
		f->stats = vm_stats;
		f->nr = ARRAY_SIZE(vm_stats);
		snprintf(f->id, sizeof(f->id), "kvm-%d", vm->pid);
	}

	ret = get_unused_fd_flags(O_CLOEXEC);
	if (ret < 0)
		goto err_free;
	fd = ret;
	file = anon_inode_getfile(vcpu ? "lhv-vcpu-stats" : "lhv-vm-stats", &stats_fops, f,
				  O_RDONLY);
	ret = PTR_ERR_OR_ZERO(file);
	if (ret)
		goto err_fd;
	file->f_mode |= FMODE_PREAD;
	lhv_vm_get(vm);
	fd_install(fd, file);
	return fd;

err_fd:
	put_unused_fd(fd);
err_free:
	kfree(f);
	return ret;
}
