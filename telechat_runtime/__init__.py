# SPDX-License-Identifier: Apache-2.0
"""Runs TeleChat2's MindFormers jobs on all Ascend servers of an Ansible inventory."""

__version__ = "0.1.0"
