# SPDX-License-Identifier: Apache-2.0
"""A node in a fleet upgrade: whatever interrupts it, no job starts there meanwhile, and what ran before stays known."""

import contextlib
import fcntl
import json
import os
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from ansible.module_utils import node_upgrade
from ansible.module_utils.ascend.schema import NewerSchemaError
from ansible.module_utils.node_upgrade import (
    ACTIVE,
    CHANGING,
    DONE,
    DRAINING,
    FAILED,
    REBOOTING,
    RECORD,
    REQUIRED,
    ROLLED_BACK,
    UPGRADING,
    VALIDATING,
    Campaign,
    ClaimedError,
    NodeUpgrade,
)
from hypothesis import given
from hypothesis import strategies as st

OURS = Campaign("24.1.rc3-1", "lin@ops1", "24.1.rc3")
THEIRS = Campaign("25.0.rc1-2", "ada@ops2", "25.0.rc1")
BEFORE = {"driver": "23.0.3", "firmware": "7.1.0.5.220"}
LATER = {"driver": "24.1.rc3", "firmware": None}
ENDS = [DONE, FAILED, ROLLED_BACK, REQUIRED]
MAINTENANCE = json.dumps({"kind": "maintenance", "reason": "new fan", "by": "bob@ops1", "since": "yesterday"})


@pytest.fixture
def node(tmp_path):
    return NodeUpgrade("/jobs", str(tmp_path))


@pytest.fixture
def service(tmp_path):
    (tmp_path / "jobs").mkdir()
    return tmp_path / "jobs" / "service.json"


def bring(node, campaign, state):
    """Bring a node that ran BEFORE into a state of a campaign, by the steps that lead there."""
    node.require(campaign, BEFORE)
    if state != REQUIRED:
        node.drain(campaign, BEFORE, take_over=False)
    if state in CHANGING:
        node.advance(campaign, state)
    if state in (DONE, FAILED, ROLLED_BACK):
        node.advance(campaign, UPGRADING)
        node.finish(campaign, state)


def state(node):
    return node.record()["state"]


def test_nothing_to_say_of_a_node_that_no_upgrade_has_come_to(node):
    assert node.look() == {"upgrade": None, "service": None, "job": None}


def test_required_is_noted_and_the_node_goes_on_with_its_service(node):
    node.require(OURS, BEFORE)
    look = node.look()
    assert {name: look["upgrade"][name] for name in ("run", "release", "operator", "state", "from")} == {
        "run": OURS.id,
        "release": OURS.release,
        "operator": OURS.operator,
        "state": REQUIRED,
        "from": BEFORE,
    }
    assert look["service"] is None


def test_drained_it_is_out_of_service_for_the_campaign(node):
    assert node.drain(OURS, BEFORE, take_over=False) is True
    look = node.look()
    assert (look["upgrade"]["state"], look["upgrade"]["from"]) == (DRAINING, BEFORE)
    assert (look["service"]["kind"], look["service"]["by"]) == ("upgrade", "lin@ops1")
    assert look["service"]["reason"] == "upgrade to 24.1.rc3"


@pytest.mark.parametrize("found", ACTIVE)
def test_a_node_that_another_campaign_is_at_work_on_is_left_alone(node, found):
    bring(node, THEIRS, found)
    before = node.look()
    for step in (lambda: node.require(OURS, LATER), lambda: node.drain(OURS, LATER, take_over=False)):
        with pytest.raises(ClaimedError, match=f"{THEIRS.id} of ada@ops2 has had it {found} since"):
            step()
    assert node.look() == before


@pytest.mark.parametrize(
    ("found", "before"), [(REQUIRED, LATER), (DONE, LATER), (ROLLED_BACK, LATER), (FAILED, BEFORE)]
)
def test_a_node_that_another_campaign_is_not_at_work_on_is_free(node, found, before):
    bring(node, THEIRS, found)
    node.require(OURS, LATER)
    assert node.drain(OURS, LATER, take_over=False) is True
    record = node.record()
    assert (record["run"], record["release"], record["state"]) == (OURS.id, OURS.release, DRAINING)
    # One that failed may run anything: what it ran before that counts.
    assert record["from"] == before
    assert record["history"][0]["operator"] == THEIRS.operator


@pytest.mark.parametrize("found", CHANGING)
def test_taken_over_it_goes_on_where_it_is_and_knows_what_ran_before(node, found):
    bring(node, THEIRS, found)
    assert node.drain(OURS, LATER, take_over=True) is False
    look = node.look()
    record = look["upgrade"]
    assert (record["state"], record["from"], record["reason"]) == (found, BEFORE, "taken over from ada@ops2")
    assert (record["run"], record["operator"], record["release"]) == OURS
    assert (look["service"]["reason"], look["service"]["by"]) == ("upgrade to 24.1.rc3", "lin@ops1")


