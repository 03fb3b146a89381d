// SPDX-License-Identifier: GPL-2.0
/*
 * lhv svm/ - the ops: host, VM and vCPU life, and entering the guest.
 *
 * Manual: APM Vol 2 "Enabling SVM", "VMRUN Instruction", "TLB Control".
 */
#define pr_fmt(fmt) "lhv: " fmt

#include <linux/gfp.h>
#include <linux/mem_encrypt.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/cpufeature.h>

#include "svm.h"
#include "cpu/guest_switch.h"

static DEFINE_PER_CPU(struct lhv_svm_cpu, svm_cpus);

static atomic64_t last_vcpu_id;

/* ---- host ---- */

static void free_cpu_pages(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct lhv_svm_cpu *c = per_cpu_ptr(&svm_cpus, cpu);

		if (c->hsave)
			__free_page(c->hsave);
		if (c->save)
			__free_page(c->save);
		c->hsave = NULL;
		c->save = NULL;
	}
}

/*
 * A page that the CPU works on. Where the host has SNP on, one at the start of 2 MiB, in use,
 * collides with huge pages of others around it: none is.
 */
static struct page *alloc_cpu_page(int node, gfp_t gfp)
{
	struct page *page = alloc_pages_node(node, gfp | __GFP_ZERO, 1);

	if (!page)
		return NULL;
	split_page(page, 1);
	if (!IS_ALIGNED(page_to_pfn(page), PTRS_PER_PMD)) {
		__free_page(page + 1);
		return page;
	}
	__free_page(page);
	return page + 1;
}

static void svm_teardown(void)
{
	lhv_host_user_msr_teardown();
	lhv_svm_permissions_teardown();
	free_cpu_pages();
}

static int svm_setup(void)
{
	int cpu, ret = -ENOMEM;

	for_each_possible_cpu(cpu) {
		struct lhv_svm_cpu *c = per_cpu_ptr(&svm_cpus, cpu);

		c->hsave = alloc_cpu_page(cpu_to_node(cpu), GFP_KERNEL);
		c->save = alloc_cpu_page(cpu_to_node(cpu), GFP_KERNEL);
		if (!c->hsave || !c->save)
			goto err;
		c->hsave_pa = __sme_set(page_to_phys(c->hsave));
		c->save_pa = __sme_set(page_to_phys(c->save));
	}

	ret = lhv_svm_permissions_setup();
	if (ret)
		goto err;
	ret = lhv_host_user_msr_setup();
	if (ret)
		goto err_permissions;
	return 0;

err_permissions:
	lhv_svm_permissions_teardown();
err:
	free_cpu_pages();
	return ret;
}

static int svm_cpu_up(void)
{
	struct lhv_svm_cpu *c = this_cpu_ptr(&svm_cpus);

	if (c->on)
		return 0;
	if (lhv_host_rdmsr(MSR_VM_CR) & SVM_VM_CR_SVM_DIS_MASK) {
		pr_err("AMD-V is switched off by the firmware on CPU %d\n", smp_processor_id());
		return -EOPNOTSUPP;
	}
	if (lhv_svm_foreign_owner()) {
		pr_err("AMD-V is in use by another hypervisor (kvm_amd?) on CPU %d: modprobe -r kvm_amd\n",
		       smp_processor_id());
		return -EBUSY;
	}

	lhv_host_wrmsr(MSR_EFER, lhv_host_rdmsr(MSR_EFER) | EFER_SVME);
	lhv_host_wrmsr(MSR_VM_HSAVE_PA, c->hsave_pa);

	/* The first guest finds no ASID left, which flushes what the CPU may still hold. */
	c->asid_generation++;
	c->next_asid = lhv_svm_caps.nr_asids;
	c->last_vcpu = 0;
	c->on = true;
	return 0;
}

static void svm_cpu_down(void)
{
	struct lhv_svm_cpu *c = this_cpu_ptr(&svm_cpus);

	lhv_host_user_msr_restore();
	if (!c->on)
		return;
	c->on = false;
	if (c->guests)
		lhv_host_reduce_speculation(false);
	c->guests = false;
	lhv_host_wrmsr(MSR_VM_HSAVE_PA, 0);
	lhv_host_wrmsr(MSR_EFER, lhv_host_rdmsr(MSR_EFER) & ~EFER_SVME);
}

