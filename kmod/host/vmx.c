// SPDX-License-Identifier: GPL-2.0
/*
 * lhv host/ - CR4.VMXE, and the segment state around VM entries.
 */
#include <linux/mmu_context.h>	/* load_gs_index(), wherever it is declared */
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/thread_info.h>
#include <asm/apic.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/irq_vectors.h>
#include <asm/segment.h>
#include <asm/tlbflush.h>

#include "host.h"
#include "vmx.h"

#ifdef LHV_HAVE_CR4_HELPERS
/* See vmx.h. */
void lhv_host_set_vmxe(bool on)
{
#ifdef LHV_HAVE_PT_HANDLE_VMX
	/* Some CPUs trace (PT) only outside of VMX operation, and perf has to know. */
	if (on)
		intel_pt_handle_vmx(true);
#endif
	cr4_update_irqsoff(on ? X86_CR4_VMXE : 0, on ? 0 : X86_CR4_VMXE);
#ifdef LHV_HAVE_PT_HANDLE_VMX
	if (!on)
		intel_pt_handle_vmx(false);
#endif
}
#endif

/* See vmx.h for these three. */
bool lhv_host_can_notify(void)
{
	return IS_ENABLED(CONFIG_KVM);
}

u8 lhv_host_notify_vector(void)
{
	return POSTED_INTR_VECTOR;
}

void lhv_host_notify_cpu(int cpu)
{
	apic->send_IPI(cpu, POSTED_INTR_VECTOR);
}

/* INT has its vector in the instruction: which one is found bit by bit. */
static __always_inline void int_1(u8 vector, const unsigned int n)
{
	asm volatile("int %0" : : "i" (n) : "memory");
}

#define INT_BY_BIT(size, half)						\
static __always_inline void int_##size(u8 vector, const unsigned int n)	\
{									\
	if (vector & (half))						\
		int_##half(vector, n + (half));				\
	else								\
		int_##half(vector, n);					\
}

INT_BY_BIT(2, 1)
INT_BY_BIT(4, 2)
INT_BY_BIT(8, 4)
INT_BY_BIT(16, 8)
INT_BY_BIT(32, 16)
INT_BY_BIT(64, 32)
INT_BY_BIT(128, 64)
INT_BY_BIT(256, 128)

/*
 * See vmx.h. With interrupts on, as the handler would have found them: from 7.x on it leaves the
 * arming of the next timer to a way out that is not taken where they were off.
 */
void lhv_host_interrupt(u8 vector)
{
	local_irq_enable();
	int_256(vector, 0);
	local_irq_disable();
}

/**
 * lhv_host_segs_save() - right before the first of some VM entries
 * @segs: filled
 */
void lhv_host_segs_save(struct lhv_host_segs *segs)
{
	savesegment(ds, segs->ds);
	savesegment(es, segs->es);
	savesegment(fs, segs->fs);
	savesegment(gs, segs->gs);
	segs->ldt = lhv_host_ldt();
	segs->fs_base = boot_cpu_has(X86_FEATURE_FSGSBASE) ? rdfsbase() :
							     lhv_host_rdmsr(MSR_FS_BASE);
	segs->user_gs_base = lhv_host_rdmsr(MSR_KERNEL_GS_BASE);
	native_store_gdt(&segs->gdt);
}

/*
 * LTR wants a descriptor that is not busy, and writes to it: by way of the writable alias of
 * the GDT. The kernel's own helper ends in symbols that are closed to us.
 */
static void reload_tr(const struct desc_ptr *gdt)
{
	struct desc_struct *d = get_current_gdt_rw();
	const struct desc_ptr writable = {
		.size = gdt->size, .address = (unsigned long)d,
	};
	tss_desc tss;

	memcpy(&tss, &d[GDT_ENTRY_TSS], sizeof(tss));
	tss.type = DESC_TSS;
	native_write_gdt_entry(d, GDT_ENTRY_TSS, &tss, DESC_TSS);
	native_load_gdt(&writable);
	asm volatile("ltr %w0" : : "q" (GDT_ENTRY_TSS * 8));
	native_load_gdt(gdt);
	this_cpu_write(__tss_limit_invalid, false);
}

/**
 * lhv_host_segs_restore() - the mirror, after the last VM exit
 * @segs: as filled by save; @ldt may have been updated since
 */
void lhv_host_segs_restore(const struct lhv_host_segs *segs)
{
	unsigned long flags;

	local_irq_save(flags);
	native_load_gdt(&segs->gdt);
	/* TR's limit is the least possible now; that matters for a thread that may use ports. */
	if (unlikely(test_thread_flag(TIF_IO_BITMAP)))
		reload_tr(&segs->gdt);
	else
		this_cpu_write(__tss_limit_invalid, true);
	if (unlikely(segs->ldt))
		asm volatile("lldt %w0" : : "q" (segs->ldt));
	if (unlikely(segs->ds | segs->es)) {
		loadsegment(ds, segs->ds);
		loadsegment(es, segs->es);
	}
	/* Loading a selector loads a base with it, so the base comes behind. */
	if (unlikely(segs->fs)) {
		loadsegment(fs, segs->fs);
		lhv_host_wrmsr(MSR_FS_BASE, segs->fs_base);
	}
	if (unlikely(segs->gs))
		load_gs_index(segs->gs);
	lhv_host_wrmsr(MSR_KERNEL_GS_BASE, segs->user_gs_base);
	local_irq_restore(flags);
}

/**
 * lhv_host_cpu_state() - what HOST_* fields of a VMCS have to hold on this CPU
 * @state: filled
 */
void lhv_host_cpu_state(struct lhv_host_cpu_state *state)
{
	int cpu = raw_smp_processor_id();
	struct desc_ptr idt;

	store_idt(&idt);
	*state = (struct lhv_host_cpu_state){
		.cr0 = read_cr0(),
		.efer = lhv_host_rdmsr(MSR_EFER),
		.pat = lhv_host_rdmsr(MSR_IA32_CR_PAT),
		.gs_base = lhv_host_rdmsr(MSR_GS_BASE),
		.tr_base = (unsigned long)&get_cpu_entry_area(cpu)->tss.x86_tss,
		.gdt_base = (unsigned long)get_cpu_gdt_ro(cpu),
		.idt_base = idt.address,
		.sysenter_cs = lhv_host_rdmsr(MSR_IA32_SYSENTER_CS),
		.sysenter_esp = lhv_host_rdmsr(MSR_IA32_SYSENTER_ESP),
		.sysenter_eip = lhv_host_rdmsr(MSR_IA32_SYSENTER_EIP),
	};
}
