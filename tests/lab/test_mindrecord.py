# SPDX-License-Identifier: Apache-2.0
"""What a node reads of MindRecord files is what MindSpore wrote into them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from telechat_runtime.node.facts.mindrecord import look

pytestmark = pytest.mark.cpu

# As telechat_preprocess.py of TeleChat2 writes, and what else a file may hold.
WRITE = """
import sys
import numpy
from mindspore.mindrecord import FileWriter
ids = numpy.arange(129, dtype=numpy.int32) * 1000
for name, shards, more in (("plain.mindrecord", 1, {}), ("cut.mindrecord", 2, {"a": "float32", "z": "int64"})):
    writer = FileWriter(sys.argv[1] + "/" + name, shards)
    schema = {"input_ids": "int32", "labels": "int32", **more}
    writer.add_schema({column: {"type": kind, "shape": [-1]} for column, kind in schema.items()}, "lm")
    for _ in range(5):
        writer.write_raw_data([{column: ids.astype(kind) for column, kind in schema.items()}])
    writer.commit()
"""


def test_rows_and_lengths_of_files_that_mindspore_writes(mindspore_python: Path, tmp_path: Path) -> None:
    subprocess.run([mindspore_python, "-c", WRITE, tmp_path], check=True, capture_output=True, timeout=300)
    expected = {"row_lengths": [129], "problem": None}
    assert look(str(tmp_path / "plain.mindrecord")) == {"files": 1, "rows": 5, **expected}
    assert look(str(tmp_path)) == {"files": 3, "rows": 10, **expected}


def test_the_workloads_dataset(dataset: Path) -> None:
    found = look(str(dataset))
    assert (found["files"], found["row_lengths"], found["problem"]) == (1, [129], None)
    assert found["rows"] > 0
