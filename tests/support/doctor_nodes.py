# SPDX-License-Identifier: Apache-2.0
"""What doctor knows of a healthy node of two, for the tests of its checks."""

from __future__ import annotations

import dataclasses
from typing import Any

from telechat_runtime.doctor.facts import Agreed, ClockOffset, NodeFacts, Ping
from telechat_runtime.remote.answers.examine import ExamineAnswer
from telechat_runtime.typed_json import parse
from tests.support.clusters import two_nodes
from tests.support.node_answers import IMAGE, inside, server


def healthy(*, rank: int = 0, nodes: int = 2, variables: Any = None, **changes: Any) -> NodeFacts:
    """Return the facts of that node; `changes` replace fields of NodeFacts."""
    cluster = two_nodes(**(variables or {}))
    if nodes == 1:
        cluster = cluster.limited_to(["node0"])
    facts = NodeFacts(
        cluster=cluster,
        node=cluster.nodes[rank],
        runtime_sha256=None,
        server=read(server()),
        inside=read(inside()),
        clock=ClockOffset(0.0, 0.1),
        pings=(Ping(0, "node1", 0, answered=True),),
        agreed=Agreed(tls="0", image_id=IMAGE, clock=0.0),
    )
    read_changes = {name: read(value) if name in ("inside", "server") else value for name, value in changes.items()}
    return dataclasses.replace(facts, **read_changes)


def read(answer: Any) -> Any:
    """Return what a node answers to `examine` as the control side reads it; anything else as it is."""
    return parse(ExamineAnswer, answer) if isinstance(answer, dict) else answer
