# SPDX-License-Identifier: Apache-2.0
"""The systemd-nspawn command of a host's boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.layout import HARDWARE, MINDSPORE_ENV, STORAGE
from lab.network import NAMESPACES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lab.layout import Host

# How systemd-nspawn says that its host asked for a reboot; it ends with 0 when the host was switched off.
REBOOT = 133

# Docker sets network parameters: /proc/sys/net has to be writable.
ENVIRONMENT: Mapping[str, str] = {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"}


def argv(host: Host, *, mindspore: Path | None) -> list[str]:
    """Return the command that boots a host and lasts until the host is off or reboots."""
    command = [
        "systemd-nspawn",
        "--quiet",
        "--boot",
        f"--directory={host.root}",
        f"--machine={host.netns}",
        f"--hostname={host.name}",
        # No machined here; the supervisor made the control group.
        "--register=no",
        "--keep-unit",
        f"--network-namespace-path={NAMESPACES / host.netns}",
        "--console=pipe",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        # A server's root may do anything to its server: make device nodes, mount, run containers of its own.
        "--capability=all",
        "--system-call-filter=add_key keyctl bpf",
        f"--bind={host.hardware}:{HARDWARE}",
        # overlay2 does not work on an overlay: Docker's data stands on a disk of its own, as on many servers.
        f"--bind={host.folder / 'docker'}:/var/lib/docker",
        f"--bind={host.storage}:{STORAGE}",
    ]
    if mindspore is not None:
        command.append(f"--bind-ro={mindspore}:{MINDSPORE_ENV}")
    return command
