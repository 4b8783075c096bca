# SPDX-License-Identifier: Apache-2.0
"""Programs that travel with a job and run by the interpreter with MindSpore.

Imports go downward: check | checkpoints | predict | run_mindformer.
"""
