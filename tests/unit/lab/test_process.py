# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab import process
from lab.errors import LabError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child
        child.kill()


def test_the_start_time_is_found_behind_a_name_with_spaces_and_brackets() -> None:
    fields = " ".join(str(number) for number in range(4, 40))
    assert process.start_time(f"17 (a) b (c) S {fields}") == 22


def test_a_process_that_took_over_the_pid_is_never_killed(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    identity = process.identify(sleeper.pid)
    assert identity is not None
    record = tmp_path / "record.json"
    for stranger in (replace(identity, start=identity.start - 1), replace(identity, boot="another boot")):
        stranger.write(record)
        assert not process.alive(record)
        process.kill(record)
        assert sleeper.poll() is None
        assert not record.exists()


def test_the_recorded_process_is_killed_and_forgotten(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    identity = process.identify(sleeper.pid)
    assert identity is not None
    identity.write(record)
    assert process.alive(record)
    process.kill(record)
    assert sleeper.wait(timeout=5) == -9
    assert not record.exists()


def test_a_zombie_is_nobody() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process.identify(child.pid) is None
    child.wait()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', json.dumps({"pid": 1, "start": 2, "boot": "b", "x": 0})])
def test_half_a_record_means_nobody(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    assert process.recorded(path) is None
    process.kill(path)
    assert not path.exists()


def test_a_failing_command_is_told_with_its_code_and_words() -> None:
    script = "import sys; print('the reason', file=sys.stderr); sys.exit(3)"
    with pytest.raises(LabError, match=r"(?s)ended with 3.*the reason"):
        process.run([sys.executable, "-c", script])


def test_a_missing_tool_points_to_the_requirements() -> None:
    with pytest.raises(LabError, match="lab requirements"):
        process.run(["no-such-tool-anywhere"])


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
def test_a_contained_command_ends_with_a_killed_lab(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # The command holds the pipe open for writing: its reader sees the end when the last process in it is gone.
    command = ["sh", "-c", f"exec >{fifo}; echo started; sleep 60; true"]
    script = f"from lab.process import contained, run; run(contained({command!r}))"
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT) as lab, fifo.open() as pipe:
        assert pipe.readline() == "started\n"
        lab.kill()
        assert select.select([pipe], [], [], 10)[0]
        assert pipe.read() == ""
