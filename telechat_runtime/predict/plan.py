# SPDX-License-Identifier: Apache-2.0
"""Prepares a predict job: a look at the nodes, then a plan; nothing is changed. Afterwards fetches its answers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import PreflightError, SpecError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.identity import new_job_id, whoami
from telechat_runtime.job.options import JobOptions
from telechat_runtime.plan.data_facts import DataQuestion
from telechat_runtime.plan.node_facts import NodeProbe
from telechat_runtime.plan.payload import node_package, node_program
from telechat_runtime.plan.plan import JobPlan, plan_job
from telechat_runtime.plan.program import TREE, WORK, Entry, Program
from telechat_runtime.predict.settings import (
    Cards,
    PredictConfig,
    check_generation,
    choose_cards,
    extrapolation_settings,
    predict_config,
    predict_settings,
)
from telechat_runtime.predict.spec import PredictSpec
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.remote.fetch import JobFiles
from telechat_runtime.run.preflight import Preflight
from telechat_runtime.training.checkpoint_transform import Start, choose_transform
from telechat_runtime.training.config import read_training_config
from telechat_runtime.training.document import Document, Setting
from telechat_runtime.training.shipped import ConfigSource, shipped_candidates, shipped_config

RESULTS = "results.jsonl"
_KIND = "predict"
_ENTRY = "run_predict.py"
_WORDS = (f"{WORK}/{_ENTRY}", "--config", f"{WORK}/config.yaml", "--request", f"{WORK}/request.json")


def plan_predict(
    spec: PredictSpec,
    options: JobOptions,
    cluster: Cluster,
    clients: Mapping[str, NodeClient],
    *,
    source: Optional[ConfigSource],
    interrupt: Interrupt,
) -> JobPlan:
    """Look at the nodes and make the plan; without a `source` the yaml of `spec.model` is taken from rank 0's tree.

    Raises SpecError, ConfigError, UnreachableError or PreflightError.
    """
    if source is None:
        source = _shipped(spec, cluster, clients, interrupt)
    document = Document.load(source.text, source.name)
    before = predict_config(document.laid([], spec.overrides))
    check_generation(spec, before)
    stretched = predict_config(document.laid(extrapolation_settings(spec, before), spec.overrides))
    # The mode that the job runs in says how many cards it takes, not the one of the yaml that it starts from.
    before = dataclasses.replace(before, splits_model=stretched.splits_model)
    cards = choose_cards(before, cluster, options.npus_per_node)
    settings = predict_settings(spec, before, device_target=cluster.device_target, world_size=cards.world_size)
    config = document.laid(settings, spec.overrides)
    facts = predict_config(config)
    paths = _paths(spec, facts)
    look = Preflight(
        cards.cluster,
        clients,
        interrupt,
        needs_port=cards.world_size > 1,
        npus=cards.per_node,
        out_of_service=options.out_of_service,
    )
    probes = look.look(list(paths), data=DataQuestion(checkpoint=facts.checkpoint))
    _check_kinds(probes, paths)
    job_id = new_job_id(options.job_name)
    transform, notes = _transform(spec, config, probes, cards, job_id)
    if transform:
        config = document.laid([*settings, *transform], spec.overrides)
    return plan_job(
        program=dataclasses.replace(predict_program(spec, config, facts), notes=tuple(notes)),
        options=dataclasses.replace(options, npus_per_node=cards.per_node),
        cluster=cards.cluster,
        probes=probes,
        job_id=job_id,
        owner=whoami(),
    )


def predict_program(spec: PredictSpec, config: Document, facts: PredictConfig) -> Program:
    """Return what answers the questions: our own program, with the model classes of the tree where there is one."""
    generation = spec.generation.as_arguments()
    if not {"max_length", "max_new_tokens"} & set(generation) and not (facts.max_length or facts.max_new_tokens):
        generation["max_length"] = facts.seq_length  # MindFormers' own default is 20
    request = {
        "tokenizer": facts.tokenizer,
        "checkpoint": facts.checkpoint,
        "questions": list(spec.questions),
        "system": spec.system,
        "raw": spec.raw,
        "longest": _longest(spec, facts),
        "generation": generation,
    }
    return Program(
        kind=_KIND,
        own=Entry(words=_WORDS),
        tree=Entry(words=(*_WORDS, "--tree", TREE)),
        files=(
            ("config.yaml", config.text),
            ("request.json", json.dumps(request, ensure_ascii=False, indent=1)),
            (_ENTRY, node_program(f"predict/{_ENTRY}")),
            *node_package("predict"),
        ),
        config_diff=config.diff,
        model_name=facts.model_name,
        results=(RESULTS,),
        inputs=tuple(
            (name, path) for name, path in (("tokenizer", facts.tokenizer), ("checkpoint", facts.checkpoint)) if path
        ),
    )


def fetch_answers(plan: JobPlan, clients: Mapping[str, NodeClient], target: Path, interrupt: Interrupt) -> int:
    """Bring the answers from the node that holds them to `target`, and their arrays beside it; return their number.

    Arrays come to the folder `<target without suffix>.arrays`, and the lines name them there. Raises UnreachableError,
    InterruptedByUserError or OSError; `target` is then what it was.
    """
    node = plan.nodes[0]  # that of rank 0, the worker that writes
    files = JobFiles(clients[node.node.name], plan.job_id, node.paths.job_root, interrupt)
    fetched = target.with_name(f".{target.name}.{plan.job_id}")
    renamed = fetched.with_name(f"{fetched.name}.new")
    count = 0
    try:
        files.fetch(RESULTS, fetched)
        with renamed.open("w", encoding="utf-8") as file:
            for answer in read_answers(fetched):
                file.write(json.dumps(_with_arrays(answer, files, target), ensure_ascii=False) + "\n")
                count += 1
        renamed.replace(target)
    finally:
        for path in (fetched, renamed):
            path.unlink(missing_ok=True)
    return count


def read_answers(path: Path) -> Iterator[Dict[str, Any]]:
    """Yield the answers of a results file in order."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            answer: Dict[str, Any] = json.loads(line)
            yield answer


