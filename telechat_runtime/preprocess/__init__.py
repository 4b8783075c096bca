# SPDX-License-Identifier: Apache-2.0
"""From JSONL to rows of token ids in MindRecord files: `telechat-run preprocess`.

`lines` finds the records, `records` reads one, `encoding` makes ids of them in worker processes (`workers`), `packing`
decides which records share a row, `rows` fills the rows, `mindrecord` writes them; `dataset` runs all of it.

Imports go downward: dataset → mindrecord | statistics → rows → encoding | packing → lines | records | workers.
"""
