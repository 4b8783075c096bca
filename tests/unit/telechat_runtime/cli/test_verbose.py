# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Dict, List, Optional

import pytest
from click.testing import CliRunner, Result

from telechat_runtime import wire_log
from telechat_runtime.cli.main import cli

HOSTS = {"node0": {"ansible_host": "192.0.2.10", "ascend_npu_count": 8}}
READS = "telechat-run.inventory: run "


@pytest.fixture
def inventory(tmp_path: Path) -> str:
    path = tmp_path / "hosts.yml"
    path.write_text(json.dumps({"ascend": {"hosts": HOSTS}}))
    return str(path)


def run(words: List[str], env: Optional[Dict[str, str]] = None) -> Result:
    return CliRunner(mix_stderr=False).invoke(cli, words, env=env)


@pytest.mark.parametrize("before", [["-v"], ["--verbose"], []])
@pytest.mark.parametrize("after", [["-v"], []])
def test_it_stands_before_or_after_the_command(inventory: str, before: List[str], after: List[str]) -> None:
    result = run([*before, "status", "-i", inventory, "--group", "nobody", *after])
    assert (READS in result.stderr) == bool(before or after)
    assert READS not in result.stdout


def test_a_file_gets_the_same_and_is_appended_to(inventory: str, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    for _ in range(2):
        result = run(["status", "-i", inventory, "--group", "nobody", "--log-file", str(log)])
        assert READS not in result.stderr
    text = log.read_text()
    assert text.count("telechat-run.control: telechat-run ") == 2
    assert text.count("telechat-run.control: ends with exit code 3: ") == 2
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_variable_names_the_file_too(inventory: str, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    run(["status", "-i", inventory, "--group", "nobody"], env={"TELECHAT_LOG_FILE": str(log)})
    assert log.read_text().count("telechat-run.control: telechat-run ") == 1


def test_a_file_that_cannot_be_written_ends_the_command(tmp_path: Path) -> None:
    result = run(["status", "--log-file", str(tmp_path / "no" / "run.log")])
    assert getattr(result.exception, "exit_code", None) == 2
    assert "can't be written: No such file or directory" in str(result.exception)


def test_nothing_of_it_is_left_after_the_command(inventory: str) -> None:
    run(["-vv", "status", "-i", inventory, "--group", "nobody"])
    assert not wire_log.is_on()
    assert [type(handler) for handler in logging.getLogger("telechat-run").handlers] == [logging.NullHandler]


def test_every_command_has_both_options() -> None:
    context = cli.make_context("telechat-run", ["status"])
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        names = [option for parameter in command.params for option in parameter.opts]
        assert (names.count("--verbose"), names.count("--log-file")) == ((0, 0) if name == "node" else (1, 1)), name
