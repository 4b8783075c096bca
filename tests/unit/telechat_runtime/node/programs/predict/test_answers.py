# SPDX-License-Identifier: Apache-2.0
"""Answers of a model that stands in; logits and the real thing are tested by tests/lab/test_predict.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, List

import pytest

from telechat_runtime.node.programs.predict import InputError
from telechat_runtime.node.programs.predict.answers import Answers, check_lengths

END = 2


class Model:
    """Repeats the prompt, and comes to an end when the prompt is short."""

    def __init__(self) -> None:
        self.asked: List[Any] = []

    def generate(self, ids: List[List[int]], **options: Any) -> List[List[int]]:
        self.asked.append(options)
        return [[*ids[0], *ids[0], *([END] if len(ids[0]) < 3 else [])]]


@pytest.fixture
def seeds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> List[int]:
    drawn: List[int] = []
    numpy, mindspore = ModuleType("numpy"), ModuleType("mindspore")
    numpy.random = SimpleNamespace(seed=drawn.append)  # type: ignore[attr-defined]
    mindspore.set_seed = drawn.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "numpy", numpy)
    monkeypatch.setitem(sys.modules, "mindspore", mindspore)
    monkeypatch.chdir(tmp_path)
    return drawn


TOKENIZER: Any = SimpleNamespace(end=END, decode=lambda ids: "-".join(str(token) for token in ids if token != END))


def test_answers_in_order_with_their_counts(seeds: List[int], tmp_path: Path) -> None:
    model = Model()
    Answers(model, TOKENIZER, {"seed": 5, "max_new_tokens": 4}, writer=True).write(["a", "二"], [[7, 8], [7, 8, 9]])
    lines = (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"index": 0, "question": "a", "answer": "7-8", "prompt_tokens": 2, "new_tokens": 3, "finish": "end"},
        {"index": 1, "question": "二", "answer": "7-8-9", "prompt_tokens": 3, "new_tokens": 3, "finish": "length"},
    ]
    assert "二" in lines[1]
    assert model.asked == [{"max_new_tokens": 4}, {"max_new_tokens": 4}]
    assert seeds == [5, 5, 6, 6]


def test_the_other_workers_compute_along_and_write_nothing(seeds: List[int], tmp_path: Path) -> None:
    model = Model()
    Answers(model, TOKENIZER, {"seed": 0}, writer=False).write(["a"], [[7]])
    assert len(model.asked) == 1
    assert seeds == [0, 0]
    assert not list(tmp_path.iterdir())


def test_prompts_that_leave_no_room_are_named() -> None:
    check_lengths([[1] * 9], 10)
    with pytest.raises(InputError, match="question 2 has 10 tokens as a prompt, and prompt and answer may have 10"):
        check_lengths([[1], [1] * 10], 10)
