// SPDX-License-Identifier: GPL-2.0
/*
 * lhv vmx/ - the ops: host, VM and vCPU life, and where a VMCS is active.
 *
 * Manual: SDM Vol 3C "Enabling and Entering VMX Operation", "Software Use of
 * Virtual-Machine Control Structures", "Software Use of VPID".
 */
#define pr_fmt(fmt) "lhv: " fmt

#include <linux/bitmap.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/smp.h>
#include <linux/vmalloc.h>

#include "vmx.h"

static DEFINE_PER_CPU(struct lhv_vmx_cpu, vmx_cpus);

static atomic64_t last_vcpu_id;

/* Tags of translations, given to vCPUs as long as there are any. 0 is the host's. */
static unsigned long *vpids;	/* vpid_lock */
static DEFINE_MUTEX(vpid_lock);

/* ---- host ---- */

static void free_cpu_pages(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct lhv_vmx_cpu *c = per_cpu_ptr(&vmx_cpus, cpu);

		if (c->vmxon)
			__free_page(c->vmxon);
		c->vmxon = NULL;
	}
}

static void vmx_teardown(void)
{
	lhv_host_user_msr_teardown();
	lhv_host_l1d_teardown();
	bitmap_free(vpids);
	vpids = NULL;
	free_cpu_pages();
}

/* VMXON region or VMCS: the CPU wants its revision at the beginning. */
static struct page *alloc_region(int cpu, gfp_t gfp)
{
	struct page *page = alloc_pages_node(cpu < 0 ? NUMA_NO_NODE : cpu_to_node(cpu),
					     gfp | __GFP_ZERO, 0);

	if (page)
		*(u32 *)page_address(page) = lhv_vmx_caps.revision;
	return page;
}

static int vmx_setup(void)
{
	int cpu, ret = -ENOMEM;

	for_each_possible_cpu(cpu) {
		struct lhv_vmx_cpu *c = per_cpu_ptr(&vmx_cpus, cpu);

		INIT_LIST_HEAD(&c->active);
		c->vmxon = alloc_region(cpu, GFP_KERNEL);
		if (!c->vmxon)
			goto err;
		c->vmxon_pa = page_to_phys(c->vmxon);
	}
	vpids = bitmap_zalloc(VMX_NR_VPIDS, GFP_KERNEL);
	if (!vpids)
		goto err;
	__set_bit(0, vpids);
	ret = lhv_host_l1d_setup();
	if (ret)
		goto err_vpids;
	ret = lhv_host_user_msr_setup();
	if (ret)
		goto err_l1d;
	return 0;

err_l1d:
	lhv_host_l1d_teardown();
err_vpids:
	bitmap_free(vpids);
	vpids = NULL;
err:
	free_cpu_pages();
	return ret;
}

/* On the CPU where it is active, interrupts off. */
static void deactivate(struct lhv_vmx_vcpu *vmx)
{
	struct lhv_vmx_cpu *c = this_cpu_ptr(&vmx_cpus);

	lhv_vmclear(vmx->vmcs_pa);
	if (c->current_vmcs == vmx->vmcs_pa)
		c->current_vmcs = 0;
	list_del(&vmx->active_link);
	vmx->launched = false;
	/* The last: who finds it -1 may activate it elsewhere. */
	smp_store_release(&vmx->active_cpu, -1);
}

static void deactivate_ipi(void *arg)
{
	struct lhv_vmx_vcpu *vmx = arg;

	/* The CPU may have gone down, and come back, on the way. */
	if (vmx->active_cpu == smp_processor_id())
		deactivate(vmx);
}

/* Write back what a CPU may cache of the VMCS. Preemption off or not; interrupts on. */
static void deactivate_anywhere(struct lhv_vmx_vcpu *vmx)
{
	int cpu = smp_load_acquire(&vmx->active_cpu);	/* pairs with deactivate() */

	if (cpu >= 0)
		smp_call_function_single(cpu, deactivate_ipi, vmx, true);
}

