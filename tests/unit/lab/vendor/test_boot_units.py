# SPDX-License-Identifier: Apache-2.0
"""The units that stand for what loads the driver at boot."""

from __future__ import annotations

import configparser
from pathlib import Path

UNITS = Path(__file__).parents[4] / "lab" / "vendor" / "payload" / "driver" / "systemd"


def test_nothing_early_waits_for_the_driver() -> None:
    # A path unit starts before basic.target and a service after it: waiting for one makes a cycle, and systemd
    # breaks it by leaving out any one of its units, at times the driver's.
    for path in UNITS.glob("*.path"):
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.read(path)
        assert ".service" not in unit.get("Unit", "After", fallback="")
