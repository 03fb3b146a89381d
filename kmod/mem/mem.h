/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv mem/ - guest memory.
 *
 * What it is for: slots (guest-physical ranges backed by the VMM's memory),
 *	second-stage page tables, the MMU notifier that keeps them true to the
 *	host's page tables, the dirty log, and access to guest memory.
 * What enters: slot ioctls, second-stage faults as (gpa, access), guest addresses.
 * What leaves: mapped pages, copied bytes, MMIO (to bus/), guest page faults (to cpu/).
 * What it must not know: which vendor's tables these are (struct lhv_tdp_format
 *	says), and what the bytes mean.
 */
#ifndef LHV_MEM_H
#define LHV_MEM_H

#include <linux/mmu_notifier.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#define LHV_MAX_SLOTS		32764	/* as KVM: 32767 less three private ones */

/* What an access wants. Also the second-stage fault's description. */
#define LHV_ACC_WRITE		BIT(0)
#define LHV_ACC_EXEC		BIT(1)
#define LHV_ACC_USER		BIT(2)	/* guest-virtual accesses: made at CPL 3 */
#define LHV_ACC_PRESENT		BIT(3)	/* fault: a translation was there (permission) */
#define LHV_ACC_GUEST_PT	BIT(4)	/* fault: while walking the guest's own tables */
#define LHV_ACC_RSVD		BIT(5)	/* fault: reserved bit set in our tables: a bug of ours */
#define LHV_ACC_IMPLICIT	BIT(6)	/* guest-virtual: by the CPU itself (TSS, GDT) */

/**
 * struct lhv_tdp_format - second-stage page-table entries, as data
 * @present: bits of which at least one is set in a present entry
 * @leaf: set in every leaf
 * @table: set in every non-leaf
 * @read, @write, @exec: permission bits (@exec may be inverted, see @nx)
 * @nx: set to forbid execution (NPT); 0 where @exec grants it (EPT)
 * @accessed, @dirty: 0 where the hardware keeps none
 * @huge: the page-size bit of a leaf above 4 KiB
 * @memtype: returns the memory-type bits for a leaf; @mmio: backed by device memory
 * @levels: levels of the root (4 or 5); 0: as many as the host's own tables have (NPT)
 * @ignore_pat: the guest's PAT has no say; 0: it can't be told so
 * @max_leaf: largest level that may be a leaf (1 to 3)
 */
struct lhv_tdp_format {
	u64 present, leaf, table;
	u64 read, write, exec, nx;
	u64 accessed, dirty, huge, ignore_pat;
	u64 (*memtype)(bool mmio);
	int levels, max_leaf;
};

extern const struct lhv_tdp_format lhv_npt_format;
extern struct lhv_tdp_format lhv_ept_format;	/* constant once the backend has probed */

struct lhv_slot;
struct lhv_slots;	/* sorted table of slots, published by SRCU */

/**
 * struct lhv_mem - the VM's memory
 *
 * Legend: I immutable after create; L @slots_lock; S written under @slots_lock, read under
 * vm->srcu; M @mmu_lock; A atomic. Lock order: slots_lock > mmap_lock > mmu_lock; the host
 * calls the notifier with its page-table lock held, so mmu_lock nests in that too.
 */
struct lhv_mem {
	struct mutex slots_lock;	/* writers of slots; the dirty log's ioctls */
	struct lhv_slots __rcu *slots;	/* S */
	unsigned long slots_seq;	/* S counts changes of @slots, after each */
	struct lhv_slots *spare_slots;	/* L the same, for the next change */
	struct lhv_slots *next_spare;	/* L larger, takes the place of @slots once it is spare */
	struct xarray slot_ids;		/* L slots by the VMM's number */
	u64 slot_pages;			/* A of all slots; written under @slots_lock */
	u64 dirty_log_flags;		/* L KVM_DIRTY_LOG_*, set by KVM_ENABLE_CAP */
	u32 ring_bytes;			/* L size of a vCPU's dirty ring; 0: slots have bitmaps */
	struct mmu_notifier notifier;
	bool registered;		/* I */
	const struct lhv_tdp_format *fmt; /* I */
	int root_level;			/* I */
	gfn_t max_gfn;			/* I highest guest frame that can be mapped */
	u64 *root;			/* I root of the second-stage tables (kernel address) */

