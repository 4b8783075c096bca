# SPDX-License-Identifier: Apache-2.0
"""The power of the server, which may go away while something is under way."""

import os
import signal
import time

from . import chips, files, paths

# A server goes dark within moments; where nobody obeys, the process that would have ended with it ends alone.
_LAST_SECONDS = 20


def cut_at(step, percent):
    """Lose power, once, when the fault names this step and a progress that is reached now."""
    wanted = chips.faults().get("power_cut")
    if not wanted:
        return
    name, _, reached = wanted.partition(":")
    if name != step or percent < int(reached or 0):
        return
    chips.heal("power_cut")
    files.write_text(paths.POWER_CUT, "{} {}\n".format(step, percent))
    time.sleep(_LAST_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
