# SPDX-License-Identifier: GPL-2.0
#
# lhv's front door. Kbuild describes the module; this file only calls it.
#
#   make			lhv.ko for the running kernel, and vmctl
#   make KDIR=/path/to/build	the same for another kernel
#   make install | uninstall	PREFIX=/usr/local, DESTDIR= for packagers
#   make test [T=PATTERN]	everything, or the tests whose name has PATTERN
#   make test ALL=1		the same on more kernels, for hours
#   make netlink-long		fuzz and storms of management requests in full, on the debug kernel
#   make abuse			what nobody should do, for an hour, on the debug kernel
#   make coverage [T=PATTERN]	what of the module the tests run; writes Documentation/coverage.md
#   make bench [K='6.1 6.12']	instructions per exit, lhv beside KVM (CPUS='amd intel')
#   make kvm-selftests		the kernel's own tests of KVM, on KVM and on lhv; writes Documentation/kvm-selftests.md
#   make demo [INTERACTIVE=1]	a Debian guest on lhv, in an emulated AMD machine
#   make netlink-gen		policy and uAPI header, anew from Documentation/netlink/specs/lhv.yaml
#   make netlink-check		are they what the specification says?
#   make simulate		the scheduling policies on a machine made of numbers; with gnuplot, the plots
#				in Documentation/scheduling/ anew
#   make clean

KREL ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KREL)/build
PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
UDEVDIR ?= $(if $(DESTDIR),/usr/lib,/etc)/udev/rules.d
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
INSTALL ?= install

man8 := $(wildcard Documentation/man/*.8)
man4 := $(wildcard Documentation/man/*.4)
kmake = $(MAKE) -C $(KDIR) M=$(CURDIR)
krel = sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(KDIR)/include/generated/utsrelease.h

all: modules vmctl

modules: | $(KDIR)
	$(kmake) modules

$(KDIR):
	@echo "No kernel headers at $(KDIR)." >&2
	@echo "Install them (apt-get install linux-headers-$(KREL)) or set KDIR=." >&2
	@exit 1

vmctl:
	$(MAKE) -C vmctl

install: modules vmctl
	$(kmake) INSTALL_MOD_PATH=$(DESTDIR) modules_install
	$(INSTALL) -D -m 0755 vmctl/vmctl $(DESTDIR)$(SBINDIR)/vmctl
	$(INSTALL) -D -m 0644 udev/60-lhv.rules $(DESTDIR)$(UDEVDIR)/60-lhv.rules
	$(INSTALL) -D -m 0644 completion/vmctl.bash $(DESTDIR)$(BASHDIR)/vmctl
	$(INSTALL) -D -m 0644 completion/_vmctl $(DESTDIR)$(ZSHDIR)/_vmctl
ifneq ($(man8),)
	$(INSTALL) -D -m 0644 -t $(DESTDIR)$(MANDIR)/man8 $(man8)
	$(INSTALL) -D -m 0644 -t $(DESTDIR)$(MANDIR)/man4 $(man4)
endif
ifeq ($(DESTDIR),)
	depmod -a $$($(krel))
	-udevadm control --reload 2>/dev/null
endif

uninstall:
	rel=$$($(krel)) && find $(DESTDIR)/lib/modules/$$rel -name 'lhv.ko*' -delete
	rm -f $(DESTDIR)$(SBINDIR)/vmctl $(DESTDIR)$(UDEVDIR)/60-lhv.rules
	rm -f $(DESTDIR)$(BASHDIR)/vmctl $(DESTDIR)$(ZSHDIR)/_vmctl
	rm -f $(addprefix $(DESTDIR)$(MANDIR)/man8/,$(notdir $(man8)))
	rm -f $(addprefix $(DESTDIR)$(MANDIR)/man4/,$(notdir $(man4)))
ifeq ($(DESTDIR),)
	depmod -a $$($(krel))
	-udevadm control --reload 2>/dev/null
endif

test:
	ALL='$(ALL)' selftests/run $(if $(T),'$(T)')

abuse:
	selftests/abuse-run $(K)

coverage:
	selftests/coverage $(if $(T),'$(T)')

bench:
	CPUS='$(CPUS)' selftests/bench-run $(K)

kvm-selftests:
	selftests/kvm-selftests $(T)

demo:
	INTERACTIVE='$(INTERACTIVE)' selftests/demo

simulate:
	@$(MAKE) -s -C selftests/simulate plots

netlink-long:
	$(MAKE) -C selftests
	selftests/lab --cpu amd --kernel debug --mem 3072 --add build/selftests/netlink --timeout 5400 -- \
		sh -c 'TAP_PATIENCE=6 NETLINK_FULL=1 build/selftests/netlink -x "measure_*"'

netlink-gen:
	selftests/netlink-gen

netlink-check:
	selftests/netlink-gen --check

# Needs no kernel headers: what was built for a kernel may outlive them.
clean:
	find . -path ./.git -prune -o -path ./build -prune -o \
		\( -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' \
		   -o -name '.*.cmd' -o -name '*.o.d' \) -type f -exec rm -f {} +
	rm -f Module.symvers modules.order .module-common.o .Module.symvers.cmd
	rm -rf build
	$(MAKE) -C vmctl clean

.PHONY: all modules vmctl install uninstall test abuse coverage bench kvm-selftests demo simulate netlink-long netlink-gen netlink-check clean
