# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Dict, List, Sequence, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.errors import SpecError
from telechat_runtime.upgrade.plan import HostLook, Settings, UpgradePlan, plan_upgrade, share_of


def host(name: str, **found: Any) -> HostLook:
    return HostLook(name=name, **{"work": ("ascend_hdk: upgrade driver",), "seconds": 600, **found})


def hosts(count: int) -> List[HostLook]:
    return [host(f"n{number}") for number in range(count)]


def as_wanted(name: str) -> HostLook:
    return host(name, work=())


def silent(name: str) -> HostLook:
    return host(name, work=(), problems=("unreachable: no route",), reachable=False)


def planned(looks: Sequence[HostLook], **more: Any) -> UpgradePlan:
    state = {name: more.pop(name) for name in ("failed", "waves_before", "canary_passed") if name in more}
    return plan_upgrade(looks, Settings(**more), **state)


def waves(plan: UpgradePlan) -> List[Tuple[str, ...]]:
    return [wave.hosts for wave in plan.waves]


def limits(looks: Sequence[HostLook], **more: Any) -> Tuple[int, int, int]:
    found = planned(looks, **more).limits
    return found.allowed_unavailable, found.max_failures, found.batch


def test_hosts_go_in_the_order_that_the_operator_names_and_then_in_the_inventorys() -> None:
    plan = planned(hosts(5), order=("n3", "of-another-rack", "n1"), waves=(2,), max_unavailable=2)
    assert waves(plan) == [("n3",), ("n1", "n0"), ("n2", "n4")]


def test_canaries_go_before_the_order() -> None:
    assert waves(planned(hosts(3), order=("n2", "n1"), canaries=("n0",)))[0] == ("n0",)


def test_a_host_that_the_order_names_twice_is_refused() -> None:
    with pytest.raises(SpecError, match="fleet_upgrade_order names n1 more than once"):
        planned(hosts(3), order=("n1", "n0", "n1"))


@pytest.mark.parametrize(
    ("share", "count"),
    [(3, 3), ("3", 3), (" 3 ", 3), (0, 0), (99, 99), ("25%", 10), ("100%", 40), ("0%", 0), ("9 %", 3)],
)
def test_a_share_is_a_number_or_a_percentage_rounded_down(share: Any, count: int) -> None:
    assert share_of(share, 40, name="fleet_upgrade_max_unavailable") == count


@pytest.mark.parametrize("share", ["101%", "-1", -1, "1.5", "10%%", "a quarter", "", "%", None, "²"])
def test_a_share_that_means_nothing_is_told_with_its_name_and_how_to_write_it(share: Any) -> None:
    with pytest.raises(SpecError) as caught:
        planned(hosts(4), max_unavailable=share)
    assert f"fleet_upgrade_max_unavailable is {share!r}" in caught.value.message
    assert 'fleet_upgrade_max_unavailable: "25%"' in caught.value.next_step


