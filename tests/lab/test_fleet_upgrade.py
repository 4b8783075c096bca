# SPDX-License-Identifier: Apache-2.0
"""Upgrades of a small fleet at work: its jobs, its canary, nodes of somebody else's, and the way back.

The tests stand in the order of the story and share its four light servers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.site import AT_WORK, CONFIG, Site, eventually, flat, new_site

pytestmark = pytest.mark.lab

NAMES = ("node0", "node1", "node2", "node3")
OLD, NEW = "23.0.3", "24.1.rc3"
JOB_NODES = ("node1", "node2")
# The flash of the others' chips still takes the older driver.
NO_WAY_BACK = "node3"
SETTINGS = {"hdk_release": NEW, "preflight_clock_skew_seconds": 600, "fleet_upgrade_max_unavailable": 3}
FINETUNE = (
    *("--config", str(CONFIG), "--dataset", "/data03/demo-dataset", "--npus-per-node", "1", "--epochs", "500"),
    *("--set", "callbacks.1.save_checkpoint_steps=5", "--set", "callbacks.1.keep_checkpoint_max=3"),
)


@dataclass(frozen=True)
class Fleet:
    """The servers, and what is asked of them."""

    site: Site

    def play(self, playbook: str, *options: str, **settings: Any) -> Upgrade:
        before = set(self.records())
        done = self.site.play(f"playbooks/{playbook}.yml", "-e", json.dumps({**SETTINGS, **settings}), *options)
        new = [folder for folder in self.records() if folder not in before]
        return Upgrade(done.returncode, flat(done.stdout), new[0] if new else None)

    def records(self) -> list[Path]:
        return sorted((self.site.inventory / ".fleet-upgrades").glob("*Z-*"))

    def driver(self, host: str) -> str:
        board = self.site.on(host, "npu-smi", "info", "-t", "board", "-i", "0")
        return next(line.split()[-1] for line in board.splitlines() if "Software Version" in line)

    def drivers(self) -> list[str]:
        return [self.driver(name) for name in NAMES]

    def services(self) -> dict[str, dict[str, Any]]:
        done = self.site.telechat("nodes", "--json")
        return {node["name"]: node["service"]["service"] for node in json.loads(done.stdout)["nodes"]}

    def running_jobs(self) -> list[str]:
        """Return the jobs that run on both nodes of the job."""
        jobs = [self.site.on(name, "cat", "/var/lib/telechat/lease.json") for name in JOB_NODES]
        return sorted({json.loads(lease)["job_id"] for lease in jobs})

    def start_finetune(self) -> str:
        """Begin a long training on the nodes of the job."""
        where = ("--limit", ",".join(JOB_NODES))
        done = self.site.telechat("finetune", *FINETUNE, *where, "--detach", "--json")
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["job_id"])


@dataclass(frozen=True)
class Upgrade:
    """A run of a playbook: exit code, what it said on one line, and the record that it began."""

    exit_code: int
    said: str
    record: Path | None

    @property
    def outcomes(self) -> dict[str, str]:
        assert self.record is not None, self.said
        hosts = json.loads((self.record / "report.json").read_text())["hosts"]
        return {host["name"]: host["outcome"] for host in hosts}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Four servers that site.yml has brought to the older release."""
    with new_site("fleet-story", "--light", "--hosts", str(len(NAMES)), "--chips", "1", "--off") as site:
        site.lab("state", *(f"{name}=prepared" for name in NAMES))
        with site.deciding() as variables:
            variables["telechat_env"].update(AT_WORK)
        for name in NAMES:
            if name != NO_WAY_BACK:
                site.lab("fault", name, f"flash_base={OLD}")
        done = site.play("site.yml", "-e", f"ascend_hdk_release={OLD}", "-e", "preflight_clock_skew_seconds=600")
        assert done.returncode == 0, done.stdout
        yield Fleet(site)


@pytest.fixture(scope="module")
def job(fleet: Fleet) -> str:
    """A training on two of them, while a third is in maintenance."""
    done = fleet.site.telechat("cordon", "--reason", "its fan is noisy", "node3")
    assert done.returncode == 0, done.stderr
    return fleet.start_finetune()


