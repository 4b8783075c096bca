# SPDX-License-Identifier: Apache-2.0
"""The node runtime and the servers' side read npu-smi alike: neither can import the other's parser."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from telechat_runtime.node.facts import chips

ROOT = Path(__file__).parents[2]
OUTPUTS = sorted((ROOT / "tests/unit/plugins/module_utils/npu_smi_outputs").glob("*.txt"))


def servers_side() -> Any:
    name = "servers_npu_smi"
    spec = importlib.util.spec_from_file_location(name, ROOT / "plugins/module_utils/npu_smi.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look their annotations up there
    spec.loader.exec_module(module)
    return module


SERVER = servers_side()


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda path: path.stem)
def test_both_sides_find_the_same(output: Path) -> None:
    text = output.read_text(encoding="utf-8")
    theirs = [(chip.npu_id, chip.chip_id, chip.name, chip.health) for chip in SERVER.parse_info(text)]
    assert [tuple(chip.values()) for chip in chips.parse_chips(text)] == theirs
    board = SERVER.parse_board(text)
    assert tuple(chips.parse_board(text).values()) == (
        board.driver_version,
        board.firmware_version,
        board.compatibility,
    )


def test_there_is_something_to_compare() -> None:
    assert len([path for path in OUTPUTS if SERVER.parse_info(path.read_text(encoding="utf-8"))]) > 2
