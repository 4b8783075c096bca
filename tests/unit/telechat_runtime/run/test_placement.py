# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import pytest

from telechat_runtime.cluster.topology import Cluster, cluster_from_hostvars
from telechat_runtime.errors import PreflightError, SpecError, UnreachableError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.options import JobOptions
from telechat_runtime.run.placement import Placement, allowed, place
from tests.support.node_answers import probe_answer
from tests.support.scripted_transport import Answer, ScriptedTransport, clients

NAMES = ("node0", "node1", "node2", "node3")
LEASE = {"job_id": "finetune-1", "owner": "bob@bastion", "since": "2026-01-01T00:00:00Z"}


def cluster(**common: Any) -> Cluster:
    variables = {"ascend_npu_count": 8, **common}
    return cluster_from_hostvars("ascend", NAMES, {name: {"ansible_host": name, **variables} for name in NAMES})


def chips(**ill: str) -> Dict[str, Any]:
    health = [{"npu_id": npu, "health": ill.get(f"npu{npu}", "OK")} for npu in range(8)]
    return {"program": "npu-smi", "error": None, "chips": health}


def wishes(**options: Any) -> JobOptions:
    return JobOptions(job_name="finetune", **options)


class Fleet:
    def __init__(self, **answers: Answer) -> None:
        self.cluster = cluster()
        self.nodes = {
            name: ScriptedTransport({"probe": answers.get(name, probe_answer(chips=chips()))}) for name in NAMES
        }

    def place(
        self, nodes: Optional[int], *exclude: str, npus: Optional[int] = None, first: Tuple[str, ...] = ()
    ) -> Placement:
        return place(
            self.cluster,
            wishes(npus_per_node=npus, nodes=nodes, exclude=exclude),
            clients(self.cluster.nodes, self.nodes),
            Interrupt(),
            first=first,
        )


def ranks(placement: Placement) -> List[Tuple[int, str]]:
    return [(rank, node.name) for rank, node in enumerate(placement.cluster.nodes)]


def test_without_a_number_nobody_is_asked_and_all_take_part() -> None:
    fleet = Fleet()
    assert ranks(fleet.place(None, "node1")) == [(0, "node0"), (1, "node2"), (2, "node3")]
    assert all(not transport.asked for transport in fleet.nodes.values())


def test_unfit_nodes_are_left_out_with_the_reason() -> None:
    fleet = Fleet(
        node0=probe_answer(chips=chips(npu3="Alarm")),
        node1=probe_answer(chips=chips(), lease=LEASE),
        node3=UnreachableError("can't be reached at node3:22: timed out", node="node3"),
    )
    with pytest.raises(PreflightError) as caught:
        fleet.place(2)
    assert caught.value.message.splitlines() == [
        "--nodes 2: 1 nodes are fit for the job",
        "left out: node0: NPU 3 is in Alarm",
        "left out: node1: busy: bob@bastion runs job finetune-1 on it since 2026-01-01T00:00:00Z",
        "left out: node3: can't be reached at node3:22: timed out",
    ]
    chosen = fleet.place(1)
    assert ranks(chosen) == [(0, "node2")]
    assert len(chosen.notes) == 3


def test_only_the_npus_that_the_job_takes_have_to_be_healthy() -> None:
    fleet = Fleet(node0=probe_answer(chips=chips(npu3="Alarm")))
    assert ranks(fleet.place(1, npus=3)) == [(0, "node0")]
    assert ranks(fleet.place(1, npus=4)) == [(0, "node1")]


def test_npus_that_do_not_answer_are_no_healthy_ones() -> None:
    silent = {"program": None, "error": "there is no npu-smi", "chips": []}
    few = {**chips(), "chips": chips()["chips"][:7]}
    fleet = Fleet(node0=probe_answer(chips=silent), node1=probe_answer(chips=few))
    assert fleet.place(1).notes == (
        "left out: node0: the NPUs can't be seen: there is no npu-smi",
        "left out: node1: 7 NPUs answer, the job takes 8",
    )


def test_jobs_on_cpu_need_no_npu() -> None:
    fleet = Fleet(**dict.fromkeys(NAMES, probe_answer()))
    fleet.cluster = cluster(telechat_device_target="CPU")
    assert ranks(fleet.place(2)) == [(0, "node0"), (1, "node1")]
    assert [request["chips"] for _, request in fleet.nodes["node0"].asked] == [False]


def test_a_node_that_takes_anothers_place_gets_its_rank() -> None:
    fleet = Fleet(node2=probe_answer(chips=chips(), lease=LEASE))
    first = ("node1", "node2", "node0")
    assert ranks(fleet.place(3, first=first)) == [(0, "node1"), (1, "node3"), (2, "node0")]
    assert ranks(fleet.place(2, first=first)) == [(0, "node1"), (1, "node0")]
    assert ranks(fleet.place(2, "node1", first=("node1", "node0"))) == [(0, "node3"), (1, "node0")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (wishes(exclude=("node9",)), "--exclude node9: no such node in the cluster"),
        (wishes(exclude=NAMES), "--exclude leaves no node"),
        (wishes(nodes=4, exclude=("node1",)), "--nodes 4 is more than the 3 nodes that the job may use"),
    ],
)
def test_wishes_that_no_node_can_meet(options: JobOptions, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        allowed(cluster(), options)
