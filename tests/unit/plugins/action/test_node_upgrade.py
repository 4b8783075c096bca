# SPDX-License-Identifier: Apache-2.0
"""A node's steps as the campaign's record has them, also when the node gives no answer or belongs to somebody else."""

import json
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure

from plugins.action import node_upgrade as plugin
from telechat_runtime.upgrade.record import Record

DOWN = AnsibleConnectionFailure("no route to host")
OUT = {"kind": "upgrade", "reason": "upgrade to 24.1.rc3", "by": "lin@ops1", "since": "10:00"}
AFTER = {"driver": "24.1.rc3", "firmware": "7.5.0.1.129"}


def says(state, *, service=None, job=None):
    return {"changed": True, "upgrade": {"state": state}, "service": service, "job": job}


@pytest.fixture
def record(tmp_path):
    return Record(tmp_path)


@pytest.fixture(autouse=True)
def shown(monkeypatch):
    lines = []
    monkeypatch.setattr(plugin, "_display", SimpleNamespace(display=lines.append))
    return lines


@pytest.fixture
def take(record, clock):
    """Return how to take a step on a node that gives these answers; an exception stands for a link that is down."""

    def take(step, *answers, check=False, asked=None, **arguments):
        left = list(answers)

        def execute(module_name, module_args, **_):
            assert module_name == "node_upgrade"
            clock[0] += module_args.get("wait", 0)
            if asked is not None:
                asked.append({**module_args, "out": record.history().taken_out()})
            answer = left.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        args = {"step": step, "record": str(record.folder), **arguments}
        task = SimpleNamespace(args=args, check_mode=check, async_val=0, diff=False)
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/nowhere"))
        action = plugin.ActionModule(task, connection, None, None, None, None)
        action._execute_module = execute
        return action.run(task_vars={"inventory_hostname": "node0"})

    return take


def host(record):
    return record.history().hosts["node0"]


def test_the_record_has_it_out_before_the_node_is_and_back_after_it_is(take, record):
    asked = []
    take("drain", says("upgrading", service=OUT), asked=asked)
    take("done", says("done"), asked=asked)
    assert [sorted(question["out"]) for question in asked] == [["node0"], ["node0"]]
    assert record.history().taken_out() == set()


def test_states_outcome_and_versions_are_recorded(take, record):
    take("drain", says("upgrading", service=OUT))
    for step in ("rebooting", "validating"):
        take(step, says(step, service=OUT))
    take("done", says("done"), after=AFTER)
    assert [state["state"] for state in host(record).states] == [
        "draining",
        "upgrading",
        "rebooting",
        "validating",
        "done",
    ]
    assert (host(record).outcome, host(record).after) == ("done", AFTER)
    (reported,) = json.loads((record.folder / "report.json").read_text())["hosts"]
    assert (reported["name"], reported["outcome"]) == ("node0", "done")


@pytest.mark.parametrize(
    ("step", "arguments", "outcome"),
    [
        ("rolled-back", {"reason": "no link"}, "rolled back"),
        ("give-back", {"reason": "no link"}, "skipped"),
        ("give-back", {"reason": "no link", "outcome": "refused"}, "refused"),
    ],
)
def test_a_node_that_is_put_back_without_the_release_says_why(take, record, step, arguments, outcome):
    take("drain", says("upgrading", service=OUT))
    take(step, says("any"), **arguments)
    assert (host(record).outcome, host(record).reason) == (outcome, "no link")
    assert record.history().taken_out() == set()


def test_a_node_that_stays_in_maintenance_is_not_back(take, record):
    take("drain", says("upgrading", service=OUT))
    take("done", says("done", service={**OUT, "kind": "maintenance"}))
    assert host(record).outcome == "done"
    assert record.history().taken_out() == {"node0"}


@pytest.mark.parametrize("answer", [DOWN, {"failed": True, "msg": "no space left"}], ids=["no answer", "full disk"])
def test_a_failure_is_recorded_though_the_node_can_t_note_it(take, record, answer):
    take("drain", says("upgrading", service=OUT))
    result = take("failed", answer, reason="driver 24.1.rc3: exit code 1", logs="/logs/node0")
    assert not result.get("failed")
    assert (host(record).outcome, host(record).reason) == ("failed", "driver 24.1.rc3: exit code 1")
    assert host(record).logs == "/logs/node0"
    assert record.history().taken_out() == {"node0"}


def test_a_node_that_gives_no_answer_meanwhile_is_in_progress_and_out(take, record):
    for step in ("drain", "rebooting"):
        with pytest.raises(AnsibleConnectionFailure):
            take(step, DOWN)
    assert record.history().in_progress == ["node0"]
    assert record.history().taken_out() == {"node0"}


def test_a_step_that_fails_is_no_outcome_yet(take, record):
    take("drain", says("upgrading", service=OUT))
    assert take("done", {"failed": True, "msg": "no space left"})["failed"]
    assert host(record).outcome == "in progress"
    assert record.history().taken_out() == {"node0"}


def test_a_node_of_another_campaign_is_refused_and_out_of_service(take, record):
    claimed = {"failed": True, "claimed": True, "msg": "another upgrade is at work here: 25.0.rc1-2"}
    result = take("drain", claimed)
    assert (result["failed"], result["claimed"]) == (False, True)
    assert (host(record).outcome, host(record).reason) == ("refused", claimed["msg"])
    assert record.history().taken_out() == {host(record).name}


@pytest.mark.parametrize(("step", "failed"), [("validating", True), ("done", True), ("failed", False)])
def test_a_node_that_was_taken_over_meanwhile_is_let_go_of(take, record, step, failed):
    """It stays out of service, as the other campaign has it."""
    take("drain", says("upgrading", service=OUT))
    result = take(step, {"failed": True, "claimed": True, "msg": "another upgrade is at work here: 25.0.rc1-2"})
    assert result["failed"] is failed
    assert host(record).outcome == "refused"
    assert len(record.history().taken_out()) == 1


@pytest.mark.parametrize(("check", "where"), [(True, "."), (False, "")])
def test_without_a_record_the_node_is_only_asked(take, tmp_path, monkeypatch, check, where):
    monkeypatch.chdir(tmp_path)
    take("drain", says("upgrading"), check=check, record=where)
    assert list(tmp_path.iterdir()) == []


def test_what_is_of_the_control_side_alone_is_not_for_the_module(take):
    asked = []
    take("done", says("done"), asked=asked, after=AFTER, logs="", outcome="", job_root="/jobs")
    assert {name for name in asked[0] if name != "out"} == {"step", "job_root"}


def test_a_job_is_waited_for_in_short_calls_that_a_lost_link_only_interrupts(take, record, shown):
    busy = says("draining", service=OUT, job="7")
    asked = []
    result = take("wait", busy, DOWN, busy, says("upgrading", service=OUT), asked=asked, timeout=3600)
    assert result["job"] is None
    assert max(question["wait"] for question in asked) <= 30
    assert shown == ["node0: waits for job 7, 3600 s at most"]
    assert [state["state"] for state in host(record).states] == ["upgrading"]


def test_a_job_that_outlasts_the_time_is_told(take):
    busy = says("draining", service=OUT, job="7")
    asked = []
    assert take("wait", *[busy] * 9, asked=asked, timeout=50)["job"] == "7"
    assert sum(question["wait"] for question in asked) == 50


def test_a_node_that_is_away_longer_than_a_job_is_waited_for(take):
    with pytest.raises(AnsibleConnectionFailure):
        take("wait", *[DOWN] * 99, timeout=50)
