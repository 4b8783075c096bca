# SPDX-License-Identifier: Apache-2.0
"""The real playbooks against this machine, which has no NPU: everything that is wrong is named, nothing is changed."""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.plugins.module_utils.hdk.package_files import ZIP, release_zip, sha256

ROOT = Path(__file__).resolve().parents[2]
RELEASE = "24.1.rc3"
NAMES = [ZIP.format(RELEASE, arch) for arch in ("aarch64", "x86-64")]
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


class Outcome:
    """Exit code and output of a playbook."""

    def __init__(self, done):
        self.rc = done.returncode
        # One line a message, however the callback wraps it.
        self.text = " ".join((done.stdout + done.stderr).split())
        self.recap = dict(re.findall(r"^(\S+)\s+: ok=\d+\s+(changed=\d+ +unreachable=\d+)", done.stdout, re.MULTILINE))


class Site:
    """An inventory of two servers, both of them this machine, and a folder of packages."""

    def __init__(self, folder):
        self.folder = folder
        self.packages = folder / "packages"
        self.packages.mkdir()
        self.lock = {}
        self.hosts = {f"node{rank}": {"ascend_node_rank": rank, "ascend_npu_count": 8, **LOCAL} for rank in range(2)}
        self.variables = {"ascend_hdk_cache_dir": str(folder / "cache")}
        for name in NAMES:
            self.put(name, release_zip(RELEASE, "7.5.0.1.129", name.split("linux-")[1][:-4]))

    def put(self, name, content):
        (self.packages / name).write_bytes(content)
        self.lock[name] = (sha256(content), len(content))

    def play(self, playbook, *arguments, **environment):
        groups = {"ascend": {"hosts": copy.deepcopy(self.hosts), "vars": self.variables}}
        (self.folder / "hosts.yml").write_text(yaml.safe_dump(groups))
        if self.lock is not None:
            entries = [{"name": name, "sha256": entry[0], "size": entry[1]} for name, entry in self.lock.items()]
            (self.packages / "hdk.lock.yml").write_text(yaml.safe_dump({"packages": entries}))
        argv = [str(Path(sys.executable).with_name("ansible-playbook")), playbook]
        if "-i" not in arguments:
            argv += ["-i", str(self.folder / "hosts.yml")]
        return Outcome(
            subprocess.run(
                [*argv, *arguments],
                cwd=ROOT,
                env={**os.environ, "ANSIBLE_NOCOLOR": "1", "COLUMNS": "400", **environment},
                capture_output=True,
                text=True,
                check=False,
            )
        )


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_every_problem_of_every_host_in_one_go_and_nothing_changed(site):
    site.put(NAMES[0], release_zip(RELEASE, "7.5.0.1.129")[:-20])
    site.variables["preflight_supported_os"] = ["plan9 4"]
    site.hosts["node1"]["preflight_clock_skew_seconds"] = -1
    outcome = site.play("playbooks/hdk.yml")
    assert outcome.rc == 2
    assert f"control side: hdk_packages: {NAMES[0]} is truncated" in outcome.text
    for host in site.hosts:
        assert f"{host}: chips: 0 chips 19e5:d802 on the PCI bus (rule: ascend_npu_count is 8)" in outcome.text
        assert f"{host}: os: " in outcome.text
    assert "node1: clock: " in outcome.text
    assert "node0: clock: " not in outcome.text
    assert set(outcome.recap) == {"localhost", "node0", "node1"}
    assert {" ".join(line.split()) for line in outcome.recap.values()} == {"changed=0 unreachable=0"}


def test_a_reboot_of_the_control_side_itself_is_refused(site):
    del site.hosts["node1"]
    assert "node0: reboot: ansible_connection is local" in site.play("playbooks/hdk.yml").text


