# SPDX-License-Identifier: GPL-2.0
#
# What the Python programs here report by: a line of TAP for each check.

import sys

tests = failed = 0


def check(good, what, *seen):
    """One line; and, where it is not good, what was seen instead."""
    global tests, failed
    tests += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {tests} - {what}", flush=True)
    for s in seen if not good else ():
        print("\n".join("# " + line for line in str(s).splitlines()), flush=True)


def conclude():
    print(f"1..{tests}")
    sys.exit(failed != 0)
