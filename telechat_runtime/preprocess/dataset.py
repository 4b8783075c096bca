# SPDX-License-Identifier: Apache-2.0
"""Makes a dataset: a folder with MindRecord files, its manifest dataset.json, and left_out.jsonl with what has no row.

The folder appears under its name when all of it is written, or not at all.
"""

from __future__ import annotations

import enum
import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from array import array
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, TextIO, Tuple

from telechat_runtime.errors import DataError, JobFailedError, SpecError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.node.facts.fingerprint import MANIFEST
from telechat_runtime.preprocess.encoding import Encode, Encoded, Encoder, Vocabulary, load_tokenizer
from telechat_runtime.preprocess.lines import LineIndex, index_file, read_lines
from telechat_runtime.preprocess.mindrecord import MAX_SHARDS, DatasetWriter
from telechat_runtime.preprocess.records import PAD, START, MalformedError, Shape, parse_object, shape_of
from telechat_runtime.preprocess.rows import Row, RowFiller, samples
from telechat_runtime.preprocess.statistics import Statistics
from telechat_runtime.preprocess.workers import OrderedWorkers

LEFT_OUT = "left_out.jsonl"
_CHUNK_BYTES = 1 << 18
_CHUNK_RECORDS = 256
_FOLDER_MODE = 0o755
_FILE_MODE = 0o644

Progress = Callable[[int, int], None]
"""Told how many records of how many are done."""


class OnError(str, enum.Enum):
    """What becomes of a malformed line."""

    SKIP = "skip"
    STOP = "stop"


@dataclass(frozen=True)
class PreprocessSpec:
    """What to make a dataset of; `max_length` is the model's seq_length, and rows have one id more."""

    inputs: Tuple[str, ...]
    tokenizer: str
    max_length: int
    output: str
    seed: int = 2024
    shards: int = 1
    workers: int = 1
    on_error: OnError = OnError.STOP

    @property
    def row_length(self) -> int:
        """Return the ids of a row."""
        return self.max_length + 1


def make_dataset(spec: PreprocessSpec, interrupt: Interrupt, progress: Progress) -> Dict[str, Any]:
    """Make the dataset and return its manifest.

    Raises:
        SpecError: An option, or the output folder, makes no sense.
        DataError: An input or the tokenizer is not what it has to be; without `skip`, also for one malformed line.
        JobFailedError: The files can't be written, or a worker was killed.
        InterruptedByUserError: The user wants to stop.

    """
    output = Path(spec.output).absolute()
    _check(spec, output)
    vocabulary, encode = load_tokenizer(spec.tokenizer)
    index = LineIndex([index_file(path, interrupt) for path in spec.inputs])
    shape = _shape(index, spec)
    vocabulary.check(shape)
    statistics = Statistics(row_length=spec.row_length)
    run = _Run(spec=spec, index=index, shape=shape, vocabulary=vocabulary, encode=encode, statistics=statistics)
    try:
        return _make_folder(run, output, interrupt, progress)
    except OSError as error:
        raise JobFailedError(
            f"{output} can't be made: {error}",
            next_step="see whether the disk is full; nothing was left behind",
        ) from error


def _make_folder(run: _Run, output: Path, interrupt: Interrupt, progress: Progress) -> Dict[str, Any]:
    """Write everything beside the output folder and give it its name when it is whole; return the manifest."""
    folder = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}."))
    try:
        files, fingerprint = run.write(folder, interrupt, progress)
        manifest = _manifest(run, files, fingerprint)
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        (folder / MANIFEST).write_text(text, encoding="utf-8")
        _make_readable(folder)
        if output.is_dir():
            output.rmdir()
        folder.rename(output)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return manifest


