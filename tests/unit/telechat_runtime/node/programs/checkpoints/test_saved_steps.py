# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as MindFormers leaves them, whole or torn: which of their steps can be resumed from."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import pytest

from telechat_runtime.node.programs.checkpoints.saved_steps import SavedStep, saved_ranks, saved_steps
from telechat_runtime.node.saved_steps import look
from tests.support.checkpoint_files import Tensor, floats, write_checkpoint


def number(value: int) -> Tensor:
    return Tensor("Int64", (), struct.pack("<q", value))


def save(folder: Path, rank: int, epoch: int, step: int, *, number_of: Optional[int] = None, age: int = 0) -> Path:
    """Save a step as the CheckpointMonitor does, meta.json after it; `age` in seconds."""
    name = f"tiny_rank_{rank}-{epoch}_{step}.ckpt"
    whole = {"w": floats((4, 4)), "epoch_num": number(epoch), "step_num": number(number_of or 10 * epoch + step)}
    path = write_checkpoint(folder / f"rank_{rank}" / name, whole)
    moment = path.stat().st_mtime - age
    os.utime(path, (moment, moment))
    meta = {"last_epoch": epoch, "last_step": step, "last_ckpt_file": name}
    (folder / f"rank_{rank}" / "meta.json").write_text(json.dumps(meta))
    return path


def told(steps: List[SavedStep]) -> List[Tuple[Optional[int], bool]]:
    return [(step.number, not step.problem) for step in steps]


def test_whole_steps_by_the_number_that_stands_in_them(tmp_path: Path) -> None:
    save(tmp_path, 0, 1, 4, number_of=4, age=20)
    # Of a resumed run: MindFormers counts the name's step from where the run began.
    save(tmp_path, 0, 1, 2, number_of=6, age=10)
    assert told(saved_steps(str(tmp_path), 0)) == [(4, True), (6, True)]
    assert saved_ranks(str(tmp_path)) == [0]
    assert saved_ranks(str(tmp_path / "none")) == saved_steps(str(tmp_path / "none"), 0) == []


def test_every_cut_of_the_newest_file_is_found(tmp_path: Path) -> None:
    save(tmp_path, 0, 1, 1, age=20)
    newest = save(tmp_path, 0, 1, 2)
    content = newest.read_bytes()
    for end in range(len(content)):
        newest.write_bytes(content[:end])
        whole = [step.file for step in saved_steps(str(tmp_path), 0) if not step.problem]
        assert whole == ["tiny_rank_0-1_1.ckpt"], end


def test_a_file_of_another_size_is_not_trusted(tmp_path: Path) -> None:
    for step, age in ((1, 30), (2, 20)):
        save(tmp_path, 0, 1, step, age=age)
    other = {"w": floats((4, 3)), "epoch_num": number(1), "step_num": number(13)}
    write_checkpoint(tmp_path / "rank_0" / "tiny_rank_0-1_3.ckpt", other)
    steps = saved_steps(str(tmp_path), 0)
    assert told(steps) == [(11, True), (12, True), (13, False)]
    assert "the rank's other steps have 3 in" in steps[2].problem


def test_weights_alone_are_nothing_to_resume_from(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "rank_0" / "tiny_rank_0-1_3.ckpt", {"w": floats((4, 4))})
    (problem,) = [step.problem for step in saved_steps(str(tmp_path), 0)]
    assert "has no step_num and no epoch_num: it is cut off, or holds weights alone" in problem


def test_what_came_after_the_step_that_meta_json_names(tmp_path: Path) -> None:
    save(tmp_path, 0, 1, 1, age=30)
    meta = (tmp_path / "rank_0" / "meta.json").read_text()
    save(tmp_path, 0, 1, 2)
    (tmp_path / "rank_0" / "meta.json").write_text(meta)
    steps = saved_steps(str(tmp_path), 0)
    assert told(steps) == [(11, True), (12, False)]
    assert steps[1].problem == (
        "meta.json names tiny_rank_0-1_1.ckpt as the last that was finished, and tiny_rank_0-1_2.ckpt came after it"
    )


@pytest.mark.parametrize(
    ("meta", "problem"),
    [
        (None, "there is no meta.json"),
        ("", "meta.json can't be read"),
        ("[]", "meta.json can't be read"),
        ("{}", "meta.json can't be read"),
    ],
)
def test_a_rank_without_a_meta_json_that_can_be_read(tmp_path: Path, meta: Optional[str], problem: str) -> None:
    save(tmp_path, 0, 1, 1)
    path = tmp_path / "rank_0" / "meta.json"
    path.unlink()
    if meta is not None:
        path.write_text(meta)
    (step,) = saved_steps(str(tmp_path), 0)
    assert step.problem.startswith(problem)


def test_other_files_are_no_steps(tmp_path: Path) -> None:
    save(tmp_path, 0, 1, 1)
    for name in ("tiny_rank_0-graph.meta", "tiny_rank_0-1_2.tmp", "notes.ckpt"):
        (tmp_path / "rank_0" / name).write_bytes(b"x")
    assert len(saved_steps(str(tmp_path), 0)) == 1


def request(root: Path, **changes: object) -> Dict[str, object]:
    return {"job_root": str(root), "job_id": "job-1", "ranks": [0, 1], "output": None, **changes}


def test_a_node_shows_the_ranks_that_go_on_there_and_one_that_may_serve_instead(tmp_path: Path) -> None:
    work = tmp_path / "jobs" / "job-1" / "work"
    work.mkdir(parents=True)
    (work / "config.yaml").write_text("output_dir: './out'\n")
    for rank in (1, 2, 3):
        save(work / "out" / "checkpoint", rank, 1, 1)
    answer = look(request(tmp_path))
    assert answer["folder"] == str(work / "out" / "checkpoint")
    assert list(answer["ranks"]) == ["1", "2"]
    assert answer["ranks"]["1"][0]["file"] == "tiny_rank_1-1_1.ckpt"
    assert list(look(request(tmp_path, ranks=[2]))["ranks"]) == ["2"]


def test_a_node_that_never_had_the_job_looks_where_the_others_have_it(tmp_path: Path) -> None:
    assert look(request(tmp_path)) == {"folder": None, "ranks": {}}
    save(tmp_path / "shared" / "checkpoint", 0, 1, 1)
    assert list(look(request(tmp_path / "root", output=str(tmp_path / "shared")))["ranks"]) == ["0"]
