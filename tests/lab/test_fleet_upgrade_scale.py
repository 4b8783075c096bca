# SPDX-License-Identifier: Apache-2.0
"""A fleet upgraded while hosts fail in different ways, two never come back and the control side is killed twice.

FLEET_HOSTS says how many hosts there are: as few by default as have every fault and a wave that the limit splits. What
came of it is read from the campaign's own record, from the hosts, and from a plan that is made afterwards.
"""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.layout import find_lab
from tests.lab.controller import A_PLAYS_PATIENCE, Controller
from tests.lab.site import Site, flat, new_site

pytestmark = pytest.mark.lab

NAME = "fleet"
HOSTS = int(os.environ.get("FLEET_HOSTS", "10"))
NAMES = [host.name for host in find_lab(NAME).hosts(HOSTS)]
RELEASE = "24.1.rc3"
BEFORE = {"driver": "23.0.3", "firmware": "7.1.0.5.220"}
AFTER = {"driver": RELEASE, "firmware": "7.5.0.1.129"}
WAYS_TO_FAIL = ("firmware_rc1", "driver_rc1", "chip_missing_after_reboot", "dkms_failure")
# The first host is the canary. The third wave has a failing host, two that never come back and one that is well.
_LARGE = HOSTS >= 50
FAILING = dict(zip(NAMES[7::20] if _LARGE else NAMES[5::2], itertools.cycle(WAYS_TO_FAIL)))
NEVER_BACK = (NAMES[11], NAMES[12]) if _LARGE else (NAMES[2], NAMES[3])
OUT = {*FAILING, *NEVER_BACK}


def percent(hosts: int) -> int:
    """Return how many percent of the fleet make this number of hosts."""
    return -(-100 * hosts // HOSTS)


# All of OUT, and three tenths of the fleet at work: the last wave is larger.
ALLOWED = percent(len(OUT) + HOSTS * 3 // 10)
SETTINGS = {
    "hdk_release": RELEASE,
    "preflight_scope": ["ascend_hdk"],
    # A busy machine is slow; the two that never come back are waited for so long.
    "preflight_clock_skew_seconds": A_PLAYS_PATIENCE,
    "ascend_hdk_reboot_timeout": 60,
    "fleet_upgrade_max_unavailable": f"{ALLOWED}%",
    "fleet_upgrade_max_fail_percentage": percent(len(OUT)),
    "fleet_upgrade_waves": [1, "10%", "40%"],
}
OPTIONS = ("--forks", "10", "-e", json.dumps(SETTINGS))


@dataclass(frozen=True)
class Campaign:
    """What is left of it."""

    folder: Path
    exit_code: int
    boots: dict[str, int]
    check: str

    @property
    def report(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "report.json").read_text()))

    @property
    def hosts(self) -> dict[str, dict[str, Any]]:
        return {host["name"]: host for host in self.report["hosts"]}

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "events.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with new_site(NAME, "--light", "--no-mindspore", "--hosts", str(HOSTS), "--chips", "1", "--off") as site:
        site.lab("state", *(f"{name}=older-driver-and-firmware" for name in NAMES))
        for name, fault in {**FAILING, **dict.fromkeys(NEVER_BACK, "no_boot")}.items():
            site.lab("fault", name, fault)
        yield site


@pytest.fixture(scope="module")
def campaign(site: Site) -> Campaign:
    """Upgrade the fleet by one and the same command, killed in the second wave and in the third."""
    before = site.boots()
    records = site.inventory / ".fleet-upgrades"
    for wave, state in ((2, "rebooting"), (3, "upgrading")):
        controller = Controller(site, f"killed-in-wave-{wave}", "playbooks/upgrade.yml", *OPTIONS)
        try:
            controller.wait_until(lambda wave=wave, state=state: is_there(records, wave, state))
            assert not controller.ended
        finally:
            controller.kill()
    last = Controller(site, "last", "playbooks/upgrade.yml", *OPTIONS)
    try:
        exit_code = last.wait()
    finally:
        last.kill()
    (folder,) = records.glob(f"{RELEASE}-*")
    now = site.boots()
    check = site.play("playbooks/upgrade.yml", "--check", *OPTIONS)
    return Campaign(folder, exit_code, {name: now[name] - before[name] for name in NAMES}, check.stdout)


