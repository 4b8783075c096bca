# SPDX-License-Identifier: Apache-2.0
"""Whatever a node's answer lacks, every command ends with the same sentence and exit code, never in a traceback."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Tuple, Type

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telechat_runtime import PROTOCOL
from telechat_runtime.errors import ExitCode
from telechat_runtime.remote.answers.checkpoints import CheckpointInfo, JobOutputAnswer, SavedStepsAnswer
from telechat_runtime.remote.answers.examine import SEEN_OR_NOTHING, ExamineAnswer
from telechat_runtime.remote.answers.jobs import StatusAnswer, StopAnswer, SweepAnswer
from telechat_runtime.remote.answers.probe import ProbeAnswer, ServiceAnswer
from telechat_runtime.remote.answers.record import RecordAnswer
from telechat_runtime.typed_json import DocumentError, parse
from tests.support.node_answers import (
    checkpoint_answer,
    examined,
    inside,
    npu,
    probe_answer,
    server,
    status_answer,
    stop_answer,
)
from tests.support.published_yaml import PUBLISHED
from tests.support.recorded_job import JOB, RecordedJob
from tests.support.scripted_cli import Ended, run, use_fleet
from tests.support.scripted_transport import state

SENTENCE = "{}: its runtime (telechat-run 0.1.0, protocol 2) does not fit this telechat-run (0.1.0, protocol 2): "
NEXT_STEP = "playbooks/runtime.yml"
ANSWERS: Dict[str, Type[Any]] = {
    "probe": ProbeAnswer,
    "status": StatusAnswer,
    "service": ServiceAnswer,
    "stop": StopAnswer,
    "sweep": SweepAnswer,
    "examine": ExamineAnswer,
    "checkpoint-info": CheckpointInfo,
    "job-output": JobOutputAnswer,
    "saved-steps": SavedStepsAnswer,
    "record": RecordAnswer,
}
CONVERT = ("convert", "--checkpoint", "/mnt/model.ckpt", "--output", "/out", "--dry-run")
FINETUNE = ("finetune", "--config", "CONFIG", "--dataset", "/data/rows", "--npus-per-node", "8", "--dry-run")
COMMANDS: Dict[str, Tuple[Tuple[str, ...], Tuple[str, ...]]] = {
    "nodes": (("nodes",), ("service",)),
    "cordon": (("cordon", "node0", "node1", "--reason", "new fan"), ("service",)),
    "uncordon": (("uncordon", "node0", "node1"), ("service",)),
    "status": (("status",), ("status",)),
    "jobs": (("jobs",), ("status",)),
    "jobs as data": (("jobs", "--json"), ("status",)),
    "attach": (("attach", JOB), ("status", "record")),
    "logs": (("logs", JOB), ("status",)),
    "stop": (("stop", JOB), ("status", "stop")),
    "stop at a checkpoint": (
        ("stop", JOB, "--at-checkpoint", "--checkpoint-timeout", "0"),
        ("status", "record", "saved-steps", "stop"),
    ),
    "sweep": (("sweep",), ("sweep",)),
    "show": (("show", JOB), ("record",)),
    "diff": (("diff", JOB, JOB), ("record",)),
    "replay": (("replay", JOB, "--dry-run"), ("record", "probe")),
    "resume": (
        ("finetune", "--resume", JOB, "--dataset", "/data/rows", "--dry-run"),
        ("status", "record", "saved-steps", "probe"),
    ),
    "finetune": (FINETUNE, ("probe",)),
    "finetune on some": ((*FINETUNE, "--nodes", "2"), ("probe",)),
    "check": (("check", "--dry-run"), ("probe",)),
    "convert": ((*CONVERT, "--from-strategy", "/s"), ("checkpoint-info", "probe")),
    "convert of a job": ((*CONVERT, "--from-job", JOB), ("job-output", "checkpoint-info", "probe")),
    "merge": (("merge-lora", JOB, "--dry-run"), ("job-output", "checkpoint-info", "probe")),
    "doctor": (("doctor",), ("examine",)),
}
CONFIG = PUBLISHED["7b"].replace("data_parallel: 8", "data_parallel: 16")
OUT = {"kind": "maintenance", "reason": "new fan", "by": "ada@bastion", "since": "2026-11-23T10:00:00Z"}
LORA = """
use_parallel: True
parallel: {parallel_mode: 1, strategy_ckpt_config: {only_trainable_params: False}}
model: {model_config: {pet_config: {pet_type: lora, lora_rank: 8, lora_alpha: 16}}}
"""
ON_THE_FIRST = ("convert", "convert of a job", "merge")
OTHERS = (None, True, 7, -1.5, "x", [], {}, [None], {"x": None})


class Fleet:
    """Two nodes with a job that has ended; `fault` spoils the answer of one of them, `fault_at`."""

    def __init__(self, config: Path) -> None:
        self.job = RecordedJob()
        self.config = str(config)
        self.fault: Any = None
        self.fault_at = ""
        self.seen: Dict[Tuple[str, str], List[Mapping[str, Any]]] = {}
        step = {"file": "r-1_5.ckpt", "epoch": 1, "step": 5, "number": 5, "problem": ""}
        for rank, (name, transport) in enumerate(self.job.transports.items()):
            ranks = range(rank * 8, rank * 8 + 8)
            answers = {
                "record": {**self.job.record(name), "config": CONFIG},
                "status": status_answer(self.job.part(name), lease=OUT_LEASE, service=OUT, stale_lease=OUT_LEASE),
                "service": {"service": OUT, "upgrade": {"state": "failed", "release": "24.1"}},
                "stop": stop_answer(job_id=JOB),
                "sweep": {"findings": [finding()]},
                "checkpoint-info": checkpoint_answer(),
                "job-output": {
                    "state": "SUCCEEDED",
                    "config": LORA,
                    "output": "/o",
                    "strategy": {"s_rank_0.ckpt": "AA=="},
                    "checkpoints": {"checkpoint": list(ranks)},
                },
                "saved-steps": {"folder": "/o/checkpoint", "ranks": {str(each): [step] for each in ranks}},
            }
            transport.answers.update({command: self._answer(name, answer) for command, answer in answers.items()})
            transport.answers["probe"] = self._answer(name, None, probe)
            transport.answers["examine"] = self._answer(name, None, examine)
            transport.events = [state("SUCCEEDED", 0)]

    def run(self, words: Tuple[str, ...]) -> Ended:
        return run(*(self.config if word == "CONFIG" else word for word in words))

    def _answer(self, name: str, answer: Any, make: Any = None) -> Any:
        def answered(request: Dict[str, Any]) -> Any:
            document = copy.deepcopy(make(request) if make else answer)
            if name == self.fault_at and self.fault is not None:
                self.fault(document)
            return document

        return answered


OUT_LEASE = {"job_id": JOB, "owner": "ada@bastion", "since": "2026-11-23T10:00:00Z"}


def probe(request: Dict[str, Any]) -> Dict[str, Any]:
    dataset = {"files": 1, "rows": 5000, "row_lengths": [8193], "problem": None}
    return probe_answer(request, **({"dataset": dataset} if request.get("dataset") else {}))


def finding() -> Dict[str, Any]:
    return {"kind": "lease", "job_id": JOB, "detail": "", "ours": True, "why": "", "done": "cleared", "gone": True}


def examine(request: Dict[str, Any]) -> Dict[str, Any]:
    said = {**server(), **inside(), "shared_folders": {"/s": {"error": None, "found": True}}, "hccn": HCCN}
    return examined(said, request)


HCCN = {"program": "hccn_tool", "devices": [npu(0)]}


def node_of(name: str, command: str) -> str:
    """Return the node whose answer is spoilt: checkpoints are judged and made on the inventory's first one only."""
    is_on_first = command == "checkpoint-info" or (command == "probe" and name in ON_THE_FIRST)
    return "node0" if is_on_first else "node1"


