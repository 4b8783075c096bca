# SPDX-License-Identifier: Apache-2.0
"""What the promises that every module makes about itself mean; a module says itself how far it keeps each."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying the target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode) when in diff mode.
  idempotent:
    description: When run twice in a row outside check mode, the second run reports changed=false.
"""
