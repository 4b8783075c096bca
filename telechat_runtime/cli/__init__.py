# SPDX-License-Identifier: Apache-2.0
"""The command line: the only importer of click, and the only place that prints or exits."""
