# SPDX-License-Identifier: Apache-2.0
"""A job as a value: the commands, files and environment of every node.

Imports go downward: plan → node_facts → data_facts | msrun | payload | program.
"""
