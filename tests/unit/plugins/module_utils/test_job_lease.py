# SPDX-License-Identifier: Apache-2.0
import fcntl

import pytest
from ansible.module_utils.job_lease import holder


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
    with path.open() as lease:
        fcntl.flock(lease, fcntl.LOCK_EX)
        assert holder(str(tmp_path)) == described


def test_text_of_an_ended_job_is_no_holder(tmp_path):
    (tmp_path / "lease.json").write_text('{"job_id": "20260101-1"}')
    assert holder(str(tmp_path)) is None


def test_no_lease_no_holder(tmp_path):
    assert holder(str(tmp_path / "nothing")) is None