@given(st.one_of(st.text(max_size=5), st.integers(), st.from_regex(r"\d{1,4} ?%?", fullmatch=True)))
def test_any_share_is_a_number_or_a_told_mistake(share: Any) -> None:
    try:
        count = share_of(share, 40, name="fleet_upgrade_waves")
    except SpecError:
        return
    assert count >= 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"canaries": ("n0", "n9", "n8")}, "fleet_upgrade_canaries names n9, n8, which is not among the hosts"),
        ({"drain": "kill"}, "fleet_upgrade_drain is 'kill': wait, checkpoint or skip is needed"),
        ({"waves": ()}, "fleet_upgrade_waves: at least one wave"),
        ({"waves": (1, "0%")}, "fleet_upgrade_waves: at least one wave"),
        ({"waves": (1, "many")}, "fleet_upgrade_waves is 'many'"),
        ({"max_fail_percentage": 101}, "fleet_upgrade_max_fail_percentage is '101%'"),
    ],
)
def test_settings_that_mean_nothing(settings: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        planned(hosts(4), **settings)


@pytest.mark.parametrize(
    ("fleet", "settings", "expected"),
    [
        (hosts(40), {}, (10, 4, 6)),
        (hosts(40), {"max_fail_percentage": 0}, (10, 0, 10)),
        (hosts(40), {"max_unavailable": 3}, (3, 2, 1)),
        # One host may always leave service, and rather no failure is tolerated than no host upgraded.
        (hosts(3), {"max_fail_percentage": 100}, (1, 0, 1)),
        (hosts(4), {"max_unavailable": "0%"}, (1, 0, 1)),
        # Out already, for whatever reason.
        ([*hosts(37), host("m", out="disk"), silent("s"), silent("t")], {}, (10, 4, 3)),
        ([*hosts(2), host("m", out="disk"), silent("s")], {"max_unavailable": 2}, (2, 0, 0)),
        # They come back or count as failed; the one with a problem and the one in maintenance stay out.
        ([*hosts(7), host("i", out="x", interrupted=True)], {"max_unavailable": 3}, (3, 0, 3)),
        (
            [*hosts(7), host("i", out="x", interrupted=True, problems=("disk: full",))],
            {"max_unavailable": 3},
            (3, 0, 2),
        ),
        ([*hosts(7), host("i", out="x", interrupted=True, stays_out=True)], {"max_unavailable": 3}, (3, 0, 2)),
        # Those that failed are set aside already.
        ([*hosts(39), host("f", out="failed")], {"failed": ["f"]}, (10, 4, 6)),
    ],
)
def test_what_may_be_out_may_fail_and_may_leave_together(
    fleet: Sequence[HostLook], settings: Any, expected: Tuple[int, int, int]
) -> None:
    assert limits(fleet, **settings) == expected


def test_waves_grow_and_the_last_size_goes_on_to_the_end() -> None:
    plan = planned(hosts(24), waves=(1, 2, "25%"), max_unavailable=6, max_fail_percentage=0)
    assert [len(wave) for wave in waves(plan)] == [1, 2, 6, 6, 6, 3]
    assert [wave.number for wave in plan.waves] == [1, 2, 3, 4, 5, 6]
    assert [wave.kind for wave in plan.waves] == ["canary"] + ["batch"] * 5
    assert plan.seconds == 6 * 600


def test_a_wave_takes_as_long_as_its_slowest_host() -> None:
    fleet = [host("n0", seconds=60), host("n1", seconds=900), host("n2", seconds=30)]
    assert planned(fleet, waves=(1, 2), max_unavailable=2, max_fail_percentage=0).seconds == 60 + 900


def test_the_canary_is_an_idle_host_in_service() -> None:
    fleet = [host("busy", job="j"), host("out", out="disk"), host("idle"), host("later")]
    assert waves(planned(fleet, max_unavailable=2))[0] == ("idle",)
    assert waves(planned(fleet[:2], max_unavailable=2))[0] == ("busy",)
    assert waves(planned(fleet[1:2]))[0] == ("out",)


def test_named_canaries_go_first_with_the_rest_of_their_job() -> None:
    fleet = [*hosts(3), host("a", job="j"), host("b", job="j")]
    plan = planned(fleet, canaries=("n2", "b"), max_unavailable=3, max_fail_percentage=0)
    assert waves(plan)[0] == ("n2", "a", "b")
    assert plan.waves[0].kind == "canary"


def test_named_canaries_leave_service_within_the_limit() -> None:
    plan = planned(hosts(4), canaries=("n1", "n2", "n3"), max_unavailable=2, max_fail_percentage=0)
    assert [(wave.kind, wave.hosts) for wave in plan.waves] == [
        ("canary", ("n1", "n2")),
        ("batch", ("n0",)),
        ("batch", ("n3",)),
    ]


def test_a_canary_that_can_not_go_is_replaced() -> None:
    assert waves(planned([host("n0", problems=("disk: full",)), host("n1")], canaries=("n0",))) == [("n1",)]


def test_after_the_canary_passed_there_is_none() -> None:
    plan = planned(hosts(5), waves=(1, 2), max_unavailable=2, canary_passed=True, waves_before=1)
    assert [(wave.number, wave.kind, len(wave.hosts)) for wave in plan.waves] == [
        (2, "batch", 2),
        (3, "batch", 2),
        (4, "batch", 1),
    ]


def test_hosts_of_one_job_go_together_even_when_the_wave_grows_by_that() -> None:
    fleet = [host("c"), host("a", job="j"), host("n0"), host("b", job="j"), host("n1")]
    plan = planned(fleet, waves=(1,), max_unavailable=2, max_fail_percentage=0)
    assert waves(plan) == [("c",), ("a", "b"), ("n0",), ("n1",)]


def test_a_job_wider_than_what_may_leave_together_is_refused_with_the_way_out() -> None:
    fleet = [*hosts(9), *(host(name, job="j") for name in "abc")]
    plan = planned(fleet, max_unavailable=3)
    assert set(plan.refused) == {"a", "b", "c"}
    assert "; ".join(plan.refused["a"]) == (
        "job j runs on 3 hosts, and 2 may leave service together:"
        " wait for it, stop it, or raise fleet_upgrade_max_unavailable"
    )
    assert planned(fleet, max_unavailable=4).refused == {}


def test_hosts_that_do_not_leave_service_make_no_job_too_wide() -> None:
    fleet = [
        *hosts(9),
        host("goes", job="j"),
        replace(as_wanted("wanted"), job="j"),
        host("ill", job="j", problems=("disk: full",)),
        host("out", job="j", out="disk"),
        host("failed", job="j"),
    ]
    plan = planned(fleet, max_unavailable=2, max_fail_percentage=0, failed=["failed"])
    assert plan.limits.batch == 1
    assert set(plan.refused) == {"ill", "failed"}


def test_skip_refuses_hosts_with_jobs_wherever_they_are() -> None:
    fleet = [host("busy", job="j"), host("idle"), host("out", job="k", out="disk"), replace(as_wanted("w"), job="j")]
    plan = planned(fleet, drain="skip", max_unavailable=2)
    assert waves(plan) == [("idle",)]
    assert plan.refused["busy"] == ("job j runs here, and fleet_upgrade_drain is skip",)
    assert set(plan.refused) == {"busy", "out"}


def test_hosts_out_of_service_go_even_when_no_other_may() -> None:
    fleet = [host("n0"), host("a", out="disk"), host("b", out="its upgrade failed"), as_wanted("w")]
    plan = planned(fleet, max_unavailable=2)
    assert waves(plan) == [("a",), ("b",)]
    assert plan.out == ("a", "b")
    assert set(plan.refused) == {"n0"}
    assert "; ".join(plan.refused["n0"]) == (
        "as many hosts are out of service as may be (2 of 4): put some in again, or raise fleet_upgrade_max_unavailable"
    )


def test_hosts_that_give_no_answer_are_left_alone_and_count_as_out() -> None:
    plan = planned([host("n0"), silent("s")], max_unavailable=2)
    assert (waves(plan), plan.out) == ([("n0",)], ("s",))
    assert plan.refused == {"s": ("unreachable: no route",)}


def test_what_was_interrupted_goes_on_first_and_is_the_canary() -> None:
    fleet = [host("n0"), host("i", out="upgrade", interrupted=True, job="k"), host("n1")]
    plan = planned(fleet, canaries=("n1",), waves_before=3)
    assert [(wave.number, wave.kind, wave.hosts) for wave in plan.waves] == [
        (4, "interrupted", ("i",)),
        (5, "batch", ("n0",)),
        (6, "batch", ("n1",)),
    ]


def test_the_rest_of_an_interrupted_job_goes_with_it_when_it_may() -> None:
    fleet = [host("n0"), host("a", job="j", out="upgrade", interrupted=True), host("b", job="j"), host("c", job="j")]
    assert waves(planned(fleet, max_unavailable=3, max_fail_percentage=0)) == [("a", "b", "c"), ("n0",)]
    assert waves(planned(fleet, max_unavailable=2, max_fail_percentage=0)) == [("a",), ("n0",), ("b", "c")]
    assert waves(planned(fleet, drain="skip", max_unavailable=3)) == [("a",), ("n0",)]


def test_hosts_that_failed_are_not_tried_again() -> None:
    plan = planned([host("n0"), host("f", out="upgrade failed"), host("i", interrupted=True)], failed=["f", "i"])
    assert waves(plan) == [("n0",)]
    assert plan.refused["f"] == plan.refused["i"] == ("this upgrade failed here before; a new one tries it again",)


def test_hosts_as_wanted_have_nothing_to_do() -> None:
    plan = planned([as_wanted("w"), replace(as_wanted("m"), out="disk"), as_wanted("x")], failed=["x"])
    assert (plan.ready, waves(plan), plan.refused, plan.seconds) == (("w", "m", "x"), [], {}, 0)


def test_a_problem_is_told_even_where_nothing_is_to_be_done() -> None:
    plan = planned([replace(as_wanted("w"), problems=("clock: off", "disk: full"))])
    assert plan.refused == {"w": ("clock: off", "disk: full")}


def test_a_plan_as_data() -> None:
    document = planned([host("n0"), as_wanted("w"), silent("s")], max_unavailable=2).as_dict()
    assert json.loads(json.dumps(document)) == {
        "limits": {"hosts": 3, "allowed_unavailable": 2, "max_failures": 0, "batch": 1},
        "waves": [{"number": 1, "kind": "canary", "hosts": ["n0"]}],
        "ready": ["w"],
        "refused": {"s": ["unreachable: no route"]},
        "out": ["s"],
        "seconds": 600,
    }


@st.composite
def fleets(draw: st.DrawFn) -> List[HostLook]:
    looks = []
    for number in range(draw(st.integers(1, 24))):
        look = host(f"n{number}", job=draw(st.sampled_from([None, None, "j", "k", "l"])))
        kind = draw(st.sampled_from(["", "", "", "as wanted", "ill", "silent", "out", "maintenance", "interrupted"]))
        change: Dict[str, Dict[str, Any]] = {
            "as wanted": {"work": ()},
            "ill": {"problems": ("disk: full",)},
            "silent": {"problems": ("unreachable: no route",), "reachable": False, "work": (), "job": None},
            "out": {"out": "its upgrade failed"},
            "maintenance": {"out": "disk", "stays_out": True},
            "interrupted": {"out": "upgrade", "interrupted": True, "stays_out": draw(st.booleans())},
        }
        looks.append(replace(look, **change.get(kind, {})))
    return looks


SHARES = st.one_of(st.integers(1, 8), st.integers(10, 100).map("{}%".format))
SETTINGS = st.builds(
    Settings,
    waves=st.lists(SHARES, min_size=1, max_size=3).map(tuple),
    max_unavailable=SHARES,
    max_fail_percentage=st.sampled_from([0, 10, 30]),
    drain=st.sampled_from(["wait", "checkpoint", "skip"]),
)
PLANS = st.tuples(fleets(), SETTINGS, st.sets(st.integers(0, 23)), st.integers(0, 3), st.booleans(), st.integers(0, 2))


def any_plan(case: Any) -> Tuple[List[HostLook], List[str], Settings, UpgradePlan]:
    looks, settings, failures, before, passed, named = case
    failed = [look.name for number, look in enumerate(looks) if number in failures]
    settings = replace(settings, canaries=tuple(look.name for look in looks[:named]))
    plan = plan_upgrade(looks, settings, failed=failed, waves_before=before, canary_passed=passed)
    return looks, failed, settings, plan


@given(PLANS)
def test_every_host_is_in_one_wave_or_as_wanted_or_refused_with_a_reason(case: Any) -> None:
    looks, _, _, plan = any_plan(case)
    told = [*(name for wave in plan.waves for name in wave.hosts), *plan.ready, *plan.refused]
    assert sorted(told) == sorted(look.name for look in looks)
    assert all(wave.hosts for wave in plan.waves)
    assert all(reasons and all(reasons) for reasons in plan.refused.values())
    assert [wave.number for wave in plan.waves] == list(range(case[3] + 1, case[3] + 1 + len(plan.waves)))


@given(PLANS)
def test_every_wave_fits_however_many_failed_before_it(case: Any) -> None:
    looks, failed, _, plan = any_plan(case)
    found = {look.name: look for look in looks}
    goes_on = {name for wave in plan.waves if wave.kind == "interrupted" for name in wave.hosts}
    # Those that go on are back after their wave, or have failed; those that failed are among the failures.
    out = {name for name in plan.out if name not in failed and (name not in goes_on or found[name].stays_out)}
    for wave in plan.waves:
        leaving = {name for name in wave.hosts if found[name].out is None}
        meanwhile = {name for name in wave.hosts if found[name].interrupted}
        if leaving:
            worst = len(out | leaving | meanwhile) + plan.limits.max_failures
            assert worst <= plan.limits.allowed_unavailable


@given(PLANS)
def test_jobs_go_as_a_whole_and_never_with_skip(case: Any) -> None:
    looks, _, settings, plan = any_plan(case)
    wave_of = {name: wave.number for wave in plan.waves for name in wave.hosts}
    going = [look for look in looks if look.name in wave_of and look.job]
    if settings.drain == "skip":
        assert all(look.interrupted for look in going)
    for job in {look.job for look in going}:
        left = [look for look in going if look.job == job and not look.interrupted]
        # The rest of an interrupted job may have no room beside it; it still goes as one.
        assert len({wave_of[look.name] for look in left}) <= 1


@given(PLANS)
def test_who_goes_first(case: Any) -> None:
    looks, _, settings, plan = any_plan(case)
    found = {look.name: look for look in looks}
    kinds = [wave.kind for wave in plan.waves]
    assert set(kinds[1:]) <= {"batch"}
    if not plan.waves:
        return
    first = [found[name] for name in plan.waves[0].hosts]
    anything_interrupted = any(found[name].interrupted for wave in plan.waves for name in wave.hosts)
    assert any(look.interrupted for look in first) == anything_interrupted
    if not anything_interrupted:
        assert kinds[0] == ("batch" if case[4] else "canary")
        named = [name for wave in plan.waves for name in wave.hosts if name in settings.canaries]
        if named and kinds[0] == "canary":
            assert {look.name for look in first} & set(named)
