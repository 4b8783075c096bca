# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.errors import SpecError
from telechat_runtime.predict.spec import Generation, PredictSpec, parse_questions


def test_questions_in_their_order_with_empty_lines_skipped() -> None:
    lines = ['{"input": "生抽和老抽的区别"}\n', "\n", '{"input": "b", "id": 7}\n', "  "]
    assert parse_questions(lines, "q.jsonl") == ("生抽和老抽的区别", "b")


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1))
def test_every_question_comes_back_as_it_was_written(questions: list[str]) -> None:
    assert parse_questions([json.dumps({"input": text}) for text in questions], "q") == tuple(questions)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("hello", r"q\.jsonl, line 2: no JSON \(.*\): hello"),
        ('["a"]', r"q\.jsonl, line 2: a JSON list, but it has to be an object"),
        ('{"question": "a"}', r"q\.jsonl, line 2: no 'input'; its fields are 'question'"),
        ("{}", r"q\.jsonl, line 2: no 'input'; its fields are none"),
        ('{"input": 3}', r"q\.jsonl, line 2: 'input' is 3, but it has to be a text"),
        ('{"input": " "}', r"q\.jsonl, line 2: 'input' is \" \", but it has to be a text that is not empty"),
    ],
)
def test_a_bad_line_is_named_with_its_number(line: str, problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        parse_questions(['{"input": "a"}', line], "q.jsonl")


def test_all_bad_lines_are_named_up_to_a_bound() -> None:
    with pytest.raises(SpecError) as caught:
        parse_questions(["x"] * 30, "q")
    lines = caught.value.message.splitlines()
    assert (len(lines), lines[-1]) == (21, "and 10 more")


def test_a_file_without_questions() -> None:
    with pytest.raises(SpecError, match="q has no question"):
        parse_questions(["\n"], "q")


def test_a_job_without_questions() -> None:
    with pytest.raises(SpecError, match="there is no question"):
        PredictSpec(questions=())


@pytest.mark.parametrize("option", ["checkpoint", "tokenizer", "source_strategy"])
def test_relative_paths_are_refused(option: str) -> None:
    with pytest.raises(SpecError, match=f"--{option.replace('_', '-')} 'w' is a relative path"):
        PredictSpec(questions=("a",), **{option: "w"})


def test_a_system_text_has_no_place_in_raw_questions() -> None:
    with pytest.raises(SpecError, match="--system has no place in --raw"):
        PredictSpec(questions=("a",), raw=True, system="s")


def test_nothing_asked_leaves_everything_to_the_yaml() -> None:
    assert Generation().as_arguments() == {"seed": 0}


def test_new_tokens_override_the_length_in_total() -> None:
    assert Generation(max_new_tokens=5, max_length=9).as_arguments() == {"max_new_tokens": 5, "seed": 0}


def test_a_length_in_total_overrides_new_tokens_of_the_yaml() -> None:
    assert Generation(max_length=9).as_arguments() == {"max_length": 9, "max_new_tokens": None, "seed": 0}


def test_logits_are_asked_for_as_a_dictionary() -> None:
    assert Generation(return_logits=True, seed=3).as_arguments() == {
        "return_dict_in_generate": True,
        "output_logits": True,
        "output_scores": False,
        "seed": 3,
    }


def test_no_sampling_is_passed_as_false_and_contradicts_sampling_options() -> None:
    assert Generation(do_sample=False).as_arguments()["do_sample"] is False
    with pytest.raises(SpecError, match="--top-k has no effect with --no-do-sample"):
        Generation(do_sample=False, top_k=3)
