# SPDX-License-Identifier: Apache-2.0
"""Who uses a host's NPUs, or changes their HDK, right now: processes, containers, installers. Changes nothing."""

from __future__ import annotations

import glob
import os
import re
from typing import Any, Dict, Iterator, List, Optional

from ansible.module_utils.ascend.docker_inspect import found_objects
from ansible.module_utils.command_result import Run
from ansible.module_utils.hdk.run import HdkRun
from ansible.module_utils.hdk.state import ASCEND_HOME, Container, Holder, Installer

_NPU_DEVICE = re.compile(r"/dev/davinci\d+$")
_NPU_NODES = "dev/davinci[0-9]*"
_CONTAINER_ID = re.compile(r"\b[0-9a-f]{64}\b")
_DRIVER_MOUNT = re.compile(re.escape(ASCEND_HOME) + r"/(?:driver|firmware)(?:/|$)|.*/npu-smi$")
_SHELLS = ("sh", "bash", "dash")
_PACKAGE = re.compile(r"(?:.*/)?(?:Ascend|Atlas)[^/]*-(?:driver|firmware)[^/]*\.run")
_UNINSTALL = re.compile(r".*/(?:driver|firmware)/script/uninstall\.sh")
# proc(5): fields after the name, which may hold blanks and ends with the last bracket.
_PARENT, _SESSION = 1, 3


def holders(run: Run, root: str = "/") -> List[Holder]:
    """Return the processes that have an NPU open, in containers too; all of them only for root."""
    found = []
    names: Dict[str, str] = {}
    for pid in _pids_with_npu(root):
        command = (_read(os.path.join(root, "proc", str(pid), "comm")) or "?").strip()
        match = _CONTAINER_ID.search(_read(os.path.join(root, "proc", str(pid), "cgroup")) or "")
        container = None
        if match:
            identity = match.group(0)
            if identity not in names:
                answer = run(["docker", "inspect", "--format", "{{.Name}}", identity])
                names[identity] = answer.stdout.strip().lstrip("/") if answer.rc == 0 else identity[:12]
            container = names[identity]
        found.append(Holder(pid=pid, name=command, container=container))
    return found


def containers(run: Run, root: str = "/") -> List[Container]:
    """Return docker's running containers that have an NPU's device node, or mount the driver, by name."""
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
    if not devices and not any(_DRIVER_MOUNT.match(source) for source in mounts):
        return None
    return Container(id=item["Id"], name=str(item.get("Name") or item["Id"][:12]).lstrip("/"), devices=devices)


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


def _pids_with_npu(root: str) -> Iterator[int]:
    for folder in sorted(glob.glob(os.path.join(root, "proc/[0-9]*"))):
        try:
            targets = [os.readlink(entry.path) for entry in os.scandir(os.path.join(folder, "fd"))]
        except OSError:
            continue  # the process has ended meanwhile, or belongs to somebody else
        if any(_NPU_DEVICE.match(target) for target in targets):
            yield int(os.path.basename(folder))


def _read(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return None
