# SPDX-License-Identifier: Apache-2.0
"""What breaks jobs of days, on two real servers: what the user sees, how long it takes until all is stopped or running
again, what is lost. Every test writes its row of the table in docs/reliability.md (tests/lab/chaos_table.py)."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.chaos import (
    CLOCK_FILE,
    CLOCK_LIBRARY,
    HOSTS,
    SAVE_EVERY,
    Foreground,
    Row,
    Training,
    assert_nothing_left,
    ended,
    start,
    training_options,
    wait_until,
)
from tests.lab.site import AT_WORK, ROOT, Site, new_site

pytestmark = pytest.mark.lab

NAME = "chaos"
RESTARTS = ("--max-restarts", "2", "--restart-pause", "1")
SHARED = "/mnt/shared"
SSHD_SECONDS = 20
SHORT_CUT_SECONDS = 8


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two servers that are ready for jobs, their driver and firmware installed before."""
    library = tmp_path_factory.mktemp("clock") / CLOCK_LIBRARY
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O2", "-o", library, ROOT / "tests/lab/clock_shift.c", "-ldl"], check=True
    )
    with new_site(NAME, "--hosts", "2", "--chips", "1", "--off") as site:
        site.lab("state", *HOSTS, "same")
        for host in HOSTS:
            data = site.state / "hosts" / host / "upper" / "data03"
            data.mkdir(exist_ok=True)
            (data / CLOCK_LIBRARY).write_bytes(library.read_bytes())
            (data / CLOCK_FILE).write_text("0")
        decide(site)
        ready = site.play("site.yml")
        assert ready.returncode == 0, ready.stdout[-6000:] + ready.stderr
        yield site


def decide(site: Site) -> None:
    """Let the site have shared storage, clocks in the containers that can be moved, and steps that take their time."""
    with site.deciding() as variables:
        variables["telechat_env"].update(AT_WORK)
        variables["telechat_container_env"] = {
            "LD_PRELOAD": f"/mnt/model/{CLOCK_LIBRARY}",
            "CLOCK_SHIFT_FILE": f"/mnt/model/{CLOCK_FILE}",
        }
        variables["telechat_container_extra_mounts"].append({"source": SHARED, "target": SHARED})
        variables["telechat_shared_paths"] = [SHARED]


@pytest.fixture(scope="module")
def library(site: Site) -> Path:
    """The library that shifts the clock of a process of the control side."""
    return site.state / "hosts" / "node0" / "upper" / "data03" / CLOCK_LIBRARY


def stopped_after(row: Row, training: Training, broke: Callable[[], object]) -> dict[str, str]:
    """Break something, wait until the job has ended on both servers, return each one's state."""
    began = time.monotonic()
    broke()
    states = training.wait_for_end()
    row.measured("stopped everywhere", began)
    return {host: str(state["state"]) for host, state in states.items()}


def lost_steps(row: Row, before: Training) -> None:
    """Note the work since the last checkpoint that a resumption would do again."""
    last = before.step()
    row.lost = f"{last % SAVE_EVERY} of {last} steps (a checkpoint every {SAVE_EVERY})"


def test_a_worker_is_killed(site: Site) -> None:
    row = Row("worker", "a worker on node1 (SIGKILL)", "`rank 1 was killed by SIGKILL`, known as killed")
    training = start(site)
    states = stopped_after(
        row, training, lambda: training.kill("node1", training.pid("node1", role="MS_WORKER", rank=1))
    )
    assert states == {"node0": "STOPPED", "node1": "FAILED"}
    report = training.report()
    assert (report["first_failure"], report["known_error"]["name"]) == ("node1", "killed")
    assert report["nodes"][1]["failed_rank"] == 1
    assert "rank 1 was killed by SIGKILL" in report["nodes"][1]["reason"]
    assert report["nodes"][0]["reason"].startswith("node1 failed: rank 1 was killed by SIGKILL")
    assert_nothing_left(site)
    lost_steps(row, training)
    row.write()


def test_msrun_is_killed(site: Site) -> None:
    row = Row("msrun", "msrun on node1 (SIGKILL), which leaves its workers running", "`msrun was killed by SIGKILL`")
    training = start(site)
    msrun = next(line.split()[0] for line in site.job_processes("node1") if "--node_rank=1" in line)
    states = stopped_after(row, training, lambda: site.on("node1", "kill", "-9", msrun))
    assert states == {"node0": "STOPPED", "node1": "FAILED"}
    assert training.state("node1")["reason"].startswith("msrun was killed by SIGKILL")
    assert_nothing_left(site)
    lost_steps(row, training)
    row.write()


