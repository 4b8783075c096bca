# SPDX-License-Identifier: Apache-2.0
import errno
import hashlib
import io
import threading

import pytest
from ansible.module_utils.download import ChecksumError, FetchError, Part, Patience, Wanted, fetch
from ansible.module_utils.file_digest import file_sha256

from tests.unit.plugins.module_utils.range_server import CONTENT, Server

SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def part(tmp_path):
    return tmp_path / "weights.part"


def get(server, part, *, sha256=SHA256, size=SIZE, retries=2, headers=None):
    pauses = []
    fetch(Wanted(server.url, size, sha256), str(part), headers or {}, Patience(10.0, retries, pauses.append))
    return pauses


def test_whole_file(server, part):
    assert get(server, part, headers={"Authorization": "Bearer x"}) == []
    assert part.read_bytes() == CONTENT
    assert server.requests == [(None, "Bearer x")]


def test_goes_on_where_the_part_ends(server, part):
    part.write_bytes(CONTENT[:1_500_000])
    get(server, part)
    assert part.read_bytes() == CONTENT
    assert [asked for asked, _ in server.requests] == ["bytes=1500000-"]


def test_whole_part_asks_nobody(server, part):
    part.write_bytes(CONTENT)
    get(server, part)
    assert server.requests == []


def test_server_without_range_starts_over(server, part):
    server.ranges = False
    part.write_bytes(b"x" * 1000)
    get(server, part)
    assert part.read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_stream_that_ends_early_is_resumed(server, part):
    server.cut_after = [700_000, 900_000]
    pauses = get(server, part)
    assert part.read_bytes() == CONTENT
    assert [asked for asked, _ in server.requests] == [None, "bytes=700000-", "bytes=1600000-"]
    assert pauses == [2.0, 2.0]  # progress starts the count anew


def test_server_that_never_sends_ends_the_patience(server, part):
    server.cut_after = [0] * 9
    with pytest.raises(FetchError, match=r"the stream ended after 0 of 2304000 bytes \(tried 3 times\)"):
        get(server, part)


def test_part_stays_for_the_next_attempt(server, part):
    server.cut_after = [1000, 0, 0, 0]
    with pytest.raises(FetchError):
        get(server, part)
    assert part.read_bytes() == CONTENT[:1000]
    get(server, part)
    assert part.read_bytes() == CONTENT


def test_busy_server_is_asked_again(server, part):
    server.statuses = [503, 429]
    assert get(server, part) == [2.0, 4.0]
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize("status", [401, 403, 404])
def test_refusal_is_final(server, part, status):
    server.statuses = [status]
    with pytest.raises(FetchError, match=f"weights.ckpt answers {status}"):
        get(server, part)
    assert len(server.requests) == 1


def test_wrong_checksum_removes_the_file_and_says_both(server, part):
    with pytest.raises(ChecksumError, match=f"sha256 is {SHA256}, expected {'0' * 64}"):
        get(server, part, sha256="0" * 64)
    assert not part.exists()
    assert len(server.requests) == 1


def test_resumed_part_of_an_older_file_is_fetched_anew(server, part):
    part.write_bytes(b"old" * 1000)
    get(server, part)
    assert part.read_bytes() == CONTENT
    assert [asked for asked, _ in server.requests] == ["bytes=3000-", None]


def test_file_of_another_size_is_refused_before_it_is_fetched(server, part):
    with pytest.raises(FetchError, match="has 2304000 bytes, the list says 99"):
        get(server, part, size=99)
    assert part.read_bytes() == b""


def test_unannounced_longer_file_is_refused(server, part):
    server.announce = False
    with pytest.raises(FetchError, match="is longer than the 2000000 bytes"):
        get(server, part, size=2_000_000)


def test_range_beyond_a_shorter_file_ends_the_patience(server, part):
    server.content = CONTENT[:1000]
    server.announce = False
    part.write_bytes(CONTENT[:5000])
    with pytest.raises(FetchError, match="ended after 1000 of 2304000"):
        get(server, part)


def test_another_range_than_asked_for_is_no_content(server, part):
    server.wrong_range = True
    part.write_bytes(CONTENT[:5000])
    with pytest.raises(FetchError, match="asked for bytes from 5000 on"):
        get(server, part)
    assert part.read_bytes() == CONTENT[:5000]


def test_part_longer_than_the_file_is_dropped(server, part):
    part.write_bytes(b"x" * (len(CONTENT) + 1))
    get(server, part)
    assert part.read_bytes() == CONTENT


def test_a_redirect_within_the_host_keeps_the_login_and_another_host_gets_none(server, part):
    with Server() as elsewhere:
        thread = threading.Thread(target=elsewhere.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        server.redirects = [server.url, elsewhere.url]
        get(server, part, headers={"Authorization": "Bearer x"})
        elsewhere.shutdown()
        thread.join()
    assert part.read_bytes() == CONTENT
    assert [login for _, login in server.requests] == ["Bearer x", "Bearer x"]
    assert elsewhere.requests == [(None, None)]


def test_the_query_of_an_address_is_never_shown(server, part):
    server.statuses = [403]
    with pytest.raises(FetchError) as caught:
        fetch(Wanted(server.url + "?token=hidden", SIZE, SHA256), str(part), {}, Patience(10.0, 0, print))
    assert "weights.ckpt answers 403" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_unreachable_server(part):
    with Server() as closed:
        pass
    with pytest.raises(FetchError, match="refused"):
        get(closed, part, retries=1)


def test_full_disk_is_final(part):
    class FullDisk(io.BytesIO):
        def write(self, chunk):
            del chunk
            raise OSError(errno.ENOSPC, "No space left on device")

    part.touch()
    with pytest.raises(FetchError, match=r"weights.part can't be written: No space left on device"):
        Part(str(part), FullDisk(), 10).append(b"x")


def test_short_writes_lose_nothing(part):
    class SlowDisk(io.BytesIO):
        def write(self, chunk):
            return super().write(bytes(chunk[:3]))

    part.touch()
    stream = SlowDisk()
    Part(str(part), stream, 10).append(b"0123456789")
    assert stream.getvalue() == b"0123456789"


def test_path_of_the_host(tmp_path, part):
    source = tmp_path / "source.ckpt"
    source.write_bytes(CONTENT)
    part.write_bytes(CONTENT[:10])
    fetch(Wanted(str(source), len(CONTENT), SHA256), str(part), {}, Patience(1.0, 1, lambda _: None))
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize(("text", "message"), [(None, "can't be read: No such file"), (b"short", "has 5 bytes")])
def test_bad_path_of_the_host_is_final(tmp_path, part, text, message):
    source = tmp_path / "source.ckpt"
    if text:
        source.write_bytes(text)
    with pytest.raises(FetchError, match=message):
        fetch(Wanted(str(source), 2000, SHA256), str(part), {}, Patience(1.0, 5, lambda _: pytest.fail("waited")))


def test_file_sha256(part):
    part.write_bytes(CONTENT)
    assert file_sha256(str(part)) == SHA256
