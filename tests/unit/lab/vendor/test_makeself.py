# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from bare_server import require

from lab.vendor import makeself

if TYPE_CHECKING:
    from pathlib import Path

INSTALLER = '#!/bin/sh\nprintf "got"\nfor word; do printf " [%s]" "$word"; done\necho\nexit 7\n'


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    require("makeself")
    folder = tmp_path / "content"
    folder.mkdir()
    (folder / "install.sh").write_text(INSTALLER)
    (folder / "install.sh").chmod(0o755)
    (folder / "version.info").write_text("Version=1\n")
    makeself.pack(folder, tmp_path / "some.run", label="SOME PACKAGE", epoch=1704067200)
    return tmp_path / "some.run"


def run(archive: Path, *options: str) -> tuple[int, str]:
    argv = ["env", f"TMPDIR={archive.parent}", "sh", str(archive), *options]
    result = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return result.returncode, result.stdout


@pytest.mark.parametrize(
    "options",
    [("--full",), ("--full", "--quiet"), ("--full", "--install-for-all"), ("--install-path=/a b", "--run"), ("--x y",)],
)
def test_options_makeself_does_not_know_reach_the_installer_whole_and_its_code_is_kept(
    archive: Path, options: tuple[str, ...]
) -> None:
    code, output = run(archive, *options)
    assert code == 7
    assert "got" + "".join(f" [{word}]" for word in options) + "\n" in output


def test_quiet_before_an_installer_option_reaches_the_installer_too(archive: Path) -> None:
    assert run(archive, "--nox11", "--quiet", "--full") == (7, "got [--quiet] [--full]\n")


@pytest.mark.parametrize("options", [("--quiet", "--full"), ("--full", "--quiet")])
def test_quiet_silences_the_archive_wherever_it_stands(archive: Path, options: tuple[str, ...]) -> None:
    assert run(archive, *options)[1].startswith("got")


def test_check_verifies_and_then_asks_the_installer(archive: Path) -> None:
    code, output = run(archive, "--check")
    assert code == 7
    assert output.startswith("Verifying archive integrity...")
    assert "100%   SHA256 checksums are OK. All good.\ngot [--check]\n" in output


def test_a_changed_archive_fails_its_check_with_2_and_the_installer_does_not_run(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[-20] ^= 1
    archive.write_bytes(content)
    for option in ("--check", "--full"):
        code, output = run(archive, option)
        assert code == 2
        assert "Error in SHA256 checksums" in output
        assert "got" not in output


def test_a_truncated_archive_fails_its_check_with_2(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-100])
    code, output = run(archive, "--check")
    assert code == 2
    assert "Unexpected archive size" in output


def test_extract_unpacks_without_running_anything(archive: Path, tmp_path: Path) -> None:
    code, output = run(archive, "--noexec", f"--extract={tmp_path}/out dir")
    assert code == 0, output
    assert (tmp_path / "out dir" / "version.info").read_text() == "Version=1\n"


def test_a_makeself_of_another_version_is_refused_with_what_was_expected() -> None:
    with pytest.raises(makeself.MakeselfError, match=r"exactly one '-\*\)' case as makeself 2.4.5 has it, found 0"):
        makeself.derive_header("#!/bin/sh\n", 1)


def test_without_makeself_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(makeself.MakeselfError, match="apt-get install makeself"):
        makeself.pack(tmp_path, tmp_path / "some.run", label="x", epoch=0)
