# SPDX-License-Identifier: Apache-2.0
"""What --verbose shows of a job on two nodes over SSH, and what it never shows."""

from __future__ import annotations

import os
import re

import pytest

from tests.contract.test_job_over_ssh import Cluster, cluster

__all__ = ["cluster"]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="PID namespaces need root")

SECRETS = {
    "OBS_TOKEN": "s3cret-of-the-inventory",
    "AK": "s3cret-of-the-store",
}
PASSWORD, OPTION = "s3cret-of-the-login", "s3cret-of-the-option"


def test_a_jobs_way_to_the_nodes_is_in_the_log_and_no_secret_is(cluster: Cluster) -> None:
    log = cluster.folder / "run.log"
    cluster.variables["ansible_become_password"] = PASSWORD
    # What a node says on stderr is shown: also where it says a secret.
    with (cluster.folder / "runtime.py").open("r+") as runtime:
        text = runtime.read()
        runtime.seek(0)
        runtime.write(f"import sys; sys.stderr.write('warning {SECRETS['OBS_TOKEN']} {PASSWORD}\\n')\n{text}")
    done = cluster.finetune("-vv", "--log-file", str(log), "--env", f"HF_TOKEN={OPTION}", **SECRETS)
    assert done.returncode == 0, done.stderr
    port = cluster.servers[0].port
    for shown in (done.stderr, log.read_text()):
        for secret in (*SECRETS.values(), PASSWORD, OPTION):
            assert secret not in shown
        assert re.search(r"telechat-run\.inventory: run \S+/ansible-inventory --list ", shown)
        assert re.search(r"telechat-run\.inventory: exit code 0 after \d", shown)
        assert f"telechat-run.ssh: root@[127.0.0.1]:{port}: known_hosts: {cluster.folder}/known_hosts, " in shown
        assert f"telechat-run.ssh: root@[127.0.0.1]:{port}: keys: {cluster.folder}/id" in shown
        assert re.search(r"telechat-run\.node: node0 #\d+: run \S+ \S+/runtime\.py node start \(request of \d+", shown)
        assert re.search(r"telechat-run\.node: node1 #\d+: exit code 0 after \d+\.\d\d s", shown)
        assert re.search(r"telechat-run\.node: node0 #\d+: stderr: warning \*{8} \*{8}", shown)
        assert re.search(r"telechat-run\.fanout: .*: 2 calls in 2 threads", shown)
        assert "paramiko.transport: Authentication (publickey) successful!" in shown


def test_one_v_leaves_the_ssh_librarys_log_out(cluster: Cluster) -> None:
    done = cluster.run("status", "-v")
    assert done.returncode == 0, done.stderr
    assert "telechat-run.ssh: " in done.stderr
    assert "paramiko" not in done.stderr
