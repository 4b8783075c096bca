# SPDX-License-Identifier: Apache-2.0
"""One server on its road from bare over an old HDK to the wanted one, interrupted on the way.

The tests stand in the order of the story and share the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.lab.site import Site, flat, new_site, recap

pytestmark = pytest.mark.lab

HOST = "node0"
PLAYBOOK = "playbooks/hdk.yml"
OLD = ("-e", "ascend_hdk_release=23.0.3")
BOARD = ("npu-smi", "info", "-t", "board", "-i", "0")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A bare server with four chips."""
    with new_site("roads", "--hosts", "1", "--chips", "4", "--no-mindspore") as site:
        yield site


def test_a_power_cut_in_the_driver_fails_the_play_and_leaves_no_half_truth(site: Site) -> None:
    site.lab("fault", HOST, "driver_power_cut")
    result = site.play(PLAYBOOK, *OLD)
    assert result.returncode == 2
    assert "the installer was killed by SIGKILL" in flat(result.stdout)
    shown = site.play(PLAYBOOK, *OLD, "--check")
    assert "driver 23.0.3: its last installation did not finish" in flat(shown.stdout)
    assert recap(shown)[HOST].changed > 0


def test_running_again_ends_at_the_wish_with_no_reboot_more_when_another_comes_first(
    site: Site, tmp_path: Path
) -> None:
    another = tmp_path / "another.yml"
    another.write_text(yaml.safe_dump([{"name": "Come first", "ansible.builtin.reboot": {}}]))
    before = site.boots()[HOST]
    result = site.play(PLAYBOOK, *OLD, "-e", f"ascend_hdk_before_reboot={another}")
    assert result.returncode == 0
    assert result.stdout.count("TASK [ascend_hdk : Reboot] ") == 2
    assert site.boots()[HOST] == before + 2
    board = site.on(HOST, *BOARD)
    assert "23.0.3" in board
    assert "7.1.0.5.220" in board
    assert site.on(HOST, "ls", "/var/lib/ascend-hdk").split() == ["packages", "record.json"]


def test_a_process_on_an_npu_is_named_and_forbids_the_upgrade(site: Site) -> None:
    holder = "nohup sleep 600 </dev/davinci1 >/dev/null 2>&1 & echo $!"
    pid = site.on(HOST, "sh", "-c", holder).strip()
    before = site.boot_id(HOST)
    result = site.play(PLAYBOOK)
    site.on(HOST, "kill", pid)
    assert result.returncode == 2
    assert f"node0: device_in_use: sleep (pid {pid})" in flat(result.stdout)
    assert recap(result)[HOST].changed == 0
    assert site.boot_id(HOST) == before


def test_over_an_existing_hdk_firmware_comes_first_and_one_reboot_is_enough(site: Site) -> None:
    shown = flat(site.play(PLAYBOOK, "--check").stdout)
    plan = shown[shown.index("upgrade firmware 7.5.0.1.129") :]
    assert plan.index("upgrade driver 24.1.rc3") < plan.index("reboot: the new versions run after a reboot")
    result = site.play(PLAYBOOK)
    assert result.returncode == 0
    assert result.stdout.count("TASK [ascend_hdk : Reboot] ") == 1
    board = site.on(HOST, *BOARD)
    assert "24.1.rc3" in board
    assert "7.5.0.1.129" in board


def test_the_second_run_changes_nothing(site: Site) -> None:
    result = site.play(PLAYBOOK)
    assert recap(result)[HOST].changed == 0
    assert "nothing to do on 1 of 1 hosts" in flat(result.stdout)


def test_the_way_back_is_refused(site: Site) -> None:
    result = site.play(PLAYBOOK, *OLD)
    assert result.returncode == 2
    said = flat(result.stdout)
    assert "node0: flash_version: the chips' flash allows driver 24.1.rc3 and newer ones" in said
    assert "node0: firmware_downgrade: firmware 7.5.0.1.129 is installed" in said
    assert recap(result)[HOST].changed == 0
