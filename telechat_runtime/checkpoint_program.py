# SPDX-License-Identifier: Apache-2.0
"""The programs that convert and merge checkpoints: telechat_runtime.node.checkpoints, taken along by the job.

They run by the node's interpreter with MindSpore, which need not have this package: so the modules lie in the job's
work folder, where `python -m` finds them first.
"""

from __future__ import annotations

import importlib.resources
import json
from typing import Any, Mapping, Tuple

from telechat_runtime.program import WORK, Entry, Processes, Program

_PACKAGES = ("telechat_runtime", "telechat_runtime.node", "telechat_runtime.node.checkpoints")
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
        files=((REQUEST, json.dumps(request, indent=1)), *_modules()),
        inputs=(("checkpoint", str(request["checkpoint"])),),
    )


def _modules() -> Tuple[Tuple[str, str], ...]:
    """Return the modules that the programs import, by their names in the work folder."""
    files = {}
    for package in _PACKAGES:
        folder = importlib.resources.files(package)
        for module in folder.iterdir():
            if module.name == "__init__.py" or (package == _MODULES and module.name.endswith(".py")):
                files[f"{package.replace('.', '/')}/{module.name}"] = module.read_text(encoding="utf-8")
    return tuple(sorted(files.items()))
