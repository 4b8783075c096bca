# SPDX-License-Identifier: Apache-2.0
"""What the lab's servers train: a small dialogue set of our own, a tiny model, and MindSpore's CPU in place of an NPU."""