@pytest.fixture(scope="module")
def upgraded(fleet: Fleet, job: str) -> Upgrade:
    """The upgrade of all of them, the job stopped and begun again, and the nodes tried with a job before."""
    assert fleet.running_jobs() == [job]
    return fleet.play(
        "upgrade",
        fleet_upgrade_drain="checkpoint",
        fleet_upgrade_drain_timeout=300,
        fleet_upgrade_smoke_job=["check"],
        fleet_upgrade_drain_command=scheduler(fleet, "drain"),
        fleet_upgrade_return_command=scheduler(fleet, "return"),
    )


def scheduler(fleet: Fleet, verb: str, then: str = "") -> list[str]:
    """Return a command of the site's own scheduler, which writes down what it is told of which node."""
    return ["sh", "-c", f"echo {verb} >>{fleet.site.state}/scheduler-$0; {then}", "{{ inventory_hostname }}"]


def told_to_scheduler(fleet: Fleet, name: str) -> list[str]:
    return (fleet.site.state / f"scheduler-{name}").read_text().split()


def test_check_prints_the_plan_and_changes_nothing(fleet: Fleet, job: str) -> None:
    plan = fleet.play("upgrade", "--check", fleet_upgrade_drain="checkpoint")
    assert plan.exit_code == 0, plan.said
    assert "wave 1 (canary): 1 host" in plan.said
    assert f"node1: job {job} is stopped after its next checkpoint" in plan.said
    assert f"{NEW}: 4 of 4 hosts in 3 waves" in plan.said
    assert "out of service before: its fan is noisy" in plan.said
    assert plan.record is None
    assert fleet.drivers() == [OLD] * 4
    assert fleet.site.on("node0", "sh", "-c", "ls /etc/telechat/upgrade.json 2>&1 || true").startswith("ls: ")


def test_the_fleet_is_upgraded_with_a_job_at_work(fleet: Fleet, upgraded: Upgrade) -> None:
    assert upgraded.exit_code == 0, upgraded.said
    assert upgraded.outcomes == dict.fromkeys(NAMES, "done")
    assert fleet.drivers() == [NEW] * 4


def test_the_job_was_stopped_after_a_checkpoint_and_goes_on_from_it(fleet: Fleet, job: str, upgraded: Upgrade) -> None:
    assert f"job {job}: stopped after a checkpoint" in upgraded.said
    assert f"job {job}: begun again from its checkpoint" in upgraded.said
    (goes_on,) = fleet.running_jobs()
    assert goes_on != job
    record = json.loads(fleet.site.telechat("show", goes_on, "--json").stdout)
    assert job in json.dumps(record)


def test_a_node_that_was_in_maintenance_stays_in_maintenance(fleet: Fleet, upgraded: Upgrade) -> None:
    del upgraded
    services = fleet.services()
    assert services["node3"]["kind"] == "maintenance"
    assert services["node3"]["reason"] == "its fan is noisy"
    assert [services[name] for name in NAMES[:3]] == [None] * 3


def test_a_scheduler_of_the_site_drains_each_node_and_gets_it_back(fleet: Fleet, upgraded: Upgrade) -> None:
    del upgraded
    assert [told_to_scheduler(fleet, name) for name in NAMES] == [["drain", "return"]] * 4


def test_packages_of_what_ran_before_stay_on_the_host(fleet: Fleet, upgraded: Upgrade) -> None:
    del upgraded
    kept = fleet.site.on("node0", "ls", "/var/lib/ascend-hdk/packages")
    assert [version in kept for version in (OLD, NEW, "7.1.0.5.220", "7.5.0.1.129")] == [True] * 4


def test_the_same_command_again_has_nothing_to_do(fleet: Fleet, upgraded: Upgrade) -> None:
    del upgraded
    again = fleet.play("upgrade")
    assert again.exit_code == 0, again.said
    assert again.outcomes == dict.fromkeys(NAMES, "nothing to do")
    assert len(fleet.running_jobs()) == 1


