/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lhv - the contract that vmx/ and svm/ fill.
 *
 * A backend owns the hardware's control block. It programs it, enters the
 * guest, and decodes what came out; it never emulates. Chosen once at load.
 *
 * Unless an op says otherwise: called by the vCPU's own thread with vcpu->lock
 * held, outside the guest, in either tier of the run loop (so it must not
 * sleep).
 */
#ifndef LHV_BACKEND_H
#define LHV_BACKEND_H

#include <linux/static_call.h>

struct lhv_msr_value;

/* The last byte of the two hypercall instructions, 0f 01 .. */
#define LHV_VMCALL	0xc1
#define LHV_VMMCALL	0xd9

/**
 * struct lhv_survey - how a backend asks a CPU whether it is free
 * @name: of the hardware interface, for the log
 * @owner: the module that may have it instead
 * @switched_off: the firmware did so. On the CPU, interrupts off.
 * @foreign_owner: somebody else uses it. Likewise.
 */
struct lhv_survey {
	const char *name, *owner;
	bool (*switched_off)(void);
	bool (*foreign_owner)(void);
};

/**
 * struct lhv_backend - one hardware interface
 *
 * @name: "svm" or "vmx"
 * @survey: how a CPU is asked whether it is free
 * @vm_size: bytes of private state behind struct lhv_vm
 * @vcpu_size: bytes of private state behind struct lhv_vcpu
 * @tdp: format of the second-stage tables
 * @hypercall: last byte of the three of the CPU's own VMCALL or VMMCALL
 *
 * Host. Called from module init/exit and CPU hotplug.
 * @probe: may the backend work here? Process context, once, before all else; looks at
 *	every online CPU for another owner. 0; -ENODEV when the CPU has no such thing;
 *	-EOPNOTSUPP when the firmware switched it off or a needed feature is missing;
 *	-EBUSY when another hypervisor owns it. Logs the reason and the remedy.
 * @setup: allocate what all VMs share. Process context, may sleep. 0 or -errno.
 * @teardown: mirror of @setup; all CPUs are down by now.
 * @describe: text for the module parameter "features", one line per feature. Bytes written.
 * @cpu_up: switch this CPU's virtualization on. On that CPU, preemption off or the
 *	hotplug thread; never sleeps. 0, or -EBUSY when somebody else owns it.
 * @cpu_down: mirror of @cpu_up; also from reboot and kexec with interrupts off.
 * @cpu_crash: the machine dies: leave the hardware as the crash kernel wants it. NMI context,
 *	or interrupts off; may have interrupted any of these ops, and nothing runs after it. On
 *	a host that does this by itself it is never called.
 *
 * VM. Process context, may sleep.
 * @vm_create: initialise private state. 0 or -errno.
 * @vm_destroy: mirror of @vm_create; no vCPU exists any more.
 *
 * vCPU.
 * @vcpu_create: allocate the control block. May sleep. 0 or -errno.
 * @vcpu_destroy: mirror of @vcpu_create; callable on a half-built vCPU. May sleep.
 * @vcpu_reset: control block to the architectural reset state (segments, tables,
 *	intercepts); @init as in lhv_vcpu_reset(). Control registers come through their ops.
 * @load: the vCPU is about to enter on this CPU. Once per atomic section, preemption off.
 *	Does what a move between CPUs or from another vCPU asks for (ASID, IBPB, clean bits).
 * @put: leaves the atomic section, preemption still off.
 * @enter: enter the guest and come back. Interrupts off. Moves regs/rip/rflags in and
 *	out, keeps vcpu->cr0 and cr8 current, fills vcpu->exit (all but instruction bytes),
 *	clears what was injected and puts back into vcpu->ev what the exit interrupted
 *	(requesting LHV_REQ_EVENT when so). Applies the host's speculation mitigations. A host
 *	NMI or machine check taken in the guest has reached the host on return.
 *	True, or false when the hardware refused the entry: kvm_run then says FAIL_ENTRY.
 * @handle_exit: one line per reason: decode and call a room. Either tier (vcpu->atomic).
 * @sync_tlb: forget the vCPU's guest-physical translations at the next entry
 *	(served LHV_REQ_TLB_FLUSH). Interrupts may be off.
 * @flush_guest_tlb: forget the vCPU's guest-virtual translations (emulated CR4, INVLPG...).
 *
 * Register state. Segments as struct kvm_segment with all fields valid.
 * @get_seg, @set_seg, @get_idt, @set_idt, @get_gdt, @set_gdt: one each.
 * @get_code: word size of the code segment (8, 4 or 2 bytes) and its base (0 for 8).
 * @get_cpl: current privilege level, 0..3.
 * @get_cr3: current CR3.
 * @get_pdptrs, @set_pdptrs: the four PDPTEs of PAE paging where the CPU keeps them apart from
 *	memory; NULL where it does not. In force while the guest uses PAE paging.
 * @set_cr0, @set_cr3, @set_cr4, @set_efer: take a value already checked, store it in vcpu
 *	and in the control block. Never fault, never emulate side effects.
 * @get_msr, @set_msr: the MSRs that live in the control block or in hardware (STAR, LSTAR,
 *	CSTAR, SFMASK, KERNEL_GS_BASE, FS_BASE, GS_BASE, SYSENTER_*, PAT (as nested paging wants
 *	it), SPEC_CTRL...). Values are already checked for canonical addresses and reserved bits.
 *	0, or -ENOENT for an MSR of which the backend keeps no value: the caller's counts.
 * @get_dr6, @set_dr6, @set_dr7: debug registers held by the control block; DR0-3 are
 *	vcpu->cpu_state.db[] and loaded by the backend when needed.
 * @update_debug: guest debugging or DR use changed: recompute the intercepts.
 * @withholds: can guests not have this X86_FEATURE_*, though the host has it? Module init, after
 *	@setup. NULL: they can have everything.
 * @cpuid_changed: userspace set CPUID or the MSR filter: recompute intercepts and MSR permissions.
 *	Slow tier, may sleep.
 * @max_tsc_ratio: below this guests' TSCs can run faster than the host's or slower, in units of
 *	LHV_TSC_UNSCALED; 0, or NULL: they can't.
 * @set_tsc_offset: guest TSC = host TSC * vcpu->cpu_state.tsc_ratio + offset. Either changed.
 * @set_deadline: while the vCPU runs, exit with LHV_EXIT_TIMER when its TSC reaches this; 0: no
 *	more. False: the CPU can't. NULL where none of this kind can.
 *
 * Events. All for the next entry only.
 * @inject_exception: vcpu->ev.exc is to be delivered.
 * @inject_nmi: an NMI is to be delivered.
 * @inject_irq: external interrupt @vector is to be delivered.
 * @irq_allowed: would an external interrupt be taken now (IF, interrupt shadow)?
 * @nmi_allowed: would an NMI be taken now (NMI blocking, shadow)?
 * @irq_window: exit with LHV_EXIT_IRQ_WINDOW as soon as @irq_allowed becomes true.
 * @nmi_window: exit with LHV_EXIT_NMI_WINDOW as soon as @nmi_allowed becomes true.
 * @watch_tpr: exit when the guest writes CR8 (an interrupt waits for a lower TPR).
 * @takes_irqs: can the CPU deliver a LAPIC's interrupts to its guest by itself; and @notified: also
 *	while the guest runs, told by @notify? NULL: no.
 * @virtual_irqs: it does so from the next entry on, or no more. The register page and
 *	struct lhv_posted have changed. Interrupts off.
 * @notify: tell a CPU that runs a guest of what was posted to it. Context: any but NMI.
 * @get_shadow, @set_shadow: KVM_X86_SHADOW_INT_MOV_SS / _STI bits.
 * @get_nmi_mask, @set_nmi_mask: is the guest inside its NMI handler?
 */
