# SPDX-License-Identifier: Apache-2.0
"""Who uses a host's NPUs, or changes their HDK, right now: processes, containers, installers. Changes nothing."""

from __future__ import annotations

import glob
import json
import os
import re
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from ansible.module_utils.ascend.docker_inspect import PARAMETERS_LABEL, found_objects
from ansible.module_utils.command_result import Run
from ansible.module_utils.hdk.run import HdkRun
from ansible.module_utils.hdk.state import ASCEND_HOME, MANAGER, SHARED_DEVICES, Container, Holder, Installer

_NPU_DEVICE = re.compile(r"/dev/davinci\d+$")
# Whoever stops the service that logins run in, or a user's own manager, locks people out: these name no culprit.
_SERVICE = re.compile(r"/(?!sshd?[@.]|user@)([^/]+\.service)(?:/|$)", re.MULTILINE)
# How often, and seconds apart, a process that has only a shared device open is looked for again.
_LOOKS, _PAUSE_SECONDS = 4, 1
_NPU_NODES = "dev/davinci[0-9]*"
_CONTAINER_ID = re.compile(r"\b[0-9a-f]{64}\b")
_DRIVER_MOUNT = re.compile(re.escape(ASCEND_HOME) + r"/(?:driver|firmware)(?:/|$)|.*/npu-smi$")
_SHELLS = ("sh", "bash", "dash")
_PACKAGE = re.compile(r"(?:.*/)?(?:Ascend|Atlas)[^/]*-(?:driver|firmware)[^/]*\.run")
_UNINSTALL = re.compile(r".*/(?:driver|firmware)/script/uninstall\.sh")
# proc(5): fields after the name, which may hold blanks and ends with the last bracket.
_PARENT, _SESSION = 1, 3


def holders(run: Run, root: str = "/") -> List[Holder]:
    """Return the processes that have the driver open, in containers too; all of them only for root."""
    found = []
    names: Dict[str, str] = {}
    for pid, device in _pids_with_driver(root):
        command = (_read(os.path.join(root, "proc", str(pid), "comm")) or "?").strip()
        cgroup = _read(os.path.join(root, "proc", str(pid), "cgroup")) or ""
        match, service = _CONTAINER_ID.search(cgroup), _SERVICE.search(cgroup)
        container = None
        if match:
            identity = match.group(0)
            if identity not in names:
                answer = run(["docker", "inspect", "--format", "{{.Name}}", identity])
                names[identity] = answer.stdout.strip().lstrip("/") if answer.rc == 0 else identity[:12]
            container = names[identity]
        unit = service.group(1) if service and not container else None
        found.append(Holder(pid=pid, name=command, container=container, device=device, service=unit))
    return found


def lasting_holders(run: Run, root: str = "/", sleep: Callable[[float], None] = time.sleep) -> List[Holder]:
    """Return the processes that have an NPU open, and those that keep opening what all NPUs share.

    An npu-smi of an administrator passes; one that a monitoring agent starts again and again is met more than once, be
    it as another process.
    """
    met: Dict[Tuple[str, Optional[str], Optional[str]], List[Holder]] = {}
    for look in range(_LOOKS):
        if look:
            sleep(_PAUSE_SECONDS)
        for holder in {(h.name, h.service, h.container): h for h in holders(run, root)}.values():
            met.setdefault((holder.name, holder.service, holder.container), []).append(holder)
    last = holders(run, root)
    again = [seen[-1] for seen in met.values() if len(seen) > 1 and not seen[-1].has_npu()]
    return [holder for holder in last if holder.has_npu()] + again


def containers(run: Run, root: str = "/") -> List[Container]:
    """Return docker's running containers that have to do with the NPUs or the driver, by name."""
    identities = run(["docker", "ps", "--quiet", "--no-trunc"]).stdout.split()
    if not identities:
        return []
    # One that ended since is left out of the answer, which then has a return code of its own.
    answer = run(["docker", "inspect", *identities])
    found = [_container(item, root) for item in found_objects(*answer) or []]
    return sorted((container for container in found if container), key=lambda container: container.name)


def _container(item: Dict[str, Any], root: str) -> Optional[Container]:
    pid = (item.get("State") or {}).get("Pid")
    devices = bool(pid and glob.glob(os.path.join(root, "proc", str(pid), "root", _NPU_NODES)))
    mounts = [str(mount.get("Source")) for mount in item.get("Mounts") or []]
    refused = MANAGER in json.dumps(item)
    if not devices and not refused and not any(_DRIVER_MOUNT.match(source) for source in mounts):
        return None
    labels = (item.get("Config") or {}).get("Labels") or {}
    name = str(item.get("Name") or item["Id"][:12]).lstrip("/")
    return Container(id=item["Id"], name=name, devices=devices, refused=refused, ours=PARAMETERS_LABEL in labels)


def installers(root: str = "/") -> List[Installer]:
    """Return the running installers and uninstall scripts of driver and firmware, each once, with its first process."""
    # A run starts each command in a session of its own, which has the number of its first process.
    own_session = (HdkRun(root).state().get("current") or {}).get("pid")
    found: Dict[int, str] = {}
    for folder in sorted(glob.glob(os.path.join(root, "proc/[0-9]*")), key=lambda path: int(os.path.basename(path))):
        words = (_read(os.path.join(folder, "cmdline")) or "").split("\0")
        program = _installer(words)
        if program:
            found[int(os.path.basename(folder))] = program
    stats = {pid: _stat(pid, root) for pid in found}
    return [
        Installer(pid=pid, command=found[pid], ours=own_session is not None and stat[_SESSION] == str(own_session))
        for pid, stat in stats.items()
        if len(stat) > _SESSION and not (stat[_PARENT].isdigit() and int(stat[_PARENT]) in found)
    ]


def _installer(words: List[str]) -> Optional[str]:
    """Return the package or script that a command line runs, be it as the argument of a shell."""
    programs = words[1:2] if os.path.basename(words[0]) in _SHELLS else words[:1]
    if any(_PACKAGE.fullmatch(program) or _UNINSTALL.fullmatch(program) for program in programs):
        return programs[0]
    return None


def _stat(pid: int, root: str) -> List[str]:
    return (_read(os.path.join(root, "proc", str(pid), "stat")) or "").rpartition(")")[2].split()


def _pids_with_driver(root: str) -> Iterator[Tuple[int, str]]:
    for folder in sorted(glob.glob(os.path.join(root, "proc/[0-9]*"))):
        try:
            targets = sorted(os.readlink(entry.path) for entry in os.scandir(os.path.join(folder, "fd")))
        except OSError:
            continue  # the process has ended meanwhile, or belongs to somebody else
        devices = [target for target in targets if _NPU_DEVICE.match(target)]
        devices += [target for target in targets if target in SHARED_DEVICES]
        if devices:
            yield int(os.path.basename(folder)), devices[0]


def _read(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return None
