# SPDX-License-Identifier: Apache-2.0
"""In which state a host is, from what its supervisor recorded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab import process

if TYPE_CHECKING:
    from lab.layout import Host

# Last event of a host whose supervisor lives -> state.
_STATES = {"boot": "running", "off": "rebooting", "no_boot": "held", "slow_boot": "held"}


def state(host: Host) -> str:
    """Return `off`, `starting`, `running`, `rebooting`, or `held` (a fault holds the boot back)."""
    if not process.alive(host.supervisor):
        return "off"
    happened = events(host)
    return _STATES[happened[-1]] if happened else "starting"


def events(host: Host) -> list[str]:
    """Return the names of what happened to a host since it was made."""
    if not host.events.exists():
        return []
    return [json.loads(line)["event"] for line in host.events.read_text().splitlines()]
