// SPDX-License-Identifier: GPL-2.0
/*
 * lhv host/ - what the speculation mitigations in spec.h need as an object.
 */
#include <linux/gfp.h>
#include <linux/processor.h>
#include <asm/segment.h>

#include "host.h"

/* VERW clears CPU buffers only with a memory operand; a writable data segment is the fast case. */
const u16 lhv_host_verw_sel = __KERNEL_DS;

/* Twice the largest L1 data cache of an affected CPU, so that nothing else is left in it. */
#define L1D_ORDER	4
#define CACHE_LINE	64

u8 lhv_host_l1d __ro_after_init;
static void *l1d_pages;

static enum lhv_host_l1d_mode l1d_mode(void)
{
	if (!boot_cpu_has_bug(X86_BUG_L1TF))
		return LHV_L1D_LEAVE;
	/* Below us is a hypervisor that does it. */
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES) &&
	    lhv_host_rdmsr(MSR_IA32_ARCH_CAPABILITIES) & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH)
		return LHV_L1D_LEAVE;
#ifdef LHV_HAVE_L1TF_MITIGATION
	switch (l1tf_mitigation) {
	case L1TF_MITIGATION_OFF:
		return LHV_L1D_LEAVE;
	case L1TF_MITIGATION_FULL:
	case L1TF_MITIGATION_FULL_FORCE:
		return LHV_L1D_ALWAYS;
	default:
		return LHV_L1D_COND;
	}
#else
	/* What l1tf= says is closed to us: its default. */
	return cpu_mitigations_off() ? LHV_L1D_LEAVE : LHV_L1D_COND;
#endif
}

/* See spec.h. */
int lhv_host_l1d_setup(void)
{
	struct page *page;

	lhv_host_l1d = l1d_mode();
	if (lhv_host_l1d == LHV_L1D_LEAVE || boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		return 0;
	page = alloc_pages(GFP_KERNEL | __GFP_ZERO, L1D_ORDER);
	if (!page)
		return -ENOMEM;
	l1d_pages = page_address(page);
	return 0;
}

void lhv_host_l1d_teardown(void)
{
	free_pages((unsigned long)l1d_pages, L1D_ORDER);
	l1d_pages = NULL;
}

const char *lhv_host_l1d_state(void)
{
	switch (lhv_host_l1d) {
	case LHV_L1D_COND:	return "conditional";
	case LHV_L1D_ALWAYS:	return "always";
	default:		return "not needed";
	}
}

static __always_inline void read_lines(const u8 *at)
{
	READ_ONCE(at[0 * CACHE_LINE]);
	READ_ONCE(at[1 * CACHE_LINE]);
	READ_ONCE(at[2 * CACHE_LINE]);
	READ_ONCE(at[3 * CACHE_LINE]);
	READ_ONCE(at[4 * CACHE_LINE]);
	READ_ONCE(at[5 * CACHE_LINE]);
	READ_ONCE(at[6 * CACHE_LINE]);
	READ_ONCE(at[7 * CACHE_LINE]);
}

/* Out of line. Without the command, by reading twice the cache's size. */
void lhv_host_l1d_flush_now(void)
{
	const u8 *at = l1d_pages, *end = at + (PAGE_SIZE << L1D_ORDER);

	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D)) {
		lhv_host_wrmsr(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
		return;
	}
	/* The TLB first, lest page walks bring in other lines on the way. */
	for (; at < end; at += PAGE_SIZE)
		READ_ONCE(*at);
	/* Unrolled: on the way from user space into the guest this is half of all instructions. */
	for (at = l1d_pages; at < end; at += 32 * CACHE_LINE) {
		read_lines(at);
		read_lines(at + 8 * CACHE_LINE);
		read_lines(at + 16 * CACHE_LINE);
		read_lines(at + 24 * CACHE_LINE);
	}
	asm volatile("lfence" : : : "memory");
}
