# SPDX-License-Identifier: Apache-2.0
"""What a predict job can't be done with."""

from __future__ import annotations


class InputError(Exception):
    """A question, the vocabulary, the yaml or the checkpoint can't be used; the message says which and why."""
