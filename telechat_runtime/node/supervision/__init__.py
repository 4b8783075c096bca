# SPDX-License-Identifier: Apache-2.0
"""Owns a job on its node: starts, watches and ends its processes, and agrees with the other nodes."""
