# SPDX-License-Identifier: Apache-2.0
"""One server to the wanted HDK over a killed control side, back to bare, and there again.

The tests stand in the order of the story and share the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.controller import Controller
from tests.lab.site import Site, flat, new_site, recap

pytestmark = pytest.mark.lab

HOST = "node0"
INSTALL = "playbooks/hdk.yml"
UNINSTALL = "playbooks/uninstall.yml"
# To uninstall, no packages are needed.
NO_PACKAGES = ("-e", "ascend_hdk_package_dir=/nonexistent")
# One program of the server's own as an image; there is no registry.
IMAGE = "tar -ch $(ldd /bin/sleep | grep -o '/[^ ]*') /bin/sleep 2>/dev/null | docker import - tiny"
CONTAINER = (
    "docker run -d --name telechat --restart=always --stop-signal=KILL --network=none --device=/dev/davinci0"
    " -v /usr/local/Ascend/driver:/usr/local/Ascend/driver tiny /bin/sleep 3600"
)
TRACES = (
    "/usr/local/Ascend",
    "/usr/local/sbin/npu-smi",
    "/usr/local/bin/npu-smi",
    "/var/lib/dkms/davinci_ascend",
    "/usr/src/davinci_ascend-1.0",
    "/etc/ascend_install.info",
    "/var/lib/ascend-hdk",
    "/dev/davinci_manager",
)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A bare server with two chips."""
    with new_site("uninstall", "--hosts", "1", "--chips", "2", "--no-mindspore") as site:
        yield site


def traces(site: Site) -> list[str]:
    return site.on(HOST, "sh", "-c", f"ls -d {' '.join(TRACES)} 2>/dev/null; true").split()


def start_and_kill(site: Site) -> None:
    """Start an installation that stalls, and kill all of the control side in the middle of it."""
    controller = Controller(site, "killed", INSTALL)
    try:
        controller.wait_for(f"{HOST}: install driver 24.1.rc3: 40 %")
    finally:
        controller.kill()


def test_a_killed_control_side_leaves_the_installer_to_its_work(site: Site) -> None:
    site.lab("fault", HOST, "stall=driver:40")
    start_and_kill(site)
    shown = flat(site.play(INSTALL, "--check").stdout)
    assert "node0: ascend_hdk: wait for steps that go on (install driver 24.1.rc3: 40 %)" in shown
    site.lab("fault", HOST, "--clear")
    result = site.play(INSTALL)
    assert result.returncode == 0, result.stdout
    operations = site.on(HOST, "cat", "/var/log/ascend_seclog/operation.log")
    assert len(re.findall(r"Install SUGGESTION .*npu-driver_24\.1\.rc3", operations)) == 1


def test_a_failed_step_brings_its_logs(site: Site, tmp_path: Path) -> None:
    site.lab("fault", HOST, "uninstall_failure")
    result = site.play(UNINSTALL, "-e", f"ascend_hdk_log_dir={tmp_path}")
    site.lab("fault", HOST, "--clear")
    assert result.returncode == 2
    assert "the driver could not be uninstalled" in flat(result.stdout)
    (folder,) = (tmp_path / HOST).iterdir()
    # The callback breaks lines at a path's hyphens, too.
    assert f"Itslogs:{folder}" in "".join(result.stdout.split())
    assert "0x0090" in (folder / "var/log/ascend_seclog/ascend_install.log").read_text()
    assert "19e5:" in (folder / "commands/lspci.txt").read_text()


def test_check_shows_the_plan_with_an_estimate_and_changes_nothing(site: Site) -> None:
    site.on(HOST, "sh", "-c", "DEBIAN_FRONTEND=noninteractive apt-get install -qq -y docker.io >/dev/null 2>&1")
    site.on(HOST, "sh", "-c", f"{IMAGE} && {CONTAINER}")
    before = site.boot_id(HOST), traces(site)
    shown = flat(site.play(UNINSTALL, "--check", *NO_PACKAGES).stdout)
    steps = ["stop telechat:", "uninstall driver 24.1.rc3:", "reboot:", "; about "]
    assert [shown.index(step) for step in steps] == sorted(shown.index(step) for step in steps)
    assert (site.boot_id(HOST), traces(site)) == before


def test_back_to_bare_with_the_container_stopped_for_good(site: Site) -> None:
    before = site.boot_id(HOST)
    result = site.play(UNINSTALL, *NO_PACKAGES)
    assert result.returncode == 0, result.stdout
    assert site.boot_id(HOST) != before
    assert traces(site) == []
    running = "{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}"
    assert site.on(HOST, "docker", "inspect", "--format", running, "telechat").split() == ["false", "no"]


def test_the_second_run_changes_nothing(site: Site) -> None:
    before = site.boot_id(HOST)
    result = site.play(UNINSTALL, *NO_PACKAGES)
    assert recap(result)[HOST].changed == 0
    assert "nothing to do on 1 of 1 hosts" in flat(result.stdout)
    assert site.boot_id(HOST) == before


def test_installed_again(site: Site) -> None:
    result = site.play(INSTALL)
    assert result.returncode == 0, result.stdout
    assert "24.1.rc3" in site.on(HOST, "npu-smi", "info", "-t", "board", "-i", "0")
    assert recap(site.play(INSTALL))[HOST].changed == 0
