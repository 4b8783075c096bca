# SPDX-License-Identifier: Apache-2.0
"""The stand-in for ansible-inventory answers as the real one, and asks that one where it can't."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, List

import pytest

from telechat_runtime.cluster.inventory import InventoryOptions, inventory_argv
from tests.support.control_side import REAL_INVENTORY, fast_inventory, telechat_run, write_stand_in

GROUP = {
    "hosts": {
        "node0": {"ansible_port": 2201, "telechat_job_root": "/a"},
        "node1": None,
        "node2": {"ascend_npu_count": 4},
    },
    "vars": {"ascend_npu_count": 2, "telechat_container_name": "", "telechat_env": {"A": "1", "B": "yes"}, "x": [1.5]},
}
PLAIN = json.dumps({"ascend": GROUP})


def listing(program: Path, folder: Path, limit: str) -> Any:
    argv = inventory_argv(InventoryOptions(sources=(str(folder / "hosts.yml"),)), limit)[1:]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true"}
    return json.loads(subprocess.run([program, *argv], env=env, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("limit", ["", "node2,node0"])
def test_it_lists_what_the_real_one_lists(limit: str, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(PLAIN)
    nobody = write_stand_in(tmp_path, Path("/bin/false"))
    assert listing(nobody, tmp_path, limit) == listing(REAL_INVENTORY, tmp_path, limit)


@pytest.mark.parametrize(
    ("text", "limit", "variables"),
    [
        (PLAIN, "node*", ""),
        (PLAIN, "node7", ""),
        (PLAIN, "", "group_vars"),
        (PLAIN, "", "host_vars"),
        (PLAIN.replace("node1", "rack[1:3]"), "", ""),
        (PLAIN.replace("2201", '"{{ port }}"'), "", ""),
        (json.dumps({"other": GROUP}), "", ""),
        (json.dumps({"ascend": {**GROUP, "children": {"rack": {}}}}), "", ""),
        ("ascend: {hosts: {alpha: {}, beta: {}}}", "", ""),
        ("ascend: [", "", ""),
    ],
)
def test_it_asks_the_real_one_what_it_does_not_know(text: str, limit: str, variables: str, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(text)
    (tmp_path / variables).mkdir(exist_ok=True)
    real = tmp_path / "real"
    real.write_text("#!/bin/sh\necho '\"real\"'\n")
    real.chmod(0o755)
    assert listing(write_stand_in(tmp_path, real), tmp_path, limit) == "real"


def test_telechat_run_starts_with_it(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(PLAIN)
    argv: List[str] = [*telechat_run(), "nodes", "--offline", "--json", "-v", "-i", str(tmp_path / "hosts.yml")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert [node["npu_count"] for node in json.loads(done.stdout)["nodes"]] == [2, 2, 4]
    assert f"run {fast_inventory()} --list " in done.stderr
