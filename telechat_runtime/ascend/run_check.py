# SPDX-License-Identifier: Apache-2.0
"""Judges what MindSpore's and MindFormers' run_check() print.

MindFormers' ends with exit code 0 even when its MindSpore or predict part has failed, so the text decides.
"""

from __future__ import annotations

import re
from typing import NamedTuple

FAILED = ("MindSpore failed!", "Predict test failed!", "Pretrain test failed!", "The run check failed")
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
    if exit_code == 0 and done and done.group(1) == device_target:
        return Verdict(
            "mindspore", ok=True, detail=f"MindSpore {version.group(1) if version else '?'} on {device_target}"
        )
    if exit_code == 0 and done:
        return Verdict("mindspore", ok=False, detail=f"MindSpore runs on {done.group(1)}, wanted {device_target}")
    return Verdict("mindspore", ok=False, detail=f"mindspore.run_check() failed: {last_lines(text)}")


def judge_mindformers(exit_code: int, text: str) -> Verdict:
    """Judge `mindformers.run_check()`: all parts passed, with matching versions or without."""
    failure = next((line.strip() for line in text.splitlines() if any(mark in line for mark in FAILED)), "")
    if exit_code != 0 or failure:
        return Verdict("mindformers", ok=False, detail=f"mindformers.run_check() failed: {failure or last_lines(text)}")
    if _UNMATCHED in text:
        detail = "all checks passed; MindFormers does not know this pair of versions"
        return Verdict("mindformers", ok=True, detail=detail)
    if _MATCHED in text:
        return Verdict("mindformers", ok=True, detail="all checks passed")
    return Verdict("mindformers", ok=False, detail=f"mindformers.run_check() came to no result: {last_lines(text)}")


def last_lines(text: str) -> str:
    """Return the last lines that are not empty, for use in a message."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-_LAST_LINES:]) if lines else "it printed nothing"
