# SPDX-License-Identifier: Apache-2.0
"""The roles above the HDK on one server with a real engine: what they change, what they leave alone or refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.site import BIN, Site, eventually, flat, new_site, recap, run

pytestmark = pytest.mark.lab

HOST = "node0"
PLAY = "playbooks/container.yml"
HOLD_THE_LEASE = """
import fcntl, json, os, time
lease = open("/var/lib/telechat/lease.json", "w+")
json.dump({"job_id": "20260101-1", "owner": "lin", "since": "10:00"}, lease)
lease.flush()
fcntl.flock(lease, fcntl.LOCK_EX)
if os.fork() == 0:
    os.setsid()
    for number in range(3):
        os.close(number)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One server with driver, firmware and the stack."""
    with new_site("stack-test", "--hosts", "1", "--chips", "2") as site:
        result = site.play("site.yml")
        assert result.returncode == 0, result.stdout[-6000:] + result.stderr
        yield site


@pytest.fixture
def _put_back(site: Site) -> Iterator[None]:
    """Bring the server back to the site's own wishes after a test that leaves it with others."""
    yield
    result = site.play("site.yml")
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr


def wished(**variables: object) -> tuple[str, ...]:
    return ("-e", json.dumps(variables))


def container_id(site: Site) -> str:
    return site.on(HOST, "docker", "inspect", "--format", "{{.Id}} {{.State.Running}}", "telechat").strip()


def refusal(site: Site, *options: str) -> str:
    """Run the play, expect it to fail without a change, return what it said."""
    before = container_id(site)
    result = site.play(PLAY, *options)
    assert result.returncode != 0, result.stdout
    assert recap(result)[HOST].changed == 0
    assert container_id(site) == before
    return flat(result.stdout + result.stderr)


def test_nothing_is_left_to_do(site: Site) -> None:
    result = site.play("site.yml")
    assert recap(result)[HOST].changed == 0


def test_container_has_the_chips_and_no_privileges(site: Site) -> None:
    devices = site.on(HOST, "docker", "exec", "telechat", "sh", "-c", "ls /dev/davinci[0-9]* /dev/davinci_manager")
    assert devices.split() == ["/dev/davinci0", "/dev/davinci1", "/dev/davinci_manager"]
    assert site.on(HOST, "docker", "inspect", "--format", "{{.HostConfig.Privileged}}", "telechat").strip() == "false"
    limits = json.loads(site.on(HOST, "docker", "inspect", "--format", "{{json .HostConfig.Ulimits}}", "telechat"))
    assert {limit["Name"]: limit["Hard"] for limit in limits} == {"memlock": -1, "nofile": 1048576}
    assert "2 chips OK" in site.on(HOST, "cat", "/var/lib/telechat/verified.json")


def test_own_name_resolves_in_the_container(site: Site) -> None:
    program = "import socket; print(socket.gethostbyname(socket.gethostname()))"
    answer = site.on(HOST, "docker", "exec", "telechat", "/opt/mindspore-env/bin/python", "-c", program)
    assert answer.strip() == "10.77.0.11"


def test_check_mode_shows_the_drift_and_changes_nothing(site: Site) -> None:
    before = container_id(site)
    result = site.play(PLAY, "--check", "--diff", *wished(telechat_container_env={"LEVEL": "3"}))
    assert result.returncode == 0, result.stdout
    assert recap(result)[HOST].changed == 1
    assert '+    "LEVEL": "3"' in result.stdout
    assert container_id(site) == before


@pytest.mark.usefixtures("_put_back")
def test_drift_makes_the_container_anew(site: Site) -> None:
    before = container_id(site)
    result = site.play(PLAY, *wished(telechat_container_env={"LEVEL": "3"}))
    assert recap(result)[HOST].changed == 1, result.stdout
    assert container_id(site) != before
    assert site.on(HOST, "docker", "exec", "telechat", "printenv", "LEVEL").strip() == "3"


def test_stopped_container_is_started_and_not_made_anew(site: Site) -> None:
    before = container_id(site)
    site.on(HOST, "docker", "stop", "telechat")
    result = site.play(PLAY)
    assert recap(result)[HOST].changed == 1, result.stdout
    assert container_id(site) == before


def test_running_job_keeps_its_container(site: Site) -> None:
    holder = ("docker", "exec", "telechat", "/opt/mindspore-env/bin/python", "-c", HOLD_THE_LEASE)
    site.on(HOST, *holder)
    said = refusal(site, *wished(telechat_container_env={"LEVEL": "3"}))
    assert "job 20260101-1 of lin since 10:00 runs in container telechat" in said
    site.on(HOST, "docker", "restart", "--time", "1", "telechat")
    site.on(HOST, "rm", "/var/lib/telechat/lease.json")


@pytest.mark.usefixtures("_put_back")
def test_container_of_another_hand_is_left_alone(site: Site) -> None:
    site.on(HOST, "docker", "rm", "--force", "telechat")
    site.on(HOST, "docker", "run", "-itd", "--name", "telechat", "telechat-ms:1.0", "/bin/bash")
    assert "telechat_container_replace_unmanaged: true" in refusal(site)
    result = site.play(PLAY, *wished(telechat_container_replace_unmanaged=True))
    assert recap(result)[HOST].changed == 1, result.stdout


def test_everything_missing_is_named_before_the_old_container_goes(site: Site) -> None:
    mounts = [{"source": "/nowhere/a", "target": "/a"}, {"source": "/nowhere/b", "target": "/b"}]
    said = refusal(site, *wished(telechat_container_extra_mounts=mounts))
    assert "/nowhere/a is missing; /nowhere/b is missing" in said
    assert site.on(HOST, "sh", "-c", "ls -d /nowhere 2>/dev/null || echo none").strip() == "none"


