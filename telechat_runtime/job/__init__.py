# SPDX-License-Identifier: Apache-2.0
"""What a job is, on the control side and on nodes alike: its options, states, files, events and end.

Imports go downward: report → events | known_errors → failure | identity | options | paths | schemas |
state | training_log.
"""