@dataclass(frozen=True)
class _Run:
    spec: PreprocessSpec
    index: LineIndex
    shape: Shape
    vocabulary: Vocabulary
    encode: Encode
    statistics: Statistics

    def write(self, folder: Path, interrupt: Interrupt, progress: Progress) -> Tuple[List[str], str]:
        """Write rows and what was left out into a folder; return the names of the data files and the rows' SHA-256."""
        order = self.index.shuffled(self.spec.seed)
        with ExitStack() as stack:
            workers = stack.enter_context(OrderedWorkers(self.spec.workers, self._encoder(order)))
            # Behind the workers' fork: MindSpore starts threads, and takes seconds that they work in meanwhile.
            writer = DatasetWriter(folder, shards=self.spec.shards, row_length=self.spec.row_length)
            left_out = stack.enter_context((folder / LEFT_OUT).open("w", encoding="utf-8"))
            special = self.vocabulary.special
            filler = RowFiller(self.shape, self.spec.max_length, pad=special[PAD], start=special.get(START, 0))
            done = 0
            for encoded in workers.map(_chunks(self.index, order)):
                interrupt.check("writing the dataset")
                for row in self._rows(encoded, order[done : done + len(encoded.lengths)], filler, left_out):
                    self._add(writer, row)
                done += len(encoded.lengths)
                progress(done, len(order))
            last = filler.finish()
            if last is not None:
                self._add(writer, last)
            self._check_rows()
            names = writer.finish()
        for file in self.index.files:
            file.check_unchanged()
        return names, writer.fingerprint

    def _check_rows(self) -> None:
        if self.statistics.rows == 0:
            raise DataError(
                f"none of the {len(self.index)} records is in a row: {self.statistics.too_long} are too long for "
                f"--max-length {self.spec.max_length}, {self.statistics.malformed} are malformed",
                next_step="give a greater --max-length, or mend the file",
            )

    def _encoder(self, order: array[int]) -> Callable[[], Callable[[Tuple[int, int]], Encoded]]:
        def prepare() -> Callable[[Tuple[int, int]], Encoded]:
            descriptors = [os.open(file.path, os.O_RDONLY | os.O_CLOEXEC) for file in self.index.files]
            encoder = Encoder(self.vocabulary, self.encode, self.shape)
            return lambda part: encoder.chunk(read_lines(descriptors, self.index, order[slice(*part)]))

        return prepare

    def _rows(self, encoded: Encoded, records: Sequence[int], filler: RowFiller, left_out: TextIO) -> Iterator[Row]:
        for number, sample in enumerate(samples(encoded)):
            if sample is None:
                self._malformed(records[number], encoded.malformed[number], left_out)
                continue
            fits, row = filler.add(sample)
            self.statistics.add_record(len(sample), fits=fits)
            if not fits:
                self._leave_out(records[number], f"has {len(sample)} ids, and a row takes {filler.capacity}", left_out)
            if row is not None:
                yield row

    def _malformed(self, record: int, reason: str, left_out: TextIO) -> None:
        if self.spec.on_error is OnError.STOP:
            raise _malformed(self.index, record, reason)
        self.statistics.malformed += 1
        self._leave_out(record, reason, left_out)

    def _leave_out(self, record: int, reason: str, left_out: TextIO) -> None:
        path, line = self.index.where(record)
        left_out.write(json.dumps({"file": path, "line": line, "reason": reason}, ensure_ascii=False) + "\n")

    def _add(self, writer: DatasetWriter, row: Row) -> None:
        self.statistics.add_row(row)
        writer.add(row)


def _check(spec: PreprocessSpec, output: Path) -> None:
    if not 1 <= spec.shards <= MAX_SHARDS:
        raise SpecError(f"--shards {spec.shards} is not between 1 and {MAX_SHARDS}")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise SpecError(
            f"--output {spec.output!r} is there already", next_step="name a folder that is not, or remove it"
        )
    if not output.parent.is_dir() or not os.access(output.parent, os.W_OK):
        raise SpecError(f"--output {spec.output!r} can't be made: there is no folder for it that is yours to write in")
    for module in ("mindspore", "sentencepiece"):
        if importlib.util.find_spec(module) is None:
            raise SpecError(
                f"{module}, which preprocess works with, is not installed here",
                next_step="run it in a node's container, or install what pyproject.toml's extra `preprocess` names",
            )


def _shape(index: LineIndex, spec: PreprocessSpec) -> Shape:
    """Return the shape of the first record; with `skip`, of the first that has one."""
    with ExitStack() as stack:
        descriptors = [stack.enter_context(Path(file.path).open("rb")).fileno() for file in index.files]
        for record in range(len(index)):
            try:
                return shape_of(parse_object(read_lines(descriptors, index, [record])[0]))
            except MalformedError as error:
                if spec.on_error is OnError.STOP:
                    raise _malformed(index, record, str(error)) from error
    raise DataError(f"{', '.join(spec.inputs)} has no record", next_step="see docs/preprocess.md for the two shapes")


def _malformed(index: LineIndex, record: int, reason: str) -> DataError:
    path, line = index.where(record)
    return DataError(f"{path}:{line} {reason}", next_step="mend the line, or leave such out by --on-error skip")


def _chunks(index: LineIndex, order: Sequence[int]) -> Iterator[Tuple[int, int]]:
    """Yield stretches of the order, as begin and end, of about as much text each."""
    begin = size = 0
    for place, record in enumerate(order):
        size += index.place(record)[2]
        if size >= _CHUNK_BYTES or place - begin >= _CHUNK_RECORDS:
            yield begin, place + 1
            begin, size = place + 1, 0
    if begin < len(order):
        yield begin, len(order)


def _manifest(run: _Run, files: List[str], fingerprint: str) -> Dict[str, Any]:
    spec = run.spec
    return {
        "max_length": spec.max_length,
        "row_length": spec.row_length,
        "shape": str(run.shape),
        "seed": spec.seed,
        "files": files,
        "sha256_of_rows": fingerprint,
        "inputs": [{"path": file.path, "bytes": file.size, "sha256": file.sha256} for file in run.index.files],
        "tokenizer": {"path": spec.tokenizer, "sha256": _sha256(Path(spec.tokenizer)), "ids": run.vocabulary.size},
        **run.statistics.as_dict(),
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _make_readable(folder: Path) -> None:
    """Let jobs of other users read it: mkdtemp and MindRecord make theirs for one user alone."""
    for file in folder.iterdir():
        file.chmod(_FILE_MODE)
    folder.chmod(_FOLDER_MODE)
