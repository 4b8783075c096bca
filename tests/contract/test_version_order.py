# SPDX-License-Identifier: Apache-2.0
"""The control side and the servers order Ascend's versions alike: neither can import the other's code."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.versions import order
from telechat_runtime.versions.matrix import load_matrix

ROOT = Path(__file__).parents[2]


def servers_side() -> Any:
    spec = importlib.util.spec_from_file_location(
        "servers_ascend_version", ROOT / "plugins/module_utils/ascend_version.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SERVER = servers_side()
TOKENS = st.one_of(
    st.integers(0, 130).map(str),
    st.sampled_from(["rc1", "RC2", "rc3", "sph001", "b062", "beta1", "", "NA"]),
)
TEXTS = st.builds(lambda tokens, separator: separator.join(tokens), st.lists(TOKENS, max_size=6), st.sampled_from("._"))
KNOWN = st.sampled_from(
    sorted({text for row in load_matrix().hdk for text in (row.driver, row.firmware) if text}),
)


def key_of(order: Any, name: str, text: str) -> Any:
    try:
        return getattr(order, name)(text)
    except ValueError as error:
        return str(error)


@given(st.one_of(TEXTS, KNOWN, st.text(max_size=12)))
def test_both_sides_make_the_same_key_of_a_version(text: str) -> None:
    assert key_of(order, "ascend_key", text) == key_of(SERVER, "version_key", text)
