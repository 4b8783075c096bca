# SPDX-License-Identifier: Apache-2.0
"""A signed flat apt repository with what a bare host needs: its only source of packages.

Packages come once from this machine's apt, which resolves them against the base image, so the repository holds exactly
what the image lacks.
"""

from __future__ import annotations

import gzip
import hashlib
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import kernel_headers
from lab.debian import SOURCES_LIST
from lab.process import contained, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# What a site's mirror would be asked for: Docker, DKMS and a compiler for drivers, tools that installers call; and what
# makes a host one whose package manager is dnf.
PACKAGES = (
    "createrepo-c",
    "dkms",
    "dnf",
    "docker.io",
    "gcc",
    "iptables",
    "kmod",
    "libgomp1",
    "make",
    "net-tools",
    "pciutils",
    "python3-apt",
    "python3-venv",
    "rpm",
    "rsync",
    "unzip",
    "xz-utils",
    "zip",
)
# Valid for as long as a cache may lie around.
DATE = "Thu, 01 Jan 1970 00:00:00 UTC"
KEY_FILE = "lab.asc"
_LARGE_BYTES = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Package:
    """One .deb: its control file and its file's name, size and sha256."""

    control: str
    name: str
    size: int
    sha256: str


def packages_index(packages: Iterable[Package]) -> str:
    """Return the text of `Packages`."""
    return "".join(
        f"{package.control.strip()}\nFilename: ./{package.name}\nSize: {package.size}\nSHA256: {package.sha256}\n\n"
        for package in packages
    )


def release(indexes: Mapping[str, bytes], architecture: str) -> str:
    """Return the text of `Release`: what the signature covers."""
    sums = "".join(
        f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}\n" for name, data in sorted(indexes.items())
    )
    return (
        "Origin: telechat-ascend lab\nLabel: lab\nSuite: lab\nCodename: lab\n"
        f"Date: {DATE}\nArchitectures: {architecture} all\nDescription: packages of a site without internet\n"
        f"SHA256:\n{sums}"
    )


def download_options(base: Path, work: Path) -> list[str]:
    """Return apt options that look at the base image's packages and keep everything else in a work folder."""
    return [
        "-oDir::Etc=" + str(work / "etc"),
        "-oDir::Etc::SourceList=sources.list",
        "-oDir::Etc::SourceParts=-",
        f"-oDir::State={work / 'state'}",
        f"-oDir::State::status={base / 'var/lib/dpkg/status'}",
        f"-oDir::State::extended_states={base / 'var/lib/apt/extended_states'}",
        f"-oDir::Cache={work / 'cache'}",
        f"-oDir::Etc::TrustedParts={base / 'etc/apt/trusted.gpg.d'}",
        "-oAPT::Sandbox::User=root",
        "-oAPT::Install-Recommends=false",
        "-oDebug::NoLocking=true",
        "-oAcquire::Languages=none",
    ]


def build(folder: Path, needs: Mapping[str, Path]) -> None:
    """Fill a folder with the packages, their index, its signature and the public key."""
    base = needs["base"] / "root"
    with tempfile.TemporaryDirectory(prefix="lab-apt-") as name:
        work = Path(name)
        _download(folder, base, work)
        architecture = run(["dpkg", "--print-architecture"]).strip()
        headers = work / "headers"
        headers.mkdir(mode=0o755)
        kernel_headers.build(folder, headers, release=platform.release(), architecture=architecture)
        _index(folder, architecture)
        _sign(folder, work / "gnupg")


def _download(folder: Path, base: Path, work: Path) -> None:
    for path in ("etc/preferences.d", "etc/apt.conf.d", "state/lists/partial", "cache/archives/partial"):
        (work / path).mkdir(parents=True)
    shutil.copy(base.parent / SOURCES_LIST, work / "etc/sources.list")
    options = download_options(base, work)
    run(["apt-get", *options, "update"])
    run(contained(["apt-get", *options, "--yes", "--download-only", "install", *PACKAGES]))
    for package in (work / "cache/archives").glob("*.deb"):
        if package.stat().st_size < _LARGE_BYTES:
            shutil.move(package, folder / package.name)
        else:
            repack(package, folder / package.name, work / "unpacked")


def repack(package: Path, target: Path, work: Path) -> None:
    """Pack a package anew, so that a host unpacks it in a quarter of the time: a dozen hosts of the tests do."""
    run(["dpkg-deb", "--raw-extract", package, work])
    run(["dpkg-deb", "-Zgzip", "-z1", "--build", work, target])
    shutil.rmtree(work)


def _index(folder: Path, architecture: str) -> None:
    text = packages_index(_describe(path) for path in sorted(folder.glob("*.deb"))).encode()
    # Without a time in it, so that the same packages give the same file.
    indexes = {"Packages": text, "Packages.gz": gzip.compress(text, mtime=0)}
    for name, data in indexes.items():
        (folder / name).write_bytes(data)
    (folder / "Release").write_text(release(indexes, architecture))


def _describe(path: Path) -> Package:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Package(control=run(["dpkg-deb", "--field", path]), name=path.name, size=path.stat().st_size, sha256=sha256)


def _sign(folder: Path, home: Path) -> None:
    """Sign with a key made for this repository alone; its private half is gone afterwards."""
    home.mkdir(mode=0o700)
    gpg: Sequence[str] = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--no-tty"]
    try:
        run([*gpg, "--passphrase", "", "--quick-generate-key", "telechat-ascend lab", "ed25519", "sign", "never"])
        run([*gpg, "--clearsign", "--digest-algo", "SHA512", "--output", folder / "InRelease", folder / "Release"])
        run([*gpg, "--armor", "--output", folder / KEY_FILE, "--export"])
    finally:
        run(["gpgconf", "--homedir", home, "--kill", "all"])
