# SPDX-License-Identifier: Apache-2.0
"""What nodes answer to the commands of the node protocol (docs/architecture.md), a dataclass for each.

A field without a default has been in every answer since telechat-run 0.1. One that is newer has a default, so that
nodes with an older runtime can still be asked. What only a newer runtime knows is passed over.

Imports go downward: examine → jobs → checkpoints | probe | record.
"""
