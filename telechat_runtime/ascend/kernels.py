# SPDX-License-Identifier: Apache-2.0
"""Which kernels a server has, oldest first, and for which of them the driver's module was built."""

from __future__ import annotations

import glob
import os
import re
from typing import List, Optional, Tuple

KernelKey = Tuple[Tuple[int, int, str], ...]

_IMAGE = re.compile(r"vmlinu[xz]-(?P<release>.+)")
# dracut's rescue image boots on no server by itself; the others are what package managers keep aside.
_NO_KERNEL = re.compile(r"0-rescue\b|.*\.(old|bak|hmac|rpmsave|dpkg-bak|dpkg-tmp)$")
_PIECE = re.compile(r"\d+|[a-z]+|~", re.IGNORECASE)
# Where DKMS (updates, updates/dkms, extra) and a Direct installation (updates) put modules; weak-updates has links to
# those of another kernel with the same symbols.
_MODULE_FOLDERS = ("updates", "extra", "weak-updates")
_MODULE = re.compile(r"drv_pcie_host\.ko(\.(xz|zst|gz))?$")


def installed_kernels(root: str = "/") -> List[str]:
    """Return the releases with an image in /boot, oldest first."""
    paths = glob.glob(os.path.join(root, "boot/vmlinu[xz]-*"))
    releases = {release for release in map(kernel_of, paths) if release and not _NO_KERNEL.match(release)}
    return sorted(releases, key=kernel_key)


def kernel_key(release: str) -> KernelKey:
    """Return a key that sorts releases as the boot loader's generator does: digits as numbers, 6.8-rc1 before 6.8."""
    pieces = _PIECE.findall(re.sub(r"[-.](?=rc\d|pre\d)", "~", release, flags=re.IGNORECASE))
    # The end of a release stands between a tilde and everything else; a number stands above a word.
    key = [(-1, 0, "") if piece == "~" else _piece_key(piece) for piece in pieces]
    return (*key, (0, 0, ""))


def kernel_of(path: str) -> Optional[str]:
    """Return the release of a kernel image by its path, or None where it is no kernel image."""
    match = _IMAGE.match(os.path.basename(path))
    return match.group("release") if match else None


def module_file(kernel: str, root: str = "/") -> Optional[str]:
    """Return the path of the driver's PCIe module for a kernel, or None. Modules of a kernel's own are not searched."""
    for name in _MODULE_FOLDERS:
        for folder, _, files in os.walk(os.path.join(root, "lib/modules", kernel, name)):
            for file in files:
                path = os.path.join(folder, file)
                # A link of weak-updates may have lost its target.
                if _MODULE.match(file) and _exists(path, root):
                    return path
    return None


def has_headers(kernel: str, root: str = "/") -> bool:
    """Return whether modules can be built for a kernel."""
    path = os.path.join(root, "lib/modules", kernel, "build")
    return os.path.isdir(path) or (os.path.islink(path) and os.path.isdir(_within(root, path)))


def _piece_key(piece: str) -> Tuple[int, int, str]:
    return (2, int(piece), "") if piece.isdigit() else (1, 0, piece)


def _exists(path: str, root: str) -> bool:
    return os.path.exists(path) or (os.path.islink(path) and os.path.exists(_within(root, path)))


def _within(root: str, link: str) -> str:
    """Return the target of an absolute link below a root folder that is not /."""
    return os.path.join(root, os.readlink(link).lstrip("/"))
