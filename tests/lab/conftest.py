# SPDX-License-Identifier: Apache-2.0
"""The MindSpore environment and the data of tests that train for real."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab import artifacts
from lab.layout import cache_root

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def mindspore_python() -> Path:
    """An interpreter with MindSpore and MindFormers: named by the environment, the lab's cache, or this one."""
    named = os.environ.get("TELECHAT_MINDSPORE_PYTHON")
    cached = artifacts.mindspore().path(cache_root()) / "bin" / "python"
    candidates = [Path(named)] if named else [cached, Path(sys.executable)]
    for python in candidates:
        if _has_mindformers(python):
            return python
    reason = f"none of {', '.join(map(str, candidates))} has MindFormers; `python -m lab cache` makes an environment"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def dataset(mindspore_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workload's training data."""
    folder = tmp_path_factory.mktemp("workload") / "dataset"
    subprocess.run([mindspore_python, "-m", "lab.workload.dataset", "--output", folder], cwd=ROOT, check=True)
    return folder


def _has_mindformers(python: Path) -> bool:
    look = "import importlib.util, sys; sys.exit(not all(map(importlib.util.find_spec, ('mindspore', 'mindformers'))))"
    try:
        return subprocess.run([python, "-c", look], check=False, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False
