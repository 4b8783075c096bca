# SPDX-License-Identifier: Apache-2.0
"""The role verify and `telechat-run check` judge run_check() alike: neither can import the other's code."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import ansible.module_utils
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.node.programs.check import judge

PLUGINS = str(Path(__file__).parents[2] / "plugins" / "module_utils")
if PLUGINS not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(PLUGINS)
servers_side: Any = importlib.import_module("ansible.module_utils.run_check")
Result: Any = importlib.import_module("ansible.module_utils.command_result").Result

SAID = (
    "MindSpore version:  2.4.0",
    "MindSpore has been installed on platform [Ascend] successfully!",
    "MindSpore has been installed on platform [CPU] successfully!",
    "The installed software are unmatched but all checks passed in 12 seconds",
    "All checks passed, used 12 seconds, the environment is correctly set up!",
    *(f"- {mark}" for mark in servers_side.MINDFORMERS_FAILED),
    "ImportError: libascend_hal.so",
    "",
)
TEXTS = st.lists(st.sampled_from(SAID), max_size=5).map("\n".join)


@given(st.sampled_from([0, 1, 139]), TEXTS, TEXTS, st.sampled_from(["Ascend", "CPU"]))
def test_both_sides_come_to_the_same_verdict(exit_code: int, stdout: str, stderr: str, target: str) -> None:
    result, text = Result(exit_code, stdout, stderr), f"{stdout}\n{stderr}"
    pairs: list[tuple[Any, judge.Verdict]] = [
        (servers_side.judge_mindspore(result, target), judge.judge_mindspore(exit_code, text, target)),
        (servers_side.judge_mindformers(result), judge.judge_mindformers(exit_code, text)),
    ]
    for servers, own in pairs:
        assert (servers.name, servers.ok, servers.detail) == (own.check, own.ok, own.detail)


@pytest.mark.parametrize("mark", servers_side.MINDFORMERS_FAILED)
def test_a_failed_part_outweighs_the_exit_code_and_what_is_said_after_it(mark: str) -> None:
    text = f"{mark} because\nThe installed software are unmatched but all checks passed in 12 seconds"
    assert judge.judge_mindformers(0, text) == ("mindformers", False, f"mindformers.run_check() failed: {mark} because")
