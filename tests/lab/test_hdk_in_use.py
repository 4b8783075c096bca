# SPDX-License-Identifier: Apache-2.0
"""Drivers that are in use when they are to change: idle containers, pollers; and chips that do not tell their versions.

The tests stand in the order of the story and share the servers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab.site import Recap, Site, flat, new_site, recap

pytestmark = pytest.mark.lab

PLAYBOOK = "playbooks/hdk.yml"
PATIENT = ("-e", "preflight_clock_skew_seconds=900")
SICK, OURS, OTHERS, POLLED = "node0", "node1", "node2", "node3"
OLDER = "older-driver-and-firmware"
DOCKER = (
    "export DEBIAN_FRONTEND=noninteractive;"
    " apt-get update -qq >/dev/null 2>&1; apt-get install -qq -y docker.io >/dev/null 2>&1"
)
# One program of the server's own as an image; there is no registry.
IMAGE = "tar -ch $(ldd /bin/sleep | grep -o '/[^ ]*') /bin/sleep 2>/dev/null | docker import - tiny"
# Idle, with the devices of the role telechat_container, whose label tells that it made it.
CONTAINER = (
    "docker run -d --name {name} {label} --restart=unless-stopped --stop-signal=KILL --network=none"
    " --device=/dev/davinci0 --device=/dev/davinci_manager tiny /bin/sleep 36000"
)
MADE_HERE = "--label telechat.parameters={}"
POLLER = "systemd-run --unit=monitor sh -c 'while :; do sleep 1 9</dev/davinci_manager; sleep 1; done'"


@dataclass(frozen=True)
class Play:
    """What a play said and counted, and how often each server was rebooted in it."""

    output: str
    recap: dict[str, Recap]
    reboots: dict[str, int]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A server with a sick chip, and three with an older HDK that is in use."""
    with new_site("in-use", "--hosts", "4", "--chips", "2", "--no-mindspore", "--off") as site:
        site.lab("state", f"{SICK}=same", *(f"{host}={OLDER}" for host in (OURS, OTHERS, POLLED)))
        site.lab("fault", SICK, "board_na=1")
        for host, name, label in ((OURS, "telechat", MADE_HERE), (OTHERS, "trainer", "")):
            site.on(host, "sh", "-c", f"{DOCKER} && {IMAGE} && {CONTAINER.format(name=name, label=label)}")
        site.on(POLLED, "sh", "-c", f"{DOCKER} && {POLLER}")
        yield site


def play(site: Site, *hosts: str) -> Play:
    before = site.boots()
    result = site.play(PLAYBOOK, *PATIENT, "--limit", ",".join(["localhost", *hosts]))
    after = site.boots()
    return Play(flat(result.stdout), recap(result), {host: after[host] - before[host] for host in hosts})


def running(site: Site, host: str) -> list[str]:
    """Return the names and restart policies of the containers that run."""
    script = "docker inspect -f '{{.Name}} {{.HostConfig.RestartPolicy.Name}}' $(docker ps -q) 2>/dev/null; true"
    return site.on(host, "sh", "-c", script).splitlines()


def board(site: Site, host: str) -> str:
    return " ".join(site.on(host, "npu-smi", "info", "-t", "board", "-i", "0").split())


@pytest.fixture(scope="module")
def refused(site: Site) -> Play:
    """What cannot go on, with all reasons at once."""
    return play(site, SICK, OTHERS, POLLED)


def test_a_chip_whose_board_says_na_reinstalls_nothing_and_is_named(refused: Play) -> None:
    assert f"{SICK}: chip_version: NPU 1: which driver and firmware it runs is unknown" in refused.output
    assert (refused.recap[SICK].changed, refused.reboots[SICK]) == (0, 0)


def test_an_idle_container_of_others_is_refused_by_name_before_the_firmware_is_written(
    site: Site, refused: Play
) -> None:
    assert f"{OTHERS}: container_in_use: containers trainer run" in refused.output
    assert (refused.recap[OTHERS].changed, refused.reboots[OTHERS]) == (0, 0)
    assert running(site, OTHERS) == ["/trainer unless-stopped"]


def test_a_poller_is_refused_by_its_service_before_the_firmware_is_written(refused: Play) -> None:
    assert f"{POLLED}: driver_in_use: " in refused.output
    assert "monitor.service) has /dev/davinci_manager open" in refused.output
    assert (refused.recap[POLLED].changed, refused.reboots[POLLED]) == (0, 0)


def test_an_idle_container_of_ours_is_stopped_for_the_upgrade_and_runs_again_after_it(site: Site) -> None:
    upgraded = play(site, OURS)
    steps = ("stop telechat: ", "upgrade firmware 7.5.0.1.129: ", "upgrade driver 24.1.rc3: ", "reboot: ")
    shown = upgraded.output.index(f"{OURS}: ascend_hdk: ")
    places = [upgraded.output.index(step, shown) for step in (*steps, "start telechat: ")]
    assert places == sorted(places)
    assert (upgraded.recap[OURS].failed, upgraded.reboots[OURS]) == (0, 1)
    assert "Software Version : 24.1.rc3" in board(site, OURS)
    assert running(site, OURS) == ["/telechat unless-stopped"]


def test_what_the_refusals_say_helps_and_a_power_cut_forgets_no_container(site: Site) -> None:
    site.on(OTHERS, "docker", "stop", "trainer")
    site.on(POLLED, "systemctl", "stop", "monitor.service")
    site.on(POLLED, "sh", "-c", f"{IMAGE} && {CONTAINER.format(name='telechat', label=MADE_HERE)}")
    site.lab("fault", POLLED, "power_cut=driver:40")
    cut = play(site, OTHERS, POLLED)
    assert "was restarted in the middle of its steps" in cut.output
    assert cut.recap[OTHERS].failed == 0
    assert (running(site, OTHERS), running(site, POLLED)) == ([], [])
    again = play(site, OTHERS, POLLED)
    assert (again.recap[OTHERS].changed, again.recap[POLLED].failed) == (0, 0)
    assert "start telechat: it was stopped for the driver" in again.output
    assert "Software Version : 24.1.rc3" in board(site, POLLED)
    assert running(site, POLLED) == ["/telechat unless-stopped"]
    assert play(site, POLLED).recap[POLLED].changed == 0