def test_hosts_that_give_no_answer_are_problems_like_the_others(site):
    site.hosts["node0"].update(ansible_connection="ssh", ansible_host="127.0.0.1", ansible_port=1)
    site.hosts["node1"]["ansible_python_interpreter"] = "/nonexistent/python3"
    outcome = site.play("playbooks/hdk.yml")
    assert outcome.rc == 2
    assert "node0: unreachable: " in outcome.text
    assert "node1: python: " in outcome.text
    assert "/nonexistent/python3" in outcome.text


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda site: site.variables.update(ascend_hdk_package_dir="/nonexistent"), "/nonexistent: No such file"),
        (lambda site: site.lock.update({NAMES[1]: ("0" * 64, site.lock[NAMES[1]][1])}), f"lock file says {'0' * 64}"),
        (lambda site: site.lock.update({NAMES[1]: ("0" * 64, 5)}), "the lock file says 5"),
        (lambda site: site.lock.pop(NAMES[1]), f"{NAMES[1]} is not in the lock file"),
        (lambda site: setattr(site, "lock", None), "hdk.lock.yml: No such file or directory"),
        (lambda site: site.variables.update(ascend_hdk_chip="310p"), "packages for other chips"),
        (lambda site: site.put(ZIP.format("23.0.3", "aarch64"), b"x"), "holds 2 releases: 23.0.3, 24.1.rc3"),
    ],
    ids=["no folder", "wrong sha256", "wrong size", "not locked", "no lock file", "other chip", "two releases"],
)
def test_packages_that_cannot_be_used(site, spoil, words):
    # What is wrong with a host is of no interest here, so nothing is run on one.
    site.hosts = {"node0": {**site.hosts["node0"], "ansible_python_interpreter": "/nonexistent/python3"}}
    spoil(site)
    outcome = site.play("playbooks/hdk.yml")
    assert outcome.rc == 2
    assert "control side: hdk_packages: " in outcome.text
    assert words in outcome.text
    assert " -> " in outcome.text


def test_a_release_off_the_version_matrix_is_refused_before_anything_is_touched_where_the_site_wants_it(site):
    site.variables["preflight_stack"] = {"cann": "8.1.rc1", "mindspore": "2.6.0", "mindformers": "1.5.0"}
    site.variables["ascend_hdk_off_matrix"] = "refuse"
    outcome = site.play("playbooks/hdk.yml")
    assert outcome.rc != 0
    assert f"control side: version_matrix: driver {RELEASE} is older than 25.0.rc1" in outcome.text
    assert f"(rule: preflight_off_matrix: refuse) -> HDK {RELEASE} -> 25.0.rc1" in outcome.text


def test_the_inventory_alone_is_checked_without_contacting_a_host(site):
    for host in site.hosts.values():
        host.update(ansible_connection="ssh", ansible_host="192.0.2.1")
    assert site.play("playbooks/validate.yml").rc == 0


@pytest.mark.parametrize(
    "wrong",
    [
        [
            ({"ascend_node_rank": 0}, "ascend_node_rank 0 is given to node0 and node1"),
            ({"ascend_npu_count": "{{ 4 * 2 }}"}, "node2: ascend_npu_count is the template '{{ 4 * 2 }}'"),
        ],
        [
            ({"ascend_node_rank": None}, "ascend_node_rank is missing for node1"),
            ({"ascend_npu_count": 65}, "node2: ascend_npu_count is 65"),
        ],
    ],
    ids=["duplicate rank, template", "missing rank, too many chips"],
)
@pytest.mark.parametrize("playbook", ["playbooks/validate.yml", "site.yml"])
def test_an_inventory_that_breaks_its_contract(site, playbook, wrong):
    far = {"ansible_connection": "ssh", "ansible_host": "192.0.2.1"}
    for rank, (variables, _) in enumerate(wrong, start=1):
        site.hosts[f"node{rank}"] = {"ascend_node_rank": rank, "ascend_npu_count": 8, **variables, **far}
    outcome = site.play(playbook)
    assert outcome.rc == 2
    for _, words in wrong:
        assert words in outcome.text
    assert "inventory/README.md" in outcome.text


def test_an_unknown_group_or_host_is_an_error(site):
    outcome = site.play("site.yml", "-e", "ascend_group=nobody")
    assert outcome.rc == 2
    assert "no host in the group nobody; it has the groups ascend" in outcome.text
    assert "it has the groups (none)" in site.play("site.yml", "-i", "/nonexistent").text
    outcome = site.play("playbooks/validate.yml", "--limit", "node7")
    assert outcome.rc != 0
    assert "node7" in outcome.text


def test_filters_that_cannot_be_loaded_are_told_before_they_are_needed(site, tmp_path):
    (tmp_path / "empty").mkdir()
    outcome = site.play("playbooks/hdk.yml", ANSIBLE_FILTER_PLUGINS=str(tmp_path / "empty"))
    assert outcome.rc == 2
    assert "The filters of plugins/filter can't be loaded" in outcome.text
