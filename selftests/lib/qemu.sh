# SPDX-License-Identifier: GPL-2.0
#
# Debian's QEMU as the VMM, for sh scripts that run in the lab, on top of guest.sh:
#
#	qemu_module LHV.KO|kvm		who is /dev/kvm from now on
#	qemu MACHINE ARGUMENT...	start $qemu_name; its guest's serial console is guest.sh's
#	qemu_use NAME			the monitor is another QEMU's from now on; a new one gets that name
#	qemu_kill			end $qemu_name: what a case that failed left behind
#	qemu_pid
#	monitor COMMAND			type it into the monitor
#	monitor_says REGEX		has it said so since the last command?
#	monitor_done SECONDS COMMAND	type it and wait until it is answered
#	monitor_waits SECONDS COMMAND REGEX	ask again and again until it says so
#	until_ok TENTHS COMMAND...	until it succeeds
#	ok DESCRIPTION			a TAP line, after the command whose status counts
#	qemu_done			the module unloads; the plan; the status
#
# The case that is on is in $case.

n=0 failed=0 case=start
qemu_name=a qemu_dir=/tmp/qemu-a mon_seen=0

ok() {
	local ret=$?
	n=$((n + 1))
	if [ $ret = 0 ]; then
		echo "ok $n - $case: $1"
	else
		failed=$((failed + 1))
		echo "not ok $n - $case: $1"
		[ ! -e "$guest_dir/log" ] || tail -25 "$guest_dir/log" | tr -d '\r\033' | sed 's/^/# /'
		tail -5 "$qemu_dir/mon.log" 2>/dev/null | tr -d '\r\033' | sed 's/^/# /'
		echo
	fi
	return $ret
}

until_ok() {
	local left=$1
	shift
	while ! "$@"; do
		left=$((left - 1))
		[ $left -gt 0 ] || return 1
		usleep 100000
	done
}

qemu_module() {
	qemu_on=$1
	case $1 in
	kvm)	modprobe kvm_amd || modprobe kvm_intel ;;
	*)	insmod "$1" kvm_node=1 ;;
	esac
}

# The monitor is a pair of pipes.
qemu() {
	local machine=$1
	shift
	qemu_kill
	qemu_use "$qemu_name"
	mkdir -p "$qemu_dir"
	mkfifo "$qemu_dir/mon.in" "$qemu_dir/mon.out"
	cat "$qemu_dir/mon.out" >"$qemu_dir/mon.log" &
	exec 4<>"$qemu_dir/mon.in"
	guest_dir=$qemu_dir/guest
	guest_vmm qemu-system-x86_64 -L /usr/share/seabios -L /usr/share/qemu -nodefaults -display none \
		-machine "$machine" -accel "${qemu_accel:-kvm}" -serial stdio -pidfile "$qemu_dir/pid" \
		-chardev pipe,id=mon,path="$qemu_dir/mon" -mon mon "$@"
}

qemu_use() {
	qemu_name=$1 qemu_dir=/tmp/qemu-$1
	mon_seen=0
	[ ! -e "$qemu_dir/mon.in" ] || exec 4<>"$qemu_dir/mon.in"
}

qemu_pid() { cat "$qemu_dir/pid"; }

qemu_kill() {
	exec 3>&- 4>&-
	[ ! -e "$qemu_dir/pid" ] || kill -9 "$(qemu_pid)" 2>/dev/null
	rm -rf "$qemu_dir"
}

monitor() {
	mon_seen=$(wc -c <"$qemu_dir/mon.log")
	echo "$1" >&4
}

monitor_said() { tail -c +$((mon_seen + 1)) "$qemu_dir/mon.log" | tr -d '\r'; }
monitor_says() { monitor_said | grep -q "$1"; }
# The prompt comes behind the answer.
monitor_answered() { monitor_said | tail -1 | grep -q '^(qemu) $'; }

monitor_done() {
	monitor "$2"
	until_ok $(($1 * 10)) monitor_answered
}

monitor_waits() {
	local left=$(($1 * 10))
	while [ $left -gt 0 ]; do
		monitor_done 10 "$2"
		monitor_says "$3" && return 0
		[ ! -e "$guest_dir/status" ] || return 1
		left=$((left - 1))
		usleep 100000
	done
	return 1
}

qemu_done() {
	case=module
	qemu_kill
	[ "$qemu_on" = kvm ] || until_ok 50 rmmod lhv; ok "it unloads"
	echo "1..$n"
	[ $failed = 0 ]
}
