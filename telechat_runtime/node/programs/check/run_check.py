# SPDX-License-Identifier: Apache-2.0
"""Runs the run_check() of MindSpore and MindFormers, each in a process of its own, and writes a verdict line for each.

Usage: run_check.py DEVICE_TARGET SECONDS. It ends with 0 also when a check failed: a job that fails on one node is
stopped on all, and here every node's verdict is wanted.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import List, Optional, Tuple

from telechat_runtime.ascend.run_check import Verdict, judge_mindformers, judge_mindspore

MARK = "TELECHAT_CHECK "


def main(arguments: List[str]) -> int:
    """Run both checks; each may take the given seconds."""
    device_target, seconds = arguments[0], float(arguments[1])
    for verdict in (_mindspore(device_target, seconds), _mindformers(device_target, seconds)):
        if verdict is not None:
            print(MARK + json.dumps(verdict._asdict()), flush=True)  # noqa: T201 - the worker's log
    return 0


def _mindspore(device_target: str, seconds: float) -> Verdict:
    exit_code, text = _run("mindspore", seconds)
    if exit_code is None:
        return Verdict("mindspore", ok=False, detail=f"no result after {seconds:g} s")
    return judge_mindspore(exit_code, text, device_target)


def _mindformers(device_target: str, seconds: float) -> Optional[Verdict]:
    if device_target != "Ascend":
        return None  # its operators, FlashAttentionScore among them, have no kernel for CPU
    exit_code, text = _run("mindformers", seconds)
    if exit_code is None:
        return Verdict("mindformers", ok=False, detail=f"no result after {seconds:g} s")
    return judge_mindformers(exit_code, text)


def _run(package: str, seconds: float) -> Tuple[Optional[int], str]:
    argv = [sys.executable, "-c", f"import {package}; {package}.run_check()"]
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, ""
    text = done.stdout + "\n" + done.stderr
    print(text, flush=True)  # noqa: T201 - the worker's log keeps what was judged
    return done.returncode, text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
