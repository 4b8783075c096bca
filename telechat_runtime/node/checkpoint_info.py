# SPDX-License-Identifier: Apache-2.0
"""`node checkpoint-info`: judge a conversion or a merge by headers and strategy files; read-only, no MindSpore."""

from __future__ import annotations

import os
import tempfile
from typing import Any, Callable, Dict

from telechat_runtime.errors import UsageError
from telechat_runtime.node.programs.checkpoints import convert, merge_lora
from telechat_runtime.node.programs.checkpoints.conversion import ConversionError, judge_source
from telechat_runtime.node.programs.checkpoints.folder import find_shards
from telechat_runtime.node.programs.checkpoints.lora import lora_pairs, merged_headers
from telechat_runtime.node.programs.checkpoints.request import strategy_of
from telechat_runtime.node.programs.checkpoints.shard_file import ShardError
from telechat_runtime.node.programs.checkpoints.strategy import StrategyError, read_strategy


def run(request: Dict[str, Any], out: Callable[[Dict[str, Any]], None]) -> int:
    """Write the one answer: what will be made, or the problem that forbids it."""
    out(look(request))
    return 0


def look(request: Dict[str, Any]) -> Dict[str, Any]:
    """Return the answer, as the node protocol has it. Raises UsageError for a request without its fields."""
    missing = [name for name in ("checkpoint", "output") if not isinstance(request.get(name), str)]
    if missing:
        raise UsageError(f"the request to checkpoint-info lacks {', '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="telechat-strategy-") as folder:
        try:
            if "scaling" in request:
                return _merge(request, folder)
            return _source(request, folder) if request.get("target_follows") else _conversion(request, folder)
        except (ConversionError, ShardError, StrategyError) as error:
            return {"problem": str(error)}
        except OSError as error:
            return {"problem": f"{error.filename or request['checkpoint']}: {error.strerror}"}


def _source(request: Dict[str, Any], folder: str) -> Dict[str, Any]:
    """Judge a checkpoint whose target strategy is yet to be made."""
    files = strategy_of(request, "from_strategy", folder)
    source = judge_source(find_shards(request["checkpoint"]), read_strategy(files) if files else None)
    return {
        "problem": None,
        "source_ranks": len(source.available),
        "parameters": len(source.full),
        "bytes": sum(os.path.getsize(file) for file in set(source.available.values())),
    }


def _conversion(request: Dict[str, Any], folder: str) -> Dict[str, Any]:
    judged = convert.judge(request, folder)
    conversion = judged.conversion
    return {
        "problem": None,
        "source_ranks": conversion.source.world_size if conversion.source else 1,
        "target_ranks": sum(len(group) for group in conversion.groups),
        "different_files": len(conversion.groups),
        "to_make": len(judged.todo),
        "parameters": len(conversion.full),
        "left_out": list(conversion.left_out),
        "bytes": conversion.source_bytes(),
        "step": list(conversion.shards.step) if conversion.shards.step else None,
        "result": judged.progress.folder,
    }


def _merge(request: Dict[str, Any], folder: str) -> Dict[str, Any]:
    judged = merge_lora.judge(request, folder)
    return {
        "problem": None,
        "source_ranks": len(judged.conversion.available) if judged.conversion else 1,
        "parameters": len(merged_headers(judged.headers)),
        "pairs": len(lora_pairs(judged.headers)),
        "bytes": judged.conversion.source_bytes() if judged.conversion else os.path.getsize(judged.whole),
        "result": judged.target,
    }
