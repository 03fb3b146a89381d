// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - a vCPU's life.
 */
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "lhv.h"

static bool is_bsp(struct lhv_vcpu *vcpu)
{
	return vcpu->id == vcpu->vm->bsp_id;
}

static int alloc_pages_for_user(struct lhv_vcpu *vcpu)
{
	int i;

	for (i = 0; i < LHV_VCPU_PAGES; i++) {
		/* The coalesced ring is the VM's, the same page in every vCPU's mmap. */
		if (i == LHV_PAGE_COALESCED) {
			vcpu->pages[i] = vcpu->vm->coalesced.ring;
			get_page(vcpu->pages[i]);
			continue;
		}
		vcpu->pages[i] = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!vcpu->pages[i])
			return -ENOMEM;
	}
	vcpu->run = page_address(vcpu->pages[LHV_PAGE_RUN]);
	return 0;
}

/**
 * lhv_vcpu_destroy() - the one teardown, callable on a half-built vCPU
 * @vcpu: the vCPU; nobody runs it or can find it any more
 *
 * Context: process, may sleep. The LAPIC's timer goes first: it is the only thing that
 * may still fire.
 */
void lhv_vcpu_destroy(struct lhv_vcpu *vcpu)
{
	int i;

	lhv_gate_vcpu_destroy(vcpu);
	lhv_lapic_destroy(vcpu);
	lhv_backend->vcpu_destroy(vcpu);
	lhv_cpu_destroy(vcpu);
	lhv_mem_vcpu_destroy(vcpu);
	lhv_latency_destroy(vcpu);
	lhv_usage_destroy(vcpu);
	for (i = 0; i < LHV_VCPU_PAGES; i++) {
		if (vcpu->pages[i])
			put_page(vcpu->pages[i]);
	}
	kfree(vcpu);
}

/* See lhv.h. */
void lhv_vcpu_reset(struct lhv_vcpu *vcpu, bool init)
{
	vcpu->complete = NULL;
	lhv_mmio_cancel(vcpu);
	lhv_backend->vcpu_reset(vcpu, init);
	lhv_cpu_reset(vcpu, init);
	if (vcpu->lapic)
		lhv_lapic_reset(vcpu, init);
}

/* In the VM's tables; stays there for the next one if this vCPU is not to be. */
static int make_place(struct lhv_vcpu *vcpu)
{
	struct lhv_vcpu ***table = &vcpu->vm->vcpus[vcpu->idx / LHV_VCPU_TABLE];

	lockdep_assert_held(&vcpu->vm->lock);
	if (!*table)
		*table = kcalloc(LHV_VCPU_TABLE, sizeof(**table), GFP_KERNEL_ACCOUNT);
	return *table ? 0 : -ENOMEM;
}

/**
 * lhv_vcpu_create() - a new vCPU, built privately and then published
 * @vm: the VM
 * @id: APIC id
 *
 * Context: process; takes vm->lock. Return: the vCPU or an ERR_PTR: -EINVAL bad id or too
 * many, -EEXIST, -ENOMEM.
 */
struct lhv_vcpu *lhv_vcpu_create(struct lhv_vm *vm, u32 id)
{
	struct lhv_vcpu *vcpu;
	int ret;

	if (id >= LHV_MAX_VCPUS)
		return ERR_PTR(-EINVAL);

	vcpu = kzalloc(sizeof(*vcpu) + lhv_backend->vcpu_size, GFP_KERNEL_ACCOUNT);
	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->cpu = -1;
	vcpu->quiescent = jiffies;
	vcpu->mem.code = vcpu->mem.code_pages;
	lhv_usage_init(vcpu);
	lhv_gate_vcpu_init(vcpu);
	mutex_init(&vcpu->lock);
	rcuwait_init(&vcpu->wait);

	mutex_lock(&vm->lock);
	ret = -EINVAL;
	if (vm->nr_vcpus >= LHV_MAX_VCPUS || (vm->vcpu_ids && id >= vm->vcpu_ids))
		goto err_unlock;
	ret = -EEXIST;
	if (lhv_vcpu_by_id(vm, id))
		goto err_unlock;
	vcpu->idx = vm->nr_vcpus;

	ret = make_place(vcpu);
	if (!ret)
		ret = alloc_pages_for_user(vcpu);
	if (!ret)
		ret = lhv_dirty_ring_create(vcpu);
	if (!ret)
		ret = lhv_cpu_create(vcpu);
	if (!ret)
		ret = lhv_backend->vcpu_create(vcpu);
	if (!ret && lhv_has_lapic(vm))
		ret = lhv_lapic_create(vcpu);
	if (ret)
		goto err_unlock;

	lhv_vcpu_reset(vcpu, false);
	vcpu->mp_state = !lhv_has_lapic(vm) || is_bsp(vcpu) ? KVM_MP_STATE_RUNNABLE :
							     KVM_MP_STATE_UNINITIALIZED;
	if (is_bsp(vcpu))
		lhv_request_self(vcpu, LHV_REQ_STARTED);

	lhv_gate_vcpu_add(vcpu);
	vm->vcpus[vcpu->idx / LHV_VCPU_TABLE][vcpu->idx % LHV_VCPU_TABLE] = vcpu;
	/* Whoever sees the count sees the vCPU. */
	smp_store_release(&vm->nr_vcpus, vm->nr_vcpus + 1);
	lhv_lapic_published(vm);
	mutex_unlock(&vm->lock);
	lhv_vcpu_created(vcpu);
	return vcpu;

err_unlock:
	mutex_unlock(&vm->lock);
	lhv_vcpu_destroy(vcpu);
	return ERR_PTR(ret);
}

int lhv_vcpu_get_mp_state(struct lhv_vcpu *vcpu, struct kvm_mp_state *state)
{
	if (lhv_has_lapic(vcpu->vm) && lhv_lapic_has_events(vcpu))
		lhv_lapic_accept_events(vcpu);
	state->mp_state = vcpu->mp_state;
	/* The kick has no place in the state: whoever restores it would sleep for ever. */
	if (state->mp_state == KVM_MP_STATE_HALTED && READ_ONCE(vcpu->pv_unhalted))
		state->mp_state = KVM_MP_STATE_RUNNABLE;
	return 0;
}

int lhv_vcpu_set_mp_state(struct lhv_vcpu *vcpu, const struct kvm_mp_state *state)
{
	u32 mp_state = state->mp_state;

	switch (mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		break;
	case KVM_MP_STATE_HALTED:
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_SIPI_RECEIVED:
		/* Without a LAPIC in the kernel nothing could end these. */
		if (!vcpu->lapic)
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	/* The state between a SIPI's arrival and the first instruction; the vector is in the events. */
	if (mp_state == KVM_MP_STATE_SIPI_RECEIVED) {
		mp_state = KVM_MP_STATE_INIT_RECEIVED;
		set_bit(LHV_APIC_SIPI, &vcpu->lapic->events);
		lhv_request_self(vcpu, LHV_REQ_APIC);
	}
	vcpu->mp_state = mp_state;
	/* Enter by way of the slow tier, which looks at mp_state. */
	lhv_request_self(vcpu, LHV_REQ_UNBLOCK);
	lhv_request_self(vcpu, LHV_REQ_EVENT);
	return 0;
}
