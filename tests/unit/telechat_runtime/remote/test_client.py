# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from telechat_runtime import PROTOCOL
from telechat_runtime.errors import PreflightError, SpecError, UnreachableError
from telechat_runtime.remote.client import NodeClient
from telechat_runtime.remote.transport import Result
from tests.support.clusters import two_nodes
from tests.support.node_answers import job_part, probe_answer, status_answer, stop_answer
from tests.support.scripted_transport import ScriptedTransport, event_of, log, state

NODE = two_nodes().master


def client(answer: Result) -> NodeClient:
    return NodeClient(NODE, ScriptedTransport({"probe": answer}))


@pytest.mark.parametrize(
    ("stderr", "message", "next_step"),
    [
        (
            "Error response from daemon: No such container: telechat",
            "node0: the container 'telechat' is not running",
            "run site.yml again, or `docker start telechat` on the node",
        ),
        (
            "Error response from daemon: container 0a1b is not running",
            "node0: the container 'telechat' is not running",
            "run site.yml again, or `docker start telechat` on the node",
        ),
        ("Error response from daemon: Container 0a is paused", "node0: the container 'telechat' is not running", ""),
        (
            "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
            "node0: its user may not use Docker",
            "ansible_become: true",
        ),
        ("Cannot connect to the Docker daemon at unix:///x. Is it running?", "node0: Docker is not running", ""),
        ("bash: line 1: docker: command not found", "node0: Docker is not installed", "run site.yml"),
        ("sudo: a password is required", "node0: sudo asks for a password", "without a password"),
        (
            "python3: can't open file '/opt/telechat/telechat-run.pyz': [Errno 2] No such file or directory",
            "node0: the node runtime /opt/telechat/telechat-run.pyz is missing or broken",
            "telechat_runtime",
        ),
        (
            'OCI runtime exec failed: exec: "python3": executable file not found in $PATH: unknown',
            "node0: no interpreter 'python3' (telechat_python)",
            "telechat_python",
        ),
        ("sh: 1: python3: not found", "node0: no interpreter 'python3' (telechat_python)", ""),
    ],
)
def test_why_a_node_does_not_answer(stderr: str, message: str, next_step: str) -> None:
    with pytest.raises(PreflightError) as caught:
        client(Result(1, "", stderr)).probe({})
    assert caught.value.message.startswith(message)
    assert next_step in caught.value.next_step
    assert caught.value.exit_code == 5


def test_an_unknown_reason_is_shown_as_it_is() -> None:
    with pytest.raises(UnreachableError, match="node0: the node runtime ended with exit code 3; it said: b / c / d"):
        client(Result(3, "", "a\nb\nc\nd\n")).probe({})


def test_an_answer_that_is_none() -> None:
    with pytest.raises(UnreachableError, match="exit code 0; it said: nothing"):
        client(Result(0, "Welcome to this server\n", "")).probe({})


def test_the_nodes_own_error_keeps_its_exit_code() -> None:
    with pytest.raises(SpecError, match="node0: no such thing") as caught:
        client(Result(3, '{"error": {"code": 3, "message": "no such thing"}}\n', "")).probe({})
    assert caught.value.exit_code == 3


def test_what_stands_before_the_answer_is_passed_over() -> None:
    text = json.dumps({**probe_answer(hostname="n1"), "protocol": PROTOCOL})
    assert client(Result(0, f"last login: …\n{text}\n", "")).probe({}).hostname == "n1"


def test_watch_yields_events_and_passes_over_other_lines() -> None:
    transport = ScriptedTransport({}, ["a banner", "[1]", log("x"), state("SUCCEEDED", 0)])
    watch = NodeClient(NODE, transport).watch("finetune-1", "/root", ranks=[0], offsets={"worker_0.log": 7}, tail=3)
    assert list(watch.events()) == [event_of(log("x")), event_of(state("SUCCEEDED", 0))]
    assert transport.asked == [
        (
            "watch",
            {
                "job_root": "/root",
                "ranks": [0],
                "offsets": {"worker_0.log": 7},
                "until_eof": True,
                "tail": 3,
                "since": None,
            },
        )
    ]


def test_a_watch_that_fails_says_why() -> None:
    transport = ScriptedTransport({}, [Result(1, "", "Error response from daemon: No such container: telechat")])
    with pytest.raises(PreflightError, match="is not running"):
        list(NodeClient(NODE, transport).watch("finetune-1", "/root", ranks=None).events())


def test_stop_and_status() -> None:
    transport = ScriptedTransport({"stop": stop_answer(), "status": status_answer(job_part())})
    assert NodeClient(NODE, transport).stop("finetune-1", "/root", 5, by="ada@bastion").ended == (7,)
    assert [job.job_id for job in NodeClient(NODE, transport).status().jobs] == ["finetune-1"]
    assert transport.asked == [
        ("stop", {"job_root": "/root", "grace_seconds": 5, "by": "ada@bastion"}),
        ("status", {"job_root": "/var/lib/telechat"}),
    ]
