# SPDX-License-Identifier: Apache-2.0
"""What the lab needs of this machine."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from lab.errors import LabError

# Tool -> Debian package.
TOOLS = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "gcc": "gcc",  # builds what moves a job's clock in tests
    "gpg": "gpg",
    "gpgconf": "gpgconf",
    "gpg-agent": "gpg-agent",
    "ip": "iproute2",
    "lspci": "pciutils",  # reads the simulated bus in tests
    "makeself": "makeself",
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "systemd-nspawn": "systemd-container",
    "unshare": "util-linux",
}
# Files without a command of their own -> Debian package.
FILES = {
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}


def packages(*, missing_only: bool) -> list[str]:
    """Return the Debian packages that bring all tools, or those whose tools are missing here."""
    found = {package for tool, package in TOOLS.items() if not missing_only or shutil.which(tool) is None}
    found |= {package for path, package in FILES.items() if not missing_only or not Path(path).exists()}
    if not missing_only or find_spec("ensurepip") is None:
        # For the virtual environment of the checkout: Debian packs it apart from this interpreter.
        found.add(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
    return sorted(found)


def check() -> None:
    """Raise LabError when this user or this machine cannot have a lab."""
    if os.geteuid() != 0:
        raise LabError("a lab makes namespaces and mounts: run it as root")
    missing = {tool: package for tool, package in TOOLS.items() if shutil.which(tool) is None}
    if missing:
        names = " ".join(sorted(set(missing.values())))
        raise LabError(f"missing here: {', '.join(sorted(missing))}; apt-get install {names}")
