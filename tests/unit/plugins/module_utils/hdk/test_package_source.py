# SPDX-License-Identifier: Apache-2.0
"""Packages from the folder and from urls: only what the lock file says ever gets its name."""

import threading
from pathlib import Path

import pytest
from ansible.module_utils.download import Patience
from ansible.module_utils.hdk.lock import LockEntry
from ansible.module_utils.hdk.package_source import Sources, locked_file
from ansible.module_utils.hdk.package_store import PackageError

from tests.unit.plugins.module_utils.hdk.package_files import FIRMWARE, makeself, sha256
from tests.unit.plugins.module_utils.range_server import Server

NAME = FIRMWARE.format("7.5.0.1.129")
CONTENT = makeself("Version=7.5.0.1.129\n" + "x" * 3_000_000, compression="")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        running.content = CONTENT
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


class Site:
    """A folder and a cache, and an entry of the lock file."""

    def __init__(self, path, url):
        self.folder, self.cache = path / "packages", path / "cache"
        self.folder.mkdir()
        self.entry = LockEntry(name=NAME, sha256=sha256(CONTENT), size=len(CONTENT), url=url)
        self.fetched = self.cache / "downloads" / self.entry.sha256 / NAME
        self.part = self.fetched.with_name(NAME + ".part")

    def get(self, retries=0):
        patience = Patience(10.0, retries, lambda _: None)
        sources = Sources(folder=str(self.folder), cache=str(self.cache), patience=patience)
        path, checksum = locked_file(NAME, {NAME: self.entry}, sources)
        assert checksum == self.entry.sha256
        assert Path(path).read_bytes() == CONTENT
        return path

    def complaint(self):
        with pytest.raises(PackageError) as caught:
            self.get()
        return str(caught.value)


@pytest.fixture
def site(tmp_path, server):
    return Site(tmp_path, server.url)


def test_the_folder_comes_first(site, server):
    (site.folder / NAME).write_bytes(CONTENT)
    assert site.get() == str(site.folder / NAME)
    assert server.requests == []


def test_what_the_folder_does_not_have_is_fetched_once(site, server):
    assert site.get() == str(site.fetched)
    assert site.get() == str(site.fetched)
    assert len(server.requests) == 1
    assert site.fetched.stat().st_mode & 0o777 == 0o644


def test_an_interrupted_download_goes_on_where_it_ended(site, server):
    server.cut_after = [1_000_000]
    assert "the stream ended after 1000000 of" in site.complaint()
    assert not site.fetched.exists()
    site.get()
    assert [asked for asked, _ in server.requests] == [None, "bytes=1000000-"]
    assert not site.part.exists()


def test_without_ranges_it_starts_anew(site, server):
    server.ranges = False
    server.cut_after = [1_000_000]
    site.complaint()
    site.get()


def test_other_bytes_never_get_the_name(site, server):
    server.content = CONTENT[:-1] + b"?"
    assert f"sha256 is {sha256(server.content)}, expected {site.entry.sha256}" in site.complaint()
    assert not site.fetched.exists()
    assert not site.part.exists()


def test_another_size_is_not_even_fetched(site, server):
    server.content = CONTENT + b"more"
    assert f"has {len(CONTENT) + 4} bytes, the list says {len(CONTENT)}" in site.complaint()
    assert not site.fetched.exists()


def test_a_cached_copy_that_rotted_is_fetched_again(site, server):
    site.get()
    site.fetched.write_bytes(CONTENT[:-1] + b"?")
    site.get()
    assert len(server.requests) == 2


def test_a_file_url(site, server, tmp_path):
    (tmp_path / "mirror copy").write_bytes(CONTENT)
    site.entry = LockEntry(NAME, site.entry.sha256, site.entry.size, f"file://{tmp_path}/mirror%20copy")
    site.get()
    assert server.requests == []


def test_the_login_is_sent_and_never_shown(site, server):
    address = server.url.replace("http://", "http://me:hidden@")
    site.entry = LockEntry(NAME, site.entry.sha256, site.entry.size, address + "?token=hidden")
    server.statuses = [403]
    said = site.complaint()
    assert f"from {server.url}: {server.url} answers 403" in said
    assert "hidden" not in said
    site.get()
    assert [login for _, login in server.requests] == ["Basic bWU6aGlkZGVu"] * 2


def test_a_proxy_of_the_environment_is_asked(site, server, monkeypatch):
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    site.entry = LockEntry(NAME, site.entry.sha256, site.entry.size, "http://mirror.example/hdk/x")
    site.get()
    assert len(server.requests) == 1


def test_a_wrong_size_in_the_folder_is_told_without_hashing(site):
    (site.folder / NAME).write_bytes(CONTENT + b"more")
    assert site.complaint() == f"{NAME} has {len(CONTENT) + 4} bytes, the lock file says {len(CONTENT)}"


def test_two_at_once_fetch_one_file(site, server):
    failed = []

    def run():
        try:
            site.get()
        except (PackageError, AssertionError) as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(server.requests) == 1
