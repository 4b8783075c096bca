# SPDX-License-Identifier: Apache-2.0
"""How a node is reached, asked and watched.

Imports go downward: fetch → connections | watch → client → events | local | logged | ssh → answers | protocol |
transport.
"""