def is_there(records: Path, wave: int, state: str) -> bool:
    """Tell whether a host of this wave or a later one is in this state."""
    number = 0
    for path in records.glob("*/events.jsonl"):
        for line in path.read_text().splitlines():
            event = json.loads(line)
            number = event["number"] if event["event"] == "wave" else number
            if event["event"] == "state" and number >= wave and event["state"] == state:
                return True
    return False


def test_the_right_hosts_are_upgraded_and_the_right_ones_are_out(campaign: Campaign) -> None:
    outcomes = {name: host["outcome"] for name, host in campaign.hosts.items()}
    assert {name for name, outcome in outcomes.items() if outcome == "done"} == {*NAMES} - OUT
    assert {name for name in OUT if outcomes[name] in ("failed", "lost")} == OUT
    assert all(host["before"] == BEFORE for host in campaign.hosts.values())
    assert all(campaign.hosts[name]["after"] == AFTER for name in {*NAMES} - OUT)
    assert all(campaign.hosts[name]["reason"] for name in OUT)


def test_the_exit_code_says_that_hosts_are_out(campaign: Campaign) -> None:
    assert campaign.exit_code == 2
    assert campaign.report["state"] == "finished"


def test_a_fleet_with_failures_is_told_host_by_host(campaign: Campaign) -> None:
    """Independent of the record: what a new plan finds on the hosts."""
    said = flat(campaign.check)
    assert f"nothing to do on {HOSTS - len(OUT)} of {HOSTS} hosts" in said
    assert all(f"refused: {name}: unreachable" in said for name in NEVER_BACK)


def test_never_more_hosts_are_out_of_service_than_are_allowed(campaign: Campaign) -> None:
    """Counted anew, line by line: a host is out from the moment before it is taken out until it is known to be back."""
    allowed = HOSTS * ALLOWED // 100
    out: set[str] = set()
    most = 0
    for event in campaign.events:
        if event["event"] == "out":
            out.add(event["host"])
        elif event["event"] == "back":
            out.discard(event["host"])
        elif event["event"] == "plan":
            out -= {name for name, found in event["hosts"].items() if found["in_service"]}
        most = max(most, len(out))
    assert 1 < most <= allowed
    assert campaign.report["most_unavailable"]["count"] == most
    assert campaign.report["limits"]["allowed_unavailable"] == allowed
    assert out == OUT


def test_no_host_is_counted_or_upgraded_twice(campaign: Campaign) -> None:
    assert len(campaign.report["hosts"]) == HOSTS
    done = Counter(event["host"] for event in campaign.events if event.get("outcome") == "done")
    assert set(done.values()) == {1}
    assert {campaign.boots[name] for name in {*NAMES} - OUT} == {1}


def test_the_control_side_was_started_three_times(campaign: Campaign) -> None:
    assert len(campaign.report["controllers"]) == 3


def test_hosts_that_are_out_take_no_job_and_say_why(site: Site, campaign: Campaign) -> None:
    del campaign
    for name in FAILING:
        service = json.loads(site.on(name, "cat", "/var/lib/telechat/service.json"))
        assert service["kind"] == "upgrade"
        assert service["reason"].startswith(f"upgrade to {RELEASE} failed: ")
    upgraded = next(name for name in NAMES if name not in OUT)
    assert site.on(upgraded, "sh", "-c", "ls /var/lib/telechat/service.json 2>/dev/null || echo none") == "none\n"


def test_the_logs_of_failed_hosts_are_at_hand(campaign: Campaign) -> None:
    with_logs = [name for name, fault in FAILING.items() if fault != "chip_missing_after_reboot"]
    for name in with_logs:
        assert list(Path(campaign.hosts[name]["logs"]).iterdir())


def test_the_page_names_every_host(campaign: Campaign) -> None:
    page = (campaign.folder / "report.html").read_text()
    assert all(f">{name}<" in page for name in NAMES)
