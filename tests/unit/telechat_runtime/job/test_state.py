# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from telechat_runtime.job.paths import JOB_ID, JobPaths
from telechat_runtime.job.state import TRANSITIONS, JobState


def test_every_file_of_a_job_lies_in_its_folder_but_the_lease() -> None:
    paths = JobPaths("/var/lib/telechat", "finetune-1")
    assert paths.folder == "/var/lib/telechat/jobs/finetune-1"
    assert paths.plan == "/var/lib/telechat/jobs/finetune-1/plan.json"
    assert paths.state == "/var/lib/telechat/jobs/finetune-1/state.json"
    assert paths.supervisor_log == "/var/lib/telechat/jobs/finetune-1/supervisor.log"
    assert paths.config == "/var/lib/telechat/jobs/finetune-1/work/config.yaml"
    assert paths.output == "/var/lib/telechat/jobs/finetune-1/work/output"
    assert paths.worker_log(9) == "/var/lib/telechat/jobs/finetune-1/logs/worker_9.log"
    assert paths.lease == "/var/lib/telechat/lease.json"


def test_the_ends_are_terminal_and_nothing_else_is() -> None:
    assert {state for state in JobState if state.is_terminal} == {
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.STOPPED,
        JobState.LOST,
    }
    assert set(TRANSITIONS) == set(JobState)


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        (JobState.STARTING, JobState.RUNNING, True),
        (JobState.STARTING, JobState.SUCCEEDED, False),
        (JobState.RUNNING, JobState.SUCCEEDED, True),
        (JobState.RUNNING, JobState.STARTING, False),
        (JobState.STOPPED, JobState.FAILED, False),
    ],
)
def test_transitions(before: JobState, after: JobState, allowed: bool) -> None:
    assert before.may_become(after) is allowed


@pytest.mark.parametrize("text", ["", "-a", "A", "a/b", "../x", "a b", "a" * 64])
def test_what_is_no_job_id(text: str) -> None:
    assert JOB_ID.fullmatch(text) is None
