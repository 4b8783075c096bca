# SPDX-License-Identifier: Apache-2.0
"""Owns a job on its node: starts, watches and ends its processes, and agrees with the other nodes.

Imports go downward: supervisor → disk_room | guard | start_request → state → environment | lease | stacks | workers
→ failure | hang | peers | processes | stop_request.
"""
