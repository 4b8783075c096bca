# SPDX-License-Identifier: Apache-2.0
import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from telechat_runtime import __version__, zipapp


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return zipapp.build(tmp_path_factory.mktemp("runtime"))


def test_starts_by_any_interpreter_without_installed_packages(built, tmp_path):
    path, _ = built
    command = [sys.executable, "-I", "-S", str(path), "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"telechat-run, version {__version__}\n"


def test_the_version_matrix_is_read_from_within(built, tmp_path):
    path, _ = built
    program = (
        f"import sys; sys.path.insert(0, {str(path)!r}); from telechat_runtime.versions.matrix import load_matrix; "
    )
    program += "print(load_matrix().stacks[0].mindformers[0])"
    command = [sys.executable, "-I", "-S", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "1.2.0\n"


def test_same_sources_make_the_same_bytes(built, tmp_path):
    path, sha256 = built
    package = Path(zipapp.__file__).parent
    shutil.copytree(
        package, tmp_path / "checkout" / package.name, copy_function=shutil.copy
    )  # other place, other dates
    program = f"from telechat_runtime.zipapp import *; print(*build(Path({str(tmp_path)!r})), sep='\\n')"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path / "checkout", capture_output=True, text=True, check=True)
    again, sha256_again = done.stdout.split()
    assert Path(again).name != path.name
    assert (Path(again).read_bytes(), sha256_again) == (path.read_bytes(), sha256)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_is_not_built_twice(built):
    path, sha256 = built
    before = path.stat().st_mtime_ns
    assert zipapp.build(path.parent) == (path, sha256)
    assert path.stat().st_mtime_ns == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_carries_sources_data_and_licences_only(built):
    with zipfile.ZipFile(built[0]) as archive:
        names = archive.namelist()
    assert "telechat_runtime/zipapp.py" in names
    assert any(name.startswith("click/LICENSE") for name in names)
    others = [name for name in names if not name.endswith(".py") and not name.startswith("click/LICENSE")]
    assert others == ["telechat_runtime/versions/matrix.json"]
    assert len(names) == len(set(names))


def test_missing_package_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(zipapp, "PACKAGES", ("telechat_runtime", "no_such_package"))
    with pytest.raises(ImportError, match="package no_such_package is not installed"):
        zipapp.build(tmp_path)
