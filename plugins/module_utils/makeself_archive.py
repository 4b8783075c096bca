# SPDX-License-Identifier: Apache-2.0
"""Look into a makeself archive (.run) without running it: is it whole, and which version.info does it carry."""

from __future__ import annotations

import re
import tarfile
from typing import BinaryIO, Optional, Tuple

# makeself's header is a shell script of some hundred lines; the archive follows at once.
_HEADER_LIMIT = 256 * 1024
_SIZES = re.compile(rb'^filesizes="([\d ]+)"', re.MULTILINE)
# makeself 2.4 and later write the number of header lines as skip=, earlier ones into a head command.
_LINES = re.compile(rb'^(?:skip="(\d+)"|offset=`head -n (\d+) )', re.MULTILINE)


class ArchiveError(Exception):
    """The file is no makeself archive, or not a whole one; the text says which."""


def payload(path: str) -> Tuple[int, int]:
    """Return offset and size in bytes of the archive behind the header. Raises ArchiveError unless it is whole."""
    with open(path, "rb") as stream:
        head = stream.read(_HEADER_LIMIT)
        actual = stream.seek(0, 2)
    sizes, lines = _SIZES.search(head), _LINES.search(head)
    if not head.startswith(b"#!") or not sizes or not lines:
        raise ArchiveError("it is no makeself archive")
    offset = _end_of_line(head, int(lines.group(1) or lines.group(2)))
    size = sum(int(number) for number in sizes.group(1).split())
    if actual < offset + size:
        raise ArchiveError(f"it has {actual} of {offset + size} bytes")
    return offset, size


def read_version_info(path: str) -> Optional[str]:
    """Return the text of the archive's version.info; None when it has none, or is packed as tarfile can't read it.

    Raises ArchiveError as `payload` does.
    """
    offset, _ = payload(path)
    with open(path, "rb") as stream:
        stream.seek(offset)
        try:
            return _member(stream)
        except (tarfile.TarError, EOFError, OSError):
            return None


def _member(stream: BinaryIO) -> Optional[str]:
    with tarfile.open(fileobj=stream, mode="r|*") as archive:
        for entry in archive:
            if entry.isfile() and entry.name.rpartition("/")[2] == "version.info":
                content = archive.extractfile(entry)
                return content.read().decode("utf-8", "replace") if content else None
    return None


def _end_of_line(head: bytes, number: int) -> int:
    position = 0
    for _ in range(number):
        position = head.find(b"\n", position) + 1
        if position == 0:
            raise ArchiveError("its header is cut off")
    return position
