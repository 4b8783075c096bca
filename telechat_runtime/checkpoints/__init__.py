# SPDX-License-Identifier: Apache-2.0
"""Converts checkpoints between layouts and merges LoRA weights."""
