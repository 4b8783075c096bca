# SPDX-License-Identifier: Apache-2.0
"""The record of a job, put together of its nodes' records; what it says, and how it differs from another's."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Tuple

from telechat_runtime.errors import SpecError
from telechat_runtime.fanout import FleetError, call_on_all
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.options import JobOptions, job_options_of
from telechat_runtime.redaction import command_text
from telechat_runtime.remote.client import NodeClient

_JOB = "{job}"
_HASH_SHOWN = 12


@dataclass(frozen=True)
class JobRecord:
    """What each node keeps of a job (`record`, `outcome`, `config`), in the order of node ranks."""

    job_id: str
    nodes: Mapping[str, Mapping[str, Any]]

    @property
    def first(self) -> Mapping[str, Any]:
        """The record of the node of the lowest rank."""
        record: Mapping[str, Any] = next(iter(self.nodes.values()))["record"]
        return record

    @property
    def options(self) -> JobOptions:
        """The options that the job was started with; secrets of `env` are masked."""
        return job_options_of(self.first["options"])

    @property
    def config(self) -> str:
        """The yaml as the job had it; empty for a job without one."""
        return next((node["config"] for node in self.nodes.values() if node["config"]), "")

    def as_dict(self) -> Dict[str, Any]:
        """Return the record as data, secrets masked."""
        return {"job_id": self.job_id, "nodes": {name: dict(node) for name, node in self.nodes.items()}}

    def as_text(self) -> str:
        """Render the record for reading."""
        first = self.first
        lines = [
            f"job {self.job_id}: {first['kind']} of {first['owner']}",
            f"  began     {first['written']}, with telechat-run {first.get('control_version', '?')}",
        ]
        for name, node in self.nodes.items():
            lines += [*_node_lines(name, node)]
        lines.append(f"  command   {command_text(first['argv'], first['env'], first.get('path', ()))}")
        lines += [f"  {name:<9} {_input_text(found)}" for name, found in first["inputs"].items()]
        for names, versions in _same_versions(self.nodes):
            found = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
            lines.append(f"  versions  {', '.join(names)}: {found}")
        if first.get("config_diff"):
            lines += ["  changes to the yaml:", *(f"    {line}" for line in first["config_diff"].splitlines())]
        return "\n".join(lines)

    def fields(self) -> Dict[str, str]:
        """Return all that is worth comparing by its name; the job's own folder and id are the same in all jobs."""
        found: Dict[str, str] = {}
        for node in self.nodes.values():
            record = node["record"]
            where = f"rank {record['node_rank']}"
            own = {name: record.get(name) for name in ("node", "argv", "env", "env_script", "versions", "inputs")}
            _flatten(json.loads(json.dumps(own).replace(self.job_id, _JOB)), where, found)
            _flatten({"state": (node["outcome"] or {}).get("state")}, where, found)
        _flatten({name: self.first.get(name) for name in ("kind", "node_count", "local_worker_num")}, "job", found)
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


def make_record(job_id: str, answers: Mapping[str, Mapping[str, Any]]) -> JobRecord:
    """Return the record of a job from the answers of the nodes to `node record`. Raises SpecError when none has one."""
    with_record = {name: answer for name, answer in answers.items() if answer["record"]}
    if with_record:
        names = sorted(with_record, key=lambda name: int(with_record[name]["record"]["node_rank"]))
        return JobRecord(job_id=job_id, nodes={name: with_record[name] for name in names})
    next_step = "`telechat-run status` lists the jobs"
    if any(answer["outcome"] for answer in answers.values()):
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


def changed_inputs(answers: Mapping[str, Mapping[str, Any]]) -> List[str]:
    """Say which datasets and checkpoints are not what they were when the job began; times of change do not count."""
    changed = []
    for node, answer in answers.items():
        for name, then in answer["record"]["inputs"].items():
            now = answer["inputs_now"].get(name, {})
            if any(now.get(key) != then.get(key) for key in ("error", "listing", "sample")):
                changed.append(f"{node}: the {name} {then['path']} is not what it was when the job began")
    return changed


def _node_lines(name: str, node: Mapping[str, Any]) -> List[str]:
    outcome = node["outcome"] or {"state": "unknown"}
    line = f"  {name:<9} {outcome['state']}"
    if outcome.get("ended"):
        line += f", ended {outcome['ended']}"
    if outcome.get("exit_code"):
        line += f", exit code {outcome['exit_code']}"
    if outcome.get("reason"):
        line += f": {outcome['reason']}"
    return [line]


def _input_text(found: Mapping[str, Any]) -> str:
    if "error" in found:
        return f"{found['path']}: {found['error']}"
    more = "" if found["complete"] else " and more"
    size = f"{found['files']}{more} files, {found['bytes']} bytes"
    return f"{found['path']}: {size}, sha256 {found['sample'][:_HASH_SHOWN]} of {found['by']}"


def _same_versions(nodes: Mapping[str, Mapping[str, Any]]) -> List[Tuple[List[str], Mapping[str, Any]]]:
    groups: List[Tuple[List[str], Mapping[str, Any]]] = []
    for name, node in nodes.items():
        versions = node["record"]["versions"]
        group = next((names for names, known in groups if known == versions), None)
        if group is None:
            groups.append(([name], versions))
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
    job_id: str, clients: Mapping[str, NodeClient], interrupt: Interrupt, *, replay: bool = False
) -> Dict[str, Dict[str, Any]]:
    """Return the answers of all nodes that have the job. Raises FleetError when none has it and some are silent."""

    def ask(name: str) -> Dict[str, Any]:
        client = clients[name]
        return client.record(job_id, client.node.job_root, replay=replay)

    try:
        return call_on_all(list(clients), ask, doing="reading the job's record", interrupt=interrupt)
    except FleetError as error:
        if replay or not any(answer["record"] for answer in error.results.values()):
            raise
        return error.results


def job_record(job_id: str, clients: Mapping[str, NodeClient], interrupt: Interrupt) -> JobRecord:
    """Return the record of a job. Raises SpecError when no node knows it, or what kept all from answering."""
    return make_record(job_id, record_answers(job_id, clients, interrupt))
