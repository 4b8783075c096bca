# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from telechat_runtime.errors import (
    InventoryError,
    PreflightError,
    SpecError,
    TelechatError,
    UnreachableError,
    from_exit_code,
)


def test_next_step_follows_the_message() -> None:
    assert str(TelechatError("node0: no", next_step="try node1")) == "node0: no\n  next: try node1"
    assert str(TelechatError("node0: no")) == "node0: no"


def test_inventory_error_keeps_its_problems_apart() -> None:
    error = InventoryError(["a: one", "b: two"], next_step="read the rules")
    assert error.problems == ("a: one", "b: two")
    assert str(error) == "a: one\nb: two\n  next: read the rules"


@pytest.mark.parametrize(
    ("exit_code", "kind"), [(3, SpecError), (4, UnreachableError), (5, PreflightError), (77, UnreachableError)]
)
def test_a_nodes_exit_code_becomes_the_same_error_here(exit_code: int, kind: type) -> None:
    error = from_exit_code(exit_code, "node0: said so")
    assert type(error) is kind
    assert error.message == "node0: said so"


def test_a_node_is_named_once_and_can_be_left_out() -> None:
    error = from_exit_code(5, "busy", node="node0")
    assert (error.node, error.detail, error.message) == ("node0", "busy", "node0: busy")
    assert str(TelechatError("busy", node="node0", next_step="wait")) == "node0: busy\n  next: wait"
