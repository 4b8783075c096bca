# SPDX-License-Identifier: Apache-2.0
"""Answers questions with the model that a MindFormers yaml describes; every worker of a predict job runs it.

Exit codes: 0 all answered, 1 the inference failed (the traceback is MindFormers'), 2 wrong options, 3 unusable input.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any, Dict, List, Optional

from telechat_runtime.node.programs.predict import InputError
from telechat_runtime.node.programs.predict.answers import Answers, check_lengths
from telechat_runtime.node.programs.predict.model import check_checkpoint, load_model, tree_folder
from telechat_runtime.node.programs.predict.prompt import prompt, tree_template
from telechat_runtime.node.programs.predict.tokens import Tokenizer

_INPUT_INVALID = 3
# Every worker computes the same answer: the model's last layer gathers its output on all of them.
_WRITER = "0"


def main(argv: Optional[List[str]] = None) -> int:
    """Answer all questions and return the exit code."""
    options = _options(argv)
    try:
        _answer(options)
    except InputError as error:
        sys.stderr.write(f"run_predict.py: error: {error}\n")
        return _INPUT_INVALID
    return 0


def _options(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="run_predict.py", description="Answer questions with the model of a MindFormers yaml.", allow_abbrev=False
    )
    parser.add_argument("--config", required=True, help="MindFormers yaml")
    parser.add_argument("--request", required=True, help="JSON: the questions, and how to answer them")
    parser.add_argument("--tree", default="", help="TeleChat2 tree whose model classes are taken")
    return parser.parse_args(argv)


def _answer(options: argparse.Namespace) -> None:
    with open(options.request, encoding="utf-8") as file:
        request: Dict[str, Any] = json.load(file)
    tokenizer = Tokenizer(request["tokenizer"])
    questions: List[str] = request["questions"]
    prompts = [tokenizer.encode(text) for text in _prompts(request, options.tree)]
    check_lengths(prompts, request["longest"])
    check_checkpoint(request["checkpoint"])
    model = load_model(options.config, options.tree)
    writer = os.environ.get("RANK_ID", _WRITER) == _WRITER
    Answers(model, tokenizer, request["generation"], writer=writer).write(questions, prompts)


def _prompts(request: Dict[str, Any], tree: str) -> List[str]:
    questions: List[str] = request["questions"]
    if request["raw"]:
        return questions
    template = tree_template(tree_folder(tree)) if tree else None
    return [prompt(question, system=request["system"], template=template) for question in questions]


if __name__ == "__main__":
    sys.exit(main())
