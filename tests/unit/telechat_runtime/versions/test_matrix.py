# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import pytest

import telechat_runtime
from telechat_runtime.ascend.version import ascend_key
from telechat_runtime.versions.matrix import load_matrix, parse_matrix
from telechat_runtime.versions.order import covers, lowest_key, package_key

FILE = Path(telechat_runtime.__file__).with_name("versions") / "matrix.json"
DOCUMENT: Dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
ASCEND = {"driver", "drivers", "firmware", "firmware_also", "firmware_minimum", "cann", "below"}
PACKAGES = {"mindspore", "mindformers"}


def test_the_matrix_has_every_list_and_is_read_whole() -> None:
    matrix = load_matrix()
    assert {name: len(rows) for name, rows in DOCUMENT.items()} == {
        name: len(getattr(matrix, name)) for name in ("hdk", "stacks", "windows", "works", "breaks", "costs")
    }


@pytest.mark.parametrize("row", [row for rows in DOCUMENT.values() for row in rows], ids=str)
def test_a_row_has_its_source_and_nothing_but_versions(row: Dict[str, Any]) -> None:
    assert len(row["source"]) > 5
    for name, value in row.items():
        texts = value if isinstance(value, list) else [value]
        for text in texts if name in ASCEND else []:
            lowest_key(text)
        for text in texts if name in PACKAGES else []:
            package_key(text)


def test_an_hdk_release_stands_for_every_driver_of_the_stacks() -> None:
    matrix = load_matrix()
    hdk = {ascend_key(row.driver) for row in matrix.hdk}
    assert len(hdk) == len(matrix.hdk)
    drivers = {row.driver for row in matrix.stacks} | {driver for item in matrix.windows for driver in item.drivers}
    assert {entry for entry in drivers if not any(covers(entry, row.driver) for row in matrix.hdk)} == set()


def test_a_field_that_is_misspelt_is_an_error() -> None:
    with pytest.raises(TypeError, match="drver"):
        parse_matrix({**DOCUMENT, "hdk": [{"drver": "24.1.rc3", "source": "x"}]})
    with pytest.raises(KeyError, match="windows"):
        parse_matrix({name: rows for name, rows in DOCUMENT.items() if name != "windows"})
