# SPDX-License-Identifier: Apache-2.0
"""Prepares the check of all nodes, MindSpore's and MindFormers' own run_check(), and sums up their verdicts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

from telechat_runtime.ascend.run_check import Verdict
from telechat_runtime.cluster.contract import ON_CPU
from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import ExitCode
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.events import LogLine
from telechat_runtime.job.identity import new_job_id, whoami
from telechat_runtime.job.options import JobOptions
from telechat_runtime.job.report import Report
from telechat_runtime.node.programs.check.run_check import MARK
from telechat_runtime.plan.payload import node_package, node_program
from telechat_runtime.plan.plan import JobPlan, plan_job
from telechat_runtime.plan.program import WORK, Entry, Processes, Program
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.run.preflight import Preflight

_ENTRY = "run_check.py"


def plan_check(
    options: JobOptions, seconds: int, cluster: Cluster, clients: Mapping[str, NodeClient], interrupt: Interrupt
) -> JobPlan:
    """Look at all nodes and plan one process on each. Raises PreflightError or UnreachableError."""
    probes = Preflight(cluster, clients, interrupt, needs_port=False, out_of_service=options.out_of_service).look([])
    program = Program(
        kind="check",
        own=Entry(words=(f"{WORK}/{_ENTRY}", cluster.device_target, str(seconds))),
        processes=Processes.EACH_NODE,
        files=((_ENTRY, node_program(f"check/{_ENTRY}")), *node_package("check", "run_check")),
    )
    return plan_job(
        program=program,
        options=options,
        cluster=cluster,
        probes=probes,
        job_id=new_job_id(options.job_name),
        owner=whoami(),
    )


def parse_verdict(line: LogLine) -> Optional[Verdict]:
    """Return the verdict that a line of a node's log holds, if it does."""
    if not line.text.startswith(MARK):
        return None
    try:
        found = json.loads(line.text[len(MARK) :])
        return Verdict(check=str(found["check"]), ok=found["ok"] is True, detail=str(found["detail"]))
    except (ValueError, KeyError, TypeError):
        return None


def wanted_checks(device_target: str) -> Tuple[str, ...]:
    """Return the checks that each node has to pass; MindFormers' needs an NPU."""
    return ("mindspore",) if device_target == ON_CPU else ("mindspore", "mindformers")


@dataclass(frozen=True)
class CheckResult:
    """Every node's verdict on every wanted check; one that never came is no success."""

    report: Report
    verdicts: Mapping[str, Tuple[Verdict, ...]]

    @property
    def ok(self) -> bool:
        """Tell whether all checks passed on all nodes."""
        return all(verdict.ok for verdicts in self.verdicts.values() for verdict in verdicts)

    @property
    def exit_code(self) -> int:
        """0 when all passed, 1 when not, 130 after Ctrl-C."""
        if self.report.exit_code == ExitCode.INTERRUPTED:
            return ExitCode.INTERRUPTED
        return ExitCode.OK if self.ok and self.report.exit_code == ExitCode.OK else ExitCode.JOB_FAILED

    def as_dict(self) -> Dict[str, Any]:
        """Return the result as data."""
        nodes = {
            node: {verdict.check: {"ok": verdict.ok, "detail": verdict.detail} for verdict in verdicts}
            for node, verdicts in self.verdicts.items()
        }
        return {"ok": self.ok, "exit_code": self.exit_code, "job_id": self.report.job_id, "nodes": nodes}

    def as_text(self) -> str:
        """Render one line for each node and check."""
        width = max(len(node) for node in self.verdicts)
        return "\n".join(
            f"{'ok' if verdict.ok else 'fail':<4}  {node:<{width}}  {verdict.check:<11}  {verdict.detail}"
            for node, verdicts in self.verdicts.items()
            for verdict in verdicts
        )


def check_result(report: Report, found: Mapping[str, List[Verdict]], wanted: Tuple[str, ...]) -> CheckResult:
    """Sum up the verdicts that came; a node that ended without one is failed by its reason."""
    verdicts = {}
    for outcome in report.nodes:
        came = {verdict.check: verdict for verdict in found.get(outcome.node, [])}
        why = f"no verdict: {outcome.reason or str(outcome.state)}"
        verdicts[outcome.node] = tuple(came.get(check, Verdict(check, ok=False, detail=why)) for check in wanted)
    return CheckResult(report=report, verdicts=verdicts)
