# SPDX-License-Identifier: Apache-2.0
"""The programs that convert and merge checkpoints: telechat_runtime.node.checkpoints, taken along by the job.

They run by the node's interpreter with MindSpore, which need not have this package: so the modules lie in the job's
work folder, where `python -m` finds them first.
"""

from __future__ import annotations

import json
from typing import Any, Mapping

from telechat_runtime.node_programs import node_package
from telechat_runtime.program import WORK, Entry, Processes, Program

_MODULES = "telechat_runtime.node.checkpoints"
REQUEST = "request.json"


def conversion_program(request: Mapping[str, Any]) -> Program:
    """Return what converts a checkpoint; the request is that of `node checkpoint-info`."""
    return _program("transform", "convert", request)


def merge_program(request: Mapping[str, Any]) -> Program:
    """Return what merges LoRA into its base; the request is that of `node checkpoint-info`."""
    return _program("merge", "merge_lora", request)


def _program(kind: str, module: str, request: Mapping[str, Any]) -> Program:
    return Program(
        kind=kind,
        own=Entry(words=("-m", f"{_MODULES}.{module}", f"{WORK}/{REQUEST}")),
        processes=Processes.RANK_0,
        files=((REQUEST, json.dumps(request, indent=1)), *node_package("checkpoints")),
        inputs=(("checkpoint", str(request["checkpoint"])),),
    )
