# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.node.programs.checkpoints.shard_file import ShardError, TensorHeader, read_headers
from tests.support.checkpoint_files import Tensor, bfloats, floats, write_checkpoint

MODEL = {"a.weight": floats((8, 4)), "b.weight": bfloats((3,)), "epoch_num": Tensor("Int32", (), bytes(4))}
HEADERS = {
    "a.weight": TensorHeader("Float32", (8, 4)),
    "b.weight": TensorHeader("BFloat16", (3,)),
    "epoch_num": TensorHeader("Int32", ()),
}


def test_names_types_and_shapes(tmp_path: Path) -> None:
    assert read_headers(str(write_checkpoint(tmp_path / "w.ckpt", MODEL))) == HEADERS


def test_a_large_parameter_in_pieces_and_a_checksum(tmp_path: Path) -> None:
    assert read_headers(str(write_checkpoint(tmp_path / "w.ckpt", MODEL, piece=20, checksum=True))) == HEADERS


def test_a_scalar_as_older_versions_write_it(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "w.ckpt", {"step_num": Tensor("Int32", (0,), bytes(4))})
    assert read_headers(str(path)) == {"step_num": TensorHeader("Int32", ())}


def test_every_cut_of_a_file_is_found(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "w.ckpt", {"a.weight": floats((2, 2)), "b.weight": floats((3,))})
    whole = path.read_bytes()
    second = whole.rindex(b"b.weight") - 4  # a file that ends between two messages is a shorter checkpoint
    for end in range(len(whole)):
        if end == second:
            continue
        path.write_bytes(whole[:end])
        with pytest.raises(ShardError, match=r"w\.ckpt"):
            read_headers(str(path))


def test_missing_bytes_of_a_parameter_are_told(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "w.ckpt", {"a.weight": Tensor("Float32", (2, 2), bytes(12))})
    with pytest.raises(ShardError, match=r"a\.weight should have 16 bytes \(Float32 \(2, 2\)\), but has 12"):
        read_headers(str(path))


@given(content=st.binary(max_size=64))
def test_other_bytes_are_refused_and_never_crash(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "x.ckpt"
    path.write_bytes(content)
    with pytest.raises(ShardError):
        read_headers(str(path))


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="No such file"):
        read_headers(str(tmp_path / "none.ckpt"))