def test_a_job_that_goes_on_keeps_its_nodes_and_nothing_is_done_to_them(fleet: Fleet, upgraded: Upgrade) -> None:
    """Back again, without waiting for the job."""
    del upgraded
    jobs = fleet.running_jobs()
    back = fleet.play("rollback", fleet_upgrade_drain_timeout=1, fleet_upgrade_canaries="node0")
    assert back.exit_code == 2
    assert back.outcomes == {"node0": "done", "node1": "skipped", "node2": "skipped", "node3": "refused"}
    assert f"job {jobs[0]} still ran after 1 s" in back.said
    assert "Not every host runs what it ran before, or a job does not go on" in back.said
    assert fleet.running_jobs() == jobs
    assert fleet.drivers() == [OLD, NEW, NEW, NEW]
    assert [fleet.services()[name] for name in NAMES[:3]] == [None] * 3
    assert fleet.site.telechat("stop", *jobs).returncode == 0


def test_a_server_whose_flash_forbids_the_way_back_says_so(fleet: Fleet, upgraded: Upgrade) -> None:
    del upgraded
    plan = fleet.play("rollback", "--check")
    assert "refused: node3: flash_version:" in plan.said
    assert f"flash allows driver {NEW} and newer ones" in plan.said


def test_a_canary_that_fails_goes_back_and_nothing_else_is_touched(fleet: Fleet, upgraded: Upgrade) -> None:
    del upgraded
    fleet.site.lab("fault", "node0", "driver_power_cut")
    failed = fleet.play("upgrade", fleet_upgrade_rollback_canary="true", fleet_upgrade_canaries="node0")
    assert failed.exit_code == 2
    assert failed.outcomes["node0"] == "rolled back"
    assert "the installer was killed by SIGKILL" in failed.said
    assert fleet.driver("node0") == OLD
    assert fleet.services()["node0"] is None


def test_a_node_that_the_scheduler_does_not_drain_is_returned_and_left_as_it_is(
    fleet: Fleet, upgraded: Upgrade
) -> None:
    del upgraded
    left = fleet.play(
        "upgrade",
        "--limit",
        "node0",
        fleet_upgrade_drain_command=scheduler(fleet, "drain", "echo pods of a tenant remain >&2; exit 1"),
        fleet_upgrade_return_command=scheduler(fleet, "return"),
    )
    assert left.exit_code == 2
    assert left.outcomes == {"node0": "refused"}
    assert "pods of a tenant remain" in left.said
    assert told_to_scheduler(fleet, "node0")[-2:] == ["drain", "return"]
    assert fleet.driver("node0") == OLD
    assert fleet.services()["node0"] is None


def test_a_node_of_another_upgrade_is_left_to_it(fleet: Fleet, upgraded: Upgrade) -> None:
    """Until the operator says that the other one is dead; then it goes on from where the node is."""
    del upgraded
    edit = (
        "import json\n"
        "path = '/etc/telechat/upgrade.json'\n"
        "record = json.load(open(path))\n"
        "record.update(run='other', operator='lin@ops1', state='upgrading', since='2026-11-28T20:20:00Z')\n"
        "json.dump(record, open(path, 'w'))\n"
    )
    fleet.site.on("node0", "python3", "-c", edit)
    left = fleet.play("upgrade", "--limit", "node0")
    assert left.exit_code == 2
    assert left.outcomes == {"node0": "refused"}
    assert "other of lin@ops1 has had it upgrading since 2026-11-28T20:20:00Z" in left.said
    taken = fleet.play("upgrade", "--limit", "node0", fleet_upgrade_take_over="true")
    assert taken.exit_code == 0, taken.said
    assert fleet.driver("node0") == NEW


def test_a_job_starts_on_no_node_that_is_being_upgraded(fleet: Fleet, upgraded: Upgrade) -> None:
    """As when the control side was killed in the middle."""
    del upgraded
    service = {"kind": "upgrade", "reason": f"upgrade to {NEW}", "by": "lin@ops1", "since": "2026-11-28T20:20:00Z"}
    fleet.site.on("node0", "sh", "-c", f"echo '{json.dumps(service)}' > /var/lib/telechat/service.json")
    refused = fleet.site.telechat("finetune", *FINETUNE, "--limit", "node0", "--detach")
    assert refused.returncode != 0
    assert f"upgrade to {NEW}" in refused.stderr
    assert fleet.services()["node0"]["kind"] == "upgrade"
    again = fleet.play("upgrade", "--limit", "node0")
    assert again.exit_code == 0, again.said
    eventually(lambda: fleet.services()["node0"] is None)
