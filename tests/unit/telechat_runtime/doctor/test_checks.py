# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any, Dict, Optional

import pytest

from telechat_runtime import __version__
from telechat_runtime.doctor.checks import CHECKS, check_node
from telechat_runtime.doctor.facts import NOT_EXAMINED, Agreed, ClockOffset, Finding, NodeFacts, Ping, Status
from telechat_runtime.errors import ContainerError, PreflightError, ProtocolError, TelechatError, UnreachableError
from tests.support.clusters import two_nodes
from tests.support.doctor_nodes import read
from tests.support.node_answers import BOARD, IMAGE, NOTHING, SOFTWARE, inside, job_part, server

LEASE = {"job_id": "a-1", "owner": "lin", "since": "10:00"}
NO_READ = {"read": {"/var/lib/telechat/verified.json": None}}
SILENT = ContainerError("node0: the container 'telechat' is not running", next_step="docker start telechat")
ILL = [{"npu_id": 0, "chip_id": 0, "name": "910B2", "health": "Alarm"}]
KERNELS = ["5.10.0-1", "5.10.0-2"]


def facts(
    *,
    server_says: Optional[Dict[str, Any]] = None,
    inside_says: Optional[Dict[str, Any]] = None,
    error: Optional[TelechatError] = None,
    sha256: Optional[str] = None,
    **variables: Any,
) -> NodeFacts:
    cluster = two_nodes(**variables)
    return NodeFacts(
        cluster=cluster,
        node=cluster.nodes[0],
        runtime_sha256=sha256,
        server=read(server() if server_says is None else server_says),
        inside=NOT_EXAMINED if error else read(inside() if inside_says is None else inside_says),
        inside_error=error,
        server_error=None,
        clock=None if error else ClockOffset(0.0, 0.1),
        pings=(Ping(0, "node1", 0, answered=True),),
        agreed=Agreed(tls="0", image_id=IMAGE, clock=0.0),
    )


def finding(name: str, found: NodeFacts) -> Finding:
    return check_node(found)[name]


def test_a_healthy_node_is_well_in_every_respect() -> None:
    findings = check_node(facts())
    assert {name: found for name, found in findings.items() if found.status is not Status.OK} == {}
    assert list(findings) == [check.name for check in CHECKS if check.name != "shared"]
    assert findings["hdk"].detail == "driver 24.1.rc3, firmware 7.5.0.1.129"
    assert findings["matrix"].detail == (
        "driver 24.1.rc3, firmware 7.5.0.1.129, CANN 8.0.RC3, MindSpore 2.4.0, MindFormers 1.3.0 are on the matrix"
    )


def versions(**changes: Any) -> Dict[str, Any]:
    return {"versions": {"versions": {**NOTHING, **SOFTWARE, **changes}}}


OLD_HDK = {"driver": "23.0.3", "firmware": "7.1.0.5.220", "firmware_release": "23.0.3"}
ILLS: Dict[str, tuple[NodeFacts, str, Status, str, str]] = {
    "alarm": (
        facts(server_says=server(chips={"chips": ILL})),
        "chips",
        Status.FAIL,
        "1 chips answer, ascend_npu_count is 8; NPU 0 is Alarm",
        "npu-smi info -t health",
    ),
    "no driver loaded": (
        facts(server_says=server(chips={"chips": [], "boards": [], "error": "dcmi ... ret is -8005"})),
        "chips",
        Status.FAIL,
        "ret is -8005",
        "playbooks/hdk.yml",
    ),
    "reboot due": (
        facts(server_says=server(chips={"boards": [{**BOARD, "firmware": "7.1.0.5.220"}, BOARD]})),
        "hdk",
        Status.FAIL,
        "firmware 7.5.0.1.129 is installed, 7.1.0.5.220 runs",
        "reboot",
    ),
    "incompatible": (
        facts(server_says=server(chips={"boards": [{**BOARD, "compatibility": "NOK"}]})),
        "hdk",
        Status.FAIL,
        "calls the compatibility of driver and firmware NOK",
        "one HDK release",
    ),
    "the guide's pair": (
        facts(server_says=server(**versions(**OLD_HDK))),
        "matrix",
        Status.WARN,
        "works, not recommended: driver 23.0.3 is older than 24.1.rc3",
        "HDK 23.0.3 -> 24.1.rc3 (firmware 7.5.0.1.129)",
    ),
    "broken": (
        facts(server_says=server(**versions(**OLD_HDK)), inside_says=inside(**versions(mindspore="2.7.0", cann=None))),
        "matrix",
        Status.FAIL,
        "broken: driver 23.0.3 is too old for CANN 8.2.rc1",
        " -> ",
    ),
    "next kernel": (
        facts(server_says=server(kernels={"installed": KERNELS})),
        "kernel",
        Status.WARN,
        "kernel 5.10.0-2 is newer than the running one and has no module of the driver",
        "playbooks/rebuild.yml",
    ),
    "running kernel": (
        facts(server_says=server(kernels={"with_module": []})),
        "kernel",
        Status.FAIL,
        "kernel 5.10.0-1 runs without the driver's module",
        "playbooks/rebuild.yml",
    ),
    "other runtime": (
        facts(sha256="a", inside_says=inside()),
        "runtime",
        Status.WARN,
        f"{__version__} of other sources, this machine has {__version__}",
        "run site.yml",
    ),
    "old runtime": (
        facts(error=PreflightError("node0: the node runtime is of another version", next_step="run site.yml")),
        "runtime",
        Status.FAIL,
        "the node runtime is of another version",
        "run site.yml",
    ),
    "container down": (
        facts(error=SILENT),
        "container",
        Status.FAIL,
        "the container 'telechat' is not running",
        "docker start telechat",
    ),
    "no runtime that answers": (
        facts(error=ProtocolError("ended with exit code 1", node="node0"), server_says={}),
        "runtime",
        Status.FAIL,
        "ended with exit code 1",
        "",
    ),
    "lost job": (
        facts(inside_says=inside(jobs={"jobs": [job_part("a-1", "LOST")], "stale_lease": {**LEASE, "job_id": "a-1"}})),
        "jobs",
        Status.WARN,
        "a-1 lost its supervisor",
        "telechat-run stop a-1",
    ),
    "stale lease": (
        facts(inside_says=inside(jobs={"stale_lease": {**LEASE, "job_id": "b-2"}})),
        "jobs",
        Status.WARN,
        "b-2 lost its supervisor",
        "telechat-run stop b-2",
    ),
    "full": (
        facts(inside_says=inside(probe={"free_bytes": 5 << 20})),
        "job root",
        Status.FAIL,
        "only 5 MiB free in /var/lib/telechat; a job needs 1024",
        "telechat_job_root",
    ),
    "nameless": (
        facts(inside_says=inside(probe={"resolves": False})),
        "own name",
        Status.FAIL,
        "'node' does not resolve",
        "/etc/hosts",
    ),
    "unverified": (facts(inside_says=inside(probe=NO_READ)), "verified", Status.WARN, "never passed", "verify.yml"),
    "other driver since": (
        facts(server_says=server(**versions(**OLD_HDK))),
        "verified",
        Status.WARN,
        "driver and firmware changed since it passed",
        "verify.yml",
    ),
}


