# SPDX-License-Identifier: Apache-2.0
"""HDK packages as the vendor ships them: one zip per release and architecture.

It holds the zip with the driver's and firmware's .run, and that zip's signature (.cms) and revocation list (.crl). The
vendor's CA and a list of the packages lie beside. The same sources give the same inner zips, so a built folder can be
cached under ``fingerprint()``; the signatures are each build's own.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab.vendor import makeself
from lab.vendor.releases import RELEASES, USUAL, Release
from lab.vendor.signature import Vendor

if TYPE_CHECKING:
    from collections.abc import Sequence

ARCHITECTURES = {"x86-64": "x86_64", "aarch64": "aarch64"}  # in file names: as uname -m has it
LOCK_FILE = "hdk.lock.yml"
CA_FILE = "vendor-root-ca.pem"

_PAYLOAD = Path(__file__).parent / "payload"
_EPOCH = 1704067200  # 2024-01-01, the date of every file in a package
_ZIP_DATE = (2024, 1, 1, 0, 0, 0)
_LIBRARY_BYTES = 3 << 20
_FIRMWARE_BYTES = 256 << 10
_EXECUTABLE = {".sh", ""}


def zip_name(release: str, arch: str) -> str:
    """Return the zip's file name; ``arch`` is x86-64 or aarch64."""
    return f"Ascend-hdk-910b-npu_{release}_linux-{arch}.zip"


def driver_name(release: str, arch: str) -> str:
    """Return the file name of the driver's package."""
    return f"Ascend-hdk-910b-npu-driver_{release}_linux-{arch}.run"


def firmware_name(firmware: str) -> str:
    """Return the file name of the firmware's package."""
    return f"Ascend-hdk-910b-npu-firmware_{firmware}.run"


def build(folder: Path, arch: str | None = None, releases: Sequence[str] = USUAL) -> list[Path]:
    """Build the zips of these releases, their lock file and the vendor's CA into a folder; returns the zips.

    ``arch``: x86-64 or aarch64 (x86_64 is understood); None builds both. ValueError names what is unknown,
    MakeselfError or SignatureError what hinders.
    """
    names = list(ARCHITECTURES) if arch is None else [arch.replace("x86_64", "x86-64")]
    if unknown := [name for name in names if name not in ARCHITECTURES]:
        raise ValueError(f"unknown architecture {unknown[0]!r}; known: {', '.join(ARCHITECTURES)}")
    if unknown := [name for name in releases if name not in RELEASES]:
        raise ValueError(f"unknown HDK release {unknown[0]!r}; known: {', '.join(RELEASES)}")
    folder.mkdir(parents=True, exist_ok=True)
    zips = []
    with tempfile.TemporaryDirectory(prefix="hdk-") as temporary:
        vendor = Vendor(Path(temporary) / "vendor")
        shutil.copyfile(vendor.root.certificate, folder / CA_FILE)
        for name in releases:
            runs = Path(temporary) / name
            runs.mkdir()
            firmware = _firmware(RELEASES[name], runs)
            for architecture in names:
                driver = _driver(RELEASES[name], architecture, runs)
                inner = zip_of(runs / zip_name(name, architecture), [driver, firmware])
                zips.append(zip_of(folder / inner.name, [inner, *vendor.signer.sign(inner)]))
    write_lock(folder, zips)
    return zips


def write_lock(folder: Path, files: Sequence[Path]) -> None:
    """Write the lock file that names these files of the folder with their sha256 and size."""
    lines = ["---", "packages:"]
    for path in sorted(files):
        lines += [f"  - name: {path.name}", f'    sha256: "{_sha256(path)}"', f"    size: {path.stat().st_size}"]
    (folder / LOCK_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def zip_of(target: Path, members: Sequence[Path]) -> Path:
    """Make a zip of the files, flat and in this order; the same files give the same bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for member in members:
            entry = zipfile.ZipInfo(member.name, _ZIP_DATE)
            entry.create_system = 3  # Unix, so that the mode below holds
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, member.read_bytes())
    return target


def fingerprint() -> str:
    """Return a short hash of everything that packages are made from."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    sources = [path for path in here.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    for path in sorted(sources):
        digest.update(str(path.relative_to(here)).encode() + b"\0" + path.read_bytes())
    if makeself.HEADER.is_file():
        digest.update(makeself.HEADER.read_bytes())
    return digest.hexdigest()[:16]


def _driver(release: Release, arch: str, runs: Path) -> Path:
    run_file = runs / driver_name(release.name, arch)
    stage = runs / f"driver-{arch}"
    _stage(stage, "driver", run_file.name, release, version=release.name, arch=ARCHITECTURES[arch])
    (stage / "version.info").write_text(release.driver_version_info(), encoding="utf-8")
    _filler(stage / "lib64" / "common" / "libascend_hal.so", _LIBRARY_BYTES, f"{release.name} {arch}")
    return _pack(stage, run_file, "ASCEND DRIVER RUN PACKAGE")


def _firmware(release: Release, runs: Path) -> Path:
    run_file = runs / firmware_name(release.firmware)
    stage = runs / "firmware"
    _stage(stage, "firmware", run_file.name, release, version=release.firmware, arch="")
    (stage / "version.info").write_text(release.firmware_version_info(), encoding="utf-8")
    _filler(stage / "image" / "npu_firmware.bin", _FIRMWARE_BYTES, release.firmware)
    return _pack(stage, run_file, "ASCEND-HDK-910B-NPU FIRMWARE RUN PACKAGE")


def _stage(stage: Path, kind: str, run_file: str, release: Release, *, version: str, arch: str) -> None:
    stage.mkdir()
    for part in ("ascend", "installer", kind):
        shutil.copytree(_PAYLOAD / part, stage / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.move(stage / "installer" / "main.py", stage / "main.py")
    shutil.move(stage / kind / "install.sh", stage / "install.sh")
    lines = {"run_file": run_file, "version": version, "release": release.name, "pci_device": "d802"}
    if arch:
        lines["arch"] = arch
    lines["newer"] = "yes" if release.newer else "no"
    lines["kills_older"] = "yes" if release.kills_older else "no"
    text = "".join(f"{key}={value}\n" for key, value in lines.items())
    (stage / "package.conf").write_text(text, encoding="utf-8")


def _filler(path: Path, size: int, seed: str) -> None:
    # Stands for a binary: the same for the same seed, and of a size that a transfer notices.
    path.parent.mkdir(parents=True)
    path.write_bytes(random.Random(seed).randbytes(size))  # noqa: S311 - not for security


def _pack(stage: Path, run_file: Path, label: str) -> Path:
    for path in stage.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.suffix in _EXECUTABLE else 0o644)
    makeself.pack(stage, run_file, label=label, epoch=_EPOCH)
    shutil.rmtree(stage)
    return run_file


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