	rwlock_t mmu_lock;		/* read: faults (cmpxchg); write: zaps */
	unsigned long invalidate_seq;	/* M bumped by every ended invalidation */
	int invalidate_count;		/* M invalidations under way */
	unsigned long invalidate_start, invalidate_end; /* M their hull (HVA) */
	const struct lhv_slot *leaving;	/* M in @slots no more, but mapped: for the notifier */
	bool dead;			/* M the mm is gone */

	atomic64_t zap_seq;		/* A counts what was taken from the tables */
	atomic64_t flush_seq;		/* A value of @zap_seq that no TLB lags behind */
	atomic_long_t nr_tables;	/* A pages used by tables */
	atomic_long_t nr_pages[3];	/* A 4 KiB, 2 MiB, 1 GiB leaves */
};

#include "mem/tdp.h"

/**
 * struct lhv_code_page - a page of guest code, found by a walk, and what that walk depended on
 * @page: where it lies in the VMM; NULL: none is known
 * @lin: its linear address
 * @cr0, @cr3, @cr4, @efer, @user: what ruled the walk; of CR4 LHV_WALK_CR4
 * @slots_seq: version of the slots
 * @nr: how many table entries were read on the way; more than fit: it is not known which
 * @len: bytes of an entry
 * @entry: where each lies in the VMM, and what it was
 *
 * A guest exits from few pages: as long as none of this has changed another walk would come to the
 * same end.
 */
struct lhv_code_page {
	const void __user *page;
	u64 lin, cr0, cr3, cr4, efer;
	unsigned long slots_seq;
	bool user;
	u8 nr, len;
	struct {
		const void __user *at;
		u64 is;
	} entry[5];
};

/* PGE rules no walk, and is what guests toggle to flush their TLB. */
#define LHV_WALK_CR4		(~(u64)X86_CR4_PGE)

/* At most 65536 entries, as KVM. */
#define LHV_RING_MAX_BYTES	(65536 * sizeof(struct kvm_dirty_gfn))

#define LHV_DIRTY_LOG_FLAGS	(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET)

/**
 * struct lhv_dirty_ring - see dirty_ring.c
 * @entries: shared with userspace; NULL without a ring
 * @size: how many, a power of two
 * @head: entries that were ever filled; by the vCPU's thread
 * @tail: entries that were ever reset; under slots_lock
 * @last_slot, @last_offset: what was filled in last
 */
struct lhv_dirty_ring {
	struct kvm_dirty_gfn *entries;
	u32 size;
	u32 head, tail;
	u32 last_slot;
	u64 last_offset;
};

/* What an access that second-stage tables did not allow, and memory answered, was. */
enum lhv_fault_kind {
	LHV_FAULT_READ,
	LHV_FAULT_WRITE,
	LHV_FAULT_EXEC,
	LHV_FAULT_PROTECTED,	/* write to a page that was mapped read-only */
	LHV_NR_FAULT_KINDS
};

#define LHV_CODE_PAGES	4

struct lhv_vcpu_mem {
	struct lhv_code_page *code;	/* O the last one of @code_pages */
	struct lhv_code_page code_pages[LHV_CODE_PAGES]; /* O by their addresses */
	unsigned int slot_hint;		/* O index of the last slot hit; re-checked */
	struct lhv_tdp_cache cache;	/* O zeroed tables, filled before mmu_lock is taken */
	struct lhv_dirty_ring ring;
	u64 faults[LHV_NR_FAULT_KINDS];	/* O */
	u64 mmio_faults;		/* O */
};