def test_taken_over_while_it_drains_it_is_untouched(node):
    bring(node, THEIRS, DRAINING)
    assert node.drain(OURS, LATER, take_over=True) is True
    assert (node.record()["run"], state(node), node.record()["from"]) == (OURS.id, DRAINING, LATER)


@pytest.mark.parametrize("found", ACTIVE)
@pytest.mark.parametrize("operator", ["lin@ops1", "ada@ops2"])
def test_an_interrupted_node_goes_on_where_it_was(node, found, operator):
    bring(node, OURS, found)
    node.require(OURS._replace(operator=operator), LATER)
    assert node.drain(OURS._replace(operator=operator), LATER, take_over=False) is (found == DRAINING)
    record = node.record()
    assert (record["state"], record["from"], record["operator"]) == (found, BEFORE, operator)


@pytest.mark.parametrize("end", [DONE, ROLLED_BACK, REQUIRED])
def test_ended_well_or_untouched_it_is_back_in_service(node, end):
    bring(node, OURS, UPGRADING)
    node.finish(OURS, end, "as told")
    look = node.look()
    assert (look["upgrade"]["state"], look["upgrade"]["reason"], look["service"]) == (end, "as told", None)


@pytest.mark.parametrize("found", [REQUIRED, *ACTIVE])
def test_failed_it_is_out_of_service_and_says_why(node, found):
    bring(node, OURS, found)
    node.finish(OURS, FAILED, "no link on chip 3")
    look = node.look()
    assert (look["upgrade"]["state"], look["service"]["kind"]) == (FAILED, "upgrade")
    assert look["service"]["reason"] == "upgrade to 24.1.rc3 failed: no link on chip 3"


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("text", "reason"), [(MAINTENANCE, "new fan"), ("{", "service.json can't be read")])
def test_what_kept_it_out_before_still_does_afterwards(node, service, text, reason, end):
    service.write_text(text)
    bring(node, OURS, VALIDATING)
    node.finish(OURS, end)
    assert service.read_text() == text
    out = node.look()["service"]
    assert out["kind"] == "maintenance"
    assert out["reason"].endswith(reason)


def test_since_when_it_is_out_is_kept_from_one_campaign_to_the_next(node, service):
    bring(node, THEIRS, FAILED)
    service.write_text(json.dumps({**json.loads(service.read_text()), "since": "last week"}))
    bring(node, OURS, UPGRADING)
    assert node.look()["service"]["since"] == "last week"


def test_what_ran_before_is_of_the_campaign_and_not_of_its_last_attempt(node):
    bring(node, OURS, FAILED)
    for _ in range(2):
        node.require(OURS, LATER)
        node.drain(OURS, LATER, take_over=False)
        node.finish(OURS, FAILED)
    assert node.record()["from"] == BEFORE


def test_the_record_does_not_grow_for_ever(node):
    bring(node, OURS, UPGRADING)
    for number in range(150):
        node.advance(OURS, UPGRADING, str(number))
    assert [entry["reason"] for entry in node.record()["history"]] == [str(number) for number in range(50, 150)]


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_record_that_can_t_be_read_holds_nothing_up(node, tmp_path, text):
    bring(node, THEIRS, UPGRADING)
    (tmp_path / RECORD).write_text(text)
    assert node.drain(OURS, LATER, take_over=False) is True
    assert state(node) == DRAINING


def test_the_record_of_a_newer_release_is_refused_and_left_as_it_is(node, tmp_path):
    bring(node, OURS, DONE)
    path = tmp_path / RECORD
    newer = json.dumps({**node.record(), "schema": 99})
    path.write_text(newer)
    for use in (
        lambda: node.require(THEIRS, LATER),
        lambda: node.drain(THEIRS, LATER, take_over=True),
        lambda: node.finish(OURS, FAILED),
        lambda: node_upgrade.versions_before(str(tmp_path)),
        lambda: node_upgrade.noted_versions(str(tmp_path)),
    ):
        with pytest.raises(NewerSchemaError, match=rf"{path} has schema 99, and schemas up to 1 are known here"):
            use()
    assert path.read_text() == newer
    assert node.look()["service"] is None


def test_a_node_that_goes_back_knows_where_to_however_often_it_is_tried(node, tmp_path):
    back = Campaign("rollback-3", "lin@ops1", "rollback")
    bring(node, OURS, DONE)
    for _ in range(2):
        node.require(back, LATER)
        assert node_upgrade.versions_before(str(tmp_path)) == BEFORE
        node.drain(back, LATER, take_over=False)
        assert node_upgrade.versions_before(str(tmp_path)) == BEFORE
        node.finish(back, FAILED)
    assert set(node_upgrade.noted_versions(str(tmp_path))) == {*BEFORE.values(), *LATER.values()}


