# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

from telechat_runtime import __version__, zipapp
from telechat_runtime.node import versions
from tests.support.local_node import LocalNode

DRIVER = "Version=24.1.rc3\nascendhal_version=7.35.23\ncompatible_version_fw=[7.0.0,7.5.99]\npackage_version=24.1.rc3\n"
FIRMWARE = "Version=7.5.0.1.129\npackage_version=24.1.rc3\ncompatible_version_drv=[24.1,24.1.]\n"
CANN = "package_name=Ascend-cann-toolkit\nversion=8.0.RC3\ninnerversion=V100R001C19\narch=aarch64\n"


def look(**request: Any) -> Dict[str, Any]:
    found: Dict[str, Any] = versions.look(request)["versions"]
    return {name: version for name, version in found.items() if version is not None}


def put(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> Dict[str, str]:
    """The packages of the interpreter, by name: none unless a test adds one."""
    installed: Dict[str, str] = {}

    def version(name: str) -> str:
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.delenv("ASCEND_TOOLKIT_HOME", raising=False)
    return installed


def test_the_servers_driver_and_firmware_with_what_they_say_of_each_other(tmp_path: Path) -> None:
    put(tmp_path / "driver" / "version.info", DRIVER)
    put(tmp_path / "firmware" / "version.info", FIRMWARE)
    assert look(hdk_folder=str(tmp_path)) == {
        "driver": "24.1.rc3",
        "driver_accepts": "[7.0.0,7.5.99]",
        "firmware": "7.5.0.1.129",
        "firmware_release": "24.1.rc3",
        "firmware_accepts": "[24.1,24.1.]",
    }


def test_the_firmware_of_a_file_that_is_out_of_sight_can_be_told(tmp_path: Path) -> None:
    assert look(hdk_folder=str(tmp_path), firmware_info=FIRMWARE)["firmware"] == "7.5.0.1.129"


def test_a_file_cut_short_names_no_version(tmp_path: Path) -> None:
    put(tmp_path / "driver" / "version.info", "Vers")
    assert look(hdk_folder=str(tmp_path)) == {}


def test_cann_beside_its_environment_script_or_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "toolkit" / "latest" / "aarch64-linux" / "ascend_toolkit_install.info", CANN)
    assert look(hdk_folder="/nonexistent", env_script=str(tmp_path / "toolkit" / "set_env.sh")) == {"cann": "8.0.RC3"}
    monkeypatch.setenv("ASCEND_TOOLKIT_HOME", str(tmp_path / "toolkit" / "latest"))
    assert look(hdk_folder="/nonexistent") == {"cann": "8.0.RC3"}


@pytest.mark.parametrize("folder", ["ascend-toolkit/latest", "cann"])
def test_cann_where_it_is_installed_when_nobody_says(tmp_path: Path, folder: str) -> None:
    put(tmp_path / folder / "aarch64-linux" / "ascend_toolkit_install.info", CANN)
    assert look(hdk_folder=str(tmp_path)) == {"cann": "8.0.RC3"}


@pytest.mark.parametrize("folder", ["cann", "cann-8.5.0"])
def test_cann_in_the_folder_of_its_environment_script_since_8_5(tmp_path: Path, folder: str) -> None:
    put(tmp_path / folder / "aarch64-linux" / "ascend_toolkit_install.info", CANN)
    assert look(hdk_folder="/nonexistent", env_script=str(tmp_path / folder / "set_env.sh")) == {"cann": "8.0.RC3"}


def test_packages_by_their_metadata(packages: Dict[str, str]) -> None:
    packages.update({"mindspore": "2.7.2", "mindformers": "1.8.0"})
    assert look(hdk_folder="/nonexistent") == {"mindspore": "2.7.2", "mindformers": "1.8.0"}


def test_the_old_name_of_the_wheel(packages: Dict[str, str]) -> None:
    packages["mindspore-ascend"] = "1.10.1"
    assert look(hdk_folder="/nonexistent") == {"mindspore": "1.10.1"}


def test_a_tree_goes_before_the_wheel(tmp_path: Path, packages: Dict[str, str]) -> None:
    packages["mindformers"] = "1.8.0"
    put(tmp_path / "mindformers" / "__init__.py", '"""MindFormers."""\n__version__ = "1.4.0.beta1"\n')
    assert look(hdk_folder="/nonexistent", tree=str(tmp_path))["mindformers"] == "1.4.0.beta1"
    assert look(hdk_folder="/nonexistent", tree=str(tmp_path / "other"))["mindformers"] == "1.8.0"


def test_the_answer_is_judged(packages: Dict[str, str]) -> None:
    packages.update({"mindspore": "2.7.1", "mindformers": "1.8.0"})
    answers: List[Dict[str, Any]] = []
    assert versions.run({"hdk_folder": "/nonexistent", "device_target": "CPU"}, answers.append) == 0
    (answer,) = answers
    assert answer["matrix"] == {
        "verdict": "off",
        "reasons": ["MindFormers 1.8.0 was made for MindSpore 2.7.2, found is 2.7.1"],
        "costs": [],
        "not_seen": [],
        "change": ["MindSpore 2.7.1 -> 2.7.2"],
    }
    assert answer["python"] == platform.python_version()
    assert answer["architecture"] == platform.machine()


def test_the_command_answers_and_names_the_zipapp_that_it_is(node: LocalNode, tmp_path: Path) -> None:
    assert node.call("versions").document["runtime"] == {"version": __version__, "sha256": None}
    path, sha256 = zipapp.build(tmp_path)
    argv = [sys.executable, "-I", "-S", str(path), "node", "versions"]
    done = subprocess.run(argv, input="{}", capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["runtime"] == {"version": __version__, "sha256": sha256}
