# SPDX-License-Identifier: Apache-2.0
"""What a job is, on the control side and on nodes alike: its options, states, files, events and end."""
