# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.server import Handler, parse_range

CONTENT = bytes(range(256)) * 1000


class QuietHandler(Handler):
    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "file").write_bytes(CONTENT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def get(address: str, header: str | None = None) -> tuple[int, bytes, str | None]:
    connection = HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", "/file", headers={} if header is None else {"Range": header})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers["Content-Range"]
    finally:
        connection.close()


def test_a_file_comes_whole(address: str) -> None:
    assert get(address) == (200, CONTENT, None)


@pytest.mark.parametrize(
    ("header", "part", "content_range"),
    [
        ("bytes=100000-", CONTENT[100000:], "bytes 100000-255999/256000"),
        ("bytes=5-9", CONTENT[5:10], "bytes 5-9/256000"),
        ("bytes=-3", CONTENT[-3:], "bytes 255997-255999/256000"),
        ("bytes=0-999999999", CONTENT, "bytes 0-255999/256000"),
    ],
)
def test_a_download_is_resumed_by_a_range(address: str, header: str, part: bytes, content_range: str) -> None:
    assert get(address, header) == (206, part, content_range)


def test_after_a_part_the_connection_serves_the_next_request(address: str) -> None:
    connection = HTTPConnection(address, timeout=10)
    bodies = []
    for header in ("bytes=0-9", "bytes=10-19"):
        connection.request("GET", "/file", headers={"Range": header})
        bodies.append(connection.getresponse().read())
    connection.close()
    assert bodies == [CONTENT[:10], CONTENT[10:20]]


def test_a_range_behind_the_end_is_refused(address: str) -> None:
    assert get(address, "bytes=256000-") == (416, b"", "bytes */256000")


@pytest.mark.parametrize("header", ["bytes=1-2,5-6", "lines=1-2", "bytes=-", "bytes=x-"])
def test_a_range_of_another_kind_gets_the_whole_file(header: str) -> None:
    assert parse_range(header, 10) is None


@given(first=st.integers(0, 2000), length=st.integers(1, 2000), size=st.integers(1, 1000))
def test_a_range_lies_within_the_file_or_is_refused(first: int, length: int, size: int) -> None:
    header = f"bytes={first}-{first + length - 1}"
    if first >= size:
        with pytest.raises(ValueError, match="the file has"):
            parse_range(header, size)
    else:
        assert parse_range(header, size) == (first, min(first + length, size) - 1)
