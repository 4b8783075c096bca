# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from telechat_runtime.cli.table import table_text


def test_columns_are_as_wide_as_their_widest_cell_and_none_is_empty() -> None:
    assert table_text(["A", "LONG"], [["aaa", ""], ["b", "c"]]).splitlines() == ["A    LONG", "aaa  -", "b    c"]
