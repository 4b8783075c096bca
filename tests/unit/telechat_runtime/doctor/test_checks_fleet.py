# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, Dict

import pytest

from telechat_runtime.doctor.checks_fleet import (
    clock,
    clock_offset,
    devices,
    image,
    leftovers,
    middle_clock,
    port,
    shared_paths,
)
from telechat_runtime.doctor.facts import ClockOffset, Finding, NodeFacts, Status
from telechat_runtime.remote.answers.examine import SharedFolder
from tests.support.doctor_nodes import healthy
from tests.support.node_answers import inside, server

SHARED = {"telechat_shared_paths": ["/shared"]}


@pytest.mark.parametrize(
    ("changes", "status", "detail"),
    [
        ({}, Status.OK, "telechat-ms:1.0 sha256:0a0a0a0a0a0a"),
        ({"wanted_id": "sha256:1b"}, Status.WARN, "the container is older than its image telechat-ms:1.0"),
        (
            {"wanted_id": "sha256:1b", "image_id": "sha256:1b"},
            Status.FAIL,
            "telechat-ms:1.0 is another image (sha256:1b) than on most nodes",
        ),
        ({"wanted_id": None}, Status.WARN, "the image telechat-ms:1.0 of the container is gone"),
        ({"state": "missing"}, Status.NOT_SEEN, "there is no such container"),
    ],
)
def test_the_image_of_the_container(changes: Dict[str, Any], status: Status, detail: str) -> None:
    found = image(healthy(server=server(container=changes)))
    assert found is not None
    assert (found.status, found.detail) == (status, detail)


def test_without_a_container_there_is_no_image_to_judge() -> None:
    assert image(healthy(variables={"telechat_container_name": ""})) is None


def test_a_device_that_the_container_lacks() -> None:
    found = devices(healthy(inside=inside(devices=["/dev/davinci_manager", "/dev/davinci0"])))
    assert found.status is Status.FAIL
    assert "/dev/davinci1, " in found.detail


def test_leftovers_are_named_with_what_ends_them() -> None:
    left = [{"job_id": "finetune-1", "state": "FAILED", "pids": [42, 43]}]
    assert leftovers(healthy(inside=inside(leftovers=left))) == Finding(
        Status.FAIL, "finetune-1 (FAILED) still has 42, 43", "telechat-run stop finetune-1"
    )
    unknown = leftovers(healthy(inside=inside(leftovers=[{**left[0], "state": "unknown"}])))
    assert unknown.next_step == "end these processes: no job folder of theirs is left"


def shared(answer: Any) -> NodeFacts:
    return healthy(rank=1, variables=SHARED, shared={"/shared": SharedFolder(**answer)} if answer else {})


def test_a_shared_path() -> None:
    assert shared_paths(healthy()) is None
    good, other, readonly, unseen = (
        shared_paths(shared(answer))
        for answer in (
            {"error": None, "found": True},
            {"error": None, "found": False},
            {"error": "can't be written: Read-only file system", "found": True},
            None,
        )
    )
    assert good == Finding(Status.OK, "/shared shared and writable")
    assert other is not None
    assert (other.status, other.detail) == (Status.FAIL, "/shared is not the same folder as on node0")
    assert readonly is not None
    assert readonly.detail == "/shared: can't be written: Read-only file system"
    assert unseen is not None
    assert unseen.status is Status.NOT_SEEN


@pytest.mark.parametrize(
    ("free", "lease", "status"),
    [
        (8118, None, Status.OK),
        (8119, None, Status.WARN),
        (8119, {"job_id": "a-1", "owner": "lin", "since": "10:00"}, Status.OK),
        (None, None, Status.FAIL),
    ],
)
def test_the_port_of_the_master(free: Any, lease: Any, status: Status) -> None:
    found = port(healthy(inside=inside(probe={"port": {"wanted": 8118, "free": free, "peers": 8120}, "lease": lease})))
    assert found is not None
    assert found.status is status
    assert port(healthy(rank=1)) is None


@pytest.mark.parametrize(
    ("offset", "uncertainty", "status"), [(4, 0.1, Status.OK), (-9, 0.1, Status.WARN), (9, 5, Status.OK)]
)
def test_a_clock_is_off_only_when_that_is_sure(offset: float, uncertainty: float, status: Status) -> None:
    found = clock(healthy(clock=ClockOffset(offset, uncertainty)))
    assert found.status is status
    assert status is Status.OK or found.detail == "9 s behind most nodes"


def test_the_offset_of_a_clock_is_known_but_for_half_the_way() -> None:
    found = clock_offset(sent=100.0, received=104.0, began=111.0, ended=113.0)
    assert found == ClockOffset(seconds=10.0, uncertainty=1.0)
    assert middle_clock([ClockOffset(0, 0), ClockOffset(0.1, 0), ClockOffset(900, 0)]) == 0.1
    assert middle_clock([]) is None
