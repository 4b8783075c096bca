# SPDX-License-Identifier: Apache-2.0
"""Packages that a server kept: found again to go back, and removed when nothing needs them."""

import pytest
from ansible.module_utils.hdk.packages_find import PackagesError
from ansible.module_utils.hdk.packages_kept import kept_packages, packages_of_others

from tests.unit.plugins.module_utils.hdk.package_files import DRIVER, FIRMWARE, driver_run, firmware_run, sha256

OLD_DRIVER, OLD_FIRMWARE = DRIVER.format("23.0.3", "aarch64"), FIRMWARE.format("7.1.0.5.220")
NEW_DRIVER, NEW_FIRMWARE = DRIVER.format("24.1.rc3", "aarch64"), FIRMWARE.format("7.5.0.1.129")
BEFORE = {"driver": "23.0.3", "firmware": "7.1.0.5.220"}


@pytest.fixture
def folder(tmp_path):
    for name, content in {
        OLD_DRIVER: driver_run("23.0.3"),
        OLD_FIRMWARE: firmware_run("7.1.0.5.220", "23.0.3"),
        NEW_DRIVER: driver_run("24.1.rc3"),
        NEW_FIRMWARE: firmware_run("7.5.0.1.129", "24.1.rc3"),
        "notes.txt": b"the operator's own",
    }.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def find(folder, versions):
    return kept_packages(str(folder), versions, chip="910b", architecture="aarch64")


def problems(folder, versions):
    with pytest.raises(PackagesError) as error:
        find(folder, versions)
    return [problem.value for problem in error.value.problems]


def test_what_ran_before_is_found_with_its_checksum_and_is_not_to_be_copied(folder):
    assert find(folder, BEFORE) == {
        "aarch64": {
            "driver": {"file": OLD_DRIVER, "path": "", "version": "23.0.3", "sha256": sha256(driver_run("23.0.3"))},
            "firmware": {
                "file": OLD_FIRMWARE,
                "path": "",
                "version": "7.1.0.5.220",
                "sha256": sha256(firmware_run("7.1.0.5.220", "23.0.3")),
            },
        }
    }


def test_a_version_is_found_however_its_letters_are(folder):
    found = find(folder, {"driver": "24.1.RC3", "firmware": "7.5.0.1.129"})
    assert found["aarch64"]["driver"]["file"] == NEW_DRIVER


def test_without_a_noted_upgrade_nothing_can_be_gone_back_to(folder):
    assert problems(folder, {}) == ["no fleet upgrade is noted here, so it is not known what ran before"]


def test_all_that_is_missing_is_named(folder):
    (folder / OLD_DRIVER).unlink()
    (folder / OLD_FIRMWARE).unlink()
    assert problems(folder, BEFORE) == [
        f"{folder} has no driver 23.0.3 for 910b",
        f"{folder} has no firmware 7.1.0.5.220 for 910b",
    ]


def test_a_folder_that_is_gone_is_one_without_packages(tmp_path):
    assert problems(tmp_path / "gone", BEFORE)[0] == f"{tmp_path}/gone has no driver 23.0.3 for 910b"


def test_chips_that_ran_several_versions_have_no_package(folder):
    assert problems(folder, {**BEFORE, "firmware": "7.1.0.5.220 and 7.5.0.1.129"}) == [
        f"{folder} has no firmware 7.1.0.5.220 and 7.5.0.1.129 for 910b"
    ]


def test_a_component_that_did_not_run_before_is_named(folder):
    assert problems(folder, {**BEFORE, "firmware": None}) == ["no firmware ran here before"]


def test_a_package_that_was_cut_short_is_none(folder):
    (folder / OLD_DRIVER).write_bytes(driver_run("23.0.3")[:-10])
    (problem,) = problems(folder, BEFORE)
    assert problem.startswith(f"{folder} has {OLD_DRIVER}, but it has ")


def test_packages_of_other_chips_are_none(folder):
    with pytest.raises(PackagesError):
        kept_packages(str(folder), BEFORE, chip="310p", architecture="aarch64")


def test_packages_of_other_versions_are_in_the_way_and_nothing_else_is(folder):
    others = packages_of_others(str(folder), ["24.1.rc3", "7.5.0.1.129", None])
    assert others == [str(folder / OLD_DRIVER), str(folder / OLD_FIRMWARE)]


def test_nothing_is_in_the_way_in_a_folder_that_is_gone(tmp_path):
    assert packages_of_others(str(tmp_path / "gone"), ["24.1.rc3"]) == []
