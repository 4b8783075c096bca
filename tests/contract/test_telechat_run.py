# SPDX-License-Identifier: Apache-2.0
"""What telechat-run promises about itself: its layers, its reference, its weight at start-up, its version."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest
import tomllib

from telechat_runtime import __version__
from telechat_runtime.cli.reference import reference

ROOT = Path(__file__).parents[2]


def test_imports_go_downward_only() -> None:
    program = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_reference_is_that_of_the_commands() -> None:
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == reference(), "run: .venv/bin/python -m telechat_runtime.cli.reference > docs/cli.md"


def test_the_package_knows_its_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__


HEAVY = {"logging", "paramiko", "rich", "ruamel", "yaml", "ansible", "asyncio", "mindspore"}


@pytest.mark.parametrize(
    ("words", "too_heavy"),
    [
        (
            ["--help"],
            HEAVY | {"subprocess", "telechat_runtime.cli.finetune", "telechat_runtime.versions.matrix"},
        ),
        (
            ["node", "probe", "--help"],
            HEAVY | {"telechat_runtime.plan.plan", "telechat_runtime.versions.matrix"},
        ),
        (["finetune", "--help"], {"logging", "paramiko", "rich", "ansible", "asyncio", "mindspore"}),
    ],
)
def test_a_command_loads_nothing_that_it_does_not_need(words: List[str], too_heavy: set[str]) -> None:
    code = (
        "import sys; from telechat_runtime.cli.main import cli; "
        f"cli.main({words}, standalone_mode=False); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stderr.split()) & too_heavy == set()


@pytest.mark.parametrize("command", ["probe", "status", "stop"])
def test_a_node_command_starts_without_click(command: str) -> None:
    code = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
        f"sys.argv = ['telechat-run', 'node', {command!r}, '--help']; "
        "from telechat_runtime.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"telechat-run node {command}" in done.stdout
    assert set(done.stderr.split()) & (HEAVY | {"click", "telechat_runtime.cli"}) == set()


def test_the_node_part_parses_on_python_3_9() -> None:
    """Older images bring Python 3.9; what it can't run is found by running it where it is at hand, the syntax here."""
    for path in ROOT.glob("telechat_runtime/**/*.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