def test_given_back_after_an_earlier_failure_it_stays_out(node):
    bring(node, OURS, FAILED)
    node.drain(THEIRS, LATER, take_over=False)
    node.finish(THEIRS, REQUIRED, "job 7 still ran")
    assert node.look()["service"]["reason"] == "an earlier upgrade failed, and this one did not try it: job 7 still ran"


def test_what_ran_before_a_failure_is_known_through_campaigns_that_never_came_to_it(node, tmp_path):
    bring(node, OURS, FAILED)
    third = Campaign("25.2.0-3", "lin@ops1", "25.2.0")
    for campaign in (THEIRS, third):
        node.require(campaign, LATER)
    assert node_upgrade.versions_before(str(tmp_path)) == BEFORE


def test_what_ran_before_a_campaign_that_never_came_to_the_node_is_not_kept(node, tmp_path):
    bring(node, OURS, REQUIRED)
    node.require(THEIRS, LATER)
    assert node_upgrade.versions_before(str(tmp_path)) == LATER


def test_a_control_side_that_was_taken_for_dead_writes_nothing_any_more(node):
    bring(node, OURS, UPGRADING)
    node.drain(THEIRS, LATER, take_over=True)
    kept = node.record()
    for step in (node.advance, node.finish):
        with pytest.raises(ClaimedError):
            step(OURS, DONE)
    assert node.record() == kept
    assert node.look()["service"] is not None


def test_work_begins_on_a_drained_node_and_begins_again_on_none(node):
    bring(node, OURS, DRAINING)
    node.begin_work(OURS)
    assert state(node) == UPGRADING
    node.advance(OURS, VALIDATING)
    node.begin_work(OURS)
    assert state(node) == VALIDATING


def test_the_record_follows_the_file_that_keeps_jobs_away(node, monkeypatch, service):
    kept_away = []
    monkeypatch.setattr(node_upgrade, "write_json", lambda *_: kept_away.append(service.exists()))
    node.drain(OURS, BEFORE, take_over=False)
    assert kept_away == [True]


def test_a_job_is_waited_for_until_it_lets_go_of_the_node(node, tmp_path, monkeypatch):
    (tmp_path / "jobs").mkdir()
    with (tmp_path / "jobs" / "lease.json").open("w+") as lease:
        lease.write('{"job_id": "7"}')
        lease.flush()
        fcntl.flock(lease, fcntl.LOCK_EX)
        assert node.wait_for_jobs(0) == "7"
        # The job ends while it is waited for.
        monkeypatch.setattr(node_upgrade.time, "sleep", lambda _: fcntl.flock(lease, fcntl.LOCK_UN))
        assert node.wait_for_jobs(3600) is None


class KilledError(Exception):
    """Stands for the end of all processes."""


@contextlib.contextmanager
def killed_before_write(number, check):
    """Kill what runs in the block before its write of this number; check what is on the disk after each one."""
    left = [number]

    def limited(write):
        def call(*arguments):
            if not left[0]:
                raise KilledError
            left[0] -= 1
            write(*arguments)
            check()

        return call

    writes = [mock.patch(f"os.{name}", limited(getattr(os, name))) for name in ("replace", "unlink")]
    with writes[0], writes[1], mock.patch("os.fsync"), contextlib.suppress(KilledError):
        yield


RUNS = st.tuples(st.sampled_from([OURS, THEIRS]), st.booleans(), st.sampled_from(ENDS), st.integers(0, 12))


@given(runs=st.lists(RUNS, max_size=6), maintenance=st.booleans())
def test_no_job_starts_while_a_campaign_is_at_work_whatever_is_killed_and_when(runs, maintenance):
    with tempfile.TemporaryDirectory() as root:
        node, service = NodeUpgrade("/jobs", root), Path(root, "jobs", "service.json")

        def check():
            # `telechat-run nodes` shows the state of whatever is there.
            assert not Path(root, RECORD).exists() or state(node)
            assert node.record().get("state") not in ACTIVE or service.exists()
            assert not maintenance or node.look()["service"]["kind"] == "maintenance"

        if maintenance:
            service.parent.mkdir()
            service.write_text(MAINTENANCE)
        for campaign, take_over, end, writes in runs:
            with killed_before_write(writes, check), contextlib.suppress(ClaimedError):
                if not take_over:
                    node.require(campaign, BEFORE)
                node.drain(campaign, BEFORE, take_over=take_over)
                for step in (UPGRADING, REBOOTING, VALIDATING):
                    node.advance(campaign, step)
                node.finish(campaign, end)
