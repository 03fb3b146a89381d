// SPDX-License-Identifier: GPL-2.0
/*
 * lhv - a VM's life.
 *
 * The VM fd and every vCPU fd hold a reference; the last one to close destroys
 * the VM. vCPUs live as long as their VM: a closed vCPU fd only means that
 * nobody can run it any more.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "manage/event.h"
#include "lhv.h"
#include "passthrough/passthrough.h"

/*
 * The one teardown, callable on a VM at any stage of its construction: each
 * room's destroy function copes with a room that was never initialised (all
 * zero). Nobody else can reach the VM any more: it is off the registry and the
 * last fd is gone, so no vCPU runs and no ioctl is under way. What can still
 * call in, and looks at vCPUs, is stopped before they go:
 *   devices' interrupts and DMA       lhv_passthrough_revoke()
 *   irqfd wake-ups, the PIT's timer   lhv_irq_destroy_vm()
 *   the MMU notifier                  lhv_mem_destroy()
 *   the LAPIC's timer                 lhv_vcpu_destroy()
 */
static void destroy(struct lhv_vm *vm)
{
	int i;

	if (vm->id) {
		lhv_registry_del(vm);
		lhv_vm_ended(vm);
	}
	lhv_passthrough_revoke(vm);
	lhv_irq_destroy_vm(vm);
	lhv_mem_destroy(vm);
	for (i = 0; i < vm->nr_vcpus; i++)
		lhv_vcpu_destroy(lhv_vcpu_at(vm, i));
	for (i = 0; i < ARRAY_SIZE(vm->vcpus); i++)
		kfree(vm->vcpus[i]);
	lhv_pools_vm_destroy(vm);
	lhv_bus_destroy_vm(vm);
	lhv_backend->vm_destroy(vm);
	lhv_msr_filter_destroy(vm);
	cleanup_srcu_struct(&vm->srcu);
	lhv_manage_destroy(vm);
	mmdrop(vm->mm);
	kvfree(vm);
}

/* Who finds it at once and changes it waits until others know that there is one. */
static int publish(struct lhv_vm *vm)
{
	int ret;

	guard(mutex)(&vm->manage.lock);
	ret = lhv_registry_add(vm);
	if (!ret)
		lhv_tell_vm(vm, LHV_VM_EVENT_CREATED);
	return ret;
}

/**
 * lhv_vm_create() - a new VM for the calling process
 *
 * Context: process. Return: the VM with one reference, or an ERR_PTR: -ENOMEM, -EINTR.
 */
struct lhv_vm *lhv_vm_create(void)
{
	struct lhv_vm *vm;
	int ret;

	vm = kvzalloc(sizeof(*vm) + lhv_backend->vm_size, GFP_KERNEL_ACCOUNT);
	if (!vm)
		return ERR_PTR(-ENOMEM);
	ret = init_srcu_struct(&vm->srcu);
	if (ret) {
		kvfree(vm);
		return ERR_PTR(ret);
	}

	refcount_set(&vm->refs, 1);
	mutex_init(&vm->lock);
	lhv_manage_create(vm);
	vm->pid = task_tgid_nr(current);
	vm->mm = current->mm;
	mmgrab(vm->mm);
	mutex_init(&vm->dma_lock);
	INIT_LIST_HEAD(&vm->devices);
	lhv_clock_init_vm(vm);

	lhv_pools_vm_create(vm);
	ret = lhv_backend->vm_create(vm);
	if (!ret)
		ret = lhv_mem_init(vm);
	if (!ret)
		ret = lhv_bus_init_vm(vm);
	if (!ret)
		ret = lhv_irq_init_vm(vm);
	if (!ret)
		ret = publish(vm);
	if (ret) {
		destroy(vm);
		return ERR_PTR(ret);
	}
	lhv_control_watch();
	return vm;
}

void lhv_vm_get(struct lhv_vm *vm)
{
	refcount_inc(&vm->refs);
}

/* Context: process, may sleep. */
void lhv_vm_put(struct lhv_vm *vm)
{
	if (refcount_dec_and_test(&vm->refs))
		destroy(vm);
}

/**
 * lhv_vm_bug() - no vCPU of this VM runs any more
 * @vm: the VM
 *
 * For what must not happen: a state that we cannot explain is not executed. Context: any.
 */
void lhv_vm_bug(struct lhv_vm *vm)
{
	if (!xchg(&vm->bugged, true))
		pr_err("lhv: VM %llu of process %d is in a state that should not exist; stopped\n",
		       vm->id, vm->pid);
	lhv_request_all(vm, LHV_REQ_DEAD, false);
}

/**
 * lhv_vcpu_by_id() - look a vCPU up by its APIC id
 * @vm: the VM
 * @id: the id
 *
 * Context: any. vCPUs never go away before their VM. Return: the vCPU or NULL.
 */
struct lhv_vcpu *lhv_vcpu_by_id(struct lhv_vm *vm, u32 id)
{
	struct lhv_vcpu *vcpu;
	int i;

	lhv_for_each_vcpu(i, vcpu, vm) {
		if (vcpu->id == id)
			return vcpu;
	}
	return NULL;
}
