# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from telechat_runtime.ascend.service_file import out_of_service, take_out_of_service

OUT = {"kind": "maintenance", "reason": "new fan", "by": "lin", "since": "2026-11-23T10:00:00Z"}


def test_a_node_is_out_of_service_with_its_reason_until_the_file_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "jobs" / "service.json"
    assert out_of_service(str(path)) is None
    take_out_of_service(str(path), **OUT)
    assert out_of_service(str(path)) == OUT
    assert path.stat().st_mode & 0o777 == 0o644
    path.unlink()
    assert out_of_service(str(path)) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "upgrade"}'])
def test_a_file_that_cannot_be_read_keeps_the_node_out(text: str, tmp_path: Path) -> None:
    path = tmp_path / "service.json"
    path.write_text(text)
    found = out_of_service(str(path))
    assert found is not None
    assert (found["kind"], found["reason"]) == ("maintenance", f"{path} can't be read")
