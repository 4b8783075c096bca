# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict

import pytest

from telechat_runtime.plan.data_facts import DataQuestion, data_facts
from telechat_runtime.remote.answers.probe import CheckpointFacts, DatasetFacts, FolderFacts, ProbeAnswer
from telechat_runtime.typed_json import parse
from tests.support.node_answers import probe_answer

ANSWER: Dict[str, Any] = {
    "dataset": {"files": 1, "rows": 3, "row_lengths": [129], "problem": None},
    "checkpoint": {"kind": "ranks", "ranks": [0, 1], "empty": [1]},
    "folders": {"/a": {"inode": 2, "changed_ns": 3, "filesystem": "ext4", "free_bytes": 5}, "/b": None},
}
FOLDER = FolderFacts(inode=2, changed_ns=3, filesystem="ext4", free_bytes=5)


def test_a_question_and_its_answer() -> None:
    question = DataQuestion(dataset="/d", folders=("/a",))
    assert question.as_request() == {"dataset": "/d", "checkpoint": None, "folders": ["/a"]}
    look = data_facts(parse(ProbeAnswer, probe_answer(**ANSWER)))
    assert look.dataset == DatasetFacts(files=1, rows=3, row_lengths=(129,), problem=None)
    assert look.checkpoint == CheckpointFacts(kind="ranks", ranks=(0, 1), empty=(1,))
    assert (look.folder("/a"), look.folder("/b"), look.folder("/c")) == (FOLDER, None, None)


@pytest.mark.parametrize(
    ("changes", "apart"),
    [
        ({}, False),
        ({"free_bytes": 6}, False),
        ({"inode": 9}, True),
        ({"changed_ns": 9}, True),
        ({"inode": 9, "filesystem": "nfs4"}, True),
    ],
)
def test_two_folders_of_local_disks(changes: Any, apart: bool) -> None:
    assert FOLDER.is_apart_from(replace(FOLDER, **changes)) is apart


def test_nothing_is_proof_on_network_storage() -> None:
    nfs = replace(FOLDER, filesystem="nfs4")
    assert not nfs.is_apart_from(replace(nfs, inode=9))