struct lhv_backend {
	const char *name;
	const struct lhv_survey *survey;
	size_t vm_size;
	size_t vcpu_size;
	const struct lhv_tdp_format *tdp;
	u8 hypercall;

	int (*probe)(void);
	int (*setup)(void);
	void (*teardown)(void);
	int (*describe)(char *buf, size_t size);
	int (*cpu_up)(void);
	void (*cpu_down)(void);
	void (*cpu_crash)(void);

	int (*vm_create)(struct lhv_vm *vm);
	void (*vm_destroy)(struct lhv_vm *vm);

	int (*vcpu_create)(struct lhv_vcpu *vcpu);
	void (*vcpu_destroy)(struct lhv_vcpu *vcpu);
	void (*vcpu_reset)(struct lhv_vcpu *vcpu, bool init);
	void (*load)(struct lhv_vcpu *vcpu, int cpu);
	void (*put)(struct lhv_vcpu *vcpu);
	bool (*enter)(struct lhv_vcpu *vcpu);
	enum lhv_next (*handle_exit)(struct lhv_vcpu *vcpu);
	void (*sync_tlb)(struct lhv_vcpu *vcpu);
	void (*flush_guest_tlb)(struct lhv_vcpu *vcpu);

	void (*get_seg)(struct lhv_vcpu *vcpu, enum lhv_seg seg, struct kvm_segment *out);
	void (*set_seg)(struct lhv_vcpu *vcpu, enum lhv_seg seg, const struct kvm_segment *in);
	void (*get_idt)(struct lhv_vcpu *vcpu, struct kvm_dtable *out);
	void (*set_idt)(struct lhv_vcpu *vcpu, const struct kvm_dtable *in);
	void (*get_gdt)(struct lhv_vcpu *vcpu, struct kvm_dtable *out);
	void (*set_gdt)(struct lhv_vcpu *vcpu, const struct kvm_dtable *in);
	int (*get_code)(struct lhv_vcpu *vcpu, u64 *base);
	int (*get_cpl)(struct lhv_vcpu *vcpu);
	u64 (*get_cr3)(struct lhv_vcpu *vcpu);
	void (*get_pdptrs)(struct lhv_vcpu *vcpu, u64 pdptrs[4]);
	void (*set_pdptrs)(struct lhv_vcpu *vcpu, const u64 pdptrs[4]);
	void (*set_cr0)(struct lhv_vcpu *vcpu, u64 cr0);
	void (*set_cr3)(struct lhv_vcpu *vcpu, u64 cr3);
	void (*set_cr4)(struct lhv_vcpu *vcpu, u64 cr4);
	void (*set_efer)(struct lhv_vcpu *vcpu, u64 efer);
	int (*get_msr)(struct lhv_vcpu *vcpu, u32 index, u64 *data);
	int (*set_msr)(struct lhv_vcpu *vcpu, u32 index, u64 data);
	u64 (*get_dr6)(struct lhv_vcpu *vcpu);
	void (*set_dr6)(struct lhv_vcpu *vcpu, u64 dr6);
	void (*set_dr7)(struct lhv_vcpu *vcpu, u64 dr7);
	void (*update_debug)(struct lhv_vcpu *vcpu);
	bool (*withholds)(unsigned int x86_feature);
	void (*cpuid_changed)(struct lhv_vcpu *vcpu);
	u64 (*max_tsc_ratio)(void);
	void (*set_tsc_offset)(struct lhv_vcpu *vcpu, u64 offset);
	bool (*set_deadline)(struct lhv_vcpu *vcpu, u64 guest_tsc);