static int vmx_cpu_up(void)
{
	struct lhv_vmx_cpu *c = this_cpu_ptr(&vmx_cpus);

	if (c->on)
		return 0;
	if (lhv_host_vmxe()) {
		pr_err("VT-x is in use by another hypervisor (kvm_intel?) on CPU %d: modprobe -r kvm_intel\n",
		       smp_processor_id());
		return -EBUSY;
	}
	if (!lhv_vmx_alike()) {
		pr_err("VT-x of CPU %d is not like that of the CPU that was probed\n",
		       smp_processor_id());
		return -EOPNOTSUPP;
	}
	if (lhv_host_vmx_resident()) {
		lhv_host_set_vmxe(true);
		if (lhv_vmxon(c->vmxon_pa)) {
			lhv_host_set_vmxe(false);
			pr_err("VMXON failed on CPU %d: is VT-x switched off by the firmware there?\n",
			       smp_processor_id());
			return -EIO;
		}
	}
	c->current_vmcs = 0;
	c->last_vcpu = 0;
	c->on = true;
	return 0;
}

static void vmx_cpu_down(void)
{
	struct lhv_vmx_cpu *c = this_cpu_ptr(&vmx_cpus);
	struct lhv_vmx_vcpu *vmx, *next;

	lhv_host_user_msr_restore();
	if (!c->on)
		return;
	c->on = false;
	if (!lhv_host_vmx_resident())
		return;
	list_for_each_entry_safe(vmx, next, &c->active, active_link)
		deactivate(vmx);
	lhv_vmxoff();
	lhv_host_set_vmxe(false);
}

/* In VMX root mode INIT is blocked, and the crash kernel would wait for ever. */
static void vmx_cpu_crash(void)
{
	if (!lhv_host_vmx_resident() || !this_cpu_read(vmx_cpus.on) || !lhv_host_vmxe())
		return;
	lhv_vmxoff();
	lhv_host_set_vmxe(false);
}

/* ---- VM and vCPU ---- */

static int vmx_vm_create(struct lhv_vm *vm)
{
	return 0;
}

static void vmx_vm_destroy(struct lhv_vm *vm)
{
}

/* 0 when there is none left: the vCPU does without. */
static u16 alloc_vpid(void)
{
	unsigned long vpid;

	if (!lhv_vmx_caps.vpid)
		return 0;
	guard(mutex)(&vpid_lock);
	vpid = find_first_zero_bit(vpids, VMX_NR_VPIDS);
	if (vpid >= VMX_NR_VPIDS)
		return 0;
	__set_bit(vpid, vpids);
	return vpid;
}

static void free_vpid(u16 vpid)
{
	guard(mutex)(&vpid_lock);
	if (vpid)
		__clear_bit(vpid, vpids);
}

static u64 make_eptp(struct lhv_vm *vm)
{
	return lhv_mem_root(vm) | VMX_EPTP_MT_WB | VMX_EPTP_PWL_4 |
	       (lhv_vmx_caps.ept_ad ? VMX_EPTP_AD_ENABLE_BIT : 0);
}

static int vmx_vcpu_create(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	vmx->active_cpu = -1;
	vmx->last_cpu = -1;
	vmx->vmcs = alloc_region(-1, GFP_KERNEL_ACCOUNT);
	vmx->msr_bitmap = lhv_vmx_msr_bitmap_alloc();
	/* vcpu_destroy frees what was got. */
	if (!vmx->vmcs || !vmx->msr_bitmap)
		return -ENOMEM;
	vmx->vmcs_pa = page_to_phys(vmx->vmcs);
	vmx->vpid = alloc_vpid();
	vmx->eptp = make_eptp(vcpu->vm);
	vmx->id = atomic64_inc_return(&last_vcpu_id);
	vmx->dirty = BIT(LHV_VMX_CONSTANT) | BIT(LHV_VMX_HOST);
	return 0;
}

static void vmx_vcpu_destroy(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	if (vmx->vmcs && lhv_host_vmx_resident())
		deactivate_anywhere(vmx);
	free_vpid(vmx->vpid);
	vmx->vpid = 0;
	lhv_vmx_msr_bitmap_free(vmx->msr_bitmap);
	vmx->msr_bitmap = NULL;
	if (vmx->vmcs)
		__free_page(vmx->vmcs);
	vmx->vmcs = NULL;
}