/* What cpu_down() leaves undone is the dying kernel's own. */
static void svm_cpu_crash(void)
{
	if (!this_cpu_read(svm_cpus.on))
		return;
	/* It may have died between CLGI and STGI, and INIT would wait for ever. */
	asm volatile("stgi");
	lhv_host_wrmsr(MSR_VM_HSAVE_PA, 0);
	lhv_host_wrmsr(MSR_EFER, lhv_host_rdmsr(MSR_EFER) & ~EFER_SVME);
}

/* ---- VM and vCPU ---- */

static int svm_vm_create(struct lhv_vm *vm)
{
	return 0;
}

static void svm_vm_destroy(struct lhv_vm *vm)
{
}

static int svm_vcpu_create(struct lhv_vcpu *vcpu)
{
	struct page *page = alloc_cpu_page(NUMA_NO_NODE, GFP_KERNEL_ACCOUNT);
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);

	svm->vmcb = page ? page_address(page) : NULL;
	svm->msrpm = lhv_svm_msrpm_alloc();
	/* vcpu_destroy frees what was got. */
	if (!svm->vmcb || !svm->msrpm)
		return -ENOMEM;
	svm->vmcb_pa = __sme_set(virt_to_phys(svm->vmcb));
	svm->id = atomic64_inc_return(&last_vcpu_id);
	svm->last_cpu = -1;
	return 0;
}

static void svm_vcpu_destroy(struct lhv_vcpu *vcpu)
{
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);

	lhv_svm_msrpm_free(svm->msrpm);
	free_page((unsigned long)svm->vmcb);
	svm->msrpm = NULL;
	svm->vmcb = NULL;
}

/* The guest's TSC_AUX is in the register while it may run. */
void lhv_svm_refresh_tsc_aux(struct lhv_vcpu *vcpu)
{
	if (vcpu->atomic && lhv_svm(vcpu)->has_tsc_aux)
		lhv_host_user_msr_set(LHV_USER_MSR_TSC_AUX, vcpu->cpu_state.tsc_aux);
}

static u16 host_ldt(void)
{
	u16 ldt;

	asm volatile("sldt %0" : "=rm" (ldt));
	return ldt;
}

static void save_host_state(struct lhv_svm_cpu *c)
{
	c->ldt = host_ldt();
	asm volatile("vmsave %%rax" : : "a" (c->save_pa) : "memory");
}

static void svm_load(struct lhv_vcpu *vcpu, int cpu)
{
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);
	struct lhv_svm_cpu *c = this_cpu_ptr(&svm_cpus);
	unsigned long flags;

	WRITE_ONCE(vcpu->cpu, cpu);
	svm->cpu = c;
	if (svm->last_cpu != cpu) {
		svm->last_cpu = cpu;
		svm->asid_generation = 0;
		svm->dirty = LHV_SVM_ALL_DIRTY;
	}
	if (unlikely(!c->guests)) {
		c->guests = true;
		lhv_host_reduce_speculation(true);
	}
	if (c->last_vcpu != svm->id) {
		c->last_vcpu = svm->id;
		lhv_host_ibpb_on_switch();
	}

	/*
	 * An event handed over but never entered with: userspace may have changed its mind in
	 * between, so what is to be delivered is worked out again.
	 */
	if (svm->vmcb->control.event_inj) {
		svm->vmcb->control.event_inj = 0;
		lhv_request_self(vcpu, LHV_REQ_EVENT);
	}

	lhv_svm_refresh_tsc_aux(vcpu);
	/* FS, GS, TR and the SYSCALL MSRs can't change before put: once is enough. */
	local_irq_save(flags);
	/* A reboot switches SVM off by an interrupt; then there is no entry. */
	if (likely(c->on))
		save_host_state(c);
	local_irq_restore(flags);
}

static void svm_put(struct lhv_vcpu *vcpu)
{
	if (unlikely(lhv_svm(vcpu)->dr_open))
		lhv_svm_close_dr(vcpu);
}

/* ---- entering the guest ---- */

