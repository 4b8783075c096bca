# SPDX-License-Identifier: Apache-2.0
"""The one error that the lab's commands report to their user."""


class LabError(Exception):
    """What went wrong, with the value, the rule and the next step in its message."""
