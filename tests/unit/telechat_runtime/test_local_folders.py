# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from telechat_runtime.local_folders import cache_folder, state_folder


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TELECHAT_CACHE", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/lin")


def test_the_users_own_folders() -> None:
    assert cache_folder() == Path("/home/lin/.cache/telechat-ascend")
    assert state_folder() == Path("/home/lin/.local/state/telechat-run")


def test_a_variable_moves_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    monkeypatch.setenv("XDG_STATE_HOME", "/s")
    assert (cache_folder(), state_folder()) == (Path("/c/telechat-ascend"), Path("/s/telechat-run"))
    monkeypatch.setenv("TELECHAT_CACHE", "/own")
    assert (cache_folder(), state_folder()) == (Path("/own"), Path("/s/telechat-run"))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("TELECHAT_CACHE", "")
    assert cache_folder() == Path("/home/lin/.cache/telechat-ascend")
