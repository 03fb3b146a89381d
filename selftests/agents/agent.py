#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# An agent that knows lhv by its specification alone: the kernel's own client of such
# specifications (tools/net/ynl) does every command, on VMs of vmctl and of QEMU at once.
#
#   agent.py YNL SPEC VMCTL-VM QEMU-PID
#
# YNL is the folder with the client's lib/ and the schema; VMCTL-VM the name of a VM that vmctl
# started, whose guest powers off when its button is pressed; QEMU-PID a QEMU's. Both VMs are gone
# afterwards. TAP.

import errno
import select
import sys
import time

ynl, spec, vmctl_name, qemu_pid = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
sys.path.insert(0, ynl)
from lib import NlError, YnlFamily
from tap import check, conclude

PATIENCE = 20
done = set()

nl = YnlFamily(spec, f"{ynl}/genetlink-legacy.yaml")
check(True, "the specification is valid by the kernel's schema")
ears = [YnlFamily(spec, "") for _ in range(2)]
ears[0].ntf_subscribe("vm")
ears[1].ntf_subscribe("vcpu")


def do(op, **attrs):
    done.add((op, "do"))
    return nl.do(op, {k.replace("_", "-"): v for k, v in attrs.items()})


def dump(op, **attrs):
    done.add((op, "dump"))
    return nl.dump(op, {k.replace("_", "-"): v for k, v in attrs.items()})


def refused(op, error, text, **attrs):
    try:
        do(op, **attrs)
    except NlError as e:
        said = e.nl_msg.extack.get("msg", "") if e.nl_msg.extack else ""
        check(-e.nl_msg.error == error and text in said, f"{op}: {errno.errorcode[error]}, {text}",
              e)
    else:
        check(False, f"{op} is refused", "it was not")


def event(ear, vm, name):
    """The next event of that VM; others' are passed over."""
    end = time.monotonic() + PATIENCE
    while True:
        while ear.async_msg_queue:
            e = ear.async_msg_queue.pop(0)["msg"]
            if e.get("id" if ear is ears[0] else "vm-id") == vm:
                check(e["event"] == name, f"event {name}", e)
                return e
        left = end - time.monotonic()
        if left <= 0:
            check(False, f"event {name}", "none came")
            return {}
        select.select([ear.sock], [], [], left)
        ear.check_ntf()


def await_that(what, fn):
    end = time.monotonic() + PATIENCE
    while not fn() and time.monotonic() < end:
        time.sleep(0.01)
    check(fn(), what)


def exits(vm):
    return do("stats-get", vm_id=vm)["total-exits"]


def look_around():
    host = do("host-get", verbose=True)
    check(host["backend"] in ("svm", "vmx") and host["api-version"] == 12 and host["vms"] >= 2 and
          "features" in host and host["last-vm-id"] >= 2, "host-get", host)
    check("features" not in do("host-get"), "host-get without verbose")
    vms = dump("vm-get")
    mine = [v for v in vms if v["name"] == vmctl_name]
    qemus = [v for v in vms if v["owner"]["pid"] == qemu_pid]
    check(len(mine) == len(qemus) == 1, "vm-get lists both VMMs' VMs", vms)
    mine, qemu = mine[0], qemus[0]
    check(mine["owner"]["comm"] == "vmctl" and qemu["owner"]["comm"].startswith("qemu-system"),
          "they are known by their VMMs' commands", mine, qemu)
    check(mine["owner"]["uid"] == 0 and mine["owner"]["start-time"] < qemu["owner"]["start-time"] and
          mine["owner"]["user-ns"] == qemu["owner"]["user-ns"], "and by their owners", mine, qemu)
    check(mine.get("can-stop") and not qemu.get("can-stop"), "who can be asked to stop", mine, qemu)
    check([v["id"] for v in vms] == sorted(v["id"] for v in vms), "in the order of their ids")
    for what in ({"id": qemu["id"]}, {"name": qemu["name"]}):
        check([v["id"] for v in dump("vm-get", **what)] == [qemu["id"]], f"filter {what}")
        check(do("vm-get", **what)["id"] == qemu["id"], f"vm-get of {what}")
    check(len(dump("vm-get", uid=0)) == len(vms) and not dump("vm-get", uid=54321), "filter uid")
    check(len(dump("vm-get", state="running")) >= 2 and not dump("vm-get", state="crashed"),
          "filter state")
    refused("vm-get", errno.ENOENT, "no VM of yours", id=host["last-vm-id"] + 1000)
    refused("vm-get", errno.EINVAL, "missing")
    return mine["id"], qemu["id"]


