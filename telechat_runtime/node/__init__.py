# SPDX-License-Identifier: Apache-2.0
"""The part that runs on a node: it owns the node's lease and the job's processes (docs/node.md).

Standard library only, Python >= 3.9: it runs with whatever interpreter the image brings.

Imports go downward: examine | start → probe | record | saved_steps | status | sweep → facts | job_output | read |
service | stop | watch → checkpoint_info | supervision → logs | programs | protocol | tool | versions.
"""
