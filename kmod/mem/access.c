// SPDX-License-Identifier: GPL-2.0
/*
 * lhv mem/ - access to guest memory.
 *
 * All of it goes through the VMM's own mapping, in the VMM's context. The atomic tier
 * takes what is resident and gives up (-EAGAIN) at the first page fault.
 */
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "lhv.h"
#include "mem/dirty.h"
#include "mem/walk.h"

/* Where @gpa lies in the VMM; NULL when it does not, or must not be written. Under vm->srcu. */
static __always_inline void __user *user_ptr(struct lhv_vm *vm, unsigned int *hint, gpa_t gpa,
					     bool write, struct lhv_slot **slotp)
{
	struct lhv_slot *slot = lhv_slots_find(srcu_dereference(vm->mem.slots, &vm->srcu),
					       gpa >> PAGE_SHIFT, hint);

	if (!slot || (write && slot->flags & KVM_MEM_READONLY))
		return NULL;
	*slotp = slot;
	return (void __user *)(lhv_slot_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa));
}

#define get_ends(type, to, from, len) ({						\
	unsigned int __last = (len) - sizeof(type);				\
	type __a, __b;								\
	int __err = __get_user(__a, (const type __user *)(from));		\
										\
	__err |= __get_user(__b, (const type __user *)((from) + __last));	\
	if (!__err) {								\
		memcpy((to), &__a, sizeof(type));				\
		memcpy((to) + __last, &__b, sizeof(type));			\
	}									\
	__err;									\
})

/*
 * At most 16 bytes, as for instructions and descriptors: by their first and their last
 * part, which overlap unless they are all of it. No generic copy comes close.
 */
static __always_inline unsigned long get(void *to, const void __user *from, unsigned int len)
{
	if (len > 16)
		return __copy_from_user_inatomic(to, from, len);
	if (len >= 8)
		return get_ends(u64, to, from, len);
	if (len >= 4)
		return get_ends(u32, to, from, len);
	if (len >= 2)
		return get_ends(u16, to, from, len);
	return __get_user(*(u8 *)to, (const u8 __user *)from);
}

/*
 * One, four and eight bytes are one store, as the guest's own would be. Nothing is stored twice:
 * another vCPU may write there, too.
 */
static __always_inline unsigned long put(void __user *to, const void *from, unsigned int len)
{
	u64 val = 0;

	switch (len) {
	case 1:
		return __put_user(*(const u8 *)from, (u8 __user *)to);
	case 4:
		memcpy(&val, from, 4);
		return __put_user((u32)val, (u32 __user *)to);
	case 8:
		memcpy(&val, from, 8);
		return __put_user(val, (u64 __user *)to);
	default:
		return __copy_to_user_inatomic(to, from, len);
	}
}

/* One page at most. Slots were checked with access_ok() when they were made. */
static int copy_in(void *to, const void __user *from, unsigned int len, bool atomic)
{
	unsigned long left;

	if (!atomic) {
		might_fault();
		return get(to, from, len) ? -EFAULT : 0;
	}
	pagefault_disable();
	left = get(to, from, len);
	pagefault_enable();
	return left ? -EAGAIN : 0;
}

static int copy_out(void __user *to, const void *from, unsigned int len, bool atomic)
{
	unsigned long left;

	if (!atomic) {
		might_fault();
		return put(to, from, len) ? -EFAULT : 0;
	}
	pagefault_disable();
	left = put(to, from, len);
	pagefault_enable();
	return left ? -EAGAIN : 0;
}

int lhv_read_gpa(struct lhv_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len)
{
	struct lhv_vm *vm = vcpu->vm;
	int ret = 0, idx = srcu_read_lock(&vm->srcu);

	while (len && !ret) {
		unsigned int n = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gpa));
		struct lhv_slot *slot;
		void __user *from = user_ptr(vm, &vcpu->mem.slot_hint, gpa, false, &slot);

		ret = from ? copy_in(data, from, n, vcpu->atomic) : -EFAULT;
		gpa += n;
		data += n;
		len -= n;
	}
	srcu_read_unlock(&vm->srcu, idx);
	return ret;
}

