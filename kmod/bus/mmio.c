// SPDX-License-Identifier: GPL-2.0
/*
 * lhv bus/ - one MMIO access: the LAPIC's page, an in-kernel device, or the VMM.
 *
 * An access is served in pieces of at most 8 bytes, first to last, and each is
 * served once: what the kernel answered stays in vcpu->pio.mmio while the VMM
 * is asked for the rest. See bus.h for the protocol with the emulator.
 */
#include <linux/mm.h>

#include "../lhv.h"

#define MAX_PIECE	8	/* kvm_run.mmio.data */

/* Few bytes, nearly always one word of some size. */
static __always_inline void copy(void *to, const void *from, unsigned int len)
{
	switch (len) {
	case 1:
		memcpy(to, from, 1);
		break;
	case 2:
		memcpy(to, from, 2);
		break;
	case 4:
		memcpy(to, from, 4);
		break;
	case 8:
		memcpy(to, from, 8);
		break;
	default:
		memcpy(to, from, len);
	}
}

/* -EOPNOTSUPP: nobody in the kernel. */
static __always_inline int in_kernel(struct lhv_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len, bool write)
{
	if (lhv_lapic_in_range(vcpu, gpa, len))
		return write ? lhv_lapic_mmio_write(vcpu, offset_in_page(gpa), len, data) :
			       lhv_lapic_mmio_read(vcpu, offset_in_page(gpa), len, data);
	return write ? lhv_bus_write(vcpu, &vcpu->vm->mmio_bus, gpa, len, data) :
		       lhv_bus_read(vcpu, &vcpu->vm->mmio_bus, gpa, len, data);
}

static __always_inline void ask_vmm(struct lhv_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len,
		    bool write)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = gpa;
	run->mmio.len = len;
	run->mmio.is_write = write;
	memset(run->mmio.data, 0, sizeof(run->mmio.data));
	if (write)
		copy(run->mmio.data, data, len);
}

/* Nobody in the kernel wants the access, which is one piece. */
static __always_inline int ask_for_all(struct lhv_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len,
		       bool write)
{
	typeof(vcpu->pio.mmio) *m = &vcpu->pio.mmio;

	m->gpa = gpa;
	m->rip = vcpu->rip;
	m->len = len;
	m->done = 0;
	m->piece = len;
	m->write = write;
	if (write)
		copy(m->data, data, len);
	ask_vmm(vcpu, gpa, data, len, write);
	return -EINPROGRESS;
}

/* 0: all served. -EINPROGRESS: kvm_run is filled. -EAGAIN: has to sleep. */
static int serve(struct lhv_vcpu *vcpu)
{
	typeof(vcpu->pio.mmio) *m = &vcpu->pio.mmio;

	while (m->done < m->len) {
		gpa_t gpa = m->gpa + m->done;
		unsigned int n = min3(m->len - m->done, MAX_PIECE,
				      (int)(PAGE_SIZE - offset_in_page(gpa)));
		int ret = in_kernel(vcpu, gpa, m->data + m->done, n, m->write);

		if (ret == -EOPNOTSUPP) {
			m->piece = n;
			ask_vmm(vcpu, gpa, m->data + m->done, n, m->write);
			return -EINPROGRESS;
		}
		if (ret)
			return ret;
		m->done += n;
	}
	return 0;
}

/* Begin an access, or go on with the same one that had to sleep or was answered. */
static int access(struct lhv_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len, bool write)
{
	typeof(vcpu->pio.mmio) *m = &vcpu->pio.mmio;

	if (WARN_ON_ONCE(!len || len > LHV_MMIO_MAX))
		return -EINVAL;
	if (m->len != len || m->gpa != gpa || m->write != write || m->rip != vcpu->rip) {
		m->gpa = gpa;
		m->rip = vcpu->rip;
		m->len = len;
		m->done = 0;
		m->write = write;
		if (write)
			memcpy(m->data, data, len);
	}
	m->piece = 0;
	return serve(vcpu);
}

int lhv_mmio_read(struct lhv_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len)
{
	int ret;

	if (!vcpu->pio.mmio.len && len <= MAX_PIECE) {
		ret = in_kernel(vcpu, gpa, data, len, false);
		if (ret != -EOPNOTSUPP)
			return ret;
		if (offset_in_page(gpa) + len <= PAGE_SIZE)
			return ask_for_all(vcpu, gpa, NULL, len, false);
	}
	ret = access(vcpu, gpa, NULL, len, false);
	if (!ret) {
		copy(data, vcpu->pio.mmio.data, len);
		vcpu->pio.mmio.len = 0;
	}
	return ret;
}

int lhv_mmio_write(struct lhv_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len)
{
	int ret;

	if (!vcpu->pio.mmio.len && len <= MAX_PIECE) {
		ret = in_kernel(vcpu, gpa, (void *)data, len, true);
		if (ret != -EOPNOTSUPP)
			return ret;
		if (offset_in_page(gpa) + len <= PAGE_SIZE)
			return ask_for_all(vcpu, gpa, data, len, true);
	}
	ret = access(vcpu, gpa, data, len, true);
	if (!ret)
		vcpu->pio.mmio.len = 0;
	return ret;
}

enum lhv_next lhv_mmio_complete(struct lhv_vcpu *vcpu)
{
	typeof(vcpu->pio.mmio) *m = &vcpu->pio.mmio;

	/*
	 * The address and length are ours; of kvm_run only the data is taken, once. All of it:
	 * pieces begin at 0 or at 8, and what lies behind the last is not looked at.
	 */
	if (m->piece && !m->write)
		memcpy(m->data + m->done, vcpu->run->mmio.data, MAX_PIECE);
	m->done += m->piece;
	m->piece = 0;
	if (unlikely(m->done < m->len) && serve(vcpu) == -EINPROGRESS)
		return LHV_EXIT_USER;
	if (m->write)
		m->len = 0;
	return LHV_RESUME;
}

bool lhv_mmio_take(struct lhv_vcpu *vcpu, u64 *val)
{
	typeof(vcpu->pio.mmio) *m = &vcpu->pio.mmio;

	if (unlikely(!m->len))
		return false;
	memcpy(val, m->data, sizeof(*val));
	*val &= GENMASK_ULL(m->len * 8 - 1, 0);
	m->len = 0;
	return true;
}

void lhv_mmio_cancel(struct lhv_vcpu *vcpu)
{
	vcpu->pio.mmio.len = 0;
	vcpu->pio.mmio.piece = 0;
}
