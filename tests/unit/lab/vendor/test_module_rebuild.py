# SPDX-License-Identifier: Apache-2.0
"""run_driver_ko_rebuild.sh: the module for a kernel that came after the driver."""

from __future__ import annotations

import os

import pytest
from bare_server import WHOLE, Server, devices

from lab.vendor import faults

pytestmark = pytest.mark.lab

SCRIPT = "/usr/local/Ascend/driver/script/run_driver_ko_rebuild.sh"


def test_a_missing_module_is_built_and_runs_after_the_reboot(old_server: Server) -> None:
    old_server.run("rm", "-r", f"/usr/lib/modules/{os.uname().release}/updates")
    old_server.reboot()
    assert devices(old_server) == set()
    done = old_server.run(SCRIPT)
    assert done.returncode == 0, done.stdout
    assert devices(old_server) == set()
    old_server.reboot()
    assert devices(old_server) == WHOLE


def test_a_build_that_fails_says_where_the_log_is(old_server: Server) -> None:
    faults.set_fault(old_server.hardware, "dkms_failure")
    done = old_server.run(SCRIPT, "--force")
    assert done.returncode == 1
    assert "rebuild ko has something wrong, detail in /var/log/ascend_seclog/ascend_rebuild.log" in done.stdout
    assert "Bad return status for module build" in old_server.text("/var/log/ascend_seclog/ascend_rebuild.log")


def test_a_module_that_is_there_is_left_alone_and_other_words_are_refused(old_server: Server) -> None:
    assert "no need to rebuild" in old_server.run(SCRIPT).stdout
    refused = old_server.run(SCRIPT, "--kernel=6.1")
    assert refused.returncode == 1
    assert "Unrecognized parameters" in refused.stdout
