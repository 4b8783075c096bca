# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from telechat_runtime.upgrade.record import Record
from tests.support.upgrade_events import CAMPAIGN
from tests.support.upgrade_telechat_run import StandIn


@pytest.fixture
def telechat_run(tmp_path: Path) -> StandIn:
    return StandIn(tmp_path)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Return the record of a campaign, still empty."""
    folder = tmp_path / CAMPAIGN
    folder.mkdir()
    return Record(folder)
