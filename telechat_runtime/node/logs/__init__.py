# SPDX-License-Identifier: Apache-2.0
"""Reads the logs of a job as they grow."""
