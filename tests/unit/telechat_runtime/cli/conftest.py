# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from telechat_runtime.cluster import inventory
from tests.support.control_side import fast_inventory


@pytest.fixture(autouse=True)
def _fast_inventory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands in this process read plain inventories fast; the real ansible-inventory has tests of its own."""
    monkeypatch.setattr(inventory, "_program", lambda: str(fast_inventory()))
