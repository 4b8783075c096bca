# SPDX-License-Identifier: Apache-2.0
"""Both halves of telechat-run on two nodes, over SSH: two servers in this process that run commands on this machine.

msrun and MindFormers are stand-ins; all between them and the command line is the product. Each node has a PID namespace
of its own, as servers and containers have: a node takes every process with the job's id for its own. That needs root.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List

import asyncssh
import pytest

from tests.support.control_side import telechat_run
from tests.support.ssh_server import Server
from tests.support.this_machine import free_port

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="PID namespaces need root")
ROOT = Path(__file__).parents[2]
WORKER = """\
import os, time
rank = os.environ["RANK_ID"]
print("{ Epoch:[  1/  1], step:[    1/    1], loss:[7.5/7.5], per_step_time: 91ms, lr: 0.001")
print("I am rank", rank, flush=True)
if os.environ.get("FAILING_RANK") == rank:
    raise RuntimeError("chip on fire")
time.sleep(float(os.environ.get("LINGER", "0")))
"""


class Cluster:
    def __init__(self, folder: Path, servers: List[Server]) -> None:
        self.folder = folder
        self.servers = servers
        self.variables: Dict[str, Any] = {
            "ansible_host": "127.0.0.1",
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(folder / "id"),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={folder}/known_hosts",
            "ascend_node_addr": "127.0.0.1",
            "ascend_npu_count": 2,
            "telechat_container_name": "",
            "telechat_runtime_path": str(folder / "runtime.py"),
            "telechat_python": str(folder / "bin" / "python3"),
            "telechat_tree": str(folder / "tree"),
            "telechat_device_target": "CPU",
            # All clusters are this one machine, and several tests may run at once.
            "telechat_master_port": free_port(),
        }

    def prepare(self) -> None:
        for name in ("bin", "tree", "data", "home"):
            (self.folder / name).mkdir()
        (self.folder / "tree" / "run_mindformer.py").write_text(WORKER)
        (self.folder / "config.yaml").write_text("train_dataset: {data_loader: {dataset_dir: ''}}\n")
        (self.folder / "runtime.py").write_text(
            f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom telechat_runtime.__main__ import main\nmain()\n"
        )
        stand_in = (ROOT / "tests/support/msrun_stand_in.py").read_text()
        (self.folder / "bin" / "msrun").write_text(f"#!{sys.executable}\n{stand_in}")
        (self.folder / "bin" / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        for name in ("msrun", "python3"):
            (self.folder / "bin" / name).chmod(0o755)
        (self.folder / "known_hosts").write_text("".join(server.known_hosts_line() for server in self.servers))

    def begin(self, command: str, *words: str, **env: str) -> subprocess.Popen[str]:
        """Start a command without waiting for its end."""
        hosts = {
            f"node{index}": {"ansible_port": server.port, "telechat_job_root": str(self.folder / f"root{index}")}
            for index, server in enumerate(self.servers)
        }
        document = {"ascend": {"hosts": hosts, "vars": {**self.variables, "telechat_env": env}}}
        (self.folder / "hosts.yml").write_text(json.dumps(document))
        return subprocess.Popen(
            [*telechat_run(), command, "-i", str(self.folder / "hosts.yml"), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder / "home")},
        )

    def run(self, command: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        with self.begin(command, *words, **env) as process:
            try:
                out, err = process.communicate(timeout=120)
            finally:
                process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def finetune(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.run(
            "finetune", "--config", f"{self.folder}/config.yaml", "--dataset", f"{self.folder}/data", *words, **env
        )

    def workers(self) -> List[str]:
        wanted = str(self.folder / "tree" / "run_mindformer.py").encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if wanted in entry.read_bytes().split(b"\0"):
                    found.append(entry.parent.name)
        return found


@contextlib.contextmanager
def pid_namespace() -> Iterator[List[str]]:
    """Yield the words that put a command into a PID namespace of its own, and end all that runs in it."""
    keeper = subprocess.Popen(["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sleep", "infinity"])
    try:
        deadline = time.monotonic() + 60
        children = Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children")
        while not children.read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        init = children.read_text().strip()
        while Path(f"/proc/{init}/comm").read_text() != "sleep\n" and time.monotonic() < deadline:
            time.sleep(0.01)
        yield ["nsenter", f"--target={init}", "--pid", "--mount"]
    finally:
        keeper.kill()
        keeper.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(tmp_path / "id")
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Server(tmp_path, key).running()) for _ in range(2)]
        for server in servers:
            server.prefix = stack.enter_context(pid_namespace())
        found = Cluster(tmp_path, servers)
        found.prepare()
        yield found


def test_a_job_on_two_nodes(cluster: Cluster) -> None:
    done = cluster.finetune()
    assert done.returncode == 0, done.stderr
    assert "[node0 rank0] I am rank 0" in done.stdout
    assert "[node1 rank3] I am rank 3" in done.stdout
    assert "I am rank 1" not in done.stdout
    assert "node0     SUCCEEDED" in done.stdout
    assert "node1     SUCCEEDED" in done.stdout


def test_all_ranks_of_a_limited_cluster(cluster: Cluster) -> None:
    done = cluster.finetune("--limit", "node1", "--all-ranks")
    assert done.returncode == 0, done.stderr
    assert "[node1 rank0] I am rank 0" in done.stdout
    assert "[node1 rank1] I am rank 1" in done.stdout
    assert not (cluster.folder / "root0").exists()


def test_the_first_failure_stops_the_other_node(cluster: Cluster) -> None:
    done = cluster.finetune("--json", FAILING_RANK="2", LINGER="100")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert (report["first_failure"], report["nodes"][0]["state"]) == ("node1", "STOPPED")
    assert report["nodes"][1]["failed_rank"] == 2
    assert report["nodes"][1]["last_lines"][-1] == "RuntimeError: chip on fire"
    assert cluster.workers() == []


def test_a_detached_job_is_stopped_by_its_nodes_when_one_fails_and_attach_tells_it(cluster: Cluster) -> None:
    started = cluster.finetune("--detach", "--json", FAILING_RANK="2", LINGER="100")
    assert started.returncode == 0, started.stderr
    job_id = json.loads(started.stdout)["job_id"]
    states = [cluster.folder / f"root{index}" / "jobs" / job_id / "state.json" for index in (0, 1)]
    deadline = time.monotonic() + 60
    while any(json.loads(state.read_text())["state"] == "RUNNING" for state in states):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert cluster.workers() == []
    first, second = (json.loads(state.read_text()) for state in states)
    assert (second["state"], second["failed_rank"], second["cause"]) == ("FAILED", 2, "")
    assert (first["state"], first["cause"]) == ("STOPPED", "node1")
    assert first["reason"] == "node1 failed: rank 2: RuntimeError: chip on fire"
    attached = cluster.run("attach", job_id, "--json")
    report = json.loads(attached.stdout)
    assert attached.returncode == 1
    assert (report["state"], report["first_failure"]) == ("FAILED", "node1")
    assert report["nodes"][1]["last_lines"][-1] == "RuntimeError: chip on fire"
    listed = cluster.run("jobs")
    assert listed.returncode == 0
    assert [line.split()[:2] for line in listed.stdout.splitlines()[1:]] == [[job_id, "finetune"]]
    assert "FAILED" in listed.stdout
    assert "t0ken" not in (cluster.folder / "root0" / "jobs" / job_id / "record.json").read_text()


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_supervisor_ends_a_detached_job_on_both_nodes(cluster: Cluster, killed: int) -> None:
    job_id = json.loads(cluster.finetune("--detach", "--json", LINGER="600").stdout)["job_id"]
    states = [cluster.folder / f"root{index}" / "jobs" / job_id / "state.json" for index in (0, 1)]
    supervisor = json.loads(states[killed].read_text())["supervisor"]["pid"]
    subprocess.run([*cluster.servers[killed].prefix, "kill", "-9", str(supervisor)], check=True)
    attached = cluster.run("attach", job_id, "--json")
    report = json.loads(attached.stdout)
    assert attached.returncode == 1
    assert (report["state"], report["first_failure"]) == ("FAILED", f"node{killed}")
    reasons = [node["reason"] for node in report["nodes"]]
    assert reasons[killed] == "its supervisor was killed"
    assert reasons[1 - killed] == f"node{killed} failed: its supervisor was killed"
    assert cluster.workers() == []


def test_attach_tells_of_every_node_of_the_job(cluster: Cluster) -> None:
    job_id = json.loads(cluster.finetune("--detach", "--json", LINGER="100").stdout)["job_id"]
    stopped = cluster.run("stop", "--limit", "node1", "--force")
    assert stopped.returncode == 0, stopped.stderr
    attached = cluster.run("attach", job_id, "--limit", "node1")
    assert attached.returncode == 1
    assert "node0     STOPPED (exit code -15): node1 stopped on request of " in attached.stdout
    assert cluster.workers() == []


def test_a_changed_host_key_starts_nothing_anywhere(cluster: Cluster) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    first, second = cluster.servers
    (cluster.folder / "known_hosts").write_text(first.known_hosts_line() + second.known_hosts_line(other))
    done = cluster.finetune()
    assert done.returncode == 4
    assert "node1: root@" in done.stderr
    assert "the host key has changed" in done.stderr
    assert second.commands == []
    assert not (cluster.folder / "root0").exists()


def test_an_unreachable_node_starts_nothing_anywhere(cluster: Cluster) -> None:
    cluster.variables["ansible_host"] = "no-such-host.invalid"
    done = cluster.finetune()
    assert done.returncode == 4
    assert "node0: " in done.stderr
    assert "node1: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_node_without_the_runtime(cluster: Cluster) -> None:
    (cluster.folder / "runtime.py").unlink()
    done = cluster.finetune()
    assert done.returncode == 5
    assert f"node1: the node runtime {cluster.folder}/runtime.py is missing or broken" in done.stderr


def test_a_container_that_does_not_run_is_named_with_its_node(cluster: Cluster) -> None:
    docker = cluster.folder / "bin" / "docker"
    docker.write_text('#!/bin/sh\necho "Error response from daemon: No such container: $3" >&2; exit 1\n')
    docker.chmod(0o755)
    sudo = cluster.folder / "bin" / "sudo"
    sudo.write_text(f'#!/bin/sh\nshift; PATH={cluster.folder}/bin:$PATH exec "$@"\n')
    sudo.chmod(0o755)
    cluster.variables.update({"telechat_container_name": "telechat", "ansible_become": True})
    for server in cluster.servers:
        server.path = str(cluster.folder / "bin")
    done = cluster.finetune()
    assert done.returncode == 5
    assert "node0: the container 'telechat' is not running" in done.stderr
    assert "node1: the container 'telechat' is not running" in done.stderr
    assert cluster.servers[0].commands[0].startswith("sudo -n docker exec -i telechat ")


def test_status_of_two_nodes_and_of_one_that_is_gone(cluster: Cluster) -> None:
    cluster.finetune()
    shutil.rmtree(cluster.folder / "root1")
    done = cluster.run("status")
    assert done.returncode == 0
    assert "node0=SUCCEEDED" in done.stdout
    (cluster.folder / "known_hosts").write_text(cluster.servers[0].known_hosts_line())
    done = cluster.run("status")
    assert done.returncode == 4
    assert "node1  no answer" in done.stdout
    assert "node1: root@" in done.stderr


def test_sweep_finds_and_removes_what_a_lost_job_leaves(cluster: Cluster) -> None:
    job_id = json.loads(cluster.finetune("--detach", "--json", LINGER="600").stdout)["job_id"]
    for index, server in enumerate(cluster.servers):
        state = json.loads((cluster.folder / f"root{index}" / "jobs" / job_id / "state.json").read_text())
        supervisor = state["supervisor"]["pid"]
        kill = f"kill -9 $(cat /proc/{supervisor}/task/{supervisor}/children | cut -d' ' -f1) {supervisor}"
        subprocess.run([*server.prefix, "sh", "-c", kill], check=True)
    found = cluster.run("sweep")
    assert found.returncode == 1
    assert [line.split()[:3] for line in found.stdout.splitlines()[1:]] == [
        [node, *what]
        for node in ("node0", "node1")
        for what in (["processes", job_id], ["lease", job_id], ["lost", "job"])
    ]
    assert len(cluster.workers()) >= 4, "a look changes nothing"
    assert cluster.run("sweep", "--reset-chips").returncode == 2
    swept = cluster.run("sweep", "--yes")
    assert swept.returncode == 0, swept.stdout + swept.stderr
    assert cluster.workers() == []
    clean = cluster.run("sweep", "--json")
    assert (clean.returncode, json.loads(clean.stdout)["left"]) == (0, 0)
