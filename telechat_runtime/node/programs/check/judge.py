# SPDX-License-Identifier: Apache-2.0
"""Judges what MindSpore's and MindFormers' run_check() say.

MindFormers' ends with exit code 0 even when its MindSpore or predict part has failed, so the text decides. The role
verify judges the same texts by plugins/module_utils/run_check.py, which can't be imported here nor this there; a
contract test holds the two together.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_FAILED = ("MindSpore failed!", "Predict test failed!", "Pretrain test failed!", "The run check failed")
_MATCHED = "All checks passed"
# TeleChat2's fork knows the versions of an older release only: on its own stack this is as good as it gets.
_UNMATCHED = "unmatched but all checks passed"
_VERSION = re.compile(r"MindSpore version:\s*(\S+)")
_DONE = re.compile(r"has been installed on platform \[(\w+)\] successfully")
_LAST_LINES = 3


class Verdict(NamedTuple):
    """Whether a check passed, and what people read, good or bad."""

    check: str
    ok: bool
    detail: str


def judge_mindspore(exit_code: int, text: str, device_target: str) -> Verdict:
    """Judge `mindspore.run_check()`: it has to have computed on the wanted platform, and is content with any."""
    version, done = _VERSION.search(text), _DONE.search(text)
    if exit_code == 0 and done and done[1] == device_target:
        return Verdict("mindspore", ok=True, detail=f"MindSpore {version[1] if version else '?'} on {device_target}")
    if exit_code == 0 and done:
        return Verdict("mindspore", ok=False, detail=f"MindSpore runs on {done[1]}, wanted {device_target}")
    return Verdict("mindspore", ok=False, detail=f"mindspore.run_check() failed: {_tail(text)}")


def judge_mindformers(exit_code: int, text: str) -> Verdict:
    """Judge `mindformers.run_check()`: all parts passed, with matching versions or without."""
    failure = next((line.strip() for line in text.splitlines() if any(mark in line for mark in _FAILED)), "")
    if exit_code != 0 or failure:
        return Verdict("mindformers", ok=False, detail=f"mindformers.run_check() failed: {failure or _tail(text)}")
    if _UNMATCHED in text:
        detail = "all checks passed; MindFormers does not know this pair of versions"
        return Verdict("mindformers", ok=True, detail=detail)
    if _MATCHED in text:
        return Verdict("mindformers", ok=True, detail="all checks passed")
    return Verdict("mindformers", ok=False, detail=f"mindformers.run_check() came to no result: {_tail(text)}")


def _tail(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-_LAST_LINES:]) if lines else "it printed nothing"
