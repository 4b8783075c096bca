# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
from pathlib import Path

import pytest

from telechat_runtime.errors import UsageError
from telechat_runtime.node.job_output import look
from tests.support.checkpoint_files import Cut, write_strategies
from tests.support.local_node import LocalNode

MAKE = "mkdir -p output/checkpoint/rank_0 output/checkpoint/rank_1 output/strategy"


def test_what_a_job_left(node: LocalNode) -> None:
    job_id = node.start(MAKE, workers=1)
    node.wait_for_end(job_id)
    work = Path(node.paths(job_id).work)
    write_strategies(work / "output/strategy", [{"a.weight": Cut((2,), (0,))}, {"b.weight": Cut((2,), (0,))}])
    answer = node.call("job-output", "--job", job_id, job_root=str(node.job_root)).document
    assert (answer["state"], answer["config"], answer["output"]) == ("SUCCEEDED", "seed: 1\n", str(work / "output"))
    assert answer["checkpoints"] == {"checkpoint": [0, 1]}
    files = {name: base64.b64decode(content) for name, content in answer["strategy"].items()}
    assert files == {
        name: (work / "output/strategy" / name).read_bytes()
        for name in ("ckpt_strategy_rank_0.ckpt", "ckpt_strategy_rank_2.ckpt")
    }


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ("output_dir: './elsewhere' # of the yaml", "elsewhere"),
        ('output_dir: "/shared/run"', "/shared/run"),
        ("model: {output_dir: x}", "output"),
    ],
)
def test_where_a_job_writes_is_the_yamls_to_say(node: LocalNode, line: str, folder: str) -> None:
    job_id = node.start("true", workers=1, files={"config.yaml": f"{line}\n"})
    node.wait_for_end(job_id)
    answer = look({"job_root": str(node.job_root), "job_id": job_id})
    assert answer["output"] == str(Path(node.paths(job_id).work) / folder)
    assert answer["strategy"] == answer["checkpoints"] == {}


def test_a_job_that_never_was_here(tmp_path: Path) -> None:
    assert look({"job_root": str(tmp_path), "job_id": "none"})["state"] is None
    with pytest.raises(UsageError, match="is no job id"):
        look({"job_root": str(tmp_path), "job_id": "../x"})
