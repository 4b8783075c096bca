# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from telechat_runtime.errors import SpecError, UnreachableError
from telechat_runtime.fanout import FleetError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.run.record import JobRecord, compare, job_record
from tests.support.recorded_job import CONFIG, JOB, RecordedJob

NO_RECORD = {"record": None, "outcome": None, "config": None}


def recorded(job: RecordedJob) -> JobRecord:
    return job_record(JOB, job.clients, Interrupt())


def test_the_nodes_come_in_the_order_of_their_ranks() -> None:
    record = recorded(RecordedJob(hang_floor=900))
    assert list(record.nodes) == ["node1", "node0"]
    assert (record.options.hang_floor, record.config) == (900, CONFIG)
    lines = record.as_text().splitlines()
    assert lines[0] == f"job {JOB}: finetune of ada@bastion"
    assert [line.split() for line in lines[2:4]] == [["node1", "SUCCEEDED"], ["node0", "SUCCEEDED"]]
    assert "  versions  node1, node0: cann 8.0.RC3" in lines


def test_one_node_with_the_record_is_enough() -> None:
    job = RecordedJob()
    job.transports["node1"].answers["record"] = UnreachableError("node1: no route")
    assert list(recorded(job).nodes) == ["node0"]
    job.transports["node1"].answers["record"] = NO_RECORD
    assert list(recorded(job).nodes) == ["node0"]


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (NO_RECORD, SpecError, f"no node has a job '{JOB}'"),
        ({**RecordedJob().record("node0"), "record": None}, SpecError, "was started by an older telechat-run"),
        (UnreachableError("no route"), FleetError, "no route"),
    ],
)
def test_without_any_record(answer: Any, error: Any, message: str) -> None:
    job = RecordedJob()
    for transport in job.transports.values():
        transport.answers["record"] = answer
    with pytest.raises(error, match=message):
        recorded(job)


def test_two_jobs_are_compared_by_what_differs_but_for_their_names() -> None:
    same = compare(recorded(RecordedJob()), recorded(RecordedJob()))
    assert (same.fields, same.config) == ((), "")
    failed = compare(recorded(RecordedJob()), recorded(RecordedJob("FAILED", cluster_timeout=77)))
    changed = {name: (first, second) for name, first, second in failed.fields}
    assert changed["rank 0.state"] == ("SUCCEEDED", "FAILED")
    assert "--cluster_time_out=77" in changed["rank 1.argv"][1]
    assert set(changed) == {f"rank {rank}.{name}" for rank in (0, 1) for name in ("state", "argv")}