int lhv_write_gpa(struct lhv_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len)
{
	struct lhv_vm *vm = vcpu->vm;
	int ret = 0, idx = srcu_read_lock(&vm->srcu);

	while (len && !ret) {
		unsigned int n = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gpa));
		struct lhv_slot *slot;
		void __user *to = user_ptr(vm, &vcpu->mem.slot_hint, gpa, true, &slot);

		if (!to || !lhv_may_dirty(vcpu, slot)) {
			ret = -EFAULT;
			break;
		}
		ret = copy_out(to, data, n, vcpu->atomic);
		/* Even when the copy failed: a part of it may have been done. */
		lhv_mark_dirty(vcpu, slot, gpa >> PAGE_SHIFT);
		gpa += n;
		data += n;
		len -= n;
	}
	srcu_read_unlock(&vm->srcu, idx);
	return ret;
}

/* 0: done; 1: lost; -EFAULT. */
static int cmpxchg_user(void __user *ptr, u64 old, u64 new, unsigned int len)
{
	u32 old32 = old;

	if (len == 8)
		return __try_cmpxchg_user((u64 __user *)ptr, &old, new, fault8);
	return __try_cmpxchg_user((u32 __user *)ptr, &old32, (u32)new, fault4);
}

/* An entry of a table: @len is 4 or 8, and it is aligned. Under vm->srcu. */
static int cmpxchg_gpa(struct lhv_vcpu *vcpu, gpa_t gpa, u64 old, u64 new, unsigned int len)
{
	struct lhv_slot *slot;
	void __user *ptr = user_ptr(vcpu->vm, &vcpu->mem.slot_hint, gpa, true, &slot);
	int ret;

	if (!ptr || !lhv_may_dirty(vcpu, slot))
		return -EFAULT;
	if (vcpu->atomic) {
		pagefault_disable();
		ret = cmpxchg_user(ptr, old, new, len);
		pagefault_enable();
		if (ret == -EFAULT)
			ret = -EAGAIN;
	} else {
		ret = cmpxchg_user(ptr, old, new, len);
	}
	if (!ret)
		lhv_mark_dirty(vcpu, slot, gpa >> PAGE_SHIFT);
	return ret;
}

/* A walk, and what it is to be remembered by, if at all. */
struct walk_ctx {
	struct lhv_vcpu *vcpu;
	struct lhv_code_page *code;
};

/* In the atomic tier page faults are off already. */
static __always_inline int get_entry(const void __user *ptr, u64 *entry, unsigned int len)
{
	u32 val;
	int ret;

	if (len == 8)
		return __get_user(*entry, (const u64 __user *)ptr);
	ret = __get_user(val, (const u32 __user *)ptr);
	*entry = val;
	return ret;
}

static __always_inline int walk_read(void *ctx, gpa_t gpa, u64 *entry, unsigned int len)
{
	struct walk_ctx *c = ctx;
	struct lhv_vcpu *vcpu = c->vcpu;
	struct lhv_slot *slot;
	void __user *ptr = user_ptr(vcpu->vm, &vcpu->mem.slot_hint, gpa, false, &slot);
	int ret;

	if (!ptr)
		return -EFAULT;
	ret = get_entry(ptr, entry, len);
	if (ret)
		return vcpu->atomic ? -EAGAIN : ret;
	if (c->code) {
		struct lhv_code_page *code = c->code;

		code->len = len;
		if (code->nr < ARRAY_SIZE(code->entry)) {
			code->entry[code->nr].at = ptr;
			code->entry[code->nr].is = *entry;
		}
		code->nr++;
	}
	return 0;
}

