# SPDX-License-Identifier: Apache-2.0
"""Asks the model one question after the other and writes the answers, each line when it is known."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Mapping, Sequence

from telechat_runtime.node.programs.predict import InputError
from telechat_runtime.node.programs.predict.tokens import Tokenizer

RESULTS = "results.jsonl"
ARRAYS = "arrays"
_SHOWN_PROBLEMS = 10
# What a question asks `generate` to return beside the tokens, and the name of the array in its file.
_OUTPUTS = {"output_logits": "logits", "output_scores": "scores"}


def check_lengths(prompts: Sequence[Sequence[int]], longest: int) -> None:
    """Raise InputError that names the questions whose prompt leaves no room for an answer of a single token."""
    problems = [
        f"question {number} has {len(ids)} tokens as a prompt, and prompt and answer may have {longest} together"
        for number, ids in enumerate(prompts, 1)
        if len(ids) >= longest
    ]
    if problems:
        raise InputError("; ".join(problems[:_SHOWN_PROBLEMS]))


class Answers:
    """The answers of one job; only a `writer` leaves files behind, the other workers compute along."""

    def __init__(self, model: Any, tokenizer: Tokenizer, generation: Mapping[str, Any], *, writer: bool) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._seed = int(generation["seed"])
        self._generation = {name: value for name, value in generation.items() if name != "seed"}
        self._outputs = [option for option in _OUTPUTS if self._generation.get(option)]
        self._writer = writer

    def write(self, questions: Sequence[str], prompts: Sequence[Sequence[int]]) -> None:
        """Answer all questions in order."""
        if self._writer and self._outputs:
            os.mkdir(ARRAYS)
        with open(RESULTS if self._writer else os.devnull, "w", encoding="utf-8") as file:
            for index, (question, ids) in enumerate(zip(questions, prompts)):
                answer = {"index": index, "question": question, **self._answer(index, ids)}
                file.write(json.dumps(answer, ensure_ascii=False) + "\n")
                file.flush()
                if self._writer:
                    print(f"answered {index + 1} of {len(questions)}", flush=True)  # noqa: T201 - the worker's log

    def _answer(self, index: int, prompt: Sequence[int]) -> Dict[str, Any]:
        import mindspore  # noqa: PLC0415
        import numpy as np  # noqa: PLC0415

        # Every worker draws by itself: with other numbers they would go on with other tokens. The same for each
        # question whatever came before it.
        np.random.seed((self._seed + index) % (1 << 32))  # noqa: NPY002 - MindFormers draws from the global state
        mindspore.set_seed(self._seed + index)
        output = self._model.generate([list(prompt)], **self._generation)
        sequence = output["sequences"] if self._outputs else output
        new: List[int] = [int(token) for token in sequence[0][len(prompt) :]]
        ended = bool(new) and new[-1] == self._tokenizer.end
        answer: Dict[str, Any] = {
            "answer": self._tokenizer.decode(new),
            "prompt_tokens": len(prompt),
            "new_tokens": len(new),
            "finish": "end" if ended else "length",
        }
        if self._outputs and self._writer:
            answer["arrays"] = f"{ARRAYS}/{index:06d}.npz"
            # float32: NumPy has no bfloat16.
            arrays = {
                _OUTPUTS[option]: np.stack([_row(step) for step in output[_OUTPUTS[option]]])
                for option in self._outputs
            }
            np.savez_compressed(answer["arrays"], **arrays)
        return answer


def _row(step: Any) -> Any:
    """Return one step's values over the vocabulary as float32, whatever holds them."""
    import numpy as np  # noqa: PLC0415

    return np.asarray(step.asnumpy() if hasattr(step, "asnumpy") else step, dtype=np.float32).reshape(-1)
