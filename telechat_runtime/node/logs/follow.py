# SPDX-License-Identifier: Apache-2.0
"""Follows the logs of a job's workers by byte offset: after a lost link nothing is missing and nothing comes twice."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

from telechat_runtime.node.logs.log_positions import since_position, tail_position

_WORKER_LOG = re.compile(r"worker_(\d+)\.log")
_CHUNK_BYTES = 1 << 16
# A progress bar without line ends must not grow without bound in memory: longer lines come in pieces.
_LONGEST_LINE_BYTES = 1 << 20
_LONGEST_CHARACTER_BYTES = 4
_UTF8_CONTINUATION = range(0x80, 0xC0)


class LogFollower:
    """New lines of `<folder>/worker_<rank>.log`; `ranks` None means every worker of this node."""

    def __init__(self, folder: str, *, ranks: Optional[Sequence[int]], offsets: Mapping[str, int]) -> None:
        self._folder = folder
        self._ranks = None if ranks is None else frozenset(ranks)
        self._offsets: Dict[str, int] = dict(offsets)

    def skip(self, *, tail: Optional[int] = None, since: Optional[float] = None) -> Dict[str, int]:
        """Leave out, of each log that is there, all but the last `tail` lines, or what is older than `since`.

        Return where each of them is read from. A log with an offset goes on from there.
        """
        for name in self._names():
            if name in self._offsets:
                continue
            path = os.path.join(self._folder, name)
            begins = [tail_position(path, tail)] if tail is not None else []
            begins += [since_position(path, since)] if since is not None else []
            self._offsets[name] = max(begins, default=0)
        return dict(self._offsets)

    def read(self, *, last: bool = False) -> Iterator[Dict[str, Any]]:
        """Yield a log event for every whole line that is new; with `last` also for a line without an end.

        An event's offset is where its line ends, in bytes: give it back as `offsets` to go on after that line.
        """
        for name in self._names():
            yield from self._read_log(name, last=last)

    def _names(self) -> List[str]:
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        return sorted(name for name in names if self._is_wanted(name))

    def _is_wanted(self, name: str) -> bool:
        match = _WORKER_LOG.fullmatch(name)
        return match is not None and (self._ranks is None or int(match[1]) in self._ranks)

    def _read_log(self, name: str, *, last: bool) -> Iterator[Dict[str, Any]]:
        with open(os.path.join(self._folder, name), "rb") as file:
            file.seek(self._offsets.get(name, 0))
            rest = b""
            while True:
                chunk = file.read(_CHUNK_BYTES)
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    *pieces, end = _pieces(line)
                    yield from (self._event(name, piece, len(piece)) for piece in pieces)
                    yield self._event(name, end, len(end) + 1)
                *pieces, rest = _pieces(rest)
                yield from (self._event(name, piece, len(piece)) for piece in pieces)
                if not chunk:
                    break
            if rest and last:
                yield self._event(name, rest, len(rest))

    def _event(self, name: str, line: bytes, length: int) -> Dict[str, Any]:
        offset = self._offsets.get(name, 0) + length
        self._offsets[name] = offset
        match = _WORKER_LOG.fullmatch(name)
        return {
            "event": "log",
            "log": name,
            "rank": int(match[1]) if match else None,
            "offset": offset,
            "line": line.decode("utf-8", "replace").rstrip("\r"),
        }


def _pieces(line: bytes) -> List[bytes]:
    """Cut a line after every 1 MiB (not inside a UTF-8 character), however it came in; a shorter one stays whole."""
    pieces = []
    start = 0
    while len(line) - start > _LONGEST_LINE_BYTES:
        end = start + _LONGEST_LINE_BYTES
        for _ in range(_LONGEST_CHARACTER_BYTES - 1):
            if line[end] not in _UTF8_CONTINUATION:
                break
            end -= 1
        pieces.append(line[start:end])
        start = end
    return [*pieces, line[start:]]
