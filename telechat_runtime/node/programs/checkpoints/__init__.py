# SPDX-License-Identifier: Apache-2.0
"""Checkpoints and strategy files as they lie on a node: read, judged and converted.

A job takes a copy of these modules along, beside the interpreter with MindSpore: so they import nothing but each other
and the standard library, and MindSpore only where it is used.

Imports go downward: merge_lora → convert → transform → lora | progress → conversion | saved_steps → folder |
request | safetensors_file → shard_file | strategy → wire.
"""
