# SPDX-License-Identifier: Apache-2.0
"""The table of docs/reliability.md is what the chaos tests have recorded, and nothing else of the page changes."""

import ast
import json
import os
from pathlib import Path

from tests.lab.chaos import Row
from tests.lab.chaos_table import BEGIN, END, PAGE, put, read, table
from tests.lab.site import ROOT


def test_rows_replace_those_of_the_run_before() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    rows = [Row("disk", "a disk", "`full`", {"stopped": 2.5}, "nothing")]
    once = put(page, rows)
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert "| a disk | `full` | stopped: 2.5 s | nothing |" in once
    assert "old" not in once
    assert put(once, rows) == once


def test_rows_come_in_the_order_of_their_measurement(tmp_path: Path) -> None:
    for age, name in enumerate(("worker", "link")):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(vars(Row(name, name, name))))
        os.utime(file, (age, age))
    assert [row.name for row in read(tmp_path)] == ["worker", "link"]


def test_the_page_has_room_for_a_table() -> None:
    page = PAGE.read_text()
    assert page.count(BEGIN) == page.count(END) == 1
    assert table([]).splitlines()[0] in page


def test_every_trouble_of_the_tests_is_on_the_page() -> None:
    tree = ast.parse((ROOT / "tests" / "lab" / "test_chaos.py").read_text())
    calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call) and ast.unparse(each.func) == "Row"]
    told = [call.args[1].value for call in calls if isinstance(call.args[1], ast.Constant)]
    assert len(told) > 10
    page = PAGE.read_text()
    assert [broken for broken in told if f"| {broken} |" not in page] == []
