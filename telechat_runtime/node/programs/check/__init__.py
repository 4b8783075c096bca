# SPDX-License-Identifier: Apache-2.0
"""What `telechat-run check` runs on each node: run_check() of MindSpore and MindFormers, judged by what they say.

Imports go downward: run_check.
"""