def places(document: Any, where: Tuple[Any, ...] = ()) -> Iterator[Tuple[Any, ...]]:
    """Yield the way to every field and item of a document."""
    items: Any = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    for key, value in items:
        yield (*where, key)
        yield from places(value, (*where, key))


def spoil(document: Any, where: Tuple[Any, ...], value: Any) -> bool:
    """Put another value, or with `...` none, at that place; False where the document has no such place."""
    for key in where[:-1]:
        if not (isinstance(document, dict) and key in document) and not (isinstance(document, list) and where):
            return False
        document = document[key]
    if value is ...:
        del document[where[-1]]
    else:
        document[where[-1]] = value
    return True


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("faults")
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("TELECHAT_CACHE", str(folder))
        found = Fleet(config)
        use_fleet(monkeypatch, found.job.cluster, found.job.clients)
        yield found


def documents(fleet: Fleet, name: str, command: str) -> List[Mapping[str, Any]]:
    """Return what a node answers to a node command when a command runs without a fault."""
    seen: List[Mapping[str, Any]] = fleet.seen.setdefault((name, command), [])
    if seen:
        return seen
    transport = fleet.job.transports[node_of(name, command)]
    answer: Any = transport.answers[command]

    def noted(request: Dict[str, Any]) -> Any:
        seen.append(answer(request))
        return seen[-1]

    fleet.fault = None
    transport.answers[command] = noted
    try:
        fleet.run(COMMANDS[name][0])
    finally:
        transport.answers[command] = answer
    return seen


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_works_when_nothing_is_wrong(fleet: Fleet, name: str) -> None:
    words, asked = COMMANDS[name]
    fleet.fault = None
    ended = fleet.run(words)
    assert ended.exit_code in (0, 1, 2), ended.text
    for command in asked:
        assert documents(fleet, name, command), f"{name} does not ask {command}"


