# SPDX-License-Identifier: GPL-2.0
# bash completion of vmctl(8): commands, options, and the names of the VMs there are.

_vmctl_vms() { vmctl status 2>/dev/null | awk 'NR > 1 { print $1; print $NF }'; }

_vmctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=
	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		words="console create device events host list metrics pause resume sched show start stats status
		       stop top unpause wait"
	else
		case $prev in
		-b|-d|--initrd|--accel)
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			return ;;
		esac
		case ${COMP_WORDS[1]} in
		console|pause|resume|unpause|wait)	words=$(_vmctl_vms) ;;
		device)			words="list bind unbind attach detach -v --json
						$(vmctl device list 2>/dev/null | awk 'NR > 1 { print $1 }')" ;;
		events)			words="--json $(_vmctl_vms)" ;;
		list|show|status|stats)	words="-v --json $(_vmctl_vms)" ;;
		sched)
			case ${COMP_WORDS[2]} in
			"$cur")	words="--json -s -w pool $(_vmctl_vms)" ;;
			-*)	words="--json -s -w" ;;
			pool)	words="create remove policy= cpus= slots= quantum=" ;;
			*)	words="pool= weight= cap= priority= length= period= budget= hybrid=" ;;
			esac ;;
		stop)			words="-a -f -t -w $(_vmctl_vms)" ;;
		host)			words="--json --accel" ;;
		start)			words="-b -c -d -m -p --accel --append --device --foreground --initrd --no-reboot" ;;
		top)			words="-n -s" ;;
		create)			words="-s" ;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _vmctl vmctl
