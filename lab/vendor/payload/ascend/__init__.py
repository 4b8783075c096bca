# SPDX-License-Identifier: Apache-2.0
"""The driver's library: what its tools, its boot program and its installer share."""
