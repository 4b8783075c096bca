# SPDX-License-Identifier: Apache-2.0
"""Writes rows as MindRecord files with MindSpore's own writer."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, List

from telechat_runtime.errors import DataError, JobFailedError
from telechat_runtime.preprocess.rows import Row

FILE_NAME = "dataset.mindrecord"
MAX_SHARDS = 1000
_SCHEMA = {"input_ids": {"type": "int32", "shape": [-1]}, "labels": {"type": "int32", "shape": [-1]}}
_BATCH_IDS = 1 << 20


class DatasetWriter:
    """Takes rows one by one and writes them in batches, each spread evenly over all shards.

    `fingerprint` is the SHA-256 of all rows (input_ids, then labels, little-endian int32) in their order.
    """

    def __init__(self, folder: Path, *, shards: int, row_length: int) -> None:
        from mindspore.mindrecord import FileWriter  # noqa: PLC0415 - slow, and only machines that preprocess have it

        self._folder = folder
        self._shards = shards
        # A multiple of the shards is cut evenly; and the size must not depend on how many workers there are.
        self._batch_rows = -(-max(_BATCH_IDS // row_length, 1) // shards) * shards
        self._batch: List[Row] = []
        self._digest = hashlib.sha256()
        self.rows = 0
        try:
            self._writer: Any = FileWriter(str(folder / FILE_NAME), shard_num=shards)
            self._writer.add_schema(_SCHEMA, "input_ids and labels of packed records")
        except Exception as error:
            raise _failed(error) from error

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the rows added so far."""
        return self._digest.hexdigest()

    def add(self, row: Row) -> None:
        """Take one row."""
        self._digest.update(row.input_ids)
        self._digest.update(row.labels)
        self.rows += 1
        self._batch.append(row)
        if len(self._batch) >= self._batch_rows:
            self._flush()

    def finish(self) -> List[str]:
        """Write what is left and the index; return the names of the data files.

        Raises:
            DataError: There are fewer rows than shards.
            JobFailedError: The files can't be written.

        """
        if self.rows < self._shards:
            raise DataError(
                f"{self.rows} rows can't be spread over {self._shards} shards", next_step="give fewer --shards"
            )
        self._flush()
        try:
            self._writer.commit()
        except Exception as error:
            raise _failed(error) from error
        return sorted(file.name for file in self._folder.glob(f"{FILE_NAME}*") if file.suffix != ".db")

    def _flush(self) -> None:
        if not self._batch:
            return
        try:
            self._writer.write_raw_data([{"input_ids": row.input_ids, "labels": row.labels} for row in self._batch])
        except Exception as error:
            raise _failed(error) from error
        self._batch = []


def _failed(error: Exception) -> JobFailedError:
    """Return the error to raise: MindRecord's exceptions have no common class of their own."""
    return JobFailedError(
        f"MindRecord can't write the rows: {error}", next_step="see whether the disk is full; nothing was left behind"
    )
