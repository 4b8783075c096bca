# SPDX-License-Identifier: Apache-2.0
"""What a fleet upgrade decides on the control side: who goes when, when no further wave begins, and how it ended."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail

from plugins.action import fleet_upgrade as plugin
from telechat_runtime.ascend.processes import identify
from telechat_runtime.upgrade.jobs import Answer, JobCommands
from telechat_runtime.upgrade.record import Record

RELEASE = "24.1.rc3"
HOSTS = ["node0", "node1", "node2", "node3"]
BEFORE = {"driver": "23.0.3", "firmware": "7.1.0.5.220"}
SETTINGS = {
    "canaries": [],
    "order": [],
    "waves": [1, "50%"],
    "max_unavailable": 2,
    "max_fail_percentage": 0,
    "drain": "wait",
}
JOBS = {"group": "ascend", "python": "python3"}
LINK = {"check": "link", "value": "chip 3 is down", "rule": "every link is up", "next_step": "look at its cable"}
LEFT = {"state": "rebooting", "operator": "ada@ops2", "since": "10:00", "from": BEFORE}


class Site:
    """A control side with four servers; `hostvars` is what Ansible knows of them."""

    def __init__(self, folder):
        self.folder = folder
        self.hostvars = {host: {} for host in HOSTS}
        self.problems = {host: [] for host in HOSTS}
        for host in HOSTS:
            self.found(host)

    def found(self, host, *, work=True, job=None, service=None, upgrade=None):
        versions = {component: {"installed": version} for component, version in BEFORE.items()}
        self.hostvars[host] = {
            "preflight_look": {
                "pending": {"ascend_hdk": "upgrade driver"} if work else {},
                "facts": {
                    "ascend_hdk": versions,
                    "node": {"job": job, "service": service, "upgrade": upgrade},
                },
            },
        }

    def take(self, step, *, check=False, **arguments):
        task = SimpleNamespace(args={"step": step, **arguments}, check_mode=check, async_val=0, diff=False)
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/nowhere"))
        action = plugin.ActionModule(task, connection, None, None, None, None)
        return action.run(task_vars={"hostvars": self.hostvars, "ansible_inventory_sources": ["hosts.yml"]})

    def plan(self, *, check=False, take_over=False, **settings):
        return self.take(
            "plan",
            check=check,
            hosts=HOSTS,
            release=RELEASE,
            folder=str(self.folder),
            settings={**SETTINGS, **settings},
            problems=self.problems,
            take_over=take_over,
            scheduler=[[], []],
        )

    def wave(self, record, *hosts):
        return self.take("wave", record=str(record.folder), hosts=list(hosts), jobs=JOBS)

    def end(self, record):
        return self.take("end", record=str(record.folder), jobs=JOBS)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "upgrades")


@pytest.fixture
def record(site):
    """The record of an upgrade of four servers that is planned: node0, then two, then the last one."""
    return Record(site.folder / site.plan()["campaign"]["id"])


@pytest.fixture
def commands(monkeypatch):
    """The telechat-run commands that were called; `fails` says which fail. Jobs run on node0 and node1."""
    called = SimpleNamespace(words=[], fails=lambda _: False)

    def call(_, *words):
        called.words.append(" ".join(words))
        failure = "exit code 1: no such node" if called.fails(words) else None
        return Answer(json.dumps({"nodes": {"node0": {}, "node1": {}}}), failure)

    monkeypatch.setattr(JobCommands, "call", call)
    return called


def upgraded(record, host, outcome="done", reason=""):
    record.add("out", host=host)
    record.add("outcome", host=host, outcome=outcome, reason=reason)
    if outcome == "done":
        record.add("back", host=host)


def test_the_plan_is_told_and_recorded(site):
    plan = site.plan()
    assert (plan["hosts"], plan["serial"]) == (HOSTS, [1, 2, 1])
    assert plan["before"]["node3"] == BEFORE
    assert plan["campaign"]["release"] == RELEASE
    assert "@" in plan["campaign"]["operator"]
    assert plan["record"] == str(site.folder / plan["campaign"]["id"])
    assert set(Record(site.folder / plan["campaign"]["id"]).history().hosts) == set(HOSTS)
    assert json.loads((site.folder / plan["campaign"]["id"] / "report.json").read_text())["state"] == "running"


def test_a_dry_run_plans_the_same_and_leaves_nothing(site):
    dry = site.plan(check=True)
    assert not site.folder.exists()
    plan = site.plan()
    assert [dry[name] for name in ("lines", "hosts", "serial", "before")] == [
        plan[name] for name in ("lines", "hosts", "serial", "before")
    ]


def test_the_same_command_goes_on_with_what_has_not_ended(site, record):
    site.wave(record, "node0")
    upgraded(record, "node0")
    site.found("node0", work=False)
    plan = site.plan()
    assert plan["campaign"]["id"] == record.campaign
    assert plan["hosts"] == ["node1", "node2", "node3"]


def test_a_host_that_was_interrupted_and_can_t_go_on_counts_as_failed(site, record):
    site.wave(record, "node0")
    record.add("out", host="node0")
    site.found("node0", upgrade={**LEFT, "run": record.campaign})
    site.problems["node0"] = [LINK]
    site.plan()
    assert (record.history().hosts["node0"].outcome, record.history().canary_passed) == ("failed", False)
    assert "chip 3 is down" in record.history().hosts["node0"].reason


def test_a_host_of_another_upgrade_is_refused_unless_it_is_taken_over(site):
    site.found("node1", upgrade={**LEFT, "run": "25.0.rc1-2"})
    assert "node1" not in site.plan(check=True)["hosts"]
    assert site.plan(check=True, take_over=True)["hosts"][0] == "node1"


@pytest.mark.usefixtures("record")
def test_one_control_side_at_a_time(site):
    # This process is not the parent of itself, so it is another control side.
    (site.folder / "controller.json").write_text(json.dumps(identify(os.getpid()).as_dict()))
    with pytest.raises(AnsibleActionFail, match=f"process {os.getpid()} on this machine runs an upgrade .* -> wait"):
        site.plan()


def test_a_record_that_can_t_be_written_is_told(site):
    site.folder.write_text("")
    with pytest.raises(AnsibleActionFail, match="the record of the upgrade can't be used: "):
        site.plan()


def test_settings_that_mean_nothing_are_told(site):
    with pytest.raises(AnsibleActionFail, match="fleet_upgrade_canaries names node9"):
        site.plan(canaries=["node9"])


def test_waves_of_the_plan_begin(site, record):
    wave = site.wave(record, "node0")
    assert (wave["stop"], wave["is_first"], wave["msg"]) == (False, True, ["wave 1 (canary): node0"])
    upgraded(record, "node0")
    wave = site.wave(record, "node1", "node2")
    assert (wave["stop"], wave["is_first"]) == (False, False)
    assert [wave["hosts"] for wave in record.history().waves] == [["node0"], ["node1", "node2"]]


def test_hosts_that_are_no_wave_of_the_plan(site, record):
    with pytest.raises(AnsibleActionFail, match="node0, node1 are no wave of the plan -> run the same command again"):
        site.wave(record, "node0", "node1")
    assert record.history().waves == []


@pytest.mark.parametrize(
    ("outcome", "because"),
    [("failed", "node0 of the first wave: failed"), (None, "node0 of the first wave: lost")],
)
def test_no_wave_begins_after_a_canary_that_failed_or_fell_silent_and_that_ends_it(site, record, outcome, because):
    site.wave(record, "node0")
    if outcome:
        upgraded(record, "node0", outcome, "no link")
    else:
        record.add("out", host="node0")
    stopped = site.wave(record, "node1", "node2")
    assert stopped["stop"] is True
    assert stopped["msg"][-1].startswith(f"stopped: {because}")
    history = record.history()
    assert len(history.waves) == 1
    assert history.ended
    assert history.stopped_because.startswith(because)
    assert json.loads((record.folder / "report.json").read_text())["state"] == "stopped"


def test_no_wave_begins_that_takes_more_hosts_out_than_may_be(site, record):
    site.wave(record, "node0")
    # It is as wanted, and has come into maintenance meanwhile.
    record.add("out", host="node0")
    record.add("outcome", host="node0", outcome="done")
    stopped = site.wave(record, "node1", "node2")
    assert stopped["msg"][-1] == "stopped: 3 hosts would be out of service, and 2 may be"


def test_jobs_are_stopped_as_a_whole_and_begun_again_when_all_their_nodes_are_back(site, record, commands):
    # The wave may have but some of them, when a job began again elsewhere.
    site.hostvars["node1"]["fleet_upgrade_drained"] = {"job": "7"}
    drain = {"record": str(record.folder), "jobs": JOBS, "resume": "afterwards", "seconds": "60", "hosts": HOSTS}
    assert site.take("drain", mode="wait", **drain)["changed"] is False
    assert commands.words == []
    site.take("drain", mode="checkpoint", **drain)
    assert commands.words == ["stop 7 --at-checkpoint --checkpoint-timeout 60 --json"]
    assert record.history().waiting_jobs() == {"7": ["node0", "node1"]}
    upgraded(record, "node0")
    record.add("out", host="node1")
    site.wave(record, "node1", "node2")
    assert len(commands.words) == 1
    upgraded(record, "node1")
    site.wave(record, "node3")
    assert commands.words[1:] == ["finetune --resume 7 --detach"]


def test_only_hosts_that_are_as_wanted_are_tried_with_a_job(site, commands):
    for host in ("node1", "node2", "node3"):
        site.hostvars[host]["fleet_upgrade_is_fit"] = True
    commands.fails = lambda words: "node3" in words
    failed = site.take("smoke", hosts=HOSTS, words=["check"], jobs=JOBS)["failed_hosts"]
    assert sorted(commands.words) == [
        "check --limit node1,node2 --out-of-service",
        "check --limit node3 --out-of-service",
    ]
    assert list(failed) == ["node3"]
    assert "no such node" in failed["node3"]


def test_complete_when_every_host_runs_the_release(site):
    site.found("node3", work=False)
    record = Record(site.folder / site.plan()["campaign"]["id"])
    for host in HOSTS[:3]:
        upgraded(record, host)
    end = site.end(record)
    assert end["complete"] is True
    assert f"{RELEASE} on 4 hosts: 3 done, 1 nothing to do" in end["lines"]
    assert end["report"] == str(record.folder / "report.html")
    assert Path(end["report"]).exists()
    assert record.history().ended
    assert site.plan()["campaign"]["id"] != record.campaign


@pytest.mark.parametrize("outcome", ["failed", "rolled back", "refused", "skipped"])
def test_not_complete_when_one_does_not_and_it_says_which(site, record, outcome):
    for host in HOSTS[:3]:
        upgraded(record, host)
    upgraded(record, "node3", outcome, "no link")
    end = site.end(record)
    assert end["complete"] is False
    assert f"node3: {outcome}: no link" in end["lines"]


def test_not_complete_when_a_host_fell_silent_or_was_never_reached(site, record):
    record.add("out", host="node0")
    end = site.end(record)
    assert end["complete"] is False
    assert "node0: lost: it gives no answer any more" in end["lines"]
    assert "node1, node2, node3: planned" in end["lines"]


def test_not_complete_when_it_was_stopped_and_it_keeps_why(site, record):
    record.add("end", because="2 hosts failed")
    for host in HOSTS:
        upgraded(record, host)
    assert site.end(record)["complete"] is False
    assert record.history().stopped_because == "2 hosts failed"


def test_not_complete_when_a_job_that_it_stopped_can_t_be_begun_again(site, record, commands):
    commands.fails = lambda words: "--resume" in words
    record.add("job", job_id="7", what="stopped after a checkpoint", nodes=["node0"], waits=True)
    for host in HOSTS:
        upgraded(record, host)
    end = site.end(record)
    assert end["complete"] is False
    assert "job 7: could not be begun again: exit code 1: no such node" in end["lines"]
