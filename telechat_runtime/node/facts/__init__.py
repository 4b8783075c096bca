# SPDX-License-Identifier: Apache-2.0
"""What a node can say of itself: chips, containers, kernels, data."""
