# SPDX-License-Identifier: Apache-2.0
"""The site's file server: serves a folder over HTTP on the hub's address, byte ranges included.

Runs as `python3 -m lab.server FOLDER ADDRESS PORT IDENTITY_FILE` in the hub's network namespace.
"""

from __future__ import annotations

import os
import re
import sys
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lab.process import identify

if TYPE_CHECKING:
    from io import BytesIO

PORT = 80


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Return first and last byte of a single `Range` header (RFC 9110, 14.1.2), None for one we serve whole.

    Raises ValueError for a range outside the file.
    """
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        first, last = max(0, size - int(match[2])), size - 1
    else:
        first, last = int(match[1]), min(int(match[2] or size - 1), size - 1)
    if first >= size or last < first:
        raise ValueError(f"{header}: the file has {size} bytes")
    return first, last


class Handler(SimpleHTTPRequestHandler):
    """Files, and parts of files for downloads that are resumed."""

    protocol_version = "HTTP/1.1"
    _left: int | None = None

    def send_head(self) -> BytesIO | Any:
        """Answer with a part of a file where one is asked for."""
        path = Path(self.translate_path(self.path))
        self._left = None
        header = self.headers.get("Range")
        if header is None or not path.is_file():
            return super().send_head()
        size = path.stat().st_size
        try:
            part = parse_range(header, size)
        except ValueError:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        if part is None:
            return super().send_head()
        file = path.open("rb")
        file.seek(part[0])
        self._left = part[1] - part[0] + 1
        self.send_response(HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Range", f"bytes {part[0]}-{part[1]}/{size}")
        self.send_header("Content-Length", str(self._left))
        self.end_headers()
        return file

    def end_headers(self) -> None:
        """Say that ranges are understood."""
        self.send_header("Accept-Ranges", "bytes")
        super().end_headers()

    def copyfile(self, source: IO[bytes], outputfile: IO[bytes]) -> None:  # type: ignore[override]
        """Send the file, or no more than the part asked for."""
        if self._left is None:
            super().copyfile(source, outputfile)
            return
        while self._left and (data := source.read(min(self._left, 1 << 16))):
            outputfile.write(data)
            self._left -= len(data)


def main(folder: str, address: str, port: str, identity_file: str) -> None:
    """Serve until killed; the identity file appears once requests are answered."""
    with ThreadingHTTPServer((address, int(port)), partial(Handler, directory=folder)) as server:
        own = identify(os.getpid())
        if own is not None:
            own.write(Path(identity_file))
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
