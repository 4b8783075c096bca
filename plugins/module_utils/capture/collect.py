# SPDX-License-Identifier: Apache-2.0
"""Read of a server what this project's looks, parsers and planners live on. Changes nothing."""

from __future__ import annotations

import glob
import json
import os
import platform
import stat
import time
from typing import Any, Dict, Iterator, List, Optional

from ansible.module_utils.ascend import npu_smi
from ansible.module_utils.ascend.docker_inspect import found_objects
from ansible.module_utils.capture.scrub import Scrubber, names_in_hosts
from ansible.module_utils.command_result import Result, Run
from ansible.module_utils.hdk.facts import ASCEND_VENDOR, look_at_hdk
from ansible.module_utils.os_packages import operating_system

SCHEMA = 1
# Of a log the end is what tells.
MOST_BYTES_A_FILE = 64 * 1024

# Read whole, or their ends.
_FILES = (
    "etc/os-release",
    "etc/*-release",
    "etc/ascend_install.info",
    "etc/hccn.conf",
    "etc/default/docker",
    "etc/docker/daemon.json",
    "etc/sysconfig/docker*",
    "etc/systemd/system/docker.service.d/*",
    "lib/modules/*/build/include/config/kernel.release",
    "lib/systemd/system/docker*.s*",
    "lib/systemd/system/host_sys_init*",
    "proc/1/stat",
    "proc/modules",
    "proc/stat",
    "proc/sys/kernel/random/boot_id",
    "root/log/makeself/makeself.log",
    "run/ascend-hdk/run.json",
    "usr/local/Ascend/*/version.info",
    "usr/local/Ascend/version.info",
    "var/lib/ascend-hdk/record.json",
    "var/log/ascend_seclog/*.log",
)
# What they are and whose, not what is in them.
_LISTED = (
    "dev/davinci*",
    "dev/devmm_svm",
    "dev/hisi_hdc",
    "etc/init.d/host_sys_init*",
    "etc/rc*.d/*host_sys_init*",
    "lib/modules/*/build",
    "lib/modules/*/updates/**",
    "usr/local/Ascend",
    "usr/local/Ascend/*",
    "usr/local/Ascend/*/*",
    "usr/local/Ascend/*/*/*",
    "usr/local/bin/npu-smi",
    "usr/local/dcmi",
    "usr/local/sbin/npu-smi",
    "usr/bin/npu-smi",
    "usr/src/davinci_ascend-*",
    "var/lib/dkms/davinci_ascend",
    "var/lib/dkms/davinci_ascend/**",
)
_PCI_DEVICES = "sys/bus/pci/devices/*"
_PCI_FILES = ("vendor", "device", "class")
_COMMANDS = (
    ("uname", "-a"),
    ("npu-smi", "info", "-l"),
    ("npu-smi", "info", "-m"),
    ("lspci", "-nn", "-d", "19e5:"),
    ("dkms", "status"),
    ("df", "-P"),
    ("docker", "version"),
    ("systemctl", "show", "docker", "--property=ExecStart,FragmentPath,DropInPaths,EnvironmentFiles,ActiveState"),
    ("systemctl", "list-unit-files", "docker*", "host_sys_init*", "--no-pager"),
    ("getenforce",),
    ("chronyc", "tracking"),
)
_HCCN_TOOL = "/usr/local/Ascend/driver/tools/hccn_tool"
_HCCN_QUESTIONS = ("-ip", "-gateway", "-netdetect", "-link", "-net_health", "-tls", "-optical")
# Of `docker inspect`, whose other fields are the site's own business.
_CONTAINER_FIELDS = ("Devices", "Privileged", "RestartPolicy", "Ulimits", "NetworkMode", "IpcMode", "CapAdd", "Runtime")
_DEVICE_TEXT = "/dev/"


def capture(run: Run, os_packages: Dict[str, List[str]], root: str = "/") -> Dict[str, Any]:
    """Return the server as a document without names, addresses and serial numbers.

    `os_packages` are the role ascend_hdk's by family, as the look asks for them.
    """
    recorder = _Recorder(run, root)
    system = operating_system(root)
    facts = look_at_hdk(recorder.run, system.family, os_packages.get(system.family or "", []), None, root)
    for argv in _COMMANDS:
        recorder.run(list(argv))
    for chip in _chips(recorder.answers):
        for question in _HCCN_QUESTIONS:
            recorder.run([_HCCN_TOOL, "-i", str(chip), question, "-g"])
    recorder.containers()
    names = [platform.node(), platform.node().partition(".")[0]]
    scrubber = Scrubber([*names, *names_in_hosts(_text(os.path.join(root, "etc/hosts")) or "")])
    files = {path: dict(entry, text=scrubber.text(entry["text"])) for path, entry in _files(root)}
    return {
        "schema": SCHEMA,
        "platform": {
            "machine": platform.machine(),
            "release": platform.release(),
            "python": platform.python_version(),
            "system": [system.id, system.version, system.family],
        },
        # Which programs have an NPU open: no more of the processes is told.
        "holders": sorted({scrubber.text(holder.name) for holder in facts.holders}),
        "files": files,
        "listed": dict(_listed(root)),
        "commands": [
            dict(answer, stdout=scrubber.text(answer["stdout"]), stderr=scrubber.text(answer["stderr"]))
            for answer in recorder.answers
        ],
    }