static void new_asid(struct lhv_svm_vcpu *svm)
{
	struct lhv_svm_cpu *c = svm->cpu;

	if (c->next_asid >= lhv_svm_caps.nr_asids) {
		c->asid_generation++;
		c->next_asid = 1;
		svm->vmcb->control.tlb_ctl = TLB_CONTROL_FLUSH_ALL_ASID;
	}
	svm->asid_generation = c->asid_generation;
	svm->vmcb->control.asid = c->next_asid++;
	svm->dirty |= LHV_SVM_ASID;
}

/* RFLAGS to enter with: TF where somebody other than the guest wants to single-step. */
static noinline u64 stepping_rflags(struct lhv_vcpu *vcpu)
{
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);
	bool step = svm->watch & LHV_SVM_STEP;
	u64 rflags = vcpu->rflags;

	if (vcpu->cpu_state.guest_debug & KVM_GUESTDBG_SINGLESTEP)
		rflags |= X86_EFLAGS_TF;

	svm->watch &= ~(LHV_SVM_STEP | LHV_SVM_STEPPED | LHV_SVM_STEP_TF);
	if (!step)
		return rflags;
	svm->watch |= LHV_SVM_STEPPED;
	if (svm->vmcb->control.event_inj & SVM_EVTINJ_VALID) {
		/* The event's frame must not show our TF: look again right behind the delivery. */
		lhv_host_kick_cpu(smp_processor_id());
	} else if (!(rflags & X86_EFLAGS_TF)) {
		svm->watch |= LHV_SVM_STEP_TF;
		svm->step_dr6 = svm->vmcb->save.dr6;
		rflags |= X86_EFLAGS_TF;
	}
	return rflags;
}

static __always_inline u64 entry_rflags(struct lhv_vcpu *vcpu)
{
	if (likely(!lhv_svm(vcpu)->watch &&
		   !(vcpu->cpu_state.guest_debug & KVM_GUESTDBG_SINGLESTEP)))
		return vcpu->rflags;
	return stepping_rflags(vcpu);
}

/* Take back a TF that was ours, unless the guest's IRET has loaded flags of its own. */
static __always_inline u64 exit_rflags(struct lhv_vcpu *vcpu, u64 rflags, u64 entered)
{
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);

	if (likely(entered == vcpu->rflags) ||
	    (svm->watch & LHV_SVM_IRET && vcpu->rip != svm->iret_rip))
		return rflags;
	return rflags & ~X86_EFLAGS_TF;
}

/* Where the CPU switches SPEC_CTRL, the host's may stay. */
static __always_inline u64 guest_spec_ctrl(struct lhv_vcpu *vcpu, u64 host)
{
	return lhv_svm_caps.v_spec_ctrl ? host : lhv_guest_spec_ctrl(&vcpu->cpu_state, host);
}

static void read_back_dr(struct lhv_vcpu *vcpu)
{
	struct lhv_cpu *cpu = &vcpu->cpu_state;
	const struct vmcb_save_area *save = lhv_svm_save(vcpu);

	lhv_host_dr_read(cpu->db);
	cpu->dr6 = save->dr6;
	cpu->dr7 = save->dr7;
}

static __always_inline void world_switch(struct lhv_vcpu *vcpu)
{
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);
	u64 host_spec = lhv_host_spec_ctrl(), debugctl = lhv_host_debugctl_suspend();

	/*
	 * modify_ldt() in another thread changes this CPU's LDTR by an interrupt and then frees
	 * the old table: VMLOAD must not bring that back.
	 */
	if (unlikely(host_ldt() | svm->cpu->ldt))
		save_host_state(svm->cpu);

	lhv_host_guest_enter();
	lhv_host_clear_divider();
	lhv_svm_switch(vcpu->regs, svm->vmcb_pa, svm->cpu->save_pa,
		       guest_spec_ctrl(vcpu, host_spec), host_spec);
	lhv_host_guest_exit();
	lhv_host_debugctl_resume(debugctl);
	lhv_host_dr6_ran(svm->vmcb->save.dr6);
}

/* Somebody uses the debug registers. */
static noinline void switch_with_dr(struct lhv_vcpu *vcpu)
{
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);
	struct lhv_host_dr host_dr;

	lhv_host_dr_enter(&host_dr, svm->dr);
	world_switch(vcpu);
	if (svm->dr_open)
		read_back_dr(vcpu);
	lhv_host_dr_leave(&host_dr);
}

