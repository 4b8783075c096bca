# SPDX-License-Identifier: Apache-2.0
"""A server as parsers and planners see it: one document without names, addresses and serial numbers."""
