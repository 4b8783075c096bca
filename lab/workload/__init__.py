# SPDX-License-Identifier: Apache-2.0
"""What the lab's servers train: a small dialogue set, a tiny model, a CPU for an NPU."""
