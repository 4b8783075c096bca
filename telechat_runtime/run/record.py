# SPDX-License-Identifier: Apache-2.0
"""The record of a job, put together of its nodes' records; what it says, and how it differs from another's."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

from telechat_runtime.errors import ProtocolError, SpecError
from telechat_runtime.fanout import FleetError, gather
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job import schemas
from telechat_runtime.job.options import JobOptions
from telechat_runtime.redaction import command_text
from telechat_runtime.remote.answers.record import Fingerprint, Outcome, RecordAnswer, RecordedJob
from telechat_runtime.remote.client import NodeClient

_JOB = "{job}"
_HASH_SHOWN = 12


@dataclass(frozen=True)
class JobRecord:
    """What each node keeps of a job, in the order of node ranks; each of them has a record."""

    job_id: str
    nodes: Mapping[str, RecordAnswer]

    @property
    def records(self) -> Dict[str, RecordedJob]:
        """The records by node."""
        return {name: node.record for name, node in self.nodes.items() if node.record}

    @property
    def first(self) -> RecordedJob:
        """The record of the node of the lowest rank."""
        return next(iter(self.records.values()))

    @property
    def options(self) -> JobOptions:
        """The options that the job was started with; secrets of `env` are masked."""
        return self.first.options

    @property
    def config(self) -> str:
        """The yaml as the job had it; empty for a job without one."""
        return next((node.config for node in self.nodes.values() if node.config), "")

    def as_dict(self) -> Dict[str, Any]:
        """Return the record as data, secrets masked."""
        nodes = {
            name: {
                "record": dict(record.document),
                "outcome": dict(outcome.document) if (outcome := self.nodes[name].outcome) else None,
                "config": self.nodes[name].config,
            }
            for name, record in self.records.items()
        }
        return {"schema": schemas.SHOW, "job_id": self.job_id, "nodes": nodes}

    def as_text(self) -> str:
        """Render the record for reading."""
        first = self.first
        lines = [
            f"job {self.job_id}: {first.kind} of {first.owner}",
            f"  began     {first.written}, with telechat-run {first.control_version}",
        ]
        lines += [_node_line(name, node.outcome) for name, node in self.nodes.items()]
        lines.append(f"  command   {command_text(first.argv, first.env, first.path)}")
        lines += [f"  {name:<9} {_input_text(found)}" for name, found in first.inputs.items()]
        for names, versions in _same_versions(self.records):
            found = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
            lines.append(f"  versions  {', '.join(names)}: {found}")
        if first.config_diff:
            lines += ["  changes to the yaml:", *(f"    {line}" for line in first.config_diff.splitlines())]
        return "\n".join(lines)

    def fields(self) -> Dict[str, str]:
        """Return all that is worth comparing by its name; the job's own folder and id are the same in all jobs."""
        found: Dict[str, str] = {}
        for name, record in self.records.items():
            where = f"rank {record.node_rank}"
            own = {
                field: record.document.get(field)
                for field in ("node", "argv", "env", "env_script", "versions", "inputs")
            }
            _flatten(json.loads(json.dumps(own).replace(self.job_id, _JOB)), where, found)
            outcome = self.nodes[name].outcome
            _flatten({"state": str(outcome.state) if outcome else None}, where, found)
        _flatten(
            {name: self.first.document.get(name) for name in ("kind", "node_count", "local_worker_num")}, "job", found
        )
        return found


@dataclass(frozen=True)
class RecordDiff:
    """How two jobs differ: (field, of the first, of the second), and the unified diff of their yamls."""

    jobs: Tuple[str, str]
    fields: Tuple[Tuple[str, str, str], ...]
    config: str

    def as_dict(self) -> Dict[str, Any]:
        """Return the differences as data."""
        fields = {name: {"first": first, "second": second} for name, first, second in self.fields}
        return {"jobs": list(self.jobs), "fields": fields, "config_diff": self.config}

    def as_text(self) -> str:
        """Render the differences for reading."""
        if not self.fields and not self.config:
            return f"{self.jobs[0]} and {self.jobs[1]} do not differ"
        lines = []
        for name, first, second in self.fields:
            lines += [name, f"  - {first or '(none)'}", f"  + {second or '(none)'}"]
        return "\n".join([*lines, *self.config.splitlines()])


