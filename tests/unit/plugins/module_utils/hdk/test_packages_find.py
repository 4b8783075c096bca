# SPDX-License-Identifier: Apache-2.0
"""Packages in a folder: what is found, and how every wrong folder is told."""

from dataclasses import replace
from pathlib import Path

import pytest
from ansible.module_utils.hdk.lock import LockEntry
from ansible.module_utils.hdk.packages_find import PackagesError, Wanted, find_packages

from tests.unit.plugins.module_utils.hdk.package_files import (
    DRIVER,
    FIRMWARE,
    ZIP,
    driver_run,
    firmware_run,
    hdk_zip,
    release_zip,
    sha256,
)

RELEASE, FW = "24.1.rc3", "7.5.0.1.129"
NAME = ZIP.format(RELEASE, "aarch64")


class Folder:
    """A folder of packages; what is put there is in the lock file unless said otherwise."""

    def __init__(self, path):
        self.path = path / "packages"
        self.cache = path / "cache"
        self.path.mkdir()
        self.lock = {}
        self.ca = ""

    def put(self, name, content, *, locked=True):
        (self.path / name).write_bytes(content)
        if locked:
            self.lock[name] = LockEntry(name=name, sha256=sha256(content), size=len(content))

    def find(self, release="", firmware="", chip="910b"):
        wanted = Wanted(
            folder=str(self.path),
            lock_file=str(self.path / "hdk.lock.yml"),
            chip=chip,
            release=release,
            firmware_version=firmware,
            cache=str(self.cache),
            signature_ca=self.ca,
        )
        return find_packages(wanted, self.lock)

    def complaint(self, **wanted):
        with pytest.raises(PackagesError) as caught:
            self.find(**wanted)
        for problem in caught.value.problems:
            assert problem.rule
            assert problem.next_step
        return [problem.value for problem in caught.value.problems]


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_a_release_for_two_architectures(folder):
    folder.put(NAME, release_zip(RELEASE, FW))
    folder.put(ZIP.format(RELEASE, "x86-64"), release_zip(RELEASE, FW, "x86-64"))
    found = folder.find(RELEASE)
    assert sorted(found) == ["aarch64", "x86_64"]
    driver = found["aarch64"]["driver"]
    assert driver["file"] == DRIVER.format(RELEASE, "aarch64")
    assert driver["version"] == RELEASE
    assert driver["sha256"] == sha256(driver_run(RELEASE))
    assert Path(driver["path"]).read_bytes() == driver_run(RELEASE)
    assert found["x86_64"]["firmware"]["version"] == FW


def test_unpacked_files_are_nobody_elses_to_write(folder):
    folder.put(NAME, release_zip(RELEASE, FW))
    path = Path(folder.find()["aarch64"]["driver"]["path"])
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.parent.stat().st_mode & 0o777 == 0o755


def test_a_zip_is_unpacked_once(folder):
    folder.put(NAME, release_zip(RELEASE, FW))
    path = Path(folder.find()["aarch64"]["driver"]["path"])
    before = path.stat()
    assert folder.find()["aarch64"]["driver"]["path"] == str(path)
    assert path.stat().st_ino == before.st_ino


def test_a_nested_zip_with_signatures(folder):
    inner = release_zip(RELEASE, FW)
    folder.put(NAME, hdk_zip({"inner.zip": inner, "inner.zip.cms": b"signature", "ascend.crl": b"list"}))
    assert folder.find()["aarch64"]["firmware"]["version"] == FW


def test_names_in_a_zip_never_leave_the_cache(folder):
    evil = {"../../" + DRIVER.format(RELEASE, "aarch64"): driver_run(RELEASE), "/etc/passwd": b"root"}
    folder.put(NAME, hdk_zip({**evil, FIRMWARE.format(FW): firmware_run(FW, RELEASE)}))
    path = folder.find()["aarch64"]["driver"]["path"]
    assert Path(path).parent == folder.cache / "packages" / folder.lock[NAME].sha256


