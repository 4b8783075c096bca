# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from lab import host_state, supervisor
from lab.layout import find_lab


def test_a_host_without_supervisor_is_off_whatever_happened_last(tmp_path: Path) -> None:
    host = find_lab("x", {"LAB_STATE": str(tmp_path)}).host(0)
    host.folder.mkdir(parents=True)
    supervisor.record(host, "boot")
    assert host_state.state(host) == "off"


@pytest.mark.parametrize(
    ("event", "state"), [("boot", "running"), ("off", "rebooting"), ("no_boot", "held"), ("slow_boot", "held")]
)
def test_the_last_event_is_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: str, state: str) -> None:
    host = find_lab("x", {"LAB_STATE": str(tmp_path)}).host(0)
    host.folder.mkdir(parents=True)
    monkeypatch.setattr(host_state.process, "alive", lambda _path: True)
    assert host_state.state(host) == "starting"
    supervisor.record(host, event)
    assert host_state.state(host) == state
