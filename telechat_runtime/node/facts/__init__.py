# SPDX-License-Identifier: Apache-2.0
"""What a node can say of itself: chips, containers, kernels, data.

Imports go downward: npu_memory → chips | container | data_folders | fingerprint | hccn | kernels | leftovers |
listeners | mindrecord | shared_folders.
"""
