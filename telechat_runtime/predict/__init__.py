# SPDX-License-Identifier: Apache-2.0
"""Plans a job that lets a model answer questions.

Imports go downward: plan → settings → spec.
"""
