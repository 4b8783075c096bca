# SPDX-License-Identifier: Apache-2.0
"""Running the node's tools (npu-smi, hccn_tool, docker, py-spy) for what they say."""

from __future__ import annotations

import subprocess
from typing import Sequence


def ask_tool(argv: Sequence[str], *, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end and return its exit code, stdout and stderr.

    Raises OSError when it can't be run, subprocess.TimeoutExpired when it takes longer.
    """
    return subprocess.run(
        list(argv),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )
