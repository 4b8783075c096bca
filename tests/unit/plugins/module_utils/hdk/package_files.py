# SPDX-License-Identifier: Apache-2.0
"""Small HDK packages for tests: a makeself header, and behind it an archive with nothing but a version.info."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
import zipfile

DRIVER = "Ascend-hdk-910b-npu-driver_{}_linux-{}.run"
FIRMWARE = "Ascend-hdk-910b-npu-firmware_{}.run"
ZIP = "Ascend-hdk-910b-npu_{}_linux-{}.zip"

# gzip's header holds a time; a fixed one makes the same bytes each time.
COMPRESS = {"": bytes, "gz": lambda data: gzip.compress(data, mtime=0), "bz2": bz2.compress, "xz": lzma.compress}


def makeself(version_info, *, size=None, compression="gz", old_header=False):
    """Return a .run file's bytes; `size` is what its header claims instead of the truth."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, text in (("./install.sh", "exit 0\n"), ("./version.info", version_info)):
            if text is not None:
                entry = tarfile.TarInfo(name)
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text.encode()))
    content = COMPRESS[compression](archive.getvalue())
    lines = ["#!/bin/sh", f'filesizes="{len(content) if size is None else size}"']
    lines += ['offset=`head -n 4 "$0" | wc -c | tr -d " "`' if old_header else 'skip="4"', "exit 0", ""]
    return "\n".join(lines).encode() + content


def driver_run(version, inside=None):
    return makeself(f"Version={inside or version}\npackage_version={inside or version}\n")


def firmware_run(version, release):
    return makeself(f"Version={version}\n" + (f"package_version={release}\n" if release else ""))


def hdk_zip(members):
    """Return a zip's bytes of name → bytes."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return archive.getvalue()


def release_zip(release, firmware, arch="aarch64", **extra):
    return hdk_zip(
        {
            DRIVER.format(release, arch): driver_run(release),
            FIRMWARE.format(firmware): firmware_run(firmware, release),
            **extra,
        }
    )


def sha256(content):
    return hashlib.sha256(content).hexdigest()
