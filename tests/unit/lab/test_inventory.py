# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lab import inventory
from lab.layout import Lab, find_lab
from lab.settings import Settings

IMAGE = {"archive": "image.tar", "tag": "x:1", "image_id": "sha256:0"}


def lab(tmp_path: Path) -> Lab:
    return find_lab("x", {"LAB_STATE": str(tmp_path)})


def texts(tmp_path: Path, **changes: Any) -> dict[str, str]:
    settings = Settings(**{"hosts": 2, "chips": 8, "mindspore": False, "foundation": {}, **changes})
    return inventory.documents(lab(tmp_path), settings, packages=Path("/hdk"), image=IMAGE, shared={})


def test_hosts_have_connection_rank_and_npu_count_as_literals(tmp_path: Path) -> None:
    text = texts(tmp_path)["hosts.yml"]
    assert "{{" not in text
    assert "ascend_npu_count: 8\n" in text
    hosts = yaml.safe_load(text)["ascend"]["hosts"]
    assert list(hosts) == ["node0", "node1"]
    assert hosts["node1"] == {
        "ansible_host": "10.77.0.12",
        "ansible_user": "root",
        "ansible_ssh_private_key_file": f"{tmp_path}/x/key",
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={tmp_path}/x/known_hosts",
        "ascend_node_rank": 1,
        "ascend_npu_count": 8,
    }


def test_nothing_turns_host_key_checking_off(tmp_path: Path) -> None:
    for text in texts(tmp_path).values():
        assert "StrictHostKeyChecking" not in text
        assert "host_key_checking" not in text.lower()


def test_the_sites_files_are_copied_as_they_are(tmp_path: Path) -> None:
    original = (inventory.SITE / "group_vars/ascend.yml").read_text()
    assert texts(tmp_path)["group_vars/ascend.yml"] == original


def test_light_hosts_are_another_site_whose_jobs_need_no_container(tmp_path: Path) -> None:
    site = yaml.safe_load(texts(tmp_path, light=True)["group_vars/ascend.yml"])
    assert site["telechat_container_name"] == ""
    assert "telechat_container_name" not in yaml.safe_load(texts(tmp_path)["group_vars/ascend.yml"])


def test_the_labs_paths_are_there_for_the_site_to_refer_to(tmp_path: Path) -> None:
    variables = yaml.safe_load(texts(tmp_path)["group_vars/all/lab.yml"])
    assert variables["lab_packages"] == "/hdk"
    assert variables["lab_hub_url"] == "http://10.77.0.1"
    assert variables["lab_image_archive"] == f"{tmp_path}/x/share/image.tar"
    assert variables["lab_image_id"] == "sha256:0"


def test_writing_twice_changes_nothing_and_strangers_go(tmp_path: Path) -> None:
    wanted = texts(tmp_path)
    assert inventory.write(lab(tmp_path), wanted)
    assert not inventory.write(lab(tmp_path), wanted)
    stale = lab(tmp_path).inventory / "group_vars/gone.yml"
    stale.write_text("---\n")
    assert inventory.write(lab(tmp_path), wanted)
    assert not stale.exists()
