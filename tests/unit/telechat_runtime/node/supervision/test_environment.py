# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, Optional

import pytest

from telechat_runtime.errors import PreflightError
from telechat_runtime.node.supervision import environment, processes
from telechat_runtime.node.supervision.environment import job_environment


def made(
    *, env: Optional[Dict[str, Optional[str]]] = None, script: Optional[Path] = None, **more: Any
) -> Dict[str, str]:
    request = {"job_id": "job-env", "env": env or {}, "env_script": str(script) if script else None, **more}
    return job_environment(request)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "set env.sh"


def test_the_plan_adds_to_this_environment_and_unsets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setenv("RANK_TABLE_FILE", "/old")
    found = made(env={"RANK_TABLE_FILE": None, "NEVER_SET": None, "ADDED": "2"})
    assert (found["KEPT"], found["ADDED"]) == ("1", "2")
    assert "RANK_TABLE_FILE" not in found
    assert "NEVER_SET" not in found


def test_the_path_folders_come_first(monkeypatch: pytest.MonkeyPatch, script: Path) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    script.write_text("export PATH=/from/script:$PATH\n", encoding="utf-8")
    found = made(path=["/opt/ms/bin", "~/bin"], script=script)
    assert found["PATH"] == f"/opt/ms/bin:/home/alice/bin:/from/script:{os.environ['PATH']}"


def test_the_job_id_is_nobody_elses_to_set(script: Path) -> None:
    script.write_text("export TELECHAT_JOB_ID=mine\n", encoding="utf-8")
    assert made(script=script, env={"TELECHAT_JOB_ID": "yours"})["TELECHAT_JOB_ID"] == "job-env"
    assert made(env={"TELECHAT_JOB_ID": None})["TELECHAT_JOB_ID"] == "job-env"


def test_the_script_is_sourced_and_the_plan_has_the_last_word(script: Path) -> None:
    lines = ["echo loud", "export LINES_='a", "b=c'", "export BOTH=script", "unset HOME_OF_OLD", "HIDDEN=1"]
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = made(script=script, env={"BOTH": "plan"})
    assert (found["LINES_"], found["BOTH"]) == ("a\nb=c", "plan")
    assert "HIDDEN" not in found


def test_the_script_is_found_in_the_home(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script.write_text("export FROM_HOME=1\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(script.parent))
    assert made(script=Path("~") / script.name)["FROM_HOME"] == "1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("echo cannot find CANN >&2\nreturn 3\n", "sourcing .* failed: cannot find CANN"),
        ("return 3\n", "sourcing .* failed: it returned 3"),
        ("exit 0\n", "ends the shell"),
        ("if\n", "sourcing .* failed: .*syntax error"),
    ],
)
def test_a_script_that_fails_is_named_with_its_words(script: Path, text: Optional[str], message: str) -> None:
    if text is not None:
        script.write_text(text, encoding="utf-8")
    with pytest.raises(PreflightError, match=message) as caught:
        made(script=script)
    assert str(script) in caught.value.message
    assert "telechat_env_script" in caught.value.next_step


def test_a_script_that_hangs_is_given_up_with_what_it_started(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_SCRIPT_SECONDS", 0.5)
    script.write_text("sleep 600\n", encoding="utf-8")
    with pytest.raises(PreflightError, match=r"can't be sourced: not done after 0.5 s"):
        made(script=script)
    assert processes.of_job("job-env") == []
