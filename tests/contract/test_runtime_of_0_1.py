# SPDX-License-Identifier: Apache-2.0
"""A runtime of telechat-run 0.1 under running jobs: what it answered then, and what it was asked, is still understood.

answered_by_0_1/ holds requests and answers as that release wrote and read them, on one node named node0.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from telechat_runtime.cluster.topology import Cluster, cluster_from_hostvars
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.remote.transport import Result
from tests.support.local_node import LocalNode
from tests.support.published_yaml import PUBLISHED
from tests.support.scripted_cli import run, use_fleet
from tests.support.scripted_transport import ScriptedTransport

ANSWERED = Path(__file__).parent / "answered_by_0_1"
JOB = "week-20260115-080000-00000a"
DOES_NOT_FIT = "node0: its runtime (telechat-run 0.1, protocol 1) does not fit this telechat-run"
NODE = {"ansible_host": "192.0.2.10", "ascend_npu_count": 8, "telechat_container_name": ""}
CLUSTER: Cluster = cluster_from_hostvars("ascend", ["node0"], {"node0": {**NODE, "telechat_device_target": "CPU"}})


def exchange(name: str) -> Dict[str, Any]:
    return dict(json.loads((ANSWERED / f"{name}.json").read_text(encoding="utf-8")))


def answer(name: str) -> Result:
    found = exchange(name)
    text = "".join(f"{json.dumps(document)}\n" for document in found["stdout"])
    return Result(found["exit_code"], text, found.get("stderr", ""))


@pytest.fixture
def node0(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedTransport:
    """Return a node with that runtime, on which a job runs."""
    monkeypatch.setenv("TELECHAT_CACHE", str(tmp_path))
    transport = ScriptedTransport(
        {
            "probe": answer("probe"),
            "status": answer("status_running"),
            "stop": answer("stop"),
            "service": answer("service"),
            "sweep": answer("sweep_clean"),
            "record": lambda request: answer("record_for_a_replay" if request["replay"] else "record"),
            "job-output": answer("job_output"),
            "saved-steps": answer("saved_steps"),
            "checkpoint-info": answer("checkpoint_info"),
            "examine": answer("examine"),
        },
        [json.dumps(event) for event in exchange("watch")["stdout"]],
    )
    use_fleet(monkeypatch, CLUSTER, {"node0": NodeClient(CLUSTER.master, transport)})
    return transport


@pytest.mark.parametrize(
    ("words", "exit_code", "shown"),
    [
        (["nodes"], 0, "in service"),
        (["status"], 0, f"node0  ada@bastion  {JOB}"),
        (["jobs"], 0, "RUNNING"),
        (["logs", JOB], 0, "step"),
        (["attach", JOB], 1, "stopped on request of ada@bastion"),
        (["stop", JOB], 0, "node0: STOPPED, 5 processes ended"),
        (["sweep", "--yes"], 0, "noted as STOPPED"),
        (["show", JOB], 0, "sha256"),
        (["diff", JOB, JOB], 0, "do not differ"),
        (["cordon", "node0", "--reason", "new fan"], 0, "node0: in service"),
    ],
)
def test_a_job_of_that_release_is_watched_stopped_and_recorded(
    node0: ScriptedTransport, words: List[str], exit_code: int, shown: str
) -> None:
    ended = run(*words)
    assert (ended.exit_code, shown in ended.text) == (exit_code, True), ended.text
    assert node0.asked


def test_doctor_examines_that_runtime(node0: ScriptedTransport) -> None:
    found = json.loads(run("doctor", "--json").text)["nodes"]["node0"]
    assert found["jobs"]["detail"] == f"ada@bastion runs {JOB}"
    assert node0.commands() == ["examine"]


@pytest.mark.parametrize(
    "words",
    [
        ["check", "--dry-run"],
        ["replay", JOB, "--dry-run"],
        ["finetune", "--config", "CONFIG", "--dataset", "/data", "--dry-run"],
        ["finetune", "--config", "CONFIG", "--dataset", "/data", "--nodes", "1", "--dry-run"],
    ],
)
def test_no_new_job_starts_on_that_runtime(node0: ScriptedTransport, words: List[str], tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(PUBLISHED["7b"], encoding="utf-8")
    ended = run(*(str(config) if word == "CONFIG" else word for word in words))
    assert ended.exit_code == 4
    assert f"{DOES_NOT_FIT} (0.1.0, protocol 2): new jobs need the same protocol on both sides" in ended.text
    assert "playbooks/runtime.yml" in ended.text
    assert "start" not in node0.commands()


@pytest.mark.parametrize("fault", ["an_unknown_section", "an_unknown_command"])
def test_what_that_runtime_does_not_know_is_a_fault_of_the_runtime(node0: ScriptedTransport, fault: str) -> None:
    node0.answers["status"] = answer(fault)
    ended = run("status")
    assert ended.exit_code == 4
    assert "playbooks/runtime.yml" in ended.text


def test_what_it_refused_is_still_the_refusal(node0: ScriptedTransport) -> None:
    node0.answers["stop"] = answer("stop_of_no_job")
    assert run("stop", JOB).exit_code == 5


@pytest.fixture
def node(tmp_path: Path) -> Iterator[LocalNode]:
    node = LocalNode(tmp_path)
    yield node
    node.clean_up()


def asked(node: LocalNode, name: str, job_id: str, **changes: Any) -> Any:
    """Ask today's runtime what that release asked, about this job in this job root."""
    found = exchange(name)
    text = json.dumps({"request": found["request"], "words": found["words"]})
    text = text.replace(JOB, job_id).replace("/var/lib/telechat", str(node.job_root))
    text = text.replace("/opt/tools", str(node.tools)).replace("/srv", str(node.job_root.parent))
    told = json.loads(text)
    assert "protocol" not in told["request"]
    return node.call(*told["words"], **{**told["request"], **changes})


def test_todays_runtime_serves_a_telechat_run_of_that_release(node: LocalNode) -> None:
    job_id = f"old-{os.getpid()}"
    node.jobs.append(job_id)
    assert asked(node, "probe", job_id).document["port"]["wanted"] == 8118
    assert asked(node, "start", job_id).document["state"] == "RUNNING"
    node.wait_for_log(job_id, "step")
    busy = asked(node, "start_on_a_busy_node", job_id)
    assert (busy.exit_code, "busy: ada@bastion" in busy.error) == (5, True)
    then = exchange("status_running")["stdout"][0]
    now = asked(node, "status_running", job_id).document
    assert set(then) <= set(now)
    assert set(then["jobs"][0]) <= set(now["jobs"][0])
    for name in ("record", "record_for_a_replay", "job_output", "saved_steps", "service", "examine", "examine_pings"):
        told = asked(node, name, job_id)
        assert told.exit_code == 0, told
        assert set(exchange(name)["stdout"][0]) <= set(told.document)
    assert asked(node, "cordon", job_id).document["service"]["reason"] == "new fan"
    assert asked(node, "uncordon", job_id).document["service"] is None
    assert asked(node, "stop", job_id).document["state"] == "STOPPED"
    assert asked(node, "sweep_clean", job_id).document == {"findings": []}
