# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, Dict, List

import pytest

from telechat_runtime.ascend.docker_inspect import found_objects


@pytest.mark.parametrize(
    ("exit_code", "stdout", "stderr", "found"),
    [
        (0, '[{"Id": "c1"}, {"Id": "i1"}]', "", [{"Id": "c1"}, {"Id": "i1"}]),
        (1, '[{"Id": "i1"}]\n', "Error: No such object: telechat", [{"Id": "i1"}]),
        (1, "", "Error response from daemon: no such image: x", []),
        (1, "[]", "Cannot connect to the Docker daemon", None),
        (0, "nonsense", "", None),
        (0, '{"Id": "c1"}', "", None),
    ],
)
def test_objects_that_exist_are_told_apart_from_no_answer(
    exit_code: int, stdout: str, stderr: str, found: List[Dict[str, Any]] | None
) -> None:
    assert found_objects(exit_code, stdout, stderr) == found
