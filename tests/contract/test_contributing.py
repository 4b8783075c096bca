# SPDX-License-Identifier: Apache-2.0
"""What CONTRIBUTING.md says of where things are is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTION = (
    (ROOT / "CONTRIBUTING.md")
    .read_text(encoding="utf-8")
    .partition("## Where a behaviour lives")[2]
    .partition("\n## ")[0]
)
ROWS = re.findall(r"^\| ([^|`]*(?:`[^`]*`)?[^|`]*) \| `([^`]+)` \| `([^`]+)` \|$", SECTION, re.MULTILINE)


def test_the_table_of_behaviours_is_read_whole() -> None:
    assert len(ROWS) == SECTION.count("\n| ") - 1


@pytest.mark.parametrize(("behaviour", "path", "name"), ROWS, ids=[row[0] for row in ROWS])
def test_a_behaviour_lives_where_the_table_says(behaviour: str, path: str, name: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"^\s*(?:def|class) {name}\b", text, re.MULTILINE), f"{path} defines no {name}: {behaviour}"
