# SPDX-License-Identifier: Apache-2.0
"""The package that Ansible's modules and the runtime share: old Pythons read it, and it travels wherever it is used."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from telechat_runtime.zipapp import build

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "telechat_runtime" / "ascend"
LINK = ROOT / "plugins" / "module_utils" / "ascend"
MODULES = sorted(PACKAGE.glob("*.py"))
LOOK = {
    "wishes": {},
    "npu_count": 8,
    "supported_os": ["ubuntu 22.04"],
    "supported_architectures": ["riscv64"],
    "control_time": 0.0,
    "clock_skew_seconds": 60,
}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_it_parses_as_python_3_7_and_imports_the_standard_library_and_itself_only(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 7))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 1 or (node.module or "").split(".")[0] in sys.stdlib_module_names, ast.unparse(node)
        elif isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= sys.stdlib_module_names, ast.unparse(node)


def test_the_plugins_have_it_by_a_link_that_a_clone_keeps() -> None:
    # An absolute target would name one machine's folder.
    assert os.readlink(LINK) == "../../telechat_runtime/ascend"  # noqa: PTH115 - the text itself
    assert LINK.samefile(PACKAGE)


def test_a_module_brings_it_to_a_host(tmp_path: Path) -> None:
    """The host's Python finds it in what Ansible sends: no other ansible.module_utils has it."""
    program = Path(sys.executable).parent / "ansible"
    argv = [program, "all", "-i", "host,", "-c", "local", "-m", "ascend_info", "-a", json.dumps(LOOK)]
    argv += ["-e", f"ansible_python_interpreter={sys.executable}"]
    environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(tmp_path)}
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "riscv64" in done.stdout, done.stdout + done.stderr


def test_sdist_and_wheel_have_it_wherever_it_is_imported_from(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "hatchling", "build", "--directory", str(tmp_path)]
    subprocess.run(argv, cwd=ROOT, capture_output=True, check=True)
    names = {module.name for module in MODULES}
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as sdist:
        files = [Path(*Path(entry.name).parts[1:]) for entry in sdist if entry.isfile()]
    for folder in ("telechat_runtime/ascend", "plugins/module_utils/ascend"):
        assert {path.name for path in files if path.parent == Path(folder)} == names
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        assert {f"telechat_runtime/ascend/{name}" for name in names} <= set(wheel.namelist())


def test_the_zipapp_has_all_of_it(tmp_path: Path) -> None:
    path, _ = build(tmp_path)
    with zipfile.ZipFile(path) as archive:
        assert {f"telechat_runtime/ascend/{module.name}" for module in MODULES} <= set(archive.namelist())
    code = "; ".join(f"import telechat_runtime.ascend.{module.stem}" for module in MODULES if module.stem != "__init__")
    isolated = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(path)!r}); {code}"]
    subprocess.run(isolated, check=True)
