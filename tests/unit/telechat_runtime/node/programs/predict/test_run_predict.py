# SPDX-License-Identifier: Apache-2.0
"""The program's way from the request to the answers, with a model and a vocabulary that stand in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

from telechat_runtime.node.programs.predict import InputError, run_predict


class Letters:
    """A vocabulary of letters."""

    end = 0

    def __init__(self, path: str) -> None:
        if path == "bad":
            raise InputError("bad is no sentencepiece model")

    def encode(self, text: str) -> List[int]:
        return [ord(letter) for letter in text]


class Recorder:
    """Takes the place of Answers."""

    seen: Optional[Dict[str, Any]] = None

    def __init__(self, model: Any, tokenizer: Letters, generation: Dict[str, Any], *, writer: bool) -> None:
        del tokenizer
        self._given = {"model": model, "generation": generation, "writer": writer}

    def write(self, questions: List[str], prompts: List[List[int]]) -> None:
        texts = ["".join(map(chr, ids)) for ids in prompts]
        Recorder.seen = {**self._given, "questions": questions, "prompts": texts}


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RANK_ID", raising=False)
    monkeypatch.setattr(Recorder, "seen", None)
    monkeypatch.setattr(run_predict, "Tokenizer", Letters)
    monkeypatch.setattr(run_predict, "Answers", Recorder)
    monkeypatch.setattr(run_predict, "load_model", lambda config, tree: (config, tree))
    (tmp_path / "w.ckpt").touch()


def run(*words: str, **changes: Any) -> int:
    request = {
        "tokenizer": "t",
        "checkpoint": "w.ckpt",
        "questions": ["a", "b"],
        "system": None,
        "raw": False,
        "longest": 20,
        "generation": {"seed": 0},
        **changes,
    }
    Path("request.json").write_text(json.dumps(request))
    return run_predict.main(["--config", "c.yaml", "--request", "request.json", *words])


def test_questions_become_prompts() -> None:
    assert run() == 0
    assert Recorder.seen == {
        "model": ("c.yaml", ""),
        "generation": {"seed": 0},
        "writer": True,
        "questions": ["a", "b"],
        "prompts": ["<_user>a<_bot>", "<_user>b<_bot>"],
    }


def test_raw_questions_stay_as_they_are() -> None:
    assert run(raw=True) == 0
    assert Recorder.seen is not None
    assert Recorder.seen["prompts"] == ["a", "b"]


def test_only_rank_0_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK_ID", "1")
    assert run() == 0
    assert Recorder.seen is not None
    assert Recorder.seen["writer"] is False


def test_a_trees_template_is_used(tmp_path: Path) -> None:
    folder = tmp_path / "tree/research/telechat2"
    folder.mkdir(parents=True)
    (folder / "telechat_config.py").touch()
    (folder / "run_telechat_predict.py").write_text("chat_template = '{{ messages[0].content }}!'\n")
    assert run("--tree", str(tmp_path / "tree")) == 0
    assert Recorder.seen is not None
    assert Recorder.seen["prompts"] == ["a!", "b!"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer": "bad"}, "bad is no sentencepiece model"),
        (
            {"longest": 14},
            "question 1 has 14 tokens as a prompt, and prompt and answer may have 14 together; question 2",
        ),
        ({"checkpoint": "gone"}, "gone is missing on"),
    ],
)
def test_unusable_input_ends_with_3_before_a_model_is_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], changes: Dict[str, Any], message: str
) -> None:
    def load(*_: str) -> None:
        raise AssertionError("the model was built")

    monkeypatch.setattr(run_predict, "load_model", load)
    assert run(**changes) == 3
    assert capsys.readouterr().err.startswith(f"run_predict.py: error: {message}")