def _with_arrays(answer: Dict[str, Any], files: JobFiles, target: Path) -> Dict[str, Any]:
    if "arrays" not in answer:
        return answer
    folder = target.with_suffix(".arrays")
    folder.mkdir(exist_ok=True)
    name = Path(answer["arrays"]).name
    files.fetch(answer["arrays"], folder / name)
    return {**answer, "arrays": f"{folder.name}/{name}"}


def _shipped(
    spec: PredictSpec, cluster: Cluster, clients: Mapping[str, NodeClient], interrupt: Interrupt
) -> ConfigSource:
    """Read the tree's yaml from rank 0 alone: which nodes take part only the yaml tells."""
    candidates = shipped_candidates(cluster, _KIND, spec.model)
    master = cluster.limited_to([cluster.master.name])
    probes = Preflight(master, clients, interrupt, needs_port=False, out_of_service=True).look([], read=candidates)
    return shipped_config(cluster, probes, candidates, kind=_KIND, model=spec.model)


def _paths(spec: PredictSpec, facts: PredictConfig) -> Dict[str, str]:
    """Return the paths that every node has to have, and what of the command line gives each."""
    for option, path in (("--tokenizer", facts.tokenizer), ("--checkpoint", facts.checkpoint)):
        if not path:
            raise SpecError(
                f"the job has no {option[2:]}", next_step=f"give {option} with its path as the nodes' containers see it"
            )
        if not path.startswith("/"):
            raise SpecError(f"the yaml's {option[2:]} {path!r} is a relative path", next_step=f"give it with {option}")
    paths = {facts.tokenizer: "--tokenizer", facts.checkpoint: "--checkpoint"}
    return {**paths, **({spec.source_strategy: "--source-strategy"} if spec.source_strategy else {})}


def _check_kinds(probes: Mapping[str, NodeProbe], paths: Mapping[str, str]) -> None:
    problems: List[str] = [
        f"{name}: {path} is a folder, but the tokenizer is a file (tokenizer.model)"
        for name, probe in probes.items()
        for path, kind in probe.paths
        if kind == "dir" and paths.get(path) == "--tokenizer"
    ]
    if problems:
        raise PreflightError("\n".join(problems), next_step="give the file with --tokenizer")


def _longest(spec: PredictSpec, facts: PredictConfig) -> int:
    """Return the most tokens that prompt and answer may have together; only then has an answer any room."""
    generation = spec.generation
    if generation.max_new_tokens or (generation.max_length is None and facts.max_new_tokens):
        return facts.seq_length
    return min(facts.seq_length, generation.max_length or facts.max_length or facts.seq_length)


def _transform(
    spec: PredictSpec, config: Document, probes: Mapping[str, NodeProbe], cards: Cards, job_id: str
) -> Tuple[List[Setting], List[str]]:
    """Return the settings and notes by which the weights get to the cards. Raises PreflightError when they can't."""
    look = probes[cards.cluster.master.name].data.checkpoint
    wish = spec.checkpoint_transform
    if wish is None and cards.world_size == 1 and look is not None and len(look.ranks) > 1:
        raise PreflightError(
            f"the checkpoint is cut for {len(look.ranks)} ranks, and the job has one card",
            next_step="make a whole one with telechat-run convert, or give --checkpoint-transform auto "
            "--source-strategy PATH",
        )
    start = Start(cards.world_size, len(cards.cluster.nodes), cards.cluster.shared_paths, job_id)
    return choose_transform(read_training_config(config.values), config.values, look, start, wish)
