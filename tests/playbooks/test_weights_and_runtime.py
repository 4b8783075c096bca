# SPDX-License-Identifier: Apache-2.0
"""The roles telechat_weights and telechat_runtime on this machine: a server on loopback, folders of the test."""

import functools
import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = """
- name: Run a role and look again
  hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Take the role
      ansible.builtin.include_role:
        name: "{{ role }}"
        public: true
    - name: Judge as the look of preflight does
      ansible.builtin.stat:
        path: "{{ item.key }}"
        checksum_algorithm: sha256
      loop: "{{ (_telechat_runtime_wish.files if role == 'telechat_runtime' else {}) | dict2items }}"
      register: seen
      failed_when: not ansible_check_mode and seen.stat.checksum | default('') != item.value
"""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        del arguments


@pytest.fixture
def server(tmp_path):
    """A folder and the address at which it is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def play(tmp_path):
    """Return a function that runs a role and returns (exit code, changed tasks, output)."""
    playbook = tmp_path / "play.yml"
    playbook.write_text(PLAYBOOK)

    def run(role, *options, **variables):
        settings = {"role": role, "preflight_look": {"pending": {role: "the test"}, "facts": {}}, **variables}
        settings["ansible_python_interpreter"] = sys.executable
        argv = [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", str(playbook), *options]
        # proxies of this machine are not for its loopback
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment.update(ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), TELECHAT_CACHE=str(tmp_path / "cache"))
        done = subprocess.run(
            [*argv, "-e", json.dumps(settings)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        output = done.stdout + done.stderr
        recap = re.search(r"changed=(\d+)", output)
        return done.returncode, int(recap.group(1)) if recap else None, output

    return run


def listed(folder, address, name, content):
    (folder / name).write_bytes(content)
    return {
        "name": name,
        "url": f"{address}/{name}",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
    }


def test_weights(play, server, tmp_path):
    folder, address = server
    (tmp_path / "rank_0.ckpt").write_bytes(b"weights")
    with tarfile.open(tmp_path / "m.tar", "w") as archive:
        archive.add(tmp_path / "rank_0.ckpt", "rank_0.ckpt")
    files = [
        listed(folder, address, "a.ckpt", b"abc" * 1000),
        listed(folder, address, "m.tar", (tmp_path / "m.tar").read_bytes()),
    ]
    wished = {"telechat_weights_dir": str(tmp_path / "data03"), "telechat_weights_files": files}

    code, changed, output = play("telechat_weights", "--check", "--diff", **wished)
    assert (code, changed) == (0, 1), output
    assert "+a.ckpt" in output
    assert not (tmp_path / "data03").exists()

    code, changed, output = play("telechat_weights", **wished)
    assert (code, changed) == (0, 1), output
    assert (tmp_path / "data03" / "a.ckpt").read_bytes() == b"abc" * 1000
    assert (tmp_path / "data03" / "m" / "rank_0.ckpt").read_bytes() == b"weights"

    assert play("telechat_weights", **wished)[:2] == (0, 0)
    assert play("telechat_weights", "--check", **wished)[:2] == (0, 0)


def test_every_wrong_file_is_named_and_the_good_one_is_kept(play, server, tmp_path):
    folder, address = server
    good = listed(folder, address, "good.ckpt", b"good")
    wrong = {**listed(folder, address, "wrong.ckpt", b"wrong"), "sha256": "0" * 64}
    absent = {**good, "name": "absent.ckpt", "url": f"{address}/absent.ckpt"}
    code, _, output = play(
        "telechat_weights",
        telechat_weights_dir=str(tmp_path / "data03"),
        telechat_weights_files=[good, wrong, absent],
        telechat_weights_headers={"Authorization": "Bearer hidden-token"},
        telechat_weights_retries=0,
    )
    said = " ".join(output.split())
    assert code != 0
    assert f"sha256 is {hashlib.sha256(b'wrong').hexdigest()}, expected {'0' * 64}" in said
    assert "absent.ckpt answers 404" in said
    assert "hidden-token" not in output
    assert (tmp_path / "data03" / "good.ckpt").read_bytes() == b"good"
    assert not (tmp_path / "data03" / "wrong.ckpt").exists()
    assert "Traceback" not in output


def test_wrong_entry_of_the_list_is_refused(play, tmp_path):
    entry = {"name": "../a", "url": "http://192.0.2.1/a", "sha256": "0" * 64, "size": 1}
    code, _, output = play(
        "telechat_weights", telechat_weights_dir=str(tmp_path / "data03"), telechat_weights_files=[entry]
    )
    assert code != 0
    assert "weights file '../a': the name must be a plain file name" in " ".join(output.split())
    assert not (tmp_path / "data03").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="the files belong to root")
def test_runtime(play, tmp_path):
    script = tmp_path / "set_env.sh"
    script.write_text("export PYTHONPATH=/script:$PYTHONPATH\n")
    wished = {
        "telechat_runtime_path": str(tmp_path / "opt" / "telechat-run.pyz"),
        "telechat_container_name": "",
        "telechat_python": sys.executable,
        "telechat_env_script": str(script),
        "telechat_tree": "/work space/mindformers/",
        "telechat_shared_paths": ["/shared", "/other"],
        "telechat_env": {"LEVEL": 3, "PYTHONPATH": "/shim", "HOSTILE": "a'b $(touch /tmp/never) `x`"},
    }
    code, changed, output = play("telechat_runtime", "--check", **wished)
    assert (code, changed) == (0, 3), output
    assert not (tmp_path / "opt").exists()

    code, changed, output = play("telechat_runtime", **wished)
    assert (code, changed) == (0, 3), output
    shown = subprocess.run(
        ["sh", "-c", f". {tmp_path}/opt/environment.sh && env -0"],
        env={"RANK_TABLE_FILE": "/x", "PYTHONPATH": "/before"},
        capture_output=True,
        text=True,
        check=True,
    )
    environment = dict(pair.split("=", 1) for pair in shown.stdout.split("\0") if pair)
    assert environment["PYTHONPATH"] == "/work space/mindformers:/shim:/script:/before"
    assert environment["PYTHONUNBUFFERED"] == "1"
    assert environment["SHARED_PATHS"] == "/shared,/other"
    assert (environment["LEVEL"], environment["HOSTILE"]) == ("3", wished["telechat_env"]["HOSTILE"])
    assert "RANK_TABLE_FILE" not in environment

    # Whole, by a rename: a process that runs from the old file never reads half of the new one.
    runtime = tmp_path / "opt" / "telechat-run.pyz"
    runtime.write_bytes(b"the release before")
    with runtime.open("rb") as held:
        code, changed, output = play("telechat_runtime", **wished)
        assert (code, changed) == (0, 1), output
        assert held.read() == b"the release before"
    assert play("telechat_runtime", **wished)[:2] == (0, 0)
    # Earlier releases wrote it, and nobody reads it.
    (tmp_path / "opt" / "cluster.json").touch()
    assert play("telechat_runtime", **wished)[:2] == (0, 1)
    assert not (tmp_path / "opt" / "cluster.json").exists()