struct lhv_code_page *lhv_other_code_page(struct lhv_vcpu_mem *mem, u64 lin);

/* The page of @lin; who asks has to see whether it is known, and still right. */
static __always_inline struct lhv_code_page *lhv_code_page(struct lhv_vcpu_mem *mem, u64 lin)
{
	struct lhv_code_page *code = mem->code;

	return likely(code->lin == (lin & PAGE_MASK)) ? code : lhv_other_code_page(mem, lin);
}

/**
 * struct lhv_fault - a guest page fault that an emulated access met
 * @gva: CR2
 * @error_code: x86 #PF error code
 * @vector: PF_VECTOR, or GP_VECTOR/SS_VECTOR for a non-canonical address
 */
struct lhv_fault {
	u64 gva;
	u32 error_code;
	u8 vector;
};

/*
 * Registers the notifier on vm->mm, which is current->mm. vm->srcu is ready. On error
 * everything is undone.
 */
int lhv_mem_init(struct lhv_vm *vm);
/* Makes every translation go and blocks new ones; then frees. No vCPU runs. Needs vm->srcu. */
void lhv_mem_destroy(struct lhv_vm *vm);
void lhv_mem_vcpu_destroy(struct lhv_vcpu *vcpu);	/* frees caches and the ring */

/* Root for the backend's nested CR3/EPTP: physical address of vm->mem.root. */
phys_addr_t lhv_mem_root(struct lhv_vm *vm);

/*
 * Slots. @arg is checked here in full (alignment, overlap, flags, size, wrap).
 * KVM_MEM_READONLY and KVM_MEM_LOG_DIRTY_PAGES are supported. memory_size 0 deletes.
 * Return 0, -EINVAL, -EEXIST (overlap), -ENOMEM. Process context.
 */
int lhv_mem_set_slot(struct lhv_vm *vm, const struct kvm_userspace_memory_region *arg);
int lhv_mem_get_dirty_log(struct lhv_vm *vm, const struct kvm_dirty_log *log);
int lhv_mem_clear_dirty_log(struct lhv_vm *vm, const struct kvm_clear_dirty_log *log);
int lhv_dirty_log_enable(struct lhv_vm *vm, u64 flags);

/* The dirty ring, the log's other form: see dirty_ring.c. */
int lhv_dirty_ring_enable(struct lhv_vm *vm, u64 bytes);
int lhv_dirty_ring_create(struct lhv_vcpu *vcpu);
int lhv_dirty_rings_reset(struct lhv_vm *vm);
bool lhv_dirty_ring_full(struct lhv_vcpu *vcpu);
struct page *lhv_dirty_ring_page(struct lhv_vcpu *vcpu, unsigned long pgoff);
bool lhv_dirty_ring_covers(struct lhv_vcpu *vcpu, unsigned long pgoff);

/**
 * lhv_tdp_fault() - the guest met no (sufficient) second-stage translation
 * @vcpu: the vCPU
 * @gpa: guest-physical address
 * @access: LHV_ACC_* of the access
 *
 * Maps the page; or, where no slot backs it (or a read-only slot is written),
 * hands the access to lhv_mmio_exec().
 * Atomic tier: MMIO is passed on at once; a missing page returns LHV_SLEEP.
 */
enum lhv_next lhv_tdp_fault(struct lhv_vcpu *vcpu, gpa_t gpa, u32 access);

struct kvm_pre_fault_memory;
int lhv_mem_prefault(struct lhv_vcpu *vcpu, struct kvm_pre_fault_memory *range);

/*
 * Guest-physical access. Never sleeps in the atomic tier. May cross pages.
 * Return 0; -EFAULT: no slot, read-only slot on write, the VMM's memory is not there, or
 * the dirty ring has no room left; -EAGAIN (atomic tier only): not resident, the caller
 * returns LHV_SLEEP.
 * Writes mark the page dirty in the log.
 */
