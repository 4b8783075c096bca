# SPDX-License-Identifier: Apache-2.0
"""The counts of a manifest add up."""

from __future__ import annotations

from telechat_runtime.preprocess.rows import Row
from telechat_runtime.preprocess.statistics import Statistics


def test_records_rows_and_lengths() -> None:
    found = Statistics(row_length=10)
    for length in range(1, 101):
        found.add_record(length, fits=length <= 90)
    found.malformed += 3
    found.add_row(Row(input_ids=None, labels=None, padding=4, learned=5))
    found.add_row(Row(input_ids=None, labels=None, padding=1, learned=2))
    assert found.as_dict() == {
        "records": {"all": 103, "packed": 90, "too_long": 10, "malformed": 3},
        "rows": 2,
        "tokens": {"in_rows": 20, "padding": 5, "learned": 7},
        "record_lengths": {"min": 1, "mean": 50.5, "p50": 50, "p90": 90, "p99": 99, "max": 100},
    }


def test_nothing_has_no_lengths() -> None:
    assert Statistics(row_length=10).as_dict()["record_lengths"] == {}
