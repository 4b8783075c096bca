# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from lab import python_root


def test_the_interpreter_is_named_by_its_version(tmp_path: Path) -> None:
    folder = tmp_path / "root/usr/bin"
    folder.mkdir(parents=True)
    (folder / "python3").symlink_to("python3.11")
    assert python_root.python(tmp_path) == "/usr/bin/python3.11"


def test_pips_configuration_is_that_of_this_user(tmp_path: Path) -> None:
    own = tmp_path / ".config/pip/pip.conf"
    named = tmp_path / "site.conf"
    own.parent.mkdir(parents=True)
    own.touch()
    named.touch()
    (tmp_path / ".netrc").touch()
    found = python_root.pip_configuration({"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(named)})
    assert [path for path in found if tmp_path in path.parents] == [own, tmp_path / ".netrc", named]


def test_what_pip_reads_from_this_machines_disk_is_there_too(tmp_path: Path) -> None:
    wheels, index, certificate = tmp_path / "wheels", tmp_path / "pypi/simple", tmp_path / "ca.crt"
    wheels.mkdir()
    index.mkdir(parents=True)
    certificate.touch()
    values = [
        f"{wheels} /not/there",
        f"https://pypi.example/simple file://{index}",
        str(certificate),
        "180",
        "/dev/null",
    ]
    assert python_root.local_paths(values) == [wheels, index.parent, certificate]


def test_a_command_gets_the_network_of_the_machine_and_no_other_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(python_root, "run", lambda argv: ran.append(list(argv)) or "")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("PIP_INDEX_URL", "https://pypi.example/simple")
    monkeypatch.setenv("OBS_TOKEN", "s3cret")
    python_root.run_inside(tmp_path, ["true"], binds={"/opt/mindspore-env": (tmp_path / "env", "ro")})
    assert ran[0][-1] == "true"
    assert {"--setenv=https_proxy=http://proxy.example:3128", "--volatile=overlay"} <= set(ran[0])
    assert f"--bind-ro={tmp_path}/env:/opt/mindspore-env" in ran[0]
    assert "s3cret" not in " ".join(ran[0])
    assert "--private-network" not in ran[0]
