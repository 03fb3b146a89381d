#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# vmctl top at a pseudoterminal that this program plays: what it draws, what keys do, a terminal
# that changes its size, one without a cursor, and none at all.
#
#   top.py VMCTL
#
# The VM "mine" and a QEMU's run. TAP.

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from tap import check, conclude

vmctl = sys.argv[1]
PATIENCE = 20


class Screen:
    """A VT100, as far as it is used: what is where, and what was asked of it."""

    control = re.compile(rb"\x1b\[([?]?)([0-9;]*)([A-Za-z])|\x1b[()][0AB]|\x1b[=>78DEHM]|[\r\n\b\x0e\x0f]|"
                         rb"[ -~]")

    def __init__(self, rows, cols):
        self.resize(rows, cols)
        self.rest = b""
        self.unknown = []
        self.colours = self.clears = self.bytes = 0

    def resize(self, rows, cols):
        self.rows, self.cols = rows, cols
        self.cell = [[" "] * cols for _ in range(rows)]
        self.y = self.x = 0

    def text(self):
        return "\n".join("".join(line).rstrip() for line in self.cell)

    def line(self, n):
        return "".join(self.cell[n]).rstrip()

    def clear(self, from_y, from_x, to_y, to_x):
        for y in range(from_y, to_y + 1):
            for x in range(from_x if y == from_y else 0, (to_x if y == to_y else self.cols - 1) + 1):
                self.cell[y][x] = " "

    def sequence(self, private, args, final):
        n = [int(a) if a else 0 for a in args.split(b";")]
        bottom, right = self.rows - 1, self.cols - 1
        if final == b"H":
            self.y = min(max(n[0], 1), self.rows) - 1
            self.x = min(max(n[1] if len(n) > 1 else 1, 1), self.cols) - 1
        elif final == b"J":
            if n[0] == 2 or (n[0] == 0 and self.y == self.x == 0):
                self.clears += 1
            self.clear(*((0, 0, bottom, right) if n[0] == 2 else
                         (self.y, self.x, bottom, right) if n[0] == 0 else (0, 0, self.y, self.x)))
        elif final == b"K":
            self.clear(self.y, 0 if n[0] else self.x, self.y, self.x if n[0] == 1 else right)
        elif final in b"ABCD":
            step = max(n[0], 1)
            self.y = min(max(self.y + {b"A": -step, b"B": step}.get(final, 0), 0), bottom)
            self.x = min(max(self.x + {b"C": step, b"D": -step}.get(final, 0), 0), right)
        elif final == b"m":
            self.colours += any(30 <= a <= 49 or a >= 90 for a in n)
        elif final not in b"rhlg":
            self.unknown.append(final)

    def feed(self, data):
        self.bytes += len(data)
        data = self.rest + data
        # Padding for slow terminals, and what has not come in full yet.
        data = data.replace(b"\0", b"")
        at = 0
        while at < len(data):
            m = self.control.match(data, at)
            if not m:
                if data[at:at + 1] == b"\x1b" and len(data) - at < 16:
                    break
                self.unknown.append(data[at:at + 8])
                at += 1
                continue
            at = m.end()
            c = m.group(0)
            if m.group(3):
                self.sequence(m.group(1), m.group(2), m.group(3))
            elif c == b"\r":
                self.x = 0
            elif c == b"\n":
                self.y = min(self.y + 1, self.rows - 1)
            elif c == b"\b":
                self.x = max(self.x - 1, 0)
            elif b" " <= c <= b"~":
                self.cell[self.y][min(self.x, self.cols - 1)] = c.decode()
                self.x += 1
                if self.x == self.cols:
                    self.x = self.cols - 1
        self.rest = data[at:]


