# SPDX-License-Identifier: Apache-2.0
"""What the preparation of every kind of job has in common: looking at the nodes, a yaml to start from, a job id."""

from __future__ import annotations

import getpass
import secrets
import socket
import time
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from telechat_runtime.data_probe import DataQuestion
from telechat_runtime.errors import PreflightError, SpecError
from telechat_runtime.executor import call_on_all
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.node_client import NodeClient
from telechat_runtime.probe import NodeProbe, check_probes, parse_probe, probe_request
from telechat_runtime.program import RESEARCH
from telechat_runtime.spec import MODELS
from telechat_runtime.topology import ON_NPU, Cluster


@dataclass(frozen=True)
class ConfigSource:
    """A yaml: a file of the control side, or one of the TeleChat2 tree of rank 0's node."""

    name: str
    text: str


class NodeLook:
    """Looks at all nodes of a cluster; `needs_port` when the job has an msrun scheduler.

    `npus` is how many NPUs the job takes of each node; they have to be healthy. `out_of_service` allows nodes that are.
    """

    def __init__(
        self,
        cluster: Cluster,
        clients: Mapping[str, NodeClient],
        interrupt: Interrupt,
        *,
        needs_port: bool,
        npus: int = 0,
        out_of_service: bool = False,
    ) -> None:
        self._cluster = cluster
        self._clients = clients
        self._interrupt = interrupt
        self._needs_port = needs_port
        self._npus = npus if cluster.device_target == ON_NPU else 0
        self._out_of_service = out_of_service

    def look(
        self, paths: Sequence[str], read: Sequence[str] = (), *, data: Optional[DataQuestion] = None
    ) -> Dict[str, NodeProbe]:
        """Probe all nodes at once: `paths` must be on each, `read` is read from rank 0's, `data` is looked into.

        Raises PreflightError, which names every problem of every node, or UnreachableError.
        """
        names = [node.name for node in self._cluster.nodes]

        def probe(name: str) -> NodeProbe:
            client = self._clients[name]
            is_master = name == self._cluster.master.name
            port = self._cluster.master_port if is_master and self._needs_port else None
            asked = read if is_master else ()
            chips = bool(self._npus)
            request = probe_request(client.node, paths=paths, port=port, read=asked, data=data, chips=chips)
            return parse_probe(client.node, client.probe(request), with_data=data is not None)

        probes = call_on_all(names, probe, doing="looking at the nodes", interrupt=self._interrupt)
        check_probes(
            self._cluster,
            probes,
            needs_port=self._needs_port,
            npus=self._npus,
            out_of_service=self._out_of_service,
        )
        return probes


def new_job_id(job_name: str) -> str:
    """Return a job id that no other job has: name, time (UTC) and six random hex digits."""
    return f"{job_name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"


def whoami() -> str:
    """Return who starts a job, as `user@control host`: the name that a refused colleague reads."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def shipped_candidates(cluster: Cluster, kind: str, model: Optional[str]) -> Tuple[str, ...]:
    """Return where rank 0's TeleChat2 tree may keep the yaml of a model. Raises SpecError without model or tree."""
    if model is None:
        raise SpecError("the job has no yaml", next_step="give --config FILE, or --model NAME")
    if not cluster.master.tree:
        raise SpecError(
            f"--model {model} takes the yaml of the TeleChat2 tree, and the inventory names none (telechat_tree)",
            next_step="set telechat_tree, or give --config FILE",
        )
    return tuple(shipped_configs(cluster.master.tree, kind, model))


def shipped_config(
    cluster: Cluster, probes: Mapping[str, NodeProbe], candidates: Sequence[str], *, kind: str, model: Optional[str]
) -> ConfigSource:
    """Return the first of the candidates that rank 0's node has. Raises PreflightError when it has none."""
    read = dict(probes[cluster.master.name].read)
    for path in candidates:
        text = read.get(path)
        if text is not None:
            return ConfigSource(name=path, text=text)
    raise PreflightError(
        f"{cluster.master.name}: the tree has no {kind} yaml for --model {model}; looked for {', '.join(candidates)}",
        next_step="give --config FILE",
    )


def shipped_configs(tree: str, kind: str, model: str) -> List[str]:
    """Return where a TeleChat2 tree may keep a model's yaml for that kind of job, the likeliest first."""
    if model not in MODELS:
        raise ValueError(f"{model!r} is no model; known are {', '.join(MODELS)}")
    names = dict.fromkeys([model, model.replace("-", "_")])
    folders = [RESEARCH, *(f"{RESEARCH}/telechat2-{name}" for name in names)]
    return [f"{tree}/{folder}/{kind}_telechat_{name}.yaml" for folder in folders for name in names]