def test_loose_run_files_pair_by_the_release_inside_the_firmware(folder):
    folder.put(DRIVER.format(RELEASE, "aarch64"), driver_run(RELEASE))
    folder.put(FIRMWARE.format(FW), firmware_run(FW, RELEASE))
    folder.put(FIRMWARE.format("7.1.0.5.220"), firmware_run("7.1.0.5.220", "23.0.3"))
    assert folder.find()["aarch64"]["firmware"]["version"] == FW


def test_the_release_chooses_among_several(folder):
    folder.put(NAME, release_zip(RELEASE, FW))
    folder.put(ZIP.format("23.0.3", "aarch64"), release_zip("23.0.3", "7.1.0.5.220"))
    assert folder.find("23.0.3")["aarch64"]["firmware"]["version"] == "7.1.0.5.220"
    assert folder.find("24.1.RC3")["aarch64"]["driver"]["version"] == RELEASE


def test_the_zip_and_what_was_unpacked_from_it_are_one(folder):
    folder.put(NAME, release_zip(RELEASE, FW))
    folder.put(DRIVER.format(RELEASE, "aarch64"), driver_run(RELEASE))
    assert folder.find()["aarch64"]["driver"]["version"] == RELEASE


def test_another_firmware_by_its_version(folder):
    folder.put(NAME, release_zip(RELEASE, FW))
    folder.put(FIRMWARE.format("7.5.0.2.220"), firmware_run("7.5.0.2.220", "24.1.0"))
    assert folder.find(firmware="7.5.0.2.220")["aarch64"]["firmware"]["version"] == "7.5.0.2.220"


def test_a_folder_that_is_not_there(folder, tmp_path):
    folder.path = tmp_path / "nowhere"
    assert folder.complaint() == [f"{tmp_path}/nowhere: No such file or directory"]


def test_an_empty_folder(folder):
    assert folder.complaint() == [f"{folder.path} holds no HDK package, but nothing"]


def test_a_folder_of_other_things(folder):
    folder.put("notes.txt", b"")
    assert folder.complaint() == [f"{folder.path} holds no HDK package, but notes.txt"]


def test_the_wrong_chip(folder):
    folder.put("Ascend-hdk-310p-npu_25.3.rc1_linux-aarch64.zip", b"")
    assert "packages for other chips: Ascend-hdk-310p-npu_25.3.rc1_linux-aarch64.zip" in folder.complaint()[0]


def test_the_wrong_release(folder):
    folder.put(NAME, release_zip(RELEASE, FW))
    assert folder.complaint(release="25.2.0") == [f"{folder.path} holds no driver of that release, but {NAME}"]


def test_two_releases_and_no_choice(folder):
    folder.put(NAME, release_zip(RELEASE, FW))
    folder.put(ZIP.format("23.0.3", "aarch64"), release_zip("23.0.3", "7.1.0.5.220"))
    assert folder.complaint() == [f"{folder.path} holds 2 releases: 23.0.3, 24.1.rc3"]


def test_two_different_drivers_of_one_release(folder):
    folder.put(ZIP.format(RELEASE, "x86-64"), release_zip(RELEASE, FW, "x86-64"))
    folder.put(DRIVER.format(RELEASE, "x86_64"), driver_run(RELEASE) + b"\n")
    assert "two drivers" in folder.complaint()[0]
    assert DRIVER.format(RELEASE, "x86_64") in folder.complaint()[0]


def test_two_firmware_packages_that_both_may_belong(folder):
    folder.put(DRIVER.format(RELEASE, "aarch64"), driver_run(RELEASE))
    folder.put(FIRMWARE.format(FW), firmware_run(FW, None))
    folder.put(FIRMWARE.format("7.5.0.2.220"), firmware_run("7.5.0.2.220", None))
    assert "2 firmware packages" in folder.complaint()[0]
    assert folder.find(firmware=FW)["aarch64"]["firmware"]["version"] == FW


def test_no_firmware_at_all(folder):
    folder.put(DRIVER.format(RELEASE, "aarch64"), driver_run(RELEASE))
    assert folder.complaint()[0].startswith("no firmware for ")


def test_a_zip_cut_short(folder):
    folder.put(NAME, release_zip(RELEASE, FW)[:-30])
    assert folder.complaint() == [f"{NAME} is truncated or no zip file: its directory is missing"]


