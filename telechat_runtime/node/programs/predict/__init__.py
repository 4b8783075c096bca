# SPDX-License-Identifier: Apache-2.0
"""What the workers of a predict job run: our own program on every version of MindFormers and of the TeleChat2 tree.

The tree's own script differs by version: some have no --input_file, all write answers into logs only, and `--do_sample
False` turns sampling on. A copy of this package lies in a job's work folder, and nothing else of telechat_runtime does.

Imports go downward: run_predict → answers | prompt → model | tokens.
"""

from __future__ import annotations


class InputError(Exception):
    """A question, the vocabulary, the yaml or the checkpoint can't be used; the message says which and why."""
