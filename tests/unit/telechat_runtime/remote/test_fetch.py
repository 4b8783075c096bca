# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any, Dict, List

import pytest

from telechat_runtime.errors import InterruptedByUserError, UnreachableError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.remote.fetch import JobFiles
from tests.support.clusters import two_nodes
from tests.support.scripted_transport import HANG, ScriptedTransport, clients

CONTENT = b"line\n" * 1000


def pieces(content: bytes) -> List[Dict[str, Any]]:
    half = len(content) // 2
    return [{"event": "data", "base64": base64.b64encode(part).decode()} for part in (content[:half], content[half:])]


def end(content: bytes) -> Dict[str, Any]:
    return {"event": "end", "sha256": hashlib.sha256(content).hexdigest()}


def files(*events: Any, interrupt: Interrupt | None = None) -> JobFiles:
    nodes = two_nodes().limited_to(["node0"]).nodes
    client = clients(nodes, {"node0": ScriptedTransport({}, events)})["node0"]
    return JobFiles(client, "predict-1", "/var/lib/telechat", interrupt or Interrupt())


def test_a_file_comes_whole(tmp_path: Path) -> None:
    files(*pieces(CONTENT), end(CONTENT)).fetch("results.jsonl", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("events", "error", "message"),
    [
        (pieces(CONTENT), UnreachableError, r"node0: results\.jsonl of job predict-1 did not come whole"),
        ([*pieces(CONTENT[:10]), end(CONTENT)], UnreachableError, "another sha256"),
        (
            [{"error": {"code": 5, "message": "no such file here"}}],
            UnreachableError,
            r"node0: results\.jsonl of job predict-1 did not come whole: no such file here",
        ),
    ],
)
def test_what_does_not_come_whole_leaves_the_old_file(
    tmp_path: Path, events: List[Any], error: type[Exception], message: str
) -> None:
    (tmp_path / "out").write_text("old")
    with pytest.raises(error, match=message):
        files(*events).fetch("results.jsonl", tmp_path / "out")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out", "old")]


def test_ctrl_c_ends_a_fetch_that_hangs(tmp_path: Path) -> None:
    interrupt = Interrupt()
    with pytest.raises(InterruptedByUserError, match=r"interrupted while fetching results\.jsonl"):
        files(*pieces(CONTENT), interrupt.request, HANG, interrupt=interrupt).fetch("results.jsonl", tmp_path / "out")
    assert not list(tmp_path.iterdir())
