# SPDX-License-Identifier: Apache-2.0
"""Make a host as it comes from the data centre: hardware, disk layer, identity. It has not booted yet."""

from __future__ import annotations

import json
import platform
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from lab import files, host_files, kernels
from lab.cgroup import ROOT, hierarchies
from lab.process import run
from lab.repository import KEY_FILE
from lab.ssh import known_hosts_line
from lab.vendor import hardware

if TYPE_CHECKING:
    from lab.layout import Host, Lab
    from lab.supervisor import BootSettings


_HOST_KEY = "etc/ssh/ssh_host_ed25519_key"


def make_key(path: Path, comment: str) -> None:
    """Make an SSH key pair if there is none."""
    if not path.with_suffix(".pub").exists():
        path.unlink(missing_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])


def make(lab: Lab, host: Host, *, base: Path, apt: Path, chips: int, light: bool) -> bool:
    """Make the host's folder in one step; return whether it was missing."""
    if host.folder.is_dir():
        return False
    part = host.folder.with_name(f".{host.name}.part")
    if part.exists():
        files.remove_tree(part)
    for name in ("root", "hardware/bus/pci/devices"):
        (part / name).mkdir(parents=True)
    (part / "root").chmod(0o755)
    hardware.create(part / "hardware", chips)
    make_key(part / "host_key", f"root@{host.name}")
    _make_disk(lab, host, part, base=base, apt=apt, key=(part / "host_key").read_text(), light=light)
    (part / "host_key").unlink()
    part.rename(host.folder)
    return True


def empty_disk(lab: Lab, host: Host, *, base: Path, apt: Path, light: bool) -> None:
    """Give a host that is off an empty disk; who it is for SSH stays."""
    key = (host.upper / _HOST_KEY).read_text()
    for name in ("upper", "work", "docker"):
        files.remove_tree(host.folder / name)
    _make_disk(lab, host, host.folder, base=base, apt=apt, key=key, light=light)


def _make_disk(lab: Lab, host: Host, folder: Path, *, base: Path, apt: Path, key: str, light: bool) -> None:
    for name in ("upper", "work", "docker"):
        (folder / name).mkdir()
    (folder / "upper").chmod(0o755)
    contents = {
        **host_files.identity(
            host,
            authorized_key=lab.key.with_suffix(".pub").read_text(),
            host_key=key,
            host_key_public=(folder / "host_key.pub").read_text(),
            machine_id=uuid.uuid4().hex,
        ),
        **host_files.package_source((apt / KEY_FILE).read_text()),
        **kernels.running(platform.release()),
        **(host_files.service_manager() if light else _for_systemd()),
    }
    host_files.write(folder / "upper", base / "root", contents)


def _for_systemd() -> dict[str, host_files.File]:
    """Return what systemd and a Docker engine need in a host of this machine."""
    return {
        **host_files.pci_bus(machine_has_pci=Path("/sys/bus/pci/devices").is_dir()),
        **host_files.docker_workarounds(
            cgroup_v1=hierarchies() != [ROOT],
            can_raise_limits=host_files.machine_can_raise_limits(Path("/proc/self/status").read_text()),
        ),
    }


def write_boot_settings(host: Host, settings: BootSettings) -> bool:
    """Say what the next boot takes; return whether that changed."""
    return files.write_atomically(host.boot_settings, json.dumps(asdict(settings)) + "\n")


def write_known_hosts(lab: Lab, hosts: list[Host]) -> bool:
    """Write the host keys of all hosts; return whether anything changed."""
    lines = [known_hosts_line(host, (host.folder / "host_key.pub").read_text()) for host in hosts]
    return files.write_atomically(lab.known_hosts, "".join(lines))
