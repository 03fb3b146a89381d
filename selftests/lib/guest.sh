# SPDX-License-Identifier: GPL-2.0
#
# Talks to a guest through its console, for sh scripts that run in the lab:
#
#	guest_start OPTION... NAME	vmctl start -c, in the background
#	guest_vmm COMMAND...		the same for a VMM whose console is its standard output
#	guest_expect SECONDS REGEX	wait for it in the output since the last match
#	guest_send TEXT			type a line
#	guest_run SECONDS COMMAND	type it, wait for its end; its status
#	guest_wait SECONDS		wait for the VMM's end; its status is in $guest_status
#
# The console's output goes to $guest_dir/log, and to standard output as it comes
# unless guest_show=n.

guest_show=${guest_show:-y}
guest_dir=${guest_dir:-/tmp/guest}
guest_status=
vmctl=${vmctl:-vmctl/vmctl}

guest_record() {
	if [ "$guest_show" = y ]; then
		tee "$guest_dir/log"
	else
		cat >"$guest_dir/log"
	fi
}

guest_start() { guest_vmm "$vmctl" start -c "$@"; }

guest_vmm() {
	rm -rf "$guest_dir"
	mkdir -p "$guest_dir"
	mkfifo "$guest_dir/in"
	: >"$guest_dir/log"
	seen=0
	{
		ret=0
		"$@" <"$guest_dir/in" || ret=$?
		echo $ret >"$guest_dir/status.new"
		mv "$guest_dir/status.new" "$guest_dir/status"
	} 2>&1 | guest_record &
	guest_pipe=$!
	exec 3>"$guest_dir/in"
}

# The prompt has no line end, so this is grep on what may be half a line.
guest_expect() {
	local left=$(($1 * 10)) all
	while :; do
		all=$(wc -c <"$guest_dir/log")
		# No more than was counted, or what comes meanwhile would be seen twice.
		if tail -c +$((seen + 1)) "$guest_dir/log" | head -c $((all - seen)) | grep -qE "$2"; then
			seen=$all
			return 0
		fi
		[ ! -e "$guest_dir/status" ] || return 1
		[ $left -gt 0 ] || return 1
		left=$((left - 1))
		usleep 100000
	done
}

# Tabs are for whoever reads the script: the guest's shell would complete words at them.
guest_send() { printf '%s\n' "$1" | tr -d '\t' >&3; }

# The echo of what was typed can't match: it doesn't begin a line.
guest_run() {
	guest_send "$2; echo status-\$?"
	guest_expect "$1" '^status-[0-9]+' || return 125
	return "$(grep -oE '^status-[0-9]+' "$guest_dir/log" | tail -1 | cut -d- -f2)"
}

guest_wait() {
	local left=$(($1 * 10))
	exec 3>&-
	while [ ! -e "$guest_dir/status" ] && [ $left -gt 0 ]; do
		left=$((left - 1))
		usleep 100000
	done
	guest_status=$(cat "$guest_dir/status" 2>/dev/null || echo none)
	[ "$guest_status" != none ] || kill "$guest_pipe" 2>/dev/null
}
