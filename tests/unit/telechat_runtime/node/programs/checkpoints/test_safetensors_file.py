# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.node.programs.checkpoints.safetensors_file import read_safetensors
from telechat_runtime.node.programs.checkpoints.saved_steps import saved_steps
from telechat_runtime.node.programs.checkpoints.shard_file import ShardError, TensorHeader

HEADER: Dict[str, Any] = {
    "__metadata__": {"format": "ms"},
    "w": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]},
    "epoch_num": {"dtype": "I64", "shape": [], "data_offsets": [8, 16]},
    "step_num": {"dtype": "I32", "shape": [1], "data_offsets": [16, 20]},
}
DATA = bytes(8) + struct.pack("<q", 3) + struct.pack("<i", 70)


def write(path: Path, header: Dict[str, Any] = HEADER, data: bytes = DATA) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_names_types_shapes_and_numbers(tmp_path: Path) -> None:
    shard = read_safetensors(str(write(tmp_path / "a.safetensors")), ("step_num", "epoch_num", "w", "none"))
    assert shard.headers["w"] == TensorHeader("BFloat16", (2, 2))
    assert list(shard.headers) == ["w", "epoch_num", "step_num"]
    assert shard.numbers == {"step_num": 70, "epoch_num": 3}


def test_every_cut_of_a_file_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors")
    content = path.read_bytes()
    for end in range(len(content)):
        path.write_bytes(content[:end])
        with pytest.raises(ShardError, match=r"a\.safetensors is cut off or no safetensors file"):
            read_safetensors(str(path))


@pytest.mark.parametrize("header", [{}, {"w": {}}, {"w": 1}, {"w": {"dtype": 1, "shape": None, "data_offsets": 2}}])
def test_a_header_that_says_something_else(tmp_path: Path, header: Dict[str, Any]) -> None:
    with pytest.raises(ShardError):
        read_safetensors(str(write(tmp_path / "a.safetensors", header, b"")))


@given(content=st.binary(max_size=64))
def test_other_bytes_are_refused_and_never_crash(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ShardError):
        read_safetensors(str(path))


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="No such file"):
        read_safetensors(str(tmp_path / "none"))


def test_its_steps_are_saved_steps(tmp_path: Path) -> None:
    (tmp_path / "rank_0").mkdir()
    write(tmp_path / "rank_0" / "tiny_rank_0-3_7.safetensors")
    (tmp_path / "rank_0" / "meta.json").write_text('{"last_ckpt_file": "tiny_rank_0-3_7.safetensors"}')
    (step,) = saved_steps(str(tmp_path), 0)
    assert (step.number, step.problem) == (70, "")
