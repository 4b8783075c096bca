# SPDX-License-Identifier: Apache-2.0
"""Nodes that are out of service take no job, whoever took them out and for whatever; and only that one puts them in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import pytest

from telechat_runtime.errors import PreflightError, ProtocolError, UsageError
from telechat_runtime.job.paths import JobPaths
from telechat_runtime.node import service
from tests.support.local_node import LocalNode


def ask(root: Path, **wish: Any) -> Dict[str, Any]:
    """Ask for the service, or for a change of it."""
    answers: list[Dict[str, Any]] = []
    service.run({"job_root": str(root), **({"set": wish} if wish else {})}, answers.append)
    return answers[0]


def test_out_and_in_again(tmp_path: Path) -> None:
    assert ask(tmp_path / "root")["service"] is None
    wish = {"out": True, "kind": "maintenance", "reason": "new fan", "by": "ada@bastion"}
    first = ask(tmp_path / "root", **wish)["service"]
    assert (first["kind"], first["reason"], first["by"]) == ("maintenance", "new fan", "ada@bastion")
    again = ask(tmp_path / "root", **{**wish, "reason": "two fans", "by": "bob@bastion"})["service"]
    assert (again["reason"], again["since"]) == ("two fans", first["since"])
    assert ask(tmp_path / "root", out=False, kind="maintenance")["service"] is None
    assert ask(tmp_path / "root", out=False, kind="maintenance")["service"] is None


def test_whoever_has_another_reason_changes_nothing(tmp_path: Path) -> None:
    ask(tmp_path, out=True, kind="upgrade", reason="upgrade to 24.1.rc3", by="ada@bastion")
    for out in (True, False):
        with pytest.raises(PreflightError, match=r"another reason: upgrade to 24\.1\.rc3 \(ada@bastion, since "):
            ask(tmp_path, out=out, kind="maintenance", reason="x", by="bob")
    assert ask(tmp_path)["service"]["kind"] == "upgrade"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "upgrade"}'])
def test_a_file_that_can_not_be_read_keeps_the_node_out(tmp_path: Path, text: str) -> None:
    Path(JobPaths(str(tmp_path), "x").service).write_text(text)
    found = ask(tmp_path)["service"]
    assert found["reason"].endswith("service.json can't be read")
    assert ask(tmp_path, out=False, kind="maintenance")["service"] is None


@pytest.mark.parametrize("wish", [{"out": True}, {"kind": "maintenance"}, {"out": 1, "kind": "upgrade"}])
def test_a_wish_that_says_too_little(tmp_path: Path, wish: Dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ask(tmp_path, **wish)


def test_what_an_upgrade_has_written_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "upgrade.json"
    monkeypatch.setattr(service, "UPGRADE_RECORD", str(record))
    assert ask(tmp_path)["upgrade"] is None
    record.write_text(json.dumps({"state": "rebooting"}))
    assert ask(tmp_path)["upgrade"] == {"state": "rebooting"}


@pytest.mark.parametrize("state", service.ACTIVE)
def test_a_node_in_the_middle_of_an_upgrade_is_not_put_in_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """It was in maintenance before, which is all that keeps jobs away from it meanwhile."""
    record = tmp_path / "upgrade.json"
    monkeypatch.setattr(service, "UPGRADE_RECORD", str(record))
    ask(tmp_path, out=True, kind="maintenance", reason="new fan", by="ada@bastion")
    record.write_text(json.dumps({"state": state, "release": "24.1.rc3", "since": "2026-11-28T20:20:00Z"}))
    with pytest.raises(PreflightError, match=rf"an upgrade to 24\.1\.rc3 has it {state}, since 2026-11-28T20:20:00Z"):
        ask(tmp_path, out=False, kind="maintenance")
    assert ask(tmp_path)["service"]["reason"] == "new fan"
    record.write_text(json.dumps({"state": "done"}))
    assert ask(tmp_path, out=False, kind="maintenance")["service"] is None


def test_a_node_with_the_upgrade_record_of_a_newer_release_is_not_put_in_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "upgrade.json"
    monkeypatch.setattr(service, "UPGRADE_RECORD", str(record))
    record.write_text(json.dumps({"schema": 99, "state": "done"}))
    with pytest.raises(ProtocolError, match=r"upgrade\.json has schema 99, and schemas up to 1 are known here"):
        ask(tmp_path, out=False, kind="maintenance")
    assert ask(tmp_path)["upgrade"] == {"schema": 99, "state": "done"}


def test_no_job_starts_on_a_node_that_is_out_unless_it_is_asked_for(node: LocalNode) -> None:
    ask(node.job_root, out=True, kind="maintenance", reason="new fan", by="ada@bastion")
    request = node.request("true")
    refused = node.call("start", **request)
    assert refused.exit_code == PreflightError.exit_code
    assert refused.error.startswith("out of service: new fan (ada@bastion, since ")
    assert not Path(node.paths(request["job_id"]).folder).exists()
    status = node.status()
    assert (status["lease"], status["service"]["reason"]) == (None, "new fan")
    job_id = node.start("true", options={"out_of_service": True})
    assert node.wait_for_end(job_id)["state"] == "SUCCEEDED"
