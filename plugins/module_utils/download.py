# SPDX-License-Identifier: Apache-2.0
"""Fetch one large file into a ``.part`` that survives a failure, checked by sha256 while it streams."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from typing import IO, Any, Callable, Dict, NamedTuple, Tuple
from urllib.parse import urlsplit

from ansible.module_utils.ascend.package_url import public
from ansible.module_utils.file_digest import CHUNK

LONGEST_WAIT = 30.0
PARTIAL_CONTENT = 206
RANGE_NOT_SATISFIABLE = 416
PERMANENT = (400, 401, 403, 404, 405, 410, 451)


class FetchError(Exception):
    """The file could not be fetched whole; the message says what, which value, which rule."""


class ChecksumError(FetchError):
    """Every byte arrived, and they are not the ones that were announced."""


class Wanted(NamedTuple):
    """Where a file comes from (http, https or a path of the host), its size in bytes and its sha256."""

    location: str
    size: int
    sha256: str

    @property
    def shown(self) -> str:
        """The location as messages name it: a query may hold a token."""
        return public(self.location) if _is_url(self.location) else self.location


class Patience(NamedTuple):
    """How long to try: seconds a silent server is waited for, attempts without progress, and how to pause."""

    timeout: float
    retries: int
    sleep: Callable[[float], Any]


class Part:
    """The growing file and the sha256 of what it holds."""

    def __init__(self, path: str, stream: IO[bytes], size: int) -> None:
        """Take over what is there, hashing it once; more than ``size`` bytes are no part of the file."""
        self._path = path
        self._stream = stream
        self.restart()
        if os.path.getsize(path) > size:
            stream.truncate(0)
        stream.seek(0)
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            self._digest.update(chunk)
            self.length += len(chunk)

    def restart(self, *, truncate: bool = False) -> None:
        """Forget what is known of the content, and the content too when asked."""
        self._digest = hashlib.sha256()
        self.length = 0
        if truncate:
            self._stream.truncate(0)

    def append(self, chunk: bytes) -> None:
        """Write at the end. Raises FetchError: a full disk does not get better by asking the server again."""
        try:
            left = memoryview(chunk)
            while left:
                left = left[self._stream.write(left) :]
        except OSError as error:
            raise FetchError(f"{self._path} can't be written: {error.strerror}") from error
        self._digest.update(chunk)
        self.length += len(chunk)

    def finish(self) -> str:
        """Bring everything to the disk; return the sha256."""
        os.fsync(self._stream.fileno())
        return self._digest.hexdigest()


def fetch(wanted: Wanted, part: str, headers: Dict[str, str], patience: Patience) -> None:
    """Make ``part`` the whole file, going on where an earlier attempt ended.

    A part that was resumed and turns out wrong is fetched once more from its first byte: the server's file may have
    changed in between. Raises FetchError; the part stays for the next attempt unless its checksum is wrong.
    """
    resumed = os.path.exists(part) and os.path.getsize(part) > 0
    try:
        _fetch_whole(wanted, part, headers, patience)
    except ChecksumError:
        if not resumed:
            raise
        _fetch_whole(wanted, part, headers, patience)


def _fetch_whole(wanted: Wanted, part_path: str, headers: Dict[str, str], patience: Patience) -> None:
    with open(part_path, "ab+", buffering=0) as stream:
        part = Part(part_path, stream, wanted.size)
        failures = 0
        while part.length < wanted.size:
            before = part.length
            try:
                _attempt(wanted, part, headers, patience.timeout)
            except (OSError, http.client.HTTPException) as error:
                failures = 1 if part.length > before else failures + 1
                if failures > patience.retries:
                    raise FetchError(f"{wanted.shown}: {error} (tried {failures} times)") from error
                patience.sleep(min(2.0**failures, LONGEST_WAIT))
        digest = part.finish()
    if digest != wanted.sha256:
        os.unlink(part_path)
        raise ChecksumError(
            f"{wanted.shown}: sha256 is {digest}, expected {wanted.sha256}; what was fetched is removed"
        )


def _attempt(wanted: Wanted, part: Part, headers: Dict[str, str], timeout: float) -> None:
    """Append to the part until the file's end. Raises OSError when the stream ends before it."""
    stream, start = _open(wanted, part.length, headers, timeout)
    with stream:
        if start != part.length:
            part.restart(truncate=True)
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            if part.length + len(chunk) > wanted.size:
                raise FetchError(f"{wanted.shown} is longer than the {wanted.size} bytes of the list")
            part.append(chunk)
    if part.length < wanted.size:
        raise OSError(f"the stream ended after {part.length} of {wanted.size} bytes")


def _open(wanted: Wanted, offset: int, headers: Dict[str, str], timeout: float) -> Tuple[Any, int]:
    """Return (stream, offset it really starts at). Raises FetchError when trying again can't help, else OSError."""
    if not _is_url(wanted.location):
        return _open_file(wanted, offset), offset
    request = urllib.request.Request(wanted.location, headers=dict(headers))  # noqa: S310 - http or https, see above
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    try:
        answer = urllib.request.build_opener(_Redirects).open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == RANGE_NOT_SATISFIABLE and offset:
                return _open(wanted, 0, headers, timeout)
            kind = FetchError if error.code in PERMANENT else OSError
            raise kind(f"{wanted.shown} answers {error.code} {error.reason}") from error
    total, start = _extent(answer, offset)
    if total not in (None, wanted.size):
        answer.close()
        raise FetchError(f"{wanted.shown} has {total} bytes, the list says {wanted.size}")
    return answer, start


def _extent(answer: Any, offset: int) -> Tuple[Any, int]:
    """Return (size of the whole file or None, offset at which this answer starts). Raises OSError for a wrong range."""
    if answer.status != PARTIAL_CONTENT:
        length = answer.headers.get("Content-Length")
        return (int(length) if length else None), 0
    span, _, total = (answer.headers.get("Content-Range") or "").replace("bytes ", "").partition("/")
    if span.partition("-")[0] != str(offset):
        answer.close()
        raise OSError(f"asked for bytes from {offset} on, the server answers with {span or 'an unknown range'}")
    return (int(total) if total.isdigit() else None), offset


def _is_url(location: str) -> bool:
    return location.startswith(("http://", "https://"))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but show another host no credentials."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Return the request to make instead."""
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        here, there = urlsplit(req.full_url), urlsplit(newurl)
        if request is not None and (here.netloc != there.netloc or (here.scheme, there.scheme) == ("https", "http")):
            request.remove_header("Authorization")
        return request


def _open_file(wanted: Wanted, offset: int) -> IO[bytes]:
    try:
        stream = open(wanted.location, "rb")  # noqa: SIM115 - the caller closes it
    except OSError as error:
        raise FetchError(f"{wanted.shown} can't be read: {error.strerror}") from error
    length = os.fstat(stream.fileno()).st_size
    if length != wanted.size:
        stream.close()
        raise FetchError(f"{wanted.shown} has {length} bytes, the list says {wanted.size}")
    stream.seek(offset)
    return stream
