# SPDX-License-Identifier: Apache-2.0
"""Sweeps all nodes: what dead jobs left there, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Sequence, Tuple

from telechat_runtime.cluster.contract import ON_NPU
from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import TelechatError
from telechat_runtime.fanout import gather
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.remote.answers.jobs import SweepFinding
from telechat_runtime.remote.client import NodeClient

_LEFT = 1


@dataclass(frozen=True)
class SweepWishes:
    """What a sweep does: only look, or `clean`; `jobs` narrows it to those, `reset_chips` frees memory of nobody."""

    clean: bool = False
    reset_chips: bool = False
    jobs: Tuple[str, ...] = ()
    grace_seconds: int = 10


@dataclass(frozen=True)
class SweepResult:
    """Every node's findings by name, and why the others gave none."""

    findings: Mapping[str, Sequence[SweepFinding]]
    errors: Mapping[str, TelechatError]

    @property
    def left(self) -> int:
        """How many findings are still there."""
        return sum(1 for found in self.findings.values() for finding in found if not _is_gone(finding))

    @property
    def exit_code(self) -> int:
        """0 when nothing is left of dead jobs, else 1."""
        return _LEFT if self.left else 0

    def as_dict(self) -> Dict[str, Any]:
        """Return the result as data."""
        return {
            "left": self.left,
            "nodes": {name: [vars(finding) for finding in found] for name, found in self.findings.items()},
            "errors": {name: str(error) for name, error in self.errors.items()},
        }


def sweep(
    cluster: Cluster, clients: Mapping[str, NodeClient], wishes: SweepWishes, *, by: str, interrupt: Interrupt
) -> SweepResult:
    """Sweep all nodes of the cluster; a node that can't answer is part of the result."""

    def ask(name: str) -> Sequence[SweepFinding]:
        request = {
            "job_root": clients[name].node.job_root,
            "port": cluster.master_port if name == cluster.master.name else None,
            "npus": cluster.device_target == ON_NPU,
            "clean": wishes.clean,
            "reset_chips": wishes.reset_chips,
            "jobs": list(wishes.jobs),
            "grace_seconds": wishes.grace_seconds,
            "by": by,
        }
        return clients[name].sweep(request).findings

    names = [node.name for node in cluster.nodes]
    found, errors = gather(names, ask, doing="sweeping", interrupt=interrupt, finish=wishes.clean)
    return SweepResult(findings=found, errors=errors)


def _is_gone(finding: SweepFinding) -> bool:
    if finding.gone is not None:
        return finding.gone
    # telechat-run 0.1 has it in words only, and these are all of them.
    return bool(finding.done) and "outlive" not in finding.done and "failed" not in finding.done
