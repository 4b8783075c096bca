# SPDX-License-Identifier: Apache-2.0
"""Print the records of the chaos tests as the table of docs/reliability.md: `python -m tests.lab.chaos_table`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab.chaos import RECORDS, Row
from tests.lab.site import ROOT

PAGE = ROOT / "docs" / "reliability.md"
HEAD = ("| what is broken | what the user sees | how long | what is lost |", "|---|---|---|---|")
BEGIN, END = "<!-- rows: make chaos-table -->", "<!-- end of rows -->"


def table(rows: list[Row]) -> str:
    """Return the table's lines."""
    lines = [*HEAD]
    for row in rows:
        seconds = "; ".join(f"{what}: {took:g} s" for what, took in row.seconds.items())
        lines.append(f"| {row.broken} | {row.seen} | {seconds} | {row.lost} |")
    return "\n".join(lines) + "\n"


def put(page: str, rows: list[Row]) -> str:
    """Return the page with these rows in place of those that it has."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(rows)}{END}{after}"


def read(folder: Path) -> list[Row]:
    """Return the rows that tests have kept in a folder, in the order in which they were measured."""
    files = sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    return [Row(**json.loads(file.read_text())) for file in files]


def main() -> None:
    """Write the rows of the last run into the page."""
    rows = read(RECORDS)
    if not rows:
        raise SystemExit(f"no record in {RECORDS}: run tests/lab/test_chaos.py first")
    PAGE.write_text(put(PAGE.read_text(), rows))


if __name__ == "__main__":
    main()
