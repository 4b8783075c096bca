# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.upgrade.smoke import pairs, smoke_jobs
from tests.support.upgrade_telechat_run import StandIn

WORDS = ["finetune", "--config", "tiny.yaml"]


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [([], []), (["a"], [("a",)]), (["a", "b"], [("a", "b")]), (["a", "b", "c"], [("a", "b"), ("c",)])],
)
def test_hosts_two_by_two(hosts: list[str], expected: list[tuple[str, ...]]) -> None:
    assert pairs(hosts) == expected


@given(st.lists(st.integers().map(str)))
def test_every_host_is_in_one_pair(hosts: list[str]) -> None:
    found = pairs(hosts)
    assert [host for group in found for host in group] == hosts
    assert all(len(group) == 2 for group in found[:-1])


def test_each_pair_runs_the_job_though_it_is_out_of_service(telechat_run: StandIn) -> None:
    assert smoke_jobs(["a", "b", "c"], WORDS, telechat_run.commands) == {}
    common = ["--out-of-service", "-i", "hosts.yml", "--group", "ascend"]
    assert sorted(telechat_run.calls()) == [
        ["-m", "telechat_runtime", *WORDS, "--limit", "a,b", *common],
        ["-m", "telechat_runtime", *WORDS, "--limit", "c", *common],
    ]


def test_the_hosts_of_a_pair_whose_job_fails_are_told_with_the_reason(telechat_run: StandIn) -> None:
    telechat_run.fails({"c,d": (1, "rank 3 failed\n"), "e": (5, "")})
    job = "the job `telechat-run finetune --config tiny.yaml` on"
    assert smoke_jobs(["a", "b", "c", "d", "e"], WORDS, telechat_run.commands) == {
        "c": f"{job} c and d failed: exit code 1: rank 3 failed",
        "d": f"{job} c and d failed: exit code 1: rank 3 failed",
        "e": f"{job} e failed: exit code 5: it said nothing",
    }


def test_without_hosts_nothing_runs(telechat_run: StandIn) -> None:
    assert smoke_jobs([], WORDS, telechat_run.commands) == {}
    assert telechat_run.calls() == []


def test_more_pairs_than_run_at_once_all_have_their_turn(tmp_path: Path) -> None:
    run = StandIn(tmp_path)
    hosts = [f"n{number}" for number in range(24)]
    assert smoke_jobs(hosts, ["check"], run.commands) == {}
    assert len(run.calls()) == 12
