# SPDX-License-Identifier: Apache-2.0
"""The yaml of a training, and the arithmetic of its layout, memory and data."""
