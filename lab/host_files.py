# SPDX-License-Identifier: Apache-2.0
"""What a host's own layer holds over the base image, as data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.layout import HARDWARE, HUB_ADDRESS

if TYPE_CHECKING:
    from lab.layout import Host

RUNTIME_NAME = "lab-runc"
CAP_SYS_RESOURCE = 24  # capabilities(7), linux/capability.h

_SYSTEM = "etc/systemd/system"


@dataclass(frozen=True, kw_only=True)
class File:
    """One file: its text, or the target of a symbolic link."""

    text: str = ""
    mode: int = 0o644
    link: str | None = None


def machine_can_raise_limits(status: str) -> bool:
    """Tell from /proc/self/status whether this machine's processes may have CAP_SYS_RESOURCE at all."""
    for line in status.splitlines():
        if line.startswith("CapBnd:"):
            return bool(int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1)
    return False


def identity(
    host: Host, *, authorized_key: str, host_key: str, host_key_public: str, machine_id: str
) -> dict[str, File]:
    """Return name, keys and machine id: what makes this host a host of its own."""
    return {
        "etc/hostname": File(text=f"{host.name}\n"),
        "etc/hosts": File(text=f"127.0.0.1 localhost\n::1 localhost\n{host.address} {host.name}\n"),
        "etc/machine-id": File(text=f"{machine_id}\n", mode=0o444),
        "etc/ssh/ssh_host_ed25519_key": File(text=host_key, mode=0o600),
        "etc/ssh/ssh_host_ed25519_key.pub": File(text=host_key_public),
        "root/.ssh/authorized_keys": File(text=authorized_key, mode=0o600),
    }


def package_source(repository_key: str) -> dict[str, File]:
    """Return the host's only source of packages and the key that its signatures are checked with."""
    source = f"Types: deb\nURIs: http://{HUB_ADDRESS}/apt\nSuites: ./\nSigned-By: /etc/apt/keyrings/lab.asc\n"
    return {
        "etc/apt/sources.list.d/lab.sources": File(text=source),
        "etc/apt/keyrings/lab.asc": File(text=repository_key),
    }


def pci_bus(*, machine_has_pci: bool) -> dict[str, File]:
    """Return the mount unit that shows the simulated PCI devices in /sys.

    A unit, since systemd-nspawn mounts its /sys over any --bind below it. A machine without a PCI bus has no
    /sys/bus/pci to mount on: there the whole of /sys/bus is the simulated one.
    """
    where, unit = ("/sys/bus/pci/devices", "sys-bus-pci-devices") if machine_has_pci else ("/sys/bus", "sys-bus")
    what = HARDWARE + where.removeprefix("/sys")
    text = (
        f"[Unit]\nDescription=Simulated PCI devices\nDefaultDependencies=no\nConditionPathIsMountPoint={HARDWARE}\n"
        f"Before=local-fs.target\n\n[Mount]\nWhat={what}\nWhere={where}\nOptions=bind,ro\n"
    )
    return {
        f"{_SYSTEM}/{unit}.mount": File(text=text),
        f"{_SYSTEM}/local-fs.target.wants/{unit}.mount": File(link=f"../{unit}.mount"),
    }


def docker_workarounds(*, cgroup_v1: bool, can_raise_limits: bool) -> dict[str, File]:
    """Return what a Docker engine needs to run in a host of this machine; nothing of Docker itself."""
    files: dict[str, File] = {}
    settings = []
    if cgroup_v1:
        # systemd-nspawn mounts the version 1 hierarchies read-only.
        settings.append(
            "ExecStartPre=-/bin/sh -c 'for folder in /sys/fs/cgroup/*/; do mount -o remount,bind,rw $$folder; done'"
        )
    if not can_raise_limits:
        settings += ["LimitNOFILE=", "LimitNPROC=", "LimitCORE=", "OOMScoreAdjust="]
        runtime = {
            "default-runtime": RUNTIME_NAME,
            "runtimes": {RUNTIME_NAME: {"path": f"/usr/local/sbin/{RUNTIME_NAME}"}},
        }
        files["etc/docker/daemon.json"] = File(text=json.dumps(runtime, indent=1) + "\n")
        files[f"usr/local/sbin/{RUNTIME_NAME}"] = File(
            text=(Path(__file__).parent / "oci_runtime.py").read_text(), mode=0o755
        )
    if settings:
        text = "\n".join(["[Service]", *settings, ""])
        for service in ("docker", "containerd"):
            files[f"{_SYSTEM}/{service}.service.d/lab.conf"] = File(text=text)
    return files


def service_manager() -> dict[str, File]:
    """Return what stands for systemd on a light host, under the names that Debian has for it."""
    # reboot, poweroff, halt and shutdown are links to systemctl in the base image.
    text = (Path(__file__).parent / "light/service_manager.py").read_text()
    return {"usr/bin/systemctl": File(text=text, mode=0o755), "usr/sbin/init": File(link="../bin/systemctl")}


def write(upper: Path, lower: Path, files: dict[str, File]) -> None:
    """Write files into a host's own layer; a folder that the base image has keeps its mode there."""
    for name, file in files.items():
        path = upper / name
        missing = [parent for parent in path.relative_to(upper).parents if not (upper / parent).is_dir()]
        for parent in reversed(missing):
            below = lower / parent
            (upper / parent).mkdir()
            (upper / parent).chmod(below.stat().st_mode & 0o7777 if below.is_dir() else 0o755)
        if file.link is not None:
            path.symlink_to(file.link)
        else:
            path.touch(mode=0o600)
            path.write_text(file.text)
            path.chmod(file.mode)
    ssh = upper / "root/.ssh"
    if ssh.is_dir():
        ssh.chmod(0o700)
