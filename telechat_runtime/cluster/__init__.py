# SPDX-License-Identifier: Apache-2.0
"""What the inventory says: nodes, ranks, connections.

Imports go downward: argv | inventory → topology → contract | hostvars | ssh_options.
"""