def steer(vm, who):
    await_that(f"{who}: its guest makes exits", lambda: exits(vm) > 0)
    old = do("vm-get", id=vm)["name"]
    do("vm-set", id=vm, name="agents")
    e = event(ears[0], vm, "renamed")
    check(e.get("name") == "agents" and e.get("old-name") == old, f"{who}: renamed", e)
    refused("vm-set", errno.EINVAL, "not a name", id=vm, name="a b")
    do("vm-set", id=vm, name=old)
    event(ears[0], vm, "renamed")

    do("vm-pause", id=vm)
    e = event(ears[0], vm, "paused")
    check(e.get("state") == "paused" and do("vm-get", id=vm)["state"] == "paused",
          f"{who}: paused", e)
    refused("vm-pause", errno.EALREADY, "paused already", id=vm)
    await_that(f"{who}: its vCPUs wait in KVM_RUN",
               lambda: all(v["state"] == "paused" for v in dump("vcpu-get", vm_id=vm)))
    before = exits(vm)
    time.sleep(0.05)
    check(exits(vm) == before, f"{who}: no exit while it is paused")
    do("vm-resume", id=vm)
    event(ears[0], vm, "resumed")
    refused("vm-resume", errno.EALREADY, "not paused", id=vm)
    await_that(f"{who}: it goes on", lambda: exits(vm) > before)

    vcpus = dump("vcpu-get", vm_id=vm)
    check(len(vcpus) == do("vm-get", id=vm)["vcpus"] and all("thread" in v for v in vcpus),
          f"{who}: vcpu-get", vcpus)
    one = do("vcpu-get", vm_id=vm, id=0)
    check(one["vm-id"] == vm and one["id"] == 0 and "cpu" in one, f"{who}: vcpu-get of one", one)
    refused("vcpu-get", errno.ENOENT, "no such vCPU", vm_id=vm, id=200)
    all_stats = do("stats-get", vm_id=vm)
    per_vcpu = dump("stats-get", vm_id=vm)
    check(len(per_vcpu) == len(vcpus) and all_stats["faults"] > 0 and all_stats["resident"] > 0 and
          sum(e["count"] for e in all_stats["exits"]) == all_stats["total-exits"] and
          all_stats["faults"] == sum(all_stats[k + "-faults"] for k in
                                     ("read", "write", "exec", "protected")),
          f"{who}: stats-get", all_stats)
    again = do("stats-get", vm_id=vm)
    levels = ("pages-4k", "pages-2m", "pages-1g", "resident", "tables", "dirty-pages", "vm-id",
              "exits")
    check(all(again[k] >= v for k, v in all_stats.items() if k not in levels),
          f"{who}: no counter goes back", all_stats, again)
    check(vm in [s["vm-id"] for s in dump("stats-get")], f"{who}: in the dump of all counters")


def schedule(vm):
    do("pool-set", name="agents", create=True, policy="rr")
    pool = do("pool-get", name="agents")
    check(pool["policy"] == "rr" and pool["vms"] == 0, "a pool is made", pool)
    check({0, pool["id"]} <= {p["id"] for p in dump("pool-get")}, "pool-get lists it")
    do("vm-set", id=vm, sched={"pool": pool["id"], "weight": 300})
    sched = do("vm-get", id=vm)["sched"]
    check(sched["pool"] == pool["id"] and sched["weight"] == 300, "vm-set moves the VM there", sched)
    refused("pool-set", errno.EBUSY, "", name="agents", remove=True)
    do("vm-set", id=vm, sched={"pool": 0, "weight": 100})
    do("pool-set", name="agents", remove=True)
    refused("pool-get", errno.ENOENT, "no such pool", name="agents")


def devices(vm):
    """No IOMMU in this machine: a look, and refusals."""
    all_of_them = dump("device-get")
    bridge = [d for d in all_of_them if d["class"] >> 8 == 0x0600]
    check(bridge and all("group" not in d and not d["isolated"] for d in all_of_them),
          "device-get lists the host's", all_of_them)
    other = [d for d in all_of_them if d["class"] >> 16 != 6][0]
    check(do("device-get", address=other["address"]) == other, "device-get of one", other)
    refused("device-get", errno.ENODEV, "no PCI device", address="0000:ff:1f.7")
    refused("device-bind", errno.EOPNOTSUPP, "no IOMMU", address=other["address"])
    refused("device-unbind", errno.ENODEV, "does not have it", address=other["address"])
    refused("device-attach", errno.ENODEV, "bind it first", address=other["address"], vm_id=vm)
    refused("device-attach", errno.ENOENT, "no VM of yours", address=other["address"],
            vm_id=vm + 1000)
    refused("device-detach", errno.ENODEV, "does not have it", address=other["address"], vm_id=vm)


def end(mine, qemu):
    refused("vm-stop", errno.EOPNOTSUPP, "cannot be asked", id=qemu)
    do("vm-stop", id=mine)
    event(ears[0], mine, "stop-requested")
    e = event(ears[0], mine, "stopped")
    check(e.get("reason") == "closed", "asked to, the guest of vmctl powers off", e)
    do("vm-kill", id=qemu)
    e = event(ears[0], qemu, "stopped")
    check(e.get("reason") == "killed", "QEMU's is killed", e)
    # It is listed until QEMU has closed it: a second request might find it gone.
    await_that("and QEMU notices", lambda: all(v["tables"] <= 4096 for v in dump("vm-get", id=qemu)))


vm, qemu = look_around()
for ids, who in ((vm, "vmctl"), (qemu, "QEMU")):
    steer(ids, who)
schedule(qemu)
devices(vm)
end(vm, qemu)
every = {(name, mode) for name, op in nl.ops.items() for mode in op.modes
         if mode in ("do", "dump")}
check(done >= every, "every command was done", every - done)
check({m for m in nl.mcast_groups} >= {"vm", "vcpu", "device"}, "all groups are in the specification")
conclude()
