# SPDX-License-Identifier: Apache-2.0
"""Programs of node/programs that travel with a job, as the interpreter with MindSpore need not have them."""

from __future__ import annotations

import importlib.resources
from typing import Dict, Tuple

_PROGRAMS = "telechat_runtime.node.programs"
_ASCEND = "telechat_runtime.ascend"


def node_program(name: str) -> str:
    """Return the text of a program that runs by itself, as one file in a job's work folder."""
    return importlib.resources.files(_PROGRAMS).joinpath(name).read_text(encoding="utf-8")


def node_package(name: str, *ascend: str) -> Tuple[Tuple[str, str], ...]:
    """Return the modules of telechat_runtime.node.programs.<name> as files of a work folder, for a script there.

    `ascend` names the modules of telechat_runtime.ascend that they need.
    """
    parents = ("telechat_runtime", "telechat_runtime.node", _PROGRAMS)
    packages = (*parents, f"{_PROGRAMS}.{name}")
    files: Dict[str, str] = {}
    for package in packages:
        for module in importlib.resources.files(package).iterdir():
            if module.name == "__init__.py" or (package == packages[-1] and module.name.endswith(".py")):
                files[f"{package.replace('.', '/')}/{module.name}"] = module.read_text(encoding="utf-8")
    for file in ("__init__.py", *(f"{module}.py" for module in ascend)) if ascend else ():
        text = importlib.resources.files(_ASCEND).joinpath(file).read_text(encoding="utf-8")
        files[f"{_ASCEND.replace('.', '/')}/{file}"] = text
    return tuple(sorted(files.items()))
