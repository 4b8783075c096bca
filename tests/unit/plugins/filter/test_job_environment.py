# SPDX-License-Identifier: Apache-2.0
"""What environment.sh sets is what a job gets: both are run, and compared."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from plugins.filter.job_environment import job_environment
from telechat_runtime.node.supervision import environment
from telechat_runtime.plan.msrun import worker_env

HOSTILE = "a'b $(touch /nowhere) `x`\n\\"


@pytest.mark.parametrize("tree", ["", "/work space/tree"])
@pytest.mark.parametrize("extra", [{}, {"PYTHONPATH": "/shim", "HOSTILE": HOSTILE}])
@pytest.mark.parametrize("ambient", [{}, {"PYTHONPATH": "/container", "RANK_TABLE_FILE": "/x"}])
def test_the_file_sets_what_a_job_gets(
    tree: str, extra: dict[str, str], ambient: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "set_env.sh"
    script.write_text("export PYTHONPATH=/cann${PYTHONPATH:+:$PYTHONPATH} CANN=1\n")
    ambient = {"PATH": "/usr/bin:/bin", **ambient}
    planned = worker_env(
        device_target="CPU",
        node_addr="192.0.2.1",
        npus=1,
        npu_count=1,
        world_size=1,
        tree=tree,
        shared_paths=("/a", "/b"),
        model_name="",
        log_dir="/logs",
        extra=extra,
    )
    monkeypatch.setattr(environment.os, "environ", ambient)
    request = {"job_id": "j", "env_script": str(script), "env": planned}
    job = environment.job_environment(request)
    text = job_environment(extra, str(script), tree, ["/a", "/b"])
    argv = ["bash", "-c", f"{text}env -0"]
    shown = subprocess.run(argv, env=ambient, capture_output=True, check=True).stdout.decode()
    people = dict(pair.split("=", 1) for pair in shown.split("\0") if pair)
    own = {"TELECHAT_JOB_ID", "PATH", "PWD", "SHLVL", "_", "OLDPWD"}
    assert {name: value for name, value in job.items() if name not in own} == {
        name: value for name, value in people.items() if name not in own
    }
    assert job.get("PYTHONPATH", "").split(":")[-1] == ("/container" if "PYTHONPATH" in ambient else "/cann")
