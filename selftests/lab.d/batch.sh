# SPDX-License-Identifier: GPL-2.0
# Inside the lab: the tests of one boot, each with its verdict on ttyS1.

# Counting takes time, too.
[ ! -e /lab/save-gcov ] || export TAP_PATIENCE=4

complaints() { dmesg | grep -cE "$(cat /lab/splat)"; }

run_one() { # ID SECONDS COMMAND
	local before=$(complaints) status

	echo "lab-test: begin $1"
	echo "result start $1" >/dev/ttyS1
	LAB_TEST=$1 timeout -s KILL "$2" sh -c "$3"
	status=$?
	[ "$(complaints)" = "$before" ] || status=splat
	echo "lab-test: end $1"
	# Should the next one take the machine with it
	echo "$1" >>/lab/tests
	[ ! -e /lab/save-gcov ] || /lab/save-gcov
	echo "result $status $1" >/dev/ttyS1
}
