# SPDX-License-Identifier: Apache-2.0
"""Driver and firmware of a server: what is found, what is planned, how it is carried out."""
