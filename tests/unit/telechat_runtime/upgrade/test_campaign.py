# SPDX-License-Identifier: Apache-2.0
"""Campaigns as Hypothesis makes them up, on fleets as it makes them up, killed where it likes."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telechat_runtime.upgrade.history import GOOD, IN_PROGRESS, PLANNED, REFUSED, ROLLED_BACK, SKIPPED
from telechat_runtime.upgrade.plan import Settings
from tests.support.simulated_campaign import Campaign, Node

pytestmark = pytest.mark.proof

# More runs than any campaign needs that nobody kills: each loses a whole batch at most.
ENOUGH_RUNS = 30

Runs = List[Tuple[Tuple[int, int], List[Tuple[int, str]]]]

KINDS: Dict[str, Dict[str, Any]] = {
    "as before": {},
    "as wanted": {"upgraded": True},
    "ill": {"ill": True},
    "silent": {"reachable": False},
    "in maintenance": {"service": "maintenance"},
    "failed before": {"service": "upgrade", "state": "failed", "run": "an earlier one"},
    "another's": {"service": "upgrade", "state": "rebooting", "run": "an earlier one"},
}


@st.composite
def nodes(draw: st.DrawFn) -> List[Node]:
    fleet = []
    for number in range(draw(st.sampled_from([1, 2, 4, 6, 8, 12]))):
        kind = draw(st.sampled_from(["as before"] * 16 + list(KINDS)))
        fate = draw(st.sampled_from(["good"] * 16 + ["bad", "lost", "gone", "unfit"]))
        job = draw(st.sampled_from([None, None, "j", "k"])) if kind == "as before" else None
        fleet.append(Node(f"n{number}", fate=fate, job=job, **KINDS[kind]))
    return fleet


SETTINGS = st.builds(
    Settings,
    waves=st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple),
    max_unavailable=st.sampled_from([1, 2, 3, 5, 8]),
    max_fail_percentage=st.sampled_from([0, 10, 20, 40]),
    drain=st.sampled_from(["wait", "wait", "skip"]),
)
CAMPAIGNS = st.builds(
    Campaign,
    nodes(),
    SETTINGS,
    ending_jobs=st.sampled_from([(), ("j",), ("j", "k")]),
    take_over=st.booleans(),
    rollback_canary=st.booleans(),
)
# After how many moments a run is killed, how many each fork lives on, and what happens before the next run.
RUNS = st.lists(
    st.tuples(
        st.tuples(st.integers(0, 150), st.integers(0, 8)),
        st.lists(
            st.tuples(
                st.integers(0, 11), st.sampled_from(["silent", "answers", "maintenance", "in service", "job ends"])
            ),
            max_size=2,
        ),
    ),
    max_size=4,
)


def carry_out(campaign: Campaign, runs: Runs) -> None:
    """Run it, and have each run killed and things happen as given; then run it to its end."""
    for kill, happenings in runs:
        if not campaign.has_ended:
            campaign.run(kill)
            for number, what in happenings:
                campaign.disturb(f"n{number % len(campaign.nodes)}", what)
    for _ in range(ENOUGH_RUNS):
        if not campaign.has_ended:
            campaign.run()
    assert campaign.has_ended


def outcomes(campaign: Campaign) -> Dict[str, str]:
    return {host.name: host.outcome for host in campaign.record.history().hosts.values()}


def check_end(campaign: Campaign) -> None:
    """See that every host ended in one outcome that is true."""
    history = campaign.record.history()
    assert history.most_unavailable["count"] >= campaign.most_out
    assert set(history.hosts) == set(campaign.nodes)
    for name, host in history.hosts.items():
        node = campaign.nodes[name]
        # After the end of the campaign, none is there to note it.
        assert host.outcome != IN_PROGRESS or campaign.was_killed
        assert host.outcome != PLANNED or history.stopped_because
        if host.outcome in GOOD:
            assert node.upgraded
            assert node.service != "upgrade"
        elif host.outcome in (PLANNED, REFUSED, SKIPPED):
            assert node.service != "upgrade" or name in campaign.out_before | campaign.cut_off
        elif host.outcome == ROLLED_BACK:
            assert not node.upgraded


@settings(max_examples=500)
@given(CAMPAIGNS, RUNS)
def test_the_limits_and_the_record_hold_whatever_happens(campaign: Campaign, runs: Runs) -> None:
    # What has to be so at every moment is looked at where it happens: Campaign._compare and _judge.
    carry_out(campaign, runs)
    check_end(campaign)


FLEETS: Dict[str, Tuple[Settings, List[Dict[str, Any]]]] = {
    "all goes well": (Settings(waves=(1, 2), max_unavailable=2), [{}] * 5),
    "a job on two": (Settings(canaries=("n1",), max_unavailable=2), [{"job": "j"}, {"job": "j"}, {}]),
    "a job that goes on": (Settings(canaries=("n1",), max_unavailable=2), [{"job": "k"}, {"job": "k"}, {}]),
    "the canary fails": (Settings(canaries=("n0",), max_unavailable=2), [{"fate": "bad"}, {}, {}]),
    "one of two canaries fails": (
        Settings(canaries=("n0", "n1"), max_unavailable=4, max_fail_percentage=20),
        [{}, {"fate": "bad"}, {}, {}, {}, {}],
    ),
    "one fails as is tolerated": (
        Settings(waves=(1, 4), max_unavailable=3, max_fail_percentage=20),
        [{}, {}, {"fate": "bad"}, *[{}] * 5],
    ),
    "one is in maintenance": (Settings(waves=(2,), max_unavailable=2), [{}, {"service": "maintenance"}, {}, {}]),
    "one is lost": (Settings(max_unavailable=3, max_fail_percentage=40), [{}, {"fate": "lost"}, {}, {}, {}]),
    "one is not fit": (Settings(waves=(1, 3), max_unavailable=3), [{}, {"fate": "unfit"}, {}, {}]),
}


@pytest.mark.parametrize("others", [0, 3])
@pytest.mark.parametrize("fleet", FLEETS)
def test_a_control_side_that_is_killed_at_any_moment_goes_on_where_it_was(fleet: str, others: int) -> None:
    plan, found = FLEETS[fleet]

    def start() -> Campaign:
        nodes = [Node(f"n{number}", **changes) for number, changes in enumerate(found)]
        return Campaign(nodes, plan, ending_jobs=("j",))

    undisturbed = start()
    carry_out(undisturbed, [])
    moments = 0
    while True:
        campaign = start()
        campaign.run((moments, others))
        if not campaign.was_killed:
            break
        carry_out(campaign, [])
        check_end(campaign)
        # Where something fails, or is cut off in the middle, other hosts may be left alone than without the kill.
        if set(outcomes(undisturbed).values()) <= set(GOOD) and not campaign.cut_off:
            assert outcomes(campaign) == outcomes(undisturbed), f"killed at moment {moments}"
        moments += 1
    assert moments > len(undisturbed.record.events())


@given(CAMPAIGNS)
def test_a_campaign_that_nobody_disturbs_takes_every_host_through(campaign: Campaign) -> None:
    for node in campaign.nodes.values():
        node.fate, node.ill, node.reachable, node.job = "good", False, True, None
        node.service, node.state, node.run = None, "", ""
    campaign.run()
    history = campaign.record.history()
    assert {host.outcome for host in history.hosts.values()} <= set(GOOD)
    assert history.stopped_because is None
    assert history.unavailable() == set()
