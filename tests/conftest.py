# SPDX-License-Identifier: Apache-2.0
"""Settings of Hypothesis: never a deadline; in CI the same examples each run, so that only a change turns it red."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("default-without-deadline", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "default-without-deadline")
