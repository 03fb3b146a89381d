// SPDX-License-Identifier: GPL-2.0
/*
 * lhv host/ - the guest's FPU state.
 *
 * The helpers that KVM uses for this are closed to other modules on newer
 * kernels, so the guest has an XSAVE area of its own, in the standard format
 * (which is also what KVM_GET_XSAVE hands out). Between load and save the CPU
 * belongs to us under kernel_fpu_begin(): the kernel has put the task's own
 * state away, an interrupt that would like to use the FPU is told that it may
 * not, and no context switch happens. PKRU is not part of it: the kernel
 * accesses user memory under it, so the backend swaps it around each entry.
 */
#include <linux/cpufeature.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/fpu/types.h>

#include "host.h"

/* What a guest may be given: plain user state that XSAVE alone describes. */
#define LHV_XFEATURES	(XFEATURE_MASK_FP | XFEATURE_MASK_SSE | XFEATURE_MASK_YMM | \
			 XFEATURE_MASK_OPMASK | XFEATURE_MASK_ZMM_Hi256 | \
			 XFEATURE_MASK_Hi16_ZMM | XFEATURE_MASK_PKRU)

#define LHV_MXCSR_RESET	0x1f80	/* SDM Vol 1 "MXCSR Control and Status Register": at reset */
#define LHV_FCW_INIT	0x037f	/* SDM Vol 1 "x87 FPU Control Word": after FINIT */

struct lhv_host_fpu {
	u64 live_xcr0;		/* what XCR0 holds between load and save */
	struct xregs_state *area;
};

static u64 host_xcr0;		/* XCR0 of the host, 0 without XSAVE */
static u64 host_xss;		/* supervisor state that the host's XSAVES handles */
static u64 guest_xfeatures;	/* the part of it that guests may have */
static unsigned int xsave_size;
static struct kmem_cache *area_cache;

u64 lhv_host_xcr0(void)
{
	return guest_xfeatures;
}

unsigned int lhv_host_xsave_size(void)
{
	return xsave_size;
}

/**
 * lhv_host_fpu_setup() - look at the host's XSAVE, once at load
 *
 * Context: process. Return: 0 or -ENOMEM.
 */
int lhv_host_fpu_setup(void)
{
	u32 eax, ebx, ecx, edx;
	int i;

	/* The legacy region and the XSAVE header are always there. */
	xsave_size = sizeof(struct fxregs_state) + sizeof(struct xstate_header);
	if (boot_cpu_has(X86_FEATURE_OSXSAVE)) {
		host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
		guest_xfeatures = host_xcr0 & LHV_XFEATURES;
		if (boot_cpu_has(X86_FEATURE_XSAVES))
			host_xss = lhv_host_rdmsr(MSR_IA32_XSS);
		/* SDM Vol 1 "Standard Format of XSAVE Area": offsets from CPUID.(EAX=0DH,ECX=i) */
		for (i = XFEATURE_YMM; i < 63; i++) {
			if (!(guest_xfeatures & BIT_ULL(i)))
				continue;
			cpuid_count(0xd, i, &eax, &ebx, &ecx, &edx);
			xsave_size = max(xsave_size, eax + ebx);
		}
	}

	area_cache = kmem_cache_create("lhv_fpu", xsave_size, 64, SLAB_ACCOUNT, NULL);
	return area_cache ? 0 : -ENOMEM;
}

void lhv_host_fpu_teardown(void)
{
	kmem_cache_destroy(area_cache);
}

struct lhv_host_fpu *lhv_host_fpu_alloc(void)
{
	struct lhv_host_fpu *fpu = kzalloc(sizeof(*fpu), GFP_KERNEL_ACCOUNT);

	if (!fpu)
		return NULL;
	fpu->area = kmem_cache_zalloc(area_cache, GFP_KERNEL_ACCOUNT);
	if (!fpu->area) {
		kfree(fpu);
		return NULL;
	}
	lhv_host_fpu_init(fpu);
	return fpu;
}

void lhv_host_fpu_free(struct lhv_host_fpu *fpu)
{
	if (!fpu)
		return;
	kmem_cache_free(area_cache, fpu->area);
	kfree(fpu);
}

struct xregs_state *lhv_host_fpu_area(struct lhv_host_fpu *fpu)
{
	return fpu->area;
}

/**
 * lhv_host_fpu_init() - the state after power-on
 * @fpu: the area, not live
 *
 * All components in their initial state, x87 and SSE spelt out for those who
 * read the legacy region.
 */
void lhv_host_fpu_init(struct lhv_host_fpu *fpu)
{
	memset(fpu->area, 0, xsave_size);
	fpu->area->i387.cwd = LHV_FCW_INIT;
	fpu->area->i387.mxcsr = LHV_MXCSR_RESET;
}

/*
 * Older AMD CPUs leave FIP, FDP and FOP alone when the restored state has no
 * pending exception: load something harmless first, or the guest sees the
 * host's pointers.
 */
static void forget_x87_pointers(void)
{
	static const s32 zero;

	if (static_cpu_has_bug(X86_BUG_FXSAVE_LEAK))
		asm volatile("fnclex; emms; fildl %0" : : "m" (zero));
}

static void restore_area(struct xregs_state *area)
{
	u64 mask = guest_xfeatures & ~XFEATURE_MASK_PKRU;

	forget_x87_pointers();
	if (mask)
		asm volatile("xrstor64 %0" : : "m" (*area), "a" ((u32)mask), "d" ((u32)(mask >> 32))
			     : "memory");
	else
		asm volatile("fxrstor64 %0" : : "m" (*area) : "memory");
}

static void save_area(struct xregs_state *area)
{
	u64 mask = guest_xfeatures & ~XFEATURE_MASK_PKRU;

	if (mask)
		asm volatile("xsave64 %0" : "+m" (*area) : "a" ((u32)mask), "d" ((u32)(mask >> 32))
			     : "memory");
	else
		asm volatile("fxsave64 %0" : "=m" (*area) : : "memory");
}

/**
 * lhv_host_fpu_load() - make the guest's FPU state live
 * @fpu: the guest's area
 * @guest_xcr0: XCR0 to run with; 0: the host's may stay (the guest has CR4.OSXSAVE off)
 *
 * Context: process, leaves preemption off, on newer kernels bottom halves too.
 */
void lhv_host_fpu_load(struct lhv_host_fpu *fpu, u64 guest_xcr0)
{
	kernel_fpu_begin_mask(0);
	restore_area(fpu->area);
	fpu->live_xcr0 = guest_xcr0 && host_xcr0 ? guest_xcr0 : host_xcr0;
	if (fpu->live_xcr0 != host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, fpu->live_xcr0);
	/* A guest that tries XSAVES all the same must not meet the host's supervisor state. */
	if (host_xss)
		lhv_host_wrmsr(MSR_IA32_XSS, 0);
}

/**
 * lhv_host_fpu_save() - put the guest's FPU state away; the mirror of load
 * @fpu: the guest's area
 */
void lhv_host_fpu_save(struct lhv_host_fpu *fpu)
{
	if (host_xss)
		lhv_host_wrmsr(MSR_IA32_XSS, host_xss);
	if (fpu->live_xcr0 != host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, host_xcr0);
	save_area(fpu->area);
	kernel_fpu_end();
}
