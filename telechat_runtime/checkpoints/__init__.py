# SPDX-License-Identifier: Apache-2.0
"""Converts checkpoints between layouts and merges LoRA weights.

Imports go downward: merge_lora → convert → lora_run | spec.
"""
