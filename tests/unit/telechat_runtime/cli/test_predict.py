# SPDX-License-Identifier: Apache-2.0
"""What the command refuses before it looks at any node: there is no inventory in these tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from telechat_runtime.cli.predict import predict
from telechat_runtime.errors import SpecError, TelechatError, UsageError
from telechat_runtime.predict.spec import MAX_INPUT_BYTES

CONFIG = ["--config", "predict.yaml"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "predict.yaml").write_text("model: {}\n")
    (tmp_path / "q.jsonl").write_text('{"input": "a"}\nnonsense\n')


def refused(*words: str) -> TelechatError:
    with pytest.raises(TelechatError) as caught:
        predict.main([*words], prog_name="predict", standalone_mode=False)
    return caught.value


def test_a_bad_line_of_questions() -> None:
    error = refused(*CONFIG, "--input-file", "q.jsonl")
    assert isinstance(error, SpecError)
    assert error.message.startswith("q.jsonl, line 2: no JSON")


def test_a_file_of_questions_that_is_not_there() -> None:
    assert (
        refused(*CONFIG, "--input-file", "gone").message
        == "--input-file 'gone' can't be read: No such file or directory"
    )


def test_a_file_of_questions_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "gbk.jsonl").write_bytes('{"input": "驱动"}\n'.encode("gbk"))
    assert refused(*CONFIG, "--input-file", "gbk.jsonl").message == "--input-file 'gbk.jsonl' is no UTF-8 text: byte 11"


def test_too_many_questions(tmp_path: Path) -> None:
    with (tmp_path / "big.jsonl").open("wb") as file:
        file.truncate(MAX_INPUT_BYTES + (1 << 20))
    assert "has 65 MiB, and a job takes 64" in refused(*CONFIG, "--input-file", "big.jsonl").message


def test_no_question() -> None:
    assert refused(*CONFIG).next_step == "give --input TEXT, or --input-file FILE"
    assert refused(*CONFIG, "--input", " ").message == "--input ' ' is empty"


def test_a_yaml_and_a_model() -> None:
    assert isinstance(refused(*CONFIG, "--model", "7b", "--input", "a"), UsageError)


@pytest.mark.parametrize(
    ("output", "problem"), [("folder", "is a folder"), ("gone/out.jsonl", "there is no folder for it")]
)
def test_an_output_that_could_not_be_written_afterwards(tmp_path: Path, output: str, problem: str) -> None:
    (tmp_path / "folder").mkdir()
    assert problem in refused(*CONFIG, "--input", "a", "--output", output).message


def test_logits_want_an_output() -> None:
    assert refused(*CONFIG, "--input", "a", "--return-logits").next_step == "add --output FILE"


@pytest.mark.parametrize(
    "words", [["--top-p", "1.5"], ["--temperature", "0"], ["--max-new-tokens", "0"], ["--seed", "-1"]]
)
def test_numbers_out_of_range(words: list[str]) -> None:
    with pytest.raises(click.UsageError, match="is not in the range"):
        predict.main([*CONFIG, "--input", "a", *words], prog_name="predict", standalone_mode=False)


def test_a_users_mistake_gets_an_exit_code_and_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "telechat_runtime", "predict", *CONFIG, "--input-file", str(tmp_path / "q.jsonl")],
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
