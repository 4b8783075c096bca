# SPDX-License-Identifier: Apache-2.0
"""After a reboot whose chips come late the container runs again by itself; one that somebody stopped does not."""

import stat
import subprocess

import pytest
from ansible.module_utils import container_unit
from ansible.module_utils.command_result import Result

WISH = {"cli": "/usr/bin/docker", "service": "docker", "container_name": "telechat"}
NO_DEVICE = 'error gathering device information while adding custom device "/dev/davinci0": no such file or directory'
DOCKER = """#!/bin/sh
echo "$*" >> {root}/calls
case "$1" in
  inspect) cat {root}/state ;;
  start) [ $(grep -c start {root}/calls) -ge {tries} ] && echo "true " > {root}/state ;;
esac
"""


@pytest.fixture
def start(tmp_path):
    """Run the script while Docker says this of the container; return what it asked Docker for."""

    def run(state, tries=1):
        (tmp_path / "state").write_text(state + "\n")
        docker = tmp_path / "docker"
        docker.write_text(DOCKER.format(root=tmp_path, tries=tries))
        docker.chmod(0o755)
        script = container_unit.wanted(WISH)[container_unit.SCRIPT_PATH]
        done = subprocess.run(["sh", "-c", script, "x", str(docker), "telechat", "0"], timeout=60, check=False)
        assert done.returncode == 0
        return [line.split()[0] for line in (tmp_path / "calls").read_text().splitlines()]

    return run


@pytest.mark.parametrize("tries", [1, 3])
def test_a_container_whose_devices_come_late_is_tried_until_docker_starts_it(start, tries):
    assert start(f"false {NO_DEVICE}", tries) == ["inspect", "start"] * tries


@pytest.mark.parametrize("state", ["true ", "false ", "Error: No such container: telechat"])
def test_what_runs_or_was_stopped_or_removed_is_left_alone(start, state):
    assert start(state) == ["inspect"]


class Host:
    """A root folder, and a systemctl that enables units there."""

    def __init__(self, root):
        self.root = root
        (root / "run/systemd/system").mkdir(parents=True)
        self.asked = []

    def run(self, argv):
        self.asked.append(" ".join(argv))
        if argv[1] == "enable":
            wants = self.root / "etc/systemd/system/multi-user.target.wants"
            wants.mkdir()
            (wants / container_unit.UNIT).symlink_to(container_unit.UNIT_PATH)
        return Result(0, "", "")


def test_the_unit_is_written_once_and_enabled(tmp_path):
    host, wanted = Host(tmp_path), container_unit.wanted(WISH)
    assert len(container_unit.stale(wanted, str(tmp_path))) == 3
    container_unit.install(wanted, host.run, str(tmp_path))
    assert host.asked == ["systemctl daemon-reload", "systemctl enable telechat-container.service"]
    assert container_unit.stale(wanted, str(tmp_path)) == []
    script = tmp_path / container_unit.SCRIPT_PATH[1:]
    assert stat.S_IMODE(script.stat().st_mode) == 0o755
    other = container_unit.wanted(dict(WISH, container_name="other"))
    assert container_unit.stale(other, str(tmp_path)) == [container_unit.UNIT_PATH]


def test_a_host_without_systemd_has_no_unit(tmp_path):
    assert container_unit.stale(container_unit.wanted(WISH), str(tmp_path)) == []


def test_systemd_that_refuses_says_why(tmp_path):
    Host(tmp_path)
    with pytest.raises(container_unit.UnitError, match="systemctl daemon-reload ended with 1: Access denied"):
        container_unit.install(
            container_unit.wanted(WISH), lambda _argv: Result(1, "", "Access denied\n"), str(tmp_path)
        )
