# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab import mindspore_env
from lab.errors import LabError


def test_the_pins_are_those_of_the_projects_extra() -> None:
    text = '[project.optional-dependencies]\ncontrol = ["a"]\ncpu = ["mindspore==2.7.2", "b>=1"]\n'
    assert mindspore_env.pins(text) == ["b>=1", "mindspore==2.7.2"]
    assert any(pin.startswith("mindspore==") for pin in mindspore_env.project_pins())


def test_a_script_runs_the_interpreter_beside_it_wherever_that_is(tmp_path: Path) -> None:
    made_at = Path("/cache/.mindspore-1.part")
    script = tmp_path / "some where" / "msrun"
    script.parent.mkdir()
    script.write_bytes(mindspore_env.moved(b"#!/cache/.mindspore-1.part/bin/python3.11\nprint(*sys.argv)\n", made_at))
    script.chmod(0o755)
    beside = script.with_name("python3")
    beside.write_text('#!/bin/sh\necho beside: "$@"\n')
    beside.chmod(0o755)
    result = subprocess.run([script, "--help me"], capture_output=True, text=True, check=True)
    assert result.stdout == f"beside: {script} --help me\n"
    compile(script.read_bytes(), "msrun", "exec")


def test_other_scripts_name_the_folder_where_hosts_see_it() -> None:
    made_at = Path("/cache/.mindspore-1.part")
    moved = mindspore_env.moved(b'VIRTUAL_ENV="/cache/.mindspore-1.part"\n', made_at)
    assert moved == b'VIRTUAL_ENV="/opt/mindspore-env"\n'


def test_a_machine_without_that_python_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mindspore_env, "PYTHON", tmp_path / "python3.11")
    with pytest.raises(LabError, match=r"python3\.11-venv.*--no-mindspore"):
        mindspore_env.build(tmp_path / "env", {})
    assert not (tmp_path / "env").exists()