static int walk_update(void *ctx, gpa_t gpa, u64 old, u64 new, unsigned int len)
{
	struct walk_ctx *c = ctx;

	/* What was read is not what is there from now on. */
	if (c->code)
		c->code->nr = ARRAY_SIZE(c->code->entry) + 1;
	return cmpxchg_gpa(c->vcpu, gpa, old, new, len);
}

static const struct lhv_walk_ops walk_ops = {
	.read = walk_read,
	.update = walk_update,
};

static u64 guest_cr3(struct lhv_vcpu *vcpu)
{
	return lhv_paging(vcpu) ? static_call(lhv_get_cr3)(vcpu) : 0;
}

/* Under vm->srcu. */
static int walk(struct lhv_vcpu *vcpu, struct lhv_code_page *code, u64 gva, u32 access,
		gpa_t *gpa, struct lhv_fault *fault)
{
	const struct lhv_walk w = {
		.cr0 = vcpu->cr0,
		.cr3 = guest_cr3(vcpu),
		.cr4 = vcpu->cr4,
		.efer = vcpu->efer,
		.rflags = vcpu->rflags,
		.reserved = vcpu->cpu_state.gpa_reserved & GENMASK_ULL(51, 12),
		.pkru = vcpu->cpu_state.pkru,
		.gbpages = lhv_has(&vcpu->cpu_state, LHV_F_GBPAGES),
	};
	struct walk_ctx ctx = { .vcpu = vcpu, .code = code };
	int ret;

	if (vcpu->atomic)
		pagefault_disable();
	ret = lhv_walk(&w, &walk_ops, &ctx, gva, access, gpa, fault);
	if (vcpu->atomic)
		pagefault_enable();
	return ret;
}

int lhv_gva_to_gpa(struct lhv_vcpu *vcpu, u64 gva, u32 access, gpa_t *gpa,
		   struct lhv_fault *fault)
{
	int ret, idx = srcu_read_lock(&vcpu->vm->srcu);

	ret = walk(vcpu, NULL, gva, access, gpa, fault);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

/* See mem.h. */
struct lhv_code_page *lhv_other_code_page(struct lhv_vcpu_mem *mem, u64 lin)
{
	struct lhv_code_page *code = &mem->code_pages[(lin >> PAGE_SHIFT) % LHV_CODE_PAGES];

	if (code->lin != (lin & PAGE_MASK)) {
		code->lin = lin & PAGE_MASK;
		code->page = NULL;
	}
	mem->code = code;
	return code;
}

/* Would a walk find @code again? Under vm->srcu. */
static __always_inline bool still_there(struct lhv_vcpu *vcpu, const struct lhv_code_page *code,
					u32 user)
{
	bool same = true;
	u64 entry;
	int i;

	if (!code->page || code->user != !!user || code->cr0 != vcpu->cr0 ||
	    code->cr4 != (vcpu->cr4 & LHV_WALK_CR4) || code->efer != vcpu->efer ||
	    code->cr3 != guest_cr3(vcpu) || code->nr > ARRAY_SIZE(code->entry) ||
	    /* The slots' version is read before what depends on it, and written after it. */
	    code->slots_seq != smp_load_acquire(&vcpu->vm->mem.slots_seq))
		return false;
	if (vcpu->atomic)
		pagefault_disable();
	for (i = 0; i < code->nr && same; i++)
		same = !get_entry(code->entry[i].at, &entry, code->len) &&
		       entry == code->entry[i].is;
	if (vcpu->atomic)
		pagefault_enable();
	return same;
}

/* Under vm->srcu. */
static noinline int find_code(struct lhv_vcpu *vcpu, struct lhv_code_page *code, u64 lin, u32 user,
			      struct lhv_fault *fault)
{
	struct lhv_slot *slot;
	gpa_t gpa;
	int ret;

