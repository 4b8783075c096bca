# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, Dict

import pytest

from telechat_runtime.checkpoints.spec import ConvertSpec, MergeSpec
from telechat_runtime.errors import SpecError, UsageError

PATHS = {"checkpoint": "/c", "output": "/o"}


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({}, "no strategy is given, so the checkpoint is whole and would stay so"),
        ({"from_strategy": "/s", "from_job": "j"}, "either --from-strategy or --from-job"),
        ({"to_strategy": "/s", "to_job": "j"}, "give one of --to-strategy, --to-job"),
        ({"to_job": "j", "to_layout": True}, "give one of --to-strategy, --to-job"),
    ],
)
def test_conversions_that_make_no_sense(wishes: Dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ConvertSpec(**PATHS, **wishes)


@pytest.mark.parametrize("name", ["checkpoint", "output", "from_strategy", "to_strategy"])
def test_a_relative_path_of_a_conversion(name: str) -> None:
    with pytest.raises(SpecError, match=f"--{name.replace('_', '-')} 'x' is a relative path"):
        ConvertSpec(**{**PATHS, "to_job": "j" if name != "to_strategy" else "", name: "x"})


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({}, "either a job, or --checkpoint"),
        ({"job": "j", "checkpoint": "/c"}, "either a job, or --checkpoint"),
        ({"job": "j", "strategy": "/s"}, "--strategy goes with --checkpoint"),
        ({"checkpoint": "/c", "output": "/o"}, "needs --lora-scaling"),
        ({"checkpoint": "/c", "scaling": 2.0}, "needs --output"),
    ],
)
def test_merges_that_make_no_sense(wishes: Dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MergeSpec(**wishes)


def test_a_relative_path_of_a_merge() -> None:
    with pytest.raises(SpecError, match="--output 'x' is a relative path"):
        MergeSpec(job="j", output="x")
