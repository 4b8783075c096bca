# SPDX-License-Identifier: Apache-2.0
"""A fleet of Ascend servers on one machine."""
