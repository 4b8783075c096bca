# SPDX-License-Identifier: Apache-2.0
"""Which releases of driver, firmware, CANN and MindSpore belong together."""
