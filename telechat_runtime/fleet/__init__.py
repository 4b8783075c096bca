# SPDX-License-Identifier: Apache-2.0
"""The fleet between jobs: service, sweep, self-test.

Imports go downward: selftest | service | sweep.
"""
