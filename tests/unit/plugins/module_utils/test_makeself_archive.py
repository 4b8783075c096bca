# SPDX-License-Identifier: Apache-2.0

import pytest
from ansible.module_utils.makeself_archive import ArchiveError, payload, read_version_info

from tests.unit.plugins.module_utils.hdk.package_files import makeself

INFO = "Version=24.1.rc3\npackage_version=24.1.rc3\n"


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "package.run"
        path.write_bytes(content)
        return str(path)

    return write


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz", ""])
@pytest.mark.parametrize("old_header", [False, True])
def test_version_info_is_read_without_running_anything(write, compression, old_header):
    assert read_version_info(write(makeself(INFO, compression=compression, old_header=old_header))) == INFO


def test_an_archive_without_version_info(write):
    assert read_version_info(write(makeself(None))) is None


def test_a_packing_that_python_cannot_read_is_no_error(write):
    path = write(makeself(INFO)[:120] + b"\0" * 4000)
    assert read_version_info(path) is None


@pytest.mark.parametrize("missing", [1, 100])
def test_a_file_cut_short(write, missing):
    whole = makeself(INFO)
    with pytest.raises(ArchiveError, match=rf"it has {len(whole) - missing} of {len(whole)} bytes"):
        payload(write(whole[:-missing]))


def test_a_header_cut_short(write):
    with pytest.raises(ArchiveError, match="cut off"):
        payload(write(b'#!/bin/sh\nfilesizes="10"\nskip="400"\n'))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"#!/bin/sh\necho hello\n", b'filesizes="3"\nskip="1"\n'])
def test_what_is_no_makeself_archive(write, content):
    with pytest.raises(ArchiveError, match="no makeself archive"):
        payload(write(content))
