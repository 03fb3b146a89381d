#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# Is what vmctl prints as JSON what Documentation/vmctl.schema.json says?
#
#   check_json.py VMCTL SCHEMA
#
# And is what vmctl metrics prints the text format of Prometheus? The VM "mine" and a QEMU's run. TAP.

import json
import re
import subprocess
import sys
import time

import jsonschema

from tap import check, conclude

vmctl, schema = sys.argv[1], json.load(open(sys.argv[2]))


def validator(name):
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]})


def valid(name, text, what):
    try:
        value = json.loads(text)
        errors = [f"{'/'.join(map(str, e.path))}: {e.message}"
                  for e in validator(name).iter_errors(value)]
    except ValueError as e:
        value, errors = None, [str(e)]
    check(not errors, what, *errors, text)
    return value


def run(*args):
    return subprocess.run([vmctl, *args], capture_output=True, timeout=60).stdout.decode()


def check_metrics(text):
    """Samples follow their TYPE, names of one metric stand together, no sample comes twice."""
    sample = re.compile(r'([a-z_:][a-z0-9_:]*)(\{[a-z_]+="[^"\\\n]*"(?:,[a-z_]+="[^"\\\n]*")*\})? \d+$')
    types, seen, wrong = {}, set(), []
    now = None
    for line in text.splitlines():
        m = re.match(r"# TYPE (\S+) (counter|gauge)$", line)
        if m:
            now = m.group(1)
            if now in types or (m.group(2) == "counter") != now.endswith("_total"):
                wrong.append(line)
            types[now] = m.group(2)
            continue
        m = sample.match(line)
        if not m or m.group(1) != now or line.rsplit(" ", 1)[0] in seen:
            wrong.append(line)
        seen.add(line.rsplit(" ", 1)[0])
    check(not wrong, "vmctl metrics is what Prometheus reads", *wrong)
    check(len([s for s in seen if s.startswith("lhv_vm_info")]) == 2 and
          "lhv_vm_run_ns_total" in types and "lhv_vm_exits_total" in types and
          types.get("lhv_vm_resident") == "gauge", "it has both VMs and their counters", types)


jsonschema.Draft202012Validator.check_schema(schema)
check_metrics(run("metrics"))
ear = subprocess.Popen([vmctl, "events", "--json"], stdout=subprocess.PIPE)
time.sleep(0.5)
for args, name in ((["status"], "status"), (["status", "-v"], "status"), (["stats", "mine"], "stats"),
                   (["stats", "mine", "0"], "stats"), (["host"], "host"), (["sched"], "sched"),
                   (["sched", "-s", "1"], "sched"),
                   (["device", "list"], "devices")):
    valid(name, run(*args, "--json"), "vmctl " + " ".join(args))
value = valid("status", run("status", "-v", "--json", "mine"), "vmctl status of one")
check(value and len(value["vms"]) == 1 and value["vms"][0]["console"] and
      value["vms"][0]["vcpu"][0]["thread"], "it has the VM's console and thread", value)
with open("/sys/module/lhv/parameters/latency", "w") as f:
    f.write("1")
time.sleep(0.2)
value = valid("stats", run("stats", "-v", "--json", "mine"), "vmctl stats with latencies")
check(value and value["latency_log2_ns"], "they are there", value)
with open("/sys/module/lhv/parameters/latency", "w") as f:
    f.write("0")
for args in (["pause", "mine"], ["unpause", "mine"], ["stop", "-fw", "mine"]):
    run(*args)
time.sleep(0.5)
ear.terminate()
lines = ear.stdout.read().decode().splitlines()
for line in lines:
    valid("event", line, f"vmctl events, {json.loads(line)['event']}")
# vmctl host tries whether a VM can be made.
mine = [e["event"] for e in map(json.loads, lines) if e.get("name") == "mine"]
check(mine == ["paused", "resumed", "stopped"], "all events came", lines)
# The schema is not one that takes anything.
check(not validator("event").is_valid({"event": "paused"}) and
      not validator("status").is_valid({"vms": [{}]}), "what is not so is refused")
conclude()
