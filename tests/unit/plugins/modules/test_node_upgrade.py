# SPDX-License-Identifier: Apache-2.0
"""The module node_upgrade as Ansible runs it: arguments in, the node's files, one answer out."""

import contextlib
import fcntl
import functools
import json

import pytest
from ansible.module_utils import basic
from ansible.module_utils.node_upgrade import RECORD, NodeUpgrade

from plugins.modules import node_upgrade as module

OURS = {"id": "24.1.rc3-1", "operator": "lin@ops1", "release": "24.1.rc3"}
THEIRS = {"id": "25.0.rc1-2", "operator": "ada@ops2", "release": "25.0.rc1"}
BEFORE = {"driver": "23.0.3", "firmware": "7.1.0.5.220"}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Return how to take a step on the node below tmp_path."""
    monkeypatch.setattr(module, "NodeUpgrade", functools.partial(NodeUpgrade, root=str(tmp_path)))
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)

    def run(step, *, check=False, campaign=OURS, **arguments):
        arguments.update(step=step, job_root="/jobs", _ansible_check_mode=check)
        if campaign:
            arguments["campaign"] = campaign
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        with pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def job(tmp_path):
    """Return a job that runs on the node, and that ends when it is closed."""
    (tmp_path / "jobs").mkdir()
    with contextlib.ExitStack() as stack:
        lease = stack.enter_context((tmp_path / "jobs" / "lease.json").open("w+"))
        lease.write('{"job_id": "20261128-1"}')
        lease.flush()
        fcntl.flock(lease, fcntl.LOCK_EX)
        yield stack


@pytest.mark.parametrize("step", module.STEPS)
def test_check_mode_writes_nothing_and_tells_how_the_node_is(run, tmp_path, step):
    answer = run(step, check=True)
    assert {name: answer[name] for name in ("changed", "upgrade", "service", "job")} == {
        "changed": True,
        "upgrade": None,
        "service": None,
        "job": None,
    }
    assert list(tmp_path.iterdir()) == []


def test_a_step_without_its_campaign_is_refused(run, tmp_path):
    assert "campaign" in run("done", campaign=None)["msg"]
    assert list(tmp_path.iterdir()) == []


def test_a_node_without_a_job_is_upgraded_at_once(run):
    answer = run("drain", before=BEFORE)
    assert (answer["upgrade"]["state"], answer["upgrade"]["from"]) == ("upgrading", BEFORE)
    assert (answer["untouched"], answer["job"], answer["service"]["kind"]) == (True, None, "upgrade")


def test_a_node_with_a_job_drains_until_the_job_has_ended(run, job):
    for answer in (run("drain"), run("wait")):
        assert (answer["upgrade"]["state"], answer["job"]) == ("draining", "20261128-1")
    job.close()
    answer = run("wait")
    assert (answer["upgrade"]["state"], answer["job"]) == ("upgrading", None)


def test_a_node_that_was_interrupted_goes_on_where_it_was(run):
    run("drain")
    run("rebooting")
    answer = run("drain")
    assert (answer["upgrade"]["state"], answer["untouched"]) == ("rebooting", False)


@pytest.mark.parametrize(
    ("step", "state", "in_service"),
    [
        ("done", "done", True),
        ("rolled-back", "rolled-back", True),
        ("give-back", "upgrade-required", True),
        ("failed", "failed", False),
    ],
)
def test_the_end_of_it(run, step, state, in_service):
    run("drain")
    answer = run(step, reason="as told")
    assert (answer["upgrade"]["state"], answer["upgrade"]["reason"]) == (state, "as told")
    assert (answer["service"] is None) == in_service


@pytest.mark.parametrize("step", ["require", "drain"])
def test_a_node_of_another_campaign_is_told_as_claimed_with_the_way_out(run, step):
    run("drain", campaign=THEIRS)
    answer = run(step)
    assert (answer["failed"], answer["claimed"]) == (True, True)
    assert "25.0.rc1-2 of ada@ops2" in answer["msg"]
    assert "-e fleet_upgrade_take_over=true" in answer["msg"]
    taken = run("drain", take_over=True)
    assert (taken["upgrade"]["run"], taken["untouched"]) == (OURS["id"], False)


def test_a_state_that_can_t_be_written_is_told(run, tmp_path):
    (tmp_path / RECORD).mkdir(parents=True)
    answer = run("drain")
    assert answer["failed"] is True
    assert "can't be written" in answer["msg"]
    assert RECORD in answer["msg"]


def test_the_record_of_a_newer_release_is_refused_with_the_next_step(run, tmp_path):
    run("done")
    record = tmp_path / RECORD
    record.write_text(json.dumps({**json.loads(record.read_text()), "schema": 99}))
    answer = run("drain", before=BEFORE)
    assert (answer["failed"], answer["msg"]) == (
        True,
        (
            f"{record} has schema 99, and schemas up to 1 are known here: a newer release wrote it; "
            "use that release on the control machine too"
        ),
    )
