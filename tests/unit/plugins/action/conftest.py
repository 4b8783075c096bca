# SPDX-License-Identifier: Apache-2.0
"""What tests of actions share: a clock."""

from types import SimpleNamespace

import pytest


@pytest.fixture
def clock(request, monkeypatch):
    """Time, in the action that the test file calls `plugin`, that only sleeping moves on."""
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    monkeypatch.setattr(request.module.plugin, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    return now
