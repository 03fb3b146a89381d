// SPDX-License-Identifier: GPL-2.0
/* What a device reaches: its VM's memory, as it is at the moment, and nothing else. */
#include <linux/pci_regs.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"

#define RAM		(4UL << 20)
#define MSI_WINDOW	0xfee00000ULL
#define HOST_PAGES	64
#define FAULT_MS	8000	/* the kernel reports ten faults in five seconds */

struct setup {
	struct vm *vm;
	struct nl *nl;
	const char *address;
	struct edu edu;
};

static struct setup set_up(void)
{
	struct setup s = { .vm = vm_create(0), .nl = nl_open(), .address = find_edu(0) };

	vm_ram(s.vm, RAM);
	take(s.nl, s.address);
	CHECK_EQ(device_cmd(s.nl, LHV_CMD_DEVICE_ATTACH, s.address, vm_id(s.vm->fd), true), 0);
	s.edu = edu_open(s.vm->fd, s.address);
	return s;
}

static void tear_down(struct setup *s)
{
	give_back(s->nl, s->address);
	CHECK(none_locked(0));
}

/* Writes of the device to @gpa arrive at @p. */
static void reaches(struct setup *s, uint64_t gpa, const uint8_t *p, uint8_t byte)
{
	edu_fill(&s->edu, s->vm->ram, byte);
	edu_dma(&s->edu, EDU_BUFFER, gpa, EDU_TO_RAM);
	CHECK_EQ(p[0], byte);
	CHECK_EQ(p[EDU_DMA_SIZE - 1], byte);
}

/*
 * What the device writes to @at arrives nowhere in the VM's memory, and it does not find it there: a
 * read that fails leaves its buffer as it was, or gives zeros or ones.
 */
static void blocked(struct setup *s, uint64_t at)
{
	uint8_t *ram = s->vm->ram;
	uint64_t before;

	edu_fill(&s->edu, ram, 0x77);
	memset(ram, 0x66, PAGE_SIZE);
	before = sum(ram, RAM);
	edu_dma(&s->edu, EDU_BUFFER, at, EDU_TO_RAM);
	CHECK_EQ(sum(ram, RAM), before);
	edu_fill(&s->edu, ram, 0x88);
	memset(ram, 0x66, PAGE_SIZE);
	edu_dma(&s->edu, at, EDU_BUFFER, 0);
	edu_dma(&s->edu, EDU_BUFFER, PAGE_SIZE, EDU_TO_RAM);
	if (ram[PAGE_SIZE] != 0x88 && ram[PAGE_SIZE] != 0 && ram[PAGE_SIZE] != 0xff)
		FAIL("%#x was read at %#llx", ram[PAGE_SIZE], (unsigned long long)at);
}

/*
 * With bits that the IOMMU's tables have no level for. AMD-Vi has to block that, but QEMU's (up to 7.2
 * at least, amdvi_page_walk()) ignores them: what the device reaches is its VM's memory all the same.
 */
static void blocked_or_wrapped(struct setup *s, uint64_t at)
{
	if (!amd_iommu()) {
		blocked(s, at);
		return;
	}
	edu_fill(&s->edu, s->vm->ram, 0x77);
	edu_dma(&s->edu, EDU_BUFFER, at, EDU_TO_RAM);
	if (s->vm->ram[at % RAM] == 0x77)
		test_note("the emulated IOMMU ignores the upper bits of %#llx",
			  (unsigned long long)at);
}

