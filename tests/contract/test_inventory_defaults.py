# SPDX-License-Identifier: Apache-2.0
"""The defaults of the inventory's variables stand in cluster/contract.py; whoever repeats one repeats that one."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import pytest
import yaml

from telechat_runtime.cluster.contract import DEFAULT_GROUP, DEFAULTS
from telechat_runtime.cluster.topology import cluster_from_hostvars

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| `(telechat_\w+)` \| (?:`([^`]+)`|(empty)) \|", re.MULTILINE)
_DEFAULT = re.compile(r"\b(telechat_[a-z_]+)\s*\|\s*default\(('[^']*'|\[\]|\{\}|\d+)\s*[,)]")


def repeated() -> Iterator[Tuple[str, str, Any]]:
    """Yield each default(…) of a variable of the contract: file, variable, value."""
    files = [path for folder in ("roles", "playbooks") for path in sorted((ROOT / folder).rglob("*"))]
    for path in files:
        if path.suffix in {".yml", ".j2"}:
            for variable, value in _DEFAULT.findall(path.read_text(encoding="utf-8")):
                if variable in DEFAULTS:
                    yield str(path.relative_to(ROOT)), variable, ast.literal_eval(value)


REPEATED: List[Tuple[str, str, Any]] = list(repeated())


def test_the_readers_table_has_every_default() -> None:
    text = (ROOT / "inventory/README.md").read_text(encoding="utf-8")
    table = {name: "" if empty else yaml.safe_load(value) for name, value, empty in _ROW.findall(text)}
    known = {name: yaml.safe_load(str(value)) if value != "" else "" for name, value in DEFAULTS.items()}
    assert {name: value for name, value in table.items() if name in known} == known


@pytest.mark.parametrize(("path", "variable", "value"), REPEATED, ids=str)
def test_roles_and_playbooks_repeat_the_same_default(path: str, variable: str, value: Any) -> None:
    assert value == DEFAULTS[variable], path


def test_some_defaults_are_repeated() -> None:
    assert len(REPEATED) > len(DEFAULTS)


@pytest.mark.parametrize("path", sorted(ROOT.glob("roles/*/defaults/main.yml")), ids=lambda path: path.parts[-3])
def test_a_roles_own_default_is_that_of_the_contract(path: Path) -> None:
    own = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    repeats = {name: value for name, value in own.items() if name in DEFAULTS}
    assert repeats == {name: DEFAULTS[name] for name in repeats}


def test_a_host_that_sets_nothing_has_them() -> None:
    cluster = cluster_from_hostvars(DEFAULT_GROUP, ["n"], {"n": {"ascend_npu_count": 8}})
    node = cluster.master
    found = {
        "telechat_master_port": cluster.master_port,
        "telechat_container_name": node.container,
        "telechat_python": node.python,
        "telechat_runtime_path": node.runtime_path,
        "telechat_job_root": node.job_root,
        "telechat_tree": node.tree,
        "telechat_env_script": node.env_script,
        "telechat_env": dict(node.env),
        "telechat_shared_paths": list(cluster.shared_paths),
        "telechat_device_target": cluster.device_target,
    }
    assert found == dict(DEFAULTS)
