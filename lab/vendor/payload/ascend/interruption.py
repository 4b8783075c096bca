# SPDX-License-Identifier: Apache-2.0
"""What keeps a step from coming to its end: it stalls, or the server's power goes away while it is under way."""

import os
import signal
import time

from . import chips, files, paths

_POLL_SECONDS = 0.05
# A server goes dark within moments; where nobody obeys, the process that would have ended with it ends alone.
_LAST_SECONDS = 20


def at(step, percent):
    """Stall while the fault `stall` says so; lose power, once, when `power_cut` does. Call it at each progress."""
    while _named("stall", step, percent):
        time.sleep(_POLL_SECONDS)
    if _named("power_cut", step, percent):
        chips.heal("power_cut")
        files.write_text(paths.POWER_CUT, "{} {}\n".format(step, percent))
        time.sleep(_LAST_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)


def _named(fault, step, percent):
    """Tell whether the fault is active for this step and a progress that is reached now."""
    wanted = chips.faults().get(fault)
    if not wanted:
        return False
    name, _, reached = wanted.partition(":")
    return name == step and percent >= int(reached or 0)
