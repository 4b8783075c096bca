# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict

import pytest

from telechat_runtime.errors import UsageError
from telechat_runtime.node.checkpoint_info import look
from tests.support.checkpoint_files import Cut, floats, write_checkpoint, write_strategies
from tests.support.local_node import LocalNode

MODEL = {"a.weight": floats((8, 4)), "b.weight": floats((4,))}
LORA = {"a.mindpet_delta_lora_a": floats((2, 4)), "a.mindpet_delta_lora_b": floats((8, 2))}
CUTS = {"a.weight": Cut((2, 2), (0, -1)), "b.weight": Cut((2, 2), (-1,))}


def asked(folder: Path, **more: Any) -> Dict[str, Any]:
    return {"checkpoint": str(folder / "w.ckpt"), "output": str(folder / "out"), **more}


def test_a_conversion_is_judged_and_nothing_is_written(tmp_path: Path, node: LocalNode) -> None:
    write_checkpoint(tmp_path / "w.ckpt", MODEL)
    strategy = write_strategies(tmp_path / "s", [CUTS])
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    answer = node.call("checkpoint-info", **asked(tmp_path, to_strategy=str(strategy))).document
    assert answer == {
        "problem": None,
        "source_ranks": 1,
        "target_ranks": 4,
        "different_files": 2,
        "to_make": 2,
        "parameters": 2,
        "left_out": [],
        "bytes": (tmp_path / "w.ckpt").stat().st_size,
        "step": None,
        "result": str(tmp_path / "out/w"),
    }
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_strategies_that_travel_along(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "w.ckpt", MODEL)
    files = {
        path.name: base64.b64encode(path.read_bytes()).decode()
        for path in write_strategies(tmp_path / "s", [CUTS]).iterdir()
    }
    assert look(asked(tmp_path, to_strategy=files))["different_files"] == 2


def test_a_source_whose_target_is_yet_to_be_made(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "w.ckpt", MODEL)
    assert look(asked(tmp_path, target_follows=True))["parameters"] == 2
    (tmp_path / "w.ckpt").write_bytes(b"no checkpoint")
    assert "is cut off or no MindSpore checkpoint" in look(asked(tmp_path, target_follows=True))["problem"]


def test_a_merge(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "w.ckpt", {**MODEL, **LORA})
    answer = look(asked(tmp_path, scaling=2))
    assert (answer["pairs"], answer["parameters"]) == (1, 2)
    assert answer["result"] == str(tmp_path / "out/merged_lora.ckpt")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/merged_lora.ckpt").touch()
    assert "exists: give another --output" in look(asked(tmp_path, scaling=2))["problem"]


def test_ranks_that_each_hold_the_whole_model(tmp_path: Path) -> None:
    for rank in range(2):
        write_checkpoint(tmp_path / f"c/rank_{rank}/m-1_2.ckpt", {**MODEL, **LORA})
    request = {**asked(tmp_path, scaling=2), "checkpoint": str(tmp_path / "c")}
    assert "name the strategy that cut them" in look(request)["problem"]
    assert look({**request, "ranks_are_whole": True})["problem"] is None


def test_an_output_that_can_not_take_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path / "w.ckpt", {**MODEL, **LORA})
    under_a_file = {**asked(tmp_path, scaling=2), "output": str(tmp_path / "w.ckpt/out")}
    assert look(under_a_file)["problem"] == f"{tmp_path}/w.ckpt is no folder that can be written: give another --output"
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=1 << 30))
    monkeypatch.setattr("telechat_runtime.node.programs.checkpoints.merge_lora.file_size", lambda _path: 3 << 30)
    assert look(asked(tmp_path, scaling=2))["problem"] == f"{tmp_path} has 1.0 GiB free, but 3.0 GiB are needed"


def test_problems_come_as_an_answer(tmp_path: Path) -> None:
    assert look(asked(tmp_path))["problem"] == f"{tmp_path}/w.ckpt does not exist"
    with pytest.raises(UsageError, match="lacks output"):
        look({"checkpoint": "/c"})
