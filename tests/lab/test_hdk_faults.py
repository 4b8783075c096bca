# SPDX-License-Identifier: Apache-2.0
"""Driver and firmware on servers whose hardware fails: the host that fails says why, and running again goes on.

The tests stand in the order of the story and share its two servers.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.site import Site, new_site, recap, run

pytestmark = pytest.mark.lab

HOSTS = ("node0", "node1")
PLAYBOOK = "playbooks/hdk.yml"
# A server of the lab boots within seconds: what is not back by then does not come back.
SHORT = ("-e", "ascend_hdk_reboot_timeout=40")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Two bare servers; drivers need no MindSpore."""
    with new_site("faults", "--hosts", "2", "--no-mindspore") as site:
        yield site


def test_a_release_that_is_not_in_the_folder_stops_before_anything_is_touched(site: Site) -> None:
    result = site.play(PLAYBOOK, "-e", "ascend_hdk_release=25.9")
    assert result.returncode != 0
    assert "ascend_hdk_release is 25.9" in result.stdout
    assert "Ascend-hdk-910b-npu_24.1.rc3_linux" in result.stdout
    assert [recap(result)[host].changed for host in HOSTS] == [0, 0]


def test_a_chip_that_vanishes_at_the_reboot_fails_its_host_alone(site: Site) -> None:
    site.lab("fault", "node1", "chip_missing_after_reboot=3")
    result = site.play(PLAYBOOK, *SHORT)
    assert result.returncode != 0
    assert "7 chips 19e5:d802 on the PCI bus" in result.stdout
    assert recap(result)["node0"].failed == 0
    assert recap(result)["node1"].failed == 1
    assert "24.1.rc3" in site.on("node0", "npu-smi", "info", "-t", "board", "-i", "0")


def test_all_problems_of_all_hosts_come_in_one_message(site: Site) -> None:
    site.lab("fault", "node0", "chip_alarm=2")
    result = site.play(PLAYBOOK, *SHORT)
    assert result.returncode != 0
    assert "node0: chip_health: NPU 2 chip 0 is Alarm" in result.stdout
    assert "node1: chips: 7 chips" in result.stdout
    assert [recap(result)[host].changed for host in HOSTS] == [0, 0]


def test_a_mended_host_goes_on_where_it_stood(site: Site) -> None:
    for host in HOSTS:
        site.lab("fault", host, "--clear")
    # The chip is back on the bus at the next boot only.
    run(site.lab_argv("shell", "node1", "--", "reboot"), log="faults-lab")
    site.lab("up")
    result = site.play(PLAYBOOK, *SHORT)
    assert result.returncode == 0, result.stdout
    assert recap(result)["node0"].changed == 0
    assert "7.5.0.1.129" in site.on("node1", "npu-smi", "info", "-t", "board", "-i", "0")


def test_a_host_that_does_not_come_back_is_named_with_what_to_do(site: Site) -> None:
    site.on("node0", "/usr/local/Ascend/driver/script/uninstall.sh")
    site.lab("fault", "node0", "no_boot")
    result = site.play(PLAYBOOK, *SHORT)
    assert result.returncode != 0
    assert "node0 did not come back" in result.stdout
    site.lab("fault", "node0", "--clear")
    site.lab("up")
    healed = site.play(PLAYBOOK, *SHORT)
    assert healed.returncode == 0, healed.stdout
    assert [host["state"] for host in site.status().values()] == ["running", "running"]
