# SPDX-License-Identifier: Apache-2.0
"""A host in a folder on which a step is at work."""

from ansible.module_utils.hdk import steps as hdk_steps
from ansible.module_utils.hdk.record import HdkRecord
from ansible.module_utils.hdk.run import HdkRun
from ansible.module_utils.hdk.steps import Host, Settings

from tests.unit.plugins.module_utils.scripted_host import ScriptedHost


def step_host(tmp_path, monkeypatch, step):
    """Return the host that a step is given, its logs in a folder of the test."""
    monkeypatch.setattr(hdk_steps, "LOG_FOLDER", str(tmp_path / "log"))
    root = ScriptedHost(tmp_path / "root").root
    run = HdkRun(root)
    run.open("1", {})
    run.begin(step)
    return Host(settings=Settings({}, "u", "g", "guide", 60), record=HdkRecord(root), run=run)
