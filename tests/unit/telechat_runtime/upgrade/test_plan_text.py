# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, List

from telechat_runtime.upgrade.plan import HostLook, Settings, plan_upgrade
from telechat_runtime.upgrade.plan_text import plan_lines

WORK = ("ascend_hdk: upgrade driver 24.1.rc3",)


def lines(*looks: HostLook, **settings: Any) -> List[str]:
    plan = plan_upgrade(looks, Settings(**settings))
    return plan_lines(plan, looks, release="24.1.rc3", drain=settings.get("drain", "wait"))


def test_the_lines_of_a_plan() -> None:
    wave = "a wave takes out at most 2; 0 may fail before it stops"
    assert lines(
        HostLook("n0", WORK, seconds=900, job="week-1"),
        HostLook("n1", (*WORK, "telechat_image: load 1.2"), seconds=1230),
        HostLook("n2", WORK, seconds=300, out="its upgrade failed (lin@ops1, since today)"),
        HostLook("n3", problems=("disk: full -> clean it", "clock: off -> set it")),
        HostLook("n4"),
        max_unavailable=3,
        waves=(2,),
    ) == [
        "wave 1 (canary): 1 host, about 20 min",
        "  n1: ascend_hdk: upgrade driver 24.1.rc3; telechat_image: load 1.2",
        "wave 2 (batch): 2 hosts, about 15 min",
        "  n0: job week-1 is waited for; ascend_hdk: upgrade driver 24.1.rc3",
        "  n2: ascend_hdk: upgrade driver 24.1.rc3; out of service before: its upgrade failed (lin@ops1, since today)",
        "refused: n3: disk: full -> clean it; clock: off -> set it",
        "nothing to do on 1 of 5 hosts",
        "24.1.rc3: 3 of 5 hosts in 2 waves, about 36 min and what the jobs take; 1 refused",
        f"at most 3 hosts out of service, 1 out already; {wave}",
    ]


def test_what_was_interrupted_and_a_job_that_is_stopped() -> None:
    look = HostLook(
        "n0", ("install the driver",), out="upgrade (lin@ops1, since today)", interrupted=True, job="week-1"
    )
    assert lines(look, drain="checkpoint")[:2] == [
        "wave 1 (interrupted): 1 host",
        "  n0: job week-1 is stopped after its next checkpoint; goes on where it was interrupted; install the driver",
    ]


def test_what_a_scheduler_of_the_site_is_told() -> None:
    looks = [HostLook("n0", WORK), HostLook("n1", WORK)]
    plan = plan_upgrade(looks, Settings())
    scheduler = (["kubectl", "drain", "n0", "--timeout=30 m"], [])
    told = plan_lines(plan, looks, release="24.1.rc3", drain="wait", scheduler=scheduler)
    assert "before the work of each node, as for this one: kubectl drain n0 '--timeout=30 m'" in told
    assert not any("after the work" in line for line in told)


def test_nothing_to_do_at_all() -> None:
    assert lines(HostLook("n0"), HostLook("n1")) == [
        "nothing to do on 2 of 2 hosts",
        "24.1.rc3: 0 of 2 hosts in 0 waves; 0 refused",
        "at most 1 host out of service; a wave takes out at most 1; 0 may fail before it stops",
    ]