/* ---- where the VMCS is ---- */

/*
 * Make the VMCS this CPU's current one, wherever it was before. Resident mode; preemption off,
 * interrupts on. Return: 0, or -EIO when VMX is off here: the machine goes down.
 */
static int make_current(struct lhv_vmx_vcpu *vmx, struct lhv_vmx_cpu *c)
{
	int cpu = smp_processor_id();
	unsigned long flags;
	int ret = -EIO;

	if (vmx->active_cpu != cpu)
		deactivate_anywhere(vmx);
	else if (c->current_vmcs == vmx->vmcs_pa)
		return 0;

	local_irq_save(flags);
	if (!c->on)
		goto out;
	if (vmx->active_cpu != cpu) {
		if (lhv_vmclear(vmx->vmcs_pa))
			goto out;
		vmx->launched = false;
		list_add(&vmx->active_link, &c->active);
		vmx->active_cpu = cpu;
	}
	ret = lhv_vmptrld(vmx->vmcs_pa);
	c->current_vmcs = ret ? 0 : vmx->vmcs_pa;
out:
	local_irq_restore(flags);
	return ret;
}

/* Not the atomic tier: borrow this CPU for a moment. */
static noinline void read_elsewhere(struct lhv_vmx_vcpu *vmx)
{
	unsigned long flags;

	if (lhv_host_vmx_resident()) {
		preempt_disable();
		if (!make_current(vmx, this_cpu_ptr(&vmx_cpus)))
			lhv_vmx_read_groups(vmx, LHV_VMX_VOLATILE);
		preempt_enable();
		return;
	}
	local_irq_save(flags);
	lhv_vmx_read_bracketed(vmx, this_cpu_ptr(&vmx_cpus));
	local_irq_restore(flags);
}

/**
 * lhv_vmx_need() - have what the guest has in some groups at hand
 * @vcpu: the vCPU, outside the guest; either tier, interrupts on unless they are known
 * @groups: enum lhv_vmx_group bits
 *
 * With VMX off (the machine goes down) the last known values have to do.
 */
void lhv_vmx_need(struct lhv_vcpu *vcpu, u32 groups)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	if (likely(!(groups & ~vmx->known)))
		return;
	if (vmx->loaded)
		lhv_vmx_read_groups(vmx, groups);
	else
		read_elsewhere(vmx);
}

static void vmx_load(struct lhv_vcpu *vcpu, int cpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);
	struct lhv_vmx_cpu *c = this_cpu_ptr(&vmx_cpus);

	WRITE_ONCE(vcpu->cpu, cpu);
	vmx->cpu = c;
	if (vmx->last_cpu != cpu) {
		vmx->last_cpu = cpu;
		vmx->dirty |= BIT(LHV_VMX_HOST);
		vmx->flush_ept = true;
		vmx->flush_vpid = true;
	}
	if (lhv_host_vmx_resident()) {
		make_current(vmx, c);
		vmx->loaded = true;
	}
	/* Whoever looked at it in between may have moved it. As on AMD-V, HLT may end early then. */
	if (unlikely(vmx->halts))
		vmx->dirty |= BIT(LHV_VMX_ACTIVITY);
	if (c->last_vcpu != vmx->id) {
		c->last_vcpu = vmx->id;
		lhv_host_ibpb_on_switch();
	}

	/*
	 * An event handed over but never entered with: userspace may have changed its mind in
	 * between, so what is to be delivered is worked out again.
	 */
	if (vmx->inject_info) {
		vmx->inject_info = 0;
		vmx->soft_injected = false;
		lhv_request_self(vcpu, LHV_REQ_EVENT);
	}

	/* None of this can change before put: once is enough. */
	lhv_host_segs_save(&vmx->host_segs);
	lhv_host_wrmsr(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	lhv_vmx_load_msrs(vcpu);
	vmx->touched = true;
}

