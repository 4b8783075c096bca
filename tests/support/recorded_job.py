# SPDX-License-Identifier: Apache-2.0
"""A finetune on two nodes as their runtimes recorded it, and nodes that answer with these records."""

from __future__ import annotations

from typing import Any, Dict

from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.job.options import JobOptions
from telechat_runtime.plan.plan import JobPlan, plan_job
from telechat_runtime.plan.program import WORK, Entry, Program
from telechat_runtime.remote.client import NodeClient
from tests.support.clusters import node_probe, two_nodes
from tests.support.node_answers import probe_answer, status_answer
from tests.support.scripted_transport import ScriptedTransport, clients

JOB = "finetune-20261130-120000-abcdef"
DATASET = "/data/rows"
CONFIG = "seed: 0\n"
_INPUT = {"path": DATASET, "files": 1, "bytes": 7, "complete": True, "by": "names", "listing": "aa", "sample": "bb"}


class RecordedJob:
    """A job with rank 0 on node1 and rank 1 on node0, as after a move; `state` is how it stands on each node."""

    def __init__(self, state: str = "SUCCEEDED", *, config: str = CONFIG, **options: Any) -> None:
        self.cluster: Cluster = two_nodes()
        self.plan: JobPlan = plan_job(
            program=Program(
                kind="finetune",
                own=Entry(words=(f"{WORK}/train.py", "--config", f"{WORK}/config.yaml")),
                files=(("config.yaml", config),),
                inputs=(("dataset", DATASET),),
            ),
            options=JobOptions(job_name="finetune", **options),
            cluster=self.cluster.reordered(["node1", "node0"]),
            probes={node.name: node_probe() for node in self.cluster.nodes},
            job_id=JOB,
            owner="ada@bastion",
        )
        self.state = state
        self.config = config
        self.dataset: Dict[str, Any] = dict(_INPUT)
        self.transports = {node.node.name: self._transport(node) for node in self.plan.nodes}

    @property
    def clients(self) -> Dict[str, NodeClient]:
        """A client for each node of the inventory."""
        return clients(self.cluster.nodes, self.transports)

    def record(self, name: str) -> Dict[str, Any]:
        """Return the answer of a node to `node record`, for a replay."""
        node = next(part for part in self.plan.nodes if part.node.name == name)
        start = self.plan.start_request(node)
        record = {
            **{key: value for key, value in start.items() if key not in ("files", "peers")},
            **self.plan.record(node),
            "files": sorted(start["files"]),
            "written": "2026-11-30T12:00:00Z",
            "versions": {"cann": "8.0.RC3"},
            "inputs": {"dataset": _INPUT},
        }
        return {
            "record": record,
            "outcome": {
                "state": self.state,
                "started": "2026-11-30T12:00:00Z",
                "ended": None,
                "exit_code": 0,
                "reason": "",
                "failed_rank": None,
            },
            "config": self.config,
            "start": start,
            "inputs_now": {"dataset": self.dataset},
        }

    def part(self, name: str) -> Dict[str, Any]:
        """Return the job as `node status` of that node lists it."""
        start = self.record(name)["start"]
        named = {key: start[key] for key in ("job_id", "owner", "kind", "node_rank", "node_count")}
        return {
            **named,
            "state": self.state,
            "started": "2026-11-30T12:00:00Z",
            "ended": "2026-11-30T12:10:00Z" if self.state == "SUCCEEDED" else None,
            "exit_code": None,
            "reason": "",
            "cause": "",
            "failed_rank": None,
        }

    def _transport(self, node: Any) -> ScriptedTransport:
        name = node.node.name
        return ScriptedTransport(
            {
                "record": lambda _request: self.record(name),
                "status": lambda _request: status_answer(self.part(name)),
                "probe": probe_answer,
            }
        )
