# SPDX-License-Identifier: Apache-2.0
"""Runs TeleChat2's MindFormers jobs on all Ascend servers of an Ansible inventory."""

__version__ = "0.1.0"

PROTOCOL = 2
"""Number of the node protocol (docs/architecture.md); what has none, as telechat-run 0.1 has, is protocol 1."""