static void vmx_put(struct lhv_vcpu *vcpu)
{
	struct lhv_vmx_vcpu *vmx = lhv_vmx(vcpu);

	if (unlikely(vmx->dr_open))
		lhv_vmx_close_dr(vcpu);
	vmx->kernel_gs_base = lhv_host_rdmsr(MSR_KERNEL_GS_BASE);
	lhv_host_segs_restore(&vmx->host_segs);
	vmx->loaded = false;
}

/* What is tagged by the EPT pointer alone, too. */
static void vmx_sync_tlb(struct lhv_vcpu *vcpu)
{
	lhv_vmx(vcpu)->flush_ept = true;
}

const struct lhv_backend lhv_vmx_backend = {
	.name = "vmx",
	.survey = &lhv_vmx_survey,
	.vcpu_size = sizeof(struct lhv_vmx_vcpu),
	.tdp = &lhv_ept_format,
	.hypercall = LHV_VMCALL,

	.probe = lhv_vmx_probe,
	.setup = vmx_setup,
	.teardown = vmx_teardown,
	.describe = lhv_vmx_describe,
	.cpu_up = vmx_cpu_up,
	.cpu_down = vmx_cpu_down,
	.cpu_crash = vmx_cpu_crash,

	.vm_create = vmx_vm_create,
	.vm_destroy = vmx_vm_destroy,

	.vcpu_create = vmx_vcpu_create,
	.vcpu_destroy = vmx_vcpu_destroy,
	.vcpu_reset = lhv_vmx_reset,
	.load = vmx_load,
	.put = vmx_put,
	.enter = lhv_vmx_enter,
	.handle_exit = lhv_vmx_handle_exit,
	.sync_tlb = vmx_sync_tlb,
	.flush_guest_tlb = lhv_vmx_flush_guest,

	.get_seg = lhv_vmx_get_seg,
	.set_seg = lhv_vmx_set_seg,
	.get_idt = lhv_vmx_get_idt,
	.set_idt = lhv_vmx_set_idt,
	.get_gdt = lhv_vmx_get_gdt,
	.set_gdt = lhv_vmx_set_gdt,
	.get_code = lhv_vmx_get_code,
	.get_cpl = lhv_vmx_get_cpl,
	.get_cr3 = lhv_vmx_get_cr3,
	.get_pdptrs = lhv_vmx_get_pdptrs,
	.set_pdptrs = lhv_vmx_set_pdptrs,
	.set_cr0 = lhv_vmx_set_cr0,
	.set_cr3 = lhv_vmx_set_cr3,
	.set_cr4 = lhv_vmx_set_cr4,
	.set_efer = lhv_vmx_set_efer,
	.get_msr = lhv_vmx_get_msr,
	.set_msr = lhv_vmx_set_msr,
	.get_dr6 = lhv_vmx_get_dr6,
	.set_dr6 = lhv_vmx_set_dr6,
	.set_dr7 = lhv_vmx_set_dr7,
	.update_debug = lhv_vmx_update_debug,
	.withholds = lhv_vmx_withholds,
	.cpuid_changed = lhv_vmx_cpuid_changed,
	.max_tsc_ratio = lhv_vmx_max_tsc_ratio,
	.set_tsc_offset = lhv_vmx_set_tsc_offset,
	.set_deadline = lhv_vmx_set_deadline,

	.inject_exception = lhv_vmx_inject_exception,
	.inject_nmi = lhv_vmx_inject_nmi,
	.inject_irq = lhv_vmx_inject_irq,
	.irq_allowed = lhv_vmx_irq_allowed,
	.nmi_allowed = lhv_vmx_nmi_allowed,
	.irq_window = lhv_vmx_irq_window,
	.nmi_window = lhv_vmx_nmi_window,
	.watch_tpr = lhv_vmx_watch_tpr,
	.takes_irqs = lhv_vmx_takes_irqs,
	.virtual_irqs = lhv_vmx_virtual_irqs,
	.notify = lhv_host_notify_cpu,
	.get_shadow = lhv_vmx_get_shadow,
	.set_shadow = lhv_vmx_set_shadow,
	.get_nmi_mask = lhv_vmx_get_nmi_mask,
	.set_nmi_mask = lhv_vmx_set_nmi_mask,
};