def test_the_scheduler_is_killed(site: Site) -> None:
    row = Row("scheduler", "msrun's scheduler on node0 (SIGKILL)", "`the scheduler: killed by SIGKILL`")
    training = start(site)
    states = stopped_after(row, training, lambda: training.kill("node0", training.pid("node0", role="MS_SCHED")))
    # Whether node1's worker misses its scheduler before it hears of node0's end is a matter of chance.
    assert states["node0"] == "FAILED"
    report = training.report()
    assert report["first_failure"] == "node0"
    assert "the scheduler" in report["nodes"][0]["reason"]
    assert_nothing_left(site)
    lost_steps(row, training)
    row.write()


@pytest.mark.parametrize("host", HOSTS)
def test_a_supervisor_is_killed(site: Site, host: str) -> None:
    row = Row(
        f"supervisor-{host}", f"the job's supervisor on {host} (SIGKILL)", "`its supervisor was killed`, node lost"
    )
    training = start(site)
    supervisor = str(training.state(host)["supervisor"]["pid"])
    states = stopped_after(row, training, lambda: training.kill(host, supervisor))
    assert states[host] == "FAILED"
    report = training.report()
    assert (report["first_failure"], report["known_error"]["name"]) == (host, "node lost")
    assert training.state(host)["reason"] == "its supervisor was killed"
    assert_nothing_left(site)
    lost_steps(row, training)
    row.write()


def goes_on_by_itself(site: Site, row: Row, broke: Callable[[], object]) -> None:
    """Break something under a watched job that may be begun again; check that it trains on from a whole step."""
    with ended(Foreground(site, row.name, *RESTARTS)) as watched:
        first = watched.training()
        first.wait_for_step(SAVE_EVERY + 2)
        began = time.monotonic()
        broke()
        second = watched.training(1)
        row.measured("trains again", began)
        last, resumed = first.step(), second.resumed_from()
        assert resumed > 0
        assert resumed % SAVE_EVERY == 0
        row.lost = f"{last - resumed} of {last} steps (a checkpoint every {SAVE_EVERY})"
        watched.process.send_signal(signal.SIGINT)
        assert watched.wait() == 130
    assert "restart 1 of 2 in 1 s, after: node1: " in watched.log.read_text()
    assert_nothing_left(site)
    row.write()


def test_a_container_is_restarted(site: Site) -> None:
    row = Row("container", "the container on node1 (docker restart)", "node lost; `restart 1 of 2`, goes on by itself")
    goes_on_by_itself(site, row, lambda: site.on("node1", "docker", "restart", "-t", "0", "telechat"))


def test_a_server_loses_its_power(site: Site) -> None:
    row = Row("power", "node1 loses its power, and boots again", "node lost; `restart 1 of 2`, goes on by itself")
    goes_on_by_itself(site, row, lambda: site.lab("power", "node1", "cut"))


def test_a_link_stays_cut(site: Site) -> None:
    row = Row("link", "node1's network cable, for good",
              "`node1 has given no sign of life for 15 s`; node1 ends its own part the same way")  # fmt: skip
    training = start(site)
    try:
        states = stopped_after(row, training, lambda: site.lab("link", "node1", "down"))
        assert states == {"node0": "STOPPED", "node1": "STOPPED"}
        assert training.state("node0")["reason"] == "node1 has given no sign of life for 15 s"
        # A little less when MindSpore misses its scheduler before the supervisor has given up rank 0's.
        assert re.fullmatch(r"node0 has given no sign of life for 1\d s", training.state("node1")["reason"])
    finally:
        site.lab("link", "node1", "up")
    report = training.report()
    assert report["first_failure"] in HOSTS
    assert report["known_error"]["name"] == "node lost"
    assert_nothing_left(site)
    lost_steps(row, training)
    row.write()


