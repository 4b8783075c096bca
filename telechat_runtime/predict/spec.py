# SPDX-License-Identifier: Apache-2.0
"""What the user asks of a predict job, checked as far as it can be without looking at a node."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Optional, Tuple

from telechat_runtime.errors import SpecError
from telechat_runtime.job.options import Override, check_node_path

# The questions travel to every node in one document and are held in memory there.
MAX_INPUT_BYTES = 64 << 20
_FIELD = "input"
_SHOWN_PROBLEMS = 20
_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class Generation:
    """How answers are made; None leaves the choice to the yaml. Lengths are in tokens.

    `max_length` limits prompt and answer together, `max_new_tokens` the answer alone; with both, that one counts.
    """

    max_new_tokens: Optional[int] = None
    max_length: Optional[int] = None
    do_sample: Optional[bool] = None
    top_k: Optional[int] = None
    top_p: Optional[float] = None
    temperature: Optional[float] = None
    repetition_penalty: Optional[float] = None
    return_logits: bool = False
    return_scores: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        drawn = [option for option, value in self._sampling().items() if value is not None]
        if self.do_sample is False and drawn:
            raise SpecError(
                f"--{drawn[0].replace('_', '-')} has no effect with --no-do-sample, which takes the likeliest token",
                next_step="leave one of them out",
            )

    def as_arguments(self) -> Dict[str, Any]:
        """Return what MindFormers' `generate` is called with, and the seed; what is not in it is up to the yaml."""
        given = {"do_sample": self.do_sample, "repetition_penalty": self.repetition_penalty, **self._sampling()}
        arguments = {name: value for name, value in given.items() if value is not None}
        if self.max_new_tokens is not None:
            arguments["max_new_tokens"] = self.max_new_tokens
        elif self.max_length is not None:
            # A max_new_tokens of the yaml would win.
            arguments.update(max_length=self.max_length, max_new_tokens=None)
        if self.return_logits or self.return_scores:
            arguments.update(
                return_dict_in_generate=True, output_logits=self.return_logits, output_scores=self.return_scores
            )
        return {**arguments, "seed": self.seed}

    def _sampling(self) -> Dict[str, Any]:
        return {"top_k": self.top_k, "top_p": self.top_p, "temperature": self.temperature}


@dataclass(frozen=True)
class PredictSpec:
    """Questions for a model; paths are those of the nodes' containers.

    `extrapolate` is the longest prompt and answer, in tokens, beyond what the model was trained with. `raw` questions
    get no chat template around them.
    """

    questions: Tuple[str, ...]
    model: Optional[str] = None
    checkpoint: str = ""
    tokenizer: str = ""
    source_strategy: str = ""
    checkpoint_transform: Optional[str] = None
    system: Optional[str] = None
    raw: bool = False
    extrapolate: Optional[int] = None
    generation: Generation = Generation()
    overrides: Tuple[Override, ...] = ()

    def __post_init__(self) -> None:
        if not self.questions:
            raise SpecError("there is no question", next_step="give --input TEXT, or --input-file FILE")
        if self.raw and self.system is not None:
            raise SpecError("--system has no place in --raw questions", next_step="leave one of them out")
        check_node_path("--checkpoint", self.checkpoint)
        check_node_path("--tokenizer", self.tokenizer)
        check_node_path("--source-strategy", self.source_strategy)


def parse_questions(lines: Iterable[str], source: str) -> Tuple[str, ...]:
    """Read JSON lines, `{"input": "…"}` each; empty lines are skipped. Raises SpecError that names every bad line."""
    questions: List[str] = []
    problems: List[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            questions.append(_question(line))
        except ValueError as error:
            problems.append(f"{source}, line {number}: {error}")
    if problems:
        more = len(problems) - _SHOWN_PROBLEMS
        shown = problems[:_SHOWN_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        raise SpecError("\n".join(shown), next_step=f'write one JSON object a line, {{"{_FIELD}": "the question"}}')
    if not questions:
        raise SpecError(f"{source} has no question", next_step=f'write lines like {{"{_FIELD}": "the question"}}')
    return tuple(questions)


def _question(line: str) -> str:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ValueError(f"no JSON ({error}): {line.strip()[:_LONGEST_SHOWN]}") from error
    if not isinstance(record, dict):
        raise ValueError(f"a JSON {type(record).__name__}, but it has to be an object")  # noqa: TRY004 - not a bug
    if _FIELD not in record:
        raise ValueError(f"no {_FIELD!r}; its fields are {', '.join(map(repr, record)) or 'none'}")
    question = record[_FIELD]
    if not isinstance(question, str) or not question.strip():
        raise ValueError(f"{_FIELD!r} is {json.dumps(question)}, but it has to be a text that is not empty")
    return question