TEST(dma_to_ram)
{
	struct setup s = set_up();

	CHECK_EQ(locked_kb(0), RAM >> 10);
	/* What KVM's ABI has to say that there can be no balloon. */
	CHECK_EQ(ioctl(s.vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_MMU), 0);
	reaches(&s, PAGE_SIZE, s.vm->ram + PAGE_SIZE, 0x11);
	reaches(&s, RAM - PAGE_SIZE, s.vm->ram + RAM - PAGE_SIZE, 0x22);
	/* Not without bus mastering. */
	config_write(s.edu.fd, PCI_COMMAND, 2, 0);
	edu_dma(&s.edu, EDU_BUFFER, PAGE_SIZE, EDU_TO_RAM);
	CHECK_EQ(s.vm->ram[PAGE_SIZE], 0x11);
	config_write(s.edu.fd, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	reaches(&s, PAGE_SIZE, s.vm->ram + PAGE_SIZE, 0x44);
	tear_down(&s);
	CHECK_EQ(ioctl(s.vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_MMU), 1);
}

/* Memory of the host, by the addresses that the host has for it. */
TEST(dma_outside, .timeout = 120)
{
	struct setup s = set_up();
	uint8_t *host = shared_memory(HOST_PAGES * PAGE_SIZE);
	int faults = iommu_faults(), i;
	uint64_t before, at, end;

	for (i = 0; i < HOST_PAGES; i++)
		memset(host + i * PAGE_SIZE, 0xa0 + i % 16, PAGE_SIZE);
	before = sum(host, HOST_PAGES * PAGE_SIZE);
	for (i = 0; i < HOST_PAGES; i += 21) {
		at = host_physical(host + i * PAGE_SIZE);
		if (at >= 8 * RAM)
			blocked(&s, at);
	}
	blocked(&s, RAM);
	blocked(&s, 1ULL << 38);
	blocked_or_wrapped(&s, 1ULL << 39);
	blocked(&s, ~0ULL - PAGE_SIZE + 1);
	CHECK_EQ(sum(host, HOST_PAGES * PAGE_SIZE), before);
	/* QEMU's AMD-Vi blocks without a word. */
	for (end = now_ns() + FAULT_MS * 1000000ULL; !amd_iommu() && iommu_faults() == faults;) {
		CHECK(now_ns() < end);
		blocked(&s, RAM);
	}
	reaches(&s, PAGE_SIZE, s.vm->ram + PAGE_SIZE, 0x55);
	tear_down(&s);
}

/* Interrupts that nobody had asked for. */
static int stray(void)
{
	return log_lines("No irq handler", "");
}

/*
 * Writes there are interrupts. One in the remappable format names an entry of the host's table, and
 * this one is not there. One in the old format (compatibility format) is blocked by a VT-d that is set
 * up as Linux does it; QEMU's, up to 7.2 at least, lets it through, whoever owns the device.
 */
#define REMAPPABLE	0x10
#define LAST_ENTRY	(0x7fff << 5)

TEST(dma_to_msi_window)
{
	struct kvm_userspace_memory_region window = {
		.slot = 3, .guest_phys_addr = MSI_WINDOW, .memory_size = PAGE_SIZE,
		.userspace_addr = (uintptr_t)shared_memory(PAGE_SIZE),
	};
	struct setup s = set_up();
	int before = stray();

	edu_fill(&s.edu, s.vm->ram, 0x77);
	edu_send(&s.edu, MSI_WINDOW | REMAPPABLE | LAST_ENTRY);
	nap(50);
	CHECK_EQ(stray(), before);
	edu_send(&s.edu, MSI_WINDOW);
	nap(50);
	if (stray() != before)
		test_note("the emulated IOMMU passes interrupts in the old format");
	/* Memory of the VM is never there. */
	CHECK_ERR(ioctl(s.vm->fd, KVM_SET_USER_MEMORY_REGION, &window), EINVAL);
	reaches(&s, PAGE_SIZE, s.vm->ram + PAGE_SIZE, 0x55);
	tear_down(&s);
}

/* Where the other VM has memory and this one has none; by the guest's and the host's addresses. */
TEST(dma_to_another_vm)
{
	struct setup s = set_up();
	struct vm *other = vm_create(0);
	uint8_t *theirs = shared_memory(RAM);
	uint64_t before, at;

	memset(theirs, 0xc3, RAM);
	vm_set_slot(other, 0, 0, 2 * RAM, RAM, theirs);
	before = sum(theirs, RAM);
	blocked(&s, 2 * RAM);
	at = host_physical(theirs);
	if (at >= 8 * RAM)
		blocked(&s, at);
	CHECK_EQ(sum(theirs, RAM), before);
	tear_down(&s);
}

/*
 * Two devices of one VM and one of another, at the same guest addresses: each finds its own VM's memory
 * there. The nvme's is what the host had read from the disk.
 */
TEST(several)
{
	const char *nvme = find_function(NVME_VENDOR, NVME_DEVICE, 0);
	const char *third = find_function(EDU_VENDOR, EDU_DEVICE, 1);
	uint8_t *disk = shared_memory(NVME_READ), *theirs = shared_memory(RAM);
	struct vm *other = vm_create(0);
	int fd = CHECK_OK(open_disk());
	struct setup s;
	struct nvme n;
	struct edu e;

	CHECK_EQ(pread(fd, disk, NVME_READ, NVME_READ), NVME_READ);
	close(fd);
	s = set_up();
	other->ram = theirs;
	other->ram_size = RAM;
	vm_set_slot(other, 0, 0, 0, RAM, theirs);
	take(s.nl, nvme);
	take(s.nl, third);
	CHECK_EQ(device_cmd(s.nl, LHV_CMD_DEVICE_ATTACH, nvme, vm_id(s.vm->fd), false), 0);
	CHECK_EQ(device_cmd(s.nl, LHV_CMD_DEVICE_ATTACH, third, vm_id(other->fd), true), 0);
	/* Each VM's memory counts once. */
	CHECK_EQ(locked_kb(0), 2 * RAM >> 10);

	n = nvme_map(s.vm->fd, nvme, s.vm->ram);
	nvme_start(&n);
	e = edu_open(other->fd, third);
	nvme_read(&n, NVME_READ, NVME_DATA);
	CHECK(!memcmp(s.vm->ram + NVME_DATA, disk, NVME_READ));
	CHECK_EQ(sum(theirs, RAM), 0);
	edu_fill(&e, theirs, 0x21);
	edu_dma(&e, EDU_BUFFER, NVME_DATA, EDU_TO_RAM);
	CHECK_EQ(theirs[NVME_DATA], 0x21);
	CHECK(!memcmp(s.vm->ram + NVME_DATA, disk, NVME_READ));
	reaches(&s, NVME_DATA, s.vm->ram + NVME_DATA, 0x43);
	CHECK_EQ(theirs[NVME_DATA], 0x21);

	/* A device and then a VM's last one goes; the others don't notice. */
	CHECK_EQ(device_cmd(s.nl, LHV_CMD_DEVICE_DETACH, s.address, 0, false), 0);
	CHECK_EQ(locked_kb(0), 2 * RAM >> 10);
	nvme_read(&n, NVME_READ, NVME_DATA);
	CHECK(!memcmp(s.vm->ram + NVME_DATA, disk, NVME_READ));
	CHECK_EQ(device_cmd(s.nl, LHV_CMD_DEVICE_DETACH, third, 0, false), 0);
	CHECK_EQ(locked_kb(0), RAM >> 10);
	nvme_read(&n, 0, NVME_DATA);
	give_back(s.nl, third);
	give_back(s.nl, nvme);
	tear_down(&s);
	CHECK_OK(open_disk());
}

TEST(dma_to_freed_slot)
{
	struct setup s = set_up();
	uint8_t *mem = shared_memory(RAM);
	uint64_t at;

	/* Hot-added: reached, and counted. */
	vm_set_slot(s.vm, 1, 0, 2 * RAM, RAM, mem);
	CHECK_EQ(locked_kb(0), 2 * RAM >> 10);
	reaches(&s, 2 * RAM, mem, 0x66);
	reaches(&s, 3 * RAM - PAGE_SIZE, mem + RAM - PAGE_SIZE, 0x66);
	at = host_physical(mem);
	vm_set_slot(s.vm, 1, 0, 2 * RAM, 0, NULL);
	CHECK_EQ(locked_kb(0), RAM >> 10);
	memset(mem, 0xee, RAM);
	blocked(&s, 2 * RAM);
	if (at >= 8 * RAM)
		blocked(&s, at);
	blocked(&s, 3 * RAM - PAGE_SIZE);
	CHECK_EQ(mem[0], 0xee);
	CHECK_EQ(mem[RAM - PAGE_SIZE], 0xee);
	/* And again, elsewhere. A slot can't be moved meanwhile, and what is read-only is not for DMA. */
	vm_set_slot(s.vm, 1, 0, 4 * RAM, RAM, mem);
	reaches(&s, 4 * RAM, mem, 0x67);
	{
		struct kvm_userspace_memory_region moved = {
			.slot = 1, .guest_phys_addr = 6 * RAM, .memory_size = RAM,
			.userspace_addr = (uintptr_t)mem,
		};

		CHECK_ERR(ioctl(s.vm->fd, KVM_SET_USER_MEMORY_REGION, &moved), EBUSY);
	}
	vm_set_slot(s.vm, 1, 0, 4 * RAM, 0, NULL);
	memset(mem, 0xee, RAM);
	vm_set_slot(s.vm, 1, KVM_MEM_READONLY, 2 * RAM, RAM, mem);
	CHECK_EQ(locked_kb(0), RAM >> 10);
	blocked(&s, 2 * RAM);
	CHECK_EQ(mem[0], 0xee);
	tear_down(&s);
}

/* A transfer is under way when its slot, and then its device, goes. */
TEST(dma_while_slot_goes)
{
	struct setup s = set_up();
	uint8_t *mem = shared_memory(RAM);
	int i;

	for (i = 0; i < rounds(10, 100); i++) {
		vm_set_slot(s.vm, 1, 0, 2 * RAM, RAM, mem);
		edu_fill(&s.edu, s.vm->ram, 0x99);
		edu_start(&s.edu, EDU_BUFFER, 2 * RAM, EDU_TO_RAM);
		nap(i * 13 % 110);
		vm_set_slot(s.vm, 1, 0, 2 * RAM, 0, NULL);
		memset(mem, 0xee, PAGE_SIZE);
		edu_dma(&s.edu, EDU_BUFFER, PAGE_SIZE, EDU_TO_RAM);
		CHECK_EQ(mem[0], 0xee);
	}
	tear_down(&s);
}

/* ---- interrupts ---- */

#define VECTOR		0x51
#define LAPIC_SVR	0xf0
#define LAPIC_IRR	0x200
#define SVR_ENABLED	0x1ff

static bool requested(struct vcpu *vcpu)
{
	struct kvm_lapic_state lapic;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic));
	return *(uint32_t *)(lapic.regs + LAPIC_IRR + VECTOR / 32 * 16) >> VECTOR % 32 & 1;
}

