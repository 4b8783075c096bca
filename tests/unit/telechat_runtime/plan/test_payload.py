# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Tuple

import pytest

from telechat_runtime.plan.payload import node_package


@pytest.mark.parametrize(("package", "ascend", "entry"), [("check", ("run_check",), "run_check")])
def test_what_travels_with_a_job_is_all_that_its_program_imports(
    package: str, ascend: Tuple[str, ...], entry: str, tmp_path: Path
) -> None:
    """The interpreter with MindSpore has no telechat_runtime of its own."""
    for name, text in node_package(package, *ascend):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import telechat_runtime.node.programs.{package}.{entry}"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
