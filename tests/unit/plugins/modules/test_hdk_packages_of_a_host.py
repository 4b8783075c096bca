# SPDX-License-Identifier: Apache-2.0
"""The modules that judge the packages a host kept, where a newer release noted what ran there before."""

import json

import pytest
from ansible.module_utils import basic, node_upgrade

from plugins.modules import hdk_kept_packages, hdk_prune_packages


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Return how to run a module on a host with that record."""
    record = tmp_path / "upgrade.json"
    record.write_text('{"schema": 99}')
    monkeypatch.setattr(node_upgrade, "RECORD", str(record))
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)

    def run(module, **arguments):
        arguments["staging_dir"] = str(tmp_path)
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        with pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    return run


def test_there_are_no_packages_to_go_back_to_and_the_problem_says_why(run):
    answer = run(hdk_kept_packages)
    (problem,) = answer["problems"]
    assert (answer["packages"], problem["next_step"]) == ({}, "use that release on the control machine too")
    assert "upgrade.json has schema 99" in problem["value"]


def test_none_is_removed(run, tmp_path):
    package = tmp_path / "Ascend-hdk-910b-npu-driver_23.0.3_linux-aarch64.run"
    package.touch()
    answer = run(hdk_prune_packages, keep=["24.1.rc3"])
    assert answer["failed"]
    assert "upgrade.json has schema 99" in answer["msg"]
    assert package.exists()
