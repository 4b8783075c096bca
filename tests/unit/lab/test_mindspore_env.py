# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
from pathlib import Path

from lab import mindspore_env


def test_the_pins_are_those_of_the_projects_extra() -> None:
    text = '[project.optional-dependencies]\ncontrol = ["a"]\ncpu = ["mindspore==2.7.2", "b>=1"]\n'
    assert mindspore_env.pins(text) == ["b>=1", "mindspore==2.7.2"]
    assert any(pin.startswith("mindspore==") for pin in mindspore_env.project_pins())


def test_a_script_runs_the_interpreter_beside_it_wherever_that_is(tmp_path: Path) -> None:
    script = tmp_path / "some where" / "msrun"
    script.parent.mkdir()
    script.write_bytes(mindspore_env.relocatable(b"#!/opt/mindspore-env/bin/python3.11\nprint(*sys.argv)\n"))
    script.chmod(0o755)
    beside = script.with_name("python3")
    beside.write_text('#!/bin/sh\necho beside: "$@"\n')
    beside.chmod(0o755)
    result = subprocess.run([script, "--help me"], capture_output=True, text=True, check=True)
    assert result.stdout == f"beside: {script} --help me\n"
    compile(script.read_bytes(), "msrun", "exec")


def test_what_is_no_python_script_of_the_environment_stays() -> None:
    for script in (b'VIRTUAL_ENV="/opt/mindspore-env"\n', b"#!/bin/sh\nexec true\n", b"\x7fELF"):
        assert mindspore_env.relocatable(script) == script