	void (*inject_exception)(struct lhv_vcpu *vcpu);
	void (*inject_nmi)(struct lhv_vcpu *vcpu);
	void (*inject_irq)(struct lhv_vcpu *vcpu, u8 vector);
	bool (*irq_allowed)(struct lhv_vcpu *vcpu);
	bool (*nmi_allowed)(struct lhv_vcpu *vcpu);
	void (*irq_window)(struct lhv_vcpu *vcpu);
	void (*nmi_window)(struct lhv_vcpu *vcpu);
	void (*watch_tpr)(struct lhv_vcpu *vcpu, bool on);
	bool (*takes_irqs)(bool *notified);
	void (*virtual_irqs)(struct lhv_vcpu *vcpu, bool on);
	void (*notify)(int cpu);
	u32 (*get_shadow)(struct lhv_vcpu *vcpu);
	void (*set_shadow)(struct lhv_vcpu *vcpu, u32 shadow);
	bool (*get_nmi_mask)(struct lhv_vcpu *vcpu);
	void (*set_nmi_mask)(struct lhv_vcpu *vcpu, bool masked);
};

/**
 * lhv_survey_cpus() - ask every online CPU
 * @survey: what to ask
 *
 * For struct lhv_backend's @probe. Logs what stands in the way, and the remedy.
 *
 * Context: process, may sleep. Return: 0, -EOPNOTSUPP, -EBUSY or -ENOMEM.
 */
int lhv_survey_cpus(const struct lhv_survey *survey);

extern const struct lhv_backend lhv_svm_backend, lhv_vmx_backend;

/* The chosen one; never NULL once the module is loaded. */
extern const struct lhv_backend *lhv_backend;

/**
 * lhv_backend_use() - make a backend the chosen one
 * @backend: the backend; NULL for none
 *
 * Context: process, may sleep. No vCPU runs.
 */
void lhv_backend_use(const struct lhv_backend *backend);

/*
 * The ops that every exit meets, or every instruction that is looked at, are static calls:
 * static_call(lhv_enter)(vcpu). They point at nothing until a backend is chosen.
 */
DECLARE_STATIC_CALL(lhv_load, *lhv_backend->load);
DECLARE_STATIC_CALL(lhv_put, *lhv_backend->put);
DECLARE_STATIC_CALL(lhv_enter, *lhv_backend->enter);
DECLARE_STATIC_CALL(lhv_handle_exit, *lhv_backend->handle_exit);
DECLARE_STATIC_CALL(lhv_get_code, *lhv_backend->get_code);
DECLARE_STATIC_CALL(lhv_get_cpl, *lhv_backend->get_cpl);
DECLARE_STATIC_CALL(lhv_get_cr3, *lhv_backend->get_cr3);

#endif
