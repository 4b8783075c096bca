# SPDX-License-Identifier: Apache-2.0
"""Bad input to the dataset's builder is refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.workload.dataset import main


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["--output", str(tmp_path)]) == 1
    assert "thesis.txt" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_rows_too_short_for_a_dialogue_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--output", str(tmp_path / "new"), "--seq-length", "15"]) == 1
    assert "--seq-length 15" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_file_in_the_way_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["--output", str(tmp_path / "file")]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err