int lhv_read_gpa(struct lhv_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len);
int lhv_write_gpa(struct lhv_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len);

/**
 * lhv_gva_to_gpa() - walk the guest's own page tables
 * @vcpu: the vCPU (CR0, CR3, CR4, EFER as they are; every paging mode, PSE, PAE, 4- and 5-level)
 * @gva: linear address
 * @access: LHV_ACC_WRITE, _EXEC, _USER (SMEP, SMAP with @rflags.AC, PKU, NX, WP honoured)
 * @gpa: result
 * @fault: filled when -EFAULT is returned
 *
 * Sets accessed and dirty bits as the CPU would.
 * Return: 0; -EFAULT with @fault; -EAGAIN as above.
 */
int lhv_gva_to_gpa(struct lhv_vcpu *vcpu, u64 gva, u32 access, gpa_t *gpa,
		   struct lhv_fault *fault);

/*
 * Guest-linear access of up to a few pages: translates per page and copies.
 * Return 0; -EFAULT with @fault (a guest page fault to inject); -ENXIO: translated, but
 * no memory there (MMIO), *gpa says where; -EAGAIN.
 */
int lhv_read_gva(struct lhv_vcpu *vcpu, u64 gva, void *data, unsigned int len, u32 access,
		 gpa_t *gpa, struct lhv_fault *fault);
/*
 * The same for instruction bytes that lie within one page. @user: LHV_ACC_USER or 0. The page
 * is lhv_code_page() afterwards.
 */
int lhv_read_code(struct lhv_vcpu *vcpu, u64 lin, void *data, unsigned int len, u32 user,
		  struct lhv_fault *fault);
/* Would lhv_read_code() read these 15 bytes now, from a page that it knows? */
bool lhv_code_is(struct lhv_vcpu *vcpu, u64 lin, u32 user, const u8 *bytes);
int lhv_write_gva(struct lhv_vcpu *vcpu, u64 gva, const void *data, unsigned int len, u32 access,
		  gpa_t *gpa, struct lhv_fault *fault);

/* Is @gpa backed by a slot that may be read (and written)? Atomic tier fine. */
bool lhv_gpa_is_memory(struct lhv_vm *vm, gpa_t gpa, bool write);

/* Bytes in all slots; bytes that are mapped now; bytes of second-stage tables. Process context. */
u64 lhv_mem_slot_bytes(struct lhv_vm *vm);
u64 lhv_mem_mapped_bytes(struct lhv_vm *vm);
u64 lhv_mem_table_bytes(struct lhv_vm *vm);
/* Pages that the dirty logs hold and nobody has collected. Looks at every log: process context. */
u64 lhv_mem_dirty_pages(struct lhv_vm *vm);

/* For good: drop every translation and make no more. Process context. */
void lhv_mem_give_up(struct lhv_vm *vm);

/**
 * lhv_mem_set_noncoherent() - a device's DMA does not snoop the CPUs' caches, or no longer
 * @vm: the VM
 * @which: vm->noncoherent_dma or _vfio
 * @on: it does not
 *
 * From then on, and as long as, the guest's own memory types count. Context: process.
 */
void lhv_mem_set_noncoherent(struct lhv_vm *vm, bool *which, bool on);

/* Drop every translation of the VM; vCPUs refault. Process context. */
void lhv_mem_zap_all(struct lhv_vm *vm);

/* ---- inside mem/ ---- */

extern const struct mmu_notifier_ops lhv_mem_notifier_ops;
void lhv_mem_zap(struct lhv_vm *vm, gfn_t start, gfn_t end, bool may_block);
void lhv_mem_zap_split(struct lhv_vm *vm, const struct lhv_slot *slot);
void lhv_dirty_ring_destroy(struct lhv_vcpu *vcpu);
void lhv_mem_flush(struct lhv_vm *vm);
void lhv_mem_free_slots(struct lhv_mem *mem);

#endif
