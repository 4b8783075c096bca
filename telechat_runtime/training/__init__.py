# SPDX-License-Identifier: Apache-2.0
"""The yaml of a training, and the arithmetic of its layout, memory and data.

Imports go downward: checkpoint_transform | layout_choice → data_checks | layout_proposal → config → memory → layout
→ document | model_shape | parallel_mode → pipeline | shipped | yaml_view.
"""