static void clear_request(struct vcpu *vcpu)
{
	struct kvm_lapic_state lapic;

	CHECK_OK(ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic));
	*(uint32_t *)(lapic.regs + LAPIC_SVR) = SVR_ENABLED;
	*(uint32_t *)(lapic.regs + LAPIC_IRR + VECTOR / 32 * 16) = 0;
	CHECK_OK(ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic));
}

static void wait_requested(struct vcpu *vcpu)
{
	uint64_t end = now_ns() + 5000000000ULL;

	while (!requested(vcpu)) {
		CHECK(now_ns() < end);
		nap(1);
	}
}

static void set_message(int fd, uint32_t index, bool masked)
{
	struct lhv_device_vector v = {
		.address = MSI_WINDOW, .data = VECTOR, .index = index, .masked = masked,
	};

	CHECK_OK(ioctl(fd, LHV_DEVICE_VECTOR, &v));
}

TEST(message)
{
	const char *address = find_edu(0);
	struct lhv_device_vector bad = { .index = 1 << 20 };
	struct lhv_device_irq irq = { .type = LHV_DEVICE_IRQ_MSI };
	struct vm *vm = vm_create(VM_IRQCHIP);
	struct vcpu *vcpu = vcpu_add(vm, 0);
	struct nl *nl = nl_open();
	struct edu edu;

	vm_ram(vm, RAM);
	clear_request(vcpu);
	take(nl, address);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, address, vm_id(vm->fd), true), 0);
	edu = edu_open(vm->fd, address);
	CHECK_ERR(ioctl(edu.fd, LHV_DEVICE_VECTOR, &bad), EINVAL);
	set_message(edu.fd, 0, false);
	CHECK_OK(ioctl(edu.fd, LHV_DEVICE_IRQ, &irq));
	edu_set(&edu, EDU_REG_RAISE, 1);
	wait_requested(vcpu);
	edu_set(&edu, EDU_REG_ACK, 1);
	clear_request(vcpu);

	/* Masked, it waits. */
	set_message(edu.fd, 0, true);
	edu_set(&edu, EDU_REG_RAISE, 1);
	nap(50);
	CHECK(!requested(vcpu));
	set_message(edu.fd, 0, false);
	wait_requested(vcpu);
	edu_set(&edu, EDU_REG_ACK, 1);
	clear_request(vcpu);

	/* What there is not: edu has no MSI-X; unknown kinds and lines. */
	irq.type = LHV_DEVICE_IRQ_MSIX;
	CHECK_ERR(ioctl(edu.fd, LHV_DEVICE_IRQ, &irq), EINVAL);
	irq.type = LHV_DEVICE_IRQ_MSIX + 1;
	CHECK_ERR(ioctl(edu.fd, LHV_DEVICE_IRQ, &irq), EINVAL);
	irq = (struct lhv_device_irq){ .type = LHV_DEVICE_IRQ_INTX, .gsi = 1000 };
	CHECK_ERR(ioctl(edu.fd, LHV_DEVICE_IRQ, &irq), EINVAL);

	/* Of the next VM nothing comes before it has said so itself. */
	irq = (struct lhv_device_irq){ .type = LHV_DEVICE_IRQ_MSI };
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_DETACH, address, 0, false), 0);
	CHECK_EQ(device_cmd(nl, LHV_CMD_DEVICE_ATTACH, address, vm_id(vm->fd), true), 0);
	edu = edu_open(vm->fd, address);
	CHECK_OK(ioctl(edu.fd, LHV_DEVICE_IRQ, &irq));
	edu_set(&edu, EDU_REG_RAISE, 1);
	nap(50);
	CHECK(!requested(vcpu));
	set_message(edu.fd, 0, false);
	wait_requested(vcpu);
	edu_set(&edu, EDU_REG_ACK, 1);
	give_back(nl, address);
}
