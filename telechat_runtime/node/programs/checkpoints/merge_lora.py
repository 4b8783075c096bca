# SPDX-License-Identifier: Apache-2.0
"""Merges LoRA into the weights it was trained beside: weight + scaling * (B @ A). `python -m … REQUEST.json`.

The slices of the run are joined first; the run's own files are only read. The sum is taken in float32 and rounded once.

Exit codes: 0 merged and verified, 1 failed, 3 the checkpoint or the strategy can't be used.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional

from telechat_runtime.node.programs.checkpoints.conversion import Conversion, ConversionError, plan_conversion
from telechat_runtime.node.programs.checkpoints.convert import check_space
from telechat_runtime.node.programs.checkpoints.folder import find_shards
from telechat_runtime.node.programs.checkpoints.lora import LoraPair, lora_pairs, merged_headers
from telechat_runtime.node.programs.checkpoints.progress import PART, remove_parts
from telechat_runtime.node.programs.checkpoints.request import REFUSED, read_request, strategy_of
from telechat_runtime.node.programs.checkpoints.shard_file import ShardError, TensorHeader, file_size, read_headers
from telechat_runtime.node.programs.checkpoints.strategy import StrategyError, read_strategy
from telechat_runtime.node.programs.checkpoints.transform import (
    RankTask,
    check_content,
    make_rank,
    merge_strategy,
    mindspore_on_cpu,
    put_in_place,
)

MERGED = "merged_lora.ckpt"
_GIB = 1 << 30


def main(argv: Optional[List[str]] = None) -> int:
    """Merge what the request asks for and return the exit code."""
    request = read_request((sys.argv[1:] if argv is None else argv)[0])
    try:
        merge(request)
    except (ConversionError, ShardError, StrategyError) as error:
        sys.stderr.write(f"merge-lora: error: {error}\n")
        return REFUSED
    return 0


@dataclass(frozen=True)
class Judged:
    """A merge that may begin: the file with all parameters, or the conversion that makes it, and what it holds."""

    whole: str
    conversion: Optional[Conversion]
    strategy_files: Optional[List[str]]
    headers: Mapping[str, TensorHeader]
    target: str


def judge(request: Dict[str, Any], folder: str) -> Judged:
    """Judge what is asked for, without changing anything but `folder`, which takes the strategies brought along.

    Raises ConversionError, ShardError or StrategyError.
    """
    target = os.path.join(request["output"], MERGED)
    if os.path.exists(target):
        raise ConversionError(f"{target} exists: give another --output, or remove it")
    shards = find_shards(request["checkpoint"])
    files = strategy_of(request, "from_strategy", folder)
    conversion, whole = None, ""
    if files is None:
        if shards.sliced and not request.get("ranks_are_whole"):
            raise ConversionError(f"{shards.path} holds a file for each rank: name the strategy that cut them")
        whole = shards.files[min(shards.files)]
        headers: Mapping[str, TensorHeader] = read_headers(whole)
        needed = file_size(whole)
    else:
        conversion = plan_conversion(shards, read_strategy(files), None)
        headers = conversion.full
        needed = 2 * conversion.source_bytes()  # the joined checkpoint, then the merged one beside it
    lora_pairs(headers)
    check_space(request["output"], needed)
    return Judged(whole=whole, conversion=conversion, strategy_files=files, headers=headers, target=target)


def merge(request: Dict[str, Any]) -> None:
    """Join, merge and verify. Raises ConversionError, ShardError or StrategyError."""
    with tempfile.TemporaryDirectory(prefix="strategy-", dir=os.getcwd()) as scratch:
        judged = judge(request, scratch)
        os.makedirs(request["output"], exist_ok=True)
        remove_parts(request["output"])
        with tempfile.TemporaryDirectory(prefix=PART, dir=request["output"]) as joined:
            whole = _join(judged, scratch, joined)
            _merge_whole(whole, judged.headers, request["scaling"], judged.target)


def _join(judged: Judged, scratch: str, folder: str) -> str:
    if judged.conversion is None:
        return judged.whole
    task = RankTask(
        rank=0,
        target_file=os.path.join(folder, "whole.ckpt"),
        available=judged.conversion.available,
        source_strategy=merge_strategy(judged.strategy_files, os.path.join(scratch, "merge-from")),
        target_strategy=None,
        expected=judged.headers,
    )
    make_rank(task)
    _say(f"joined, ranks: {len(judged.conversion.available)}")
    return task.target_file


def _merge_whole(whole: str, headers: Mapping[str, TensorHeader], scaling: float, target: str) -> None:
    pairs = {pair.weight: pair for pair in lora_pairs(headers)}
    wanted = merged_headers(headers)
    mindspore = mindspore_on_cpu()
    loaded = mindspore.load_checkpoint(whole)
    merged = {name: _merged(mindspore, loaded, name, pairs.get(name), scaling) for name in wanted}
    folder, name = os.path.split(target)
    part = os.path.join(folder, PART + name)
    mindspore.save_checkpoint([{"name": name, "data": value} for name, value in merged.items()], part)
    check_content(target, mindspore.load_checkpoint(part), wanted)
    size = put_in_place(part, target)
    _say(
        f"merged {len(pairs)} pairs with scaling {scaling:g}, {len(wanted)} parameters, {size / _GIB:.2f} GiB: {target}"
    )


def _merged(mindspore: Any, loaded: Mapping[str, Any], name: str, pair: Optional[LoraPair], scaling: float) -> Any:
    value = loaded[name]
    if pair is None:
        return value
    dtype = value.dtype
    total = _float32(mindspore, value) + scaling * (
        _float32(mindspore, loaded[pair.b]) @ _float32(mindspore, loaded[pair.a])
    )
    return mindspore.Tensor(total.astype("float32"), dtype=dtype)


def _float32(mindspore: Any, value: Any) -> Any:
    # NumPy knows no bfloat16; widening it to float32 changes no value.
    if value.dtype == mindspore.bfloat16:
        value.set_dtype(mindspore.float32)
    return value.asnumpy().astype("float32")


def _say(text: str) -> None:
    sys.stdout.write(f"merge-lora: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
