/* SPDX-License-Identifier: GPL-2.0 */
/* lhv host/ - the CPUID instruction's helpers, wherever this kernel keeps them. */
#ifndef LHV_HOST_CPUID_H
#define LHV_HOST_CPUID_H

#include <linux/processor.h>
#ifdef LHV_HAVE_CPUID_API
#include <asm/cpuid/api.h>
#else
#include <asm/cpuid.h>
#endif

#endif
