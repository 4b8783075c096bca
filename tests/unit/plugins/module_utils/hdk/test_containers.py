# SPDX-License-Identifier: Apache-2.0
"""Containers stopped for the driver's installer: they are not forgotten, and their restart policy stays."""

import pytest
from ansible.module_utils.hdk import containers as hdk_containers
from ansible.module_utils.hdk.state import START, STOP, Step
from ansible.module_utils.hdk.steps import StepError

from tests.unit.plugins.module_utils.hdk.step_host import step_host


@pytest.fixture
def host(tmp_path, monkeypatch):
    return step_host(tmp_path, monkeypatch, "stop")


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Put a docker on PATH that notes its arguments and then does what a test wrote down."""
    calls = tmp_path / "calls"

    def write(does):
        path = tmp_path / "bin" / "docker"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "docker $*" >> {calls}\n{does}\n')
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
        return lambda: calls.read_text().splitlines()

    return write


def step(action):
    return Step(action, None, None, "why", targets=("telechat",))


def test_a_container_that_is_stopped_for_an_upgrade_keeps_its_restart_policy_and_is_remembered(host, docker):
    calls = docker("exit 0")
    hdk_containers.stop(step(STOP), host)
    assert calls() == ["docker stop --time=60 telechat"]
    assert host.record.stopped() == ("telechat",)
    assert host.record.read() == {}
    hdk_containers.start(step(START), host)
    assert calls()[1:] == ["docker start telechat"]
    assert host.record.stopped() == ()


def test_it_is_remembered_before_it_is_stopped(host, docker):
    docker("exit 1")
    with pytest.raises(StepError):
        hdk_containers.stop(step(STOP), host)
    assert host.record.stopped() == ("telechat",)


def test_to_uninstall_a_container_stays_stopped_over_the_reboot(host, docker):
    calls = docker("exit 0")
    hdk_containers.stop_for_good(step(STOP), host)
    assert calls() == ["docker update --restart=no telechat", "docker stop --time=60 telechat"]
    assert host.record.stopped() == ()


def test_a_container_that_does_not_stop_is_named_with_docker_s_reason(host, docker):
    docker("echo cannot stop container >&2; exit 1")
    with pytest.raises(StepError, match="docker stop --time=60 telechat ended with 1: cannot stop container"):
        hdk_containers.stop(step(STOP), host)


def test_a_container_that_was_removed_since_is_done_with(host, docker):
    docker("echo Error: No such container: telechat >&2; exit 1")
    host.record.stops("telechat")
    hdk_containers.start(step(START), host)
    assert host.record.stopped() == ()


def test_a_container_that_does_not_start_is_left_to_the_role_that_makes_it(host, docker):
    docker("echo no such file: /dev/davinci7 >&2; exit 1")
    host.record.stops("telechat")
    with pytest.raises(StepError, match=r"/dev/davinci7; run playbooks/site.yml, which makes it anew"):
        hdk_containers.start(step(START), host)
    assert host.record.stopped() == ()


def test_docker_that_is_not_up_yet_after_the_reboot_is_waited_for(host, docker, tmp_path, monkeypatch):
    monkeypatch.setattr(hdk_containers, "_PAUSE_SECONDS", 0)
    up = tmp_path / "up"
    calls = docker(f"[ -e {up} ] || {{ touch {up}; echo Cannot connect to the Docker daemon >&2; exit 1; }}")
    hdk_containers.start(step(START), host)
    assert len(calls()) == 2