def test_a_run_file_cut_short(folder):
    name = DRIVER.format(RELEASE, "aarch64")
    folder.put(name, driver_run(RELEASE)[:-10])
    assert folder.complaint()[0].startswith(f"{name} is truncated or no package: it has ")


def test_a_run_file_cut_short_inside_a_whole_zip(folder):
    inner = DRIVER.format(RELEASE, "aarch64")
    folder.put(NAME, hdk_zip({inner: driver_run(RELEASE)[:-10]}))
    assert folder.complaint()[0].startswith(f"{inner} is truncated")


def test_the_wrong_checksum_names_both(folder):
    content = release_zip(RELEASE, FW)
    folder.put(NAME, content)
    folder.lock[NAME] = replace(folder.lock[NAME], sha256="0" * 64)
    assert folder.complaint() == [f"{NAME} has sha256 {sha256(content)}, the lock file says {'0' * 64}"]


def test_a_package_that_the_lock_file_does_not_name(folder):
    content = release_zip(RELEASE, FW)
    folder.put(NAME, content, locked=False)
    assert folder.complaint() == [f"{NAME} is not in the lock file; its sha256 is {sha256(content)}"]


def test_all_bad_files_are_named_at_once(folder):
    folder.put(NAME, release_zip(RELEASE, FW), locked=False)
    folder.put(ZIP.format(RELEASE, "x86-64"), b"PK")
    assert len(folder.complaint()) == 2


def test_a_zip_with_a_driver_for_another_architecture(folder):
    folder.put(NAME, release_zip(RELEASE, FW, "x86-64"))
    assert folder.complaint()[0].endswith("which is for another architecture")


def test_a_renamed_package(folder):
    folder.put(DRIVER.format(RELEASE, "aarch64"), driver_run(RELEASE, inside="23.0.3"))
    assert folder.complaint() == [f"{DRIVER.format(RELEASE, 'aarch64')} holds version 23.0.3: it was renamed"]


def test_a_zip_without_a_driver(folder):
    folder.put(NAME, hdk_zip({FIRMWARE.format(FW): firmware_run(FW, RELEASE)}))
    assert folder.complaint() == [f"no driver in {NAME}"]


def test_a_patched_driver_takes_its_architecture_from_the_zip(folder):
    patched = "Ascend-hdk-910b-npu-driver_25.0.rc1_sph001_linux.run"
    name = ZIP.format("25.0.rc1_sph001", "aarch64")
    members = {patched: driver_run("25.0.rc1_sph001"), FIRMWARE.format(FW): firmware_run(FW, "25.0.rc1_sph001")}
    folder.put(name, hdk_zip(members))
    assert list(folder.find()) == ["aarch64"]
    (folder.path / name).unlink()
    folder.put(patched, driver_run("25.0.rc1_sph001"))
    assert folder.complaint() == [f"{patched} names no architecture"]


def test_a_release_that_only_the_lock_file_has_a_url_for(folder, tmp_path):
    content = release_zip(RELEASE, FW)
    (tmp_path / "mirror").write_bytes(content)
    folder.put(ZIP.format("23.0.3", "aarch64"), release_zip("23.0.3", "7.1.0.5.220"))
    url = f"file://{tmp_path}/mirror"
    folder.lock[NAME] = LockEntry(name=NAME, sha256=sha256(content), size=len(content), url=url)
    assert folder.find(RELEASE)["aarch64"]["driver"]["version"] == RELEASE
    lock = folder.path / "hdk.lock.yml"
    assert folder.complaint() == [f"{folder.path} and the urls of {lock} have 2 releases: 23.0.3, 24.1.rc3"]


def test_an_unpacked_file_that_rotted_is_unpacked_again(folder):
    folder.put(NAME, release_zip(RELEASE, FW))
    path = Path(folder.find()["aarch64"]["driver"]["path"])
    path.write_bytes(path.read_bytes() + b"rot")
    folder.find()
    assert path.read_bytes() == driver_run(RELEASE)


def test_with_a_ca_an_unsigned_package_is_refused(folder, tmp_path):
    folder.put(NAME, release_zip(RELEASE, FW))
    folder.ca = str(tmp_path / "ca.pem")
    assert folder.complaint() == [f"{NAME} has no revocation list {NAME}.crl beside it: No such file or directory"]