class Terminal:
    def __init__(self, rows, cols, *args, term="vt100"):
        self.screen = Screen(rows, cols)
        self.status = None
        self.out = b""
        self.pid, self.fd = pty.fork()
        if not self.pid:
            time.sleep(0.2)     # until the size is set
            os.environ["TERM"] = term
            os.environ["NO_COLOR"] = "1"
            os.execv(vmctl, [vmctl, "top", *args])
        self.modes = termios.tcgetattr(self.fd)
        self.set_size(rows, cols)

    def set_size(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def resize(self, rows, cols):
        self.screen.resize(rows, cols)
        self.set_size(rows, cols)

    def key(self, c):
        os.write(self.fd, c.encode())

    def read(self, seconds):
        """False at its end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.out += data
        self.screen.feed(data)
        return bool(data)

    def settle(self):
        """What is being drawn comes in several pieces."""
        seen = -1
        while seen != len(self.out):
            seen = len(self.out)
            self.read(0.2)

    def shows(self, pattern):
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, self.screen.text(), re.M) and time.monotonic() < end:
            if not self.read(0.1):
                break
        self.settle()
        return bool(re.search(pattern, self.screen.text(), re.M))

    def ends(self):
        end = time.monotonic() + PATIENCE
        while self.read(0.1) and time.monotonic() < end:
            pass
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.05)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return None


def names(screen):
    """The VMs, from top to bottom."""
    return [screen.line(n).split()[-1] for n in range(4, screen.rows) if screen.line(n)]


def rows_shown(screen):
    return len(re.findall(r"^ +\d+ +(-|\d+\.\d) ", screen.text(), re.M))


t = Terminal(24, 80, "-s", "1")
s = t.screen
check(t.shows(r"running +mine$"), "it shows the VM", s.text())
check(s.line(0).startswith("2 VMs, every 1 s, sorted by RUN%"), "and a title", s.text())
check("HOST%" in s.line(3) and "WAIT%" not in s.line(3) and s.line(3).endswith("NAME"),
      "80 columns hold the first third of the table", s.text())
check(rows_shown(s) == 2, "each VM has a line", s.text())
check(t.shows(r"^ +\d+ +\d+\.\d .* mine$"), "with figures from the second look on", s.text())
drawn, clears = s.bytes, s.clears
end = time.monotonic() + 3.5
while time.monotonic() < end:
    t.read(0.1)
check(s.bytes > drawn and s.clears == clears and s.bytes - drawn < 2 * 24 * 80,
      "it is redrawn in place, where something changed",
      f"{s.bytes - drawn} bytes, {s.clears - clears} clears")
t.key("n")
check(t.shows(r"sorted by NAME$"), "n sorts by name", s.text())
check(names(s) == sorted(names(s)) and len(names(s)) == 2, "and so it is", s.text())
t.key("R")
check(t.shows(r"sorted by NAME, reversed$"), "R reverses", s.text())
check(names(s) == sorted(names(s), reverse=True), "and so it is", s.text())
for c, head in (("i", "ID"), ("h", "HOST%"), ("s", "STEAL%"), ("e", "EXITS/S"), ("m", r"MEM\(MiB\)"),
                ("a", "SHARE%"), ("u", "UTIL%"), ("w", "WAIT%"), ("t", "THROT%"), ("b", "BURSTS/S"),
                ("c", "SLICES/S"), ("o", r"RESP\(us\)"), ("5", r"P50\(us\)"), ("p", r"P99\(us\)"),
                ("T", r"TURN\(us\)"), ("S", "STATE"), ("r", "RUN%")):
    t.key(c)
    check(t.shows(f"sorted by {head}, reversed$"), f"{c} sorts by {head}", s.text())
t.key("v")
check(t.shows(r"SHARE%.*UTIL%.*WAIT%.*THROT%.*BURSTS/S.*NAME$") and "HOST%" not in s.line(3),
      "v shows the next third", s.text())
t.key("v")
check(t.shows(r"SLICES/S.*RESP.*P50.*P99.*TURN.*NAME$") and "WAIT%" not in s.line(3),
      "and the last one", s.text())
t.key("v")
check(t.shows(r"HOST%") and "TURN" not in s.line(3), "and the first one again", s.text())
t.resize(24, 132)
check(t.shows(r"HOST%.*WAIT%.*NAME$") and "TURN" not in s.line(3), "a wider terminal shows two of them",
      s.text())
t.resize(24, 170)
check(t.shows(r"HOST%.*WAIT%.*TURN.*NAME$"), "a very wide one all of it", s.text())
t.resize(6, 40)
check(t.shows(r"^2 VMs.*\n.*\n\n +ID") and rows_shown(s) <= 2, "a small one as much as fits", s.text())
t.resize(2, 10)
time.sleep(0.5)
t.read(0.5)
t.resize(24, 80)
check(t.shows(r"running +mine$") and rows_shown(s) == 2, "from the smallest it recovers", s.text())
t.key("q")
check(t.ends() == 0, "q ends it")
check(not s.colours and not s.unknown, "no colour, nothing that a VT100 does not know",
      s.colours, s.unknown)

t = Terminal(24, 80, "-s", "1", "-n", "2")
check(t.ends() == 0 and b"mine" in t.out, "-n ends it by itself", t.out)

t = Terminal(24, 80, "-s", "1")
t.shows(r"running +mine$")
os.kill(t.pid, signal.SIGINT)
check(t.ends() is not None, "it can be interrupted")

t = Terminal(24, 80, "-s", "1", "-n", "2", term="dumb")
check(t.ends() == 0 and t.out.count(b"NAME") == 2 and b"\x1b" not in t.out,
      "where the cursor can't be moved it prints pages", t.out)

r = subprocess.run([vmctl, "top", "-s", "1", "-n", "2"], stdin=subprocess.DEVNULL,
                   capture_output=True, timeout=60)
lines = r.stdout.decode().splitlines()
check(r.returncode == 0 and r.stdout.count(b"NAME") == 2 and b"\x1b" not in r.stdout and
      all(w in lines[0] for w in ("RUN%", "EXITS/S", "WAIT%", "P99(us)", "TURN(us)", "STATE")),
      "piped, it prints pages of plain text with all columns", r.stdout.decode())
r = subprocess.Popen([vmctl, "top", "-s", "1"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
r.stdout.readline()
r.stdout.close()
check(r.wait(PATIENCE) != 0, "it ends when nobody reads its pipe")
conclude()
