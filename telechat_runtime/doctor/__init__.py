# SPDX-License-Identifier: Apache-2.0
"""Examines the nodes of a fleet: facts, checks, what to do.

Imports go downward: examine → checks | collect → checks_fleet | checks_network → facts.
"""