@pytest.mark.parametrize(("found", "name", "status", "words", "next_step"), ILLS.values(), ids=ILLS)
def test_what_is_wrong_is_named_with_the_next_step(
    found: NodeFacts, name: str, status: Status, words: str, next_step: str
) -> None:
    judged = finding(name, found)
    assert judged.status is status
    assert words in judged.detail
    assert next_step in judged.next_step


OUT = {"reason": "new fan", "by": "ada@bastion", "since": "2026-01-31T10:00:00Z"}


@pytest.mark.parametrize(
    ("service", "detail", "next_step"),
    [
        (
            {"service": {**OUT, "kind": "maintenance"}, "upgrade": None},
            "out of service: new fan (ada@bastion, since 2026-01-31T10:00:00Z)",
            "telechat-run uncordon node0 puts it in again",
        ),
        (
            {"service": {**OUT, "kind": "upgrade"}, "upgrade": {"state": "failed"}},
            "out of service: new fan (ada@bastion, since 2026-01-31T10:00:00Z), failed",
            "run playbooks/upgrade.yml again: it goes on from there",
        ),
    ],
)
def test_a_node_out_of_service(service: Dict[str, Any], detail: str, next_step: str) -> None:
    found = finding("service", facts(server_says={**server(), "service": service}))
    assert found == Finding(Status.WARN, detail, next_step)


def test_an_unreachable_node_fails_once_and_everything_else_is_not_seen() -> None:
    gone = facts(error=UnreachableError("can't connect", next_step="is it up?", node="node0"), server_says={})
    findings = check_node(gone)
    assert findings.pop("reachable") == Finding(Status.FAIL, "can't connect", "is it up?")
    assert {found.status for found in findings.values()} == {Status.NOT_SEEN}


def test_a_stopped_container_hides_the_software_but_not_the_server() -> None:
    findings = check_node(facts(error=SILENT))
    seen = {name for name, found in findings.items() if found.status is not Status.NOT_SEEN}
    network = {f"hccn {name}" for name in ("ip", "link", "net", "tls", "ping")}
    assert seen == {"reachable", "service", "container", "image", "chips", "hdk", "kernel", "matrix"} | network
    assert findings["matrix"].detail.endswith("(CANN, MindSpore, MindFormers not seen)")


def test_from_within_the_container_alone_kernel_and_firmware_are_not_called_good() -> None:
    chips = server()["chips"]
    findings = check_node(facts(server_says={}, inside_says={**inside(), "chips": chips}))
    assert findings["kernel"].status is Status.NOT_SEEN
    assert findings["hdk"] == Finding(Status.OK, "driver 24.1.rc3, firmware not seen on disk")
    assert findings["matrix"].detail.endswith("(firmware not seen)")


def test_without_an_npu_a_cpu_node_is_well() -> None:
    bare = server(**versions(driver=None), chips={"program": None, "chips": [], "boards": []}, kernels=None, hccn=None)
    software = inside(**versions(mindspore="2.7.2", mindformers="1.8.0", driver=None, cann=None), devices=[])
    findings = check_node(facts(server_says=bare, inside_says=software, telechat_device_target="CPU"))
    assert findings["chips"].status is Status.NOT_SEEN
    assert findings["matrix"] == Finding(Status.OK, "MindSpore 2.7.2, MindFormers 1.8.0 are on the matrix")
    assert all(found.status in (Status.OK, Status.NOT_SEEN, Status.WARN) for found in findings.values())


def test_a_job_that_runs_is_no_ill() -> None:
    assert finding("jobs", facts(inside_says=inside(jobs={"lease": LEASE}))) == Finding(Status.OK, "lin runs a-1")


def test_without_a_container_jobs_run_on_the_server() -> None:
    assert finding("container", facts(telechat_container_name="")).detail == "none: jobs run on the server itself"


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps("x")])
def test_a_record_of_a_verification_that_cannot_be_read_is_none(text: str) -> None:
    found = facts(inside_says=inside(probe={"read": {"/x": text}}))
    assert finding("verified", found).detail == "never passed"
