# SPDX-License-Identifier: Apache-2.0
"""playbooks/hdk_lock.yml: makes the lock file, contacts no host, and never takes up a changed package by itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.plugins.module_utils.hdk.package_files import ZIP, release_zip, sha256

ROOT = Path(__file__).resolve().parents[2]
NAME = ZIP.format("24.1.rc3", "aarch64")
CONTENT = release_zip("24.1.rc3", "7.5.0.1.129")
HOSTS = {"ascend": {"hosts": {f"npu-{rank}": {"ansible_host": f"192.0.2.{rank + 1}"} for rank in range(2)}}}


def expected(checksum):
    return json.dumps({"ascend_hdk_lock_expected": {NAME: checksum}})


class Site:
    def __init__(self, folder):
        self.folder = folder
        self.packages = folder / "packages"
        self.packages.mkdir()
        self.lock = self.packages / "hdk.lock.yml"
        (folder / "hosts.yml").write_text(yaml.safe_dump(HOSTS))
        (self.packages / NAME).write_bytes(CONTENT)

    def play(self, *options):
        """Return exit code, whether anything changed, and the output as one line."""
        argv = [Path(sys.executable).with_name("ansible-playbook"), "-i", self.folder / "hosts.yml"]
        done = subprocess.run(
            [*argv, "playbooks/hdk_lock.yml", *options],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "COLUMNS": "400"},
            capture_output=True,
            text=True,
            check=False,
        )
        text = " ".join((done.stdout + done.stderr).split())
        assert "Traceback" not in text
        return done.returncode, "changed=1" in text, text

    def entries(self):
        return yaml.safe_load(self.lock.read_text())["packages"]


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_a_new_lock_file_is_shown_by_check_then_written_and_then_left_alone(site):
    code, changed, text = site.play("--check", "--diff")
    assert (code, changed) == (0, True)
    assert f"+ sha256: {sha256(CONTENT)}" in text
    assert not site.lock.exists()
    assert site.play()[:2] == (0, True)
    assert site.entries() == [{"name": NAME, "sha256": sha256(CONTENT), "size": len(CONTENT)}]
    written = site.lock.read_bytes()
    assert site.play("-e", expected(sha256(CONTENT)))[:2] == (0, False)
    assert site.lock.read_bytes() == written


def test_a_changed_package_is_refused_until_it_is_asked_for(site):
    site.play("-e", "ascend_hdk_lock_url=https://mirror.example/hdk")
    before = site.lock.read_bytes()
    other = release_zip("24.1.rc3", "7.5.0.1.130")
    (site.packages / NAME).write_bytes(other)
    code, _, text = site.play()
    assert code == 2
    assert f"{NAME} has sha256 {sha256(other)}" in text
    assert "ascend_hdk_lock_replace=true" in text
    assert site.lock.read_bytes() == before
    code, _, text = site.play("-e", "ascend_hdk_lock_replace=true", "-e", expected(sha256(CONTENT)))
    assert code == 2
    assert f"ascend_hdk_lock_expected says {sha256(CONTENT)}" in text
    assert site.lock.read_bytes() == before
    assert site.play("-e", "ascend_hdk_lock_replace=true")[:2] == (0, True)
    assert site.entries() == [
        {"name": NAME, "sha256": sha256(other), "size": len(other), "url": f"https://mirror.example/hdk/{NAME}"}
    ]


def test_a_lock_file_that_breaks_its_rules_is_not_overwritten_by_accident(site):
    site.lock.write_text(f"packages: [{{file: {NAME}, sha256: {sha256(CONTENT)}}}]\n")
    code, _, text = site.play()
    assert code == 2
    assert "has file, as earlier lock files had" in text
    assert site.play("-e", "ascend_hdk_lock_replace=true")[:2] == (0, True)
    assert site.entries()[0]["name"] == NAME


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("ascend_hdk_lock_url=https://me:hidden@mirror.example/hdk", "without login or query"),
        (expected("abc"), "is expected with 'abc'"),
        ("ascend_hdk_package_dir=/nonexistent", "/nonexistent: No such file or directory"),
    ],
)
def test_wrong_variables(site, option, words):
    code, _, text = site.play("-e", option)
    assert code == 2
    assert words in text
    assert "hidden" not in text
    assert not site.lock.exists()


def test_a_package_cut_short_is_not_locked(site):
    (site.packages / NAME).write_bytes(CONTENT[:-30])
    code, _, text = site.play()
    assert code == 2
    assert f"{NAME} is truncated" in text
    assert not site.lock.exists()
