# SPDX-License-Identifier: Apache-2.0
"""Runs a job of any kind: preflight, placement, launch, monitoring, its record.

Imports go downward: attach | launch | replay → monitor | placement | preflight | record | status.
"""
