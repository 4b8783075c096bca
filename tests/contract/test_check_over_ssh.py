# SPDX-License-Identifier: Apache-2.0
"""`telechat-run check` on two nodes over SSH; the interpreter's mindspore and mindformers are stand-ins."""

from __future__ import annotations

import json
import os
from typing import Any, Dict

import pytest

from tests.contract.test_job_over_ssh import Cluster, cluster

__all__ = ["cluster"]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="PID namespaces need root")
MINDSPORE = """\
import os
def run_check():
    print("MindSpore version:  2.4.0")
    print("MindSpore has been installed on platform [Ascend] successfully!")
"""
MINDFORMERS = """\
import os, socket, sys, time
def run_check():
    if os.environ.get("HANGS") and "root1" in os.getcwd():
        time.sleep(100)
    if os.environ.get("BROKEN") and "root1" in os.getcwd():
        print("Predict test failed!", file=sys.stderr)
    print("The installed software are unmatched but all checks passed in 12 seconds", file=sys.stderr)
"""


@pytest.fixture
def stack(cluster: Cluster) -> Cluster:
    (cluster.folder / "tree" / "mindspore.py").write_text(MINDSPORE)
    (cluster.folder / "tree" / "mindformers.py").write_text(MINDFORMERS)
    cluster.variables["telechat_device_target"] = "Ascend"
    return cluster


def verdicts(cluster: Cluster, code: int, *words: str, **env: str) -> Dict[str, Any]:
    done = cluster.run("check", "--json", *words, **env)
    assert done.returncode == code, done.stderr
    return dict(json.loads(done.stdout)["nodes"])


def test_both_checks_on_both_nodes(stack: Cluster) -> None:
    done = stack.run("check")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        line
        for node in ("node0", "node1")
        for line in (
            f"ok    {node}  mindspore    MindSpore 2.4.0 on Ascend",
            f"ok    {node}  mindformers  all checks passed; MindFormers does not know this pair of versions",
        )
    ]


def test_a_failure_on_one_node_does_not_hide_the_other(stack: Cluster) -> None:
    found = verdicts(stack, 1, BROKEN="1")
    assert found["node0"]["mindformers"]["ok"] is True
    assert found["node1"]["mindspore"]["ok"] is True
    assert found["node1"]["mindformers"]["detail"] == "mindformers.run_check() failed: Predict test failed!"


def test_a_check_that_hangs_is_a_failure(stack: Cluster) -> None:
    found = verdicts(stack, 1, "--timeout", "3", HANGS="1")
    assert found["node1"]["mindformers"] == {"ok": False, "detail": "no result after 3 s"}
    assert found["node0"]["mindformers"]["ok"] is True


def test_a_node_that_gives_no_verdict_has_not_passed(stack: Cluster) -> None:
    (stack.folder / "bin" / "python3").write_text(
        '#!/bin/sh\n[ "$1" = -c ] && echo 3.11 && exit 0\necho gone; exit 7\n'
    )
    found = stack.run("check", "--json")
    assert found.returncode != 0
    assert '"ok": true' not in found.stdout
