# SPDX-License-Identifier: Apache-2.0
"""What the inventory says: nodes, ranks, connections."""
