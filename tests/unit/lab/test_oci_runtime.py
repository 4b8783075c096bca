# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lab import oci_runtime

PROCESS: dict[str, Any] = {
    "args": ["true"],
    "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1, "soft": 1}],
    "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "effective": ["CAP_SYS_RESOURCE"]},
}
CLEANED = {"args": ["true"], "capabilities": {"bounding": ["CAP_CHOWN"], "effective": []}}


def test_a_containers_specification_loses_what_the_kernel_cannot_give_and_nothing_else() -> None:
    assert oci_runtime.without_missing({"ociVersion": "1.0.2", "process": PROCESS, "mounts": []}) == {
        "ociVersion": "1.0.2",
        "process": CLEANED,
        "mounts": [],
    }


def test_a_process_in_a_container_loses_it_too() -> None:
    assert oci_runtime.without_missing(PROCESS) == CLEANED


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--root", "/r", "create", "--bundle", "/b", "id"], Path("/b/config.json")),
        (["run", "-b", "/b", "id"], Path("/b/config.json")),
        (["exec", "--process", "/p.json", "id"], Path("/p.json")),
        (["state", "id"], None),
    ],
)
def test_the_specification_is_found_on_runcs_command_line(argv: list[str], expected: Path | None) -> None:
    assert oci_runtime.specification(argv) == expected


def test_runc_gets_the_same_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"process": PROCESS}))
    called: list[Any] = []
    monkeypatch.setattr(os, "execv", lambda *words: called.append(words))
    argv = ["create", "--bundle", str(tmp_path), "id"]
    oci_runtime.main(argv)
    assert called == [("/usr/sbin/runc", ["/usr/sbin/runc", *argv])]
    assert json.loads((tmp_path / "config.json").read_text()) == {"process": CLEANED}
