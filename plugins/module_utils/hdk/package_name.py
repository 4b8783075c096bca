# SPDX-License-Identifier: Apache-2.0
"""What the file names of HDK packages say. Pure.

Huawei's names: Ascend-hdk-910b-npu_24.1.rc3_linux-aarch64.zip, Ascend-hdk-910b-npu-driver_24.1.rc3_linux-x86-64.run,
Ascend-hdk-910b-npu-firmware_7.5.0.1.129.run, and Atlas-A3-hdk-npu-… for Atlas A3. x86 is x86-64 or x86_64; a patched
driver may name no architecture at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional

ZIP = "zip"
DRIVER = "driver"
FIRMWARE = "firmware"

_PREFIX = r"(?:Ascend-hdk-(?P<chip>[A-Za-z0-9]+)|Atlas-(?P<atlas>A3)-hdk)"
_ARCHITECTURE = r"(?P<arch>aarch64|x86[-_]64)"
_PATTERNS = {
    ZIP: re.compile(rf"{_PREFIX}-npu_(?P<version>[^_]+(?:_sph\d+)?)_linux-{_ARCHITECTURE}\.zip"),
    DRIVER: re.compile(rf"{_PREFIX}-npu-driver_(?P<version>[^_]+(?:_sph\d+)?)_linux(?:-{_ARCHITECTURE})?\.run"),
    FIRMWARE: re.compile(rf"{_PREFIX}-(?:npu-)?firmware_(?P<version>[^_]+)\.run"),
}


@dataclass(frozen=True)
class PackageName:
    """Kind (zip, driver, firmware), chip in small letters, version, and architecture as uname -m names it."""

    file: str
    kind: str
    chip: str
    version: str
    architecture: Optional[str]


def parse_package_name(file: str) -> Optional[PackageName]:
    """Return what the name says, or None when it is no HDK package's."""
    for kind, pattern in _PATTERNS.items():
        match = pattern.fullmatch(file)
        if match:
            words = match.groupdict()
            architecture = words.get("arch")
            return PackageName(
                file=file,
                kind=kind,
                chip=(words["chip"] or words["atlas"]).lower(),
                version=words["version"],
                architecture=architecture.replace("-", "_") if architecture else None,
            )
    return None
