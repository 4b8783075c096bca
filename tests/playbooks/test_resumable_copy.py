# SPDX-License-Identifier: Apache-2.0
"""resumable_copy as a task: killed in the middle, it goes on; the file has its name only when it is whole."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.plugins.module_utils.hdk.package_files import sha256

ROOT = Path(__file__).resolve().parents[2]
SLICE = 64 * 1024
# Large enough to be killed in between, and not a multiple of the slice.
CONTENT = random.Random(3).randbytes(300 * SLICE + 5)  # noqa: S311 - not for security
PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - resumable_copy:
        src: "{{ src }}"
        dest: "{{ dest }}"
        sha256: "{{ sha256 }}"
        mode: "0700"
        slice_bytes: "{{ slice_bytes }}"
      register: copied
    - debug:
        var: copied
"""


class Copy:
    def __init__(self, folder):
        self.folder = folder
        self.source, self.dest = folder / "driver.run", folder / "staging" / "driver.run"
        self.source.write_bytes(CONTENT)
        self.dest.parent.mkdir()
        self.variables = {"src": str(self.source), "dest": str(self.dest), "sha256": sha256(CONTENT)}
        self.variables.update(slice_bytes=SLICE, ansible_python_interpreter=sys.executable)
        (folder / "play.yml").write_text(PLAYBOOK)

    def start(self, *options):
        argv = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", self.folder / "play.yml"]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        return subprocess.Popen(
            [*argv, "-e", json.dumps(self.variables), *options],
            cwd=ROOT,
            env={**environment, "ANSIBLE_REMOTE_TMP": str(self.folder / "remote")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *options):
        """Return exit code, output, and the bytes sent and kept (None where nothing was to be copied)."""
        play = self.start(*options)
        output, _ = play.communicate(timeout=120)
        assert "Traceback" not in output
        numbers = {name: int(value) for name, value in re.findall(r"(sent_bytes|kept_bytes): (\d+)", output)}
        return play.returncode, output, numbers.get("sent_bytes"), numbers.get("kept_bytes")

    def staged(self):
        return [path.name for path in self.dest.parent.iterdir()]

    def slices(self):
        return sorted((self.folder / "remote").glob("resumable_copy/*/slice-*"))


def kill_with_descendants(pid):
    """Kill a process and what descends from it: Ansible's workers are in sessions of their own."""
    os.kill(pid, signal.SIGSTOP)
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        kill_with_descendants(int(child))
    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def copy(tmp_path):
    return Copy(tmp_path)


def test_killed_in_the_middle_it_goes_on_and_sends_only_the_rest(copy):
    play = copy.start()
    while len(copy.slices()) < 40:
        assert play.poll() is None, play.communicate()[0]
        time.sleep(0.005)
    kill_with_descendants(play.pid)
    play.communicate()
    assert not copy.dest.exists()
    there = copy.slices()
    assert 40 <= len(there) < 301
    os.truncate(there[0], 1000)  # a slice that was under way
    whole = sum(path.stat().st_size == SLICE for path in there)
    code, output, sent, kept = copy.run()
    assert code == 0, output
    assert kept == whole * SLICE
    assert sent == len(CONTENT) - kept
    assert copy.dest.read_bytes() == CONTENT
    assert copy.dest.stat().st_mode & 0o7777 == 0o700
    assert copy.slices() == []
    assert copy.staged() == ["driver.run"]
    assert copy.run()[1].count("changed=0") == 1


def test_check_mode_tells_and_changes_nothing(copy):
    code, output, sent, _ = copy.run("--check", "--diff")
    assert (code, sent) == (0, None)
    assert "changed=1" in output
    assert f"+sha256: {sha256(CONTENT)}" in output
    assert copy.staged() == []
    copy.dest.write_bytes(CONTENT)
    copy.dest.chmod(0o700)
    assert "changed=0" in copy.run("--check")[1]
    copy.dest.chmod(0o644)
    assert "changed=1" in copy.run("--check")[1]
    assert copy.dest.stat().st_mode & 0o777 == 0o644


def test_a_small_file_is_one_slice(copy):
    copy.variables["slice_bytes"] = 2 * len(CONTENT)
    code, output, sent, kept = copy.run()
    assert (code, sent, kept) == (0, len(CONTENT), 0), output
    assert copy.dest.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"sha256": "0" * 64}, f"expected {'0' * 64}"),
        ({"src": "/nonexistent"}, "/nonexistent can't be read: No such file"),
        ({"dest": "/nonexistent/driver.run"}, "/nonexistent is no folder"),
        ({"slice_bytes": 10}, "slice_bytes is 10: at least 65536"),
    ],
)
def test_what_cannot_be_copied(copy, variables, words):
    copy.variables.update(variables)
    code, output, _, _ = copy.run()
    assert code == 2
    assert words in output
    assert not (copy.folder / "remote" / "resumable_copy").exists()
