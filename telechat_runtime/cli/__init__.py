# SPDX-License-Identifier: Apache-2.0
"""The command line: the only importer of click, and all that people read is printed here."""
