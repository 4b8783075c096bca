# SPDX-License-Identifier: Apache-2.0
"""Reads the logs of a job as they grow.

Imports go downward: follow → log_positions.
"""