def make_record(job_id: str, answers: Mapping[str, RecordAnswer]) -> JobRecord:
    """Return the record of a job from the answers of the nodes to `node record`. Raises SpecError when none has one."""
    ranks = {name: answer.record.node_rank for name, answer in answers.items() if answer.record}
    if ranks:
        return JobRecord(
            job_id=job_id, nodes={name: answers[name] for name in sorted(ranks, key=lambda name: ranks[name])}
        )
    next_step = "`telechat-run status` lists the jobs"
    if any(answer.outcome for answer in answers.values()):
        raise SpecError(f"job {job_id} has no record: it was started by an older telechat-run", next_step=next_step)
    raise SpecError(f"no node has a job {job_id!r}", next_step=next_step)


def compare(first: JobRecord, second: JobRecord) -> RecordDiff:
    """Return how the second job differs from the first."""
    before, after = first.fields(), second.fields()
    names = list(dict.fromkeys([*before, *after]))
    rows = [(name, before.get(name, ""), after.get(name, "")) for name in names]
    diff = difflib.unified_diff(
        first.config.replace(first.job_id, _JOB).splitlines(),
        second.config.replace(second.job_id, _JOB).splitlines(),
        f"{first.job_id}/config.yaml",
        f"{second.job_id}/config.yaml",
        lineterm="",
    )
    return RecordDiff(
        jobs=(first.job_id, second.job_id),
        fields=tuple(row for row in rows if row[1] != row[2]),
        config="\n".join(diff),
    )


def changed_inputs(record: JobRecord) -> List[str]:
    """Say which datasets and checkpoints are not what they were when the job began; times of change do not count."""
    changed = []
    for node, recorded in record.records.items():
        inputs_now = record.nodes[node].inputs_now or {}
        for name, then in recorded.inputs.items():
            if name not in inputs_now or not inputs_now[name].is_same_as(then):
                changed.append(f"{node}: the {name} {then.path} is not what it was when the job began")
    return changed


def _node_line(name: str, outcome: Optional[Outcome]) -> str:
    if outcome is None:
        return f"  {name:<9} unknown"
    line = f"  {name:<9} {outcome.state}"
    if outcome.ended:
        line += f", ended {outcome.ended}"
    if outcome.exit_code:
        line += f", exit code {outcome.exit_code}"
    return f"{line}: {outcome.reason}" if outcome.reason else line


def _input_text(found: Fingerprint) -> str:
    if found.error is not None:
        return f"{found.path}: {found.error}"
    more = "" if found.complete else " and more"
    size = f"{found.files}{more} files, {found.bytes} bytes"
    return f"{found.path}: {size}, sha256 {found.sample[:_HASH_SHOWN]} of {found.by}"


def _same_versions(records: Mapping[str, RecordedJob]) -> List[Tuple[List[str], Mapping[str, Optional[str]]]]:
    groups: List[Tuple[List[str], Mapping[str, Optional[str]]]] = []
    for name, record in records.items():
        group = next((names for names, known in groups if known == record.versions), None)
        if group is None:
            groups.append(([name], record.versions))
        else:
            group.append(name)
    return groups


def _flatten(value: Any, name: str, found: Dict[str, str]) -> None:
    """Put every leaf under its dotted name; times of change say nothing of the content."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != "changed":
                _flatten(inner, f"{name}.{key}", found)
    elif isinstance(value, list):
        found[name] = " ".join(str(word) for word in value)
    elif value is not None:
        found[name] = str(value)


def record_answers(
    job_id: str,
    clients: Mapping[str, NodeClient],
    interrupt: Interrupt,
    *,
    replay: bool = False,
    needs_all: bool = False,
) -> Dict[str, RecordAnswer]:
    """Return what the nodes have of a job. Raises FleetError when none has a record and some did not answer.

    With `needs_all`, or when an answer can't be used, a record of other nodes does not do.
    """

    def ask(name: str) -> RecordAnswer:
        client = clients[name]
        return client.record(job_id, client.node.job_root, replay=replay)

    results, errors = gather(list(clients), ask, doing="reading the job's record", interrupt=interrupt)
    needs_all = needs_all or any(isinstance(error, ProtocolError) for error in errors.values())
    if errors and (needs_all or not any(answer.record for answer in results.values())):
        raise FleetError(results, errors)
    return results


def job_record(job_id: str, clients: Mapping[str, NodeClient], interrupt: Interrupt) -> JobRecord:
    """Return the record of a job. Raises SpecError when no node knows it, or what kept all from answering."""
    return make_record(job_id, record_answers(job_id, clients, interrupt))
