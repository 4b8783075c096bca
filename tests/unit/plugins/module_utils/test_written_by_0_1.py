# SPDX-License-Identifier: Apache-2.0
"""What release 0.1 wrote on a server and beside its packages is still read; the contract tests have the rest."""

import shutil
from pathlib import Path

from ansible.module_utils.hdk.lock import render_lock
from ansible.module_utils.hdk.lock_file import read_lock
from ansible.module_utils.node_upgrade import Campaign, NodeUpgrade, versions_before

FILES = Path(__file__).parents[3] / "contract" / "written_by_0_1"
CAMPAIGN = "24.1.rc3-20260115T080001Z-0010"
BEFORE = {"driver": "23.0.3", "firmware": "7.1.0.5.220"}


def test_a_server_knows_how_far_it_was_and_what_to_go_back_to():
    for state in ("done", "rebooting", "failed"):
        server = FILES / "servers" / state
        look = NodeUpgrade("/var/lib/telechat", str(server)).look()
        assert (look["upgrade"]["state"], look["upgrade"]["run"]) == (state, CAMPAIGN)
        assert versions_before(str(server)) == BEFORE
        assert (look["service"] is None) == (state == "done")


def test_a_server_that_was_rebooting_goes_on_in_the_same_upgrade(tmp_path):
    shutil.copytree(FILES / "servers" / "rebooting", tmp_path / "server")
    node = NodeUpgrade("/var/lib/telechat", str(tmp_path / "server"))
    assert node.drain(Campaign(CAMPAIGN, "lin@ops1", "24.1.rc3"), {}, take_over=False) is False
    assert node.record()["from"] == BEFORE


def test_a_rollback_takes_each_server_to_what_it_ran_before(tmp_path):
    shutil.copytree(FILES / "servers" / "done", tmp_path / "server")
    node = NodeUpgrade("/var/lib/telechat", str(tmp_path / "server"))
    node.require(Campaign("rollback-20260116T080000Z-0020", "lin@ops1", "rollback"), {"driver": "24.1.rc3"})
    assert node.record()["to"] == BEFORE


def test_the_lock_file_of_the_hdk_is_read_and_written_the_same():
    path = FILES / "hdk.lock.yml"
    assert render_lock(read_lock(str(path))) == path.read_text()