def test_what_a_job_lives_through(site: Site, library: Path) -> None:
    """One job after another trouble: each has to leave it training, and none of its log's lines missing or twice."""
    shift = site.state / "control-clock"
    shift.write_text("0")
    env = {"LD_PRELOAD": str(library), "CLOCK_SHIFT_FILE": str(shift)}
    with ended(Foreground(site, "lives", env=env)) as watched:
        training = watched.training()
        for row, trouble in troubles(site, shift):
            began = time.monotonic()
            trouble(watched)
            reached = training.step()
            training.wait_for_step(reached + 3)
            row.measured("over, and training", began)
            row.lost = "nothing"
            assert watched.process.poll() is None, watched.log.read_text()[-3000:]
            row.write()
        assert_every_line_came_once(watched, training)

        row = Row("control", "the watching `telechat-run` (SIGKILL)", "the job runs on; `attach` watches it again")
        began = time.monotonic()
        watched.process.kill()
        watched.process.wait()
        reached = training.step()
        training.wait_for_step(reached + 3)
        row.measured("trains on", began)
        argv = site.telechat_argv("attach", training.job_id)
        with subprocess.Popen(argv, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as attached:
            assert attached.stdout is not None
            assert any("progress: step" in line for line in attached.stdout)
            attached.send_signal(signal.SIGINT)
            assert attached.wait(timeout=60) == 130
        row.lost = "nothing"
        assert training.state("node0")["state"] == "RUNNING"
        stopped = site.telechat("stop", training.job_id)
        assert stopped.returncode == 0, stopped.stderr
        row.write()
    assert_nothing_left(site)


def troubles(site: Site, shift: Path) -> Iterator[tuple[Row, Callable[[Foreground], object]]]:
    """Yield what a job has to live through, and what its user sees meanwhile."""

    def sshd(watched: Foreground) -> None:
        script = f"systemctl stop ssh; pkill -KILL -x sshd; sleep {SSHD_SECONDS}; systemctl start ssh"
        site.on("node1", "systemd-run", "--collect", "--unit=no-sshd", "sh", "-c", script)
        watched.wait_for("node1 has not been heard for 15 s; the job goes on, looking for it")
        watched.wait_for("node1 is heard again")

    yield (
        Row(
            "sshd", f"sshd on node1, gone for {SSHD_SECONDS} s", "`node1 has not been heard for 15 s`, `is heard again`"
        ),
        sshd,
    )

    def dockerd(_watched: Foreground) -> None:
        site.on("node1", "systemctl", "kill", "--signal=KILL", "docker")
        site.on("node1", "sh", "-c", "until systemctl --quiet is-active docker; do sleep 0.2; done")

    yield Row("dockerd", "dockerd on node1 (SIGKILL)", "nothing, or `is heard again`"), dockerd

    def short_cut(_watched: Foreground) -> None:
        site.lab("link", "node1", "down")
        time.sleep(SHORT_CUT_SECONDS)
        site.lab("link", "node1", "up")

    yield Row("short-cut", f"node1's network cable, for {SHORT_CUT_SECONDS} s", "the log pauses"), short_cut

    def poor_link(_watched: Foreground) -> None:
        site.lab("link", "node1", "up", "--delay", "200", "--loss", "5")
        time.sleep(SHORT_CUT_SECONDS)
        site.lab("link", "node1", "up")

    yield Row("poor-link", "node1's link: 200 ms delay and 5 % loss each way, for 8 s", "slower steps"), poor_link

    def control_clock(_watched: Foreground) -> None:
        for seconds in ("7200", "0"):
            shift.write_text(seconds)
            time.sleep(SHORT_CUT_SECONDS / 2)

    yield Row("control-clock", "the control machine's clock: two hours ahead, and back", "nothing"), control_clock


def assert_every_line_came_once(watched: Foreground, training: Training) -> None:
    """Check that what was shown of the last rank is what its log holds, from its first line on."""
    mark = "[node1 rank1] "
    shown = [line[len(mark) :] for line in watched.log.read_text().splitlines() if line.startswith(mark)]
    written = (training.folder("node1") / "logs" / "worker_1.log").read_text(errors="replace").splitlines()
    assert len(shown) > 100
    assert shown == written[: len(shown)]


def test_a_disk_is_full(site: Site) -> None:
    row = Row(
        "disk", "the disk of node1's job root: full", "`No space left on device`, known as disk full; not begun again"
    )
    root = "/var/lib/telechat/jobs"
    swap = ("docker stop -t 0 telechat", f"mount -t tmpfs -o size=1200m tmpfs {root}", "docker start telechat")
    site.on("node1", "sh", "-ec", "; ".join(swap))
    try:
        with ended(Foreground(site, row.name, *RESTARTS)) as watched:
            training = watched.training()
            began = time.monotonic()
            site.on(
                "node1",
                "sh",
                "-c",
                f"fallocate -l 2G {root}/full 2>/dev/null || dd if=/dev/zero of={root}/full bs=1M 2>/dev/null; true",
            )
            assert watched.wait() == 1
            row.measured("stopped everywhere", began)
            said = watched.log.read_text()
            assert "known as  disk full" in said
            assert len(watched.jobs()) == 1
            assert training.state("node0")["state"] == "STOPPED"
            assert site.job_processes("node1") == []
            lost_steps(row, training)
            row.write()
    finally:
        back = ("docker stop -t 0 telechat", f"umount {root}", "docker start telechat")
        site.on("node1", "sh", "-ec", "; ".join(back))
    assert_nothing_left(site)


def test_the_nodes_clocks_jump(site: Site) -> None:
    """MindSpore's heartbeats go by the time of day: the job lives through it, or is begun again by itself."""
    row = Row(
        "node-clock",
        "the nodes' clocks: two hours ahead",
        "nothing, or `killed by SIGTERM` (MindSpore ends its own workers) and `restart 1 of 2`",
    )

    def set_clocks(seconds: int) -> None:
        for host in HOSTS:
            site.on(host, "sh", "-c", f"echo {seconds} >/data03/{CLOCK_FILE}")

    try:
        with ended(Foreground(site, row.name, *RESTARTS)) as watched:
            first = watched.training()
            first.wait_for_step(SAVE_EVERY + 2)
            began = time.monotonic()
            set_clocks(7200)
            goal, last = first.step() + 3 * SAVE_EVERY, first.step()
            wait_until(lambda: first.step() >= goal or len(watched.jobs()) > 1, "the job neither lives nor goes on")
            if len(watched.jobs()) > 1:
                last, resumed = first.step(), watched.training(1).resumed_from()
                assert resumed > 0
                assert resumed % SAVE_EVERY == 0
                row.lost = f"{last - resumed} of {last} steps (a checkpoint every {SAVE_EVERY})"
            else:
                row.lost = "nothing"
            row.measured("trains", began)
            watched.process.send_signal(signal.SIGINT)
            assert watched.wait() == 130
    finally:
        set_clocks(0)
    assert_nothing_left(site)
    row.write()


def test_two_users_start_at_the_same_moment(site: Site) -> None:
    row = Row(
        "two-users", "two users start a job at the same moment", "one runs; the other reads `busy: NAME runs job …`"
    )
    argv = site.telechat_argv("finetune", *training_options(site, "--detach", "--json"))
    began = time.monotonic()
    users = [
        subprocess.Popen(
            argv, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    said = [user.communicate(timeout=120) for user in users]
    row.measured("decided", began)
    assert sorted(user.returncode for user in users) == [0, 5]
    loser = next(stderr for user, (_, stderr) in zip(users, said, strict=True) if user.returncode == 5)
    winner = next(
        json.loads(stdout)["job_id"] for user, (stdout, _) in zip(users, said, strict=True) if not user.returncode
    )
    assert "busy: " in loser
    states = {host: Training(site, winner).state(host)["state"] for host in HOSTS}
    assert states == {"node0": "RUNNING", "node1": "RUNNING"}
    assert site.telechat("stop", winner).returncode == 0
    assert_nothing_left(site)
    row.lost = "nothing"
    row.write()


def test_starts_and_stops_leave_nothing(site: Site) -> None:
    """CHAOS_CYCLES says how many; CI's five have each moment and both ways to stop once."""
    cycles = int(os.environ.get("CHAOS_CYCLES", "5"))
    row = Row(
        "cycles",
        f"{cycles} times: start on both nodes, stop at some moment",
        "each stop proves that no process is left",
    )
    began = time.monotonic()
    for cycle in range(cycles):
        done = site.telechat("finetune", *training_options(site, "--detach", "--json"))
        assert done.returncode == 0, done.stderr
        time.sleep((cycle % 5) * 0.7)
        stopped = site.telechat("stop", *(["--force"] if cycle % 2 else []), "--json")
        assert stopped.returncode == 0, stopped.stderr
        answers = json.loads(stopped.stdout)["nodes"]
        assert {name: (answer["state"], answer["left"]) for name, answer in answers.items()} == {
            host: ("STOPPED", []) for host in HOSTS
        }
    row.measured("all of them", began)
    assert_nothing_left(site)
    row.lost = "nothing"
    row.write()


def test_a_shared_path_is_gone(site: Site) -> None:
    """The last one: only new mounts bring the storage back."""
    row = Row(
        "shared-path",
        f"the storage that both nodes mount at {SHARED} (its folder removed under the mounts)",
        "the failing write, with its path, at the next checkpoint",
    )
    output, storage = f"{SHARED}/output", site.state / "storage"
    training = start(site, "--set", f"output_dir={output}")
    assert any(storage.rglob("*.ckpt")) or any(storage.rglob("*.safetensors"))
    states = stopped_after(row, training, lambda: shutil.rmtree(storage))
    assert "FAILED" in states.values()
    assert output in json.dumps(training.report()["nodes"])
    assert_nothing_left(site)
    lost_steps(row, training)
    row.write()
