# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

from lab.debian import HOST_PACKAGES, bootstrap_argv, mirror_lines
from lab.kernel_headers import control, tree
from lab.repository import Package, packages_index, release, repack

HELLO = Package(control="Package: hello\nVersion: 1\n", name="hello_1_amd64.deb", size=3, sha256="ab" * 32)


def test_every_package_has_one_paragraph_with_file_size_and_checksum() -> None:
    other = Package(control="Package: other\nVersion: 2\n\n", name="other_2_all.deb", size=4, sha256="cd" * 32)
    first, second = packages_index([HELLO, other]).strip().split("\n\n")
    assert first == f"Package: hello\nVersion: 1\nFilename: ./hello_1_amd64.deb\nSize: 3\nSHA256: {'ab' * 32}"
    assert second.startswith("Package: other\n")


def test_the_release_covers_every_index_by_size_and_checksum() -> None:
    text = release({"Packages": b"abc", "Packages.gz": b"z"}, "amd64")
    sums = dict(re.findall(r"^ ([0-9a-f]{64} \d+) (\S+)$", text, re.MULTILINE))
    assert sums == {
        f"{hashlib.sha256(b'abc').hexdigest()} 3": "Packages",
        f"{hashlib.sha256(b'z').hexdigest()} 1": "Packages.gz",
    }
    assert "Architectures: amd64 all\n" in text


def test_the_headers_stand_where_the_kernels_build_tree_is_looked_for() -> None:
    files = tree("6.1.0-x")
    assert files["usr/src/linux-headers-6.1.0-x/include/generated/utsrelease.h"] == '#define UTS_RELEASE "6.1.0-x"\n'
    assert "/lib/modules/6.1.0-x/build/include" in files["usr/src/linux-headers-6.1.0-x/Makefile"]
    assert control("6.1.0-x", "amd64").startswith("Package: linux-headers-6.1.0-x\n")


def test_the_machines_own_mirrors_are_used_if_it_runs_the_hosts_release() -> None:
    targets = [
        "Debian|bookworm|main|http://mirror.example/debian",
        "Debian|bookworm|main|http://mirror.example/debian",
        "Debian|bookworm-security|main|http://mirror.example/security",
        "Debian|bookworm|contrib|http://mirror.example/debian",
        "Somebody|bookworm|main|http://other.example",
    ]
    assert mirror_lines("\n".join(targets)) == [
        "deb http://mirror.example/debian bookworm main",
        "deb http://mirror.example/security bookworm-security main",
    ]
    assert mirror_lines("Ubuntu|noble|main|http://mirror.example/ubuntu") == []
    assert mirror_lines("Debian|bookworm-updates|main|http://mirror.example/debian") == []
    assert mirror_lines("") == []


def test_the_mirrors_of_another_release_of_debian_have_the_hosts_release_too() -> None:
    targets = [
        "Debian|trixie|main|http://mirror.example/debian",
        "Debian|trixie-backports|main|http://mirror.example/debian",
        "Debian|trixie-security|main|http://mirror.example/security",
    ]
    assert mirror_lines("\n".join(targets)) == [
        "deb http://mirror.example/debian bookworm main",
        "deb http://mirror.example/security bookworm-security main",
    ]


def test_the_base_image_is_made_without_docker_compiler_or_drivers(tmp_path: Path) -> None:
    assert not {"docker.io", "gcc", "dkms", "make", "pciutils"} & set(HOST_PACKAGES)
    argv = bootstrap_argv(tmp_path / "root", HOST_PACKAGES, ["deb http://mirror.example bookworm main"])
    assert argv[-3:] == ["bookworm", str(tmp_path / "root"), "deb http://mirror.example bookworm main"]


def test_a_package_that_is_packed_anew_holds_the_same(tmp_path: Path) -> None:
    source, target = tmp_path / "tool.deb", tmp_path / "out" / "tool.deb"
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: tool\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <n@example.org>\nDescription: a tool\n"
    )
    (root / "usr").mkdir()
    (root / "usr" / "tool").write_text("#!/bin/sh\n")
    (root / "usr" / "tool").chmod(0o750)
    target.parent.mkdir()
    subprocess.run(["dpkg-deb", "-Zxz", "--build", root, source], check=True, capture_output=True)
    repack(source, target, tmp_path / "work")

    def content(package: Path) -> str:
        return subprocess.run(["dpkg-deb", "--contents", package], check=True, capture_output=True, text=True).stdout

    assert content(target) == content(source)
    assert "-rwxr-x---" in content(target)
    members = subprocess.run(["ar", "t", target], check=True, capture_output=True, text=True).stdout.split()
    assert members == ["debian-binary", "control.tar.gz", "data.tar.gz"]
