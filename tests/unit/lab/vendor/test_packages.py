# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ast
import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

from lab.vendor import packages
from lab.vendor.releases import RELEASES

PAYLOAD = Path(packages.__file__).parent / "payload"


def test_a_zip_holds_its_releases_zip_with_both_packages_and_the_signature(zips: Path) -> None:
    name = "Ascend-hdk-910b-npu_24.1.rc3_linux-x86-64.zip"
    with zipfile.ZipFile(zips / name) as outer, outer.open(name) as inner, zipfile.ZipFile(inner) as archive:
        assert outer.namelist() == [name, f"{name}.cms", f"{name}.crl"]
        assert archive.namelist() == [
            "Ascend-hdk-910b-npu-driver_24.1.rc3_linux-x86-64.run",
            "Ascend-hdk-910b-npu-firmware_7.5.0.1.129.run",
        ]


def test_the_vendors_root_vouches_for_a_zip(zips: Path, tmp_path: Path) -> None:
    name = "Ascend-hdk-910b-npu_24.1.rc3_linux-x86-64.zip"
    with zipfile.ZipFile(zips / name) as outer:
        outer.extractall(tmp_path)
    argv = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any", "-out", "/dev/null"]
    argv += ["-in", f"{name}.cms", "-content", name, "-CAfile", str(zips / packages.CA_FILE)]
    assert subprocess.run(argv, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    (tmp_path / name).write_bytes(b"another")
    assert subprocess.run(argv, cwd=tmp_path, check=False, capture_output=True).returncode != 0


def test_every_release_has_a_zip_for_both_architectures(zips: Path) -> None:
    expected = {f"Ascend-hdk-910b-npu_{name}_linux-{arch}.zip" for name in RELEASES for arch in ("x86-64", "aarch64")}
    assert {path.name for path in zips.glob("*.zip")} == expected


def test_the_lock_file_names_every_zip_with_its_sha256_and_size(zips: Path) -> None:
    entries = yaml.safe_load((zips / "hdk.lock.yml").read_text())["packages"]
    found = [
        {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "size": path.stat().st_size}
        for path in sorted(zips.glob("*.zip"))
    ]
    assert entries == found


def test_the_same_sources_give_the_same_bytes_but_for_the_signature(zips: Path, tmp_path: Path) -> None:
    (built,) = packages.build(tmp_path / "again", arch="aarch64", releases=["24.1.rc3"])
    with zipfile.ZipFile(built) as again, zipfile.ZipFile(zips / built.name) as before:
        assert again.read(built.name) == before.read(built.name)


def test_one_architecture_can_be_named_as_uname_does(tmp_path: Path) -> None:
    built = packages.build(tmp_path, arch="x86_64", releases=["23.0.3"])
    assert [path.name for path in built] == ["Ascend-hdk-910b-npu_23.0.3_linux-x86-64.zip"]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"arch": "riscv64"}, "unknown architecture 'riscv64'"), ({"releases": ["1.2"]}, "unknown HDK release '1.2'")],
)
def test_what_cannot_be_built_is_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        packages.build(tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_the_fingerprint_is_stable() -> None:
    assert packages.fingerprint() == packages.fingerprint()


@pytest.mark.parametrize("path", sorted(PAYLOAD.rglob("*.py")), ids=lambda path: str(path.relative_to(PAYLOAD)))
def test_what_runs_on_servers_keeps_to_the_syntax_of_python_3_7(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 7))
