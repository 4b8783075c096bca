# SPDX-License-Identifier: Apache-2.0
import fcntl
import json

import pytest
from ansible.module_utils.job_lease import holder, lease

from telechat_runtime.job.paths import JobPaths
from telechat_runtime.node.supervision import lease as runtime


@pytest.mark.parametrize(
    ("text", "described"),
    [
        ('{"job_id": "20260101-1", "owner": "lin", "since": "10:00"}', "job 20260101-1 of lin since 10:00"),
        ("{}", "a job whose lease cannot be read"),
        ("", "a job whose lease cannot be read"),
        ("[1]", "a job whose lease cannot be read"),
    ],
)
def test_locked_lease_has_a_holder(tmp_path, text, described):
    path = tmp_path / "lease.json"
    path.write_text(text)
    with path.open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert holder(str(tmp_path)) == described
        assert lease(str(tmp_path)) == (json.loads(text) if "job_id" in text else {})


def test_text_of_an_ended_job_is_no_holder(tmp_path):
    (tmp_path / "lease.json").write_text('{"job_id": "20260101-1"}')
    assert holder(str(tmp_path)) is None
    assert lease(str(tmp_path)) is None


def test_no_lease_no_holder(tmp_path):
    assert holder(str(tmp_path / "nothing")) is None
    assert lease(str(tmp_path / "nothing")) is None


def test_the_lease_that_a_job_takes_and_gives_back(tmp_path):
    taken = runtime.take(JobPaths(str(tmp_path), "7"), owner="lin", since="10:00")
    try:
        assert lease(str(tmp_path)) == {"job_id": "7", "owner": "lin", "since": "10:00"}
    finally:
        taken.give_back()
    assert lease(str(tmp_path)) is None