def test_container_runs_again_by_itself_after_a_reboot_whose_chips_come_late(site: Site) -> None:
    before = container_id(site)
    site.lab("fault", HOST, "late_devices=20")
    inside = site.inside(BIN / "ansible", "-i", site.inventory, HOST, "-m", "ansible.builtin.reboot")
    rebooted = run(inside, log="stack-lab")
    assert rebooted.returncode == 0, rebooted.stdout
    eventually(lambda: container_id(site) == before)
    site.lab("fault", HOST, "--clear")
    result = site.play("site.yml")
    assert recap(result)[HOST].changed == 0, result.stdout


def test_container_that_somebody_stopped_stays_so_over_a_reboot(site: Site) -> None:
    site.on(HOST, "docker", "stop", "telechat")
    stopped = container_id(site)
    inside = site.inside(BIN / "ansible", "-i", site.inventory, HOST, "-m", "ansible.builtin.reboot")
    assert run(inside, log="stack-lab").returncode == 0
    ended = ("systemctl", "show", "--property=ExecMainExitTimestampMonotonic", "--value", "telechat-container.service")
    eventually(lambda: site.on(HOST, *ended).strip() != "0")
    assert container_id(site) == stopped
    result = site.play("site.yml")
    assert recap(result)[HOST].changed == 1, result.stdout


def test_image_from_an_archive_on_the_host(site: Site) -> None:
    site.on(
        HOST, "sh", "-c", "docker save telechat-ms:1.0 | gzip -1 > /root/ms.tar.gz && docker rmi -f telechat-ms:1.0"
    )
    result = site.play(PLAY, *wished(telechat_image_archive="/root/ms.tar.gz", telechat_image_archive_on_host=True))
    assert recap(result)[HOST].changed == 1, result.stdout
    assert "telechat-ms:1.0" in site.on(HOST, "docker", "images", "--format", "{{.Repository}}:{{.Tag}}")


def test_archive_with_another_image_is_refused(site: Site) -> None:
    before = container_id(site)
    wrong = "sha256:" + "a" * 64
    result = site.play(PLAY, *wished(telechat_image_id=wrong))
    assert result.returncode != 0
    assert wrong in flat(result.stdout)
    assert container_id(site) == before


@pytest.mark.usefixtures("_put_back")
def test_another_build_input_builds_anew_and_renews_the_container(site: Site, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM telechat-ms:1.0\nARG WHO\nRUN echo $WHO > /built\nCOPY data /data\n")
    for data, who in (("one", "lin"), ("two", "lin"), ("two", "wu")):
        (context / "data").write_text(data)
        variables = wished(
            telechat_image_name="built:1",
            telechat_image_source="build",
            telechat_image_build_context=str(context),
            telechat_image_build_args={"WHO": who},
        )
        built = site.play(PLAY, *variables)
        assert built.returncode == 0, built.stdout
        assert site.on(HOST, "docker", "exec", "telechat", "cat", "/built", "/data") == f"{who}\n{data}"
        assert recap(site.play(PLAY, *variables))[HOST].changed == 0


@pytest.mark.usefixtures("_put_back")
def test_engine_configuration_is_merged(site: Site) -> None:
    before = json.loads(site.on(HOST, "cat", "/etc/docker/daemon.json"))
    result = site.play(PLAY, *wished(docker_engine_daemon_config={"log-driver": "local"}))
    assert result.returncode == 0, result.stdout
    after = json.loads(site.on(HOST, "cat", "/etc/docker/daemon.json"))
    assert after == {**before, "log-driver": "local"}
    assert site.on(HOST, "docker", "info", "--format", "{{.LoggingDriver}}").strip() == "local"
    assert container_id(site).endswith("true")


def test_the_container_lives_on_without_its_engine(site: Site) -> None:
    assert site.on(HOST, "docker", "info", "--format", "{{.LiveRestoreEnabled}}").strip() == "true"

    def first_process() -> str:
        return site.on(HOST, "sh", "-c", "docker inspect --format '{{.State.Running}} {{.State.Pid}}' telechat || true")

    before = first_process()
    site.on(HOST, "systemctl", "kill", "--signal=KILL", "docker")
    eventually(lambda: first_process() == before)


def test_verification_fails_with_the_chip_that_is_ill_and_is_not_kept(site: Site) -> None:
    site.lab("fault", HOST, "chip_alarm=1")
    try:
        result = site.play("playbooks/verify.yml")
    finally:
        site.lab("fault", HOST, "--clear")
    assert result.returncode != 0
    assert "NPU 1 chip 0 is Alarm" in flat(result.stdout)
    assert "verified.json" not in site.on(HOST, "ls", "/var/lib/telechat")


def test_a_fleet_that_goes_to_another_driver_keeps_its_containers(site: Site) -> None:
    """The last one, as the server then runs another release than the site's own."""
    before = container_id(site)
    # The release that the lab has beside the site's own is older, which the flash then has to take.
    site.lab("fault", HOST, "flash_base=23.0.3")
    release = {"hdk_release": "23.0.3", "ascend_hdk_allow_downgrade": True, "preflight_clock_skew_seconds": 600}
    result = site.play("playbooks/upgrade.yml", *wished(**release))
    assert result.returncode == 0, result.stdout[-6000:]
    assert "Software Version               : 23.0.3" in site.on(HOST, "npu-smi", "info", "-t", "board", "-i", "0")
    assert container_id(site) == before