@pytest.mark.parametrize("name", COMMANDS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_field_that_is_missing_or_of_a_wrong_type(fleet: Fleet, name: str, data: st.DataObject) -> None:
    words, asked = COMMANDS[name]
    command = data.draw(st.sampled_from(asked))
    example = data.draw(st.sampled_from(documents(fleet, name, command)))
    where = data.draw(st.sampled_from(sorted(places(example), key=str)))
    value = data.draw(st.sampled_from([..., *OTHERS]))
    faulty: Any = json.loads(json.dumps(example))
    spoil(faulty, where, value)

    def fault(document: Any) -> None:
        # A command may ask twice, for other things; two examinations differ in their clock.
        if document == example or (command == "examine" and set(document) == set(example)):
            spoil(document, where, value)

    fleet.fault, fleet.fault_at = fault, node_of(name, command)
    transport = fleet.job.transports[node_of(name, command)]
    before, transport.answers = transport.answers, dict(transport.answers)
    for other in asked:
        if other != command:
            good: Any = before[other]
            transport.answers[other] = lambda request, good=good: without_fault(fleet, good, request)
    try:
        ended = fleet.run(words)
    finally:
        transport.answers = before
    if is_faulty(command, faulty, example):
        assert ended.exit_code == ExitCode.NODE_UNUSABLE, ended.text
        assert SENTENCE.format(node_of(name, command)) in ended.text
        assert f"answer to {command}" in ended.text
        assert NEXT_STEP in ended.text


def without_fault(fleet: Fleet, answer: Any, request: Any) -> Any:
    fault, fleet.fault = fleet.fault, None
    try:
        return answer(request)
    finally:
        fleet.fault = fault


def is_faulty(command: str, document: Any, example: Any) -> bool:
    """Return whether the answer is not what the protocol says; what it need not have is no fault."""
    if command == "checkpoint-info" and document.get("problem", "") is not None:
        return not isinstance(document.get("problem"), str)
    if command == "examine":
        needed = [name for name in example if name not in SEEN_OR_NOTHING]
        if any(document.get(name) is None for name in needed) or not set(example) <= set(document):
            return True
    try:
        parse(ANSWERS[command], document)
    except DocumentError:
        return True
    return False


EVENTS: Dict[str, Dict[str, Any]] = {
    "begin": {"event": "begin", "offsets": {"worker_0.log": 0}},
    "log": {"event": "log", "log": "worker_0.log", "rank": 0, "offset": 5, "line": "step"},
    "state": state("SUCCEEDED", 0),
}
EVENT_FAULTS = [
    *(("begin", ("offsets",), value) for value in (..., None, [], {"worker_0.log": "x"})),
    *(("log", (name,), value) for name in ("log", "line", "offset") for value in (..., None, [], {})),
    ("log", ("rank",), "x"),
    *(("state", ("state",), value) for value in (..., None, 7, "WELL")),
    *(("state", (name,), value) for name in ("exit_code", "reason", "failed_rank") for value in (..., {}, 1.5)),
]


@pytest.mark.parametrize("words", [("logs", JOB), ("attach", JOB)], ids=["logs", "attach"])
@pytest.mark.parametrize(("event", "where", "value"), EVENT_FAULTS)
def test_an_event_that_lacks_a_field_or_has_a_wrong_one(
    monkeypatch: pytest.MonkeyPatch, words: Tuple[str, ...], event: str, where: Tuple[Any, ...], value: Any
) -> None:
    job = RecordedJob("RUNNING")
    job.transports["node0"].events = [state("SUCCEEDED", 0)]
    faulty = copy.deepcopy(EVENTS[event])
    spoil(faulty, where, value)
    envelope = {"protocol": PROTOCOL, "version": "0.1.0"}
    job.transports["node1"].events = [{**EVENTS["log"], **envelope}, faulty]
    use_fleet(monkeypatch, job.cluster, job.clients)
    ended = run(*words)
    assert ended.exit_code == ExitCode.NODE_UNUSABLE, ended.text
    assert f"{SENTENCE.format('node1')}of the event {event}, " in ended.text
    assert NEXT_STEP in ended.text
