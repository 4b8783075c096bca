# SPDX-License-Identifier: Apache-2.0
"""playbooks/uninstall.yml against this machine, which is bare."""

import pytest

from tests.playbooks.test_preflight import Site


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    site.variables["ascend_hdk_package_dir"] = "/nonexistent"
    return site


@pytest.mark.parametrize("mode", [(), ("--check",)])
def test_a_bare_server_needs_neither_packages_nor_chips_and_is_left_alone(site, mode):
    outcome = site.play("playbooks/uninstall.yml", *mode)
    assert outcome.rc == 0, outcome.text
    assert "nothing to do on 2 of 2 hosts" in outcome.text
    assert {" ".join(line.split()) for line in outcome.recap.values()} == {"changed=0 unreachable=0"}
