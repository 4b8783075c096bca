# SPDX-License-Identifier: Apache-2.0
"""`node job-output`: what a job left on this node: its yaml, its strategy files, the ranks that have checkpoints."""

from __future__ import annotations

import base64
import os
import re
from typing import Any, Callable, Dict, List, Optional

from telechat_runtime.job.paths import JobPaths, checked_job_id
from telechat_runtime.node.programs.checkpoints.strategy import StrategyError, strategy_files
from telechat_runtime.node.supervision.state import job_paths, read_state

CHECKPOINT_FOLDERS = ("checkpoint_network", "checkpoint")
# A top-level key: MindFormers writes everything below it, taken from the job's work folder.
_OUTPUT_DIR = re.compile(r"^output_dir:[ \t]*['\"]?([^'\"#\n]+?)['\"]?[ \t]*(#.*)?$", re.MULTILINE)
_RANK_FOLDER = re.compile(r"rank_(\d+)")


def run(request: Dict[str, Any], out: Callable[[Dict[str, Any]], None]) -> int:
    """Write the one answer; nothing on the node is changed."""
    out(look(request))
    return 0


def look(request: Dict[str, Any]) -> Dict[str, Any]:
    """Return the answer, as the node protocol has it; a node without the job answers `state` null.

    Raises PreflightError for a job whose state can't be read, UsageError for a request without a job.
    """
    paths = job_paths(request, checked_job_id(request.get("job_id")))
    if not os.path.exists(paths.state):
        return {"state": None, "config": None, "output": None, "strategy": {}, "checkpoints": {}}
    output = output_folder(paths)
    return {
        "state": str(read_state(paths).state),
        "config": _text(paths.config),
        "output": output,
        "strategy": _strategy(os.path.join(output, "strategy")),
        "checkpoints": {
            name: _ranks(os.path.join(output, name))
            for name in CHECKPOINT_FOLDERS
            if os.path.isdir(os.path.join(output, name))
        },
    }


def output_folder(paths: JobPaths) -> str:
    """Return where the job writes checkpoints and strategies: what its yaml says, else a folder of its own."""
    found = _OUTPUT_DIR.search(_text(paths.config) or "")
    return os.path.normpath(os.path.join(paths.work, found[1])) if found else paths.output


def _strategy(folder: str) -> Dict[str, str]:
    """Return the strategy files, of files with equal content (all ranks of a pipeline stage) the first one only."""
    try:
        files = strategy_files(folder)
    except StrategyError:
        return {}
    found: Dict[bytes, str] = {}
    for file in files:
        with open(file, "rb") as stream:
            found.setdefault(stream.read(), os.path.basename(file))
    return {name: base64.b64encode(content).decode("ascii") for content, name in found.items()}


def _ranks(folder: str) -> List[int]:
    matches = (_RANK_FOLDER.fullmatch(name) for name in os.listdir(folder))
    return sorted(int(match[1]) for match in matches if match)


def _text(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return None