static __always_inline void run_guest(struct lhv_vcpu *vcpu)
{
	bool swap_pkru = lhv_pkru_differs(vcpu);
	u32 host_pkru = 0;

	if (unlikely(swap_pkru))
		host_pkru = lhv_pkru_enter(vcpu);
	if (unlikely(lhv_svm(vcpu)->dr || lhv_host_dr_active()))
		switch_with_dr(vcpu);
	else
		world_switch(vcpu);
	if (unlikely(swap_pkru))
		lhv_pkru_leave(vcpu, host_pkru);
	lhv_host_guest_ran();
}

/* The guest wrote CR8: the hardware kept it in V_TPR. */
static void read_back_cr8(struct lhv_vcpu *vcpu)
{
	u8 cr8 = lhv_svm_control(vcpu)->int_ctl & V_TPR_MASK;

	if (likely(cr8 == vcpu->cr8))
		return;
	if (lhv_has_lapic(vcpu->vm))
		lhv_lapic_set_cr8(vcpu, cr8);
	else
		vcpu->cr8 = cr8;
}

static void decode_exit(struct lhv_vcpu *vcpu)
{
	const struct vmcb_control_area *control = lhv_svm_control(vcpu);
	struct lhv_exit *exit = &vcpu->exit;
	u64 next = 0;

	exit->code = lhv_host_vmcb_exit_code(control);
	exit->info1 = control->exit_info_1;
	exit->info2 = control->exit_info_2;
	exit->reason = lhv_svm_exit_reason(exit->code);
	exit->nr_bytes = 0;
	exit->shadow = control->int_state & SVM_INTERRUPT_SHADOW_MASK;

	/* IOIO always says where the next instruction is. */
	if (exit->reason == LHV_EXIT_PIO)
		next = exit->info2;
	else if (lhv_svm_caps.nrips)
		next = control->next_rip;
	next -= vcpu->rip;
	exit->insn_len = next <= sizeof(exit->bytes) ? next : 0;
}

/* Settle what the entry was to deliver. */
static __always_inline void events_after_exit(struct lhv_vcpu *vcpu)
{
	struct vmcb_control_area *control = lhv_svm_control(vcpu);

	control->event_inj = 0;
	vcpu->ev.exc.injected = false;
	vcpu->ev.irq.injected = false;
	vcpu->ev.nmi_injected = false;
	if (unlikely(control->exit_int_info & SVM_EXITINTINFO_VALID || lhv_svm(vcpu)->watch))
		lhv_svm_interrupted(vcpu);
}

static bool entry_failed(struct lhv_vcpu *vcpu)
{
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);
	struct kvm_run *run = vcpu->run;

	lhv_svm_dump(vcpu);
	vcpu->exit.code = (u32)SVM_EXIT_ERR;
	vcpu->exit.reason = LHV_EXIT_OTHER;
	/* Nothing says which of it the CPU took in, nor that it flushed what it was asked to. */
	svm->dirty = LHV_SVM_ALL_DIRTY;
	svm->asid_generation = 0;
	svm->cpu->next_asid = lhv_svm_caps.nr_asids;	/* whoever comes next asks again */
	/* Without this bit the guest's IF would hold the host's interrupts; emulators drop it here. */
	lhv_svm_control(vcpu)->int_ctl |= V_INTR_MASKING_MASK;
	/* The event that was handed over is handed over again, from the same RIP. */
	if (svm->watch & LHV_SVM_SOFT)
		vcpu->rip = svm->soft_rip;
	svm->watch &= ~LHV_SVM_SOFT;
	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = (u32)SVM_EXIT_ERR;
	run->fail_entry.cpu = vcpu->cpu;
	return false;
}

/* See struct lhv_backend. */
static bool svm_enter(struct lhv_vcpu *vcpu)
{
	struct lhv_svm_vcpu *svm = lhv_svm(vcpu);
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct vmcb_save_area *save = &svm->vmcb->save;
	u64 rflags = entry_rflags(vcpu);

	save->rax = vcpu->regs[LHV_RAX];
	save->rsp = vcpu->regs[LHV_RSP];
	save->rip = vcpu->rip;
	save->rflags = rflags;
	if (save->cr2 != vcpu->cr2) {
		save->cr2 = vcpu->cr2;
		svm->dirty |= LHV_SVM_CR2;
	}
	if ((control->int_ctl & V_TPR_MASK) != vcpu->cr8) {
		control->int_ctl = (control->int_ctl & ~V_TPR_MASK) | vcpu->cr8;
		svm->dirty |= LHV_SVM_INTR;
	}
	if (unlikely(svm->asid_generation != svm->cpu->asid_generation))
		new_asid(svm);
	control->clean = LHV_SVM_ALL_DIRTY & ~svm->dirty;
	svm->dirty = 0;

	run_guest(vcpu);

	control->tlb_ctl = TLB_CONTROL_DO_NOTHING;
	/* Nothing ran: what the VMCB says now is nobody's (with QEMU, the host's). */
	if (unlikely(lhv_host_vmcb_exit_code(control) == (u32)SVM_EXIT_ERR))
		return entry_failed(vcpu);
	vcpu->regs[LHV_RAX] = save->rax;
	vcpu->regs[LHV_RSP] = save->rsp;
	vcpu->rip = save->rip;
	vcpu->rflags = exit_rflags(vcpu, save->rflags, rflags);
	vcpu->cr2 = save->cr2;
	if (likely(!svm->cr0_shadowed))
		vcpu->cr0 = save->cr0;
	read_back_cr8(vcpu);
	decode_exit(vcpu);
	events_after_exit(vcpu);
	if (unlikely(vcpu->exit.reason == LHV_EXIT_MCE))
		lhv_host_machine_check();
	return true;
}

const struct lhv_backend lhv_svm_backend = {
	.name = "svm",
	.survey = &lhv_svm_survey,
	.vcpu_size = sizeof(struct lhv_svm_vcpu),
	.tdp = &lhv_npt_format,
	.hypercall = LHV_VMMCALL,

	.probe = lhv_svm_probe,
	.setup = svm_setup,
	.teardown = svm_teardown,
	.describe = lhv_svm_describe,
	.cpu_up = svm_cpu_up,
	.cpu_down = svm_cpu_down,
	.cpu_crash = svm_cpu_crash,

	.vm_create = svm_vm_create,
	.vm_destroy = svm_vm_destroy,

	.vcpu_create = svm_vcpu_create,
	.vcpu_destroy = svm_vcpu_destroy,
	.vcpu_reset = lhv_svm_reset,
	.load = svm_load,
	.put = svm_put,
	.enter = svm_enter,
	.handle_exit = lhv_svm_handle_exit,
	.sync_tlb = lhv_svm_flush,
	.flush_guest_tlb = lhv_svm_flush,

	.get_seg = lhv_svm_get_seg,
	.set_seg = lhv_svm_set_seg,
	.get_idt = lhv_svm_get_idt,
	.set_idt = lhv_svm_set_idt,
	.get_gdt = lhv_svm_get_gdt,
	.set_gdt = lhv_svm_set_gdt,
	.get_code = lhv_svm_get_code,
	.get_cpl = lhv_svm_get_cpl,
	.get_cr3 = lhv_svm_get_cr3,
	.set_cr0 = lhv_svm_set_cr0,
	.set_cr3 = lhv_svm_set_cr3,
	.set_cr4 = lhv_svm_set_cr4,
	.set_efer = lhv_svm_set_efer,
	.get_msr = lhv_svm_get_msr,
	.set_msr = lhv_svm_set_msr,
	.get_dr6 = lhv_svm_get_dr6,
	.set_dr6 = lhv_svm_set_dr6,
	.set_dr7 = lhv_svm_set_dr7,
	.update_debug = lhv_svm_update_debug,
	.cpuid_changed = lhv_svm_cpuid_changed,
	.set_tsc_offset = lhv_svm_set_tsc_offset,

	.inject_exception = lhv_svm_inject_exception,
	.inject_nmi = lhv_svm_inject_nmi,
	.inject_irq = lhv_svm_inject_irq,
	.irq_allowed = lhv_svm_irq_allowed,
	.nmi_allowed = lhv_svm_nmi_allowed,
	.irq_window = lhv_svm_irq_window,
	.nmi_window = lhv_svm_nmi_window,
	.watch_tpr = lhv_svm_watch_tpr,
	.get_shadow = lhv_svm_get_shadow,
	.set_shadow = lhv_svm_set_shadow,
	.get_nmi_mask = lhv_svm_get_nmi_mask,
	.set_nmi_mask = lhv_svm_set_nmi_mask,
};
