# SPDX-License-Identifier: Apache-2.0
"""The vendor's side of a lab server: chips, their PCI devices, HDK packages and tools."""
