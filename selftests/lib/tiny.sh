# SPDX-License-Identifier: GPL-2.0
#
# Guests of a few bytes, for sh scripts that run in the lab:
#
#	kernel_of FILE CODE	what the 64-bit boot protocol takes for a kernel
#	disk_of FILE CODE	what a BIOS takes for a boot disk: real mode, at 0x7c00
#
# CODE is in octal escapes, as printf reads them.

# PM1 control: S5
tiny_off='\146\272\004\006\146\270\000\064\146\357\364'
# jmp .
tiny_spin='\353\376'
# 1: hlt; jmp 1b
tiny_halt='\364\353\375'
# ud2, without an IDT
tiny_crash='\017\013'
# 1: in PM1 status; test power button; jz 1b; S5
tiny_button='\146\272\000\006\146\355\366\304\001\164\365'"$tiny_off"
# IER: receive; 1: in LSR; test data ready; jz 1b; in RBR; out THR; jmp 1b
tiny_echo='\146\272\371\003\260\001\356\146\272\375\003\354\250\001\164\367\146\272\370\003\354\356\353\357'
# IDT at 16 MiB; xAPIC timer each 10 ms; 1: hlt; 20000 times around; jmp 1b; vector 0x40: EOI
tiny_tick='\277\000\000\000\001\110\211\374\127\146\150\037\004\017\001\034\044\110\215\005\123\000'\
'\000\000\146\211\207\000\004\000\000\307\207\002\004\000\000\020\000\000\216\301\350\020'\
'\146\211\207\006\004\000\000\273\000\000\340\376\307\203\360\000\000\000\377\001\000\000'\
'\307\203\340\003\000\000\013\000\000\000\307\203\040\003\000\000\100\000\002\000\307\203'\
'\200\003\000\000\200\226\230\000\373\364\271\040\116\000\000\342\376\353\365\307\203\260'\
'\000\000\000\000\000\000\000\110\317'
# 1: in 0x21; jmp 1b
tiny_in='\344\041\353\374'

tiny_put() { # FILE OFFSET BYTES
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

kernel_of() { # FILE CODE
	dd if=/dev/zero of="$1" bs=1k count=4 2>/dev/null
	tiny_put "$1" 497 '\001'
	tiny_put "$1" 510 '\125\252\353\152HdrS\017\002'
	tiny_put "$1" 556 '\377\377\377\177\000\000\040\000\001'
	tiny_put "$1" 566 '\001'
	tiny_put "$1" 568 '\377\007'
	tiny_put "$1" 602 '\020'
	tiny_put "$1" 610 '\001'
	tiny_put "$1" 1536 "$2"
}

disk_of() { # FILE CODE
	dd if=/dev/zero of="$1" bs=512 count=2048 2>/dev/null
	tiny_put "$1" 0 "$2"
	tiny_put "$1" 510 '\125\252'
}
