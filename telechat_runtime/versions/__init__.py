# SPDX-License-Identifier: Apache-2.0
"""Which releases of driver, firmware, CANN and MindSpore belong together.

Imports go downward: advice → judge → matrix | order.
"""
