/* SPDX-License-Identifier: GPL-2.0 */
/* lhv - tracepoints. One per direction through the world switch; filter by reason. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM lhv

#if !defined(LHV_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define LHV_TRACE_H

#include <linux/tracepoint.h>

#include "lhv.h"

#define X(name) TRACE_DEFINE_ENUM(LHV_EXIT_##name);
LHV_EXIT_REASONS(X)
#undef X

#define LHV_EXIT_SYMBOL(name) { LHV_EXIT_##name, #name },
#define LHV_EXIT_SYMBOLS LHV_EXIT_REASONS(LHV_EXIT_SYMBOL) { LHV_NR_EXIT_REASONS, "?" }

TRACE_EVENT(lhv_entry,
	TP_PROTO(struct lhv_vcpu *vcpu),
	TP_ARGS(vcpu),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, vcpu)
		__field(u64, rip)
	),
	TP_fast_assign(
		__entry->vm = vcpu->vm->id;
		__entry->vcpu = vcpu->id;
		__entry->rip = vcpu->rip;
	),
	TP_printk("vm %llu vcpu %u rip 0x%llx", __entry->vm, __entry->vcpu, __entry->rip)
);

TRACE_EVENT(lhv_exit,
	TP_PROTO(struct lhv_vcpu *vcpu),
	TP_ARGS(vcpu),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, vcpu)
		__field(u32, reason)
		__field(u32, code)
		__field(u64, rip)
		__field(u64, info1)
		__field(u64, info2)
	),
	TP_fast_assign(
		__entry->vm = vcpu->vm->id;
		__entry->vcpu = vcpu->id;
		__entry->reason = vcpu->exit.reason;
		__entry->code = vcpu->exit.code;
		__entry->rip = vcpu->rip;
		__entry->info1 = vcpu->exit.info1;
		__entry->info2 = vcpu->exit.info2;
	),
	TP_printk("vm %llu vcpu %u reason %s code 0x%x rip 0x%llx info 0x%llx 0x%llx",
		  __entry->vm, __entry->vcpu, __print_symbolic(__entry->reason, LHV_EXIT_SYMBOLS),
		  __entry->code, __entry->rip, __entry->info1, __entry->info2)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
