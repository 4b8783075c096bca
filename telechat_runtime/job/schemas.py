# SPDX-License-Identifier: Apache-2.0
"""The schema numbers of a job's documents; docs/schemas/README.md says when one is raised.

They are here because one side writes what the other reads.
"""

from __future__ import annotations

PLAN = 1
"""What --dry-run --json prints."""

NODE_PLAN = 1
"""plan.json on a node: what start was given."""

RECORD = 1
"""record.json on a node."""

STATE = 1
"""state.json on a node."""

REPORT = 1
"""What --json prints when a job has ended."""

STATUS = 1
"""What `telechat-run status --json` prints."""

SHOW = 1
"""What `telechat-run show --json` prints."""
