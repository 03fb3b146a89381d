# SPDX-License-Identifier: GPL-2.0
# Inside the lab: the kernel's KVM selftests on KVM or on lhv, each with its verdict on ttyS1.
#
#   sh kvm-selftests.sh kvm|LHV.KO LIST
#
# LIST has "SECONDS TEST [ARGUMENT...]" per line.

case $1 in
kvm)	modprobe kvm_amd || exit 1 ;;
*)	# The tests look at KVM's parameters before they begin. kvm.ko alone leaves /dev/kvm free.
	modprobe kvm && insmod "$1" kvm_node=1 || exit 1
	# kvm_amd can't be there beside lhv. What a test asks of it: is there AVIC, with its errata?
	mkdir -p /tmp/module/kvm/parameters /tmp/module/kvm_amd/parameters
	for p in /sys/module/kvm/parameters/*; do
		cat "$p" >"/tmp/module/kvm/parameters/${p##*/}" 2>/dev/null
	done
	echo N >/tmp/module/kvm_amd/parameters/avic
	echo Y >/tmp/module/kvm_amd/parameters/npt
	mount -o bind /tmp/module /sys/module || exit 1 ;;
esac
list=$PWD/$2
cd build/kvm-selftests/programs || exit 1
while read -r limit test args; do
	before=$(dmesg | wc -l)
	timeout -s KILL "$limit" "./$test" $args >/tmp/out 2>&1
	status=$?
	# What it left behind would hold the module.
	killall -q -9 "$(basename "$test")"
	dmesg | tail -n +$((before + 1)) | grep -qE "$(cat /lab/splat)" && status=splat
	echo "== $test $args: $status"
	case $status in
	0)	;;
	*)	grep -v '^Random seed' /tmp/out | tail -12 ;;
	esac
	echo "result $status $test" >/dev/ttyS1
done <"$list"
[ "$1" = kvm ] || { umount /sys/module && rmmod lhv; }