class _Recorder:
    """Runs commands and keeps what they answered, each once, and how long it took."""

    def __init__(self, run: Run, root: str) -> None:
        self._run = run
        self._root = root
        self.answers: List[Dict[str, Any]] = []

    def run(self, argv: List[str]) -> Result:
        """Run a command of the look, and keep its answer."""
        began = time.monotonic()
        result = self._run(argv)
        self._keep(argv, result, time.monotonic() - began)
        return result

    def containers(self) -> None:
        """Ask for the running containers, and keep of each only what the HDK's look goes by."""
        identities = self.run(["docker", "ps", "--quiet", "--no-trunc"]).stdout.split()
        if identities:
            argv = ["docker", "inspect", *identities]
            began = time.monotonic()
            answer = self._run(argv)
            found = [_container(number, item) for number, item in enumerate(found_objects(*answer) or [])]
            reduced = Result(answer.rc, json.dumps(found), "")
            self._keep(argv, reduced, time.monotonic() - began)

    def _keep(self, argv: List[str], result: Result, seconds: float) -> None:
        # The root is `/` on a server; a test has another.
        words = [f"/{os.path.relpath(word, self._root)}" if os.path.isabs(word) else word for word in argv]
        self.answers.append(
            {
                "argv": words,
                "rc": result.rc,
                "stdout": result.stdout[-MOST_BYTES_A_FILE:],
                "stderr": result.stderr[-MOST_BYTES_A_FILE:],
                "seconds": round(seconds, 2),
            }
        )


def _chips(answers: List[Dict[str, Any]]) -> List[int]:
    tables = [answer["stdout"] for answer in answers if answer["argv"][1:] == ["info"] and answer["rc"] == 0]
    return sorted({status.npu_id for table in tables for status in npu_smi.parse_info(table)})


def _container(number: int, item: Dict[str, Any]) -> Dict[str, Any]:
    host_config = item.get("HostConfig") or {}
    labels = (item.get("Config") or {}).get("Labels") or {}
    return {
        "Id": item.get("Id"),
        "Name": f"/container{number}",
        "State": {"Pid": (item.get("State") or {}).get("Pid")},
        "HostConfig": {name: host_config.get(name) for name in _CONTAINER_FIELDS},
        "Mounts": [
            {name: mount.get(name) for name in ("Source", "Destination", "RW", "Propagation")}
            for mount in item.get("Mounts") or []
        ],
        # The installer searches the whole text for device files.
        "Config": {
            "Labels": {name: text if _DEVICE_TEXT in str(text) else "SCRUBBED" for name, text in labels.items()}
        },
    }


def _files(root: str) -> Iterator[Any]:
    for path in _found(_FILES, root):
        if os.path.isfile(path):
            entry = _entry(path)
            yield _name(path, root), dict(entry, text=_text(path) or "", cut=entry["bytes"] > MOST_BYTES_A_FILE)
    for folder in _found((_PCI_DEVICES,), root):
        if (_text(os.path.join(folder, "vendor")) or "").strip() == ASCEND_VENDOR:
            for name in _PCI_FILES:
                text = _text(os.path.join(folder, name))
                if text is not None:
                    yield _name(os.path.join(folder, name), root), {"text": text}


def _listed(root: str) -> Iterator[Any]:
    for path in _found(_LISTED, root):
        yield _name(path, root), _entry(path)


def _found(patterns: Any, root: str) -> List[str]:
    found = {
        path.rstrip("/") for pattern in patterns for path in glob.glob(os.path.join(root, pattern), recursive=True)
    }
    return sorted(path for path in found if os.path.lexists(path))


def _name(path: str, root: str) -> str:
    return f"/{os.path.relpath(path, root)}"


def _entry(path: str) -> Dict[str, Any]:
    found = os.lstat(path)
    entry = {
        "mode": stat.filemode(found.st_mode),
        "owner": [found.st_uid, found.st_gid],
        "bytes": found.st_size,
        "changed": round(found.st_ctime, 1),
    }
    return dict(entry, link=os.readlink(path)) if stat.S_ISLNK(found.st_mode) else entry


def _text(path: str) -> Optional[str]:
    """Return the end of a file; None when it can't be read. Files below /proc and /sys have no size."""
    try:
        with open(path, "rb") as stream:
            return stream.read()[-MOST_BYTES_A_FILE:].decode("utf-8", "replace")
    except OSError:
        return None
