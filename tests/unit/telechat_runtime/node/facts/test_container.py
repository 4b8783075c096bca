# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Callable

import pytest

from telechat_runtime.node.facts import container

CONTAINER = '[{"State": {"Status": "running"}, "Image": "sha256:1", "Config": {"Image": "telechat-ms:1.0"}}]'


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def install(script: str) -> None:
        program = tmp_path / "docker"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return install


def test_the_container_and_what_its_image_name_means_now(docker: Callable[[str], None]) -> None:
    docker(f"[ $1 = container ] && echo '{CONTAINER}' || echo '[{{\"Id\": \"sha256:2\"}}]'")
    assert container.look("telechat") == {
        "state": "running",
        "image": "telechat-ms:1.0",
        "image_id": "sha256:1",
        "wanted_id": "sha256:2",
    }


def test_a_container_run_by_image_id_is_looked_up_by_the_name_it_was_made_for(docker: Callable[[str], None]) -> None:
    labels = {"telechat.parameters": json.dumps({"image": "telechat-ms:1.0"})}
    found = {"State": {}, "Image": "sha256:1", "Config": {"Image": "sha256:1", "Labels": labels}}
    docker(
        f"[ $1 = container ] && exec echo '{json.dumps([found])}'\n"
        '[ "$1 $3" = "image telechat-ms:1.0" ] && exec echo \'[{"Id": "sha256:2"}]\''
    )
    answer = container.look("telechat")
    assert answer is not None
    assert (answer["image"], answer["image_id"], answer["wanted_id"]) == ("telechat-ms:1.0", "sha256:1", "sha256:2")


def test_no_container_is_told_apart_from_no_answer(docker: Callable[[str], None]) -> None:
    docker("echo 'Error: No such container: telechat' >&2; exit 1")
    found = container.look("telechat")
    assert found is not None
    assert found["state"] == "missing"
    docker("echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    assert container.look("telechat") is None
    docker("echo nonsense")
    assert container.look("telechat") is None
    assert container.look(None) is None
