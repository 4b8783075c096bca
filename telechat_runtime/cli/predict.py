# SPDX-License-Identifier: Apache-2.0
"""`telechat-run predict`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

import click

from telechat_runtime.cli.job_options import POSITIVE, Request, config_options, config_source, job_options
from telechat_runtime.cli.run_job import Preparation, run_job
from telechat_runtime.errors import SpecError, TelechatError
from telechat_runtime.finetune.spec import TRANSFORMS
from telechat_runtime.job.options import MODELS
from telechat_runtime.job.report import Report
from telechat_runtime.plan.plan import JobPlan
from telechat_runtime.predict.plan import RESULTS, fetch_answers, plan_predict, read_answers
from telechat_runtime.predict.spec import MAX_INPUT_BYTES, Generation, PredictSpec, parse_questions

_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)
_GENERATION = (
    "max_new_tokens",
    "max_length",
    "do_sample",
    "top_k",
    "top_p",
    "temperature",
    "repetition_penalty",
    "return_logits",
    "return_scores",
    "seed",
)


@click.command(short_help="Let a model answer questions.")
@config_options
@click.option(
    "--model",
    type=click.Choice(MODELS),
    envvar="TELECHAT_MODEL",
    show_envvar=True,
    help="Take the predict yaml of the TeleChat2 tree on the nodes (telechat_tree) instead of --config.",
)
@click.option(
    "--checkpoint",
    default="",
    metavar="PATH",
    envvar="TELECHAT_CHECKPOINT",
    show_envvar=True,
    help="Weights, file or folder on the nodes, as their containers see it. Default: the yaml's load_checkpoint.",
)
@click.option(
    "--tokenizer",
    default="",
    metavar="PATH",
    envvar="TELECHAT_TOKENIZER",
    show_envvar=True,
    help="Vocabulary (tokenizer.model) on the nodes. Default: the yaml's processor.tokenizer.vocab_file.",
)
@click.option("--input", "inputs", multiple=True, metavar="TEXT", help="A question; may be repeated.")
@click.option(
    "--input-file",
    metavar="FILE",
    help='Questions on this machine, a line {"input": "…"} each; they come after those of --input.',
)
@click.option(
    "--output",
    metavar="FILE",
    help="Write the answers as JSON lines, in the order of the questions. Default: show them.",
)
@click.option(
    "--max-new-tokens",
    type=POSITIVE,
    help="Longest answer, in tokens. It overrides --max-length and the yaml's max_decode_length.",
)
@click.option(
    "--max-length",
    type=POSITIVE,
    help="Most tokens of prompt and answer together. Default: the yaml's max_decode_length.",
)
@click.option(
    "--do-sample/--no-do-sample",
    default=None,
    help="Draw each token by its probability, or take the likeliest. Default: the yaml's do_sample.",
)
@click.option("--top-k", type=POSITIVE, help="Draw from the K likeliest tokens. Default: the yaml's.")
@click.option(
    "--top-p",
    type=click.FloatRange(min=0, max=1, min_open=True),
    help="Draw from the likeliest tokens that together have this probability. Default: the yaml's.",
)
@click.option("--temperature", type=_ABOVE_ZERO, help="Below 1 draws likelier tokens, above 1 less likely ones.")
@click.option("--repetition-penalty", type=_ABOVE_ZERO, help="Above 1 makes tokens less likely that came before.")
@click.option(
    "--seed",
    type=click.IntRange(min=0, max=(1 << 31) - 1),
    default=0,
    show_default=True,
    help="For drawing: the same seed, the same answers.",
)
@click.option("--return-logits", is_flag=True, help="Also write each step's raw logits over the vocabulary (.npz).")
@click.option("--return-scores", is_flag=True, help="Also write each step's processed scores (.npz).")
@click.option(
    "--extrapolate",
    type=POSITIVE,
    metavar="LENGTH",
    help="Answer beyond the trained length, up to LENGTH tokens of prompt and answer, by dynamic NTK extrapolation.",
)
@click.option("--system", metavar="TEXT", help="System text before each question. Default: the tree's own.")
@click.option("--raw", is_flag=True, help="Give the questions to the model as they are, without a chat template.")
@click.option(
    "--checkpoint-transform",
    type=click.Choice(TRANSFORMS),
    help="auto: cut the weights for the cards at the start; offline: they are cut already (telechat-run convert); "
    "none: load them as they are. Default: by what --checkpoint holds.",
)
@click.option(
    "--source-strategy",
    default="",
    metavar="PATH",
    help="Strategy files of a sliced checkpoint on the nodes, for --checkpoint-transform auto.",
)
@job_options("predict", npus="as many as the yaml's model_parallel, on as few nodes as have them")
def predict(
    *,
    request: Request,
    config_file: Optional[str],
    model: Optional[str],
    inputs: Tuple[str, ...],
    input_file: Optional[str],
    output: Optional[str],
    **wishes: Any,
) -> None:
    """Let a model answer questions, on one card, several, or several nodes.

    Every question is answered for itself. The answers come from the worker that holds them, each with its question,
    the number of tokens of prompt and answer, and whether it came to its end or to the length allowed.
    """
    source = config_source(config_file, model)
    generation = Generation(**{name: wishes.pop(name) for name in _GENERATION})
    questions = (*_checked(inputs), *(_read_questions(input_file) if input_file else ()))
    spec = PredictSpec(questions=questions, model=model, generation=generation, **wishes)
    arrays = generation.return_logits or generation.return_scores
    target = _checked_target(output, arrays=arrays)

    def plan(at: Preparation) -> JobPlan:
        return plan_predict(spec, request.options, at.cluster, at.clients, source=source, interrupt=at.interrupt)

    def finish(done: JobPlan, at: Preparation, report: Report) -> Mapping[str, Any]:
        del report
        if target is not None:
            count = _fetch(done, at, target)
            return {"answers": f"{count} in {target}" if not request.as_json else str(target)}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "answers.jsonl"
            _fetch(done, at, path)
            answers = list(read_answers(path))
        return {"answers": answers if request.as_json else _text(answers)}

    run_job(request, plan, finish=finish)


def _fetch(done: JobPlan, at: Preparation, target: Path) -> int:
    try:
        return fetch_answers(done, at.clients, target, at.interrupt)
    except OSError as error:
        node = done.nodes[0]
        raise TelechatError(
            f"the answers can't be written to {error.filename or target}: {error.strerror}",
            next_step=f"they are on {node.node.name}: {node.paths.work}/{RESULTS}",
        ) from error


def _checked(inputs: Tuple[str, ...]) -> Tuple[str, ...]:
    for text in inputs:
        if not text.strip():
            raise SpecError(f"--input {text!r} is empty", next_step="give it a question")
    return inputs


def _read_questions(name: str) -> Tuple[str, ...]:
    path = Path(name)
    try:
        size = path.stat().st_size
        if size > MAX_INPUT_BYTES:
            raise SpecError(
                f"--input-file {name!r} has {size >> 20} MiB, and a job takes {MAX_INPUT_BYTES >> 20}",
                next_step="cut it, and run a job for each part",
            )
        with path.open(encoding="utf-8-sig") as file:
            return parse_questions(file, name)
    except UnicodeDecodeError as error:
        raise SpecError(f"--input-file {name!r} is no UTF-8 text: byte {error.start}") from error
    except OSError as error:
        raise SpecError(f"--input-file {name!r} can't be read: {error.strerror}") from error


def _checked_target(output: Optional[str], *, arrays: bool) -> Optional[Path]:
    """Return where the answers go; found out before anything starts whether they can be written there."""
    if output is None:
        if arrays:
            raise SpecError("logits and scores need a file beside which they lie", next_step="add --output FILE")
        return None
    target = Path(output)
    if target.is_dir():
        raise SpecError(f"--output {output!r} is a folder", next_step="name a file in it")
    if not target.absolute().parent.is_dir() or not os.access(target.absolute().parent, os.W_OK):
        raise SpecError(f"--output {output!r} can't be written: there is no folder for it that is yours to write in")
    return target


def _text(answers: List[Dict[str, Any]]) -> str:
    lines = [""]
    for answer in answers:
        tokens = f"{answer['prompt_tokens']} + {answer['new_tokens']} tokens"
        cut = "" if answer["finish"] == "end" else ", cut off by the length allowed"
        lines += [f"  > {answer['question']}", f"  {answer['answer']}", f"    ({tokens}{cut})"]
    return "\n".join(lines)
