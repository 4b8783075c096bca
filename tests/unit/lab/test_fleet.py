# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from lab import files, layout
from lab.errors import LabError
from lab.fleet import claim


def test_a_name_means_one_lab_wherever_its_state_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "RUN", tmp_path / "run")
    here, there = (layout.find_lab("x", {"LAB_STATE": str(tmp_path / name)}) for name in ("here", "there"))
    with files.locked(here.lock):
        claim(here)
        claim(here)
    here.state.mkdir(parents=True)
    here.settings.write_text("{}")
    with pytest.raises(LabError, match=f"{here.state}.*--name"):
        claim(there)
    # What is left of a lab whose state was deleted belongs to whoever cleans up.
    here.settings.unlink()
    claim(there)
    assert there.lock.read_text() == f"{there.state}\n"
