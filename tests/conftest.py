# SPDX-License-Identifier: Apache-2.0
"""Settings of all tests.

Hypothesis has no deadline, and in CI the same examples each run, so that only a change turns it red.
"""

from __future__ import annotations

import os
import signal
import sys

from hypothesis import settings

settings.register_profile("default-without-deadline", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "default-without-deadline")

# Thousands of Pythons start in a run, and each would compile what it imports, if the environment forbids to keep that.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Under nohup, programs that the tests start would inherit that they ignore a hang-up; a handler is not inherited.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)
