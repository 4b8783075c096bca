# SPDX-License-Identifier: Apache-2.0
"""`node versions`: what is installed where this runs, and how it fits the version matrix.

In a container that is the mounted driver, CANN and the Python packages of this interpreter; on the server itself it is
driver and firmware. Nothing is imported to learn its version: MindSpore alone would take seconds.
"""

from __future__ import annotations

import dataclasses
import functools
import glob
import hashlib
import importlib.metadata
import os
import platform
import re
import sys
from typing import Any, Callable, Dict, Optional

from telechat_runtime import __version__
from telechat_runtime.ascend.version_info import parse_key_values
from telechat_runtime.versions.advice import advise
from telechat_runtime.versions.judge import ASCEND
from telechat_runtime.versions.matrix import Versions

HDK_FOLDER = "/usr/local/Ascend"
# The folders that CANN is installed in: until 8.3, and since 8.5.
_TOOLKITS = ("ascend-toolkit/latest", "cann")
_TOOLKIT_INFO = "*-linux/ascend_toolkit_install.info"
# Before 2.0 the wheel for Ascend had a name of its own.
_MINDSPORE_NAMES = ("mindspore", "mindspore-ascend")
_VERSION_LINE = re.compile(r"""^__version__\s*=\s*['"](?P<version>[^'"]+)['"]""", re.MULTILINE)
_MAX_BYTES = 1 << 20


def run(request: Dict[str, Any], out: Callable[[Dict[str, Any]], None]) -> int:
    """Write what is installed, and how it fits the matrix."""
    found = look(request)
    versions = Versions(**found["versions"])
    out({**found, "matrix": advise(versions, request.get("device_target") or ASCEND).as_dict()})
    return 0


def look(request: Dict[str, Any]) -> Dict[str, Any]:
    """Return what is installed.

    The request may name `hdk_folder`, `tree` (a TeleChat2 tree goes before the MindFormers wheel), `env_script` (CANN
    lies beside it), and `firmware_info`, the text of the firmware's version.info where its file is out of sight.
    """
    folder = request.get("hdk_folder") or HDK_FOLDER
    driver = _pairs(_text(os.path.join(folder, "driver", "version.info")))
    firmware = _pairs(request.get("firmware_info") or _text(os.path.join(folder, "firmware", "version.info")))
    versions = Versions(
        driver=driver.get("Version"),
        firmware=firmware.get("Version"),
        firmware_release=firmware.get("package_version"),
        driver_accepts=driver.get("compatible_version_fw"),
        firmware_accepts=firmware.get("compatible_version_drv"),
        cann=_cann(folder, request.get("env_script")),
        mindspore=next(filter(None, map(_package, _MINDSPORE_NAMES)), None),
        mindformers=_tree(request.get("tree")) or _package("mindformers"),
    )
    return {
        "versions": dataclasses.asdict(versions),
        "runtime": {"version": __version__, "sha256": _own_sha256()},
        "python": platform.python_version(),
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "architecture": platform.machine(),
        "kernel": platform.release(),
    }


def _cann(hdk_folder: str, env_script: Optional[str]) -> Optional[str]:
    folders = [os.environ.get("ASCEND_TOOLKIT_HOME"), *(os.path.join(hdk_folder, folder) for folder in _TOOLKITS)]
    if env_script:
        beside = os.path.dirname(env_script)
        folders[1:1] = [os.path.join(beside, "latest"), beside]
    for folder in filter(None, folders):
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), _TOOLKIT_INFO))):
            version = _pairs(_text(path)).get("version")
            if version:
                return version
    return None


def _package(name: str) -> Optional[str]:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _tree(tree: Optional[str]) -> Optional[str]:
    match = _VERSION_LINE.search(_text(os.path.join(tree, "mindformers", "__init__.py"))) if tree else None
    return match.group("version") if match else None


def _own_sha256() -> Optional[str]:
    """Return the checksum of the zipapp that this runs from; None when it runs from a folder."""
    archive = os.path.abspath(sys.argv[0])
    if not os.path.isfile(archive) or not archive.endswith(".pyz"):
        return None
    digest = hashlib.sha256()
    with open(archive, "rb") as stream:
        for block in iter(functools.partial(stream.read, _MAX_BYTES), b""):
            digest.update(block)
    return digest.hexdigest()


def _pairs(text: str) -> Dict[str, str]:
    return {name: value for name, value in parse_key_values(text).items() if value}


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(_MAX_BYTES)
    except OSError:
        return ""
