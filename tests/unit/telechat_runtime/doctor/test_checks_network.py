# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.doctor import checks_network
from telechat_runtime.doctor.checks_network import peers_of
from telechat_runtime.doctor.facts import NodeFacts, Ping, Status
from tests.support.doctor_nodes import healthy
from tests.support.node_answers import npu, server


def with_npu(number: int = 3, *, nodes: int = 2, **ill: Any) -> NodeFacts:
    devices = [npu(device, **(ill if device == number else {})) for device in range(8)]
    return healthy(nodes=nodes, server=server(hccn={"devices": devices}))


@pytest.mark.parametrize("check", ["address", "link", "net_health", "tls", "ping"])
def test_a_healthy_network(check: str) -> None:
    assert getattr(checks_network, check)(healthy()).status is Status.OK


ILL: Dict[str, tuple[str, Dict[str, Any], Status, str]] = {
    "no address": ("address", {"address": None}, Status.FAIL, "NPU 3 without an address"),
    "link down": ("link", {"link": "DOWN"}, Status.FAIL, "NPU 3 not UP"),
    "link unknown": ("link", {"link": None}, Status.FAIL, "NPU 3 not UP"),
    "unreachable": ("net_health", {"net_health": "Unreachable"}, Status.FAIL, "NPU 3: Unreachable"),
    "silent": ("net_health", {"net_health": None}, Status.FAIL, "NPU 3: nothing"),
    "init": ("net_health", {"net_health": "Init"}, Status.WARN, "NPU 3: Init, no address to watch is set"),
    "tls": ("tls", {"tls": "1"}, Status.FAIL, "NPU 3: TLS is on, most NPUs have it off"),
    "tls unknown": ("tls", {"tls": None}, Status.NOT_SEEN, "NPU 3: hccn_tool does not tell the TLS switch"),
}


@pytest.mark.parametrize("name", list(ILL))
def test_an_ill_npu_is_named(name: str) -> None:
    check, ill, status, detail = ILL[name]
    found = getattr(checks_network, check)(with_npu(**ill))
    assert (found.status, found.detail) == (status, detail)
    assert found.next_step or status is Status.NOT_SEEN


@pytest.mark.parametrize(
    ("check", "ill", "status"),
    [("address", {"address": None}, Status.OK), ("link", {"link": "DOWN"}, Status.WARN)],
)
def test_one_node_needs_no_network(check: str, ill: Dict[str, Any], status: Status) -> None:
    assert getattr(checks_network, check)(with_npu(nodes=1, **ill)).status is status


def test_jobs_on_cpu_need_no_network() -> None:
    bare = server(hccn={"devices": [npu(0, address=None)]})
    found = checks_network.address(healthy(server=bare, variables={"telechat_device_target": "CPU"}))
    assert (found.status, found.detail) == (Status.OK, "NPU 0 without an address: jobs run on CPU")


def test_lost_pings_are_named_up_to_a_number() -> None:
    pings = tuple(Ping(device, "node1", 7, answered=device > 5) for device in range(8))
    found = checks_network.ping(healthy(pings=pings))
    assert found.status is Status.FAIL
    assert found.detail.startswith("6 of 8 pings are lost: NPU 0 -> node1 NPU 7, NPU 1 -> node1 NPU 7, ")
    assert found.detail.endswith(" and 2 more")


def test_pings_that_were_not_sent_are_never_called_good() -> None:
    late = (Ping(0, "node1", 0, answered=True), Ping(0, "node1", 1, answered=None))
    found = checks_network.ping(healthy(pings=late))
    assert (found.status, found.detail) == (Status.WARN, "1 pings came back, there was no time for 1")
    assert checks_network.ping(healthy(pings=())).status is Status.NOT_SEEN
    assert checks_network.ping(healthy(pings=None)).status is Status.NOT_SEEN


def test_no_hccn_tool() -> None:
    bare = server(hccn={"program": None, "devices": []})
    assert checks_network.link(healthy(server=bare)).status is Status.FAIL
    on_cpu = healthy(server=bare, variables={"telechat_device_target": "CPU"})
    assert checks_network.link(on_cpu).status is Status.NOT_SEEN


@given(st.integers(2, 300))
def test_every_node_is_pinged_and_a_small_fleet_in_all_pairs(count: int) -> None:
    pinged = {rank: peers_of(rank, count) for rank in range(count)}
    for rank, peers in pinged.items():
        assert rank not in peers
        assert len(set(peers)) == len(peers) == min(count - 1, 3)
    assert {peer for peers in pinged.values() for peer in peers} == set(range(count))
