# SPDX-License-Identifier: Apache-2.0
"""The installer in the driver's and the firmware's package."""
