# SPDX-License-Identifier: Apache-2.0
"""The order of imports inside each package of telechat_runtime is that of its docstring."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Dict, List, Set

import pytest
import tomllib

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "telechat_runtime"
PACKAGES = sorted(path.parent for path in RUNTIME.glob("*/**/__init__.py") if len(list(path.parent.glob("*.py"))) > 1)


def name_of(package: Path) -> str:
    return ".".join(package.relative_to(ROOT).parts)


def stated_order(package: Path) -> List[List[str]]:
    """Return the layers that the package's docstring states, the highest first."""
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    stated = re.search(r"^Imports go downward: (.*)\.\Z", docstring, re.MULTILINE | re.DOTALL)
    assert stated, f"the docstring of {name_of(package)} ends with no line `Imports go downward: a | b → c.`"
    return [layer.replace("\n", " ").replace("|", " ").split() for layer in stated[1].split("→")]


def parts_of(package: Path) -> Set[str]:
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    return modules | {path.parent.name for path in package.glob("*/__init__.py")}


def imports_within(package: Path) -> Dict[str, Set[str]]:
    """Return for each part of the package, a module or a package, the other parts that it imports."""
    name, parts = name_of(package), parts_of(package)
    found: Dict[str, Set[str]] = {part: set() for part in parts}
    for part in parts:
        files = [package / f"{part}.py"] if (package / f"{part}.py").exists() else (package / part).rglob("*.py")
        for file in files:
            for target in imported(file):
                if target.startswith(f"{name}."):
                    found[part].add(target[len(name) + 1 :].partition(".")[0])
    return {part: (targets & parts) - {part} for part, targets in found.items()}


def imported(file: Path) -> Set[str]:
    """Return the modules that a file may import: `from a import b` stands for a and a.b."""
    found: Set[str] = set()
    package = ".".join(file.relative_to(ROOT).with_suffix("").parts[:-1])
    for statement in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - statement.level + 1] if statement.level else []
            module = ".".join([*above, *filter(None, [statement.module])])
            found |= {module, *(f"{module}.{alias.name}" for alias in statement.names)}
    return found


@pytest.mark.parametrize("package", PACKAGES, ids=name_of)
def test_a_package_imports_in_the_order_of_its_docstring(package: Path) -> None:
    order = stated_order(package)
    level = {part: number for number, layer in enumerate(order) for part in layer}
    assert sorted(part for layer in order for part in layer) == sorted(parts_of(package))
    upward = [
        f"{part} imports {target}"
        for part, targets in imports_within(package).items()
        for target in targets
        if level[target] <= level[part]
    ]
    assert upward == []


def test_the_drawing_of_the_packages_is_that_of_the_checked_layers() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = next(each for each in config["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    layers = [layer.split(" | ") for layer in contract["layers"] if layer != "__main__"]
    drawing = next(
        block
        for block in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("```")
        if block.startswith("\n cli ")
    )
    rows = [re.split(r" {2,}", row[1:])[0] for row in drawing.splitlines() if re.match(r" \S", row)]
    drawn = [name for row in rows for name in re.split(r"[ │]+", row)]
    for layer in layers:
        assert sorted(drawn[: len(layer)]) == sorted(layer)
        drawn = drawn[len(layer) :]
    assert drawn == []