	code->page = NULL;
	code->nr = 0;
	/* Before the walk: slots that change meanwhile make what it finds stale. */
	code->slots_seq = smp_load_acquire(&vcpu->vm->mem.slots_seq);
	ret = walk(vcpu, code, lin, LHV_ACC_EXEC | user, &gpa, fault);
	if (ret)
		return ret;
	code->page = user_ptr(vcpu->vm, &vcpu->mem.slot_hint, gpa & PAGE_MASK, false, &slot);
	if (!code->page)
		return -ENXIO;
	code->user = user;
	code->cr0 = vcpu->cr0;
	code->cr3 = guest_cr3(vcpu);
	code->cr4 = vcpu->cr4 & LHV_WALK_CR4;
	code->efer = vcpu->efer;
	return 0;
}

int lhv_read_code(struct lhv_vcpu *vcpu, u64 lin, void *data, unsigned int len, u32 user,
		  struct lhv_fault *fault)
{
	struct lhv_code_page *code = lhv_code_page(&vcpu->mem, lin);
	int ret = 0, idx = srcu_read_lock(&vcpu->vm->srcu);

	if (unlikely(!still_there(vcpu, code, user)))
		ret = find_code(vcpu, code, lin, user, fault);
	if (!ret) {
		ret = copy_in(data, code->page + offset_in_page(lin), len, vcpu->atomic);
		if (ret == -EFAULT)
			ret = -ENXIO;
	}
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

bool lhv_code_is(struct lhv_vcpu *vcpu, u64 lin, u32 user, const u8 *bytes)
{
	const unsigned int last = LHV_INSN_MAX - sizeof(u64);
	const struct lhv_code_page *code = lhv_code_page(&vcpu->mem, lin);
	u64 first_word, last_word, is;
	const void __user *at;
	bool same = false;
	int idx;

	if (offset_in_page(lin) > PAGE_SIZE - LHV_INSN_MAX)
		return false;
	memcpy(&first_word, bytes, sizeof(u64));
	memcpy(&last_word, bytes + last, sizeof(u64));
	idx = srcu_read_lock(&vcpu->vm->srcu);
	if (likely(still_there(vcpu, code, user))) {
		at = code->page + offset_in_page(lin);
		if (vcpu->atomic)
			pagefault_disable();
		same = !get_entry(at, &is, sizeof(u64)) && is == first_word &&
		       !get_entry(at + last, &is, sizeof(u64)) && is == last_word;
		if (vcpu->atomic)
			pagefault_enable();
	}
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return same;
}

int lhv_read_gva(struct lhv_vcpu *vcpu, u64 gva, void *data, unsigned int len, u32 access,
		 gpa_t *gpa, struct lhv_fault *fault)
{
	while (len) {
		unsigned int n = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gva));
		int ret = lhv_gva_to_gpa(vcpu, gva, access, gpa, fault);

		if (ret)
			return ret;
		ret = lhv_read_gpa(vcpu, *gpa, data, n);
		if (ret)
			return ret == -EFAULT ? -ENXIO : ret;
		gva += n;
		data += n;
		len -= n;
	}
	return 0;
}

int lhv_write_gva(struct lhv_vcpu *vcpu, u64 gva, const void *data, unsigned int len, u32 access,
		  gpa_t *gpa, struct lhv_fault *fault)
{
	unsigned int n = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gva));
	gpa_t last;
	int ret;

	access |= LHV_ACC_WRITE;
	/* A write that faults on its second page has to leave the first one alone. */
	if (len > n) {
		ret = lhv_gva_to_gpa(vcpu, gva + len - 1, access, &last, fault);
		if (ret == -EFAULT)	/* CR2 is the first byte of the page that faulted */
			fault->gva &= PAGE_MASK;
		if (ret)
			return ret;
	}
	while (len) {
		ret = lhv_gva_to_gpa(vcpu, gva, access, gpa, fault);
		if (ret)
			return ret;
		ret = lhv_write_gpa(vcpu, *gpa, data, n);
		if (ret)
			return ret == -EFAULT ? -ENXIO : ret;
		gva += n;
		data += n;
		len -= n;
		n = min_t(unsigned int, len, PAGE_SIZE);
	}
	return 0;
}
